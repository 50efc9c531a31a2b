"""How records lie in a bucket: paths, the head and history objects as JSON, and back. Pure.

    PREFIX/STACK/head.json                          serial, content, lock: replaced by compare-and-swap only
    PREFIX/STACK/history/0000000007-UUID.json       one save: the document, who wrote it, what came before

STACK is percent-encoded. What is not understood is refused, never skipped.
"""

import re
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, TypeVar
from urllib.parse import quote, unquote
from uuid import uuid4

from state.document import dumps, loads
from state.errors import CorruptStateError, NewerFormatError
from state.invariants import is_time
from state.lock_info import LockInfo
from state.snapshot import JSON
from state.stores.base import HistoryEntry

FORMAT: Final = "reconciler/bucket"
VERSION: Final = 1
"""Of the layout: what a head and a history object hold beside the document, which has its own."""


@dataclass(frozen=True, slots=True)
class Head:
    """The one object per stack that changes.

    Attributes:
        serial, lineage: of the record; 0 and "" before the first save.
        content: name of the history object that is the record now; "" before the first save.
        fence, holder: as of `Lock`; None when nobody holds it.
        ttl: seconds that the lock lasts from the last time the head was written.
        write: of this version alone, so that no two have the same bytes (and ETag), and a writer whose answer
            was lost knows its own.
    """

    serial: int = 0
    lineage: str = ""
    content: str = ""
    fence: int = 0
    holder: LockInfo | None = None
    ttl: float = 0.0
    write: str = ""


@dataclass(frozen=True, slots=True)
class HistoryObject:
    """A history object.

    Attributes:
        before: name of the one that it was made from; "" for the first.
        entry: how the history tells it.
        document: the whole record.
    """

    before: str
    entry: HistoryEntry
    document: JSON


def folder_of(stack: str) -> str:
    return quote(stack, safe="")


def stack_of(folder: str) -> str:
    return unquote(folder)


def head_path(stack: str) -> str:
    return f"{folder_of(stack)}/head.json"


def history_folder(stack: str) -> str:
    return f"{folder_of(stack)}/history"


def digits(serial: int) -> str:
    """How the name of a history object begins: in the order of the serials."""
    return f"{serial:010d}"


def new_name(serial: int) -> str:
    """For a history object, unlike any other's."""
    return f"{digits(serial)}-{uuid4()}.json"


def serial_of(name: str) -> int:
    """The serial in the name of a history object; 0 when it has none, as "" and what others put there."""
    number = name.partition("-")[0]
    return int(number) if number.isdecimal() else 0


def to_bytes(body: Head | HistoryObject) -> bytes:
    """Canonical JSON. Two heads of different `write` never have the same bytes."""
    return dumps({"format": FORMAT, "version": VERSION, **asdict(body)}).encode("ascii")


def head_from_bytes(data: bytes, stack: str) -> Head:
    """Raises CorruptStateError or NewerFormatError."""
    what = f"the head of {stack}"
    body = _body(data, what, Head)
    try:
        holder = body["holder"]
        return _typed(Head(**{**body, "holder": None if holder is None else _typed(LockInfo(**holder))}))
    except TypeError as problem:
        raise CorruptStateError(f"{what} is damaged: {problem}") from None


def save_from_bytes(data: bytes, stack: str, name: str) -> HistoryObject:
    """Raises CorruptStateError or NewerFormatError."""
    what = f"{name} of {stack}"
    body = _body(data, what, HistoryObject)
    try:
        save = _typed(HistoryObject(body["before"], _typed(HistoryEntry(**body["entry"])), body["document"]))
    except TypeError as problem:
        raise CorruptStateError(f"{what} is damaged: {problem}") from None
    if save.before and serial_of(save.before) >= serial_of(name):
        raise CorruptStateError(f"{what} is damaged: it follows {save.before}")
    return save


_LARGEST = 2**53  # of the numbers in a head or a history object
_NUMBERS = "serial", "fence", "pid", "ttl"
_ANYTHING = "holder", "entry", "document"
_OBJECTS = "content", "before"
_NAME = re.compile(r"\d{1,15}-[\w.-]{1,80}", re.ASCII)
_Part = TypeVar("_Part", Head, HistoryObject, LockInfo, HistoryEntry)


def _typed(part: _Part) -> _Part:
    """The same; raises TypeError where a field is neither a text nor, where it has to be one, a number."""
    for field in fields(part):
        value = getattr(part, field.name)
        if field.name in _NUMBERS:
            whole = type(value) is int or (field.name == "ttl" and type(value) is float)
            if not whole or not 0 <= value < _LARGEST:
                raise TypeError(f"{field.name} is {str(value)[:40]!r}")
        elif field.name not in _ANYTHING and not isinstance(value, str):
            raise TypeError(f"{field.name} is no text")
        elif field.name == "written_at" and value and not is_time(value):
            raise TypeError(f"{field.name} is no time with its offset from UTC")
        elif field.name in _OBJECTS and value and not _NAME.fullmatch(value):
            raise TypeError(f"{field.name} names no history object")
    return part


def _body(data: bytes, what: str, kind: type[Head] | type[HistoryObject]) -> dict[str, Any]:
    try:
        body = loads(data.decode("ascii"))
    except UnicodeDecodeError as problem:
        raise CorruptStateError(f"{what} is damaged: {problem}") from None
    if not isinstance(body, dict) or body.pop("format", None) != FORMAT:
        raise CorruptStateError(f'{what} is damaged: it does not say "format": "{FORMAT}"')
    version = body.pop("version", None)
    if type(version) is not int:
        raise CorruptStateError(f"{what} has {version!r} for its format version")
    if version > VERSION:
        raise NewerFormatError(
            f"{what} was written by a newer reconciler: it has layout {version}, "
            f"this one knows up to {VERSION}",
            hint="pip install --upgrade picsellia-reconciler",
        )
    names = {field.name for field in fields(kind)}
    if body.keys() != names:
        raise CorruptStateError(f"{what} is damaged: it has {sorted(body)} instead of {sorted(names)}")
    return body
