"""State to JSON document and back, between the pure snapshot and the stores.

    {"format": "reconciler/state", "version": 4, "stack": …, "lineage": …, "serial": …,
     "written_by": …, "written_at": …, "outcome": …, "restores": …,
     "resources": [{"address": …, "kind": …, "id": …, "inputs": {…}, "outputs": {…}, "depends_on": […]}],
     "intents": [{"address": …, "verb": …, "id": …, "fields": {…}, "since": …, "run": …, "kept": {…}}]}

The text is canonical: equal snapshots give equal bytes. Unknown content is refused, never skipped. Does not
read or write files.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec.structs import replace

from state.errors import CorruptStateError, NewerFormatError
from state.invariants import verify
from state.migrations import MIGRATIONS, VERSION, Migration, migrate
from state.persistent_map import PersistentMap
from state.snapshot import JSON, Entry, Intent, RecordedResource, Snapshot, UncheckedJSON

FORMAT: Final = "reconciler/state"

_MAX_DEPTH = 200  # levels of objects and lists; deeper documents break recursive functions
_TEXT = (str,)
_HEADER = {
    "stack": _TEXT,
    "lineage": _TEXT,
    "serial": (int,),
    "written_by": _TEXT,
    "written_at": _TEXT,
    "outcome": _TEXT,
    "restores": (int,),
}
_LISTS = {"resources": (list,), "intents": (list,)}
_RESOURCE = {
    "address": _TEXT,
    "kind": _TEXT,
    "id": _TEXT,
    "inputs": (dict,),
    "outputs": (dict,),
    "depends_on": (list,),
}
_INTENT = {
    "address": _TEXT,
    "verb": _TEXT,
    "id": (str, type(None)),
    "fields": (dict,),
    "since": _TEXT,
    "run": _TEXT,
    "kept": (dict,),
}


def to_json(snapshot: Snapshot) -> str:
    """The snapshot as canonical JSON text: one line, sorted keys and addresses, ASCII only."""
    return dumps(to_document(snapshot))


def to_document(snapshot: Snapshot) -> dict[str, JSON]:
    """Like `to_json`, but returns the document."""
    return {
        **header(snapshot),
        "resources": bodies(snapshot.resources.values()),
        "intents": bodies(snapshot.intents.values()),
    }


def from_document(document: UncheckedJSON, *, migrations: Mapping[int, Migration] = MIGRATIONS) -> Snapshot:
    """The snapshot in a document by `to_document`, or by an earlier version.

    Raises:
        NewerFormatError: a newer reconciler wrote it.
        CorruptStateError: it is not a state document, has unknown keys, or breaks an invariant.
    """
    version = check_format(document)
    document = migrate(document, version, migrations)
    author = _author(document)
    try:
        snapshot = _snapshot(
            {key: item for key, item in document.items() if key not in ("format", "version")}
        )
    except _ShapeError as shape:
        raise CorruptStateError(f"the state written by {author} is damaged: {shape}") from None
    problems = verify(snapshot)
    if problems:
        raise CorruptStateError(
            f"the state of {snapshot.stack} at serial {snapshot.serial}, written by {author}, "
            f"breaks invariants: {'; '.join(problems)}",
            problems=problems,
        )
    return snapshot


def with_change(
    before: Snapshot, change: UncheckedJSON, *, migrations: Mapping[int, Migration] = MIGRATIONS
) -> Snapshot:
    """The snapshot that follows `before`, from a change document.

    A change document contains the changed entries, and the removed addresses under `removed`. The cost grows
    with the number of changes.

    Raises:
        NewerFormatError: a newer reconciler wrote it.
        CorruptStateError: it is not a change document, does not follow `before`, or breaks an invariant.
    """
    version = check_format(change)
    removed = change.get("removed")
    rest = migrate({key: item for key, item in change.items() if key != "removed"}, version, migrations)
    try:
        _check_shape(removed, "removed", _LISTS)
        changed = _snapshot({key: item for key, item in rest.items() if key not in ("format", "version")})
        after = replace(
            changed,
            resources=_merge(before.resources, changed.resources, removed["resources"], "resources"),
            intents=_merge(before.intents, changed.intents, removed["intents"], "intents"),
        )
    except _ShapeError as shape:
        raise CorruptStateError(str(shape)) from None
    if (after.stack, after.lineage, after.serial) != (before.stack, before.lineage, before.serial + 1):
        raise CorruptStateError(f"serial {after.serial} of {after.stack} does not follow {before.serial}")
    if problems := verify(after, since=before):
        raise CorruptStateError("; ".join(problems), problems=problems)
    return after


def check_format(document: UncheckedJSON) -> int:
    """The document's format version, if this reconciler can read it.

    Raises:
        NewerFormatError: a newer reconciler wrote it.
        CorruptStateError: it is not a state document.
    """
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise CorruptStateError(f'not a state document: it lacks "format": "{FORMAT}"')
    version, author = document.get("version"), _author(document)
    if type(version) is not int or version < 0:
        raise CorruptStateError(f"the state written by {author} has the invalid format version {version!r}")
    if version > VERSION:
        raise NewerFormatError(
            f"{author} wrote the state{_of_stack(document)} in format version {version}; "
            f"this version reads up to {VERSION}",
            hint=f"install {author} or newer: pip install --upgrade picsellia-reconciler",
        )
    return version


def _of_stack(document: Mapping[str, UncheckedJSON]) -> str:
    stack = document.get("stack")
    return f" of {stack}" if stack and isinstance(stack, str) else ""


def _author(document: Mapping[str, UncheckedJSON]) -> str:
    written_by = document.get("written_by")
    return f"reconciler {written_by}" if written_by and isinstance(written_by, str) else "an unknown version"


def header(snapshot: Snapshot) -> dict[str, JSON]:
    """The document without its lists."""
    return {"format": FORMAT, "version": VERSION, **{name: getattr(snapshot, name) for name in _HEADER}}


def bodies(entries: Iterable[RecordedResource] | Iterable[Intent]) -> list[dict[str, JSON]]:
    """The entries in the form of the document's lists."""
    return [{name: getattr(entry, name) for name in entry.__struct_fields__} for entry in entries]


def dumps(document: JSON) -> str:
    """Canonical JSON. ASCII, because text with half a surrogate pair has no UTF-8 form and must survive."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)


def loads(text: str) -> UncheckedJSON:
    """Parses JSON. Raises CorruptStateError, with the position, for invalid or too deeply nested JSON."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise CorruptStateError(
            f"the state is invalid JSON at character {error.pos} of {len(text)} ({error.msg}): "
            "it was cut off or damaged"
        ) from None
    except (ValueError, RecursionError) as error:
        raise CorruptStateError(f"the state cannot be read: {error}") from None
    if text.count("[") + text.count("{") > _MAX_DEPTH and _is_too_deep(document):
        raise CorruptStateError(f"the state cannot be read: it is nested deeper than {_MAX_DEPTH} levels")
    return document


def _is_too_deep(document: UncheckedJSON) -> bool:
    """Level by level: a recursive function would fail on exactly these documents."""
    level = [document]
    for _ in range(_MAX_DEPTH):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


class _ShapeError(Exception):
    """A key is missing, unknown or of the wrong type; the message has its place."""


def _snapshot(document: Mapping[str, UncheckedJSON]) -> Snapshot:
    _check_shape(document, "the document", {**_HEADER, **_LISTS})
    resources, intents = [], []
    for number, body in enumerate(document["resources"]):
        _check_shape(body, f"resources[{number}]", _RESOURCE)
        if not all(isinstance(other, str) for other in body["depends_on"]):
            raise _ShapeError(f"resources[{number}].depends_on contains a value that is not an address")
        resources.append(RecordedResource(**body | {"depends_on": tuple(body["depends_on"])}))
    for number, body in enumerate(document["intents"]):
        _check_shape(body, f"intents[{number}]", _INTENT)
        intents.append(Intent(**body))
    return Snapshot(
        **{name: document[name] for name in _HEADER},
        resources=_by_address(resources, "resources"),
        intents=_by_address(intents, "intents"),
    )


def _merge(
    before: Mapping[str, Entry], changed: Mapping[str, Entry], removed: list[UncheckedJSON], where: str
) -> PersistentMap[Entry]:
    entries = before if isinstance(before, PersistentMap) else PersistentMap(before)
    for address in removed:
        if not isinstance(address, str) or address not in entries:
            raise _ShapeError(f"removed.{where} contains {address!r}, which did not exist")
        entries = entries.drop(address)
    for address, entry in changed.items():
        entries = entries.put(address, entry)
    return entries


def _by_address(entries: list[Entry], where: str) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for entry in entries:
        if entry.address in found:
            raise _ShapeError(f"{where} contains {entry.address} twice")
        found[entry.address] = entry
    return found


def _check_shape(body: UncheckedJSON, where: str, shape: Mapping[str, tuple[type, ...]]) -> None:
    if not isinstance(body, dict):
        raise _ShapeError(f"{where} is not an object")
    if body.keys() != shape.keys():
        unknown, missing = sorted(body.keys() - shape.keys()), sorted(shape.keys() - body.keys())
        raise _ShapeError(
            f"{where} has the unknown key {unknown[0]!r}"
            if unknown
            else f"{where} lacks the key {missing[0]!r}"
        )
    for name, types in shape.items():
        if type(body[name]) not in types:
            raise _ShapeError(f"{where}.{name} has the wrong type")
