"""What a config.toml declares that two pipelines must not declare, or not with different values. Pure.

Other errors of the file hide no exclusive resource: each needs its own keys only. Reads no class.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path as File
from typing import Any

from providers.ascii_case import ascii_upper
from providers.enums import PROCESSING_TYPES, TRAINING
from providers.json_value import JSON
from providers.table import FACTS, ancestors
from reconciler.core.shared_values import is_shared
from reconciler.core.values import Address, image_address
from reconciler.pipeline.config import LoadedConfig
from reconciler.pipeline.stack_name import stack_name
from reconciler.pipeline.toml.overlays import overlaid, with_defaults
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
    kind, name, image, stack = (
        _text(document, *key)
        for key in (("metadata", "type"), ("metadata", "name"), ("docker", "image_name"), _STACK)
    )
    kind = ascii_upper(kind)
    key = _STACK if stack else ("docker", "image_name") if kind == TRAINING else ("metadata", "name")
    return stack_name(kind, name, image, stack or None), loaded.place_of(*key)


_STACK = ("reconciler", "stack")


def _document(loaded: LoadedConfig) -> Mapping[str, Any]:
    complete, _ = with_defaults(dict(loaded.document), loaded.shared.defaults)
    return overlaid(complete, loaded.environment).document


def _keys(document: Mapping[str, Any]) -> Iterator[tuple[Address, KeyPath]]:
    """The image, and the processing or the model versions. Of two rows with one version, the last one."""
    kind = ascii_upper(_text(document, "metadata", "type"))
    if image := _text(document, "docker", "image_name"):
        yield image_address(image), ("docker", "image_name")
    if kind in PROCESSING_TYPES and (name := _text(document, "metadata", "name")):
        yield Address.of("processing", name), ("metadata", "name")
    if kind == TRAINING:
        listed = document.get("model_versions")
        rows = listed if isinstance(listed, list) else []
        tables: list[tuple[KeyPath, Any]] = [(("model_version",), document.get("model_version"))]
        tables += [(("model_versions", number), row) for number, row in enumerate(rows)]
        for key, row in tables:
            names = [_text({"row": row}, "row", name) for name in ("origin_name", "name")]
            if all(name.strip() for name in names):
                yield Address.of("model-version", *names), (*key, "name")


def _text(document: Mapping[str, Any], table: str, key: str) -> str:
    """The text at this key; "" if there is none."""
    section = document.get(table)
    value = section.get(key) if isinstance(section, dict) else None
    return value if isinstance(value, str) else ""
