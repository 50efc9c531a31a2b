"""Keeps web pages out. Any page in a browser on this machine can send requests to loopback.

Two things tell such a request from that of a program. For a page of another origin the browser adds
`Origin` or `Sec-Fetch-Site`, which the page cannot set. A page whose own name was pointed at this machine
(DNS rebinding) sends that name as `Host`. The official SDK and CLI and Docker send none of these.
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
    """An ASGI app in front of another one, which only sees requests that no foreign page sent.

    Args:
        app: what answers.
        host: the address that the server listens on; it is a name of the sandbox, too.
        told: an error in the form of the service that a path is of.
    """

    def __init__(self, app: ASGIApp, host: str, told: Callable[[str, str], dict[str, Any]]) -> None:
        self._app = app
        self._host = host
        self._told = told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        problem = self._problem(Request(scope))
        if problem is None:
            await self._app(scope, receive, send)
        else:
            await JSONResponse(self._told(scope["path"], problem), 403)(scope, receive, send)

    def _problem(self, request: Request) -> str | None:
        host = request.headers.get("host", "")
        if not is_loopback(host) and _name(host) != self._host:
            return f"The sandbox is at localhost and 127.0.0.1, and not at {host[:100]!r}"
        if any(origin != f"http://{host}" for origin in request.headers.getlist("origin")):
            return "The sandbox takes no request from a page of another origin"
        if request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
            return "The sandbox takes no request from a page of another site"
        return None


def is_loopback(host: str) -> bool:
    """Whether a `Host` names this machine for certain: by an address, or as localhost."""
    name = _name(host)
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def check_token(headers: Mapping[str, str], query: Mapping[str, str], token: str, *, reads: bool) -> None:
    """Raises PlatformError unless the request has the token of the sandbox's own calls.

    Args:
        reads: the request changes nothing, so a link that has the token is as good as a header.
    """
    given = [
        headers.get("authorization", "").removeprefix("Bearer "),
        query.get("token", "") if reads else "",
    ]
    if not any(one and secrets.compare_digest(one.encode(), token.encode()) for one in given):
        raise PlatformError(
            401, "The sandbox's own calls need the control token that it printed at its start"
        )


def _name(host: str) -> str:
    """`host` without its port, and without the brackets of an IPv6 address."""
    name, colon, port = host.rpartition(":")
    if not colon or not port.isdecimal():
        name = host
    return name.removeprefix("[").removesuffix("]").lower()
