"""The how-to pages for contributors are true: their files, lines and commands work in a copy of the code."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from tests.conftest import copy_example

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs" / "how-to"
COPIED = ("reconciler", "providers", "state", "tests", "examples", "docs", "README.md", "pyproject.toml")
BIN = Path(sys.executable).parent
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)


@pytest.fixture
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the code."""
    folder = tmp_path_factory.mktemp("clone")
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder)
    return folder


def edits(page: str) -> Iterator[tuple[str, str, str]]:
    """The kind, the path and the text of each block of a page; the path is the last one named before it."""
    end = 0
    for block in BLOCK.finditer(page):
        paths = re.findall(r"`((?:reconciler|state|tests)/[\w./]+\.py)`", page[end : block.start()])
        yield block[1], paths[-1] if paths else "", block[2]
        end = block.end()


def apply_diff(file: Path, diff: str) -> None:
    """Replace the lines that a diff removes or keeps, which the file has exactly once, by its new ones."""
    lines = diff.splitlines(keepends=True)
    old, new = ("".join(line[1:] or line for line in lines if line[0] in signs) for signs in (" -\n", " +\n"))
    text = file.read_text()
    assert text.count(old) == 1, f"{file} does not have these lines once:\n{old}"
    file.write_text(text.replace(old, new))


def run(command: str, clone: Path) -> "subprocess.CompletedProcess[str]":
    """Run a command line of a page in the copy of the code."""
    return subprocess.run(
        command.replace(".venv/bin/", f"{BIN}/"),
        shell=True,
        cwd=clone,
        env=os.environ | {"PYTHONPATH": str(clone), "RUFF_NO_CACHE": "true"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def follow(page: str, clone: Path) -> list[str]:
    """Write the files and lines of a page, and run its commands. Returns the commands."""
    commands: list[str] = []
    output = ""
    for kind, path, text in edits((PAGES / page).read_text()):
        match kind:
            case "python":
                (clone / path).write_text(text)
            case "diff":
                apply_diff(clone / path, text)
            case "sh":
                command, _, remark = text.strip().partition("  # ")
                stated = re.match(r"exits with (\d+)", remark)
                done = run(command, clone)
                output = done.stdout
                assert done.returncode == (int(stated[1]) if stated else 0), f"{command}\n{output}"
                commands.append(command)
            case "text":
                assert {*text.splitlines()} <= {*output.splitlines()}, f"{commands[-1]}\n{output}"
    return commands


def check(page: str, clone: Path) -> None:
    """Run the checks of `make check` for the files of a page."""
    written = " ".join(path for kind, path, _ in edits((PAGES / page).read_text()) if kind == "python")
    announced = "pytest -q tests/commands/test_hashing.py -k every_call"
    formatted = f"ruff format -q --check {written}"
    for command in (f"ruff check -q {written}", formatted, "lint-imports", "mypy", announced):
        done = run(f".venv/bin/{command}", clone)
        assert done.returncode == 0, done.stdout


def test_the_page_on_commands_adds_a_command(clone: Path, sandbox: Sandbox) -> None:
    commands = follow("adding-a-command.md", clone)

    assert ".venv/bin/reconciler files examples/dataset_cleanup" in commands
    check("adding-a-command.md", clone)


def test_the_page_on_reports_adds_a_report(clone: Path, sandbox: Sandbox) -> None:
    shutil.rmtree(clone / "examples" / "dataset_cleanup")
    copy_example("dataset_cleanup", clone / "examples", sandbox.registry)

    commands = follow("adding-a-report.md", clone)

    assert ".venv/bin/reconciler drift examples/dataset_cleanup --text -" in commands
    check("adding-a-report.md", clone)


def test_the_page_on_stores_names_parts_and_tests_that_exist(clone: Path) -> None:
    page = (PAGES / "adding-a-store.md").read_text()
    named = re.findall(r"`(\w+)`(?: and `(\w+)`)? in `(state/[\w/]+\.py)`", page)
    assert len(named) >= 5
    for *names, path in named:
        text = (ROOT / path).read_text()
        for name in filter(None, names):
            assert re.search(rf"^(?:def |class )?{name}\b", text, re.M), f"{path}: {name}"

    assert len(follow("adding-a-store.md", clone)) == 2
