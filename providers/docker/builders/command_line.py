"""Runs the `docker` command and reads its versions. Used by the builders that need it.

Uses the first `docker` on the PATH.
"""

import contextlib
import functools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec import Struct

from providers.errors import PermanentError
from providers.patterns import pattern
from providers.programs import (
    ProgramError,
    end_children_with,
    end_program,
    run_program,
    start_program,
    too_much,
)
from providers.timeouts import answer_timeout

_QUERY_TIMEOUT = 30  # seconds for a command that only prints information
_MOST_OF_BUILD = 256 << 20  # bytes that a build may print; BuildKit cuts each step's output at 2 MiB
_MOST_OF_LINE = 1 << 20  # bytes; a longer line is read in pieces
_VERSION = pattern(r"(?<!\d)(\d{1,9})\.(\d{1,9})(?:\.\d+)?")

# By default, `docker buildx` runs git and puts its output into the image.
# https://docs.docker.com/build/building/variables/#buildx_git_info
_WITHOUT_GIT = {"BUILDX_GIT_INFO": "false", "BUILDX_GIT_LABELS": "false"}


class Probe(Struct, frozen=True):
    """Whether a builder is available.

    Attributes:
        available: whether it can be used.
        reason: the installed program or the missing part, as a clause for messages.
    """

    available: bool
    reason: str


def answered(look: Callable[[], Probe]) -> Callable[[], Probe]:
    """This function, for which a `docker` command that does not answer is a reason, and no error."""

    @functools.wraps(look)
    def probe() -> Probe:
        try:
            return look()
        except PermanentError as error:
            return Probe(False, error.message)

    return probe


class Version(Struct, frozen=True):
    """A program's version; `text` is its output without a packager's suffix."""

    text: str
    number: tuple[int, int]


def client_version() -> Version | None:
    """The version of the Docker command line; None if it is not installed."""
    return _version("version", "--format", "{{.Client.Version}}")


def engine_version() -> Version | None:
    """The version of the Engine; None if the command line cannot reach one."""
    return _version("version", "--format", "{{.Server.Version}}")


def buildx_version() -> Version | None:
    """The version of the plugin `docker buildx`; None if it is not installed."""
    return _version("buildx", "version")


def docker_output(*arguments: str) -> str | None:
    """The standard output of a `docker` command; None if it is not installed.

    Raises:
        PermanentError: it does not end in time, or prints too much.
    """
    docker = shutil.which("docker")
    if docker is None:
        return None
    name = f"docker {arguments[0]}"
    try:
        result = run_program([docker, *arguments], name=name, timeout=answer_timeout(_QUERY_TIMEOUT))
    except OSError:
        return None
    except ProgramError as error:
        raise _docker_error(name, error) from None
    return result.stdout.decode("utf-8", "replace")


@contextlib.contextmanager
def run_docker(
    arguments: Sequence[str], variables: Mapping[str, str]
) -> Iterator[tuple[Iterator[str], "ExitStatus"]]:
    """Run `docker` and stream its output, line by line, from both stdout and stderr.

    Args:
        variables: environment variables to add to the current ones.

    Yields:
        The lines, and the exit status, which is set after the last line. Leaving the block early ends the
        command.

    Raises:
        PermanentError: the command cannot be started, or prints more than `_MOST_OF_BUILD`.
    """
    try:
        process = start_program(
            [shutil.which("docker") or "docker", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **_WITHOUT_GIT, **variables},
        )
    except OSError as error:
        raise PermanentError(f"the docker command cannot be started: {error.strerror}") from error
    try:
        status = ExitStatus()
        end_children_with(process)
        yield _lines(process, status), status
    finally:
        end_program(process)


class ExitStatus:
    """The exit status of a command; `code` is None while it runs."""

    code: int | None = None


def _lines(process: "subprocess.Popen[bytes]", status: ExitStatus) -> Iterator[str]:
    assert process.stdout is not None
    size = 0
    while line := process.stdout.readline(_MOST_OF_LINE):
        size += len(line)
        if size > _MOST_OF_BUILD:
            raise _docker_error("the docker command", too_much(_MOST_OF_BUILD))
        yield line.decode("utf-8", "replace")
    status.code = process.wait()


def _docker_error(name: str, problem: ProgramError) -> PermanentError:
    return PermanentError(f"{name} {problem}", hint="run the first docker on the PATH yourself to see why")


def _version(*arguments: str) -> Version | None:
    match = _VERSION.search(docker_output(*arguments) or "")
    return Version(match.group(), (int(match[1]), int(match[2]))) if match else None
