"""What a registry's refusals and broken connections mean, as the error families of `providers.errors`.

One place for both the registry's own answers and its token server's. Works on answers only: sends nothing,
and never puts a header, a password or a signed address into a message.
"""

import requests

from providers.answers import json_object
from providers.docker.registry.reference import Repository
from providers.errors import (
    ForbiddenError,
    GoneError,
    PermanentError,
    ProviderError,
    RefusedError,
    TransientError,
    UnauthorizedError,
)
from providers.http import RedirectError, origin
from providers.rate_limit import retry_after


def from_answer(
    response: requests.Response, repository: Repository, doing: str, *, username: str | None
) -> ProviderError:
    """The error that a refusing answer stands for.

    Args:
        doing: what was asked for, for people: "reading team/app:1.0".
        username: of the login that was used; None when there is none.
    """
    status, registry = response.status_code, repository.registry
    detail = _detail(response)
    challenge = response.headers.get("WWW-Authenticate", "")
    # Docker's token authentication says 401, not 403, to a good token that allows too little.
    allows_too_little = username is not None and 'error="insufficient_scope"' in challenge
    if status == 401 and username is None:
        return UnauthorizedError(
            f"{registry} wants a login for {doing}, and none is stored{detail}",
            hint=f"run: {repository.login}, or set DOCKER_USERNAME and DOCKER_PASSWORD",
        )
    if status == 401 and not allows_too_little:
        return UnauthorizedError(
            f"{registry} does not accept the login of {username} for {doing}{detail}",
            hint=f"log in again: {repository.login}{_project(repository)}",
        )
    if status in (401, 403):
        who = f"{username} is" if username else "you are"
        return ForbiddenError(
            f"{registry} does not allow {doing}{detail}",
            hint=f"{who} logged in without that right: ask for it, or log in as somebody else with "
            f"{repository.login}{_project(repository)}",
        )
    if status == 404:
        return GoneError(
            f"{registry} found nothing when {doing}{detail}",
            hint=f"check the name; some registries want {repository.path} created before the first push"
            f"{_project(repository)}",
        )
    if status == 429:
        seconds = retry_after(response.headers)
        wait = "wait" if seconds is None else f"wait {seconds:.0f} s"
        return TransientError(
            f"{registry} asks to slow down when {doing}{detail}",
            hint=f"{wait}, or log in for a higher limit: {repository.login}",
            retry_after=seconds,
            waits=getattr(response, "waits", None),
        )
    if status >= 500:
        return TransientError(
            f"{registry} failed with {status} when {doing}{detail}",
            hint="run again later; nothing to change on this side",
            outcome_unknown=response.request.method not in ("GET", "HEAD"),
            retry_after=retry_after(response.headers),
            waits=getattr(response, "waits", None),
        )
    if status < 400:
        place = origin(response.headers.get("Location", ""))  # the rest of it may be signed
        return PermanentError(
            f"{registry} answered {status} when {doing}: redirected{f' to {place}' if place else ''}, "
            "which is not followed",
            hint="name the registry in image_name by the address that it is reached at",
        )
    if status == 413:
        return RefusedError(
            f"{registry} takes no upload of that size when {doing}{detail}",
            hint="a proxy before the registry usually sets that limit; .dockerignore keeps large files out",
        )
    hint = _project(repository).removeprefix("; ")
    return RefusedError(f"{registry} refused {doing} with {status}{detail}", hint=hint)


def from_exception(error: Exception, repository: Repository, doing: str, *, writing: bool) -> ProviderError:
    """The error that a broken or never made connection stands for.

    Args:
        writing: the request may have changed something before the connection broke.
    """
    host = repository.host
    if isinstance(error, requests.exceptions.SSLError):
        plain = "WRONG_VERSION_NUMBER" in str(error) or "record layer" in str(error)
        return PermanentError(
            f"no secure connection to {host} when {doing}: "
            + ("it does not speak https" if plain else "its certificate is not trusted"),
            hint="only registries on this machine may speak plain http"
            if plain
            else "name the authority's file in REQUESTS_CA_BUNDLE",
        )
    if isinstance(error, RedirectError):
        return PermanentError(
            f"{host} is not followed when {doing}: {error}",
            hint="the administrator of the registry has to make it redirect to https",
        )
    if isinstance(error, requests.exceptions.ProxyError):
        return TransientError(
            f"the proxy does not lead to {host} when {doing}", hint="check HTTPS_PROXY and NO_PROXY"
        )
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return TransientError(f"{host} did not answer in time when {doing}", hint=_reach(repository))
    if isinstance(error, requests.Timeout):
        return TransientError(
            f"{host} stopped answering when {doing}", hint=_reach(repository), outcome_unknown=writing
        )
    if isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return TransientError(
            f"no connection to {host} when {doing}: {_cause(error)}",
            hint=_reach(repository),
            outcome_unknown=writing,
        )
    return PermanentError(f"{host} gave no usable answer when {doing}: {type(error).__name__}")


def _project(repository: Repository) -> str:
    """What may be missing in the name, at the end of a hint."""
    better = repository.with_project
    return f"; many registries want a project in the name: {better}" if better else ""


def _reach(repository: Repository) -> str:
    if repository.loopback:
        return f"is a registry running at {repository.registry}?"
    return f"check the name {repository.registry} and the network"


def _cause(error: Exception) -> str:
    text = str(error)
    for sign, cause in (
        ("NameResolution", "the name is not known"),
        ("Name or service not known", "the name is not known"),
        ("refused", "refused"),
        ("reset", "it was cut off"),
        ("Broken pipe", "it was cut off"),
        ("timed out", "timed out"),
        ("aborted", "it was cut off"),
    ):
        if sign in text:
            return cause
    return type(error).__name__


def _detail(response: requests.Response) -> str:
    """What the registry said about it, short; "" when it said nothing readable."""
    try:
        first = json_object(response.content, dict)["errors"][0]
        text = str(first.get("message") or first.get("code") or "")
    except (ValueError, LookupError, TypeError, AttributeError, requests.RequestException):
        return ""
    return f": {' '.join(text.split())[:200]}" if text else ""
