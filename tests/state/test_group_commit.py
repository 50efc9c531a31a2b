"""Transactions that wait for the same commit: each has its own result, and fails alone."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from state.errors import StaleStateError, StoreUnavailableError
from state.snapshot import Snapshot
from state.stores.group_commit import GroupCommit
from state.stores.sqlite import SqliteStore
from tests.state.conftest import counting, snapshot

Work = Callable[[list[int]], int]


def named(stack: str) -> Snapshot:
    """The first state of a stack."""
    return replace(snapshot(), stack=stack)


class Database:
    """A list of numbers. `commit` adds to it atomically, and notes how many transactions it got.

    Attributes:
        gate: a commit waits for it, so that others arrive meanwhile.
    """

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.groups: list[int] = []
        self.gate = threading.Event()
        self.begun = threading.Event()
        self.problem: BaseException | None = None
        self.turn = threading.RLock()
        self.transact = GroupCommit(self.commit, self.turn)

    def commit(self, works: Sequence[Callable[[list[int]], Any]]) -> list[Any]:
        self.groups.append(len(works))
        self.begun.set()
        self.gate.wait()
        if self.problem is not None:
            problem, self.problem = self.problem, None
            raise problem
        numbers = [*self.numbers]
        results = [work(numbers) for work in works]
        self.numbers = numbers
        return results

    def together(self, works: Sequence[Work]) -> list[int | BaseException]:
        """The outcomes of works that all wait while the first one is committed."""
        with ThreadPoolExecutor(len(works) + 1) as pool:
            first = pool.submit(self.transact, lambda _: 0)
            self.begun.wait()
            futures = [pool.submit(self.transact, work) for work in works]
            while len(self.transact._waiting) < len(works):
                pass
            self.gate.set()
            first.exception()
            return [future.exception() or future.result() for future in futures]


def add(number: int) -> Work:
    def work(numbers: list[int]) -> int:
        numbers.append(number)
        if number < 0:
            raise ValueError(number)
        return number

    return work


@given(st.lists(st.integers(-3, 100), min_size=1, max_size=8))
def test_transactions_that_wait_share_a_commit_and_each_has_its_own_result(numbers: list[int]) -> None:
    database = Database()
    outcomes = database.together([add(number) for number in numbers])
    for number, outcome in zip(numbers, outcomes, strict=True):
        assert str(outcome) == str(number)
        assert isinstance(outcome, ValueError) == (number < 0)
    assert sorted(database.numbers) == sorted(number for number in numbers if number >= 0)
    assert database.groups[:2] == [1, len(numbers)]
    if min(numbers) >= 0:
        assert len(database.groups) == 2


def test_an_interrupt_ends_one_transaction_and_the_others_are_committed() -> None:
    database = Database()
    database.problem = KeyboardInterrupt()  # for the thread that commits
    assert database.together([add(1), add(2), add(3)]) == [1, 2, 3]
    assert sorted(database.numbers) == [1, 2, 3]


def test_a_transaction_whose_thread_is_interrupted_while_it_waits_is_never_run() -> None:
    database = Database()

    class Interrupted:
        def __enter__(self) -> None:
            raise KeyboardInterrupt

        def __exit__(self, *_: object) -> None:
            """Never entered."""

    database.gate.set()
    database.transact._turn = Interrupted()  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        database.transact(add(1))
    database.transact._turn = database.turn
    assert database.transact(add(2)) == 2
    assert database.numbers == [2]


def test_saves_of_many_stacks_side_by_side_are_all_durable_and_a_stale_one_fails_alone(
    tmp_path: Path,
) -> None:
    with SqliteStore(tmp_path / "state.db") as store, ThreadPoolExecutor(16) as pool:
        stacks = [f"org@CUSTOM/stack-{number}" for number in range(40)]
        saves = [pool.submit(store.save, named(stack), expected_serial=0, lock=None) for stack in stacks]
        stale = pool.submit(store.save, counting(1), expected_serial=7, lock=None)
        assert [save.result().serial for save in saves] == [1] * 40
        with pytest.raises(StaleStateError):
            stale.result()
    with SqliteStore(tmp_path / "state.db") as reopened:
        assert reopened.stacks() == sorted(stacks)


def test_a_file_that_cannot_be_written_fails_every_transaction(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with SqliteStore(path) as store, ThreadPoolExecutor(8) as pool:
        store.save(counting(1), expected_serial=0, lock=None)
        store._transact(lambda connection: connection.execute("PRAGMA query_only = 1").fetchall())
        stacks = [f"org@CUSTOM/stack-{number}" for number in range(8)]
        saves = [pool.submit(store.save, named(stack), expected_serial=0, lock=None) for stack in stacks]
        for save in saves:
            with pytest.raises(StoreUnavailableError):
                save.result()
        assert len(store.stacks()) == 1
