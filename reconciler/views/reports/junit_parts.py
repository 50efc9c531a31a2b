"""The parts of JUnit XML, for CI systems that show test results.

The format has no official schema. Documents use only the parts that the schemas of Jenkins (junit-10.xsd) and
Maven Surefire share.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from xml.etree import ElementTree as ET

from providers.patterns import pattern
from reconciler.views.safe import escape_match, one_line

_ILLEGAL = pattern("[\ufffe\uffff]")
"""Characters that XML 1.0 excludes (section 2.2), except hidden ones, which `one_line` escapes."""


def document(name: str, suites: Sequence[ET.Element], seconds: float = 0) -> str:
    """The document of these suites, with its declaration."""
    root = ET.Element("testsuites", {"name": legal(name), "time": _seconds(seconds), **_counts(suites)})
    root.extend(suites)
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def suite(
    name: str,
    at: datetime,
    cases: Sequence[ET.Element],
    *,
    properties: Mapping[str, str],
    seconds: float = 0,
) -> ET.Element:
    """A suite with its counts. A property without a value is left out."""
    found = ET.Element(
        "testsuite", name=legal(name), timestamp=f"{at:%Y-%m-%dT%H:%M:%S}", time=_seconds(seconds)
    )
    given = {key: value for key, value in properties.items() if value}
    if given:
        below = ET.SubElement(found, "properties")
        for key, value in given.items():
            ET.SubElement(below, "property", name=key, value=legal(value))
    found.extend(cases)
    found.attrib.update(
        tests=str(len(cases)),
        failures=str(len(found.findall("testcase/failure"))),
        errors=str(len(found.findall("testcase/error"))),
        skipped=str(len(found.findall("testcase/skipped"))),
    )
    return found


def case(group: str, name: str, seconds: float = 0) -> ET.Element:
    """A passed test."""
    return ET.Element("testcase", classname=legal(group), name=legal(name), time=_seconds(seconds))


def add_result(case: ET.Element, tag: str, kind: str, message: str, details: Iterable[str]) -> ET.Element:
    """Give a test a result, and return the test.

    Args:
        tag: `failure`, `error` or `skipped`. One of them at most, as some readers take only the first.
    """
    result = ET.SubElement(case, tag, type=kind, message=legal(message))
    result.text = "\n".join(legal(line) for line in details if line)
    return case


def add_output(case: ET.Element, lines: Sequence[str]) -> ET.Element:
    """Give a test an output, unless there is no line, and return the test."""
    if lines:
        ET.SubElement(case, "system-out").text = "\n".join(map(legal, lines))
    return case


def legal(text: str) -> str:
    """The text on one line. Hidden characters and those that XML excludes are escaped: `\\x1b`."""
    return _ILLEGAL.sub(escape_match, one_line(text))


def _seconds(seconds: float) -> str:
    return f"{seconds:.3f}".rstrip("0").rstrip(".")


def _counts(suites: Iterable[ET.Element]) -> dict[str, str]:
    return {name: str(sum(int(s.attrib[name]) for s in suites)) for name in ("tests", "failures", "errors")}
