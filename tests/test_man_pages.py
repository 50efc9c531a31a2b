"""The man pages: one for each command, which `man` shows as `--help` does, and without a warning."""

import os
import re
import runpy
import subprocess
from pathlib import Path

import pytest

from reconciler.cli.reference import every_command, options_of
from tests.services import program

ROOT = Path(__file__).parents[1]
HOOK = runpy.run_path(str(ROOT / "scripts" / "man_hook.py"))
NO_DATE = re.compile(r'.*WARNING: missing date, using "": TH')  # a release made again is the same


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages, where `man` looks for them."""
    found = tmp_path_factory.mktemp("share") / "man" / "man1"
    found.mkdir(parents=True)
    for name, text in HOOK["pages"]("1.2.3").items():
        (found / name).write_text(text)
    return found


def test_each_command_has_a_page(folder: Path) -> None:
    commands = {one.command_path.replace(" ", "-") for one in every_command()}
    assert {"reconciler", "reconciler-plan", "reconciler-state-show", "reconciler-drift-merge"} <= commands
    assert {path.stem for path in folder.iterdir()} == commands


def test_no_formatter_has_a_complaint(folder: Path) -> None:
    pages = sorted(folder.iterdir())
    found = subprocess.run(
        [program("mandoc"), "-T", "lint", "-W", "warning", *pages],
        capture_output=True,
        text=True,
        check=False,
    )
    assert [line for line in found.stdout.splitlines() if not NO_DATE.fullmatch(line)] == []
    for page in pages:
        formatted = subprocess.run(
            [program("groff"), "-man", "-ww", "-Kutf8", "-Tutf8", "-z", page],
            capture_output=True,
            text=True,
            check=True,
        )
        assert formatted.stderr == "", page.name


def test_man_shows_what_help_says(folder: Path) -> None:
    environment = {**os.environ, "MANPATH": str(folder.parent), "MANWIDTH": "400", "LANG": "C.UTF-8"}
    for context in every_command():
        name = context.command_path.replace(" ", "-")
        shown = subprocess.run(
            [program("man"), "--nh", "--nj", "-P", "cat", name],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        words = " ".join(re.sub(".\b", "", shown).split())
        for text in (text for option in options_of(context) for text in option):
            assert " ".join(text.split()) in words, f"{name}: {text}"
        for line in (context.command.help or "").replace("\b", "").splitlines():
            assert " ".join(line.split()) in words, f"{name}: {line}"


@pytest.mark.parametrize("text", [".TH x", "'br", "a\\fBb", "--no-color", "\\"])
def test_text_is_never_a_request(text: str) -> None:
    page = f'.TH X 1 "" "" ""\n.SH NAME\nx \\- y\n.SH DESCRIPTION\n{HOOK["roff"](text)}\n'
    shown = subprocess.run(
        [program("groff"), "-man", "-ww", "-Tascii", "-P-c"],
        input=page,
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stderr == ""
    assert text in re.sub(".\b", "", shown.stdout)
