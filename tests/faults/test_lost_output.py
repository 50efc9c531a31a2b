"""Output that cannot be written stops no work: a full disk, or a pipe whose reader is gone.

Whatever part of it is lost, a command that writes leaves what an undisturbed one leaves, or nothing at all if
its plan could not be shown. Its exit code is not 0.
"""

import errno
import io
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.cli import run
from tests.conftest import CASES
from tests.faults.commands import CLEANUP, COMMANDS, EDITED, Command, User, differences, outcome
from tests.faults.test_commands_sweep import user as user  # noqa: PLC0414 - a fixture
from tests.waits import PATIENCE

ALL = [
    *COMMANDS,
    Command(
        "apply",
        ("apply", "dataset_cleanup", "--yes", "--bump", "patch"),
        lambda user: user.started_over(EDITED),
    ),
    Command(
        "apply --all", ("apply", "--all", "--yes", "--bump", "patch"), lambda user: user.started_over(EDITED)
    ),
    Command("destroy --all", ("destroy", "--all", "--yes"), lambda user: user.applied(CLEANUP)),
]
ON_STDERR = ("adopt", "destroy --prune")
"""Commands that show what they would change on stderr, or a warning about it."""

STREAMS = (("stderr",), ("stdout",), ("stdout", "stderr"))


class Failing(io.StringIO):
    """A stream that fails after so many writes, and from then on."""

    def __init__(self, good: int, problem: OSError) -> None:
        super().__init__()
        self._good = good
        self._problem = problem
        self.failed = False

    def write(self, text: str) -> int:
        if self._good == 0:
            self.failed = True
            raise type(self._problem)(*self._problem.args)
        self._good -= 1
        return super().write(text)


@pytest.mark.parametrize("command", ALL, ids=str)
def test_output_that_is_lost_stops_no_command(
    command: Command, user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = command.start(user)
    untouched = outcome(user, pipeline)
    user.succeeds(*command.arguments)
    expected = outcome(user, pipeline)

    for number, streams in enumerate(STREAMS):
        for good in (0, 2):
            problems = OSError(errno.ENOSPC, "No space left"), BrokenPipeError(errno.EPIPE, "Broken pipe")
            pipeline = command.start(user)
            with monkeypatch.context() as patched:
                broken = [Failing(good, problems[(number + good // 2) % 2]) for _ in streams]
                for name, stream in zip(streams, broken, strict=True):
                    patched.setattr(sys, name, stream)
                code = run(command.arguments)
            case = f"{command}, {' and '.join(streams)} after {good} writes: exit code {code}"
            lost = any(stream.failed for stream in broken)
            assert code == int(lost), case
            found = outcome(user, pipeline)
            wrong = differences(found, expected)
            shows_first = "stdout" in streams or command.name in ON_STDERR
            if wrong and lost and shows_first:
                wrong = differences(found, untouched)
            assert not wrong, "\n".join([case, *wrong])
            CASES["lost outputs"] += 1


@pytest.mark.parametrize("selection", ["dataset_cleanup", "--all"])
@pytest.mark.parametrize(
    ("redirection", "done"),
    [
        ("2>/dev/full", True),
        (">/dev/full", False),
        ("2>&-", True),
        (">&-", False),
        ("2>&- >&-", False),
        ("2>&1 >out.txt | true", True),
        ("2>/dev/null | true", None),
        ("2>&1 | head -1", None),
    ],
)
def test_a_shell_that_loses_the_output(
    user: User, selection: str, redirection: str, done: bool | None
) -> None:
    """The exit code is 1, and never 120, with which Python ends if it cannot flush stdout."""
    if not Path("/dev/full").exists():
        pytest.skip("no device that is always full")
    pipeline = user.started_over(EDITED)
    untouched = outcome(user, pipeline)
    reconciler = shlex.join([sys.executable, "-m", "reconciler"])
    line = f"({reconciler} apply {selection} --yes --bump patch; echo $? >code.txt) {redirection}"
    subprocess.run(
        ["sh", "-c", line], cwd=user.cli.folder, check=False, timeout=PATIENCE, capture_output=True
    )

    code = (user.cli.folder / "code.txt").read_text().strip()
    found = outcome(user, pipeline)
    if done is False or (done is None and found == untouched):
        assert (found, code) == (untouched, "1")
        return
    (state,) = found["states"].values()
    assert (state["open"], state["outcome"]) == ([], "applied")
    assert code in (("0",) if redirection == "2>&-" else ("0", "1") if "|" in redirection else ("1",))
    assert user.cli("drift", "dataset_cleanup").code == 0


@pytest.mark.parametrize(
    "command",
    [
        *("", "--help", "--version", "plan --help", "list", "list --json", "whoami", "schema config"),
        *("completion bash", "graph dataset_cleanup", "validate dataset_cleanup", "status dataset_cleanup"),
        *("plan dataset_cleanup", "plan dataset_cleanup --json", "plan dataset_cleanup --markdown -"),
        *("drift dataset_cleanup", "drift dataset_cleanup --json -", "state list", "image dataset_cleanup"),
        *("contract dataset_cleanup", "state history dataset_cleanup", "bump patch dataset_cleanup"),
    ],
)
def test_the_stream_that_cannot_be_written_is_named(user: User, command: str) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no device that is always full")
    user.applied(CLEANUP)
    line = shlex.join([sys.executable, "-m", "reconciler"])
    for redirection, why in ((">/dev/full", "No space left on device"), (">&-", "It is closed")):
        ended = subprocess.run(
            ["sh", "-c", f"{line} {command} {redirection}"],
            cwd=user.cli.folder,
            check=False,
            timeout=PATIENCE,
            capture_output=True,
            text=True,
        )
        assert ended.returncode == (1 if command else 2), redirection
        errors = [line for line in ended.stderr.splitlines() if line.startswith("error: ")]
        if not command:  # its help is on stderr, as its exit code is that of wrong usage
            assert errors == []
            continue
        assert len(errors) == 1, ended.stderr
        assert "stdout" in errors[0]
        assert why in ended.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_no_file_takes_the_place_of_a_closed_stream(closed: str, user: User) -> None:
    """The next file that a process opens gets the number of a closed stream, and what is printed there."""
    opened = """
import os, subprocess, sys
from reconciler.starting import replace_closed_streams
replace_closed_streams()
with open("opened.txt", "w") as file:
    child = subprocess.run([sys.executable, "-c", "import os; [os.fstat(number) for number in range(3)]"])
    os._exit(child.returncode if file.fileno() > 2 else 9)
"""
    line = f"{shlex.join([sys.executable, '-c', opened])} {closed}"
    assert subprocess.run(["sh", "-c", line], cwd=user.cli.folder, check=False).returncode == 0
    user.started_over(EDITED)
    for command in ("plan dataset_cleanup", "apply dataset_cleanup --bump patch", "destroy dataset_cleanup"):
        line = f"{shlex.join([sys.executable, '-m', 'reconciler'])} {command} {closed}"
        ended = subprocess.run(
            ["sh", "-c", line], cwd=user.cli.folder, check=False, timeout=PATIENCE, capture_output=True
        )
        assert b"a bug in" not in ended.stderr
        if "2>&-" not in closed and ended.returncode:
            assert re.match(rb"(?m).*^(error|refused): ", ended.stderr, re.DOTALL)
        if ">&-" in closed.replace("2>&-", ""):
            assert ended.returncode in (1, 12)
