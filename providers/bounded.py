"""An adapter of `requests` whose answers come within a bounded time, however slowly a server drips them.

Below every provider. A timeout of a socket starts anew with each byte, so one byte a second would keep a run
waiting for ever. Here the beginning of an answer, interim ones and headers included, takes no longer than the
timeout in all, and its body no longer than that and `SLOWEST` allow. Only time spent reading is counted.

The wait for an answer is announced while it lasts, without a thread: a read wakes up every `SILENCE` seconds.
"""

import io
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from http.client import HTTPResponse
from socket import socket
from typing import Any, Self
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import ConnectTimeoutError, ReadTimeoutError
from urllib3.util.retry import Retry

from providers.waits import Repeat, Silence, SilenceEnd

SILENCE = 10.0
"""Seconds without an answer that are announced, and then again after as many."""

SLOWEST = 1024.0
"""Bytes a second that a body has to come with, on average, once the timeout of the request is used up."""


Announce = Callable[[Silence | Repeat | SilenceEnd], None]


class BoundedAdapter(HTTPAdapter):
    """Gives an answer up that takes too long in all, as a read timeout.

    Args:
        announce: called while a server does not answer; from the thread that waits.
        options: as for HTTPAdapter.
    """

    def __init__(self, announce: Announce | None = None, **options: Any) -> None:
        self._announce = announce
        self._silent: set[str] = set()
        super().__init__(**options)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        timeout = kwargs.get("timeout") or 0.0
        connect, read = timeout if isinstance(timeout, tuple) else (timeout, timeout)
        _waiting.current = _Waiting(str(urlsplit(request.url or "").netloc), connect, read, self)
        try:
            return super().send(request, *args, **kwargs)
        finally:
            _waiting.current = None

    def announce(self, event: Silence | Repeat) -> None:
        """Announce that a server does not answer; its next byte ends that."""
        if self._announce is not None:
            self._silent.add(event.server)
            self._announce(event)

    def answers(self, server: str) -> None:
        """A byte came from this server."""
        if server in self._silent and self._announce is not None:
            self._silent.discard(server)
            self._announce(SilenceEnd(server))

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        _bound(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        _bound(manager)
        return manager


@dataclass(frozen=True, slots=True)
class _Waiting:
    """Which server a request waits for, for how many seconds, and which adapter announces it."""

    server: str
    connect: float
    read: float
    adapter: BoundedAdapter


class _Thread(threading.local):
    current: _Waiting | None = None


_waiting = _Thread()
"""The request that this thread sends: urllib3 gives an answer and a Retry no way to reach the adapter."""


class AnnouncedRetry(Retry):
    """Announces each repetition of a request that was not answered in time."""

    def increment(
        self,
        method: Any = None,
        url: Any = None,
        response: Any = None,
        error: Any = None,
        *rest: Any,
        **more: Any,
    ) -> Self:
        following = super().increment(method, url, response, error, *rest, **more)
        waiting = _waiting.current
        if waiting is not None and isinstance(error, ConnectTimeoutError | ReadTimeoutError):
            connecting = isinstance(error, ConnectTimeoutError)
            left = following.connect if connecting else following.read
            attempt = len(following.history) + 1
            seconds = waiting.connect if connecting else waiting.read
            waiting.adapter.announce(Repeat(waiting.server, seconds, attempt, attempt + int(left or 0)))
        return following


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
        self._limit = self._left = sock.gettimeout()
        self._waited = 0.0  # seconds without an answer, or without a further byte of its body
        self._next = SILENCE  # when that is announced
        self._request = _waiting.current
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
        usual = self._sock.gettimeout()
        ends = time.monotonic() + (self._left if usual is None else min(self._left, usual))
        try:
            size = self._receive(buffer, ends)
        finally:
            self._sock.settimeout(usual)
        if self._request is not None:
            self._request.adapter.answers(self._request.server)
        if self.in_body and size:
            self._left += size / SLOWEST
            self._waited, self._next = 0.0, SILENCE
        return size

    def _receive(self, buffer: Any, ends: float) -> int:
        """The next bytes, not of `raw`, which is of no use after its first timeout.

        Raises:
            TimeoutError: none came until the clock says `ends`.
        """
        assert self._left is not None and self._limit is not None
        while True:
            begun = time.monotonic()
            if begun >= ends:
                raise TimeoutError("timed out")
            if self._waited >= self._next:
                if self._request is not None:
                    silence = Silence(self._request.server, self._next, self._limit)
                    self._request.adapter.announce(silence)
                self._next += SILENCE
            self._sock.settimeout(min(ends - begun, max(self._next - self._waited, 0.001)))
            try:
                return self._sock.recv_into(buffer)
            except TimeoutError:
                pass
            finally:
                passed = time.monotonic() - begun
                self._left -= passed
                self._waited += passed

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
