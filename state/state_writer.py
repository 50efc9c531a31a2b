"""The record of a running apply, shared by its threads. Between the steps and the store.

Each change is on the disk before `update` returns, so that nothing starts on a result that could be lost.
Threads that change at the same time share a save. Holds no opinion on what a change is.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime

from state.errors import InvalidSnapshotError
from state.invariants import verify
from state.lock import Lock
from state.snapshot import Snapshot, difference
from state.stores.base import Store


def now() -> str:
    """The present time in UTC, as a record has it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class StateWriter:
    """Applies changes to a record one after the other, and saves them.

    Args:
        store: where to.
        snapshot: the record as it was loaded, or `Snapshot.new(…)`.
        lock: of this run.
        written_by: version of the reconciler.
        clock: gives the time of writing; for tests.
    """

    def __init__(
        self,
        store: Store,
        snapshot: Snapshot,
        *,
        lock: Lock | None,
        written_by: str,
        clock: Callable[[], str] = now,
    ) -> None:
        self._store = store
        self._lock = lock
        self._written_by = written_by
        self._clock = clock
        self._changing = threading.Lock()  # guards the next two
        self._latest = snapshot
        self._changes = 0  # made so far
        self._saving = threading.Lock()  # guards the next two; taken before `_changing`, never after
        self._saved = snapshot
        self._saved_changes = 0  # of the changes made, how many are in `_saved`

    @property
    def snapshot(self) -> Snapshot:
        """The record as it was last saved."""
        return self._saved

    def update(self, change: Callable[[Snapshot], Snapshot]) -> Snapshot:
        """Applies the change and saves; returns the saved record, which may hold other threads' changes too.

        A change that changes nothing makes no new serial. One whose save failed stays, and goes along with
        the next save: what a step learnt is not thrown away because the disk was full for a moment.

        Args:
            change: gives the new snapshot; runs alone, so it must be quick and must not call the recorder.

        Raises:
            InvalidSnapshotError: the new snapshot breaks an invariant; the change is dropped.
            StateError: as of `Store.save`.
        """
        with self._changing:
            after = change(self._latest)
            problems = verify(after, since=self._latest)
            if problems:
                raise InvalidSnapshotError(after.stack, problems)
            if difference(self._latest, after):
                self._latest = after
                self._changes += 1
            mine = self._changes
        with self._saving:
            # Whoever came first saved for all who had made their change by then.
            if self._saved_changes < mine:
                with self._changing:
                    latest, changes = self._latest, self._changes
                self._saved = self._store.save(
                    latest.written(serial=latest.serial, by=self._written_by, at=self._clock()),
                    expected_serial=self._saved.serial,
                    lock=self._lock,
                )
                self._saved_changes = changes
            return self._saved
