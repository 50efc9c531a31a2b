"""Warn about unknown keys and tables of config.toml that look like misspelt ones.

Unknown keys are ignored, as in the official tool, so `cpus = 8` would silently have no effect. This is never
more than a warning: the key may belong to another tool. None has keys in an overlay, where all are checked.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from reconciler.pipeline.schema import Docker, Execution, Metadata
from reconciler.pipeline.suggestions import did_you_mean, is_one_slip
from reconciler.pipeline.toml.overlays import TABLES
from reconciler.pipeline.toml.toml_reader import TomlReader

_OURS: Final = "reconciler"
_TABLES: Final[dict[str, type[Metadata | Execution | Docker]]] = {
    "metadata": Metadata,
    "execution": Execution,
    "docker": Docker,
}
_OLDER: Final = ("picsellia_pipeline_script", "local_pipeline_script")  # of earlier templates


def known_keys() -> dict[str, tuple[str, ...]]:
    """The keys of the tables of the official tool."""
    known = {name: model.__struct_fields__ for name, model in _TABLES.items()}
    return {**known, "execution": (*known["execution"], *_OLDER)}


def check_spelling(reader: TomlReader) -> None:
    """Warn about each key that resembles one of its table, and each table that resembles ours."""
    for name, model in _TABLES.items():
        table = reader.document.get(name)
        if isinstance(table, dict):
            check_keys(reader, (name,), table, model.__struct_fields__)
    for name in reader.document:
        if name not in TABLES and (hint := did_you_mean(name, [_OURS])):
            reader.warn(f"{name} is not used", f"The table of this tool is [{_OURS}].{hint}", name)


def check_keys(
    reader: TomlReader, where: tuple[str | int, ...], table: Mapping[str, Any], known: Sequence[str]
) -> None:
    """Warn about each key of this table that resembles a missing one of `known`, or any closely."""
    name = str(where[0])
    missing = [key for key in known if key not in table]
    for key in table:
        if key in known or key in _OLDER or (*where, key) in reader.lines.places:
            continue  # one of an overlay is an error of its own
        near = [one for one in known if is_one_slip(key.lower(), one)]
        if hint := did_you_mean(key, near or missing):
            reader.warn(f"{name}.{key} is not used", f"[{name}] has {', '.join(known)}.{hint}", *where, key)
