"""Keeps a run going while its output cannot be written: a full disk, or a pipe whose reader is gone.

A command that only shows something ends at the first write that fails. One that changes something must not:
it would stop in the middle of a change. While it is `unstoppable`, text that cannot be written is dropped,
and `lost` has the first failure, for the exit code.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, TypeVar

T = TypeVar("T")


class _Lost:
    """What could not be written. Thread-safe.

    Attributes:
        problem: the first failure since `take`; None if there is none.
    """

    def __init__(self) -> None:
        self.problem: OSError | None = None
        self._depth = 0
        self._lock = threading.Lock()

    def take(self) -> OSError | None:
        """The first failure, which is forgotten then: the command has ended."""
        problem, self.problem = self.problem, None
        return problem

    def enter(self) -> None:
        with self._lock:
            self._depth += 1

    def leave(self) -> None:
        with self._lock:
            self._depth -= 1

    def keep(self, problem: OSError) -> bool:
        """Keep the failure, if it must not end the command; otherwise False."""
        with self._lock:
            if self._depth:
                self.problem = self.problem or problem
            return self._depth > 0


lost = _Lost()


@contextmanager
def unstoppable() -> Iterator[None]:
    """While the block runs, output that cannot be written is dropped in the whole process."""
    lost.enter()
    try:
        yield
    finally:
        lost.leave()


class Stream:
    """A stream for text whose failures end no run that is unstoppable."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = getattr(stream, "rich_proxied_file", stream)  # beside a live table

    def write(self, text: str) -> int:
        return self._kept(lambda: self._stream.write(text), len(text))

    def flush(self) -> None:
        self._kept(self._stream.flush, None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _kept(self, write: Callable[[], T], instead: T) -> T:
        try:
            return write()
        except OSError as problem:
            problem.filename = str(getattr(self._stream, "name", "")).strip("<>")  # <stdout>
            if not lost.keep(problem):
                raise
            return instead
