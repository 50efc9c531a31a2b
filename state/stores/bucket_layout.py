"""The layout of state in a bucket: paths, and the JSON of head and history objects. Pure.

    PREFIX/STACK/head.json                          serial, content, lock: replaced by compare-and-swap only
    PREFIX/STACK/history/0000000007-UUID.json       one save: document, author, name of the previous save
    PREFIX/SCOPE.register.json                      stacks and claims: replaced by compare-and-swap only

STACK and SCOPE are percent-encoded. Unknown content is refused, never skipped.
"""

import re
from typing import Any, Final, TypeVar
from urllib.parse import quote, unquote
from uuid import uuid4

from msgspec import Struct, to_builtins

from state.document import dumps, loads
from state.errors import CorruptStateError, InvalidNameError, NewerFormatError
from state.lock_info import LockInfo
from state.newer_keys import refuse_newer_keys
from state.snapshot import UncheckedJSON
from state.stores.base import HistoryEntry
from state.typed_fields import typed

FORMAT: Final = "reconciler/bucket"
VERSION: Final = 1
"""Version of the layout, that is, of head and history object without the document's own format."""


class Head(Struct, frozen=True):
    """The one mutable object of a stack.

    Attributes:
        serial, lineage: of the state; 0 and "" before the first save.
        content: name of the history object with the current state; "" before the first save.
        fence, holder: as in `Lock`; the holder is None for a free lock.
        ttl: seconds from the last write of the head until the lock expires.
        write: unique id of this version. No two versions have the same bytes (and ETag), and a writer that
            got no response recognizes its own version.
    """

    serial: int = 0
    lineage: str = ""
    content: str = ""
    fence: int = 0
    holder: LockInfo | None = None
    ttl: float = 0.0
    write: str = ""


class HistoryObject(Struct, frozen=True):
    """One save.

    Attributes:
        before: name of the previous history object; "" for the first.
        entry: its entry in the history.
        document: the complete state document.
    """

    before: str
    entry: HistoryEntry
    document: UncheckedJSON


def folder_of(stack: str) -> str:
    """Raises InvalidNameError."""
    try:
        return quote(stack, safe="")
    except UnicodeEncodeError:
        raise InvalidNameError(stack) from None


def stack_of(folder: str) -> str:
    return unquote(folder)


def head_path(stack: str) -> str:
    return f"{folder_of(stack)}/head.json"


def history_folder(stack: str) -> str:
    return f"{folder_of(stack)}/history"


def register_path(scope: str) -> str:
    """The path of a register: no folder, so that it is not taken for a stack."""
    return f"{folder_of(scope)}.register.json"


def digits(serial: int) -> str:
    """The prefix of a history object's name; it sorts by serial."""
    return f"{serial:010d}"


def new_name(serial: int) -> str:
    """A unique name for a history object."""
    return f"{digits(serial)}-{uuid4()}.json"


def serial_of(name: str) -> int:
    """The serial in the name of a history object; 0 for "" and for unrelated names."""
    number = name.partition("-")[0]
    return int(number) if number.isdecimal() else 0


def to_bytes(body: Head | HistoryObject) -> bytes:
    """Canonical JSON. Heads with different `write` have different bytes."""
    return dumps({"format": FORMAT, "version": VERSION, **to_builtins(body)}).encode("ascii")


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


_OBJECTS = "content", "before"
_NAME = re.compile(r"\d{1,15}-[\w.-]{1,80}", re.ASCII)
_Part = TypeVar("_Part", Head, HistoryObject, LockInfo, HistoryEntry)


def _typed(part: _Part) -> _Part:
    """As `typed`, with the names of history objects."""
    for name in _OBJECTS:
        value = getattr(typed(part), name, "")
        if value and not _NAME.fullmatch(value):
            raise TypeError(f"{name} is not the name of a history object")
    return part


def _body(data: bytes, what: str, kind: type[Head] | type[HistoryObject]) -> dict[str, Any]:
    try:
        body = loads(data.decode("ascii"))
    except (CorruptStateError, UnicodeDecodeError) as problem:
        why = problem.message if isinstance(problem, CorruptStateError) else problem
        raise CorruptStateError(f"{what} is damaged: {why}") from None
    if not isinstance(body, dict) or body.pop("format", None) != FORMAT:
        raise CorruptStateError(f'{what} is damaged: it lacks "format": "{FORMAT}"')
    version = body.pop("version", None)
    if type(version) is not int:
        raise CorruptStateError(f"{what} has the invalid format version {version!r}")
    if version > VERSION:
        raise NewerFormatError(
            f"a newer reconciler wrote {what}: it has layout {version}, this version reads up to {VERSION}",
            hint="pip install --upgrade picsellia-reconciler",
        )
    refuse_newer_keys(body, what, kind)
    for name, part in (("holder", LockInfo), ("entry", HistoryEntry)):
        if isinstance(nested := body.get(name), dict):
            refuse_newer_keys(nested, what, part)
    if body.keys() != {*kind.__struct_fields__}:
        raise CorruptStateError(
            f"{what} is damaged: it has {sorted(body)} instead of {sorted(kind.__struct_fields__)}"
        )
    return body
