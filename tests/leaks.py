"""Searching what a run leaves behind for something that must not be there."""

import sqlite3
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

CREDENTIALS = Path(".config/picsellia/.env")
"""The official CLI's own file, below a home: the one place where a token belongs."""


def leaked(folder: Path, secret: str) -> list[str]:
    """The files below `folder` that hold the secret, records uncompressed and credentials files left out."""
    found = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.is_symlink() or path.match(str(CREDENTIALS)):
            continue
        pieces = [path.read_bytes()]
        if path.name == "state.db":
            pieces.extend(cells(path))
        if any(secret.encode() in piece for piece in pieces):
            found.append(str(path.relative_to(folder)))
    return found


def cells(path: Path) -> Iterator[bytes]:
    """Every cell of a state file, uncompressed; none of a file that is no database."""
    with closing(sqlite3.connect(path)) as database:
        database.text_factory = lambda raw: raw.decode(errors="replace")
        try:
            tables = [n for (n,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        except sqlite3.DatabaseError:
            return
        for table in tables:
            for row in database.execute(f"SELECT * FROM {table}"):  # our own table names
                for cell in row:
                    try:
                        yield zlib.decompress(cell) if isinstance(cell, bytes) else str(cell).encode()
                    except zlib.error:  # a test damaged it
                        yield cell
