"""Graphs of resources as Mermaid, Graphviz DOT and SVG, for files, plans and drift reports.

All formats are drawn from one `Drawing`. The SVG needs no other program; HTML pages contain it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape as escape_html

from reconciler.core.graph import Graph, ordered
from reconciler.core.plan import Action, Plan, Step
from reconciler.core.values import Address
from reconciler.drift.findings import Finding, StackReport
from reconciler.views.phrases import TONES, Audience, reason, state
from reconciler.views.safe import escape_match, one_line

PALETTE = {
    # tone: light background, border and text; then the same for dark
    "plain": ("#f6f8fa", "#8c959f", "#1f2328", "#21262d", "#6e7681", "#e6edf3"),
    "good": ("#e6f6ea", "#1a7f37", "#0f5323", "#12301b", "#3fb950", "#aff5b4"),
    "info": ("#e7f1fd", "#0969da", "#0a3f83", "#10294a", "#58a6ff", "#cae8ff"),
    "warn": ("#fff5d6", "#9a6700", "#633c01", "#332a10", "#d29922", "#f8e3a1"),
    "bad": ("#ffebe9", "#cf222e", "#82071e", "#3d1418", "#f85149", "#ffdcd7"),
    "muted": ("#f6f8fa", "#d0d7de", "#59636e", "#161b22", "#3d444d", "#9198a1"),
    "unknown": ("#fbefff", "#8250df", "#512a97", "#271c3f", "#a371f7", "#e2c5ff"),
}
_CHARACTER, _ROW, _HEIGHT, _GAP, _LONGEST = 7.3, 52, 40, 56, 46  # pixels, and characters of a label


@dataclass(frozen=True, slots=True)
class Node:
    """One resource with its tone (a key of PALETTE) and a note."""

    address: Address
    tone: str = "plain"
    note: str = ""


@dataclass(frozen=True, slots=True)
class Drawing:
    """Nodes, each after those it depends on, and edges from a resource to what depends on it."""

    title: str
    nodes: tuple[Node, ...]
    edges: tuple[tuple[Address, Address], ...]


def of_files(title: str, graph: Graph) -> Drawing:
    """The resources in the files."""
    needs = {resource.address: resource.depends_on for resource in graph}
    return Drawing(title, tuple(Node(address) for address in ordered(needs)), _edges(needs))


def of_plan(plan: Plan) -> Drawing:
    """The resources of a plan with their actions."""
    return _drawn(plan, [_of_step(step) for step in plan.steps])


def of_report(stack: StackReport) -> Drawing:
    """The resources of a stack with their findings. The worst finding gives the tone."""
    unread = {Address.parse(problem.address) for problem in stack.unchecked if problem.address}
    nodes = [
        _of_findings(step.address, stack.findings) for step in stack.plan.steps if step.address not in unread
    ]
    return _drawn(
        stack.plan, [*nodes, *(Node(address, "unknown", "not checked") for address in sorted(unread))]
    )


def _of_step(step: Step) -> Node:
    word = "unchanged" if step.action is Action.NOOP else step.action.word
    stopped = "refused" if step.refusal else "conflict" if step.conflicts else ""
    return Node(step.address, "bad" if stopped else TONES[step.action.word], f"{word}, {stopped}".strip(", "))


def _of_findings(address: Address, findings: Iterable[Finding]) -> Node:
    own = [finding for finding in findings if finding.address == address]
    if not own:
        return Node(address, TONES["in-sync"], "in sync")
    first, others = own[0], len(own) - 1
    more = f" and {others} more" if others else ""
    subject = first.change.path or reason(first.change.reason, Audience.DRIFT)
    return Node(address, TONES[state(first)], f"{state(first)}: {subject}{more}")


def mermaid(drawing: Drawing) -> str:
    """A Mermaid flowchart, as GitHub and GitLab draw it."""
    names = {node.address: f"n{index}" for index, node in enumerate(drawing.nodes)}
    lines = ["flowchart LR"]
    for node in drawing.nodes:
        text = "<br/>".join(_for_mermaid(part) for part in (str(node.address), node.note) if part)
        lines.append(f'    {names[node.address]}["{text}"]')
    lines += [f"    {names[above]} --> {names[below]}" for above, below in drawing.edges]
    for tone in sorted({node.tone for node in drawing.nodes}):
        fill, border, ink = PALETTE[tone][:3]
        members = ",".join(names[node.address] for node in drawing.nodes if node.tone == tone)
        lines.append(f"    classDef {tone} fill:{fill},stroke:{border},color:{ink}")
        lines.append(f"    class {members} {tone}")
    return "\n".join(lines) + "\n"


def dot(drawing: Drawing) -> str:
    """A Graphviz digraph."""
    lines = [
        f"digraph {_for_dot(drawing.title)} {{",
        "    rankdir=LR",
        '    node [shape=box, style="rounded,filled", fontname="monospace", fontsize=11]',
    ]
    for node in drawing.nodes:
        fill, border, ink = PALETTE[node.tone][:3]
        label = _for_dot(*(part for part in (str(node.address), node.note) if part))
        colours = f'fillcolor="{fill}", color="{border}", fontcolor="{ink}"'
        lines.append(f"    {_for_dot(str(node.address))} [label={label}, {colours}]")
    lines += [f"    {_for_dot(str(above))} -> {_for_dot(str(below))}" for above, below in drawing.edges]
    return "\n".join([*lines, "}"]) + "\n"


def svg(drawing: Drawing, *, alone: bool = True) -> str:
    """A drawing from left to right, with a column for each distance from the first resource.

    Args:
        alone: include the colours, light and dark. False for a page that has `style()`.
    """
    columns = _columns(drawing)
    widths = [max(_width(node) for node in column) for column in columns]
    height = max((len(column) for column in columns), default=0) * _ROW - (_ROW - _HEIGHT) + 8
    at: dict[Address, tuple[float, float, float]] = {}  # left, top, width
    left = 4.0
    for column, width in zip(columns, widths, strict=True):
        for index, node in enumerate(column):
            at[node.address] = (left, 4.0 + index * _ROW, width)
        left += width + _GAP
    width = max(left - _GAP + 4, 8)
    title = escape(f"Resources of {drawing.title}")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="graph" role="img" aria-label="{title}" '
        f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}">'
    ]
    if alone:
        parts.append(f"<style>{style()}</style>")
    parts += [_edge(at[above], at[below]) for above, below in drawing.edges]
    parts += [_box(node, *at[node.address]) for column in columns for node in column]
    return "\n".join([*parts, "</svg>"]) + "\n"


def style() -> str:
    """The CSS of a drawing and of all tones."""
    light = " ".join(_colours(tone, *colours[:3]) for tone, colours in PALETTE.items())
    dark = " ".join(_colours(tone, *colours[3:]) for tone, colours in PALETTE.items())
    return (
        f"{light} @media (prefers-color-scheme: dark) {{ {dark} }} "
        ".graph text { font: 12px ui-monospace, Consolas, monospace; fill: var(--ink) } "
        ".graph .note { font-size: 11px; opacity: .8 } "
        ".graph rect { fill: var(--fill); stroke: var(--line); stroke-width: 1.5 } "
        ".graph path { fill: none; stroke: #8c959f; stroke-width: 1.5 } "
        ".graph .unknown rect { stroke-dasharray: 5 3 }"
    )


def _colours(tone: str, fill: str, line: str, ink: str) -> str:
    return f".{tone} {{ --fill: {fill}; --line: {line}; --ink: {ink} }}"


def _edges(needs: Mapping[Address, Iterable[Address]]) -> tuple[tuple[Address, Address], ...]:
    """The edges between drawn resources, from a dependency to its dependant."""
    return tuple((above, below) for below, many in needs.items() for above in many if above in needs)


def _drawn(plan: Plan, nodes: Iterable[Node]) -> Drawing:
    """The drawing of a plan. Edges lead from a resource to its children, even if these are deleted first."""
    edges = []
    for above, below in _edges({step.address: step.depends_on for step in plan.steps}):
        first = plan.step(above)
        goes = first is not None and first.action in (Action.DELETE, Action.FORGET)
        edges.append((below, above) if goes and below.name == above.name[:-1] else (above, below))
    of_address = {node.address: node for node in nodes}
    needs = {address: [above for above, below in edges if below == address] for address in of_address}
    return Drawing(plan.stack.label, tuple(of_address[address] for address in ordered(needs)), tuple(edges))


def _columns(drawing: Drawing) -> list[list[Node]]:
    """The nodes by their distance from the first ones, each near its dependencies."""
    depth: dict[Address, int] = {}
    row: dict[Address, float] = {}
    above: dict[Address, list[Address]] = {node.address: [] for node in drawing.nodes}
    for upper, lower in drawing.edges:
        above[lower].append(upper)
    for node in drawing.nodes:
        depth[node.address] = max((depth[upper] + 1 for upper in above[node.address]), default=0)
    columns: list[list[Node]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for node in drawing.nodes:
        columns[depth[node.address]].append(node)
    for column in columns:
        column.sort(
            key=lambda node: (
                sum(row[upper] for upper in above[node.address]) / (len(above[node.address]) or 1)
            )
        )
        row.update({node.address: index for index, node in enumerate(column)})
    return columns


def _width(node: Node) -> float:
    longest = max(len(_cut(str(node.address))), len(_cut(node.note)))
    return round(longest * _CHARACTER + 20)


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _edge(start: tuple[float, float, float], end: tuple[float, float, float]) -> str:
    x, y = start[0] + start[2], start[1] + _HEIGHT / 2
    right, down = end[0], end[1] + _HEIGHT / 2
    middle = (x + right) / 2
    return f'<path d="M{x:g} {y:g}C{middle:g} {y:g} {middle:g} {down:g} {right:g} {down:g}"/>'


def _box(node: Node, left: float, top: float, width: float) -> str:
    full = escape(f"{node.address} {node.note}".strip())
    first = top + (17 if node.note else 24)
    text = f'<text x="{left + 10:g}" y="{first:g}">{escape(_cut(str(node.address)))}</text>'
    if node.note:
        text += f'<text class="note" x="{left + 10:g}" y="{top + 32:g}">{escape(_cut(node.note))}</text>'
    box = f'<rect x="{left:g}" y="{top:g}" width="{width:g}" height="{_HEIGHT}" rx="6"/>'
    return f'<g class="{node.tone}"><title>{full}</title>{box}{text}</g>'


def escape(text: str) -> str:
    """Text escaped for SVG."""
    return _XML.sub(escape_match, escape_html(one_line(text)))


_XML = re.compile("[\ufffe\uffff]")


def _for_mermaid(text: str) -> str:
    """Text for a label. Characters with a meaning in Mermaid, Markdown or HTML become their numbers."""
    return "".join(c if c.isalnum() or c in " /.:,_-=+@%" else f"#{ord(c)};" for c in one_line(text))


def _for_dot(*lines: str) -> str:
    """Lines of a label or a name. Graphviz reads HTML entities in it."""
    escaped_lines = (
        one_line(line).replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"') for line in lines
    )
    label = "\\n".join(escaped_lines)
    return f'"{label}"'
