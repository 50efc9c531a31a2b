"""The `docker` command: what it is, and running it. For the builders that need it; knows nothing of images.

The first `docker` on the PATH counts. A command runs in a process group of its own, so that Ctrl-C in a
terminal reaches us and not it, and so that everything it started can be ended with it.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from providers.errors import PermanentError

_ANSWER = 30  # seconds for a question to the command line
_MERCY = 5  # seconds to end by itself, after it was asked to
_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.\d+)?")

# `docker buildx` would run git, as it is configured, and put what git says into the image.
# https://docs.docker.com/build/building/variables/#buildx_git_info
_WITHOUT_GIT = {"BUILDX_GIT_INFO": "false", "BUILDX_GIT_LABELS": "false"}

_running: set["subprocess.Popen[bytes]"] = set()


@dataclass(frozen=True, slots=True)
class Probe:
    """Whether a way to build is there.

    Attributes:
        there: it can be used.
        why: what was found, or what is missing, as a clause for people.
    """

    there: bool
    why: str


@dataclass(frozen=True, slots=True)
class Version:
    """A program's version: `text` as it says it, without what a packager added."""

    text: str
    number: tuple[int, int]


def client_version() -> Version | None:
    """Of the Docker command line; None when there is none."""
    return _version("version", "--format", "{{.Client.Version}}")


def engine_version() -> Version | None:
    """Of the Engine that the command line reaches; None when it reaches none."""
    return _version("version", "--format", "{{.Server.Version}}")


def buildx_version() -> Version | None:
    """Of the plugin `docker buildx`; None when the command line has none."""
    return _version("buildx", "version")


def ask(*arguments: str) -> str | None:
    """What the command says on stdout; None when there is no command, or it does not answer in time."""
    docker = shutil.which("docker")
    if docker is None:
        return None
    try:
        answer = subprocess.run(
            [docker, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ANSWER,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.decode("utf-8", "replace")


@contextlib.contextmanager
def lines_of(
    arguments: Sequence[str], variables: Mapping[str, str]
) -> Iterator[tuple[Iterator[str], "Exit"]]:
    """Run `docker` with these arguments: each line that it says, on either stream, while it says it.

    Args:
        variables: set beside our own environment.

    Yields:
        The lines, and how it ended: known when the lines are over. Leaving the block early ends it.

    Raises:
        FinalError: it cannot be started.
    """
    try:
        process = subprocess.Popen(
            [shutil.which("docker") or "docker", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, **_WITHOUT_GIT, **variables},
            start_new_session=True,
        )
    except OSError as error:
        raise PermanentError(f"the docker command cannot be started: {error.strerror}") from error
    _running.add(process)
    try:
        ended = Exit()
        yield _lines(process, ended), ended
    finally:
        _end(process)
        _running.discard(process)


class Exit:
    """How a command ended; `code` is None while it runs."""

    code: int | None = None


def end_commands() -> None:
    """End every command that runs, at once: for a process that is about to leave, from a signal handler."""
    for process in list(_running):
        _stop(process, now=True)


def _lines(process: "subprocess.Popen[bytes]", ended: Exit) -> Iterator[str]:
    assert process.stdout is not None
    for line in process.stdout:
        yield line.decode("utf-8", "replace")
    ended.code = process.wait()


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ask it to end, then make it; what it started included."""
    if process.poll() is None:
        _stop(process, now=False)
        try:
            process.wait(_MERCY)
        except subprocess.TimeoutExpired:
            _stop(process, now=True)
            process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _stop(process: "subprocess.Popen[bytes]", *, now: bool) -> None:
    with contextlib.suppress(OSError):  # it is gone already
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL if now else signal.SIGTERM)
        else:
            process.kill()


def _version(*arguments: str) -> Version | None:
    match = _VERSION.search(ask(*arguments) or "")
    return Version(match.group(), (int(match[1]), int(match[2]))) if match else None
