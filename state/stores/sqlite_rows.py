"""The rows of an SQLite file as typed values.

SQLite checks neither the types of values nor the encoding of texts: in a damaged file, any column may have
any value. So each query names what its columns may have.
"""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from state.typed_fields import MAX_NUMBER


class DamagedRowError(Exception):
    """A column has a value that no version of reconciler writes; the message names the column."""


class Column(Struct, frozen=True):
    """A column of a query.

    Attributes:
        name: for messages.
        accepts: whether this is one of its values.
    """

    name: str
    accepts: Callable[[object], bool]


def _is_number(value: object, least: int) -> bool:
    return type(value) is int and least <= value < MAX_NUMBER


def _is_text_or_null(value: object) -> bool:
    return value is None or isinstance(value, str)


STACK = Column("the name of a stack", lambda value: isinstance(value, str))
SERIAL = Column("a serial", lambda value: _is_number(value, 1))
SERIAL_OR_NULL = Column("a serial", lambda value: value is None or _is_number(value, 1))
LINEAGE = Column("the lineage", lambda value: isinstance(value, str))
WHOLE = Column("the sort of a content", lambda value: value in (0, 1))
BODY = Column("a content", lambda value: isinstance(value, bytes))
REGISTER = Column("its text", _is_text_or_null)
FENCE = Column("its fence", lambda value: _is_number(value, 0))
HOLDER = Column("its holder", _is_text_or_null)
EXPIRES = Column("its time", lambda value: isinstance(value, float))
ANY = Column("a value", lambda _: True)


def read_text(raw: bytes) -> str | bytearray:
    """The text factory of a connection. Text that is not UTF-8 has a type that no column accepts."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return bytearray(raw)


def query(
    connection: sqlite3.Connection, sql: str, values: Sequence[object], columns: Sequence[Column] | None
) -> list[tuple[Any, ...]]:
    """The rows of a query.

    Args:
        columns: what its columns may have; None for anything.

    Raises:
        DamagedRowError: a column has something else.
    """
    rows: list[tuple[Any, ...]] = connection.execute(sql, values).fetchall()
    if columns is not None:
        for row in rows:
            for column, value in zip(columns, row, strict=True):
                if not column.accepts(value):
                    raise DamagedRowError(f"{column.name} is invalid")
    return rows
