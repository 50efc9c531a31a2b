"""A lock of a dead holder is taken over; one whose holder may be alive is not."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from state.errors import LockedError, LostLockError
from state.lock import WATCH, is_gone, process_table
from state.lock_info import LockInfo
from state.stores.sqlite import SqliteStore
from tests.state.conftest import STACK, FakeTime, MakeStore, counting, run
from tests.state.test_store import NEVER, save

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="tells dead processes on Linux only")


@pytest.fixture
def asleep() -> Iterator[subprocess.Popen[bytes]]:
    """A process that sleeps until it is killed."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def held_by(pid: int) -> LockInfo:
    return run("ada", pid=pid, processes=process_table())


def kill(process: subprocess.Popen[bytes]) -> None:
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def test_a_killed_process_is_dead(asleep: subprocess.Popen[bytes]) -> None:
    holder = held_by(asleep.pid)
    assert not is_gone(holder)
    kill(asleep)
    assert is_gone(holder)


def test_a_zombie_is_dead(asleep: subprocess.Popen[bytes]) -> None:
    holder = held_by(asleep.pid)
    os.kill(asleep.pid, signal.SIGKILL)
    os.waitid(os.P_PID, asleep.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is a zombie
    assert is_gone(holder)


@pytest.mark.parametrize("elsewhere", ["", "another start, or another container"])
def test_a_process_of_another_machine_is_unknown(elsewhere: str, asleep: subprocess.Popen[bytes]) -> None:
    """Two containers may have the same host name, and each a process 7."""
    kill(asleep)
    assert not is_gone(replace(held_by(asleep.pid), processes=elsewhere))


def test_the_process_of_another_user_is_alive() -> None:
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


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.mark.parametrize("seconds", [31, 3600, 400 * 24 * 3600])
def test_a_clock_that_is_set_forward_takes_no_lock_from_a_live_run(
    seconds: int, path: Path, time: FakeTime, asleep: subprocess.Popen[bytes]
) -> None:
    """As after a laptop slept: the next heartbeat is still to come."""
    with (
        SqliteStore(path, clock=time.clock) as one,
        one.lock(STACK, held_by(asleep.pid), timeout=0, every=NEVER) as lock,
    ):

        def sleep(pause: float) -> None:
            time.sleep(pause)
            one._renew(lock, 30)

        time.now += seconds
        waited_for: list[LockInfo] = []
        with SqliteStore(path, clock=time.clock, monotonic=time.clock, sleep=sleep) as other:
            assert other.holder(STACK) == lock.info
            assert other.dead_holder(STACK) is None
            with pytest.raises(LockedError):
                other.lock(STACK, run("bob"), timeout=0, on_wait=waited_for.append).__enter__()
            assert waited_for == [lock.info]
        assert save(one, counting(1), expected=0, lock=lock)


def test_the_expired_lock_of_a_run_without_heartbeats_is_taken_over(
    path: Path, time: FakeTime, asleep: subprocess.Popen[bytes]
) -> None:
    """Its process hangs, or another process has its pid by now."""
    with (
        SqliteStore(path, clock=time.clock) as one,
        one.lock(STACK, held_by(asleep.pid), timeout=0, every=NEVER),
        SqliteStore(path, clock=time.clock, monotonic=time.clock, sleep=time.sleep) as other,
    ):
        time.now += 31
        began = time.now
        with other.lock(STACK, run("bob"), timeout=0, every=NEVER) as lock:
            assert lock.previous_holder == held_by(asleep.pid)
            assert time.now - began == pytest.approx(WATCH, abs=1)


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_a_run_waits_for_its_timeout_however_the_clock_is_set(
    seconds: int, path: Path, time: FakeTime, asleep: subprocess.Popen[bytes]
) -> None:
    wall = FakeTime()
    with (
        SqliteStore(path, clock=wall.clock) as one,
        one.lock(STACK, held_by(asleep.pid), timeout=0, every=NEVER) as lock,
    ):

        def sleep(pause: float) -> None:
            if time.now == began:
                wall.now += seconds
            time.sleep(pause)
            wall.sleep(pause)
            one._renew(lock, 30)

        with SqliteStore(path, clock=wall.clock, monotonic=time.clock, sleep=sleep) as other:
            began = time.now
            with pytest.raises(LockedError):
                other.lock(STACK, run("bob"), timeout=60).__enter__()
            assert time.now - began == pytest.approx(60, abs=1)
