"""HTTP sessions that ask as `requests` does, with less work for each request.

Below every far end; knows none of them. What the environment says of an address, its proxy and whose
certificates count, is looked up once; and a read that has nothing but an address and headers is put together
and sent without looking for all the other things that it might have: `requests` takes as long for these two
as for the rest. The answer has no `elapsed` and no `history`, and hooks are not called.

The one place that decides where credentials and redirects lead. Credentials belong to an origin (scheme,
host and port) and are sent to no other one. Only reads follow redirects, and never from https to http. The
caller refuses a redirected write: clients that follow it send a GET, whose answer looks like success.
"""

from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import requests
from requests.hooks import default_hooks
from requests.structures import CaseInsensitiveDict

from providers.errors import PermanentError

_OF_A_READ = {"headers", "auth", "timeout", "stream", "allow_redirects"}

Said = dict[tuple[str, str], Mapping[str, Any]]
"""Scheme and host -> what the environment says of it."""

_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """What credentials belong to.

    Attributes:
        scheme: "http" or "https".
        host: in lower case, an IPv6 address without its brackets.
        port: the scheme's own where the address gives none.
    """

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == _PORTS[self.scheme] else f":{self.port}")


class RedirectError(requests.RequestException):
    """A read is redirected to where reads are not followed."""


def origin(address: str) -> Origin | None:
    """Whose address it is; None for one that is not http, or that two parsers may read differently.

    A backslash ends the host for some and not for others, and so do blanks; a user name before the host is
    there to be taken for the host. None of them is in an address that a service gives out in good faith.
    """
    try:
        parts = urlsplit(address)
        port = parts.port
    except ValueError:
        return None
    host, default = parts.hostname, _PORTS.get(parts.scheme)
    odd = "\\" in address or "@" in parts.netloc or not address.isascii() or not address.isprintable()
    if odd or " " in address or not host or default is None:
        return None
    return Origin(parts.scheme, host, default if port is None else port)


def same_origin(address: str, other: str) -> bool:
    """Whether what proves who we are at one address may be sent to the other."""
    first = origin(address)
    return first is not None and first == origin(other)


class Session(requests.Session):
    """A session of `requests` whose environment stays as it is.

    Args:
        said: what is known already; shared with the sessions that trust the environment as much as this one.
    """

    def __init__(self, said: Said | None = None) -> None:
        super().__init__()
        self._said: Said = {} if said is None else said
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))  # no service here needs them

    def request(self, method: str, url: str, **how: Any) -> requests.Response:  # type: ignore[override]
        """Send a request and return its answer; see `requests.Session`."""
        auth = how.get("auth") or self.auth
        rare = any(value is not None for name, value in how.items() if name not in _OF_A_READ)
        if method not in ("GET", "HEAD") or rare or not url.isascii() or not callable(auth):
            return super().request(method, url, **how)
        request = requests.PreparedRequest()
        request.method, request.url, request.hooks = method, url, default_hooks()
        headers: dict[str, Any] = {**self.headers, **(how.get("headers") or {})}
        request.headers = CaseInsensitiveDict(headers)
        settings = self.merge_environment_settings(url, {}, how.get("stream"), None, None)
        settings["timeout"] = how.get("timeout")
        answer = self.get_adapter(url).send(auth(request), **settings)
        if answer.is_redirect and how.get("allow_redirects", True):
            request.prepare_cookies(self.cookies)  # `requests` goes on from them
            answer = [answer, *self.resolve_redirects(answer, request, **settings)][-1]
        if not settings["stream"]:
            _ = answer.content  # all of it, so that the connection is free again
        return answer

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Where a redirected read goes on; None for everything else, a redirected write included.

        Raises:
            RedirectError: it leads from https to somewhere else.
        """
        target = super().get_redirect_target(resp)
        if target is None or resp.request.method not in ("GET", "HEAD"):
            return None
        there = urljoin(resp.url, target)
        if urlsplit(resp.url).scheme == "https" and urlsplit(there).scheme != "https":
            resp.close()
            raise RedirectError(f"redirected from https to {origin(there) or 'an odd address'}")
        return target

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Drop what proves who we are from a read that goes on at another origin; ~/.netrc adds nothing."""
        prepared_request.headers.pop("Cookie", None)
        if not same_origin(prepared_request.url or "", response.request.url or ""):
            prepared_request.headers.pop("Authorization", None)

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """What a request to this address is sent with; see `requests.Session`.

        Raises:
            FinalError: the file that the environment names for https is not there.
        """
        if proxies or verify is not None or cert is not None:
            return super().merge_environment_settings(url, proxies, stream, verify, cert)
        parts = urlsplit(url)
        origin = parts.scheme, parts.netloc
        if (said := self._said.get(origin)) is None:
            said = super().merge_environment_settings(url, {}, None, None, None)
            authorities = said["verify"]
            if parts.scheme == "https" and isinstance(authorities, str) and not Path(authorities).exists():
                raise PermanentError(
                    f"there is no {authorities}, whose certificates were to be trusted",
                    hint="REQUESTS_CA_BUNDLE, or CURL_CA_BUNDLE, names it",
                )
            self._said[origin] = said
        return {**said, "proxies": dict(said["proxies"]), "stream": bool(stream)}
