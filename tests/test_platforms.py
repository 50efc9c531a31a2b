"""Other systems than this one: the command line without what only POSIX systems have, and texts in UTF-8.

A simulation, on Linux: it shows that no command needs these modules and functions, not that it works on
Windows.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from tests.conftest import copy_example

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "platforms.md"
MODULES = ("fcntl", "resource", "termios", "tty", "pty", "pwd", "grp", "syslog", "readline", "curses")
FUNCTIONS = (
    *("fork", "forkpty", "killpg", "setsid", "getuid", "geteuid", "getgid", "getegid", "getpgid"),
    *("chown", "fchown", "lchown", "fchmod", "mkfifo", "sched_getaffinity", "uname", "wait", "waitid"),
)
FLAGS = ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_NOFOLLOW", "O_DIRECTORY")
SIGNALS = ("pthread_sigmask", "SIGKILL", "SIGHUP", "SIGALRM", "SIGQUIT")
# What the standard library and libraries take because this is Linux is imported before.
RUN = """
import asyncio, getpass, json, os, platform, shutil, signal, socket, ssl, subprocess, sys, tarfile, tempfile
import urllib.request, uuid, warnings
from concurrent.futures import process

import platformdirs.unix

modules, functions, flags, signals, lines = json.load(sys.stdin)
sys.stdin = open(os.devnull)
warnings.filterwarnings("error", category=EncodingWarning, module=r"(reconciler|providers|state)\\b")
for name in modules:
    sys.modules[name] = None
for name in (*functions, *flags):
    if hasattr(os, name):
        delattr(os, name)
for name in signals:
    if hasattr(signal, name):
        delattr(signal, name)
from reconciler.cli import run
codes = []
for line in lines:
    print("$", " ".join(line), file=sys.stderr)
    codes.append(run(line))
print("\\n" + json.dumps(codes))
"""


def ended(folder: Path, *lines: str) -> tuple[list[int], str]:
    """The codes of these commands in an interpreter without any of it, and what they printed."""
    done = subprocess.run(
        [sys.executable, "-X", "warn_default_encoding", "-c", RUN],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "dumb"},
        input=json.dumps([MODULES, FUNCTIONS, FLAGS, SIGNALS, [line.split() for line in lines]]),
        capture_output=True,
        text=True,
        timeout=600,  # only against a hang
        check=False,
    )
    printed = done.stdout + done.stderr
    assert done.returncode == 0, printed
    codes: list[int] = json.loads(done.stdout.splitlines()[-1])
    return codes, printed


def test_every_command_works_without_what_only_posix_has(
    sandbox: Sandbox, workplace: Path, home: Path
) -> None:
    copy_example("dataset_cleanup", workplace, sandbox.registry)
    copy_example("multi_training", workplace, sandbox.registry)
    (workplace / "reconciler.toml").write_text('[groups]\nall = ["**"]\n')
    lines = {
        "--help": 0,
        "schema config": 0,
        "schema --link": 0,
        "completion bash": 0,
        "list --json": 0,
        "validate --all": 0,
        "plan --all --exit-code": 10,
        "apply --all --yes --json run.json --events events.ndjson": 0,
        "show run.json": 0,
        "status --all": 0,
        "drift --all --html drift.html": 0,
        "deploy dataset_cleanup --bump patch --force-bump --yes": 0,
        "state list": 0,
        "state history dataset_cleanup": 0,
        "rollback dataset_cleanup --yes": 0,
        "image dataset_cleanup": 0,
        "graph --all --format svg": 0,
        "whoami": 0,
        "bump minor dataset_cleanup": 0,
        "destroy --all --yes": 0,
    }

    codes, printed = ended(workplace, *lines)

    assert dict(zip(lines, codes, strict=True)) == lines, printed
    assert "Traceback" not in printed


def test_a_class_that_must_run_is_refused_with_the_way_out(sandbox: Sandbox, workplace: Path) -> None:
    copy_example("computed_inputs", workplace, sandbox.registry)

    codes, printed = ended(workplace, "validate computed_inputs")

    assert codes == [1]
    words = " ".join(printed.split())
    assert "Classes are run on Linux and macOS only: use WSL or CI, or simplify the class." in words


@pytest.mark.parametrize("name", [*MODULES, *FUNCTIONS, *SIGNALS])
def test_what_only_posix_has_is_named(name: str) -> None:
    """What our code uses of it has a line on the page of platforms."""
    sources = [path for room in ("reconciler", "providers", "state") for path in (ROOT / room).rglob("*.py")]
    module = "signal" if name in SIGNALS else "os"
    pattern = rf"\bimport {name}\b" if name in MODULES else rf"\b{module}\.{name}\b"
    users = [path.relative_to(ROOT) for path in sources if re.search(pattern, path.read_text())]
    assert bool(users) == (f"`{name if name in MODULES else f'{module}.{name}'}`" in PAGE.read_text()), users
