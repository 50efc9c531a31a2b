"""An adapter of `requests` whose answers come within a bounded time, however slowly a server drips them.

Below every provider. A timeout of a socket starts anew with each byte, so one byte a second would keep a run
waiting for ever. Here the beginning of an answer, interim ones and headers included, takes no longer than the
timeout in all, and its body no longer than that and `SLOWEST` allow. Only time spent reading is counted.
"""

import io
import time
from functools import cache
from http.client import HTTPResponse
from socket import socket
from typing import Any

from requests.adapters import HTTPAdapter

SLOWEST = 1024.0
"""Bytes a second that a body has to come with, on average, once the timeout of the request is used up."""


class BoundedAdapter(HTTPAdapter):
    """Gives an answer up that takes too long in all, as a read timeout."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        _bound(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        _bound(manager)
        return manager


class _Bytes(io.RawIOBase):
    """What comes over a socket for one answer.

    Args:
        sock: its timeout is that of the request; None for no bound.
        raw: reads from it.

    Attributes:
        in_body: whether the headers are read.
    """

    def __init__(self, sock: socket, raw: io.RawIOBase) -> None:
        self._sock = sock
        self._raw = raw
        self._left = sock.gettimeout()
        self.in_body = False

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def readinto(self, buffer: Any) -> int | None:
        if self._left is None:
            return self._raw.readinto(buffer)
        if self._left <= 0:
            raise TimeoutError("timed out")
        usual, begun = self._sock.gettimeout(), time.monotonic()
        self._sock.settimeout(self._left if usual is None else min(self._left, usual))
        try:
            size = self._raw.readinto(buffer)
        finally:
            self._sock.settimeout(usual)
        self._left -= time.monotonic() - begun
        if self.in_body and size:
            self._left += size / SLOWEST
        return size

    def close(self) -> None:
        try:
            self._raw.close()
        finally:
            super().close()


class _Response(HTTPResponse):
    """An answer whose bytes are counted against the timeout of its request."""

    def __init__(self, sock: socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._bytes = _Bytes(sock, self.fp.detach())
        self.fp = io.BufferedReader(self._bytes)

    def begin(self) -> None:
        super().begin()
        self._bytes.in_body = True


def _bound(manager: Any) -> None:
    """Make every connection of a pool manager read answers as `_Response` does."""
    pools = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {scheme: _bounded(pool) for scheme, pool in pools.items()}


@cache
def _bounded(pool: Any) -> Any:
    if issubclass(pool.ConnectionCls.response_class, _Response):
        return pool
    connection = type(pool.ConnectionCls.__name__, (pool.ConnectionCls,), {"response_class": _Response})
    return type(pool.__name__, (pool,), {"ConnectionCls": connection})
