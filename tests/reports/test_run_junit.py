"""The report of a run as JUnit XML, read by its parsers and schemas."""

from xml.etree import ElementTree as ET

from hypothesis import given, settings
from junitparser import Error, Failure, JUnitXml, Skipped

from reconciler.core.diagnostics import error
from reconciler.core.runs import RunReport, RunResult
from reconciler.views.reports.junit_parts import legal
from reconciler.views.reports.run_junit import run_junit
from tests.reports.runs import DIGEST, every_result, pipeline, report, reports
from tests.reports.test_junit import check_schema


def results(found: RunReport) -> dict[str, list[object]]:
    """Case -> its results, as junitparser reads them."""
    (suite,) = JUnitXml.fromstring(run_junit(found).encode("utf-8", "backslashreplace"))
    return {case.name: list(case.result) for case in suite}


def test_each_pipeline_is_a_test() -> None:
    found = report(
        pipeline("app"),
        pipeline("quiet", RunResult.UNCHANGED),
        pipeline("broken", RunResult.FAILED),
        pipeline("refused", RunResult.REFUSED),
        pipeline("half", RunResult.INTERRUPTED),
        pipeline("late", RunResult.NOT_STARTED),
        interrupted=True,
    )
    kinds = {name.partition(" ")[0]: list(map(type, result)) for name, result in results(found).items()}
    assert kinds == {
        "my-org@STAGING/app": [],
        "my-org@STAGING/quiet": [],
        "my-org@STAGING/broken": [Failure],
        "my-org@STAGING/refused": [Failure],
        "my-org@STAGING/half": [Error],
        "my-org@STAGING/late": [Skipped],
        "the": [Error],
    }


def test_a_failure_has_the_reason_the_hint_and_the_command() -> None:
    (failure,) = results(report(pipeline("app", RunResult.FAILED)))["my-org@STAGING/app (pipelines/app)"]
    assert isinstance(failure, Failure)
    assert failure.type == "failed"
    assert failure.message == "processing/app updating failed: 422: no such image"
    assert str(failure.text).splitlines() == [
        "processing/app updating failed: 422: no such image",
        "  Try another one.",
        "reconciler apply app --organization my-org --env STAGING",
    ]


def test_counts_times_and_the_digest_are_those_of_the_run() -> None:
    root = ET.fromstring(run_junit(every_result()))
    suite = root.find("testsuite")
    assert suite is not None
    counts = {name: suite.attrib[name] for name in ("tests", "failures", "errors", "skipped", "time")}
    assert counts == {"tests": "13", "failures": "5", "errors": "4", "skipped": "1", "time": "125"}
    assert [(one.get("name"), one.get("value")) for one in suite.iter("property")] == [("digest", DIGEST)]
    assert [case.get("time") for case in suite.iter("testcase")][:2] == ["3.25", "3.25"]


def test_problems_of_the_run_itself_are_errors() -> None:
    found = report(pipeline("app"), problems=(error("no pipeline has this name", "There are: a, b."),))
    (problem,) = results(found)["the run"]
    assert isinstance(problem, Error)
    assert str(problem.text) == "no pipeline has this name\n  There are: a, b."


@settings(max_examples=50)
@given(reports())
def test_every_document_matches_the_schemas_and_is_red_if_the_exit_code_is(found: RunReport) -> None:
    text = run_junit(found)
    root = ET.fromstring(text.encode("utf-8", "backslashreplace"))
    check_schema(root)
    failures, errors = (int(root.attrib[name]) for name in ("failures", "errors"))
    assert (failures + errors > 0) == (found.exit_code != 0)
    names = [case.get("name") for case in root.iter("testcase")]
    assert names[: len(found.runs)] == [legal(run.label) for run in found.runs]
