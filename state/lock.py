"""The lock of a stack: the logic that all stores share, between the store protocol and each store.

A lock names the running apply and keeps a second one out. It expires when its holder's heartbeat stops, or
at once when the holder's process is known to have ended. The lock does not protect the data: the
compare-and-swap in `save` does, and a store refuses a save whose lock was taken over. Time and sleep come
from the caller's functions.
"""

import errno
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from state.errors import CorruptStateError, LockedError, LostLockError, StateError, StoreUnavailableError
from state.lock_info import LockInfo
from state.newer_keys import refuse_newer_keys
from state.typed_fields import typed

TTL: Final = 30.0
"""Seconds from the last heartbeat until another run may take over the lock."""

HEARTBEAT: Final = 10.0
"""Seconds between two heartbeats: two may be late or fail before the lock expires."""

REMOVED: Final = 0.0
"""When a lock that was removed by force expires. Its holder stays known, as it may have left open intents."""

POLL: Final = 0.5
"""Seconds between two attempts to acquire a lock that another run holds."""

WATCH: Final = 1.5 * HEARTBEAT
"""Seconds without a heartbeat until an expired lock of a running process is taken over."""

OnWait = Callable[[LockInfo], None]
"""Called once for each holder that a run waits for."""


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock held by this run.

    Attributes:
        stack: the locked stack.
        info: this run.
        fence: grows by one each time the lock changes hands; distinguishes this holder from later ones.
        previous_holder: the run whose lock expired or was removed, or whose process ended without releasing
            it, or None. It may have left open intents.
    """

    stack: str
    info: LockInfo
    fence: int
    previous_holder: LockInfo | None = None
    _lost: threading.Event = field(default_factory=threading.Event, repr=False, compare=False)

    @property
    def lost(self) -> bool:
        """True once a heartbeat detected another holder. A save checks by itself."""
        return self._lost.is_set()


def read_lock_info(text: str | None) -> LockInfo | None:
    """Parses the text of `LockInfo.to_json`; None for None.

    Raises:
        CorruptStateError: it is damaged.
        NewerFormatError: it has all keys of this version, and further ones.
    """
    if not text:
        return None
    try:
        found = json.loads(text)
        if isinstance(found, dict):
            refuse_newer_keys(found, "the lock", LockInfo)
        return typed(LockInfo(**found))
    except (ValueError, TypeError, RecursionError) as problem:
        message = f"the lock is damaged: {problem}"
        raise CorruptStateError(message, hint="remove it with: reconciler state unlock STACK") from None


def process_table() -> str:
    """An identifier for the process table of this process: equal where a pid means the same process.

    On Linux it names the boot and the PID namespace, as two containers may share a host name. Elsewhere it is
    empty, and no holder counts as dead.
    """
    if not sys.platform.startswith("linux"):
        return ""
    try:
        start = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{start} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def is_gone(holder: LockInfo) -> bool:
    """Whether the process of that run has certainly ended. False if this cannot be determined."""
    return _exists(holder) is False


def is_running(holder: LockInfo) -> bool:
    """Whether there is a process with the pid of that run on this machine. False if this is unknown."""
    return _exists(holder) is True


def _exists(holder: LockInfo) -> bool | None:
    """Whether the process of that run exists; None if this cannot be determined."""
    if not holder.processes or holder.processes != process_table():
        return None
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return False
    except OverflowError:
        return None
    except OSError:
        return True  # it belongs to another user
    try:
        # A zombie, killed but not yet reaped by its parent, has ended: "pid (name) Z …".
        status = Path(f"/proc/{holder.pid}/stat").read_text("utf-8", "replace").rpartition(") ")[2]
        return not status.startswith(("Z", "X"))
    except OSError:
        return None


def is_held(holder: LockInfo | None, *, expires: float, now: float) -> bool:
    """Whether a stored lock still keeps other runs out.

    Args:
        expires, now: seconds since 1970.
    """
    return holder is not None and expires > now and not is_gone(holder)


def check_ownership(lock: Lock, fence: int, holder: LockInfo | None) -> None:
    """Checks by the stored fence and holder that a lock still belongs to this run, expired or not.

    Raises:
        LostLockError: another run took it over, or it was removed.
    """
    if fence != lock.fence or holder is None:
        raise LostLockError(lock.stack, None if holder == lock.info else holder)


@contextmanager
def hold_lock(
    stack: str,
    attempt: Callable[[OnWait], Lock | LockInfo],
    renew: Callable[[Lock], None],
    release: Callable[[Lock], None],
    *,
    timeout: float,
    every: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    on_wait: OnWait,
) -> Iterator[Lock]:
    """Holds the lock for the duration of the block, with the store's functions to get, renew and release it.

    Args, Raises: as for `acquire` and `heartbeat`.
    """
    lock = acquire(attempt, stack, timeout=timeout, clock=clock, sleep=sleep, on_wait=on_wait)
    try:
        with heartbeat(lock, renew, every=every):
            yield lock
    finally:
        with suppress(StoreUnavailableError):  # the lock then expires; the run's results stay valid
            release(lock)


def acquire(
    attempt: Callable[[OnWait], Lock | LockInfo],
    stack: str,
    *,
    timeout: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    on_wait: OnWait,
) -> Lock:
    """Repeats `attempt` until it returns the lock instead of the current holder.

    Args:
        attempt: gets a function to call with the holder, if it waits itself.
        timeout: seconds to wait; 0 tries once.
        clock: returns monotonic seconds.

    Raises:
        LockedError: the lock was still held after `timeout`.
    """
    deadline = clock() + timeout
    announced: LockInfo | None = None

    def announce(holder: LockInfo) -> None:
        nonlocal announced
        if holder != announced:
            on_wait(holder)
        announced = holder

    while isinstance(result := attempt(announce), LockInfo):
        remaining = deadline - clock()
        if remaining <= 0:
            raise LockedError(stack, result)
        announce(result)
        sleep(min(POLL, remaining))
    return result


@contextmanager
def heartbeat(lock: Lock, renew: Callable[[Lock], None], *, every: float) -> Iterator[None]:
    """Renews the lock from a thread until the block ends or the lock is lost.

    Args:
        renew: raises LostLockError if another run holds the lock; any other StateError is retried at the next
            beat, as a store that is briefly unavailable does not lose the lock.
        every: seconds between two beats.
    """
    done = threading.Event()

    def beat() -> None:
        while not done.wait(every):
            try:
                renew(lock)
            except LostLockError:
                lock._lost.set()
                return
            except StateError:
                continue

    thread = threading.Thread(target=beat, name=f"heartbeat of {lock.stack}", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # the operating system refused it
        raise BlockingIOError(errno.EAGAIN, f"No more threads: {os.strerror(errno.EAGAIN)}") from None
    try:
        yield
    finally:
        done.set()
        thread.join()
