"""The log of a build: the complete output in a file, and the last lines of each step for error messages.

Shared by all builders of Dockerfiles. Values of secrets are masked, and tokens hidden, before a
line is written anywhere. The log does not decide whether a build failed.
"""

import contextlib
import re
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from platformdirs import user_log_path

from providers.docker.builders.build_errors import build_error, plain_text
from providers.errors import ProviderError
from providers.hiding import LineHider, safe_message
from providers.patterns import pattern
from providers.protocol import Progress, Report

MAX_ITEM_LENGTH = 40  # characters of a progress item, shown beside its bar
_LAST_LINES = 12  # lines of the failing step in the error
_MAX_LOGS = 20  # files
_BUILDKIT_STEP = pattern(r"\[(?:(\S+) )?([0-9]{1,9})/([0-9]{1,9})\] (.*)", re.DOTALL)
_MIN_MASKED = 4  # characters; shorter lines of a longer secret are common text and reveal nothing


class BuildLog:
    """One build's log.

    Args:
        file: the log file; None if it cannot be created.
        secrets: values to mask.
        report: receives each step and each line.
    """

    def __init__(self, file: TextIO | None, secrets: Iterable[str], report: Report) -> None:
        self._file = file
        self._secrets = sorted(_parts(secrets), key=len, reverse=True)
        self._report = report
        self._titles: dict[str, str] = {}
        self._step_lines: dict[str, deque[str]] = {}
        self._other_lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._hiders: defaultdict[str, LineHider] = defaultdict(LineHider)

    def step(self, key: str, name: str, *, number: int | None = None, count: int | None = None) -> None:
        """Start a step; `name` is its instruction, or a BuildKit name such as "[2/6] COPY . /app"."""
        if key in self._titles:
            return
        name = safe_message(self.mask(plain_text(name)))
        stage = None
        if match := _BUILDKIT_STEP.fullmatch(name):
            stage, number, count, name = match[1], int(match[2]), int(match[3]), match[4]
        of = f" of {stage}" if stage else ""
        self._titles[key] = f"step {number} of {count}{of} ({name})" if number else name
        self._step_lines[key] = deque(maxlen=_LAST_LINES)
        self._write(self._titles[key])
        self._report(Progress("build", stage or "", name, number, count, "steps"))

    def line(self, text: str, key: str) -> None:
        """Add one line of a step's output."""
        text = self._hiders[key](self.mask(plain_text(text)))
        if text:
            self._step_lines.get(key, self._other_lines).append(text)
            self._write(f"  {text}")
            self._report(Progress("build", text=text))

    def note(self, text: str) -> None:
        """Add a line of the builder itself, for the file and for an error outside of a step."""
        text = self._hiders[""](self.mask(plain_text(text)))
        if text:
            self._other_lines.append(text)
            self._write(text)

    def step_error(self, message: str, key: str = "") -> ProviderError:
        """The error for a failure in this step, or outside of any step."""
        message = safe_message(self.mask(plain_text(message)))
        title = self._titles.get(key)
        what = f"the build failed at {title}" if title else "the build failed"
        self._write(f"{what}: {message}")
        hint = f"the complete build log is {self._file.name}" if self._file else ""
        output = self._step_lines.get(key, self._other_lines)
        lines = [line for line in output if line.removeprefix("ERROR: ") != message]
        return build_error(message, what, lines, hint=hint)

    def mask(self, text: str) -> str:
        """`text` with the values of secrets masked."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def _write(self, text: str) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # a full disk must not stop the build
                self._file.write(f"{text}\n")
                self._file.flush()


@contextlib.contextmanager
def build_log(name: str, secrets: Iterable[str], report: Report) -> Iterator[BuildLog]:
    """The log of one build of the image `name`, in the user's log folder, which keeps the last builds."""
    with contextlib.ExitStack() as stack:
        try:
            folder = user_log_path("picsellia-reconciler", appauthor=False) / "builds"
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _remove_old_logs(folder)
            now = time.strftime("%Y%m%d-%H%M%S")
            path = folder / f"{re.sub(r'[^A-Za-z0-9._-]+', '_', name)}-{now}.log"
            file = stack.enter_context(path.open("a", encoding="utf-8", errors="backslashreplace"))
            path.chmod(0o600)
        except (OSError, RuntimeError):  # RuntimeError: no home folder
            file = None
        yield BuildLog(file, secrets, report)


def _remove_old_logs(folder: Path) -> None:
    for path in sorted(folder.glob("*.log"), key=lambda path: path.stat().st_mtime)[: 1 - _MAX_LOGS]:
        path.unlink(missing_ok=True)


def _parts(secrets: Iterable[str]) -> set[str]:
    """Each secret, and each line of a multi-line secret, as logs are masked line by line."""
    parts = set()
    for secret in secrets:
        text = secret.strip()
        parts |= {text} | {line.strip() for line in text.splitlines() if len(line.strip()) >= _MIN_MASKED}
    return parts - {""}
