"""The report of a run as JSON: it matches its schema, and says the same after it is read."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from reconciler.core.diagnostics import UserError
from reconciler.core.runs import RunReport, RunResult
from reconciler.views.reports.run_json import read_run, run_from_document, run_text
from tests.reports.runs import DIGEST, IMAGE_DIGEST, every_result, pipeline, report, reports
from tests.schemas import valid, validator


def document(found: RunReport) -> Any:
    read = json.loads(run_text(found))
    valid(read, "run")
    return read


def test_a_report_of_every_result_is_valid_and_begins_with_the_totals() -> None:
    read = document(every_result())
    assert list(read)[:4] == ["format", "version", "exit_code", "totals"]
    assert read["exit_code"] == 1
    assert read["totals"] == {
        "pipelines": 10,
        "applied": 2,
        "unchanged": 1,
        "refused": 3,
        "failed": 2,
        "interrupted": 1,
        "not_started": 1,
    }
    assert (read["digest"], read["seconds"]) == (DIGEST, 125.0)


def test_an_applied_pipeline_has_version_digest_and_the_seconds_of_each_step() -> None:
    (entry,) = document(report(pipeline("app")))["pipelines"]
    assert (entry["folder"], entry["result"], entry["exit_code"]) == ("pipelines/app", "applied", 0)
    assert (entry["version"], entry["image_digest"], entry["wave"]) == ("1.0.1", IMAGE_DIGEST, 1)
    assert entry["plan"]["summary"] == {
        **dict.fromkeys(["replace", "delete", "adopt", "forget", "drift", "conflict"], 0),
        **dict.fromkeys(["create", "update", "noop"], 1),
    }
    assert [(step["address"], step["status"], step["step_seconds"]) for step in entry["steps"]] == [
        ("image/reg.io/app", "done", 2.5),
        ("processing/app", "done", 0.0),
        ("input/app/data", "done", 0.0),
    ]
    assert (entry["problems"], entry["next"]) == ([], [])


def test_a_failed_pipeline_has_the_reason_and_the_command() -> None:
    (entry,) = document(report(pipeline("app", RunResult.FAILED)))["pipelines"]
    assert [step["status"] for step in entry["steps"]] == ["done", "failed", "blocked"]
    assert entry["steps"][1]["error"] == {
        "message": "422: no such image",
        "hint": "Try another one.",
        "way_out": None,
    }
    assert entry["steps"][2]["blocked_by"] == "processing/app"
    (problem,) = entry["problems"]
    assert (problem["address"], problem["summary"]) == (
        "processing/app",
        "updating failed: 422: no such image",
    )
    assert entry["next"] == ["reconciler apply app --organization my-org --env STAGING"]


@settings(max_examples=40)
@given(reports(most=5))
def test_a_report_says_the_same_after_it_is_read(found: RunReport) -> None:
    text = run_text(found)
    read = run_from_document(json.loads(text))
    valid(json.loads(text), "run")
    assert run_text(read) == text
    assert read.counts == found.counts
    assert read.exit_code == found.exit_code


def test_the_report_of_every_result_says_the_same_after_it_is_read() -> None:
    text = run_text(every_result())
    assert run_text(run_from_document(json.loads(text))) == text


def test_a_report_without_a_plan_is_valid() -> None:
    assert document(report(digest="", declined=True))["pipelines"] == []


def test_the_schema_refuses_what_the_document_never_has() -> None:
    good = document(every_result())
    assert not validator("run").is_valid({**good, "other": 1})
    for entry in good["pipelines"]:
        for key in entry:
            without = {name: value for name, value in entry.items() if name != key}
            assert not validator("run").is_valid({**good, "pipelines": [without]}), key


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"version": 2}, "its version is 2; this reconciler reads version 1"),
        ({"format": "reconciler/drift"}, "its format is 'reconciler/drift'"),
        ({"news": 1}, "the report has unknown keys: news"),
        ({"pipelines": [{}]}, "a pipeline lacks diagnostics"),
    ],
)
def test_another_document_is_an_error_with_its_reason(
    changed: dict[str, Any], message: str, tmp_path: Path
) -> None:
    file = tmp_path / "run.json"
    file.write_text(json.dumps({**document(report()), **changed}))
    with pytest.raises(UserError) as problem:
        read_run(file)
    (diagnostic,) = problem.value.diagnostics
    assert diagnostic.file == file
    assert message in diagnostic.detail


@pytest.mark.parametrize("text", ["", "[]", "7", "null", '"a"', "{", '{"format": "reconciler/run"}', "\xff"])
def test_no_content_of_a_file_is_a_traceback(text: str, tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError):
        read_run(file)
    with pytest.raises(UserError):
        read_run(tmp_path / "missing.json")
