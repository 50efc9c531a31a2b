"""Completion in real shells: a Tab in bash, zsh and fish, and what it costs to answer."""

import fcntl
import json
import os
import pty
import shlex
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest

from providers.sandbox import Sandbox
from reconciler.cli import COMMANDS
from reconciler.cli.reference import every_command
from tests.commands.terminal import Terminal
from tests.conftest import Cli, copy_example
from tests.services import program
from tests.test_start_up import HEAVY, interpreter
from tests.waits import PATIENCE

ROOT = Path(__file__).parents[2]
SHELLS = {
    "bash": ["--norc", "--noprofile", "-i"],
    "zsh": ["-f", "-i"],
    "fish": ["--no-config", "-i"],
}
START = {
    "bash": "PS1='> '; source {script}",
    "zsh": "PS1='> '; autoload -U compinit; compinit -u -d {dump}; source {script}",
    "fish": "function fish_prompt; echo '> '; end; source {script}",
}
ODD = "my $(touch pwned) pipeline; 'x'"


@pytest.fixture
def folder(cli: Cli, sandbox: Sandbox) -> Path:
    """A workspace with state: an applied pipeline, one with an odd name, environments and groups."""
    copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    copy_example("single_training", cli.folder, sandbox.registry).rename(cli.folder / ODD)
    (cli.folder / "reconciler.toml").write_text(
        '[environments.EU]\norganization = "team"\nhost = "https://x.example.com"\n[groups]\nsam = ["**"]\n'
    )
    assert cli("apply", "dataset_cleanup", "--yes").code == 0
    assert cli("plan", "dataset_cleanup", "--out", "saved.json").code == 0
    return cli.folder


@contextmanager
def shell(name: str, folder: Path, home: Path) -> Iterator[Terminal]:
    """An interactive shell in this folder. In it, `reconciler` completes, and otherwise prints its words."""
    bin_folder = home / "bin"
    bin_folder.mkdir()
    python = shlex.quote(sys.executable)
    (bin_folder / "reconciler").write_text(
        f'#!/bin/sh\nif [ -n "$_RECONCILER_COMPLETE" ]; then exec {python} -m reconciler; fi\n'
        f'exec {python} -c \'import json, sys; print("WORDS" + json.dumps(sys.argv[1:]))\' "$@"\n'
    )
    (bin_folder / "reconciler").chmod(0o755)
    script = home / f"script.{name}"
    made = subprocess.run(
        [sys.executable, "-m", "reconciler", "completion", name],
        capture_output=True,
        check=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    script.write_bytes(made.stdout)
    environment = {
        **os.environ,
        "PATH": f"{bin_folder}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "TERM": "xterm",
        "LANG": "C.UTF-8",
        "HISTFILE": "",
    }
    screen, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 1000, 0, 0))
    command = ["setsid", "--ctty", program(name), *SHELLS[name]]
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdin=inside, stdout=inside, stderr=inside
    ) as process:
        os.close(inside)
        try:
            opened = Terminal(process, screen)
            opened.type(START[name].format(script=script, dump=home / "dump") + "; echo re''ady")
            opened.expect("ready")
            yield opened
        finally:
            process.kill()
            process.wait(PATIENCE)
            os.close(screen)


def words(opened: Terminal, typed: str) -> list[str]:
    """The words of the command that a Tab and an Enter after this line run."""
    opened.type(f"{typed}\t")
    opened.expect("WORDS")
    opened.expect("]")
    found: list[str] = json.loads(opened.shown[opened.shown.rindex("WORDS") + len("WORDS") :].splitlines()[0])
    return found


@pytest.mark.parametrize("name", SHELLS)
def test_a_tab_completes_what_was_begun(name: str, folder: Path, home: Path, sandbox: Sandbox) -> None:
    image, stack = f"image/{sandbox.registry}/examples/dataset_cleanup", "dataset_cleanup"
    with shell(name, folder, home) as opened:
        for typed, completed in (
            ("reconciler promo", ["promote"]),
            ("reconciler state hist", ["state", "history"]),
            ("reconciler plan --exit", ["plan", "--exit-code"]),
            ("reconciler plan data", ["plan", "dataset_cleanup"]),
            ("reconciler plan ./data", ["plan", "./dataset_cleanup"]),
            ("reconciler plan my", ["plan", ODD]),
            ("reconciler plan --env E", ["plan", "--env", "EU"]),
            ("reconciler plan --env=E", ["plan", "--env=EU"]),
            ("reconciler plan --bump pa", ["plan", "--bump", "patch"]),
            ("reconciler plan --group s", ["plan", "--group", "sam"]),
            ("reconciler list --type TRAIN", ["list", "--type", "TRAINING"]),
            ("reconciler plan dataset_cleanup --target im", ["plan", "dataset_cleanup", "--target", image]),
            (f"reconciler plan --target {image[:-4]}", ["plan", "--target", image]),
            ("reconciler rollback dataset_cleanup --to 1.", ["rollback", "dataset_cleanup", "--to", "1.0.0"]),
            ("reconciler state show sandbox@", ["state", "show", f"sandbox@{sandbox.url[7:]}/{stack}"]),
            ("reconciler show sav", ["show", "saved.json"]),
            ("reconciler schema work", ["schema", "workspace"]),
        ):
            assert words(opened, typed) == completed, f"{typed}\n{opened.shown}"
    assert not (folder / "pwned").exists()


COMPLETE = """
import io, json, os, sys
line, state = json.load(sys.stdin)
sys.stdin = open("/dev/null")
os.environ |= {"_RECONCILER_COMPLETE": "bash_complete", "COMP_LINE": line, "COMP_WORDBREAKS": ""}
os.environ["RECONCILER_STATE"] = state or os.environ["RECONCILER_STATE"]
import click
before = set(sys.modules)
from reconciler.cli import run
sys.stdout = io.TextIOWrapper(io.BytesIO())
try:
    run([])
except SystemExit:
    pass
found = sys.stdout.buffer.getvalue().decode().split()
sys.stdout = sys.__stdout__
print(json.dumps([found, sorted(set(sys.modules) - before)]))
"""


def completed(line: str, folder: Path, state: str = "") -> tuple[list[str], set[str]]:
    """The values that bash is offered for this line, and the modules that this imports."""
    (folder / "home").mkdir(exist_ok=True)
    found = interpreter(COMPLETE, [line, state], folder)
    assert isinstance(found, list)
    return [one.partition(",")[2] for one in found[0]], {*found[1]}


@pytest.mark.parametrize(
    ("line", "some", "may"),
    [
        ("reconciler ", {*COMMANDS}, set()),
        ("reconciler help ", {*COMMANDS}, set()),
        ("reconciler help state ", {"show", "history"}, set()),
        ("reconciler plan --", {"--env", "--target", "--help"}, set()),
        ("reconciler plan ", {"dataset_cleanup"}, set()),
        ("reconciler plan --env ", {"PROD", "STAGING"}, set()),
        ("reconciler plan --target ", set(), {"sqlite3"}),
        ("reconciler state show ", set(), {"sqlite3"}),
        ("reconciler rollback dataset_cleanup --to ", set(), {"sqlite3"}),
    ],
)
def test_a_completion_imports_what_it_needs(line: str, some: set[str], may: set[str], tmp_path: Path) -> None:
    """So that it takes less than 150 ms: a key press waits for it."""
    copy_example("dataset_cleanup", tmp_path, "registry.example.com")

    values, modules = completed(line, tmp_path)

    assert some <= {*values}
    assert modules & {*HEAVY} <= may
    assert "reconciler.engine.plan" not in modules


def test_completion_contacts_no_bucket(tmp_path: Path) -> None:
    values, modules = completed("reconciler state show ", tmp_path, state="s3://bucket/prefix")
    assert values == []
    assert "obstore" not in modules


def test_a_mistake_in_reconciler_toml_is_no_output(tmp_path: Path) -> None:
    (tmp_path / "reconciler.toml").write_text("[workspace\n")
    assert completed("reconciler plan --env ", tmp_path)[0] == []


def test_every_argument_and_option_with_a_free_value_is_completed_or_known() -> None:
    """A new parameter gets values, or a line here."""
    free = {
        *(
            "login",
            "logout",
            "switch",
            "sandbox",
            "copy",
            "after",
        ),  # names of what is nowhere on this machine
        *(
            "--approve",
            "--override",
            "--owner",
            "--reason",
            "--image",
            "--changed",
            "--base",
            "--dashboard",
        ),  # the user's own words
        *("--model", "--model-version"),  # new names, as a rule
    }
    missing = []
    for context in every_command():
        for param in context.command.params:
            plain = type(param.type) in (click.types.StringParamType, click.types.FuncParamType)
            names = {*context.command_path.split(), *param.opts}
            is_open = plain and not getattr(param, "is_flag", False)
            if is_open and param._custom_shell_complete is None and not names & free:
                missing.append(f"{context.command_path} {param.opts}")
    assert missing == []
