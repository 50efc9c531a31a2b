"""Validation of documents by the schemas that `reconciler schema` prints."""

import functools
import itertools
import json
from collections.abc import Sequence
from pathlib import Path

from jsonschema import Draft7Validator, Draft202012Validator
from jsonschema.protocols import Validator

from providers.json_value import JSON
from reconciler.schemas import NAMES, schema

FORMATS = {f"reconciler/{name}": name for name in NAMES if name not in ("config", "workspace")}
"""`format` of a document -> its schema."""


@functools.cache
def validator(name: str) -> Validator:
    """The validator of a schema, which checks formats, too."""
    found = schema(name)
    kind = Draft202012Validator if "2020-12" in found["$schema"] else Draft7Validator
    kind.check_schema(found)
    return kind(found, format_checker=kind.FORMAT_CHECKER)


def errors(document: JSON, name: str) -> list[str]:
    """The errors of the document, each with its place."""
    return [f"{one.json_path}: {one.message}" for one in validator(name).iter_errors(document)]


def valid(document: JSON, name: str) -> None:
    """Fails with the errors of the document."""
    assert errors(document, name) == []


def written(arguments: Sequence[str]) -> list[str]:
    """The content of the files that a command writes with --json, --out and --events."""
    pairs = itertools.pairwise(arguments)
    files = [Path(value) for option, value in pairs if option in ("--json", "--out", "--events")]
    return [file.read_text(errors="replace") for file in files if file.is_file()]


def check_outputs(texts: Sequence[str]) -> None:
    """Fails if a document of these texts is not as its schema describes it."""
    for text in texts:
        for document in _documents(text):
            if (name := FORMATS.get(str(document.get("format")))) and document["version"] == _version(name):
                valid(document, name)


def _version(name: str) -> int:
    """The version that the schema describes; older documents may lie in files."""
    found = schema(name)
    properties = found.get("properties") or found["$defs"][name]["properties"]
    version: int = properties["version"]["const"]
    return version


def _documents(text: str) -> list[dict[str, JSON]]:
    """The JSON objects in a text: all of it, or each of its lines."""
    if not text.startswith("{"):
        return []
    found = []
    for part in [text, *text.splitlines()]:
        try:
            document = json.loads(part)
        except ValueError:
            continue
        if isinstance(document, dict):
            found.append(document)
        if part is text:
            break
    return found
