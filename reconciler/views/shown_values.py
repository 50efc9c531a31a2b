"""Formats values: short, on one line, and only the differing parts of large ones."""

import json

from providers.hiding import HIDDEN, is_hidden
from providers.json_value import JSON
from providers.patterns import pattern
from reconciler.core.diff import Change, ChangeClass
from reconciler.core.reasons import ReasonCode
from reconciler.core.values import NoValue

LONGEST = 72  # characters
SHORT_DIGEST = 19  # characters of a digest, with its "sha256:"
_SOURCE_KEY = pattern(r"v[0-9]+:[0-9a-f]{64}")


def format_value(value: JSON | NoValue, name: str) -> str:
    """One value on one line. Text is in quotes only if it could be read as something else.

    Args:
        name: what the value is called, such as the path of its field. It may say that the value is a secret.
    """
    if isinstance(value, NoValue):
        return "(none)"
    if is_hidden(value, name):
        return HIDDEN
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
    """(path, old, new) of a change, or of each inner difference of two long structured values.

    Old is live and new desired. For a change that is only recorded, old is recorded and new live. For a tag
    that has to move, or is not in the state, old is "": a tag that the image has already is that of another
    environment.
    """
    is_new_tag = change.path == "channel" and change.cls is ChangeClass.UNRECORDED
    if is_new_tag or change.reason.code is ReasonCode.CHANNEL_NOT_MOVED:
        return [(change.path, "", format_value(change.desired, change.path))]
    old, new = change.live, change.desired
    if change.is_only_recorded:
        old, new = change.recorded, change.live
    if isinstance(old, NoValue) and isinstance(new, dict) and new:
        return [
            (path, format_value(old, path), format_value(value, path))
            for path, value in ((f"{change.path}.{key}", value) for key, value in new.items())
        ]
    texts = (format_value(old, change.path), format_value(new, change.path))
    if isinstance(old, dict | list) and isinstance(new, dict | list) and any(t.endswith("…") for t in texts):
        return _inner_differences(change.path, old, new)
    return [(change.path, *texts)]


def _ambiguous(text: str) -> bool:
    """Whether the text without quotes is a JSON value of another type."""
    try:
        json.loads(text)
    except RecursionError:  # a list in a list in a list, as any text of a server may begin
        return True
    except ValueError:
        return False
    return True


def _inner_differences(path: str, old: JSON, new: JSON) -> list[tuple[str, str, str]]:
    from deepdiff import DeepDiff  # imported here, as it takes a tenth of a second and is rarely needed

    rows = []
    for kind, changes in DeepDiff(old, new, view="tree").items():
        for change in changes:
            keys = change.path(output_format="list")
            name = ".".join((path, *(key for key in keys if isinstance(key, str))))
            before = "(none)" if kind.endswith("_added") else format_value(change.t1, name)
            after = "(none)" if kind.endswith("_removed") else format_value(change.t2, name)
            rows.append((path + "".join(f"[{key!r}]" for key in keys), before, after))
    return sorted(rows)
