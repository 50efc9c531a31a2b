"""A terminal's screen in memory: what a person sees of an output with a live table."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pyte
import pytest
from rich.console import Console

from reconciler.views.terminal.console import console


class Screen(io.TextIOBase):
    """A stream that is a terminal of this size."""

    def __init__(self, columns: int, lines: int) -> None:
        self._screen = pyte.HistoryScreen(columns, lines, history=10_000)
        self._stream = pyte.Stream(self._screen)
        self._lock = threading.RLock()  # a table is drawn by a thread of its own

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        with self._lock:
            self._stream.feed(text.replace("\n", "\r\n"))  # as the line discipline of a terminal does
        return len(text)

    @property
    def lines(self) -> list[str]:
        """What the screen shows, without the empty lines at its end."""
        with self._lock:
            shown = [line.rstrip() for line in self._screen.display]
        while shown and not shown[-1]:
            shown.pop()
        return shown

    @property
    def scrolled(self) -> list[str]:
        """The lines that have scrolled away, and then those on the screen."""
        columns = range(self._screen.columns)
        with self._lock:
            above = ["".join(line[x].data for x in columns).rstrip() for line in self._screen.history.top]
            return [*above, *self.lines]

    def colour(self, text: str) -> str:
        """The colour of the first line on the screen that begins with this text."""
        with self._lock:
            row = next(index for index, line in enumerate(self._screen.display) if line.startswith(text))
            return str(self._screen.buffer[row][0].fg)

    @property
    def has_cursor(self) -> bool:
        return not self._screen.cursor.hidden


@contextmanager
def screen_of(columns: int, lines: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Screen, Console]]:
    """A screen of this size, and a console on it."""
    with monkeypatch.context() as patch:
        for name, value in {"TERM": "xterm-256color", "COLUMNS": str(columns), "LINES": str(lines)}.items():
            patch.setenv(name, value)
        for name in ("NO_COLOR", "FORCE_COLOR", "GITHUB_ACTIONS"):
            patch.delenv(name, raising=False)
        screen = Screen(columns, lines)
        yield screen, console(screen)
