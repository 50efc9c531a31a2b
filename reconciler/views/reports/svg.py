"""Drawings as SVG. It needs no other program, and HTML pages contain it."""

from collections.abc import Iterable
from html import escape as escape_html

from msgspec import Struct

from providers.patterns import pattern
from reconciler.views.reports.drawing import PALETTE, Drawing, Node
from reconciler.views.safe import escape_match, one_line

_MARGIN, _PADDING = 4.0, 10.0  # pixels
_NAME, _NOTE, _WIDEST = 7.3, 6.7, 336.0  # pixels: a character of a name and of a note, and a line
_BETWEEN_COLUMNS, _BETWEEN_BOXES, _BETWEEN_GROUPS, _HEADING = 56.0, 12.0, 28.0, 26.0  # pixels
_HEIGHT, _LINE = 40.0, 15.0  # pixels: a box of up to two lines, and each further line


class _Box(Struct, frozen=True):
    """A node in its place, in pixels."""

    node: Node
    left: float
    top: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def bottom(self) -> float:
        return self.top + self.height

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


def svg(drawing: Drawing, *, alone: bool = True) -> str:
    """A drawing from left to right, with a column for each distance from the first node.

    Nodes without an edge follow in rows.

    Args:
        alone: include the colours, light and dark. False for a page that has `style()`.
    """
    boxes: dict[str, _Box] = {}
    headings = []
    top = _MARGIN
    for heading, nodes in drawing.groups.items():
        if heading:
            headings.append(
                f'<text class="heading" x="{_MARGIN:g}" y="{top + 12:g}">{escape(heading)}</text>'
            )
            top += _HEADING
        placed = _placed(drawing, nodes, top)
        boxes |= {box.node.name: box for box in placed}
        top = max(box.bottom for box in placed) + _BETWEEN_GROUPS
    width = max((box.right for box in boxes.values()), default=_MARGIN) + _MARGIN
    height = max((box.bottom for box in boxes.values()), default=_MARGIN) + _MARGIN
    title = escape(f"Resources of {drawing.title}")
    role = "group" if any(node.link for node in drawing.nodes) else "img"  # a picture has no links
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="graph" role="{role}" aria-label="{title}" '
        f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}">'
    ]
    if alone:
        parts.append(f"<style>{style()}</style>")
    parts += headings
    parts += [_edge(boxes[above], boxes[below]) for above, below in drawing.edges]
    parts += map(_drawn, boxes.values())
    return "\n".join([*parts, "</svg>"]) + "\n"


def style() -> str:
    """The CSS of a drawing and of all tones."""
    light = " ".join(_colours(tone, *colours[:3]) for tone, colours in PALETTE.items())
    dark = " ".join(_colours(tone, *colours[3:]) for tone, colours in PALETTE.items())
    return (
        f"{light} .graph {{ --heading: #59636e }} "
        f"@media (prefers-color-scheme: dark) {{ {dark} .graph {{ --heading: #9198a1 }} }} "
        ".graph text { font: 12px ui-monospace, Consolas, monospace; fill: var(--ink) } "
        ".graph .note { font-size: 11px; opacity: .8 } "
        ".graph .title { font-weight: 600 } "
        ".graph .heading { font: 600 13px system-ui, sans-serif; fill: var(--heading) } "
        ".graph rect { fill: var(--fill); stroke: var(--line); stroke-width: 1.5 } "
        ".graph path { fill: none; stroke: #8c959f; stroke-width: 1.5 } "
        ".graph .unknown rect { stroke-dasharray: 5 3 }"
    )


def _colours(tone: str, fill: str, line: str, ink: str) -> str:
    return f".{tone} {{ --fill: {fill}; --line: {line}; --ink: {ink} }}"


def _placed(drawing: Drawing, nodes: list[Node], top: float) -> list[_Box]:
    """The boxes of a group: connected ones in columns, and below them the others in rows."""
    rows = drawing.rows(nodes)
    alone = {node.name for row in rows for node in row}
    columns = _columns([node for node in nodes if node.name not in alone], drawing.edges)
    widths = [_widest(column) for column in columns]
    wide = max((_widest(row) for row in rows), default=0.0)
    if widths:
        wide = widths[0] = max(wide, widths[0])
    boxes = []
    for part in _parts(columns, drawing.edges):
        heights = [sum(_height(node) + _BETWEEN_BOXES for node in column) for column in part]
        left = _MARGIN
        for column, height, width in zip(part, heights, widths, strict=True):
            below = top + (max(heights) - height) / 2
            for node in column:
                boxes.append(_Box(node, left, below, width, _height(node)))
                below += _height(node) + _BETWEEN_BOXES
            left += width + _BETWEEN_COLUMNS
        top += max(heights)
    for row in rows:
        height = max(map(_height, row))
        for index, node in enumerate(row):
            boxes.append(_Box(node, _MARGIN + index * (wide + _BETWEEN_BOXES), top, wide, height))
        top += height + _BETWEEN_BOXES
    return boxes


def _columns(nodes: Iterable[Node], edges: Iterable[tuple[str, str]]) -> list[list[Node]]:
    """The nodes by their distance from the first ones, each near its dependencies."""
    above: dict[str, list[str]] = {node.name: [] for node in nodes}
    depth: dict[str, int] = {}
    row: dict[str, float] = {}
    for upper, lower in edges:
        if lower in above:
            above[lower].append(upper)
    columns: list[list[Node]] = []
    for node in nodes:
        depth[node.name] = max((depth[upper] + 1 for upper in above[node.name]), default=0)
        columns += [[] for _ in range(len(columns), depth[node.name] + 1)]
        columns[depth[node.name]].append(node)
    for column in columns:
        column.sort(
            key=lambda node: sum(row[upper] for upper in above[node.name]) / (len(above[node.name]) or 1)
        )
        row.update({node.name: index for index, node in enumerate(column)})
    return columns


def _parts(columns: list[list[Node]], edges: Iterable[tuple[str, str]]) -> list[list[list[Node]]]:
    """The columns of each connected part of a drawing, in the order of their first nodes."""
    part = {node.name: frozenset((node.name,)) for column in columns for node in column}
    for upper, lower in edges:
        if lower in part and part[upper] is not part[lower]:
            joined = part[upper] | part[lower]
            part |= dict.fromkeys(joined, joined)
    return [
        [[node for node in column if node.name in members] for column in columns]
        for members in dict.fromkeys(part.values())
    ]


def _widest(nodes: Iterable[Node]) -> float:
    lines = [(line, _NOTE) for node in nodes for line in node.notes] + [(node.name, _NAME) for node in nodes]
    longest = max((len(_cut(line, character)) * character for line, character in lines), default=0.0)
    return round(longest + 2 * _PADDING)


def _height(node: Node) -> float:
    return _HEIGHT + _LINE * max(len(node.notes) - 1, 0)


def _cut(text: str, character: float) -> str:
    """The text, cut to the width of a line.

    Args:
        character: the width of a character, in pixels.
    """
    most = int(_WIDEST / character)
    return text if len(text) <= most else text[: most - 1] + "…"


def _edge(start: _Box, end: _Box) -> str:
    middle = (start.right + end.left) / 2
    return (
        f'<path d="M{start.right:g} {start.middle:g}C{middle:g} {start.middle:g} '
        f'{middle:g} {end.middle:g} {end.left:g} {end.middle:g}"/>'
    )


def _drawn(box: _Box) -> str:
    node, left = box.node, box.left + _PADDING
    full = escape(" ".join(node.lines))
    first = box.top + (17 if node.notes else 24)
    kind = ' class="title"' if node.group else ""
    text = f'<text{kind} x="{left:g}" y="{first:g}">{escape(_cut(node.name, _NAME))}</text>'
    for index, note in enumerate(node.notes, 1):
        baseline = first + _LINE * index
        text += f'<text class="note" x="{left:g}" y="{baseline:g}">{escape(_cut(note, _NOTE))}</text>'
    rectangle = (
        f'<rect x="{box.left:g}" y="{box.top:g}" width="{box.width:g}" height="{box.height:g}" rx="6"/>'
    )
    drawn = f'<g class="{node.tone}"><title>{full}</title>{rectangle}{text}</g>'
    return f'<a href="{escape(node.link)}">{drawn}</a>' if node.link else drawn


def escape(text: str) -> str:
    """Text escaped for SVG."""
    return _XML.sub(escape_match, escape_html(one_line(text)))


_XML = pattern("[\ufffe\uffff]")
