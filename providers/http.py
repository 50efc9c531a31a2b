"""HTTP sessions that look up once what the environment says of an address: its proxy, and which certificates.

Below every far end; knows none of them. `requests` looks it up for each request, which takes as long as to
send one.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import requests

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

    def merge_environment_settings(
        self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any
    ) -> Any:
        """What a request to this address is sent with; see `requests.Session`."""
        if proxies or verify is not None or cert is not None:
            return super().merge_environment_settings(url, proxies, stream, verify, cert)
        parts = urlsplit(url)
        origin = parts.scheme, parts.netloc
        if (said := self._said.get(origin)) is None:
            said = self._said[origin] = super().merge_environment_settings(url, {}, None, None, None)
        return {**said, "proxies": dict(said["proxies"]), "stream": bool(stream)}
