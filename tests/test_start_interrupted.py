"""Ctrl-C, SIGTERM or SIGHUP while a command starts: one word and 130, at whichever import it arrives."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import copy_example

ROOT = Path(__file__).parents[1]
COMMANDS = {
    "help": ("--help",),
    "a command's help": ("plan", "--help"),
    "list": ("list", "--all"),
    "validate": ("validate", "dataset_cleanup"),
    "plan": ("plan", "dataset_cleanup", "--organization", "my-org"),
    "a wrong option": ("apply", "--nosuch"),
    "bump": ("bump", "patch", "dataset_cleanup", "--dry-run"),
}
CHILDREN = '''
"""Forks a child for each number, which runs the command and gets a signal at its import of this number."""
import json, os, signal, sys, tempfile

arguments, numbers = json.loads(sys.argv[1])


class AtImport:
    def __init__(self, number):
        self.number, self.seen = number, 0

    def find_spec(self, name, path=None, target=None):
        if self.seen or name == "reconciler.cli":
            self.seen += 1
        if self.number and self.seen == self.number:
            os.kill(os.getpid(), (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)[self.number % 3])


def run(number, out):
    os.dup2(out.fileno(), 1)
    os.dup2(out.fileno(), 2)
    hook = AtImport(number)
    sys.meta_path.insert(0, hook)
    sys.argv = ["reconciler", *arguments]
    from reconciler.__main__ import main

    code = 70
    try:
        main()
    except SystemExit as end:
        code = end.code
    if number == 0:
        sys.stdout.flush()
        os.write(1, f"\\n{hook.seen}".encode())
    raise SystemExit(code)


signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in the background
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored after `nohup`
found = []
for number in numbers:
    with tempfile.TemporaryFile() as out:
        child = os.fork()
        if child == 0:
            run(number, out)
        _, status = os.waitpid(child, 0)
        out.seek(0)
        found.append([os.waitstatus_to_exitcode(status), out.read().decode()])
print(json.dumps(found))
'''


def run(arguments: tuple[str, ...], folder: Path, *numbers: int) -> list[tuple[int, str]]:
    """The exit code and the output of the command with a signal at each of these imports; 0 for none."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PICSELLIA_TOKEN": "t", "HOME": str(folder)}
    ended = subprocess.run(
        [sys.executable, "-c", CHILDREN, json.dumps([arguments, numbers])],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return [(code, text) for code, text in json.loads(ended.stdout)]


def interrupted(arguments: tuple[str, ...], folder: Path, numbers: list[int]) -> None:
    for number, (code, text) in zip(numbers, run(arguments, folder, *numbers), strict=True):
        assert code == 130, f"{number}: {text}"
        assert text.splitlines()[-1:] == ["interrupted"], f"{number}: {text}"
        assert "Traceback" not in text and "KeyboardInterrupt" not in text, f"{number}: {text}"


def imports(arguments: tuple[str, ...], folder: Path) -> int:
    """How many modules the command imports until it ends."""
    copy_example("dataset_cleanup", folder, "127.0.0.1:1")
    [(_, text)] = run(arguments, folder, 0)
    return int(text.rpartition("\n")[2])


@pytest.mark.skipif(sys.platform == "win32", reason="processes are not forked on Windows")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_signal_at_some_imports_is_one_word(command: str, tmp_path: Path) -> None:
    count = imports(COMMANDS[command], tmp_path)
    assert count > 30
    numbers = [1, 2, count, *random.Random(command).sample(range(3, count), 3)]
    interrupted(COMMANDS[command], tmp_path, numbers)


@pytest.mark.full
@pytest.mark.skipif(sys.platform == "win32", reason="processes are not forked on Windows")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_signal_at_every_import_is_one_word(command: str, tmp_path: Path) -> None:
    count = imports(COMMANDS[command], tmp_path)
    interrupted(COMMANDS[command], tmp_path, [*range(1, count + 1)])
