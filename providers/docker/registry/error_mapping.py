"""Maps a registry's responses and broken connections to the errors of `providers.errors`.

Used for the registry and its token server. Sends nothing, and never puts a header, a password or a signed URL
into a message.
"""

import requests

from providers.answers import MalformedAnswerError, json_object
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
from providers.hiding import shortened
from providers.http import Origin, RedirectError, origin, sent_secrets
from providers.rate_limit import retry_after
from providers.text import without_secrets


def from_response(
    response: requests.Response,
    repository: Repository,
    doing: str,
    *,
    username: str | None,
    variable: str = "",
    takes_variables: bool = True,
) -> ProviderError:
    """The error for a refusing response.

    Args:
        doing: the operation, for the message: "reading team/app:1.0".
        username: user name of the login; None without a login.
        variable: the one that the login comes from; "" for a stored one.
        takes_variables: whether a login in variables would be used.
    """
    status, registry = response.status_code, repository.registry
    detail = _detail(response)
    challenge = response.headers.get("WWW-Authenticate", "")
    # Docker's token authentication returns 401, not 403, for a valid token with insufficient scope.
    insufficient_scope = username is not None and 'error="insufficient_scope"' in challenge
    if status == 401 and username is None:
        return UnauthorizedError(
            f"{registry} requires a login for {doing}, and none is stored{detail}",
            hint=f"run: {repository.login}{_VARIABLES if takes_variables else ''}",
        )
    if status == 401 and not insufficient_scope:
        return UnauthorizedError(
            f"{registry} does not accept the login of {username} for {doing}{detail}",
            hint=f"{new_login(repository, variable)}{_project(repository)}",
        )
    if status in (401, 403):
        who = f"{username} is" if username else "you are"
        return ForbiddenError(
            f"{registry} does not allow {doing}{detail}",
            hint=f"{who} logged in without that permission: request it, or log in as another user with "
            f"{repository.login}{_project(repository)}",
        )
    if status == 404:
        return GoneError(
            f"{registry} found nothing when {doing}{detail}",
            hint=f"check the name; in some registries you must create {repository.path} before the first push"
            f"{_project(repository)}",
        )
    if status == 429:
        seconds = retry_after(response.headers)
        wait = "wait" if seconds is None else f"wait {seconds:.0f} s"
        return TransientError(
            f"{registry} returned 429 (too many requests) when {doing}{detail}",
            hint=f"{wait}, or log in for a higher limit: {repository.login}",
            retry_after=seconds,
            waits=getattr(response, "waits", None),
        )
    if status >= 500:
        return TransientError(
            f"{registry} failed with {status} when {doing}{detail}",
            hint="run again later; the problem is on the registry's side",
            outcome_unknown=response.request.method not in ("GET", "HEAD"),
            retry_after=retry_after(response.headers),
            waits=getattr(response, "waits", None),
        )
    if status < 400:
        target = origin(response.headers.get("Location", ""))  # the rest of the URL may be signed
        return PermanentError(
            f"{registry} returned a redirect ({status}){f' to {target}' if target else ''} when {doing}, "
            "which is not followed",
            hint="set image_name to the registry's final address",
        )
    if status == 413:
        return RefusedError(
            f"{registry} does not accept an upload of that size when {doing}{detail}",
            hint="usually a proxy before the registry sets the limit; exclude large files in .dockerignore",
        )
    hint = _project(repository).removeprefix("; ")
    return RefusedError(f"{registry} refused {doing} with {status}{detail}", hint=hint)


def from_other_server(
    response: requests.Response, repository: Repository, doing: str, server: Origin
) -> ProviderError:
    """The error for a refusing response of a server that the registry sent the request to.

    It gets no login of the registry, so that one is not the cause. And it cannot say for the registry that
    something is missing.
    """
    status, registry = response.status_code, repository.registry
    summary = f"{server}, to which {registry} sends the request, returned {status} when {doing}"
    summary = f"{summary}{_detail(response)}"
    if status == 429 or status >= 500:
        return TransientError(
            summary,
            hint=f"run again later; the problem is on the side of {server}",
            outcome_unknown=status != 429 and response.request.method not in ("GET", "HEAD"),
            retry_after=retry_after(response.headers),
            waits=getattr(response, "waits", None),
        )
    if status in (401, 403):
        return ForbiddenError(
            summary,
            hint=f"it gets the address from {registry}, and no login: the address has expired, or the "
            f"administrator of {registry} must correct it",
        )
    return PermanentError(
        summary, hint=f"the administrator of {registry} configures where it stores its layers"
    )


_VARIABLES = ", or set DOCKER_USERNAME and DOCKER_PASSWORD"


def new_login(repository: Repository, variable: str) -> str:
    """How to replace a login that is not accepted.

    Args:
        variable: the one that its user name comes from; "" for a stored one.
    """
    again = f"log in again: {repository.login}"
    return f"correct {variable} and the variable of its password, or {again}" if variable else again


def from_exception(error: Exception, repository: Repository, doing: str, *, writing: bool) -> ProviderError:
    """The error for a failed connection.

    Args:
        writing: whether the request may have changed something before the connection broke.
    """
    request = getattr(error, "request", None)
    server = other_server(request.url or "", repository) if request is not None else None
    host = f"{server}, to which {repository.host} sends the request," if server else repository.host
    reach = f"{repository.host} names that server; check the network" if server else _reach(repository)
    if isinstance(error, requests.exceptions.SSLError):
        plain = "WRONG_VERSION_NUMBER" in str(error) or "record layer" in str(error)
        return PermanentError(
            f"no secure connection to {host} when {doing}: "
            + ("it does not speak https" if plain else "its certificate is not trusted"),
            hint="plain http is supported only for registries on this machine"
            if plain
            else "set REQUESTS_CA_BUNDLE to the certificate file of the authority",
        )
    if isinstance(error, RedirectError):
        return PermanentError(
            f"a redirect from {host} was not followed when {doing}: {error}",
            hint="the administrator of the registry must make it redirect to https",
        )
    if isinstance(error, requests.exceptions.ProxyError):
        return TransientError(
            f"the proxy cannot reach {host} when {doing}", hint="check HTTPS_PROXY and NO_PROXY"
        )
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return TransientError(f"{host} did not respond in time when {doing}", hint=reach)
    if isinstance(error, requests.Timeout):
        return TransientError(f"{host} stopped responding when {doing}", hint=reach, outcome_unknown=writing)
    if isinstance(error, requests.ConnectionError | requests.exceptions.ChunkedEncodingError):
        return TransientError(
            f"no connection to {host} when {doing}: {_cause(error)}",
            hint=reach,
            outcome_unknown=writing,
        )
    is_answer = isinstance(error, MalformedAnswerError)
    why = str(error) if is_answer else type(error).__name__
    return PermanentError(
        f"{host} sent an invalid response when {doing}: {why}", outcome_unknown=writing and is_answer
    )


def other_server(url: str, repository: Repository) -> Origin | None:
    """The server of a URL if it is not the registry."""
    server = origin(url)
    return server if server != origin(repository.url) else None


def _project(repository: Repository) -> str:
    """The end of a hint: a name with a project, if it may be missing."""
    better = repository.with_project
    return f"; many registries require a project in the name: {better}" if better else ""


def _reach(repository: Repository) -> str:
    if repository.loopback:
        return f"is a registry running at {repository.registry}?"
    return f"check the name {repository.registry} and the network"


def _cause(error: Exception) -> str:
    text = str(error)
    for marker, cause in (
        ("NameResolution", "unknown host name"),
        ("Name or service not known", "unknown host name"),
        ("refused", "refused"),
        ("reset", "the connection broke"),
        ("Broken pipe", "the connection broke"),
        ("timed out", "timed out"),
        ("aborted", "the connection broke"),
    ):
        if marker in text:
            return cause
    return type(error).__name__


def _detail(response: requests.Response) -> str:
    """The registry's own message, shortened; "" without a readable one."""
    try:
        first = json_object(response.content, dict)["errors"][0]
        text = str(first.get("message") or first.get("code") or "")
    except (ValueError, LookupError, TypeError, AttributeError, requests.RequestException):
        return ""
    text = without_secrets(text, sent_secrets(response.request))
    return f": {shortened(' '.join(text.split()), 200)}" if text else ""
