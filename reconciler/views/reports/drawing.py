"""Boxes and arrows, as data. `svg` and `graph_text` write them."""

import math
from collections.abc import Iterable

from msgspec import Struct

PALETTE = {
    # tone: light background, border and text; then the same for dark
    "plain": ("#f6f8fa", "#8c959f", "#1f2328", "#21262d", "#6e7681", "#e6edf3"),
    "good": ("#e6f6ea", "#1a7f37", "#0f5323", "#12301b", "#3fb950", "#aff5b4"),
    "info": ("#e7f1fd", "#0969da", "#0a3f83", "#10294a", "#58a6ff", "#cae8ff"),
    "warn": ("#fff5d6", "#9a6700", "#633c01", "#332a10", "#d29922", "#f8e3a1"),
    "bad": ("#ffebe9", "#cf222e", "#82071e", "#3d1418", "#f85149", "#ffdcd7"),
    "muted": ("#f6f8fa", "#d0d7de", "#59636e", "#161b22", "#3d444d", "#9198a1"),
    "shared": ("#fbefff", "#8250df", "#512a97", "#271c3f", "#a371f7", "#e2c5ff"),
    "unknown": ("#fbefff", "#8250df", "#512a97", "#271c3f", "#a371f7", "#e2c5ff"),
}
_SHORTEST_ROW = 3
_RATIO = 3  # of the width of a node to its height


class Node(Struct, frozen=True):
    """One box of a drawing.

    Attributes:
        name: its first line, unique in the drawing.
        tone: a key of PALETTE.
        notes: further lines.
        group: the heading that it is drawn below; "" for none. An edge stays within a group.
        link: the page that it leads to, relative to that of the drawing; "" for none.
    """

    name: str
    tone: str = "plain"
    notes: tuple[str, ...] = ()
    group: str = ""
    link: str = ""

    @property
    def lines(self) -> tuple[str, ...]:
        return (self.name, *self.notes)


class Drawing(Struct, frozen=True):
    """Nodes, each after those it depends on, and edges from a node to what depends on it, by name."""

    title: str
    nodes: tuple[Node, ...]
    edges: tuple[tuple[str, str], ...]

    @property
    def groups(self) -> dict[str, list[Node]]:
        """The nodes by heading, in the order of first appearance."""
        groups: dict[str, list[Node]] = {}
        for node in self.nodes:
            groups.setdefault(node.group, []).append(node)
        return groups

    def rows(self, nodes: Iterable[Node]) -> list[list[Node]]:
        """Those of the nodes without an edge, in rows that make about a square."""
        connected = {name for edge in self.edges for name in edge}
        alone = [node for node in nodes if node.name not in connected]
        length = max(_SHORTEST_ROW, round(math.sqrt(len(alone) / _RATIO)))
        return [alone[start : start + length] for start in range(0, len(alone), length)]
