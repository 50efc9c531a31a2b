"""Validation of documents by the schemas that the documentation publishes."""

import json
from pathlib import Path

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

from providers.json_value import JSON

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
_SCHEMAS = {
    name: json.loads((REFERENCE / name).read_text())
    for name in ("run.schema.json", "events.schema.json", "matrix.schema.json")
}
_REGISTRY: Registry = Registry().with_resources(
    [(name, Resource.from_contents(schema)) for name, schema in _SCHEMAS.items()]
)


def validator(name: str) -> Draft202012Validator:
    """The validator of a schema, which checks formats, too."""
    Draft202012Validator.check_schema(_SCHEMAS[name])
    return Draft202012Validator(
        _SCHEMAS[name], registry=_REGISTRY, format_checker=Draft202012Validator.FORMAT_CHECKER
    )


def valid(document: JSON, name: str) -> None:
    """Fails with the errors of the document, each with its place."""
    errors = validator(name).iter_errors(document)
    assert [f"{one.json_path}: {one.message}" for one in errors] == []
