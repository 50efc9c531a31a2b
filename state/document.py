"""The record as a JSON document, and back. Between the pure snapshot and whatever place keeps the text.

    {"format": "reconciler/state", "version": 2, "stack": …, "lineage": …, "serial": …,
     "written_by": …, "written_at": …,
     "resources": [{"address": …, "kind": …, "id": …, "inputs": {…}, "outputs": {…}, "depends_on": […]}],
     "intents": [{"address": …, "verb": …, "id": …, "fields": {…}, "since": …, "run": …, "kept": {…}}]}

The text is canonical: the same snapshot always gives the same bytes. What is not understood is refused,
never skipped. Reads and writes no file.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from state.errors import CorruptStateError, NewerFormatError
from state.invariants import verify
from state.migrations import MIGRATIONS, VERSION, Migration, migrate
from state.sharing import SharedMap
from state.snapshot import JSON, Entry, Intent, RecordedResource, Snapshot

FORMAT: Final = "reconciler/state"

_DEEPEST = 200  # levels of objects and lists; more break functions that call themselves for each
_TEXT = (str,)
_HEADER = {"stack": _TEXT, "lineage": _TEXT, "serial": (int,), "written_by": _TEXT, "written_at": _TEXT}
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
    """The snapshot as canonical JSON text: one line, keys and addresses in order, ASCII only."""
    return dumps(to_document(snapshot))


def to_document(snapshot: Snapshot) -> dict[str, JSON]:
    """As `to_json`, before it becomes text."""
    return {
        **header(snapshot),
        "resources": bodies(snapshot.resources.values()),
        "intents": bodies(snapshot.intents.values()),
    }


def from_json(text: str, *, migrations: Mapping[int, Migration] = MIGRATIONS) -> Snapshot:
    """The snapshot that this text holds.

    Raises:
        NewerFormatError: a newer reconciler wrote it.
        CorruptStateError: the text is cut off, is something else, has unknown keys, or breaks an invariant.
    """
    return from_document(loads(text), migrations=migrations)


def from_document(document: JSON, *, migrations: Mapping[int, Migration] = MIGRATIONS) -> Snapshot:
    """As `from_json`, for a document that has been parsed."""
    version = check_format(document)
    document = migrate(document, version, migrations)
    author = _author(document)
    try:
        snapshot = _snapshot(
            {key: item for key, item in document.items() if key not in ("format", "version")}
        )
    except _ShapeError as shape:
        raise CorruptStateError(f"the record written by {author} is damaged: {shape}") from None
    problems = verify(snapshot)
    if problems:
        raise CorruptStateError(
            f"the record of {snapshot.stack} at serial {snapshot.serial}, written by {author}, "
            f"breaks what every record promises: {'; '.join(problems)}",
            problems=problems,
        )
    return snapshot


def with_change(
    before: Snapshot, change: JSON, *, migrations: Mapping[int, Migration] = MIGRATIONS
) -> Snapshot:
    """The snapshot after `before`, from what changed since: a document of the changed entries alone, with the
    addresses that are gone under `removed`. Costs as much as there are changes.

    Raises:
        NewerFormatError: a newer reconciler wrote it.
        CorruptStateError: it is no change, does not follow `before`, or breaks an invariant.
    """
    version = check_format(change)
    gone = change.get("removed")
    rest = migrate({key: item for key, item in change.items() if key != "removed"}, version, migrations)
    try:
        _expect(gone, "removed", _LISTS)
        changed = _snapshot({key: item for key, item in rest.items() if key not in ("format", "version")})
        after = replace(
            changed,
            resources=_merged(before.resources, changed.resources, gone["resources"], "resources"),
            intents=_merged(before.intents, changed.intents, gone["intents"], "intents"),
        )
    except _ShapeError as shape:
        raise CorruptStateError(str(shape)) from None
    if (after.stack, after.lineage, after.serial) != (before.stack, before.lineage, before.serial + 1):
        raise CorruptStateError(f"serial {after.serial} of {after.stack} does not follow {before.serial}")
    if problems := verify(after, since=before):
        raise CorruptStateError("; ".join(problems), problems=problems)
    return after


def check_format(document: JSON) -> int:
    """The document's format version, which this reconciler can read.

    Raises:
        NewerFormatError: a newer reconciler wrote it.
        CorruptStateError: it is no state document.
    """
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise CorruptStateError(f'this is no state document: it does not say "format": "{FORMAT}"')
    version, author = document.get("version"), _author(document)
    if type(version) is not int or version < 0:
        raise CorruptStateError(f"the record written by {author} has {version!r} for its format version")
    if version > VERSION:
        raise NewerFormatError(
            f"the record was written by {author} in format version {version}; this one reads up to {VERSION}",
            hint=f"install {author} or newer: pip install --upgrade picsellia-reconciler",
        )
    return version


def _author(document: dict[str, JSON]) -> str:
    written_by = document.get("written_by")
    return f"reconciler {written_by}" if written_by and isinstance(written_by, str) else "an unknown version"


def header(snapshot: Snapshot) -> dict[str, JSON]:
    """The document without its lists."""
    return {"format": FORMAT, "version": VERSION, **{name: getattr(snapshot, name) for name in _HEADER}}


def bodies(entries: Iterable[RecordedResource] | Iterable[Intent]) -> list[dict[str, JSON]]:
    """The entries as they stand in the document's lists."""
    return [{name: getattr(entry, name) for name in entry.__dataclass_fields__} for entry in entries]


def dumps(document: JSON) -> str:
    """Canonical JSON. ASCII: text with half a surrogate pair has no UTF-8, and must survive as well."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)


def loads(text: str) -> JSON:
    """Raises CorruptStateError when it is no JSON, saying where it stops being one, or nested too deeply."""
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise CorruptStateError(
            f"the record is no JSON from character {error.pos} of {len(text)} on ({error.msg}): "
            "it was cut off or damaged"
        ) from None
    except (ValueError, RecursionError) as error:
        raise CorruptStateError(f"the record cannot be read: {error}") from None
    if text.count("[") + text.count("{") > _DEEPEST and _is_too_deep(document):
        raise CorruptStateError(f"the record cannot be read: it is nested deeper than {_DEEPEST} levels")
    return document


def _is_too_deep(document: JSON) -> bool:
    """Level by level, as a function that calls itself would fail where it is needed."""
    level = [document]
    for _ in range(_DEEPEST):
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
    """What is missing, unknown or of the wrong type, and where."""


def _snapshot(document: dict[str, JSON]) -> Snapshot:
    _expect(document, "the document", {**_HEADER, **_LISTS})
    resources, intents = [], []
    for number, body in enumerate(document["resources"]):
        _expect(body, f"resources[{number}]", _RESOURCE)
        if not all(isinstance(other, str) for other in body["depends_on"]):
            raise _ShapeError(f"resources[{number}].depends_on holds something that is no address")
        resources.append(RecordedResource(**body | {"depends_on": tuple(body["depends_on"])}))
    for number, body in enumerate(document["intents"]):
        _expect(body, f"intents[{number}]", _INTENT)
        intents.append(Intent(**body))
    return Snapshot(
        **{name: document[name] for name in _HEADER},
        resources=_by_address(resources, "resources"),
        intents=_by_address(intents, "intents"),
    )


def _merged(
    before: Mapping[str, Entry], changed: Mapping[str, Entry], gone: list[JSON], where: str
) -> SharedMap[Entry]:
    entries = before if isinstance(before, SharedMap) else SharedMap(before)
    for address in gone:
        if not isinstance(address, str) or address not in entries:
            raise _ShapeError(f"removed.{where} holds {address!r}, which was not there")
        entries = entries.drop(address)
    for address, entry in changed.items():
        entries = entries.put(address, entry)
    return entries


def _by_address(entries: list[Entry], where: str) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for entry in entries:
        if entry.address in found:
            raise _ShapeError(f"{where} holds {entry.address} twice")
        found[entry.address] = entry
    return found


def _expect(body: JSON, where: str, shape: Mapping[str, tuple[type, ...]]) -> None:
    if not isinstance(body, dict):
        raise _ShapeError(f"{where} is no object")
    unknown, missing = sorted(body.keys() - shape.keys()), sorted(shape.keys() - body.keys())
    if unknown:
        raise _ShapeError(f"{where} has the unknown key {unknown[0]!r}")
    if missing:
        raise _ShapeError(f"{where} lacks the key {missing[0]!r}")
    for name, types in shape.items():
        if type(body[name]) not in types:
            raise _ShapeError(f"{where}.{name} is of the wrong type")
