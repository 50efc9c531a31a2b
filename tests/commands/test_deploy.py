"""The how-to page on `pxl-pipeline deploy`: its commands work, and its tables match the code."""

import pytest

from providers.docker.registry.logins import PASSWORDS, USERNAMES
from providers.sandbox import Sandbox
from reconciler.core import exit_codes
from tests.conftest import Cli, copy_example
from tests.test_readme import ROOT, Text, here

DOCUMENT = Text(ROOT / "docs" / "how-to" / "replace-pxl-pipeline.md")


def test_the_commands_of_the_page_work(cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PICSELLIA_ORGANIZATION")
    monkeypatch.delenv("PICSELLIA_ENV")
    copy_example("dataset_cleanup", cli.folder, sandbox.registry).rename(cli.folder / "my_pipeline")
    commands = [line for line in DOCUMENT.blocks if line.startswith("reconciler ")]
    assert len(commands) == 4
    for line in commands:
        ended = cli(*here(line, sandbox))
        assert ended.code == 0, f"{line}\n{ended.err}"


def test_the_options_variables_and_exit_codes_of_the_page_exist(cli: Cli) -> None:
    helped = cli("deploy", "--help").out
    options = [row[3].strip("`") for row in DOCUMENT.table("question", "when", "Enter answers", "option")]
    assert [option for option in options if f"{option} " not in helped and f"{option}," not in helped] == []
    assert [name for name in (*USERNAMES, *PASSWORDS) if f"`{name}`" not in DOCUMENT.content] == []
    defined = {value for value in vars(exit_codes).values() if isinstance(value, int)}
    assert {int(row[0]) for row in DOCUMENT.table("exit", "meaning")} <= defined


def test_the_transcript_of_the_page_is_up_to_date() -> None:
    """The transcript is a recording. If it is stale, its questions differ from those in the table."""
    shown = DOCUMENT.content.partition("```text\n")[2].partition("```")[0]
    asked = {line.removeprefix("? ").partition("  ")[0] for line in shown.splitlines() if line[:2] == "? "}
    documented = {row[0] for row in DOCUMENT.table("question", "when", "Enter answers", "option")}
    assert asked == {"Docker image name", "CPU cores", "GPUs", "Version bump"}
    assert asked <= documented
    assert "Deploy this? [Y/n]:" in shown
