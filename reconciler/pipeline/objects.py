"""Objects that config.toml declares in rows of their own: `[[reconciler.projects]]`, one row for each.

Which kinds have such rows is a fact of each kind. As strict as all of `[reconciler]`: a misspelt key is an
error.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from providers.config_keys import ConfigTable
from providers.table import FACTS, ancestors
from reconciler.core.values import Address
from reconciler.pipeline.keys import dotted, read_keys
from reconciler.pipeline.schema import DeclaredObject
from reconciler.pipeline.suggestions import did_you_mean
from reconciler.pipeline.toml.toml_reader import TomlReader


def row_tables() -> dict[str, tuple[str, ConfigTable]]:
    """The tables of `[reconciler]` that have rows -> the kind of their objects, and their keys."""
    return {
        facts.config.rows: (kind, facts.config)
        for kind, facts in FACTS.items()
        if facts.config is not None and facts.config.rows
    }


def read_objects(reader: TomlReader, others: Collection[Address]) -> tuple[DeclaredObject, ...]:
    """Every row of every kind that has rows, in the order of the file.

    Args:
        others: the resources that other tables declare: an object may live in one of them.
    """
    ours = reader.document.get("reconciler")
    if not isinstance(ours, dict):
        return ()
    found: dict[Address, DeclaredObject] = {}
    for table, (kind, config) in row_tables().items():
        for where, row in _rows(reader, ours, table):
            one = _object(reader, row, where, kind, config)
            if one is not None and one.address in found:
                first = reader.lines.line_of(*found[one.address].key)
                reader.error(f"{one.address} is declared twice", f"First at line {first}.", *where)
            elif one is not None:
                found[one.address] = one
    known = {*others, *found}
    return tuple(one for one in found.values() if _has_parent(reader, one, known))


def _rows(
    reader: TomlReader, ours: Mapping[str, Any], table: str
) -> Iterator[tuple[tuple[str | int, ...], Mapping[str, Any]]]:
    rows = ours.get(table, [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        where = ("reconciler", table)
        reader.error(f"{dotted(where)} must be rows", f"Write [[{dotted(where)}]] above each row.", *where)
        return
    for index, row in enumerate(rows):
        yield ("reconciler", table, index), row


def _object(
    reader: TomlReader,
    row: Mapping[str, Any],
    where: tuple[str | int, ...],
    kind: str,
    config: ConfigTable,
) -> DeclaredObject | None:
    """One row, or None and the errors."""
    before = len(reader.diagnostics)
    named = [*(parent.replace("-", "_") for parent in ancestors(kind)), "name"]
    known = [*named, *dict.fromkeys(key.path[0] for key in config.keys.values())]
    for name in row.keys() - set(known):
        hint = did_you_mean(name, known)
        reader.error(
            f"{dotted((*where, name))} is not a key", f"A row has {', '.join(known)}.{hint}", *where, name
        )
    parts = [reader.text(row, *where, name) or "" for name in named]
    for name, part in zip(named, parts, strict=True):
        if not part.strip() and not isinstance(row.get(name), int | float | list | dict):
            state = "empty" if name in row else "missing"
            place = (*where, name) if name in row else where
            reader.error(f"{dotted((*where, name))} is {state}", "Each row needs one.", *place)
    fields = read_keys(reader, row, where, FACTS[kind])
    if len(reader.diagnostics) > before:
        return None
    if "name" in FACTS[kind].rules:
        fields["name"] = parts[-1]
    return DeclaredObject(address=Address(kind, tuple(parts)), fields=fields, key=where)


def _has_parent(reader: TomlReader, one: DeclaredObject, known: Collection[Address]) -> bool:
    parent = FACTS[one.address.kind].parent
    if parent is None or (address := Address(parent, one.address.name[:-1])) in known:
        return True
    there = [str(other) for other in sorted(known) if other.kind == parent]
    detail = f"There are: {', '.join(there)}." if there else f"This pipeline has no {parent}."
    reader.error(f"{one.address} lives in {address}, which config.toml does not declare", detail, *one.key)
    return False
