"""Rejects requests from web pages: any page in a browser on this machine can send requests to loopback.

Two signs distinguish them from requests of programs. For a page of another origin, the browser adds `Origin`
or `Sec-Fetch-Site`, which the page cannot set. A page whose own name was pointed at this machine (DNS
rebinding) sends that name as `Host`. The official SDK and CLI and Docker send none of these.
https://fetch.spec.whatwg.org/#origin-header · https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header
"""

import ipaddress
import secrets
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from providers.sandbox.platform import PlatformError


class Guard:
    """An ASGI app in front of another one that rejects requests from foreign pages.

    Args:
        app: the app that handles requests.
        host: the address that the server listens on; also accepted as a name of the sandbox.
        error_body: returns an error body in the format of a path's service.
    """

    def __init__(self, app: ASGIApp, host: str, error_body: Callable[[str, str], dict[str, Any]]) -> None:
        self._app = app
        self._host = host
        self._error_body = error_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        problem = self._problem(Request(scope))
        if problem is None:
            await self._app(scope, receive, send)
        else:
            await JSONResponse(self._error_body(scope["path"], problem), 403)(scope, receive, send)

    def _problem(self, request: Request) -> str | None:
        host = request.headers.get("host", "")
        if not is_loopback(host) and _name(host) != self._host:
            return f"The sandbox serves localhost and 127.0.0.1, not {host[:100]!r}"
        if any(origin != f"http://{host}" for origin in request.headers.getlist("origin")):
            return "The sandbox rejects requests from pages of another origin"
        if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return "The sandbox rejects requests from pages of another site"
        return None


def is_loopback(host: str) -> bool:
    """Whether a `Host` certainly names this machine: a loopback address or localhost."""
    name = _name(host)
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def check_token(headers: Mapping[str, str], query: Mapping[str, str], token: str, *, reads: bool) -> None:
    """Raise PlatformError unless the request has the control token.

    Args:
        reads: whether the request changes nothing; then the token may also be in the query of a link.
    """
    candidates = [
        headers.get("authorization", "").removeprefix("Bearer "),
        query.get("token", "") if reads else "",
    ]
    if not any(value and secrets.compare_digest(value.encode(), token.encode()) for value in candidates):
        raise PlatformError(401, "The control API requires the control token that the sandbox printed")


def _name(host: str) -> str:
    """`host` without its port and without the brackets of an IPv6 address."""
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdecimal():
        name = host
    return name.removeprefix("[").removesuffix("]").lower()
