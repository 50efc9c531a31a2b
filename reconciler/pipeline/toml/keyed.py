"""The part of a config.toml that counts for the source key, in a canonical form."""

import datetime
import json
import math
import tomllib
from collections.abc import Callable, Mapping
from typing import Any

from reconciler.pipeline.toml.overlays import overlays

_RELEASED = frozenset([("metadata", "version"), ("docker", "image_tag")])
_LATER = frozenset(["config", "accepted_secrets", "provenance", "sbom", "sbom_generator"])
"""Settings of `[reconciler.image]` that do not change the image and are newer than the first key format."""
_PIPELINE = frozenset(["metadata", "execution", "docker"])
"""The tables by which a config.toml is that of a pipeline."""
_NOT_AT_RUN_TIME = frozenset(["metadata", "docker", "model_version", "model_versions", "reconciler"])


def keyed_tables(document: Mapping[str, Any]) -> bytes:
    """The part of a config.toml that counts for the source key: the tables that a running pipeline may read.

    These are `[execution]` and every table that belongs neither to the official tool nor to us. The others
    describe the deployment. Canonical JSON, so neither a comment nor the order of keys changes the source.

    Args:
        document: the output of `tomllib`.
    """
    return _bytes({name: table for name, table in document.items() if name not in _NOT_AT_RUN_TIME})


def keyed_document(document: Mapping[str, Any]) -> bytes:
    """The same for a pipeline that reads its whole config.toml: everything except the version and the tag.

    The first format of the source key used this for every pipeline. Settings added later do not count, nor do
    tables with no other settings.
    """
    tables = _without_release(document)
    if environments := overlays(document):
        ours = document["reconciler"]
        env = {**ours["env"], **{name: _without_release(overlay) for name, overlay in environments.items()}}
        tables["reconciler"] = {**ours, "env": env}
    ours = tables.get("reconciler")
    if isinstance(ours, dict) and isinstance(image := ours.get("image"), dict) and image.keys() & _LATER:
        image = {key: value for key, value in image.items() if key not in _LATER}
        ours = {key: value for key, value in {**ours, "image": image}.items() if key != "image" or value}
        tables = {
            key: value
            for key, value in {**tables, "reconciler": ours}.items()
            if key != "reconciler" or value
        }
    return _bytes(tables)


def keyed_content(keyed: Callable[[Mapping[str, Any]], bytes], content: bytes) -> bytes:
    """The part of a pipeline's config.toml, by one of the above; all of a file that is none."""
    try:
        document = tomllib.loads(content.decode())
    except (ValueError, RecursionError):
        return content
    return keyed(document) if document.keys() >= _PIPELINE else content


def _bytes(document: Mapping[str, Any]) -> bytes:
    return json.dumps(
        canonical(dict(document)), sort_keys=True, separators=(",", ":"), ensure_ascii=True
    ).encode()


def _without_release(tables: Mapping[str, Any]) -> dict[str, Any]:
    """The tables without the values that a release changes."""
    return {
        name: {key: value for key, value in table.items() if (name, key) not in _RELEASED}
        if isinstance(table, dict)
        else table
        for name, table in tables.items()
    }


def canonical(value: Any) -> Any:
    """Plain JSON; a value without a JSON form becomes an object that differs from every TOML table's."""
    match value:
        case dict():
            return {"table": {key: canonical(item) for key, item in value.items()}}
        case list():
            return [canonical(item) for item in value]
        case float() if not math.isfinite(value):
            return {"float": str(value)}
        case datetime.datetime() | datetime.date() | datetime.time():
            return {type(value).__name__: value.isoformat()}
    return value
