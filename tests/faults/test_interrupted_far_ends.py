"""Ctrl-C or SIGTERM ends each command that sends requests, whichever of them is not answered.

A bucket no longer answers from one request on: also when the lock is given back.
"""

import io
import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from providers.sandbox.settings import Fault
from tests.conftest import CASES
from tests.faults.far_ends import BUCKET, COMMANDS, User
from tests.faults.warm import Run, Warm, signal_for
from tests.waits import until

LONG = 3600.0
GRACE = 0.3
PATIENT = {"RECONCILER_TIMEOUT": str(LONG)}


@contextmanager
def hanging(user: User, far_end: str, number: int) -> Iterator[None]:
    """A far end answers nothing any more from this request on."""
    user.bucket.requests = 0
    user.bucket.hung.clear()
    user.sandbox.clear_requests()
    if far_end == BUCKET:
        user.bucket.hangs_from = number
    else:
        user.sandbox.switch(faults=[Fault(far_end, "hang", nth=number, times=None, seconds=LONG)])
    try:
        yield
    finally:
        user.bucket.hangs_from = None
        user.sandbox.switch(faults=[])


def is_hung(user: User) -> bool:
    return user.bucket.hung.is_set() or any(request["fault"] for request in user.sandbox.requests())


def is_over(run: Run) -> bool:
    return Path(f"/proc/{run.pid}/stat").read_text().rpartition(") ")[2][0] == "Z"


def interrupt(user: User, warm: Warm, command: tuple[str, ...], far_end: str, number: int) -> bool:
    """Whether the command came to that request; then it was interrupted there, and ended."""
    stdin = user.cli.folder.parent / "stdin"
    stdin.write_text(f"{user.token}\n")
    with hanging(user, far_end, number):
        run = warm.start(
            user.arguments(command), user.cli.folder, environment=PATIENT, grace=GRACE, stdin=stdin
        )
        until(lambda: is_over(run) or is_hung(user))
        if is_over(run):
            stdin.unlink()
            warm.wait(run)
            return False
        run.signal(signal_for(command, far_end, number))
        try:
            until(lambda: is_over(run), patience=60)
        finally:
            os.kill(run.pid, signal.SIGKILL)
            stdin.unlink()
        code = warm.wait(run)
    err = run.err.read_text()
    CASES["commands that were interrupted while a far end hung"] += 1
    assert code == 130 and "Traceback" not in err, f"{command} {far_end} {number}: {code}\n{err}"
    return True


def test_a_sample_of_requests(far_user: User, warm: Warm, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first request of each command to a far end, and one more to the bucket, when a lock is held."""
    chance = random.Random(7)
    for command, far_ends in COMMANDS.items():
        far_end = chance.choice(far_ends)
        assert interrupt(far_user, warm, command, far_end, 1), f"{command} does not use {far_end}"
        if BUCKET in far_ends:
            interrupt(far_user, warm, command, BUCKET, chance.randint(2, 9))
        completed(far_user, command, monkeypatch)


@pytest.mark.full
def test_every_request(far_user: User, warm: Warm, monkeypatch: pytest.MonkeyPatch) -> None:
    for command, far_ends in COMMANDS.items():
        for far_end in far_ends:
            assert any(not interrupt(far_user, warm, command, far_end, number) for number in range(1, 200)), (
                f"{command} never ends"
            )
        completed(far_user, command, monkeypatch)


def completed(user: User, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the command to its end, which takes over what was interrupted."""
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{user.token}\n"))
    ended = user.cli(*user.arguments(command))
    assert "Traceback" not in ended.err and ended.code in (0, 1, 11, 12, 13), (
        f"{command}: {ended.code} {ended.err}"
    )
