"""HTTP sessions like those of `requests`, with less work per request.

Below all providers and independent of them. Proxies and certificates from the environment are looked up once
per host, and a plain read (URL and headers only) skips `requests`' general preparation: together these two
take half of the time that `requests` spends. The response has no `elapsed` and no `history`, and hooks are
not called.

This module alone decides where credentials and redirects lead. Credentials belong to an origin (scheme, host
and port) and are sent to no other one. Only reads follow redirects, and never from https to http. The caller
refuses a redirected write: clients that follow it send a GET, whose response looks like success. Requests to
this machine use no proxy: in plain http, another machine would read the credentials.
"""

import base64
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urljoin, urlsplit

import requests
from requests.hooks import default_hooks
from requests.structures import CaseInsensitiveDict

from providers.errors import PermanentError
from providers.image_names import is_loopback

_PLAIN_OPTIONS = {"headers", "auth", "timeout", "stream", "allow_redirects"}

_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """The scope of credentials.

    Attributes:
        scheme: "http" or "https".
        host: in lower case; an IPv6 address without brackets.
        port: the scheme's default if the URL has none.
    """

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == _PORTS[self.scheme] else f":{self.port}")


class RedirectError(requests.RequestException):
    """A read was redirected from https to another scheme."""


@lru_cache(maxsize=10_000)  # a request and its credentials are compared several times
def origin(address: str) -> Origin | None:
    """The origin of a URL; None if it is not http(s), or if parsers may disagree on its host.

    Backslashes and blanks end the host for some parsers only, and a user name can be mistaken for the host.
    URLs from honest services contain none of these.
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
    """Whether credentials for one URL may be sent to the other."""
    first = origin(address)
    return first is not None and first == origin(other)


def _is_here(address: str) -> bool:
    """Whether a URL is on this machine, so that no proxy may be between."""
    try:
        return is_loopback(urlsplit(address).hostname or "")
    except ValueError:
        return False


def sent_secrets(request: requests.PreparedRequest) -> list[str]:
    """The credentials of this request: in its Authorization header, or a token in its form."""
    scheme, _, credentials = str(request.headers.get("Authorization") or "").partition(" ")
    secrets = [credentials]
    if scheme == "Basic":
        with suppress(ValueError):
            login = base64.b64decode(credentials).decode(errors="replace")
            secrets += [login, login.partition(":")[2]]
    if isinstance(request.body, str | bytes) and b"refresh_token" in (form := _bytes(request.body)):
        secrets += [
            value for name, value in parse_qsl(form.decode(errors="replace")) if name == "refresh_token"
        ]
    return [secret for secret in secrets if secret]


def _bytes(body: str | bytes) -> bytes:
    return body.encode() if isinstance(body, str) else body


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """An `auth` that changes nothing."""
    return request


class Session(requests.Session):
    """A session of `requests` that reads the environment once per host, and no login of ~/.netrc."""

    def __init__(self) -> None:
        super().__init__()
        # Scheme and host -> the proxies and certificates that the environment sets for it.
        self._settings: dict[tuple[str, str], Mapping[str, Any]] = {}
        self.auth = _as_it_is  # without one, requests would add or put in place a login of ~/.netrc
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))  # no service needs cookies

    def request(self, method: str, url: str, **options: Any) -> requests.Response:  # type: ignore[override]
        """Send a request and return its response; see `requests.Session`."""
        auth = options.get("auth") or self.auth
        unusual = any(value is not None for name, value in options.items() if name not in _PLAIN_OPTIONS)
        if method not in ("GET", "HEAD") or unusual or not url.isascii() or not callable(auth):
            return super().request(method, url, **options)
        request = requests.PreparedRequest()
        request.method, request.url, request.hooks = method, url, default_hooks()
        headers: dict[str, Any] = {**self.headers, **(options.get("headers") or {})}
        request.headers = CaseInsensitiveDict(headers)
        settings = self.merge_environment_settings(url, {}, options.get("stream"), None, None)
        settings["timeout"] = options.get("timeout")
        response = self.get_adapter(url).send(auth(request), **settings)
        if response.is_redirect and options.get("allow_redirects", True):
            request.prepare_cookies(self.cookies)  # `resolve_redirects` reads them
            response = [response, *self.resolve_redirects(response, request, **settings)][-1]
        if not settings["stream"]:
            _ = response.content  # read completely, to release the connection
        return response

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """The target of a redirected read; None for everything else, including a redirected write.

        Raises:
            RedirectError: it leads from https to another scheme.
        """
        target = super().get_redirect_target(resp)
        if target is None or resp.request.method not in ("GET", "HEAD"):
            return None
        url = urljoin(resp.url, target)
        if urlsplit(resp.url).scheme == "https" and urlsplit(url).scheme != "https":
            resp.close()
            raise RedirectError(f"redirected from https to {origin(url) or 'an invalid address'}")
        return target

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Remove the credentials from a read redirected to another origin; ~/.netrc is not consulted."""
        prepared_request.headers.pop("Cookie", None)
        if not same_origin(prepared_request.url or "", response.request.url or ""):
            prepared_request.headers.pop("Authorization", None)

    def rebuild_proxies(
        self, prepared_request: requests.PreparedRequest, proxies: dict[str, str] | None
    ) -> dict[str, str]:
        """The proxies for a redirected read; none for this machine."""
        if _is_here(prepared_request.url or ""):
            prepared_request.headers.pop("Proxy-Authorization", None)
            return {}
        rebuilt: dict[str, str] = super().rebuild_proxies(prepared_request, proxies)  # type: ignore[no-untyped-call]
        return rebuilt

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """The settings of a request to this URL; see `requests.Session`.

        Raises:
            PermanentError: the environment names a missing certificate file.
        """
        if proxies or verify is not None or cert is not None:
            given = super().merge_environment_settings(url, proxies, stream, verify, cert)
            return {**given, "proxies": {}} if _is_here(url) else given
        parts = urlsplit(url)
        origin = parts.scheme, parts.netloc
        if (settings := self._settings.get(origin)) is None:
            settings = super().merge_environment_settings(url, {}, None, None, None)
            settings = {**settings, "proxies": {}} if _is_here(url) else settings
            authorities = settings["verify"]
            if parts.scheme == "https" and isinstance(authorities, str) and not Path(authorities).exists():
                raise PermanentError(
                    f"the certificate file {authorities} does not exist",
                    hint="correct or unset REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE, which names it",
                )
            self._settings[origin] = settings
        return {**settings, "proxies": dict(settings["proxies"]), "stream": bool(stream)}
