"""The builder that asks `docker buildx`: BuildKit with all it can do, wherever the user has put it.

Builds and pushes in one go. Which of buildx's own builder instances is used is buildx's affair: the one that
`docker buildx use` or BUILDX_BUILDER names.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from providers.docker.builders.build_errors import push_failure
from providers.docker.builders.build_log import LONGEST, BuildLog, build_log
from providers.docker.builders.builder_requirements import need_dockerfile, secret_values
from providers.docker.builders.buildkit import arguments
from providers.docker.builders.command_line import Probe, ask, buildx_version, client_version, lines_of
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.connection import ConnectionPool
from providers.docker.registry.logins import docker_config
from providers.docker.registry.reference import UPLOAD_TAG, check_tag, is_digest, parse_repository
from providers.docker.source.build_context import unpacked_context
from providers.docker.source.key import ImageSource
from providers.errors import PermanentError
from providers.protocol import Progress, Report

_FIRST = (0, 13)  # with --progress=rawjson: https://github.com/docker/buildx/releases/tag/v0.13.0


class BuildxBuilder:
    """Builds and pushes with `docker buildx build --push`."""

    name = "buildx"

    def __init__(self, source: ImageSource, reason: str, pool: ConnectionPool | None = None) -> None:
        self.reason = reason
        self._source = source
        self._pool = pool

    def check(self) -> None:
        """buildx is there and reaches what it builds with, and the secrets are there.

        Raises:
            RefusedError: there is no Dockerfile, or a secret's variable is not set.
            FinalError: no buildx that we can use.
        """
        need_dockerfile(self._source, "docker buildx")
        secret_values(self._source)
        found = probe()
        if not found.there:
            raise PermanentError(f"cannot build with buildx: {found.why}", hint='leave builder to "auto"')

    def publish(
        self, source: ImageSource, repository: str, tag: str, labels: Mapping[str, str], report: Report
    ) -> str:
        """Build the Dockerfile and push the image, under `UPLOAD_TAG`; its digest.

        Without a tag, buildx cannot push with the builder that it has by default, the Engine's own.

        Raises:
            RefusedError: a step failed, with the step and the last lines of its output.
            ProviderError: what the registry answered.
        """
        check_tag(tag)
        need_dockerfile(source, "docker buildx")
        target = parse_repository(repository)
        secrets = secret_values(source)
        with (
            build_log(f"{target}-{tag}", secrets.values(), report) as log,
            unpacked_context(source) as folder,
            docker_config(target.registry) as variables,
        ):
            command = ["buildx", "build", "--progress=rawjson", "--provenance=false", "--push"]
            command += ["--metadata-file", str(folder.metadata)]
            for place in source.cache_to:
                command += ["--cache-to", place]
            command += arguments(source, f"{target}:{UPLOAD_TAG}", labels, folder)
            with lines_of(command, variables) as (lines, ended):
                reader = _Reader(log, report)
                reader.read(lines)
            if ended.code:
                if reader.was_pushing:
                    raise push_failure(log.masked(reader.message), target)
                raise log.failed(reader.message, reader.step)
            digest = _digest(folder.metadata)
        if digest is None:  # not every version says it for every driver
            with RegistryClient(target, pool=self._pool) as registry:
                digest = registry.digest(UPLOAD_TAG)
        if digest is None:
            raise PermanentError(
                f"docker buildx pushed to {target}, and the registry does not have it",
                hint="run again; what is published already is not built again",
            )
        return digest


def probe() -> Probe:
    """Whether buildx is there, new enough, and reaches what it builds with. Asks it."""
    found = buildx_version()
    if found is None:
        client = client_version()
        missing = (
            "there is no docker command" if client is None else f"Docker CLI {client.text} has no buildx"
        )
        return Probe(False, missing)
    if found.number < _FIRST:
        return Probe(False, f"docker buildx {found.text} is older than 0.13")
    for line in (ask("buildx", "inspect") or "Error: it does not answer").splitlines():
        if line.startswith("Error:"):
            return Probe(False, f"docker buildx {found.text}: {line.partition(':')[2].strip().rstrip('.')}")
    return Probe(True, f"docker buildx {found.text} is there")


def _digest(metadata: Path) -> str | None:
    try:
        digest = json.loads(metadata.read_text()).get("containerimage.digest", "")
    except (OSError, ValueError):
        return None
    return digest if is_digest(digest) else None


class _Reader:
    """Follows `--progress=rawjson`: BuildKit's own events, one JSON document after the other.

    https://github.com/moby/buildkit/blob/master/client/graph.go has their fields.

    Attributes:
        message, step: what went wrong, and at which step's digest; "" while nothing did.
    """

    def __init__(self, log: BuildLog, report: Report) -> None:
        self._log = log
        self._report = report
        self._names: dict[str, str] = {}
        self._totals: dict[tuple[str, str], int] = {}
        self._unfinished: dict[str, bytes] = {}
        self.message = ""
        self.step = ""

    @property
    def was_pushing(self) -> bool:
        """Whether it went wrong while the image was pushed."""
        return "failed to push" in self.message or self._is_push(self.step)

    def read(self, lines: Iterator[str]) -> None:
        last = ""
        for said in _documents(lines):
            if isinstance(said, str):
                last = said.strip() or last
                self._log.note(said)
                continue
            for vertex in said.get("vertexes") or ():
                self._vertex(vertex)
            for status in said.get("statuses") or ():
                self._status(status)
            for output in said.get("logs") or ():
                self._output(output)
        for step, rest in self._unfinished.items():
            self._log.line(rest.decode("utf-8", "replace"), step)
        self.message = self.message or last.removeprefix("ERROR: ")

    def _vertex(self, vertex: Mapping[str, Any]) -> None:
        step = vertex["digest"]
        self._names[step] = vertex.get("name", "")
        if vertex.get("started"):
            self._log.step(step, self._names[step])
        failed = vertex.get("error", "")
        if failed and not self.message and "context canceled" not in failed:
            self.message, self.step = failed, step

    def _status(self, status: Mapping[str, Any]) -> None:
        """Bytes while something moves, and its end; an end repeats neither the bytes nor the total."""
        step, name = status.get("vertex", ""), str(status.get("id", ""))
        done, total = status.get("current") or 0, status.get("total") or self._totals.get((step, name), 0)
        self._totals[step, name] = max(done, total)
        if status.get("completed"):
            done = total = max(done, total)
        elif done == 0 or (total and done >= total):
            return
        stage = "push" if self._is_push(step) else "build"
        item = self._log.masked(name.removeprefix("pushing layer ").removeprefix("sha256:"))
        self._report(Progress(stage, item[:LONGEST], "", done, total if total or done == total else None))

    def _output(self, output: Mapping[str, Any]) -> None:
        """A piece of what a step said. Only whole lines go on: half of a secret cannot be masked."""
        step = output["vertex"]
        piece = base64.b64decode(output.get("data") or "")
        *whole, rest = (self._unfinished.pop(step, b"") + piece).replace(b"\r", b"\n").split(b"\n")
        for line in whole:
            self._log.line(line.decode("utf-8", "replace"), step)
        if rest:
            self._unfinished[step] = rest

    def _is_push(self, step: str) -> bool:
        return self._names.get(step, "").startswith("pushing ")


def _documents(lines: Iterator[str]) -> Iterator[dict[str, Any] | str]:
    """Each JSON document, on one line or on several, and each line between them."""
    pending = ""
    for line in lines:
        if not pending and not line.startswith("{"):
            yield line
            continue
        pending += line
        if line.rstrip().endswith("}") and line[0] in "{}":
            try:
                document = json.loads(pending)
            except ValueError:
                continue
            pending = ""
            yield document
    if pending:
        yield pending
