"""Drift reports as JUnit XML, for CI systems that show test results. Each stack is a suite.

A resource in sync is a passed test, a finding is a failed one, an acknowledged finding a skipped one, and a
problem that prevented a check an error. The format has no official schema: the document uses only the parts
that the schemas of Jenkins (junit-10.xsd) and Maven Surefire share.
"""

import re
from collections.abc import Iterable
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
from reconciler.views.safe import escape_match, one_line

_ILLEGAL = re.compile("[\ufffe\uffff]")
"""Characters that XML 1.0 excludes (section 2.2), except hidden ones, which `one_line` escapes."""


def junit_text(report: Report) -> str:
    """The document, with its declaration."""
    suites = [
        _suite(str(stack.stack), report, _cases(stack), folder=stack.stack.folder) for stack in report.stacks
    ]
    suites += [
        _suite(name, report, [_unchecked(name, problem) for problem in problems])
        for name, problems in report.failed.items()
    ]
    if report.unmanaged is not None:
        suites.append(_suite("unmanaged", report, [_unmanaged(report, one) for one in report.unmanaged]))
    root = ET.Element("testsuites", {"name": "reconciler drift", "time": "0", **_counts(suites)})
    root.extend(suites)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _suite(name: str, report: Report, cases: list[ET.Element], folder: str = "") -> ET.Element:
    suite = ET.Element("testsuite", name=legal(name), timestamp=f"{report.at:%Y-%m-%dT%H:%M:%S}", time="0")
    if folder:
        ET.SubElement(ET.SubElement(suite, "properties"), "property", name="folder", value=legal(folder))
    suite.extend(cases)
    skipped = len(suite.findall("testcase/skipped"))
    suite.attrib.update(
        tests=str(len(cases)),
        failures=str(len(suite.findall("testcase/failure"))),
        errors=str(len(suite.findall("testcase/error"))),
        skipped=str(skipped),
    )
    return suite


def _counts(suites: Iterable[ET.Element]) -> dict[str, str]:
    return {name: str(sum(int(s.attrib[name]) for s in suites)) for name in ("tests", "failures", "errors")}


def _cases(stack: StackReport) -> list[ET.Element]:
    found = {finding.address for finding in stack.findings}
    unread = {problem.address for problem in stack.unchecked}
    clean = [
        _case(str(stack.stack), str(step.address))
        for step in stack.plan.steps
        if step.address not in found and str(step.address) not in unread
    ]
    findings = [_finding(stack, finding) for finding in stack.findings]
    return [*findings, *(_unchecked(str(stack.stack), problem) for problem in stack.unchecked), *clean]


def _case(stack: str, name: str) -> ET.Element:
    return ET.Element("testcase", classname=legal(stack), name=legal(name), time="0")


def _finding(stack: StackReport, finding: Finding) -> ET.Element:
    case = _case(str(stack.stack), finding.field)
    worlds = "; ".join(f"{label} {text}" for label, text in values(finding))
    message = f"{finding.field} {reason(finding.change.reason, Audience.DRIFT)}"
    if worlds:
        message += f": {worlds}"
    lines = [f"{label}: {text}" for label, text in (*values(finding), *facts(finding), *ways(finding))]
    result = ET.SubElement(
        case,
        "skipped" if finding.acknowledged else "failure",
        type=finding.change.cls.value,
        message=legal(message),
    )
    result.text = _lines([message, *lines, last_applied(stack)])
    return case


def _unchecked(stack: str, problem: Diagnostic) -> ET.Element:
    case = _case(stack, problem.address or problem.place or "files")
    result = ET.SubElement(case, "error", type="not-checked", message=legal(problem.summary))
    result.text = _lines([problem.summary, problem.place, *details(problem)])
    return case


def _unmanaged(report: Report, one: UnmanagedObject) -> ET.Element:
    case = _case("unmanaged", str(one.address))
    message = f"{one.address} is managed by no stack in the state"
    tag = "failure" if report.fails_on_unmanaged else "skipped"
    result = ET.SubElement(case, tag, type="unmanaged", message=legal(message))
    result.text = _lines([message, unmanaged_facts(one)])
    return case


def legal(text: str) -> str:
    """The text on one line. Hidden characters and those that XML excludes are escaped: `\\x1b`."""
    return _ILLEGAL.sub(escape_match, one_line(text))


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(legal(line) for line in lines if line)
