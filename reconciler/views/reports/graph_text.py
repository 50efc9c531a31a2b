"""Drawings as Mermaid and Graphviz DOT."""

from collections.abc import Iterator, Mapping

from reconciler.views.reports.drawing import PALETTE, Drawing, Node
from reconciler.views.safe import one_line


def mermaid(drawing: Drawing) -> str:
    """A Mermaid flowchart, as GitHub and GitLab draw it."""
    names = {node.name: f"n{index}" for index, node in enumerate(drawing.nodes)}
    lines = ["flowchart LR"]
    for index, (heading, nodes) in enumerate(drawing.groups.items()):
        boxes = [f'    {names[node.name]}["{_for_mermaid(*node.lines)}"]' for node in nodes]
        boxes += [f"    {' ~~~ '.join(row)}" for row in _chains(drawing, nodes, names)]
        start = f'    subgraph g{index}["{_for_mermaid(heading)}"]'
        lines += _within(["    direction LR", *boxes], start, "    end") if heading else boxes
        if heading:
            lines.append(f"    style g{index} fill:none,stroke:none")
    lines += [f"    {names[above]} --> {names[below]}" for above, below in drawing.edges]
    for tone in sorted({node.tone for node in drawing.nodes}):
        fill, border, ink = PALETTE[tone][:3]
        members = ",".join(names[node.name] for node in drawing.nodes if node.tone == tone)
        lines.append(f"    classDef {tone} fill:{fill},stroke:{border},color:{ink}")
        lines.append(f"    class {members} {tone}")
    return "\n".join(lines) + "\n"


def dot(drawing: Drawing) -> str:
    """A Graphviz digraph."""
    names = {node.name: _for_dot(node.name) for node in drawing.nodes}
    lines = [
        f"digraph {_for_dot(drawing.title)} {{",
        "    rankdir=LR",
        '    node [shape=box, style="rounded,filled", fontname="monospace", fontsize=11]',
    ]
    for index, (heading, nodes) in enumerate(drawing.groups.items()):
        boxes = [
            f"    {names[node.name]} [label={_for_dot(*node.lines)}, {_colours(node)}]" for node in nodes
        ]
        boxes += [f"    {' -> '.join(row)} [style=invis]" for row in _chains(drawing, nodes, names)]
        start = f"    subgraph cluster_{index} {{ label={_for_dot(heading)}; color=none"
        lines += _within(boxes, start, "    }") if heading else boxes
    lines += [f"    {names[above]} -> {names[below]}" for above, below in drawing.edges]
    return "\n".join([*lines, "}"]) + "\n"


def _chains(drawing: Drawing, nodes: list[Node], names: Mapping[str, str]) -> Iterator[list[str]]:
    """Rows of nodes without an edge. Invisible edges keep a row in one row."""
    for row in drawing.rows(nodes):
        if len(row) > 1:
            yield [names[node.name] for node in row]


def _within(lines: list[str], start: str, end: str) -> list[str]:
    """The lines of a group with a heading, indented."""
    return [start, *(f"    {line}" for line in lines), end]


def _colours(node: Node) -> str:
    fill, border, ink = PALETTE[node.tone][:3]
    return f'fillcolor="{fill}", color="{border}", fontcolor="{ink}"'


def _for_mermaid(*lines: str) -> str:
    """Lines of a label. Characters with a meaning in Mermaid, Markdown or HTML become their numbers."""
    return "<br/>".join(
        "".join(c if c.isalnum() or c in " /.:,_-=+@%" else f"#{ord(c)};" for c in one_line(line))
        for line in lines
        if line
    )


def _for_dot(*lines: str) -> str:
    """Lines of a label or a name. Graphviz reads HTML entities in it."""
    escaped_lines = (
        one_line(line).replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"') for line in lines
    )
    label = "\\n".join(escaped_lines)
    return f'"{label}"'
