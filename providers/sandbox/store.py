"""Stores the platform's objects in one SQLite file: one row per object, its fields as JSON.

Handles names, parents and order; independent of HTTP, switches and the meaning of fields. Used by one thread
at a time (the server's event loop), so it needs no lock.
"""

import json
import sqlite3
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    serial INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    parent TEXT NOT NULL,
    fields TEXT NOT NULL,
    name TEXT GENERATED ALWAYS AS (json_extract(fields, '$.name')) VIRTUAL
);
CREATE UNIQUE INDEX IF NOT EXISTS names ON objects (kind, parent, name);
CREATE INDEX IF NOT EXISTS children ON objects (parent, kind, serial);

CREATE TABLE IF NOT EXISTS manifests (
    repository TEXT NOT NULL, digest TEXT NOT NULL, media_type TEXT NOT NULL, content BLOB NOT NULL,
    PRIMARY KEY (repository, digest)
);
CREATE TABLE IF NOT EXISTS tags (
    repository TEXT NOT NULL, tag TEXT NOT NULL, digest TEXT NOT NULL,
    PRIMARY KEY (repository, tag)
);
CREATE TABLE IF NOT EXISTS blobs (
    repository TEXT NOT NULL, digest TEXT NOT NULL,
    PRIMARY KEY (repository, digest)
);
"""


class NameTakenError(Exception):
    """An object of this kind and name already exists under the same parent."""


@dataclass(frozen=True)
class StoredObject:
    """One object: its kind, its parent and its fields."""

    id: str
    kind: str
    parent: str
    fields: dict[str, Any]

    @property
    def name(self) -> str:
        """The name, unique among the objects of the same kind under the same parent."""
        name: str = self.fields["name"]
        return name


@contextmanager
def named_errors(file: Path) -> Iterator[None]:
    """Turns errors of SQLite, as for a full disk, into OSError."""
    try:
        yield
    except sqlite3.Error as error:
        raise OSError(f"{file} cannot be used ({error})") from error


def open_database(folder: Path) -> sqlite3.Connection:
    """Open the database in `folder`, creating both if missing.

    Commits reach the file at once but are not synced to the disk: a killed server loses nothing, a power
    failure may.

    Raises:
        OSError: the folder cannot be used, or another sandbox is using it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "sandbox.sqlite"
    with named_errors(file):
        database = sqlite3.connect(file, timeout=0.1, isolation_level=None, check_same_thread=False)
    try:
        database.execute("PRAGMA locking_mode = EXCLUSIVE")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = OFF")
        database.executescript(_SCHEMA)
    except sqlite3.Error as error:
        database.close()
        raise OSError(f"{file} cannot be used ({error}); another sandbox may be using it") from error
    return database


class Objects:
    """The platform's objects.

    Args:
        database: from `open_database`; the caller closes it.
    """

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def transaction(self) -> AbstractContextManager[object]:
        """A block whose writes are atomic."""
        self._database.execute("BEGIN")
        return self._database

    def add(self, kind: str, parent: str, fields: dict[str, Any]) -> StoredObject:
        """Add an object under a new id.

        Raises:
            NameTakenError: the name is taken.
        """
        stored = StoredObject(str(uuid.uuid4()), kind, parent, fields)
        row = (stored.id, kind, parent, json.dumps(fields))
        try:
            self._database.execute("INSERT INTO objects (id, kind, parent, fields) VALUES (?, ?, ?, ?)", row)
        except sqlite3.IntegrityError as error:
            raise NameTakenError(stored.name) from error
        return stored

    def replace(self, stored: StoredObject, fields: dict[str, Any]) -> StoredObject:
        """Give an object other fields.

        Raises:
            NameTakenError: the new name is taken.
        """
        try:
            self._database.execute(
                "UPDATE objects SET fields = ? WHERE id = ?", (json.dumps(fields), stored.id)
            )
        except sqlite3.IntegrityError as error:
            raise NameTakenError(fields["name"]) from error
        return StoredObject(stored.id, stored.kind, stored.parent, fields)

    def remove(self, stored: StoredObject) -> None:
        """Remove an object and everything under it."""
        self._database.execute("DELETE FROM objects WHERE id = ? OR parent = ?", (stored.id, stored.id))

    def clear(self) -> None:
        """Remove everything but the organizations."""
        self._database.execute("DELETE FROM objects WHERE kind <> 'organization'")

    def get(self, kind: str, id_: str) -> StoredObject | None:
        """The object with this id, or None."""
        return self._first(self._select("kind = ? AND id = ?", (kind, id_)))

    def root(self, stored: StoredObject) -> StoredObject:
        """The organization that an object belongs to."""
        while stored.kind != "organization":
            found = self._first(self._select("id = ?", (stored.parent,)))
            assert found is not None, f"{stored.kind} {stored.id} has no parent"
            stored = found
        return stored

    def named(self, kind: str, parent: str, name: str) -> StoredObject | None:
        """The object with this exact name, or None."""
        return self._first(self._select("kind = ? AND parent = ? AND name = ?", (kind, parent, name)))

    def containing(self, kind: str, parent: str, text: str) -> StoredObject | None:
        """The oldest object whose name contains this text, ignoring ASCII case, or None."""
        condition = "parent = ? AND kind = ? AND instr(lower(name), lower(?)) > 0 ORDER BY serial LIMIT 1"
        return self._first(self._select(condition, (parent, kind, text)))

    def with_field(self, kind: str, parent: str, key: str, value: object) -> StoredObject | None:
        """The oldest object with this value in a field, or None."""
        condition = "parent = ? AND kind = ? AND json_extract(fields, ?) = ? ORDER BY serial LIMIT 1"
        return self._first(self._select(condition, (parent, kind, f'$."{key}"', value)))

    def count(self, kind: str, parent: str) -> int:
        """The number of objects of a kind under a parent."""
        query = "SELECT count(*) FROM objects WHERE parent = ? AND kind = ?"
        total: int = self._database.execute(query, (parent, kind)).fetchone()[0]
        return total

    def page(
        self,
        kind: str,
        parent: str,
        *,
        order_by: Sequence[str] = (),
        limit: int | None = None,
        offset: int = 0,
    ) -> list[StoredObject]:
        """One page of the objects of a kind under a parent, oldest first by default.

        Args:
            kind: the kind of the objects.
            parent: the id of their parent; for organizations, the name of their environment.
            order_by: field keys; a leading `-` sorts in descending order.
            limit: maximum number of objects; None for all.
            offset: number of objects to skip.
        """
        order, keys = "", []
        for key in order_by:
            order += f"json_extract(fields, ?) {'DESC' if key.startswith('-') else 'ASC'}, "
            keys.append(f'$."{key.lstrip("-")}"')
        condition = f"parent = ? AND kind = ? ORDER BY {order}serial LIMIT ? OFFSET ?"
        page = (-1 if limit is None else limit, offset)
        return list(self._select(condition, (parent, kind, *keys, *page)))

    def _select(self, condition: str, values: Sequence[object]) -> Iterable[StoredObject]:
        query = f"SELECT id, kind, parent, fields FROM objects WHERE {condition}"
        for id_, kind, parent, fields in self._database.execute(query, values):
            yield StoredObject(id_, kind, parent, json.loads(fields))

    @staticmethod
    def _first(found: Iterable[StoredObject]) -> StoredObject | None:
        return next(iter(found), None)
