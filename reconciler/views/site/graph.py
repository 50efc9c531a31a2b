"""The drawing of an organization: what its environments and pipelines share, and what is left over."""

from collections.abc import Iterator

from reconciler.views.counting import plural
from reconciler.views.reports.drawing import Drawing, Node
from reconciler.views.safe import is_web
from reconciler.views.site.documents import Summary
from reconciler.views.site_links import page_of
from state.register import kind_of

_MOST = 40
"""Boxes of a group; lists beside the drawing have all of them."""


def of_organization(summary: Summary) -> Drawing:
    """Environments in the order of promotion, shared models and images, orphans and unmanaged objects."""
    names = {column.name for column in summary.columns}
    edges = [(column.promote_from, column.name) for column in summary.columns if column.promote_from in names]
    nodes = [*_environments(summary)]
    shared = summary.shared[:_MOST]
    users = dict.fromkeys(name for one in shared for name in one.pipelines)
    nodes += [Node(_pipeline(name), "info", (), "Shared", page_of(name)) for name in users]
    for one in shared:
        tone, note = ("shared", "shared by") if kind_of(one.address) == "model" else ("bad", "one image of")
        notes = (f"{note} {plural(len(one.pipelines), 'pipeline')}", ", ".join(one.environments))
        nodes.append(Node(one.address, tone, notes, "Shared"))
        edges += [(_pipeline(name), one.address) for name in one.pipelines]
    nodes += _left_over(summary)
    return Drawing("the organization", tuple(nodes), tuple(edges))


def _pipeline(name: str) -> str:
    """The name of a node, which no environment and no resource has."""
    return f"pipeline {name}"


def _environments(summary: Summary) -> Iterator[Node]:
    for column in summary.columns:
        notes = [plural(summary.deployed[column.name], "pipeline")]
        if column.promote_from:
            notes.append(f"promoted from {column.promote_from}")
        sharing = {
            other: count
            for (first, second), count in sorted(summary.channels.items())
            for here, other in ((first, second), (second, first))
            if here == column.name
        }
        notes += [f"{plural(count, 'tag')} shared with {other}" for other, count in sharing.items()]
        yield Node(column.name, "warn" if sharing else "good", tuple(notes), "Environments")


def _left_over(summary: Summary) -> Iterator[Node]:
    for name, environment, folder in summary.orphans[:_MOST]:
        notes = (f"applied from {folder}",) if folder else ()
        yield Node(f"{name} in {environment}", "bad", notes, "Orphans", page_of(name))
    if (more := len(summary.orphans) - _MOST) > 0:
        yield Node(f"and {more:,} more orphans", "bad", (), "Orphans")
    count = 0
    for scope, objects in summary.drift.unmanaged.items():
        where = summary.names.get(scope, scope)
        for one in objects[: max(0, _MOST - count)]:
            yield Node(
                f"{one.address} in {where}",
                "muted",
                (where,),
                "Not managed",
                one.page if is_web(one.page) else "",
            )
        count += len(objects)
    if count > _MOST:
        yield Node(f"and {count - _MOST:,} more objects", "muted", (), "Not managed")
