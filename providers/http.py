"""HTTP sessions that ask as `requests` does, with less work for each request.

Below every far end; knows none of them. What the environment says of an address, its proxy and whose
certificates count, is looked up once; and a read that has nothing but an address and headers is put together
and sent without looking for all the other things that it might have: `requests` takes as long for these two
as for the rest. The answer has no `elapsed` and no `history`, and hooks are not called.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.cookies import extract_cookies_to_jar
from requests.hooks import default_hooks
from requests.structures import CaseInsensitiveDict

from providers.errors import FinalError

_OF_A_READ = {"headers", "auth", "timeout", "stream", "allow_redirects"}

Said = dict[tuple[str, str], Mapping[str, Any]]
"""Scheme and host -> what the environment says of it."""


class Session(requests.Session):
    """A session of `requests` whose environment stays as it is.

    Args:
        said: what is known already; shared with the sessions that trust the environment as much as this one.
    """

    def __init__(self, said: Said | None = None) -> None:
        super().__init__()
        self._said: Said = {} if said is None else said

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
        if len(self.cookies):
            request.prepare_cookies(self.cookies)
        settings = self.merge_environment_settings(url, {}, how.get("stream"), None, None)
        settings["timeout"] = how.get("timeout")
        answer = self.get_adapter(url).send(auth(request), **settings)
        if "Set-Cookie" in answer.headers:
            extract_cookies_to_jar(self.cookies, request, answer.raw)  # type: ignore[no-untyped-call]
        if answer.is_redirect and how.get("allow_redirects", True):
            request.prepare_cookies(self.cookies)  # `requests` goes on from them
            answer = [answer, *self.resolve_redirects(answer, request, **settings)][-1]
        if not settings["stream"]:
            _ = answer.content  # all of it, so that the connection is free again
        return answer

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
                raise FinalError(
                    f"there is no {authorities}, whose certificates were to be trusted",
                    hint="REQUESTS_CA_BUNDLE, or CURL_CA_BUNDLE, names it",
                )
            self._said[origin] = said
        return {**said, "proxies": dict(said["proxies"]), "stream": bool(stream)}
