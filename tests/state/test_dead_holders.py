"""A lock whose holder can be seen to be gone keeps nobody out; one that may be alive does."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from state.errors import LockedError, LostLockError
from state.lock import is_gone, process_table
from state.lock_info import LockInfo
from tests.state.conftest import STACK, MakeStore, counting, run
from tests.state.test_store import NEVER, save

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="tells dead processes on Linux only")


@pytest.fixture
def asleep() -> Iterator[subprocess.Popen[bytes]]:
    """A process that does nothing until it is killed."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def held_by(pid: int) -> LockInfo:
    return run("ada", pid=pid, processes=process_table())


def kill(process: subprocess.Popen[bytes]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def test_a_process_is_gone_when_it_was_killed(asleep: subprocess.Popen[bytes]) -> None:
    holder = held_by(asleep.pid)
    assert not is_gone(holder)
    kill(asleep)
    assert is_gone(holder)


def test_a_process_that_only_waits_to_be_cleared_away_is_gone(asleep: subprocess.Popen[bytes]) -> None:
    holder = held_by(asleep.pid)
    os.kill(asleep.pid, signal.SIGKILL)
    os.waitid(os.P_PID, asleep.pid, os.WEXITED | os.WNOWAIT)  # it ended, and stays in the table
    assert is_gone(holder)


@pytest.mark.parametrize("elsewhere", ["", "another start, or another container"])
def test_of_a_process_elsewhere_nothing_is_known(elsewhere: str, asleep: subprocess.Popen[bytes]) -> None:
    """Two containers may share a host's name, and both have a process 7."""
    kill(asleep)
    assert not is_gone(replace(held_by(asleep.pid), processes=elsewhere))


def test_somebody_elses_process_is_there() -> None:
    assert not is_gone(held_by(1))


def test_the_lock_of_a_dead_run_is_taken_over_at_once(
    make_store: MakeStore, asleep: subprocess.Popen[bytes]
) -> None:
    one, other = make_store(), make_store()
    with one.lock(STACK, held_by(asleep.pid), timeout=0, every=NEVER) as lost:
        with pytest.raises(LockedError):
            other.lock(STACK, run("bob"), timeout=0).__enter__()
        kill(asleep)
        assert other.holder(STACK) is None
        assert other.dead_holder(STACK) == held_by(asleep.pid)
        with other.lock(STACK, run("bob"), timeout=0, every=NEVER) as lock:
            assert lock.previous_holder == held_by(asleep.pid)
            assert lock.fence == lost.fence + 1
            with pytest.raises(LostLockError):
                save(one, counting(1), expected=0, lock=lost)
