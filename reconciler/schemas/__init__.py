"""The JSON Schemas of the files that reconciler reads and of the documents that it writes.

Each is a file in this folder. `scripts/schemas` writes those of config.toml and reconciler.toml; the others
are written by hand. Within a version of a document, its schema only gets more keys.
"""

import json
from collections.abc import Iterator
from typing import Any, Final

from providers.json_value import JSON

NAMES: Final = {
    "config": "config.toml of a pipeline",
    "workspace": "reconciler.toml",
    "plan": "the plan of one pipeline: plan --json, plan --out",
    "plans": "the plans of several pipelines: plan --all --json, plan --all --out",
    "run": "the results of a run: apply --json",
    "events": "one line of the events of a run: apply --events",
    "drift": "the findings of drift --json",
    "matrix": "pipelines x environments: status --matrix --json",
    "status": "what each pipeline runs in each environment: status --json",
    "list": "the selected pipelines: list --json",
    "contract": "the contract of a processing, or its changes: contract --json",
    "image": "a published image and its source: image --json",
    "images": "the published images of several pipelines: image --all --json",
    "state": "the state of a stack: state show --json",
    "history": "the history of a state: state history --json",
}
"""Name -> the file or document that the schema describes."""

_REF: Final = "$ref"


def schema(name: str) -> dict[str, Any]:
    """The schema of this name, complete: definitions that it shares with other schemas are part of it."""
    found = _read(name)
    pending, foreign = list(_foreign(found)), dict[tuple[str, str], JSON]()
    while pending:
        other, definition = key = pending.pop()
        if key not in foreign:
            foreign[key] = _read(other)["$defs"][definition]
            pending += _foreign(foreign[key], other)
    if not foreign:
        return found
    own = found.get("$defs", {})
    taken = [definition for _, definition in foreign]
    assert len({*taken, *own}) == len(taken) + len(own), "two definitions have one name"
    added = {definition: foreign[other, definition] for other, definition in sorted(foreign)}
    whole: dict[str, Any] = _local({**found, "$defs": {**own, **added}})
    return whole


def schema_text(name: str) -> str:
    """The schema as the text of a file."""
    return json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n"


def _read(name: str) -> dict[str, Any]:
    from importlib.resources import files  # late: the declaration of the command imports this module

    found: dict[str, Any] = json.loads(files(__name__).joinpath(f"{name}.schema.json").read_bytes())
    return found


def _foreign(value: Any, home: str = "") -> Iterator[tuple[str, str]]:
    """The definitions of other schemas that a part refers to; a reference within `home` is to that one."""
    for one in value if isinstance(value, list) else value.values() if isinstance(value, dict) else ():
        yield from _foreign(one, home)
    if isinstance(value, dict) and isinstance(reference := value.get(_REF), str):
        file, shared, definition = reference.partition("#/$defs/")
        if shared and (other := file.removesuffix(".schema.json") or home):
            yield other, definition


def _local(value: Any) -> Any:
    """The part with every reference to a definition of the same document."""
    if isinstance(value, list):
        return [_local(one) for one in value]
    if not isinstance(value, dict):
        return value
    found = {key: _local(one) for key, one in value.items()}
    if isinstance(reference := found.get(_REF), str):
        found[_REF] = reference[reference.index("#") :]
    return found
