"""How a value looks: short, on one line, and with only the part that differs when it is a large one."""

import json
import re

from reconciler.core.diff import Change
from reconciler.core.values import JSON, NoValue

LONGEST = 72  # characters
SHORT_DIGEST = 19  # characters of a digest, with its "sha256:"
_SOURCE_KEY = re.compile(r"v[0-9]+:[0-9a-f]{64}")


def shown(value: JSON | NoValue) -> str:
    """One value on one line. Text is in quotes only where it would be mistaken for something else."""
    if isinstance(value, NoValue):
        return "(none)"
    if isinstance(value, str):
        plain = (
            value
            if value and value == value.strip() and value.isprintable() and not _ambiguous(value)
            else None
        )
        text = plain if plain is not None else json.dumps(value, ensure_ascii=False)
    else:
        text = json.dumps(value, ensure_ascii=False)
    if text.startswith("sha256:") or _SOURCE_KEY.fullmatch(text):
        return text[:SHORT_DIGEST]
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def old_and_new(change: Change) -> list[tuple[str, str, str]]:
    """(path, live, desired) of a change; one row for each inner difference of two long structured values."""
    old, new = change.live, change.desired
    if isinstance(old, NoValue) and isinstance(new, dict) and new:
        return [(f"{change.path}.{key}", shown(old), shown(value)) for key, value in new.items()]
    whole = (shown(old), shown(new))
    if isinstance(old, dict | list) and isinstance(new, dict | list) and any(t.endswith("…") for t in whole):
        return _inner(change.path, old, new)
    return [(change.path, *whole)]


def _ambiguous(text: str) -> bool:
    """Whether the text, without quotes, would read as another JSON value."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _inner(path: str, old: JSON, new: JSON) -> list[tuple[str, str, str]]:
    from deepdiff import DeepDiff  # imported here, as it takes a tenth of a second and is rarely needed

    rows = []
    for kind, changes in DeepDiff(old, new, view="tree").items():
        for found in changes:
            before = "(none)" if kind.endswith("_added") else shown(found.t1)
            after = "(none)" if kind.endswith("_removed") else shown(found.t2)
            keys = found.path(output_format="list")
            rows.append((path + "".join(f"[{key!r}]" for key in keys), before, after))
    return sorted(rows)
