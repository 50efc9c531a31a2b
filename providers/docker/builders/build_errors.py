"""Maps Docker's messages about builds and pushes to readable text and to provider errors. Pure."""

from collections.abc import Iterable

from providers.docker.registry.error_mapping import new_login
from providers.docker.registry.logins import push_login
from providers.docker.registry.reference import Repository
from providers.errors import (
    ForbiddenError,
    PermanentError,
    ProviderError,
    RefusedError,
    TransientError,
    UnauthorizedError,
)
from providers.patterns import pattern
from providers.text import visible

_COLOURS = pattern(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
_TRANSIENT = (
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


def plain_text(text: object) -> str:
    """Build output without colour codes, and with hidden characters escaped."""
    return visible(_COLOURS.sub("", str(text or "")).strip())


def build_error(message: str, what: str, output: Iterable[str] = (), *, hint: str = "") -> ProviderError:
    """The error for a failed build: transient if a registry was unreachable, permanent otherwise.

    Args:
        what: the failed operation, for the message.
        output: the last lines of output.
    """
    text = "\n  ".join((f"{what}: {message}", *output))
    if _is_transient(message):
        retry = "run again when the registry is reachable"
        return TransientError(text, hint=f"{retry}; {hint}" if hint else retry)
    return RefusedError(text, hint=hint)


def push_error(message: str, target: Repository) -> ProviderError:
    """The error for a failed push to `target`."""
    lower, text = message.lower(), f"the Docker Engine could not push to {target}: {message}"
    if any(marker in lower for marker in ("unauthorized", "no basic auth", "authentication required")):
        login = push_login(target.registry)
        hint = new_login(target, login.origin) if login else f"run: {target.login}"
        return UnauthorizedError(text, hint=hint)
    if "denied" in lower or "forbidden" in lower:
        better = target.with_project
        project = f"; many registries require a project in the name: {better}" if better else ""
        return ForbiddenError(text, hint=f"log in as a user with push permission: {target.login}{project}")
    if _is_transient(message):
        return TransientError(text, hint=f"can the Engine reach {target.registry}?", outcome_unknown=True)
    return PermanentError(text)


def _is_transient(message: str) -> bool:
    return any(marker in message.lower() for marker in _TRANSIENT)
