"""What Docker says of a build or a push, as text for people and as errors of ours. Pure."""

import re
from collections.abc import Iterable

from providers.docker.registry.reference import Repository
from providers.errors import (
    ForbiddenError,
    PermanentError,
    ProviderError,
    RefusedError,
    TransientError,
    UnauthorizedError,
)
from providers.text import visible

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
_PASSING = (
    "connection refused",
    "no such host",
    "i/o timeout",
    "timeout exceeded",
    "connection reset",
    "toomanyrequests",
    "service unavailable",
    "bad gateway",
    "temporary failure",
    "network is unreachable",
)


def plain(text: object) -> str:
    """Text of a build without the colours that programs add, and with nothing hidden in it."""
    return visible(_COLOURS.sub("", str(text or "")).strip())


def failure(message: str, what: str, said: Iterable[str] = (), *, hint: str = "") -> ProviderError:
    """A build's error, by whether it may go away by itself.

    Args:
        what: what was done, and failed.
        said: the last lines before that.
    """
    whole = "\n  ".join((f"{what}: {message}", *said))
    if _passing(message):
        later = "run again when that registry can be reached"
        return TransientError(whole, hint=f"{later}; {hint}" if hint else later)
    return RefusedError(whole, hint=hint)


def push_failure(message: str, target: Repository) -> ProviderError:
    """Docker's error for a push to `target`."""
    lower, what = message.lower(), f"the Docker Engine could not push to {target}: {message}"
    if any(sign in lower for sign in ("unauthorized", "no basic auth", "authentication required")):
        return UnauthorizedError(what, hint=f"run: {target.login}")
    if "denied" in lower or "forbidden" in lower:
        better = target.with_project
        project = f"; many registries want a project in the name: {better}" if better else ""
        return ForbiddenError(what, hint=f"log in as somebody who may push there: {target.login}{project}")
    if _passing(message):
        return TransientError(what, hint=f"can the Engine reach {target.registry}?", outcome_unknown=True)
    return PermanentError(what)


def _passing(message: str) -> bool:
    return any(sign in message.lower() for sign in _PASSING)
