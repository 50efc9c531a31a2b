"""The builder that asks the `docker` command of before version 23, which has BuildKit built in.

From version 23 on that command builds with BuildKit through its plugin buildx only, and otherwise in
silence with the old builder, so it is never taken for one. The image is pushed by the Engine.
"""

import re
from collections.abc import Iterator, Mapping

from providers.docker.builders import engine
from providers.docker.builders.build_log import LONGEST, BuildLog, build_log
from providers.docker.builders.builder_requirements import need_dockerfile, refuse_settings, secret_values
from providers.docker.builders.command_line import Probe, client_version, engine_version, lines_of
from providers.docker.registry.logins import docker_config
from providers.docker.registry.reference import check_tag, parse_repository
from providers.docker.source.build_context import StagedContext, unpacked_context
from providers.docker.source.key import ImageSource
from providers.errors import PermanentError
from providers.protocol import Progress, Report

_FIRST, _BEFORE = (20, 10), (23, 0)
_LINE = re.compile(r"#(\d+) (.*)")
_SAID = re.compile(r"\d+\.\d+ (.*)")
_MOVING = re.compile(r"(.*?):? ([\d.]+)([kMGT]?)B(?: / ([\d.]+)([kMGT]?)B)?(?: [\d.]+s)?( done)?")
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_NOTHING = re.compile(r"(DONE|CACHED|CANCELED|\.\.\.)\b.*|\.\.\.|sha256:[0-9a-f]{64}|")


class BuildKitBuilder:
    """Builds with DOCKER_BUILDKIT=1."""

    name = "buildkit"

    def __init__(self, source: ImageSource, reason: str) -> None:
        self.reason = reason
        self._source = source

    def check(self) -> None:
        """The command and the Engine are there, and the settings are what they can do.

        Raises:
            RefusedError: there is no Dockerfile, or a setting cannot be honoured or lacks its secret.
            FinalError: no such command line, or it reaches no Engine.
        """
        _refuse(self._source)
        found = probe()
        if not found.there:
            raise PermanentError(f"cannot build with BuildKit: {found.why}", hint='leave builder to "auto"')

    def publish(
        self, source: ImageSource, repository: str, tag: str, labels: Mapping[str, str], report: Report
    ) -> str:
        """Build the Dockerfile, push the image; its digest.

        The image stays in the Engine under that tag, as after `docker build`.

        Raises:
            RefusedError: a step failed, with the step and the last lines of its output.
            ProviderError: what the Engine or the registry behind it answered.
        """
        check_tag(tag)
        _refuse(source)
        target = parse_repository(repository)
        secrets = secret_values(source)
        with (
            build_log(f"{target}-{tag}", secrets.values(), report) as log,
            unpacked_context(source) as folder,
            docker_config(target.registry) as variables,
        ):
            command = ["build", "--progress=plain", *arguments(source, f"{target}:{tag}", labels, folder)]
            with lines_of(command, {"DOCKER_BUILDKIT": "1", **variables}) as (lines, ended):
                failure = _read(lines, log, report)
            if ended.code:
                raise log.failed(*failure)
        return engine.push(target, tag, report)


def probe() -> Probe:
    """Whether the first `docker` on the PATH builds with BuildKit by itself. Asks it, and its Engine."""
    client = client_version()
    if client is None:
        return Probe(False, "there is no docker command")
    if client.number < _FIRST:
        return Probe(False, f"Docker CLI {client.text} is older than 20.10")
    if client.number >= _BEFORE:
        return Probe(False, f"Docker CLI {client.text} has BuildKit only with buildx")
    if engine_version() is None:
        return Probe(False, f"Docker CLI {client.text} reaches no Docker Engine")
    return Probe(True, f"Docker CLI {client.text} builds with BuildKit")


def arguments(source: ImageSource, image: str, labels: Mapping[str, str], folder: StagedContext) -> list[str]:
    """What `docker build` and `docker buildx build` are told alike."""
    told = ["--platform", source.platform, "--tag", image, "--file", str(folder.dockerfile)]
    for name, value in labels.items():
        told += ["--label", f"{name}={value}"]
    for name, value in source.build_args.items():
        told += ["--build-arg", f"{name}={value}"]
    for name, variable in source.secrets.items():
        told += ["--secret", f"id={name},env={variable}"]
    for place in source.cache_from:
        told += ["--cache-from", place]
    if source.target is not None:
        told += ["--target", source.target]
    return [*told, str(folder.context)]


def _refuse(source: ImageSource) -> None:
    need_dockerfile(source, "docker build")
    refuse_settings(source, "the Docker CLI without buildx", "cache_to")
    secret_values(source)


def _read(lines: Iterator[str], log: BuildLog, report: Report) -> tuple[str, str]:
    """Follow `--progress=plain`; what went wrong and at which step, where something did."""
    names: dict[str, str] = {}
    message = step = last = ""
    for line in lines:
        match = _LINE.match(line)
        if match is None:
            last = line.strip() or last
            log.note(line)
            continue
        number, text = match.groups()
        if number not in names:
            names[number] = text
            log.step(number, text)
        elif text.startswith("ERROR: "):
            message, step = text.removeprefix("ERROR: "), number
        elif said := _SAID.match(text):
            log.line(said[1], number)
        elif moving := _MOVING.fullmatch(text):
            report(_moved(log.masked(moving[1]), *moving.groups()[1:]))
        elif text != names[number] and not _NOTHING.fullmatch(text):
            log.line(text, number)
    return message or last, step


def _moved(
    item: str, done: str, unit: str, total: str | None, total_unit: str | None, ended: str | None
) -> Progress:
    """Bytes that BuildKit tells for people: "sha256:0f1e… 5.24MB / 29.15MB 0.4s"."""
    size = round(float(done) * _UNITS[unit])
    whole = round(float(total) * _UNITS[total_unit or ""]) if total else None
    if ended:
        size = whole = whole or size
    return Progress("build", item.removeprefix("sha256:")[:LONGEST], "", size, whole)
