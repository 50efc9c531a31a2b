"""Who may write a stack now: the same for every store. Stands between the store's protocol and each store.

A lock says who is at work and keeps two applies apart; it expires when its holder's heartbeat stops, or at
once where the holder's process can be seen to be gone. It protects no data: the compare-and-swap of `save`
does, and a store refuses the save of a holder whose lock was taken over. Waits and counts time only with
the functions it is given.
"""

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

TTL: Final = 30.0
"""Seconds after the last heartbeat at which a lock may be taken over."""

HEARTBEAT: Final = 10.0
"""Seconds between two heartbeats: two may be late or fail before the lock is at risk."""

POLL: Final = 0.5
"""Seconds between two attempts to get a lock that another run holds."""


@dataclass(frozen=True, slots=True)
class Lock:
    """A lock that this run has been given.

    Attributes:
        stack: what is locked.
        info: this run.
        fence: grows by one each time the stack's lock changes hands; tells this holder from later ones.
        took_over: whose lock this was that expired or whose process is gone, or None. That run may have left
            open intents.
    """

    stack: str
    info: LockInfo
    fence: int
    took_over: LockInfo | None = None
    _lost: threading.Event = field(default_factory=threading.Event, repr=False, compare=False)

    @property
    def lost(self) -> bool:
        """True as soon as a heartbeat found that somebody else has it. A save finds out by itself."""
        return self._lost.is_set()


def read_lock_info(text: str | None) -> LockInfo | None:
    """What `LockInfo.to_json` wrote; None for None. Raises CorruptStateError."""
    try:
        return LockInfo(**json.loads(text)) if text else None
    except (ValueError, TypeError) as problem:
        told = f"the lock cannot be read: {problem}"
        raise CorruptStateError(told, hint="take it away with: reconciler state unlock STACK") from None


def process_table() -> str:
    """Names the table of processes that this one is in: the same text where a pid means the same process.

    On Linux this start of this machine and this namespace of processes, as two containers may share a host's
    name; elsewhere the empty text, and nobody is taken to be gone.
    """
    if not sys.platform.startswith("linux"):
        return ""
    try:
        start = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{start} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def is_gone(holder: LockInfo) -> bool:
    """Whether that run's process has certainly ended. False wherever that cannot be known."""
    if not holder.processes or holder.processes != process_table():
        return False
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False  # somebody else's, and there
    try:
        # One that was killed and not yet cleared away by its parent counts as ended: "pid (name) Z …".
        return Path(f"/proc/{holder.pid}/stat").read_text().rpartition(") ")[2].startswith(("Z", "X"))
    except OSError:
        return False


def is_held(holder: LockInfo | None, *, expires: float, now: float) -> bool:
    """Whether a stored lock still keeps others out.

    Args:
        expires, now: seconds since 1970.
    """
    return holder is not None and expires > now and not is_gone(holder)


def check_held(lock: Lock, fence: int, holder: LockInfo | None) -> None:
    """Whether a lock is still this run's, by what is stored of it now; whether it expired does not matter.

    Raises:
        LostLockError: it changed hands or was taken away.
    """
    if fence != lock.fence or holder is None:
        raise LostLockError(lock.stack, holder)


@contextmanager
def holding(
    stack: str,
    take: Callable[[], Lock | LockInfo],
    renew: Callable[[Lock], None],
    release: Callable[[Lock], None],
    *,
    timeout: float,
    every: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    waiting: Callable[[LockInfo], None],
) -> Iterator[Lock]:
    """Holds the lock for the length of the block, by what a store does to take, renew and release it.

    Args, Raises: as of `wait_for` and `heartbeat`.
    """
    lock = wait_for(take, stack, timeout=timeout, clock=clock, sleep=sleep, waiting=waiting)
    try:
        with heartbeat(lock, renew, every=every):
            yield lock
    finally:
        with suppress(StoreUnavailableError):  # then it expires, and what the run did stays done
            release(lock)


def wait_for(
    attempt: Callable[[], Lock | LockInfo],
    stack: str,
    *,
    timeout: float,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    waiting: Callable[[LockInfo], None],
) -> Lock:
    """The lock, once `attempt` answers with it instead of with its present holder.

    Args:
        timeout: seconds to wait for; 0 tries once.
        waiting: told of each holder that has to be waited for, once.

    Raises:
        LockedError: it was still held after that time.
    """
    deadline = clock() + timeout
    told: LockInfo | None = None
    while isinstance(answer := attempt(), LockInfo):
        left = deadline - clock()
        if left <= 0:
            raise LockedError(stack, answer)
        if answer != told:
            waiting(answer)
            told = answer
        sleep(min(POLL, left))
    return answer


@contextmanager
def heartbeat(lock: Lock, renew: Callable[[Lock], None], *, every: float) -> Iterator[None]:
    """Renews the lock from a thread of its own, until the block ends or the lock is lost.

    Args:
        renew: raises LostLockError when somebody else has it; any other StateError is tried again next time,
            for a store that is busy for a moment has not taken the lock away.
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
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
