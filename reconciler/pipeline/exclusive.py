"""What a config.toml declares that two pipelines must not declare, or not with different values. Pure.

Other errors of the file hide no exclusive resource: each needs its own keys only. Reads no class.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path as File
from typing import Any

from providers.ascii_case import ascii_upper
from providers.enums import PROCESSING_TYPES, TRAINING
from providers.json_value import JSON
from providers.table import FACTS, ancestors
from reconciler.core.shared_values import is_shared
from reconciler.core.values import Address, image_address
from reconciler.pipeline.config import LoadedConfig
from reconciler.pipeline.objects import row_tables
from reconciler.pipeline.stacks import STACK, Document, stack_in, text_at
from reconciler.pipeline.toml.overlays import overlaid, overlays, with_defaults
from reconciler.pipeline.toml.toml_positions import Path as KeyPath

Place = tuple[File, int | None]


def exclusive_resources(loaded: LoadedConfig) -> dict[Address, Place]:
    """The resources of exclusive kinds that a file declares for its environment."""
    document = _document(loaded)
    found = dict(_keys(document))
    for one in loaded.config.objects if loaded.config is not None else ():
        if FACTS[one.address.kind].exclusive is not None:
            found[one.address] = one.key
    return {address: (loaded.path, loaded.line_of(*key)) for address, key in found.items()}


def named_resources(
    document: Document, environment: str | None, known: Container[str]
) -> set[Address] | None:
    """The resources that a file names for an environment, with their parents; None if it may name any.

    It may if a part is missing or invalid that resources are named by. Other errors hide nothing.

    Args:
        document: the content of the file; None if it cannot be read.
        environment: None for the values that all share.
        known: the environments. The overlay of another one, misspelt, may be meant for this one.
    """
    if document is None:
        return None
    misspelt = [name for name in overlays(document) if name not in known]
    found: set[Address] = set()
    for name in (environment, *misspelt):
        named = _named(overlaid(dict(document), name).document)
        if named is None:
            return None
        found |= named
    return found


def _named(document: Mapping[str, Any]) -> set[Address] | None:
    """As `named_resources`, of the values for one environment."""
    kind = ascii_upper(text_at(document, "metadata", "type"))
    found: set[Address] = set()
    if kind in PROCESSING_TYPES:
        if (names := _names_in(document.get("metadata"), ["name"])) is None:
            return None
        found |= _with_parents("processing", names)
    elif kind == TRAINING:
        single, rows = document.get("model_version"), document.get("model_versions")
        tables = [*([] if single is None else [single]), *(rows if isinstance(rows, list) else [rows])]
        tables = [table for table in tables if table is not None]
        if not tables:
            return None
        for table in tables:
            if (names := _names_in(table, ["origin_name", "name"])) is None:
                return None
            found |= _with_parents("model-version", names)
    else:
        return None
    return _with_rows(document.get("reconciler", {}), found)


def _with_rows(ours: object, found: set[Address]) -> set[Address] | None:
    """As `_named`, with the objects that have rows in `[reconciler]`."""
    if not isinstance(ours, dict):
        return None
    for table, (kind, _) in row_tables().items():
        rows = ours.get(table, [])
        if not isinstance(rows, list):
            return None
        for row in rows:
            names = _names_in(row, [*(parent.replace("-", "_") for parent in ancestors(kind)), "name"])
            if names is None:
                return None
            found |= _with_parents(kind, names)
    return found


def _names_in(table: object, keys: Sequence[str]) -> list[str] | None:
    """The texts at these keys; None if one is missing or no text. An empty one names nothing."""
    if not isinstance(table, dict):
        return None
    names: list[Any] = [table.get(key) for key in keys]
    return names if all(isinstance(name, str) for name in names) else None


def _with_parents(kind: str, names: Sequence[str]) -> set[Address]:
    """The object with these names and its parents, as far as the names are not empty."""
    kinds = [*ancestors(kind), kind]
    filled = next((index for index, name in enumerate(names) if not name.strip()), len(names))
    return {Address.of(kinds[index], *names[: index + 1]) for index in range(filled)}


def shared_values(loaded: LoadedConfig) -> dict[tuple[Address, str], tuple[JSON, Place]]:
    """The values of resources that several pipelines may declare, by address and field, with their places.

    Nothing for a file with errors.
    """
    found: dict[tuple[Address, str], tuple[JSON, Place]] = {}
    config = loaded.config
    for target in config.targets if config is not None else ():
        name = target.origin_name, target.name
        for kind, fields in target.fields.items():
            facts = FACTS[kind]
            keys = facts.config.keys if facts.config is not None else {}
            if is_shared(facts):
                address = Address(kind, name[: 1 + len(ancestors(kind))])
                for field, value in fields.items():
                    found[address, field] = value, loaded.place_of(*target.key, *keys[field].path)
    return found


def declared_stack(loaded: LoadedConfig) -> tuple[str, Place]:
    """The name of the stack in its environment, "" if the file has none, and the place that sets it."""
    document = _document(loaded)
    is_training = ascii_upper(text_at(document, "metadata", "type")) == TRAINING
    named = ("docker", "image_name") if is_training else ("metadata", "name")
    key = STACK if text_at(document, *STACK) else named
    return stack_in(document), loaded.place_of(*key)


def _document(loaded: LoadedConfig) -> Mapping[str, Any]:
    complete, _ = with_defaults(dict(loaded.document), loaded.shared.defaults)
    return overlaid(complete, loaded.environment).document


def _keys(document: Mapping[str, Any]) -> Iterator[tuple[Address, KeyPath]]:
    """The image, and the processing or the model versions. Of two rows with one version, the last one."""
    kind = ascii_upper(text_at(document, "metadata", "type"))
    if image := text_at(document, "docker", "image_name"):
        yield image_address(image), ("docker", "image_name")
    if kind in PROCESSING_TYPES and (name := text_at(document, "metadata", "name")):
        yield Address.of("processing", name), ("metadata", "name")
    if kind == TRAINING:
        listed = document.get("model_versions")
        rows = listed if isinstance(listed, list) else []
        tables: list[tuple[KeyPath, Any]] = [(("model_version",), document.get("model_version"))]
        tables += [(("model_versions", number), row) for number, row in enumerate(rows)]
        for key, row in tables:
            names = [text_at({"row": row}, "row", name) for name in ("origin_name", "name")]
            if all(name.strip() for name in names):
                yield Address.of("model-version", *names), (*key, "name")
