"""The stacks that a config.toml declares in its environments. Other errors of the file hide none. Pure."""

from collections.abc import Mapping
from typing import Any

from providers.ascii_case import ascii_upper
from providers.enums import PROCESSING_TYPES, TRAINING
from reconciler.pipeline.stack_name import stack_name
from reconciler.pipeline.toml.overlays import overlaid, overlays

Document = Mapping[str, Any] | None
"""The content of a config.toml; None if it cannot be read or is not TOML."""
STACK = "reconciler", "stack"


def views(document: Document) -> dict[str | None, Mapping[str, Any]]:
    """The content of a config.toml for each environment that it has values of, and by None for all others."""
    tables = dict(document or {})
    return {environment: overlaid(tables, environment).document for environment in (None, *overlays(tables))}


def stack_in(tables: Mapping[str, Any]) -> str:
    """The name of the stack by the values for one environment; "" if it has none."""
    return stack_name(
        ascii_upper(text_at(tables, "metadata", "type")),
        text_at(tables, "metadata", "name"),
        text_at(tables, "docker", "image_name"),
        text_at(tables, *STACK) or None,
    )


def stacks_of(document: Document) -> dict[str | None, str]:
    """The name of the stack in each environment that has values of its own, and by None in all others.

    Without those that have none, or are not known.
    """
    names = {environment: stack_in(tables) for environment, tables in views(document).items()}
    return {environment: name for environment, name in names.items() if name}


def unknown_stack(document: Document) -> str:
    """Why the stack of an environment cannot be known, so that it may be any; "" if all are known.

    A training without the name of an image has no stack yet, which is known, too.
    """
    if document is None:
        return "it is not valid TOML"
    if not document:
        return "it is empty"
    if all(map(_is_known, views(document).values())):
        return ""
    return "it has no [metadata]" if "metadata" not in document else "it does not say which stack it declares"


def _is_known(tables: Mapping[str, Any]) -> bool:
    """Whether it is certain which stack these are the values of: a type decides which value names it."""
    settings, docker = tables.get("reconciler", {}), tables.get("docker")
    if not isinstance(settings, dict) or not isinstance(stack := settings.get("stack", ""), str):
        return False
    kind = ascii_upper(text_at(tables, "metadata", "type"))
    if stack or kind in PROCESSING_TYPES:
        return bool(stack_in(tables))
    return kind == TRAINING and isinstance(docker, dict) and isinstance(docker.get("image_name"), str)


def text_at(tables: Mapping[str, Any], table: str, key: str) -> str:
    """The text at this key; "" if there is none."""
    section = tables.get(table)
    value = section.get(key) if isinstance(section, dict) else None
    return value if isinstance(value, str) else ""
