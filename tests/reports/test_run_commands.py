"""Commands that write leave reports which agree with each other, with `show`, and with the exit code."""

import json
from xml.etree import ElementTree as ET

import pytest

from providers.sandbox import Sandbox
from tests.conftest import Cli, Ended, copy_example
from tests.leaks import leaked
from tests.schemas import valid

OUTPUTS = (
    *("--json", "run.json", "--events", "events.ndjson", "--junit", "run.xml"),
    *("--markdown", "run.md", "--html", "run.html"),
)


@pytest.fixture
def pipelines(cli: Cli, sandbox: Sandbox) -> Cli:
    """Two pipelines that can be applied, and one whose files have an error."""
    for name in ("dataset_cleanup", "single_training"):
        copy_example(name, cli.folder, sandbox.registry)
    broken = copy_example("yolov8_training", cli.folder, sandbox.registry)
    (broken / "config.toml").write_text("[metadata\n")
    return cli


def results(cli: Cli, ended: Ended) -> dict[str, str]:
    """Folder -> result, after all outputs are compared with each other."""
    document = json.loads((cli.folder / "run.json").read_text())
    valid(document, "run")
    lines = [json.loads(line) for line in (cli.folder / "events.ndjson").read_text().splitlines()]
    for line in lines:
        valid(line, "events")
    assert lines[-1]["event"] == "run-ended"
    assert lines[-1]["run"]["totals"] == document["totals"]
    assert document["exit_code"] == ended.code
    root = ET.parse(cli.folder / "run.xml").getroot()
    assert (int(root.attrib["failures"]) + int(root.attrib["errors"]) > 0) == (ended.code != 0)
    found = {one["folder"]: one["result"] for one in document["pipelines"]}
    text = (cli.folder / "run.md").read_text() + (cli.folder / "run.html").read_text()
    assert all(text.count(folder) >= 2 for folder in found)
    shown = [cli("show", file) for file in ("run.json", "events.ndjson")]
    assert [one.code for one in shown] == [0, 0], shown
    assert shown[0] == shown[1]
    return found


def test_all_pipelines_with_one_that_is_broken(pipelines: Cli, sandbox: Sandbox) -> None:
    ended = pipelines("apply", "--all", "--yes", *OUTPUTS)
    assert ended.code == 1
    assert results(pipelines, ended) == {
        "dataset_cleanup": "applied",
        "single_training": "applied",
        "yolov8_training": "failed",
    }
    document = json.loads((pipelines.folder / "run.json").read_text())
    for entry in document["pipelines"][:2]:
        assert entry["image_digest"].startswith("sha256:")
        assert entry["version"] == "1.0.0"
    assert leaked(pipelines.folder, sandbox.token) == []

    again = pipelines("apply", "--all", "--yes", *OUTPUTS)
    assert set(results(pipelines, again).values()) == {"unchanged", "failed"}


@pytest.mark.parametrize(
    ("arguments", "code", "result"),
    [
        (("apply", "--yes"), 0, "applied"),
        (("apply", "--approve", "0" * 16), 12, "not_started"),
        (("deploy", "--yes"), 0, "applied"),
    ],
    ids=["apply", "another plan", "deploy"],
)
def test_one_pipeline(arguments: tuple[str, ...], code: int, result: str, cli: Cli, sandbox: Sandbox) -> None:
    copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    command, *options = arguments
    ended = cli(command, "dataset_cleanup", *options, *OUTPUTS)
    assert ended.code == code, ended.err
    assert results(cli, ended) == {"dataset_cleanup": result}
    assert leaked(cli.folder, sandbox.token) == []


def test_every_event_of_one_pipeline_stands_between_its_start_and_the_end(cli: Cli, sandbox: Sandbox) -> None:
    copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    assert cli("apply", "dataset_cleanup", "--yes", "--parallel", "8", "--events", "events.ndjson").code == 0
    lines = [json.loads(line) for line in (cli.folder / "events.ndjson").read_text().splitlines()]
    events = [line["event"] for line in lines]
    start = events.index("run-started")
    assert events[start : start + 2] == ["run-started", "pipeline-started"]
    assert set(events[:start]) <= {"note", "notice", "hashing"}
    assert {line.get("folder", "dataset_cleanup") for line in lines} == {"dataset_cleanup"}


def test_a_refused_run_has_events_too(pipelines: Cli) -> None:
    ended = pipelines("apply", "dataset_cleanup", "single_training", "--approve", "0" * 16, *OUTPUTS)
    assert ended.code == 12
    assert set(results(pipelines, ended).values()) == {"not_started"}


def test_stdout_has_the_events_and_nothing_else(pipelines: Cli, sandbox: Sandbox) -> None:
    ended = pipelines("apply", "dataset_cleanup", "single_training", "--yes", "--events", "-")
    assert ended.code == 0
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert [lines[0]["event"], lines[-1]["event"]] == ["run-started", "run-ended"]


def test_rollback_and_destroy_report_as_apply_does(cli: Cli, sandbox: Sandbox) -> None:
    folder = copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    assert cli("apply", "dataset_cleanup", "--yes").code == 0
    config = folder / "config.toml"
    config.write_text(config.read_text().replace("Copies", "Cleans"))
    assert cli("apply", "dataset_cleanup", "--yes").code == 0
    for command in ("rollback", "destroy"):
        ended = cli(command, "dataset_cleanup", "--yes", *OUTPUTS)
        assert ended.code == 0, ended.err
        assert results(cli, ended) == {"dataset_cleanup": "applied"}
        assert json.loads((cli.folder / "run.json").read_text())["command"] == command


def test_a_run_in_the_folder_of_the_pipeline_and_an_earlier_plan_are_reported_alike(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy_example("dataset_cleanup", cli.folder, sandbox.registry))
    assert cli("plan", "--out", "../plan.json").code == 0
    ended = cli("apply", "--plan", "../plan.json", "--json", "../run.json", "--events", "../events.ndjson")
    assert ended.code == 0, ended.err
    shown = [cli("show", f"../{file}") for file in ("run.json", "events.ndjson")]
    assert shown[0] == shown[1]
    assert "Done: 1 applied" in shown[0].out
