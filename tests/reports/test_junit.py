"""JUnit XML, read by its parsers and schemas."""

from xml.etree import ElementTree as ET

from junitparser import Error, Failure, JUnitXml, Skipped

from reconciler.drift.findings import Report
from reconciler.views.reports.junit import junit_text
from tests.reports.conftest import NASTY, everything, finding, report, stack_report

SCHEMA = {
    # element: (required attributes, optional attributes, children): Jenkins' junit-10.xsd, without the parts
    # that Maven Surefire's schema lacks
    "testsuites": (set(), {"name", "time", "tests", "failures", "errors"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors"},
        {"time", "skipped", "timestamp", "hostname", "id", "package"},
        {"testcase", "properties", "system-out", "system-err"},
    ),
    "properties": (set(), set(), {"property"}),
    "property": ({"name", "value"}, set(), set()),
    "testcase": ({"name"}, {"classname", "time"}, {"failure", "error", "skipped", "system-out"}),
    "system-out": (set(), set(), set()),
    "failure": (set(), {"type", "message"}, set()),
    "error": (set(), {"type", "message"}, set()),
    "skipped": (set(), {"type", "message"}, set()),
}


def read(found: Report) -> dict[str, dict[str, list[object]]]:
    """Suite -> case -> its results, as junitparser reads them."""
    suites = JUnitXml.fromstring(junit_text(found).encode())
    return {suite.name: {case.name: list(case.result) for case in suite} for suite in suites}


def test_each_finding_is_a_failure_and_the_rest_passes() -> None:
    cases = read(everything())
    assert list(cases) == ["my-org@STAGING/app", "my-org@STAGING/quiet", "broken"]
    app = cases["my-org@STAGING/app"]
    assert [type(result) for result in app["processing/app#default_cpu"]] == [Failure]
    assert [type(result) for result in app["processing/app#description"]] == [Skipped]
    assert [type(result) for result in app["input/app/dataset"]] == [Error]
    assert app["image/reg.io/app"] == [], "it is in sync"
    assert "processing/app" not in app, "what has findings did not pass"
    assert set(map(len, cases["my-org@STAGING/quiet"].values())) == {0}
    assert [type(result) for result in cases["broken"]["files"]] == [Error]


def test_a_failure_names_the_change_and_the_command() -> None:
    (failure,) = read(everything())["my-org@STAGING/app"]["processing/app#default_cpu"]
    assert isinstance(failure, Failure)
    assert failure.type == "drift"
    assert failure.message == (
        "processing/app#default_cpu changed outside: in the files 4; last applied 4; live 64"
    )
    assert "apply the files: reconciler apply app --organization my-org --env STAGING" in str(failure.text)


def test_the_counts_are_those_of_the_cases() -> None:
    root = ET.fromstring(junit_text(everything()))
    app = root.find("testsuite")
    assert app is not None
    counts = {name: app.attrib[name] for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "7", "failures": "4", "errors": "1", "skipped": "1"}
    assert (root.attrib["tests"], root.attrib["failures"], root.attrib["errors"]) == ("11", "4", "2")


def test_the_document_matches_the_schemas() -> None:
    check_schema(ET.fromstring(junit_text(everything())))


def check_schema(root: ET.Element) -> None:
    for element in root.iter():
        must, may, children = SCHEMA[element.tag]
        assert must <= set(element.attrib) <= must | may
        assert {child.tag for child in element} <= children
        if element.tag == "testcase":
            results = [child for child in element if child.tag != "system-out"]
            assert len(results) <= 1, "some readers take the first result only"


def test_characters_outside_of_xml_are_escaped() -> None:
    found = read(report(stack_report(finding(path="a\x00b\ufffe", live=NASTY))))
    (failure,) = found["my-org@STAGING/app"][r"processing/app#a\x00b\ufffe"]
    assert isinstance(failure, Failure)
    assert "<script>hacked = 1</script>" in str(failure.message)
