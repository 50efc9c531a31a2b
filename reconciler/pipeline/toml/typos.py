"""Keys and tables of config.toml that nobody reads, and that are nearly ones that somebody would.

Unknown keys are left alone, as the official tool does; `cpus = 8` would do nothing then, in silence.
Reads what `tomllib` gave, and never does more than warn: the key may be meant for somebody else.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from reconciler.pipeline.enums import did_you_mean
from reconciler.pipeline.schema import Docker, Execution, Metadata
from reconciler.pipeline.toml.overlays import TABLES
from reconciler.pipeline.toml.toml_reader import TomlReader

_OURS: Final = "reconciler"
_TABLES: Final[dict[str, type[BaseModel]]] = {"metadata": Metadata, "execution": Execution, "docker": Docker}
_OLDER: Final = frozenset(["picsellia_pipeline_script", "local_pipeline_script"])  # of earlier templates


def check_spelling(reader: TomlReader) -> None:
    """Warn about each key that is nearly one that its table lacks, and about a table that is nearly ours."""
    for name, model in _TABLES.items():
        table = reader.document.get(name)
        if isinstance(table, dict):
            _check_keys(reader, name, table, list(model.model_fields))
    for name in reader.document:
        if name not in TABLES and (hint := did_you_mean(name, [_OURS])):
            reader.warn(f"{name} is not read", f"Our own table is [{_OURS}].{hint}", name)


def _check_keys(reader: TomlReader, name: str, table: Mapping[str, Any], known: list[str]) -> None:
    lacking = [key for key in known if key not in table]
    for key in table:
        if key not in known and key not in _OLDER and (hint := did_you_mean(key, lacking)):
            reader.warn(f"{name}.{key} is not read", f"[{name}] has {', '.join(known)}.{hint}", name, key)
