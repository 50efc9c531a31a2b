"""Group commit: transactions of several threads become durable together.

A commit waits for the disk, far longer than a short transaction computes. Transactions that arrive while
another one is committed therefore share the next commit.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, Generic, TypeVar

C = TypeVar("C")
T = TypeVar("T")


class GroupCommit(Generic[C]):
    """Runs transactions of any number of threads, one commit at a time.

    Args:
        commit: runs all works in one transaction, in order, and returns their results. Nothing is changed if
            it raises. Called by one thread at a time.
        turn: held while `commit` runs, and by others who use the same connection.
    """

    def __init__(
        self, commit: Callable[[Sequence[Callable[[C], Any]]], list[Any]], turn: threading.RLock
    ) -> None:
        self._commit = commit
        self._turn = turn
        self._waiting: deque[_Transaction[C]] = deque()

    def __call__(self, work: Callable[[C], T]) -> T:
        """Run `work` in a transaction, and return its result once it is durable.

        A work may run several times: if one of a group fails, each runs in a transaction of its own, so that
        it fails alone.

        Raises: as `work` and `commit`.
        """
        own = _Transaction(work)
        self._waiting.append(own)
        try:
            with self._turn:
                if not own.future.done():  # otherwise another thread took it along
                    self._run_waiting(own)
        except BaseException:  # interrupted: no other thread may run it later
            with suppress(ValueError):
                self._waiting.remove(own)
            raise
        result: T = own.future.result()
        return result

    def _run_waiting(self, own: "_Transaction[C]") -> None:
        group = []
        while self._waiting:
            group.append(self._waiting.popleft())
        try:
            self._run(group)
        except BaseException:  # an interrupt is for this thread; the others run theirs
            self._waiting.extend(one for one in group if one is not own and not one.future.done())
            raise

    def _run(self, group: "Sequence[_Transaction[C]]") -> None:
        try:
            results = self._commit([one.work for one in group])
        except Exception as problem:  # noqa: BLE001 - the one who asked gets it
            if len(group) == 1:
                group[0].future.set_exception(problem)
            else:
                for one in group:
                    self._run([one])
        else:
            for one, result in zip(group, results, strict=True):
                one.future.set_result(result)


class _Transaction(Generic[C]):
    """A transaction that waits for its turn, and its result."""

    def __init__(self, work: Callable[[C], Any]) -> None:
        self.work = work
        self.future: Future[Any] = Future()
