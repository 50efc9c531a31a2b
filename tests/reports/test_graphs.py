"""Graphs, read by Graphviz, a browser and Mermaid's grammar."""

import json
import re
import runpy
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from providers.reasons import Reason
from providers.sandbox import Sandbox
from reconciler.core.graph import Graph, Resource
from reconciler.core.plan import Action, Plan, Step
from reconciler.core.reasons import ReasonCode
from reconciler.core.values import Address
from reconciler.views.reports.drawing import Drawing, Node
from reconciler.views.reports.graph_text import dot, mermaid
from reconciler.views.reports.graphs import of_files, of_plan, of_report
from reconciler.views.reports.svg import svg
from tests.conftest import Cli, copy_example
from tests.reports.conftest import NASTY, STACK, everything

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(config.parent.name for config in (ROOT / "examples").glob("*/config.toml"))
SVG = "{http://www.w3.org/2000/svg}"
NODE = r'n\d+\["(?:[\w /.:,=+@%-]|#\d+;|<br/>)+"\]'
BOXES = rf"(?:    {NODE}\n)*(?:    n\d+(?: ~~~ n\d+)+\n)*"
GROUP = r'    subgraph g\d+\["\w+"\]\n        direction LR\n(?:        .+\n)+    end\n    style g\d+ .+\n'
MERMAID = re.compile(
    rf"flowchart LR\n(?:{BOXES}|(?:{GROUP})+)(?:    n\d+ --> n\d+\n)*"
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
    assert {node.name for node in drawing.nodes} <= titles


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
    check_svg(drawing)


def check_svg(drawing: Drawing) -> None:
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
    shown = {node.name: (node.tone, node.notes) for node in drawing.nodes}
    assert shown["processing/app"] == ("bad", ("drift: default_cpu and 3 more",))
    assert shown["image/reg.io/app"] == ("good", ("in sync",))


def test_inputs_come_after_their_parent_even_if_deleted_first() -> None:
    app, below = Address.of("processing", "app"), Address.of("input", "app", "x")
    steps = (Step(below, Action.DELETE, GONE), Step(app, Action.DELETE, GONE, depends_on=(below,)))
    assert of_plan(Plan(STACK, "", 0, steps)).edges == ((str(app), str(below)),)


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
    for other in ("dataset_cleanup", "--all", "--stale"):
        assert cli("graph", other, "--plan", "saved.plan").code == 2
    assert cli("graph", "nowhere").code == 1


def alone(count: int) -> Drawing:
    """Boxes without an edge, below two headings."""
    nodes = [
        Node(f"pipelines/segmentation_{index}", "plain", ("note",) * (index % 4), "AB"[index * 2 // count])
        for index in range(count)
    ]
    return Drawing("many", tuple(nodes), ())


@pytest.mark.parametrize("count", [2, 5, 34, 300])
def test_boxes_without_an_edge_stand_in_rows(count: int, graphviz: str) -> None:
    drawing = alone(count)
    check_svg(drawing)
    assert MERMAID.fullmatch(mermaid(drawing))
    size = ET.fromstring(svg(drawing)).attrib
    assert float(size["height"]) <= max(400, 3 * float(size["width"]))
    done = subprocess.run(
        [graphviz, "-Tplain"], input=dot(drawing), capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr == ""
    assert len(re.findall("^node ", done.stdout, re.MULTILINE)) == count


def test_a_selection_is_drawn_with_what_its_pipelines_share(
    cli: Cli, sandbox: Sandbox, graphviz: str
) -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "pictures"))
    for name in EXAMPLES:
        copy_example(name, cli.folder, sandbox.registry)
    script["organize"](cli.folder)
    sandbox.clear_requests()

    ended = cli("graph", "--all", "--format", "dot")

    assert (ended.code, ended.err) == (0, "")
    assert sandbox.requests() == []
    done = subprocess.run(
        [graphviz, "-Tdot_json"], input=ended.out, capture_output=True, text=True, check=True, timeout=60
    )
    drawn = json.loads(done.stdout)
    name = {one["_gvid"]: one["name"] for one in drawn["objects"]}
    edges = [
        (name[edge["tail"]], name[edge["head"]]) for edge in drawn["edges"] if edge.get("style") != "invis"
    ]
    assert edges == [
        ("LIVE", "EU"),
        ("multi_training", "model/SiteDetector"),
        ("yolov8_training", "model/SiteDetector"),
    ]
    labels = {one["name"]: one["label"].split("\\n") for one in drawn["objects"]}
    assert labels["EU"] == ["EU", "channel live", "follows LIVE"]
    assert labels["dataset_cleanup"] == [
        "dataset_cleanup",
        "DATASET_VERSION_CREATION 1.0.0",
        f"image/{sandbox.registry}/examples/dataset_cleanup",
        "processing/dataset_cleanup",
    ]
    assert {*EXAMPLES} < {*labels}
    assert MERMAID.fullmatch(cli("graph", "--all").out)
    two = cli("graph", "multi_training", "yolov8_training").out
    assert "model/SiteDetector" in two and "dataset_cleanup" not in two
    assert cli("graph", "--group", "none").code == 1
