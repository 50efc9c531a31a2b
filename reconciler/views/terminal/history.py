"""Records and their history, as a person and as a script read them. Decides nothing."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict

from rich.text import Text

from reconciler.core.values import JSON
from reconciler.views.counting import plural, short_commit
from reconciler.views.shown_values import shown
from reconciler.views.terminal.console import columns, indented
from state.changes import ABSENT, Absent, Changes, ResourceChange
from state.snapshot import Snapshot
from state.stores.base import HistoryEntry

_SYMBOLS = {"added": ("+", "green"), "changed": ("~", "yellow"), "removed": ("-", "red")}


def record_lines(snapshot: Snapshot) -> list[Text]:
    """The resources of a record with their fields, and the writes that are open."""
    lines = [
        Text.assemble((snapshot.stack, "bold"), f"  serial {snapshot.serial}, written {snapshot.written_at}")
    ]
    for resource in snapshot.resources.values():
        lines.append(Text.assemble((resource.address, "bold"), (f"  {resource.id}", "dim")))
        values = {**_flat(resource.inputs), **{f"outputs.{name}": v for name, v in resource.outputs.items()}}
        lines += _indented([Text(name, "dim"), Text(shown(value))] for name, value in values.items())
        if resource.depends_on:
            lines.append(indented(Text(f"depends on {', '.join(resource.depends_on)}", "dim"), 4))
    for intent in snapshot.intents.values():
        lines.append(
            Text.assemble(
                ("open: ", "yellow"), f"{intent.verb} ", (intent.address, "bold"), f" since {intent.since}"
            )
        )
    return lines


def run_lines(runs: Sequence[tuple[Sequence[HistoryEntry], Changes | None]]) -> list[Text]:
    """A block per run, of its saves, latest first, and what they changed together."""
    return _blocks([(_serials(saves), saves[0], changed) for saves, changed in runs], opened="left open")


def save_lines(saves: Sequence[tuple[HistoryEntry, Changes | None]]) -> list[Text]:
    """A block per save."""
    return _blocks([(str(entry.serial), entry, changed) for entry, changed in saves], opened="opened")


def _serials(saves: Sequence[HistoryEntry]) -> str:
    last, first = saves[0].serial, saves[-1].serial
    return str(last) if first == last else f"{first}-{last}"


def _blocks(blocks: Sequence[tuple[str, HistoryEntry, Changes | None]], *, opened: str) -> list[Text]:
    """Each with a line of serials, time, who, from where, the command; and below it what changed.

    Args:
        opened: what to say of writes that were begun, and not settled.
    """
    rows = [
        [
            Text(serials, "bold"),
            Text(entry.written_at, "dim"),
            Text(
                f"{entry.owner}@{entry.host}" if entry.owner else "without a lock",
                "" if entry.owner else "dim",
            ),
            Text(entry.command),
        ]
        for serials, entry, _ in blocks
    ]
    lines = []
    for line, (_, entry, changed) in zip(columns(rows), blocks, strict=True):
        lines.append(line)
        lines += [indented(found, 4) for found in _below(entry, changed, opened)]
    return lines


def change_lines(changed: Changes) -> list[Text]:
    """Each resource that differs, field by field."""
    lines: list[Text] = []
    for resource in changed.resources:
        lines.append(_headline(resource))
        lines += _indented(
            [Text(field.path, "dim"), Text(f"{_shown(field.before)} -> {_shown(field.after)}")]
            if resource.verb == "changed"
            else [
                Text(field.path, "dim"),
                Text(_shown(field.before if resource.verb == "removed" else field.after)),
            ]
            for field in resource.fields
        )
    lines += [Text.assemble(("opened: ", "yellow"), address) for address in changed.opened]
    lines += [Text.assemble(("settled: ", "green"), address) for address in changed.closed]
    return lines or [Text("no difference", "dim")]


def history_document(stack: str, saves: Sequence[tuple[HistoryEntry, Changes | None]]) -> JSON:
    return {
        "format": "reconciler/history",
        "version": 1,
        "stack": stack,
        "saves": [
            {**asdict(entry), "changes": changed and changes_document(changed)} for entry, changed in saves
        ],
    }


def diff_document(stack: str, before: int, after: int, changed: Changes) -> JSON:
    return {
        "format": "reconciler/record-diff",
        "version": 1,
        "stack": stack,
        "before": before,
        "after": after,
        **changes_document(changed),
    }


def changes_document(changed: Changes) -> Mapping[str, JSON]:
    """A side of a field that is not there is left out, as null is a value."""
    return {
        "resources": [
            {
                "address": resource.address,
                "change": resource.verb,
                "fields": [
                    {
                        "path": field.path,
                        **{
                            side: value
                            for side, value in (("before", field.before), ("after", field.after))
                            if value is not ABSENT
                        },
                    }
                    for field in resource.fields
                ],
            }
            for resource in changed.resources
        ],
        "opened": list(changed.opened),
        "settled": list(changed.closed),
    }


def _below(entry: HistoryEntry, changed: Changes | None, opened: str) -> list[Text]:
    lines = []
    if changed is None:
        lines.append(Text("content no longer kept, or damaged", "dim"))
    else:
        told = [_counted(resource) for resource in changed.resources]
        told += [Text.assemble((f"{opened} ", "yellow"), address) for address in changed.opened]
        lines += told or [Text("writes that were open are settled" if changed.closed else "nothing", "dim")]
    place = [f"commit {short_commit(entry.git_commit)}"] if entry.git_commit else []
    place += [entry.ci] if entry.ci else []
    return [*lines, Text("  ".join(place), "dim")] if place else lines


def _counted(resource: ResourceChange) -> Text:
    line = _headline(resource)
    return (
        line.append(f"  {plural(len(resource.fields), 'field')}", "dim")
        if resource.verb == "changed"
        else line
    )


def _headline(resource: ResourceChange) -> Text:
    symbol, style = _SYMBOLS[resource.verb]
    return Text.assemble((f"{symbol} ", style), (resource.address, "bold"))


def _flat(fields: Mapping[str, JSON]) -> dict[str, JSON]:
    """Keyed fields key by key, as a plan shows them."""
    flat: dict[str, JSON] = {}
    for name, value in fields.items():
        keyed = isinstance(value, dict) and value
        flat |= {f"{name}.{key}": item for key, item in value.items()} if keyed else {name: value}
    return flat


def _indented(rows: Iterable[Sequence[Text]]) -> list[Text]:
    return [indented(line, 4) for line in columns(rows)]


def _shown(value: JSON | Absent) -> str:
    return "(none)" if isinstance(value, Absent) else shown(value)
