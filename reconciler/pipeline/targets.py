"""Read the targets of a training image: one `[model_version]`, or several `[[model_versions]]`."""

from collections.abc import Mapping
from typing import Any, Final

from providers import enums
from providers.config_keys import ConfigTable
from providers.table import FACTS
from reconciler.core.diagnostics import has_errors
from reconciler.pipeline.keys import dotted, read_keys
from reconciler.pipeline.schema import ModelTarget
from reconciler.pipeline.toml.toml_reader import TomlReader, table_advice
from reconciler.pipeline.toml.typos import check_keys

_NAMES: Final = ("origin_name", "name")
TARGET_FIELDS: Final = (*_NAMES, "framework", "inference_type")  # those of the official tool


def read_targets(reader: TomlReader, kind: str | None) -> tuple[ModelTarget, ...]:
    """The targets of a training pipeline without duplicates; `kind` is metadata.type, or None if invalid."""
    single, rows = reader.document.get("model_version"), reader.document.get("model_versions")
    if kind is not None and kind != enums.TRAINING:
        for key in ("model_version", "model_versions"):
            if reader.document.get(key):
                reader.warn(
                    f"[{key}] is not used: this is a processing pipeline",
                    "Only training pipelines have model versions. Remove the table, or set metadata.type "
                    f'= "{enums.TRAINING}".',
                    key,
                )
        return ()
    if single is not None and not isinstance(single, dict):
        reader.error("model_version must be a table", table_advice("model_version"), "model_version")
        return ()
    if rows is not None and not (isinstance(rows, list) and all(isinstance(row, dict) for row in rows)):
        reader.error(
            "model_versions must be rows", "Write [[model_versions]] above each row.", "model_versions"
        )
        return ()
    deploys = {key: single[key] for key in target_keys() if single and key in single}
    if rows and deploys:
        _both_tables(reader, deploys)
        return ()
    if rows:
        found = [_target(reader, row, "model_versions", index) for index, row in enumerate(rows)]
        return _said_once(reader, _last_of_each(reader, found))
    if single and deploys:
        target = _target(reader, single, "model_version")
        return () if target is None else (target,)
    if kind == enums.TRAINING:
        _no_target(reader, single)
    return ()


def _both_tables(reader: TomlReader, deploys: Mapping[str, Any]) -> None:
    many = reader.lines.line_of("model_versions")
    advice = (
        "[model_version] is empty: delete it."
        if not any(deploys.values())
        else "Keep [model_version] for one target, or move it into one more [[model_versions]] row."
    )
    reader.error(
        "both [model_version] and [[model_versions]] are set",
        f"Use only one of them ([[model_versions]] starts at line {many}). {advice}",
        "model_version",
    )


def _no_target(reader: TomlReader, single: Mapping[str, Any] | None) -> None:
    fields = ", ".join(TARGET_FIELDS)
    if single and "id" in single:
        summary = "[model_version] has only an id, which is not a deploy target"
        detail = f"Add {fields} to it. The id is kept for local runs and is not used to deploy."
        reader.error(summary, detail, "model_version")
        return
    reader.error(
        "a training pipeline needs a model version to deploy to",
        f"Add a [model_version] table with {fields}, or one [[model_versions]] row for each target.",
        *(("model_version",) if single is not None else ("metadata", "type")),
    )


def _target(reader: TomlReader, table: Mapping[str, Any], *where: str | int) -> ModelTarget | None:
    before = len(reader.diagnostics)
    names = {key: reader.text(table, *where, key) for key in _NAMES}
    if len(reader.diagnostics) > before:
        return None
    blank = [key for key, name in names.items() if not (name or "").strip()]
    if blank:
        empty = [key for key in TARGET_FIELDS if key in table and not str(table[key]).strip()]
        state = "empty" if set(blank) <= set(empty) else "missing or empty"
        shown = empty if state == "empty" else blank
        reader.error(
            f"{dotted(where)}: {', '.join(shown)} {'is' if len(shown) == 1 else 'are'} {state}",
            "origin_name is the model and name its version; both are needed. "
            "framework and inference_type may be left out (a model version that exists keeps its own) "
            f"or empty ({enums.NOT_CONFIGURED}).",
            *where,
            *([shown[0]] if shown[0] in table else []),
        )
    check_keys(reader, where, table, target_keys())
    fields = {kind: read_keys(reader, table, where, FACTS[kind]) for kind in _tables()}
    if has_errors(reader.diagnostics[before:]):
        return None
    return ModelTarget(
        origin_name=names["origin_name"] or "",
        name=names["name"] or "",
        fields=fields,
        line=reader.lines.line_of(*where),
        key=where,
    )


def _tables() -> dict[str, ConfigTable]:
    """The kinds that have keys in a row, each with them."""
    return {
        kind: facts.config
        for kind, facts in FACTS.items()
        if facts.config is not None and facts.config.name == "model_version"
    }


def target_keys() -> tuple[str, ...]:
    """Every key of `[model_version]` that is read."""
    given = (key.path[0] for config in _tables().values() for key in config.keys.values())
    return tuple(dict.fromkeys((*TARGET_FIELDS, *given)))


def _said_once(reader: TomlReader, targets: tuple[ModelTarget, ...]) -> tuple[ModelTarget, ...]:
    """Note where two rows give the same field of the model that both are versions of."""
    first: dict[tuple[str, str], ModelTarget] = {}
    for target in targets:
        for field in target.fields.get("model", {}):
            one = first.setdefault((target.origin_name, field), target)
            if one is not target:
                key = _tables()["model"].keys[field].path
                reader.error(
                    f"{dotted(target.key)}: {dotted(key)} is given twice for the model {target.origin_name}",
                    f"The row at line {one.line} gives it, too. One row of a model is enough.",
                    *target.key,
                    *key,
                )
    return targets


def _last_of_each(reader: TomlReader, rows: list[ModelTarget | None]) -> tuple[ModelTarget, ...]:
    """One target for each (origin_name, name): the last row wins, in the position of the first."""
    kept: dict[tuple[str, str], tuple[int, ModelTarget]] = {}
    for index, row in enumerate(rows):
        if row is None:
            continue
        pair = (row.origin_name, row.name)
        if pair in kept:
            first, last = (reader.lines.line_of("model_versions", at) for at in (kept[pair][0], index))
            reader.warn(
                f"two rows for {row.origin_name}/{row.name}: the one at line {last} is used",
                f"The row at line {first} has no effect; delete it, or give one of them another name.",
                "model_versions",
                index,
            )
        kept[pair] = (index, row)
    return tuple(row for _, row in kept.values())
