"""The report of a run as JUnit XML: a suite with a test for each pipeline.

An applied or unchanged pipeline is a passed test, a failed or refused one is a failed test, and an
interrupted one is an error. A pipeline that was not started is skipped, and the reason why is an
error of the run itself. So the document has a failure or an error exactly if the exit code is not 0.
"""

from xml.etree import ElementTree as ET

from reconciler.core.diagnostics import Diagnostic
from reconciler.core.runs import PipelineRun, RunReport, RunResult
from reconciler.views.phrases import contract_reason, details, effect
from reconciler.views.reports.junit_parts import add_output, add_result, case, document, suite
from reconciler.views.reports.run_json import result_name
from reconciler.views.run_problems import SUCCEEDED, commands, problems, run_reasons

_TAGS = {
    RunResult.FAILED: "failure",
    RunResult.REFUSED: "failure",
    RunResult.INTERRUPTED: "error",
    RunResult.NOT_STARTED: "skipped",
}


def run_junit(report: RunReport) -> str:
    """The document, with its declaration."""
    name = f"reconciler {report.command}"
    cases = [_pipeline(report, run) for run in report.runs]
    cases += [_of_run(name, problem) for problem in run_reasons(report)]
    properties = {"digest": report.digest}
    found = suite(name, report.started, cases, properties=properties, seconds=report.seconds)
    return document(name, [found], report.seconds)


def _pipeline(report: RunReport, run: PipelineRun) -> ET.Element:
    test = case(f"reconciler {report.command}", run.label, run.seconds)
    if run.result in SUCCEEDED:
        return add_output(test, _contract(run))
    found = problems(report, run)
    tag = _TAGS[run.result] if run.result is not RunResult.NOT_STARTED or run_reasons(report) else "error"
    lines = [line for problem in found for line in _lines(problem)]
    lines += commands(report, [run])
    return add_output(
        add_result(test, tag, result_name(run.result), _message(found[0]), lines), _contract(run)
    )


def _contract(run: PipelineRun) -> list[str]:
    """The changes of the contract, for a reader who opens the test."""
    changes = run.plan.contract if run.plan else ()
    return [f"{effect(change)}: {change.input} {contract_reason(change)}" for change in changes]


def _of_run(group: str, problem: Diagnostic) -> ET.Element:
    return add_result(case(group, "the run"), "error", "run", _message(problem), _lines(problem))


def _message(problem: Diagnostic) -> str:
    return f"{problem.address} {problem.summary}".strip()


def _lines(problem: Diagnostic) -> list[str]:
    return [_message(problem), problem.place, *details(problem)]
