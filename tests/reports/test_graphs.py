"""Graphs, read by Graphviz, a browser and Mermaid's grammar."""

import re
import subprocess
from xml.etree import ElementTree as ET

import pytest

from providers.reasons import Reason
from providers.sandbox import Sandbox
from reconciler.core.graph import Graph, Resource
from reconciler.core.plan import Action, Plan, Step
from reconciler.core.reasons import ReasonCode
from reconciler.core.values import Address
from reconciler.views.reports.graphs import Drawing, dot, mermaid, of_files, of_plan, of_report, svg
from tests.conftest import Cli, copy_example
from tests.reports.conftest import NASTY, STACK, everything

SVG = "{http://www.w3.org/2000/svg}"
NODE = r'n\d+\["(?:[\w /.:,=+@%-]|#\d+;|<br/>)+"\]'
MERMAID = re.compile(
    rf"flowchart LR\n(?:    {NODE}\n)*(?:    n\d+ --> n\d+\n)*"
    r"(?:    classDef \w+ fill:#\w{6},stroke:#\w{6},color:#\w{6}\n    class n\d+(?:,n\d+)* \w+\n)*"
)
"""Of flow.jison the lines that are used here, and of a label only what Mermaid takes as it is."""

GONE = Reason(ReasonCode.GONE)


@pytest.fixture
def drawing() -> Drawing:
    return of_report(everything().stacks[0])


def test_graphviz_draws_every_node_and_edge(drawing: Drawing, graphviz: str) -> None:
    done = subprocess.run(
        [graphviz, "-Tsvg"], input=dot(drawing), capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""
    drawn = ET.fromstring(done.stdout)
    groups = [group.attrib["class"] for group in drawn.iter(f"{SVG}g")]
    assert (groups.count("node"), groups.count("edge")) == (len(drawing.nodes), len(drawing.edges))
    titles = {title.text for title in drawn.iter(f"{SVG}title")}
    assert {str(node.address) for node in drawing.nodes} <= titles


def test_graphviz_reads_any_text_unchanged(graphviz: str) -> None:
    odd = Address("kind", (NASTY,))
    graph = of_files(NASTY, Graph([Resource(odd, {})]))
    done = subprocess.run(
        [graphviz, "-Tdot_json"], input=dot(graph), capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""


def test_mermaid_gets_valid_lines(drawing: Drawing) -> None:
    text = mermaid(drawing)
    assert MERMAID.fullmatch(text), text
    assert len(re.findall(NODE, text)) == len(drawing.nodes)
    assert text.count(" --> ") == len(drawing.edges)


def test_the_svg_is_complete_and_has_no_overlaps(drawing: Drawing) -> None:
    drawn = ET.fromstring(svg(drawing))
    boxes = [
        tuple(float(box.attrib[a]) for a in ("x", "y", "width", "height")) for box in drawn.iter(f"{SVG}rect")
    ]
    assert len(boxes) == len(drawing.nodes)
    for index, (x, y, width, height) in enumerate(boxes):
        assert 0 <= x <= x + width <= float(drawn.attrib["width"])
        assert 0 <= y <= y + height <= float(drawn.attrib["height"])
        for left, top, wide, high in boxes[:index]:
            assert x >= left + wide or left >= x + width or y >= top + high or top >= y + height
    assert drawn.find(f"{SVG}style") is not None
    assert "script" not in {element.tag for element in drawn.iter()}


def test_findings_have_a_colour_and_words(drawing: Drawing) -> None:
    shown = {str(node.address): (node.tone, node.note) for node in drawing.nodes}
    assert shown["processing/app"] == ("bad", "drift: default_cpu and 3 more")
    assert shown["image/reg.io/app"] == ("good", "in sync")


def test_inputs_come_after_their_parent_even_if_deleted_first() -> None:
    app, below = Address.of("processing", "app"), Address.of("input", "app", "x")
    steps = (Step(below, Action.DELETE, GONE), Step(app, Action.DELETE, GONE, depends_on=(below,)))
    assert of_plan(Plan(STACK, "", 0, steps)).edges == ((app, below),)


def test_the_command_draws_the_files_offline_and_a_plan_in_colour(
    cli: Cli, sandbox: Sandbox, graphviz: str
) -> None:
    copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    sandbox.clear_requests()
    ended = cli("graph", "dataset_cleanup")
    assert (ended.code, ended.err) == (0, "")
    assert MERMAID.fullmatch(ended.out)
    assert ended.out.count(" --> ") == 6
    assert ET.fromstring(cli("graph", "dataset_cleanup", "--format", "svg").out).tag == f"{SVG}svg"
    assert sandbox.requests() == []
    cli("plan", "dataset_cleanup", "--out", "saved.plan")
    drawn = cli("graph", "--plan", "saved.plan", "--format", "dot")
    assert drawn.out.count("create") == 7
    subprocess.run(
        [graphviz, "-Tsvg"], input=drawn.out, capture_output=True, text=True, check=True, timeout=60
    )
    assert cli("graph", "dataset_cleanup", "--plan", "saved.plan").code == 2
    assert cli("graph", "nowhere").code == 1
