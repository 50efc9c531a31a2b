"""The builder for `docker buildx`: BuildKit with all its features.

Builds and pushes in one command, with the builder instance that `docker buildx use` or BUILDX_BUILDER
selects.
"""

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from providers.answers import MalformedAnswerError, json_object
from providers.docker.builders.build_errors import push_error
from providers.docker.builders.build_log import MAX_ITEM_LENGTH, BuildLog, build_log
from providers.docker.builders.builder_requirements import require_dockerfile, secret_values
from providers.docker.builders.buildkit import build_arguments
from providers.docker.builders.command_line import (
    Probe,
    answered,
    buildx_version,
    client_version,
    docker_output,
    run_docker,
)
from providers.docker.builders.progress_events import objects_in, size_in, text_in
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.connection import ConnectionPool
from providers.docker.registry.logins import docker_config, push_login
from providers.docker.registry.reference import UPLOAD_TAG, check_tag, is_digest, parse_repository
from providers.docker.source.build_context import unpacked_context
from providers.docker.source.key import ImageSource
from providers.errors import PermanentError, SettingError, UnexpectedError
from providers.hiding import safe_message
from providers.patterns import pattern
from providers.protocol import Progress, Report

_MIN_VERSION = (0, 13)  # has --progress=rawjson: https://github.com/docker/buildx/releases/tag/v0.13.0


class BuildxBuilder:
    """Builds and pushes with `docker buildx build --push`."""

    name = "buildx"
    label = "docker buildx"

    def __init__(
        self,
        source: ImageSource,
        reason: str,
        pool: ConnectionPool | None = None,
        look: Callable[[], Probe] | None = None,
    ) -> None:
        self.reason = reason
        self._source = source
        self._pool = pool
        self._look = look or probe

    def check(self) -> None:
        """Check buildx, its builder instance and the secrets.

        Raises:
            RefusedError: the Dockerfile is missing, or a secret's variable is not set.
            PermanentError: buildx is not usable.
        """
        require_dockerfile(self._source, "docker buildx")
        secret_values(self._source)
        result = self._look()
        if not result.available:
            raise PermanentError(f"cannot build with buildx: {result.reason}", hint='set builder to "auto"')
        _check_attestations(self._source)

    def publish(
        self, source: ImageSource, repository: str, tag: str, labels: Mapping[str, str], report: Report
    ) -> str:
        """Build the Dockerfile and push the image under `UPLOAD_TAG`. Returns its digest.

        With its default builder, that of the Engine, buildx cannot push without a tag.

        Raises:
            RefusedError: a step failed, with the step and the last lines of its output.
            ProviderError: an error of the registry.
        """
        check_tag(tag)
        require_dockerfile(source, "docker buildx")
        target = parse_repository(repository)
        secrets = secret_values(source)
        with (
            build_log(f"{target}-{tag}", secrets.values(), report) as log,
            unpacked_context(source, report) as folder,
            docker_config(target.registry) as variables,
        ):
            command = ["buildx", "build", "--progress=rawjson", *_push()]
            command += ["--metadata-file", str(folder.metadata), *_attestations(source)]
            command += _cache_options(source)
            command += build_arguments(source, f"{target}:{UPLOAD_TAG}", labels, folder)
            with run_docker(command, variables) as (lines, status):
                reader = _Reader(log, report)
                reader.read(lines)
            if status.code:
                if reader.was_pushing:
                    raise push_error(log.mask(reader.message), target)
                raise log.step_error(reader.message, reader.step)
            digest = _digest(folder.metadata)
        if digest is None:  # some versions do not write it for some drivers
            with RegistryClient(target, look_up=push_login, pool=self._pool) as registry:
                digest = registry.digest(UPLOAD_TAG)
        if digest is None:
            raise UnexpectedError(
                f"docker buildx pushed to {target}, but the registry does not have the image",
                hint="run again; published images are not rebuilt",
            )
        return digest


def _push() -> list[str]:
    """The options to push the image.

    An instance with an image store would first pull each layer of the image, the base's included, to put the
    image there. An Engine has to: it pushes from there.
    """
    is_other = _OTHER_DRIVER.search(docker_output("buildx", "inspect") or "")
    return ["--output", "type=image,push=true,store=false"] if is_other else ["--push"]


def _cache_options(source: ImageSource) -> list[str]:
    """The options for caches to write. A plain reference is a cache in a registry with all layers, also read.

    With `mode=max`, a machine without a cache finds each unchanged step, and pulls only what it needs to run
    the others. https://docs.docker.com/build/cache/backends/registry/
    """
    options = []
    for cache in source.cache_to:
        if "=" in cache:
            options += ["--cache-to", cache]
            continue
        options += ["--cache-to", f"type=registry,ref={cache},mode=max"]
        if cache not in source.cache_from:
            options += ["--cache-from", f"type=registry,ref={cache}"]
    return options


def _attestations(source: ImageSource) -> list[str]:
    """The options for attestations. BuildKit's own provenance has no values of build arguments."""
    options = ["--attest", "type=provenance,mode=min"] if source.provenance else ["--provenance=false"]
    if source.sbom:
        generator = f",generator={source.sbom_generator}" if source.sbom_generator else ""
        options += ["--attest", f"type=sbom{generator}"]
    return options


def _check_attestations(source: ImageSource) -> None:
    """Refuse attestations that the builder instance cannot make: that of an Engine with its own image store.

    https://docs.docker.com/build/metadata/attestations/#storage
    """
    setting = "provenance" if source.provenance else "sbom" if source.sbom else ""
    if not setting or not _DRIVER_OF_ENGINE.search(docker_output("buildx", "inspect") or ""):
        return
    if _CONTAINERD not in (docker_output("info", "--format", "{{json .DriverStatus}}") or ""):
        raise SettingError(
            f"{setting} needs an attestation, which buildx cannot store in the images of this Docker Engine",
            setting=setting,
            hint="turn on the containerd image store of the Engine, or create a builder instance: "
            "docker buildx create --use",
        )


_DRIVER_OF_ENGINE = pattern(r"^Driver: +docker$", re.MULTILINE)
_OTHER_DRIVER = pattern(r"^Driver: +(?!docker$)\S", re.MULTILINE)
_CONTAINERD = "io.containerd.snapshotter"


@answered
def probe() -> Probe:
    """Whether buildx is installed, recent enough, and can reach its builder instance. Runs it."""
    version = buildx_version()
    if version is None:
        client = client_version()
        missing = (
            "there is no docker command" if client is None else f"Docker CLI {client.text} has no buildx"
        )
        return Probe(False, missing)
    if version.number < _MIN_VERSION:
        return Probe(False, f"docker buildx {version.text} is older than 0.13")
    for line in (docker_output("buildx", "inspect") or "Error: it does not respond").splitlines():
        if line.startswith("Error:"):
            problem = line.partition(":")[2].strip().rstrip(".")
            return Probe(False, f"docker buildx {version.text}: {problem}")
    return Probe(True, f"docker buildx {version.text} is installed")


def _digest(metadata: Path) -> str | None:
    try:
        digest = text_in(json_object(metadata.read_bytes(), dict), "containerimage.digest")
    except (OSError, MalformedAnswerError):
        return None
    return digest if is_digest(digest) else None


class _Reader:
    """Reads `--progress=rawjson`: BuildKit's own events as a stream of JSON documents.

    https://github.com/moby/buildkit/blob/master/client/graph.go has their fields. Anything of another form
    is not shown, as progress is no reason to end a build.

    Attributes:
        message, step: the error and the digest of its step; "" without an error.
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
        """Whether the error occurred during the push."""
        return "failed to push" in self.message or self._is_push(self.step)

    def read(self, lines: Iterator[str]) -> None:
        last = ""
        for event in _documents(lines):
            if isinstance(event, str):
                last = event.strip() or last
                self._log.note(event)
                continue
            for vertex in objects_in(event, "vertexes"):
                self._vertex(vertex)
            for status in objects_in(event, "statuses"):
                self._status(status)
            for output in objects_in(event, "logs"):
                self._output(output)
        for step, rest in self._unfinished.items():
            self._log.line(rest.decode("utf-8", "replace"), step)
        self.message = self.message or last.removeprefix("ERROR: ")

    def _vertex(self, vertex: Mapping[str, Any]) -> None:
        step, error = text_in(vertex, "digest"), text_in(vertex, "error")
        self._names[step] = text_in(vertex, "name")
        if vertex.get("started"):
            self._log.step(step, self._names[step])
        if error and not self.message and "context canceled" not in error:
            self.message, self.step = error, step

    def _status(self, status: Mapping[str, Any]) -> None:
        """Report transferred bytes, and the end of a transfer, whose event has neither bytes nor total."""
        step, name = text_in(status, "vertex"), text_in(status, "id")
        done = size_in(status, "current") or 0
        total = size_in(status, "total") or self._totals.get((step, name), 0)
        self._totals[step, name] = max(done, total)
        if status.get("completed"):
            done = total = max(done, total)
        elif done == 0 or (total and done >= total):
            return
        stage = "push" if self._is_push(step) else "build"
        name = self._log.mask(name.removeprefix("pushing layer ").removeprefix("sha256:"))
        item = safe_message(name)[:MAX_ITEM_LENGTH]
        self._report(Progress(stage, item, "", done, total if total or done == total else None))

    def _output(self, output: Mapping[str, Any]) -> None:
        """Log the complete lines of a step's output: an incomplete line may contain half a secret."""
        step = text_in(output, "vertex")
        try:
            piece = base64.b64decode(text_in(output, "data"))
        except ValueError:
            return
        *lines, rest = (self._unfinished.pop(step, b"") + piece).replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            self._log.line(line.decode("utf-8", "replace"), step)
        if rest:
            self._unfinished[step] = rest

    def _is_push(self, step: str) -> bool:
        return self._names.get(step, "").startswith("pushing ")


def _documents(lines: Iterator[str]) -> Iterator[dict[str, Any] | str]:
    """The JSON documents, each on one or several lines, and the lines between them."""
    pending: list[str] = []
    size = 0
    for line in lines:
        is_long = len(pending) > _MOST_LINES or size > _MOST_CHARACTERS
        if pending and (line[0] not in _INSIDE or is_long):  # it never ended
            yield from pending
            pending, size = [], 0
        if not pending and not line.startswith("{"):
            yield line
            continue
        pending.append(line)
        size += len(line)
        if line.rstrip().endswith("}") and line[0] in "{}":
            try:
                document = json_object("".join(pending).encode(), dict)
            except MalformedAnswerError:
                continue
            pending, size = [], 0
            yield document
    yield from pending


_MOST_LINES = 20_000
_MOST_CHARACTERS = 16 << 20  # of a document; BuildKit cuts the output of a step at 2 MiB
_INSIDE = " \t}"  # first characters of the further lines of a document
