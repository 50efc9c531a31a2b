"""Parts that several JSON documents share: reasons, the values of a change, diagnostics."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from providers.docker.verdicts import ImageRefusal, ImageVerdict, ImageWay
from providers.json_value import JSON
from providers.reasons import Reason, WayOut
from providers.text import one_line
from reconciler.core.diagnostics import Diagnostic, Severity
from reconciler.core.diff import Change
from reconciler.core.plan import Action, Stack
from reconciler.core.promotion import PromotionRefusal, PromotionWay
from reconciler.core.reasons import ReasonCode, RefusalCode, Way
from reconciler.core.values import Address, NoValue
from reconciler.views import phrases
from reconciler.views.phrases import Audience

VALUES = ("desired", "recorded", "live")
REASON_CODES: Mapping[str, StrEnum] = {
    code.value: code
    for codes in (ReasonCode, RefusalCode, PromotionRefusal, ImageVerdict, ImageRefusal)
    for code in codes
}
"""Every `reason_code` of plans and drift reports."""
WAY_CODES: Mapping[str, StrEnum] = {
    code.value: code for codes in (Way, PromotionWay, ImageWay) for code in codes
}
"""Every `code` of a way out."""
ACTIONS: Mapping[str, Action] = {action.word: action for action in Action}
Document = Mapping[str, Any]
"""A parsed JSON object whose values are not checked yet."""

UNUSABLE: Final = (*(ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError),)
"""What a reader raises for a document of another shape."""

_DIAGNOSTIC_KEYS = frozenset(["severity", "summary", "detail", "address", "file", "line"])


def stack_to_document(stack: Stack) -> dict[str, JSON]:
    return {
        "organization": stack.organization,
        "environment": stack.environment,
        "host": stack.host,
        "pipeline": stack.pipeline,
        "name": stack.name,
        "folder": stack.folder,
    }


def reason_to_document(reason: Reason, audience: Audience) -> dict[str, JSON]:
    """The words for people, and the code with its details for scripts."""
    return {
        "reason": phrases.reason(reason, audience),
        "reason_code": reason.code.value,
        "reason_details": dict(reason.details),
    }


def reason_from_document(document: Document) -> Reason:
    """The reason in a document of `reason_to_document`. Raises ValueError for unknown codes and details."""
    reason = Reason(_code(document["reason_code"], REASON_CODES), _details(document["reason_details"]))
    expect_words(reason.code, lambda: phrases.reason(reason))
    return reason


def unstated(text: str) -> Reason:
    """The reason in a document without codes."""
    return Reason(ReasonCode.UNSTATED, {"text": text})


def way_to_document(way: WayOut) -> dict[str, JSON]:
    return {"code": way.label.value, "command": way.command, "details": dict(way.details)}


def way_from_document(document: Document) -> WayOut:
    """The way out in a document of `way_to_document`. Raises ValueError for unknown codes and details."""
    way = WayOut(_code(document["code"], WAY_CODES), str(document["command"]), _details(document["details"]))
    expect_words(way.label, lambda: phrases.way(way)[0])
    return way


def values_to_document(change: Change) -> dict[str, JSON]:
    """The values of a change. A missing one is null and listed in `absent`, as null is also a value."""
    values = {name: getattr(change, name) for name in VALUES}
    return {
        **{name: None if isinstance(value, NoValue) else value for name, value in values.items()},
        "absent": {name: value.value for name, value in values.items() if isinstance(value, NoValue)},
    }


def values_from_document(document: Document) -> dict[str, Any]:
    """The values in a document of `values_to_document`. Raises ValueError or KeyError for any other."""
    absent = document["absent"]
    return {name: NoValue(absent[name]) if name in absent else document[name] for name in VALUES}


def diagnostic_to_document(diagnostic: Diagnostic) -> dict[str, JSON]:
    return {
        "severity": diagnostic.severity.value,
        "summary": diagnostic.summary,
        "detail": diagnostic.detail,
        "address": diagnostic.address,
        "file": str(diagnostic.file) if diagnostic.file is not None else None,
        "line": diagnostic.line,
    }


def diagnostic_from_document(document: Document) -> Diagnostic:
    """The diagnostic in a document of `diagnostic_to_document`. Raises ValueError for any other."""
    only_keys(document, _DIAGNOSTIC_KEYS, "a diagnostic")
    for key in ("summary", "detail"):
        expect(document[key], str, f"a diagnostic: its {key} is {document[key]!r}")
    if "/" in document["address"]:  # of a resource, otherwise a kind
        Address.parse(document["address"])
    return Diagnostic(
        Severity(document["severity"]),
        document["summary"],
        document["detail"],
        document["address"],
        Path(document["file"]) if document["file"] else None,
        document["line"],
    )


def cause_of(problem: Exception) -> str:
    """Why a document is unusable, on one line: the message may quote a key or a value of the document."""
    if isinstance(problem, KeyError) and problem.args:
        return f"it lacks {one_line(str(problem.args[0]))}"
    return one_line(str(problem))


def time_from_document(text: Any) -> datetime:
    """A time in UTC. Raises ValueError if the text is none, has no offset from UTC, or is out of range."""
    expect(text, str, "a time")
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        raise ValueError(f"the time {text!r} has no offset from UTC")
    try:
        return time.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"the time {text!r} is out of range") from None


def expect(value: object, kind: type, noun: str) -> None:
    """Raises ValueError if the value has another type.

    Args:
        noun: the expected value, for the message: "a plan".
    """
    if not isinstance(value, kind):
        raise ValueError(f"not {noun}")  # noqa: TRY004 - a bad document, not a bad argument


def only_keys(document: Document, keys: frozenset[str], noun: str) -> None:
    """Raises ValueError if the document has other keys than these."""
    expect(document, dict, noun)
    unknown = sorted(set(document) - keys)
    if unknown:
        raise ValueError(f"{noun} has unknown keys: {', '.join(unknown)}")
    missing = sorted(keys - set(document))
    if missing:
        raise ValueError(f"{noun} lacks {', '.join(missing)}")


def _code(text: str, codes: Mapping[str, StrEnum]) -> StrEnum:
    if text not in codes:
        raise ValueError(f"{text!r} is an unknown code")
    return codes[text]


def expect_words(code: StrEnum, words: Callable[[], object]) -> None:
    """Raises ValueError if the details do not fit the code, so there is no text for them."""
    try:
        fits = isinstance(words(), str)
    except UNUSABLE:
        fits = False
    if not fits:
        raise ValueError(f"{code.value} has unknown details")


def _details(value: Any) -> dict[str, JSON]:
    expect(value, dict, "the details of a reason")
    return dict(value)
