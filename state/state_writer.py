"""Saves the state of a running apply, for all its threads. Sits between the steps and the store.

Each change is durable before `update` returns, so no step builds on a result that could be lost. Concurrent
changes share a save. Has no opinion on the content of a change.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime

from msgspec.structs import replace

from state.errors import InvalidSnapshotError
from state.invariants import verify
from state.lock import Lock
from state.snapshot import FAILED, INTERRUPTED, PARTIAL, Snapshot, difference
from state.stores.base import Store


def now() -> str:
    """The current time in UTC, in the format of the state."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class StateWriter:
    """Applies changes to a snapshot one after the other and saves them.

    Args:
        store: the store to save to.
        snapshot: the loaded state, or `Snapshot.new(…)`.
        lock: the lock of this run.
        written_by: version of the reconciler.
        restores: the serial that this run restores; 0 if it is no rollback.
        clock: returns the time of writing; for tests.
    """

    def __init__(
        self,
        store: Store,
        snapshot: Snapshot,
        *,
        lock: Lock | None,
        written_by: str,
        restores: int = 0,
        clock: Callable[[], str] = now,
    ) -> None:
        self._store = store
        self._lock = lock
        self._written_by = written_by
        self._restores = restores
        self._clock = clock
        self._change_lock = threading.Lock()  # guards the next two
        self._latest = snapshot
        self._changes = 0  # number of changes so far
        self._save_lock = threading.Lock()  # guards the next two; acquired before `_change_lock`, never after
        self._saved = snapshot
        self._saved_changes = 0  # number of changes included in `_saved`

    @property
    def snapshot(self) -> Snapshot:
        """The last saved state."""
        return self._saved

    def update(self, change: Callable[[Snapshot], Snapshot]) -> Snapshot:
        """Applies the change, saves, and returns the saved state, which may include other threads' changes.

        A change without effect creates no serial. If a save fails, its change stays and is part of the next
        save, so a briefly full disk does not lose the result of a step.

        Args:
            change: returns the new snapshot. It runs under a lock: it must be fast and must not call
                `update`.

        Raises:
            InvalidSnapshotError: the new snapshot breaks an invariant; the change is dropped.
            StateError: as for `Store.save`.
        """
        with self._change_lock:
            after = change(self._latest)
            problems = verify(after, since=self._latest)
            if problems:
                raise InvalidSnapshotError(after.stack, problems)
            if difference(self._latest, after):
                self._latest = replace(after, outcome=INTERRUPTED, restores=self._restores)
                self._changes += 1
            own_change = self._changes
        return self._save(own_change)

    def finish(self, outcome: str, *, confirms: bool) -> Snapshot:
        """Saves how the run ended, and returns the saved state. A run without changes creates no serial.

        Args:
            outcome: one of `state.snapshot.OUTCOMES`.
            confirms: the run found everything as it should be. If the state does not say that it has all that
                ran, it does from now on.

        Raises:
            StateError: as for `Store.save`.
        """
        with self._change_lock:
            before = self._latest.outcome
            if not self._changes and not (confirms and before in (FAILED, INTERRUPTED, PARTIAL)):
                return self._saved
            self._latest = replace(self._latest, outcome=outcome, restores=self._restores)
            self._changes += 1
            own_change = self._changes
        return self._save(own_change)

    def _save(self, own_change: int) -> Snapshot:
        """Saves unless another thread's save already includes this change."""
        with self._save_lock:
            if self._saved_changes < own_change:
                with self._change_lock:
                    latest, changes = self._latest, self._changes
                self._saved = self._store.save(
                    latest.written(serial=latest.serial, by=self._written_by, at=self._clock()),
                    expected_serial=self._saved.serial,
                    lock=self._lock,
                )
                self._saved_changes = changes
            return self._saved
