"""What a build says while it runs: all of it in a file, the last lines of each step for when it fails.

One for every build of a Dockerfile, whoever builds. Values of secrets are masked before a line goes
anywhere. It never decides whether a build failed.
"""

import contextlib
import re
import time
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from platformdirs import user_log_path

from providers.docker.builders.build_errors import failure, plain
from providers.errors import ProviderError
from providers.protocol import Progress, Report

LONGEST = 40  # characters of what moves, beside its bar
_LAST_LINES = 12  # of the failing step, in the error
_KEPT = 20  # files
_BUILDKIT_STEP = re.compile(r"\[(?:(\S+) )?(\d+)/(\d+)\] (.*)", re.DOTALL)
_SHORTEST = 4  # characters; a shorter line of a longer secret gives nothing away, and is everywhere


class BuildLog:
    """One build's log.

    Args:
        file: where everything goes; None when there is no such place.
        secrets: values that are shown nowhere.
        report: is told each step and each line.
    """

    def __init__(self, file: TextIO | None, secrets: Iterable[str], report: Report) -> None:
        self._file = file
        self._secrets = sorted(_parts(secrets), key=len, reverse=True)
        self._report = report
        self._titles: dict[str, str] = {}
        self._said: dict[str, deque[str]] = {}
        self._last: deque[str] = deque(maxlen=_LAST_LINES)

    def step(self, key: str, name: str, *, number: int | None = None, count: int | None = None) -> None:
        """A step begins; `name` is its instruction, or a BuildKit name such as "[2/6] COPY . /app"."""
        if key in self._titles:
            return
        name = self.masked(plain(name))
        stage = None
        if match := _BUILDKIT_STEP.fullmatch(name):
            stage, number, count, name = match[1], int(match[2]), int(match[3]), match[4]
        of = f" of {stage}" if stage else ""
        self._titles[key] = f"step {number} of {count}{of} ({name})" if number else name
        self._said[key] = deque(maxlen=_LAST_LINES)
        self._write(self._titles[key])
        self._report(Progress("build", stage or "", name, number, count, "steps"))

    def line(self, text: str, key: str) -> None:
        """One line that a step said."""
        text = self.masked(plain(text))
        if text:
            self._said.get(key, self._last).append(text)
            self._write(f"  {text}")
            self._report(Progress("build", text=text))

    def note(self, text: str) -> None:
        """What the builder says of itself: for the file, and for an error that no step explains."""
        text = self.masked(plain(text))
        if text:
            self._last.append(text)
            self._write(text)

    def failed(self, message: str, key: str = "") -> ProviderError:
        """The error to raise for what went wrong, in this step or before there was one."""
        message = self.masked(plain(message))
        title = self._titles.get(key)
        what = f"the build failed at {title}" if title else "the build failed"
        self._write(f"{what}: {message}")
        hint = f"the whole log of the build is {self._file.name}" if self._file else ""
        lines = [line for line in self._said.get(key, self._last) if line.removeprefix("ERROR: ") != message]
        return failure(message, what, lines, hint=hint)

    def masked(self, text: str) -> str:
        """`text` without the values of secrets."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def _write(self, text: str) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # a full disk is no reason to stop a build that needs none
                self._file.write(f"{text}\n")
                self._file.flush()


@contextlib.contextmanager
def build_log(name: str, secrets: Iterable[str], report: Report) -> Iterator[BuildLog]:
    """The log of one build of the image `name`, kept in the user's log folder beside the last builds' own."""
    with contextlib.ExitStack() as stack:
        try:
            folder = user_log_path("picsellia-reconciler", appauthor=False) / "builds"
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _forget_old(folder)
            when = time.strftime("%Y%m%d-%H%M%S")
            path = folder / f"{re.sub(r'[^A-Za-z0-9._-]+', '_', name)}-{when}.log"
            file = stack.enter_context(path.open("a", encoding="utf-8", errors="backslashreplace"))
            path.chmod(0o600)
        except OSError:
            file = None
        yield BuildLog(file, secrets, report)


def _forget_old(folder: Path) -> None:
    for path in sorted(folder.glob("*.log"), key=lambda path: path.stat().st_mtime)[: 1 - _KEPT]:
        path.unlink(missing_ok=True)


def _parts(secrets: Iterable[str]) -> set[str]:
    """Each secret, and each line of one that has several: a log is masked line by line."""
    parts = set()
    for secret in secrets:
        whole = secret.strip()
        parts |= {whole} | {line.strip() for line in whole.splitlines() if len(line.strip()) >= _SHORTEST}
    return parts - {""}
