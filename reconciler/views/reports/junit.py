"""Drift reports as JUnit XML. Each stack is a suite.

A resource in sync is a passed test, a finding is a failed one, an acknowledged finding a skipped one, and a
problem that prevented a check an error.
"""

from xml.etree import ElementTree as ET

from reconciler.core.diagnostics import Diagnostic
from reconciler.drift.findings import Finding, Report, StackReport, UnmanagedObject
from reconciler.views.phrases import (
    Audience,
    details,
    facts,
    last_applied,
    reason,
    unmanaged_facts,
    values,
    ways,
)
from reconciler.views.reports.junit_parts import add_result, case, document, suite


def junit_text(report: Report) -> str:
    """The document, with its declaration."""
    suites = [_of_stack(stack, report) for stack in report.stacks]
    suites += [
        _suite(name, report, [_unchecked(name, problem) for problem in problems])
        for name, problems in report.failed.items()
    ]
    if report.unmanaged is not None:
        suites.append(_suite("unmanaged", report, [_unmanaged(report, one) for one in report.unmanaged]))
    return document("reconciler drift", suites)


def _of_stack(stack: StackReport, report: Report) -> ET.Element:
    properties = {"folder": stack.stack.folder}
    properties |= {"ignored": ", ".join(stack.ignored)} if stack.ignored else {}
    properties |= {"unverified": str(stack.unverified)} if stack.unverified else {}
    return suite(str(stack.stack), report.at, _cases(stack), properties=properties)


def _suite(name: str, report: Report, cases: list[ET.Element]) -> ET.Element:
    return suite(name, report.at, cases, properties={"folder": ""})


def _cases(stack: StackReport) -> list[ET.Element]:
    found = {finding.address for finding in stack.findings}
    unread = {problem.address for problem in stack.unchecked}
    clean = [
        case(str(stack.stack), str(step.address))
        for step in stack.plan.steps
        if step.address not in found and str(step.address) not in unread
    ]
    findings = [_finding(stack, finding) for finding in stack.findings]
    return [*findings, *(_unchecked(str(stack.stack), problem) for problem in stack.unchecked), *clean]


def _finding(stack: StackReport, finding: Finding) -> ET.Element:
    worlds = "; ".join(f"{label} {text}" for label, text in values(finding))
    message = f"{finding.field} {reason(finding.change.reason, Audience.DRIFT)}"
    if worlds:
        message += f": {worlds}"
    lines = [f"{label}: {text}" for label, text in (*values(finding), *facts(finding), *ways(finding))]
    return add_result(
        case(str(stack.stack), finding.field),
        "skipped" if finding.acknowledged else "failure",
        finding.change.cls.value,
        message,
        [message, *lines, last_applied(stack)],
    )


def _unchecked(stack: str, problem: Diagnostic) -> ET.Element:
    test = case(stack, problem.address or problem.place or "files")
    lines = [problem.summary, problem.place, *details(problem)]
    return add_result(test, "error", "not-checked", problem.summary, lines)


def _unmanaged(report: Report, one: UnmanagedObject) -> ET.Element:
    message = f"{one.address} is managed by no stack in the state"
    tag = "failure" if report.fails_on_unmanaged else "skipped"
    test = case("unmanaged", str(one.address))
    return add_result(test, tag, "unmanaged", message, [message, unmanaged_facts(one)])
