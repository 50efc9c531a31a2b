"""Workflow commands, parsed as by the runner of GitHub Actions."""

import re
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from reconciler.core.diff import ChangeClass
from reconciler.views.reports.github import annotations
from tests.conftest import Cli, copy_example
from tests.reports.conftest import NASTY, everything, finding, report, stack_report

HERE = Path("/repo/pipelines")


def parsed(line: str) -> tuple[str, dict[str, str], str]:
    """(command, properties, message) of a line, as actions/runner parses it (ActionCommand.TryParseV2)."""
    found = re.fullmatch(r"::(\w+) ([^:]*)::(.*)", line)
    assert found is not None, line
    properties = dict(part.split("=", 1) for part in found[2].split(","))
    return found[1], {name: unescaped(value) for name, value in properties.items()}, unescaped(found[3])


def unescaped(text: str) -> str:
    for code, character in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(code, character)
    return text


def test_a_finding_is_at_its_line_of_the_repository() -> None:
    (line,) = annotations(report(stack_report(finding())), HERE, Path("/repo"))
    command, properties, message = parsed(line)
    assert command == "error"
    assert properties == {
        "file": "pipelines/app/config.toml",
        "line": "16",
        "title": "drift: processing/app#default_cpu",
    }
    assert message.splitlines()[:3] == [
        "my-org@STAGING/app: changed outside",
        "in the files: 4",
        "last applied: 4",
    ]


def test_pending_is_a_warning_and_acknowledged_drift_has_no_annotation() -> None:
    told = [parsed(line) for line in annotations(everything(), HERE, Path("/repo"))]
    commands = [(command, properties["title"].partition(":")[0]) for command, properties, _ in told]
    assert commands.count(("warning", "pending")) == 1
    assert commands.count(("error", "drift")) == 3
    assert commands.count(("error", "not checked")) == 2
    assert len(commands) == 6


def test_a_file_outside_of_the_repository_has_no_place() -> None:
    (line,) = annotations(
        report(stack_report(finding(place="/elsewhere/config.toml:3"))), HERE, Path("/repo")
    )
    assert set(parsed(line)[1]) == {"title"}


def test_ten_annotations_at_most_and_the_last_counts_the_rest() -> None:
    many = report(stack_report(*(finding(path=f"default_parameters.{n}") for n in range(12))))
    lines = annotations(many, HERE, Path("/repo"))
    assert len(lines) == 10
    assert parsed(lines[-1])[0] == "notice"
    assert parsed(lines[-1])[2] == "3 more; 12 drift in all."


def test_no_value_is_a_workflow_command() -> None:
    value = f"50%0A\r\n::set-env name=x::{NASTY}, a: b"
    (line,) = annotations(report(stack_report(finding(path=value, live=value))), HERE, Path("/repo"))
    assert len(line.splitlines()) == 1
    assert (
        parsed(line)[1]["title"]
        == rf"drift: processing/app#50%0A\r\n::set-env name=x::{NASTY[:-5]}\x1b[31m, a: b"
    )


def test_in_github_actions_drift_annotates_and_adds_to_the_summary(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    assert cli("apply", "dataset_cleanup").code == 0
    sandbox.platform.edit_processing("dataset_cleanup", default_cpu=64)
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(cli.folder.parent))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    ended = cli("drift", "dataset_cleanup")
    (line,) = [line for line in ended.err.splitlines() if line.startswith("::")]
    assert parsed(line)[1]["file"] == "pipelines/dataset_cleanup/config.toml"
    assert summary.read_text().startswith("before\n<!-- reconciler:drift -->\n## Drift: 1 drift")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "no" / "summary.md"))
    assert cli("drift", "dataset_cleanup").code == ended.code == 11
    summary.write_bytes(b"x" * 1024 * 1024)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert cli("drift", "dataset_cleanup").code == 11
    assert summary.stat().st_size <= 1024 * 1024


def test_a_conflict_is_an_error() -> None:
    (line,) = annotations(report(stack_report(finding(cls=ChangeClass.CONFLICT))), HERE, Path("/repo"))
    assert parsed(line)[0] == "error"


@pytest.mark.parametrize("command", ["drift", "plan", "adopt"])
def test_no_name_is_a_workflow_command(
    command: str, cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    assert cli("apply", "dataset_cleanup").code == 0
    sandbox.platform.edit_processing("dataset_cleanup", default_parameters={"x\n  ::error::y": 1, "##[z]": 1})
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    ended = cli(command, "dataset_cleanup")
    lines = [line for line in (ended.out + ended.err).splitlines() if line.lstrip().startswith("::")]
    assert not any(line.lstrip().startswith("::error::") for line in lines), lines
    ours = [
        line for line in lines if re.match(r"::\w+ (file|title)=", line)
    ]  # read as a whole, and only once
    rest = [line for line in (ended.out + ended.err).splitlines() if line not in ours]
    assert not any("##[" in line for line in rest)
