"""What a run leaves behind: its files, and in GitHub Actions annotations, a summary and outputs."""

import dataclasses
import io
import json
import stat
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import click
import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from reconciler.cli.outputs import Outputs, run_outputs
from reconciler.cli.report_files import write_run
from reconciler.core.diagnostics import UserError, error
from reconciler.core.runs import RunReport, RunResult
from reconciler.views.reports.run_github import LONGEST_OUTPUT, output_lines, run_annotations
from reconciler.views.reports.run_json import read_run, run_text
from reconciler.views.terminal.console import console
from tests.reports.conftest import NASTY
from tests.reports.runs import DIGEST, IMAGE_DIGEST, every_result, pipeline, report, unreadable
from tests.reports.test_github import HERE, parsed

FORMATS = {"json": "run.json", "junit": "run.xml", "markdown": "run.md", "html": "run.html"}


def write(found: RunReport, outputs: Outputs) -> str:
    stream = io.StringIO()
    write_run(found, outputs, console(stream))
    return stream.getvalue()


@pytest.fixture(autouse=True)
def no_workflow(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("GITHUB_ACTIONS", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_WORKSPACE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def test_every_requested_format_is_written_whole_and_readable() -> None:
    assert write(every_result(), Outputs({name: Path(file) for name, file in FORMATS.items()})) == ""
    assert run_text(read_run(Path("run.json"))) == run_text(every_result())
    assert ET.parse("run.xml").getroot().tag == "testsuites"
    assert Path("run.md").read_text().startswith("<!-- reconciler:apply -->\n")
    assert "<h1>2 failed, 3 refused" in Path("run.html").read_text()
    assert {stat.S_IMODE(Path(file).stat().st_mode) for file in FORMATS.values()} == {0o644}
    assert sorted(path.name for path in Path().iterdir()) == sorted(FORMATS.values())


def test_files_below_the_current_folder_are_named_relative_to_it() -> None:
    problem = error("the version is not valid", file=Path.cwd() / "a" / "config.toml", line=3)
    write(report(unreadable("a", problem)), Outputs({name: Path(file) for name, file in FORMATS.items()}))
    for file in FORMATS.values():
        text = Path(file).read_text()
        assert "a/config.toml" in text
        assert str(Path.cwd()) not in text


def test_a_failed_output_stops_no_other_and_events_that_failed_are_reported() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no device that is always full")
    outputs = Outputs({"json": full, "events": Path("e"), "html": Path("run.html")}, [error("no events")])
    with pytest.raises(UserError) as problem:
        write(report(), outputs)
    summaries = [one.summary for one in problem.value.diagnostics]
    assert summaries == ["no events", "the json output cannot be written"]
    assert Path("run.html").exists()


def test_without_outputs_nothing_is_written() -> None:
    assert write(report(), Outputs({})) == ""
    assert list(Path().iterdir()) == []


def test_the_options_of_a_run_lead_to_its_outputs() -> None:
    found: list[Outputs] = []

    @click.command()
    @run_outputs
    def command(outputs: Outputs) -> int:
        found.append(outputs)
        return 0

    arguments = ["--json", "a", "--events", "-", "--junit", "b", "--markdown", "c", "--html", "d"]
    assert CliRunner().invoke(command, arguments).exit_code == 0
    assert {name: str(place) for name, place in found[0].places.items()} == {
        "json": "a",
        "events": "-",
        "junit": "b",
        "markdown": "c",
        "html": "d",
    }
    assert found[0].on_stdout
    assert CliRunner().invoke(command, ["--json", "-", "--events", "-"]).exit_code == 2
    assert CliRunner().invoke(command, ["--events", "missing/events"]).exit_code == 2


def test_a_workflow_gets_annotations_a_summary_and_outputs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    summary, outputs = tmp_path / "summary", tmp_path / "outputs"
    outputs.write_text("before=1\n")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_OUTPUT", str(outputs))
    printed = write(report(pipeline("app"), pipeline("b", RunResult.FAILED)), Outputs({}))
    (line,) = printed.splitlines()
    assert parsed(line)[1]["title"] == "failed: my-org@STAGING/b (pipelines/b)"
    assert summary.read_text().startswith("<!-- reconciler:apply -->\n## Apply: 1 failed, 1 applied\n")
    assert outputs.read_text().startswith("before=1\npipelines=2\napplied=1\n")


@pytest.mark.parametrize("name", ["GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY"])
def test_a_file_of_a_workflow_that_cannot_be_written_is_a_warning(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv(name, str(tmp_path / "no" / "file"))
    assert "warning: " in write(report(pipeline("app")), Outputs({}))


def test_outputs_have_the_counts_the_digest_and_the_versions() -> None:
    found = report(pipeline("app"), pipeline("b", RunResult.FAILED), pipeline("c", RunResult.UNCHANGED))
    assert outputs_of(found) == {
        "pipelines": "3",
        "applied": "1",
        "unchanged": "1",
        "refused": "0",
        "failed": "1",
        "interrupted": "0",
        "not_started": "0",
        "exit_code": "1",
        "digest": DIGEST,
        "versions": '{"my-org@STAGING/app": "1.0.1", "my-org@STAGING/c": "1.0.1"}',
        "images": json.dumps({"my-org@STAGING/app": f"reg.io/app@{IMAGE_DIGEST}"}),
    }


def outputs_of(found: RunReport) -> dict[str, str]:
    """The outputs as the runner reads them: `name=value`, or `name<<delimiter` with the lines of a value.

    https://github.com/actions/runner/blob/main/src/Runner.Worker/FileCommandManager.cs
    """
    values = {}
    for line in output_lines(found).split("\n"):
        equals, delimiter = line.find("="), line.find("<<")
        if not line:
            continue
        assert equals >= 0
        assert delimiter < 0 or equals < delimiter
        values[line[:equals]] = line[equals + 1 :]
    return values


@pytest.mark.parametrize(
    "text", ["a\nfailed=0", "a\r\nfailed=0", "x<<EOF\nfailed=0\nEOF", "\u2028failed=0", NASTY]
)
def test_no_name_or_version_adds_an_output(text: str) -> None:
    run = pipeline("app")
    assert run.stack is not None
    nasty = replace(run, stack=dataclasses.replace(run.stack, name=text), version=text)
    found = outputs_of(report(nasty, pipeline("b", RunResult.FAILED)))
    assert found["failed"] == "1"
    assert set(found) == set(outputs_of(report()))
    assert json.loads(found["versions"]) == {f"my-org@STAGING/{text}": text}


def test_versions_that_are_too_long_for_an_output_are_left_out() -> None:
    names: Callable[[int], str] = "long-".__mul__
    runs = [pipeline(f"{names(200)}{number}") for number in range(LONGEST_OUTPUT // 1000 + 1)]
    found = outputs_of(report(*runs))
    assert "versions" not in found and "images" not in found
    assert found["applied"] == str(len(runs))


def test_annotations_are_the_worst_ten_at_their_lines() -> None:
    problem = error("the version is not valid", "Write X.Y.Z.", file=Path("a/config.toml"), line=3)
    found = report(
        unreadable("a", problem),
        *(unreadable(f"b{number}", error(f"problem {'x' * number}")) for number in range(12)),
        problems=(error("no pipeline has this name"),),
    )
    lines = run_annotations(found, HERE, Path("/repo"))
    assert len(lines) == 10
    assert parsed(lines[0])[1] == {"title": "apply: no pipeline has this name"}
    level, properties, message = parsed(lines[1])
    assert (level, properties["file"], properties["line"]) == ("error", "pipelines/a/config.toml", "3")
    assert message.splitlines() == [
        "the version is not valid",
        "  Write X.Y.Z.",
        "in pipelines/a",
        "reconciler apply pipelines/a",
    ]
    assert parsed(lines[-1])[::2] == ("notice", "5 more; 13 failed in all.")


def test_the_same_reason_in_many_pipelines_is_one_annotation() -> None:
    found = report(*(pipeline(f"p{number}", RunResult.FAILED) for number in range(300)))
    (line,) = run_annotations(found, HERE, Path("/repo"))
    assert parsed(line)[1]["title"] == "failed: 300 pipelines"
