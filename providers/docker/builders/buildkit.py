"""The builder for `docker` commands before version 23, which have BuildKit built in.

From version 23 on, the command uses BuildKit only through its plugin buildx; without it, it silently uses the
legacy builder. This builder therefore never uses such a version. The Engine pushes the image.
"""

from collections.abc import Callable, Iterator, Mapping

from providers.docker.builders import engine
from providers.docker.builders.build_log import MAX_ITEM_LENGTH, BuildLog, build_log
from providers.docker.builders.builder_requirements import refuse_settings, require_dockerfile, secret_values
from providers.docker.builders.command_line import Probe, answered, client_version, engine_version, run_docker
from providers.docker.registry.logins import docker_config
from providers.docker.registry.reference import check_tag, parse_repository
from providers.docker.source.build_context import StagedContext, unpacked_context
from providers.docker.source.key import ImageSource
from providers.errors import PermanentError
from providers.hiding import safe_message
from providers.patterns import pattern
from providers.protocol import Progress, Report

_MIN_VERSION, _END_VERSION = (20, 10), (23, 0)
_LINE = pattern(r"#(\d+) (.*)")
_OUTPUT = pattern(r"\d+\.\d+ (.*)")
_NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,9})?"
_TRANSFER = pattern(rf"(.*?):? ({_NUMBER})([kMGT]?)B(?: / ({_NUMBER})([kMGT]?)B)?(?: [\d.]+s)?( done)?")
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_IGNORED = pattern(r"(DONE|CACHED|CANCELED|\.\.\.)\b.*|\.\.\.|sha256:[0-9a-f]{64}|")


class BuildKitBuilder:
    """Builds with DOCKER_BUILDKIT=1."""

    name = "buildkit"
    label = "docker build with BuildKit"

    def __init__(self, source: ImageSource, reason: str, look: Callable[[], Probe] | None = None) -> None:
        self.reason = reason
        self._source = source
        self._look = look or probe

    def check(self) -> None:
        """Check the command, the Engine and the settings.

        Raises:
            RefusedError: the Dockerfile or a secret is missing, or a setting is not supported.
            PermanentError: the command line is missing or cannot reach an Engine.
        """
        _check_source(self._source)
        result = self._look()
        if not result.available:
            raise PermanentError(f"cannot build with BuildKit: {result.reason}", hint='set builder to "auto"')

    def publish(
        self, source: ImageSource, repository: str, tag: str, labels: Mapping[str, str], report: Report
    ) -> str:
        """Build the Dockerfile and push the image. Returns its digest.

        The image stays in the Engine under that tag, as after `docker build`.

        Raises:
            RefusedError: a step failed, with the step and the last lines of its output.
            ProviderError: an error of the Engine or the registry.
        """
        check_tag(tag)
        _check_source(source)
        target = parse_repository(repository)
        secrets = secret_values(source)
        with (
            build_log(f"{target}-{tag}", secrets.values(), report) as log,
            unpacked_context(source, report) as folder,
            docker_config(target.registry) as variables,
        ):
            arguments = build_arguments(source, f"{target}:{tag}", labels, folder)
            command = ["build", "--progress=plain", *arguments]
            with run_docker(command, {"DOCKER_BUILDKIT": "1", **variables}) as (lines, status):
                problem = _read(lines, log, report)
            if status.code:
                raise log.step_error(*problem)
        return engine.push(target, tag, report)


@answered
def probe() -> Probe:
    """Whether the first `docker` on the PATH has BuildKit built in. Runs it and contacts its Engine."""
    client = client_version()
    if client is None:
        return Probe(False, "there is no docker command")
    if client.number < _MIN_VERSION:
        return Probe(False, f"Docker CLI {client.text} is older than 20.10")
    if client.number >= _END_VERSION:
        return Probe(False, f"Docker CLI {client.text} has BuildKit only with buildx")
    if engine_version() is None:
        return Probe(False, f"Docker CLI {client.text} cannot reach a Docker Engine")
    return Probe(True, f"Docker CLI {client.text} builds with BuildKit")


def build_arguments(
    source: ImageSource, image: str, labels: Mapping[str, str], folder: StagedContext
) -> list[str]:
    """The common arguments of `docker build` and `docker buildx build`."""
    options = ["--platform", source.platform, "--tag", image, "--file", str(folder.dockerfile)]
    for name, value in labels.items():
        options += ["--label", f"{name}={value}"]
    for name, value in source.build_args.items():
        options += ["--build-arg", f"{name}={value}"]
    for name, variable in source.secrets.items():
        options += ["--secret", f"id={name},env={variable}"]
    for cache in source.cache_from:
        options += ["--cache-from", cache]
    if source.target is not None:
        options += ["--target", source.target]
    return [*options, str(folder.context)]


def _check_source(source: ImageSource) -> None:
    require_dockerfile(source, "docker build")
    refuse_settings(source, "the Docker CLI without buildx", "cache_to", "sbom")
    secret_values(source)


def _read(lines: Iterator[str], log: BuildLog, report: Report) -> tuple[str, str]:
    """Follow `--progress=plain`. Returns the error message and its step, "" for none."""
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
        elif output := _OUTPUT.match(text):
            log.line(output[1], number)
        elif transfer := _TRANSFER.fullmatch(text):
            report(_transfer_progress(log.mask(transfer[1]), *transfer.groups()[1:]))
        elif text != names[number] and not _IGNORED.fullmatch(text):
            log.line(text, number)
    return message or last, step


def _transfer_progress(
    item: str, done: str, unit: str, total: str | None, total_unit: str | None, is_done: str | None
) -> Progress:
    """Parses BuildKit's transfer output: "sha256:0f1e… 5.24MB / 29.15MB 0.4s"."""
    size = round(float(done) * _UNITS[unit])
    total_size = round(float(total) * _UNITS[total_unit or ""]) if total else None
    if is_done:
        size = total_size = total_size or size
    item = safe_message(item.removeprefix("sha256:"))[:MAX_ITEM_LENGTH]
    return Progress("build", item, "", size, total_size)
