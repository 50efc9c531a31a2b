"""State and its history, as lines for people and as documents for scripts."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import asdict

from providers.json_value import JSON
from reconciler.core.recorded_runs import RecordedRun, RunOutcome
from reconciler.views.counting import plural, short_commit
from reconciler.views.shown_values import format_value
from reconciler.views.terminal.console import columns, indented
from reconciler.views.terminal.text import Text
from state.changes import ABSENT, Absent, Changes, ResourceChange
from state.register import Register
from state.snapshot import Snapshot
from state.stores.base import HistoryEntry

_SYMBOLS = {"added": ("+", "green"), "changed": ("~", "yellow"), "removed": ("-", "red")}
_NAMED = 3  # changed fields that the history names; the others are counted


def state_lines(snapshot: Snapshot) -> list[Text]:
    """The resources of a state with their fields, and its open writes."""
    lines = [
        Text.assemble((snapshot.stack, "bold"), f"  serial {snapshot.serial}, written {snapshot.written_at}")
    ]
    for resource in snapshot.resources.values():
        lines.append(Text.assemble((resource.address, "bold"), (f"  {resource.id}", "dim")))
        values = {**_flat(resource.inputs), **{f"outputs.{name}": v for name, v in resource.outputs.items()}}
        lines += _indented(
            [Text(name, "dim"), Text(format_value(value, name))] for name, value in values.items()
        )
        if resource.depends_on:
            lines.append(indented(Text(f"depends on {', '.join(resource.depends_on)}", "dim"), 4))
    for intent in snapshot.intents.values():
        lines.append(
            Text.assemble(
                ("open: ", "yellow"), f"{intent.verb} ", (intent.address, "bold"), f" since {intent.since}"
            )
        )
    return lines


def claim_lines(registers: Iterable[Register]) -> list[Text]:
    """A line per claim: the resource, the stack that holds it, since when, and its place in the files."""
    lines = []
    for register in registers:
        rows = [
            [
                Text(address, "bold"),
                Text(claim.stack),
                Text(f"since {claim.since}", "dim"),
                Text(claim.place, "dim"),
            ]
            for address, claim in sorted(register.claims.items())
        ]
        lines += columns(rows)
    return lines


def run_lines(runs: Sequence[tuple[RecordedRun, Changes | None]]) -> list[Text]:
    """A block per run, with its version and outcome, and the changes of all its saves together."""
    blocks = [(_serials(run.saves), run.saves[0], changed) for run, changed in runs]
    return _blocks(
        blocks, open_label="left open", heads=[_outcome(run) if changed else None for run, changed in runs]
    )


def _outcome(run: RecordedRun) -> Text:
    """`1.0.1  applied`, `1.0.0  applied, back to serial 3`."""
    back = f", back to serial {run.restored}" if run.restored else ""
    style = {RunOutcome.APPLIED: "green", RunOutcome.FAILED: "red"}.get(run.outcome, "yellow")
    version = f"{run.version}  " if run.version else ""
    return Text.assemble(version, (f"{run.outcome.value}{back}", style))


def save_lines(saves: Sequence[tuple[HistoryEntry, Changes | None]]) -> list[Text]:
    """A block per save."""
    return _blocks([(str(entry.serial), entry, changed) for entry, changed in saves], open_label="opened")


def _serials(saves: Sequence[HistoryEntry]) -> str:
    last, first = saves[0].serial, saves[-1].serial
    return str(last) if first == last else f"{first}-{last}"


def _blocks(
    blocks: Sequence[tuple[str, HistoryEntry, Changes | None]],
    *,
    open_label: str,
    heads: Sequence[Text | None] = (),
) -> list[Text]:
    """Blocks with a line of serials, time, user, host and command, and the changes below it.

    Args:
        open_label: the label of writes that are open after the block.
        heads: the line before the changes of each block; none without them.
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
    for index, (line, (_, entry, changed)) in enumerate(zip(columns(rows), blocks, strict=True)):
        lines.append(line)
        lines += [indented(head, 4) for head in heads[index : index + 1] if head is not None]
        lines += [indented(detail, 4) for detail in _details(entry, changed, open_label)]
    return lines


def change_lines(changed: Changes) -> list[Text]:
    """Each resource that differs, field by field."""
    lines: list[Text] = []
    for resource in changed.resources:
        lines.append(_headline(resource))
        lines += _indented(
            [
                Text(field.path, "dim"),
                Text(f"{_side(field.before, field.path)} -> {_side(field.after, field.path)}"),
            ]
            if resource.verb == "changed"
            else [
                Text(field.path, "dim"),
                Text(_side(field.before if resource.verb == "removed" else field.after, field.path)),
            ]
            for field in resource.fields
        )
    lines += [Text.assemble(("opened: ", "yellow"), address) for address in changed.opened]
    lines += [Text.assemble(("settled: ", "green"), address) for address in changed.closed]
    return lines or [Text("no difference", "dim")]


def history_document(
    stack: str, saves: Sequence[tuple[HistoryEntry, Changes | None]], runs: Sequence[RecordedRun] = ()
) -> JSON:
    return {
        "format": "reconciler/history",
        "version": 1,
        "stack": stack,
        "runs": [
            {
                "run": run.saves[0].run,
                "serials": [run.saves[-1].serial, run.serial],
                "version": run.version or None,
                "outcome": run.outcome.value,
                "restores": run.restored or None,
            }
            for run in runs
        ],
        "saves": [
            {**asdict(entry), "changes": changes_document(changed) if changed else None}
            for entry, changed in saves
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
    """The changes as a document. An absent side of a field is left out, as null is a value."""
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


def _details(entry: HistoryEntry, changed: Changes | None, open_label: str) -> list[Text]:
    lines = []
    if changed is None:
        lines.append(Text("content no longer kept, or damaged", "dim"))
    else:
        change_lines = [_headline_with_fields(resource) for resource in changed.resources]
        change_lines += [Text.assemble((f"{open_label} ", "yellow"), address) for address in changed.opened]
        lines += change_lines or [Text("settled the open writes" if changed.closed else "no changes", "dim")]
    why = [f"promoted from {entry.promoted_from}"] if entry.promoted_from else []
    why += [f"override: {entry.override}"] if entry.override else []
    lines += [Text(text, "yellow" if text.startswith("over") else "") for text in why]
    place = [f"commit {short_commit(entry.git_commit)}"] if entry.git_commit else []
    place += [entry.ci] if entry.ci else []
    return [*lines, Text("  ".join(place), "dim")] if place else lines


def _headline_with_fields(resource: ResourceChange) -> Text:
    """The resource with its changed fields: those that the files set, as in a plan, or else others."""
    line, paths = _headline(resource), [field.path for field in resource.fields]
    if resource.verb != "changed":
        return line
    managed = [path for path in paths if not path.startswith("outputs.") and path not in ("id", "depends_on")]
    shown = managed or paths
    more = f" and {plural(len(shown) - _NAMED, 'more field')}" if len(shown) > _NAMED else ""
    return line.append(f"  {', '.join(shown[:_NAMED])}{more}", "dim")


def _headline(resource: ResourceChange) -> Text:
    symbol, style = _SYMBOLS[resource.verb]
    return Text.assemble((f"{symbol} ", style), (resource.address, "bold"))


def _flat(fields: Mapping[str, JSON]) -> dict[str, JSON]:
    """The fields with the keys of a mapping as separate fields, as in a plan."""
    flat: dict[str, JSON] = {}
    for name, value in fields.items():
        if isinstance(value, dict) and value:
            flat |= {f"{name}.{key}": item for key, item in value.items()}
        else:
            flat[name] = value
    return flat


def _indented(rows: Iterable[Sequence[Text]]) -> list[Text]:
    return [indented(line, 4) for line in columns(rows)]


def _side(value: JSON | Absent, name: str) -> str:
    return "(none)" if isinstance(value, Absent) else format_value(value, name)
