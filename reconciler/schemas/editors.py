"""Tells editors which schema a TOML file has, in the way of Even Better TOML and other users of Taplo.

The first line of the file names the schema, which is saved in the folder of the workspace. The path is
relative, so it works offline, and for everyone who has the repository.
"""

import os
from pathlib import Path
from typing import Final

from providers.leftovers import SCHEMA
from providers.regular_files import read_regular
from reconciler.pipeline.toml.toml_file import read_text
from reconciler.schemas import schema_text
from reconciler.system.files import locked, replace_file

_HEADER: Final = "#:schema "
_MARK: Final = "\ufeff"  # a byte order mark stays first


def schema_file(root: Path, name: str) -> Path:
    """Where the schema of this name is saved in a workspace. No build takes it for source."""
    return root / f".{name}{SCHEMA}"


def header(file: Path, root: Path, name: str) -> str:
    """The first line of a new file: `#:schema ../.config.reconciler-schema.json`, without a line end."""
    return _HEADER + Path(os.path.relpath(schema_file(root, name), file.parent)).as_posix()


def with_header(text: str, line: str) -> str:
    """The text of a TOML file with this line first, in place of another one that names a schema."""
    body = text.removeprefix(_MARK)
    mark = text[: len(text) - len(body)]
    first, end, rest = body.partition("\n")
    if first.startswith(_HEADER):
        ending = "\r" if first.endswith("\r") else ""
        return f"{mark}{line}{ending}{end}{rest}"
    ending = "\r\n" if first.endswith("\r") else "\n"
    return f"{mark}{line}{ending}{body}"


def linked(text: str, file: Path, root: Path, name: str) -> str:
    """The text of a new file, with the header if the workspace has the schema."""
    return with_header(text, header(file, root, name)) if schema_file(root, name).is_file() else text


def save_schema(root: Path, name: str) -> Path | None:
    """Write the schema into the workspace; returns its file, or None if it has this content already.

    Raises:
        OSError: it cannot be written.
    """
    path, content = schema_file(root, name), schema_text(name).encode()
    if path.is_file() and read_regular(path) == content:
        return None
    replace_file(path, content, mode=0o644)
    return path


def link_file(file: Path, root: Path, name: str) -> bool:
    """Make the header the first line of an existing TOML file; returns whether the file changed.

    Raises:
        OSError: it cannot be read or written.
        UserError: it is not UTF-8, or another run is about to write it.
    """
    with locked(file):
        text = read_text(file)
        changed = with_header(text, header(file, root, name))
        if changed == text:
            return False
        replace_file(file, changed.encode())
        return True
