"""The other environments that the edits of `adopt` change, as warnings. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from reconciler.core.diagnostics import Diagnostic, warning
from reconciler.pipeline.channels import known_environments
from reconciler.pipeline.config import LoadedConfig
from reconciler.pipeline.load import Pipeline
from reconciler.pipeline.toml.edits import REMOVED, Edits, Value
from reconciler.pipeline.toml.overlays import overlaid
from reconciler.pipeline.toml.toml_edits import apply_edits
from reconciler.pipeline.toml.toml_positions import Path as KeyPath


def of_config(pipeline: Pipeline, edited: LoadedConfig, edits: Edits) -> list[Diagnostic]:
    """A warning about the environments that these edits of config.toml change, too; none without any.

    It shows how to give only the environment in use these values.

    Args:
        pipeline: before the edits.
        edits: the path of each value in the tables of the environment in use -> the new value.
    """
    found: dict[tuple[str, ...], dict[KeyPath, Value]] = {}
    others = _others(pipeline)
    before, after = (_views(loaded.document, others) for loaded in (pipeline.loaded, edited))
    for key, value in edits.items():
        reached = tuple(name for name in others if _at(before[name], key) != _at(after[name], key))
        if reached:
            found.setdefault(reached, {})[key] = value
    if not found:
        return []
    shared = {key: value for values in found.values() for key, value in values.items()}
    changed = (f"{', '.join(map(_dotted, values))} of {', '.join(names)}" for names, values in found.items())
    return [
        warning(
            f"this also changes {'; '.join(changed)}",
            _own_values(pipeline, shared),
            file=edited.path,
            line=edited.line_of(*next(iter(shared))),
        )
    ]


def of_classes(pipeline: Pipeline, keys: Iterable[str]) -> list[Diagnostic]:
    """A warning for each of these keys of `[execution]` whose edited class other environments use, too."""
    views = _views(pipeline.loaded.document, _others(pipeline))
    found = []
    for key in dict.fromkeys(keys):
        reference = getattr(pipeline.config.execution, key)
        names = [name for name, view in views.items() if _at(view, ("execution", key)) == reference]
        if names:
            own = f"[reconciler.env.{pipeline.loaded.environment}.execution]"
            found.append(
                warning(
                    f"the patch of {reference} also changes {', '.join(names)}",
                    f"For {pipeline.loaded.environment} alone, name another {key} in {own}.",
                    file=pipeline.loaded.path,
                    line=pipeline.loaded.line_of("execution", key),
                )
            )
    return found


def _others(pipeline: Pipeline) -> list[str]:
    return [name for name in known_environments(pipeline) if name != pipeline.loaded.environment]


def _views(document: Mapping[str, Any], environments: Sequence[str]) -> dict[str, dict[str, Any]]:
    return {name: overlaid(dict(document), name).document for name in environments}


def _at(tables: Any, path: KeyPath) -> Any:
    """The value at this path; None if there is none."""
    for step in path:
        try:
            tables = tables[step]
        except (KeyError, IndexError, TypeError):
            return None
    return tables


def _own_values(pipeline: Pipeline, values: Mapping[KeyPath, Value]) -> str:
    """How to give only the environment in use these values. An overlay replaces a list as a whole."""
    name = str(pipeline.loaded.environment)
    plain: dict[KeyPath, Value] = {}
    copied: dict[str, None] = {}
    for key, value in values.items():
        if value is not REMOVED and all(isinstance(step, str) for step in key):
            plain["reconciler", "env", name, *key] = value
        else:
            copied[f"reconciler.env.{name}.{key[0]}"] = None
    lines = [f"For {name} alone, keep the old values, and write the new ones to"]
    lines += [f"{table}, with a copy of all rows and keys" for table in copied]
    return "\n".join([*lines, *apply_edits("", plain).splitlines()])


def _dotted(path: KeyPath) -> str:
    return ".".join(step for step in path if isinstance(step, str))
