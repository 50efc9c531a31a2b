"""A `requests` adapter that bounds the total time of a response, however slowly a server sends it.

Below all providers. A socket timeout restarts with each byte, so a server that sends one byte per second
would block a run forever. Here status line and headers, including interim responses, must arrive within the
timeout in total, and the body within the timeout plus the time that `MIN_RATE` allows. Only time spent
reading counts.

The adapter announces a pending response while it waits, without a thread: the read wakes up every `SILENCE`
seconds.
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

from providers.waits import SILENCE, Repeat, Silence, SilenceEnd

MIN_RATE = 1024.0
"""Minimum average rate of a body in bytes per second, once the timeout of the request is used up."""


Announce = Callable[[Silence | Repeat | SilenceEnd], None]


class BoundedAdapter(HTTPAdapter):
    """Raises a read timeout for a response that takes too long in total.

    Args:
        announce: called while a server does not respond, from the waiting thread.
        options: passed to HTTPAdapter.
    """

    def __init__(self, announce: Announce | None = None, **options: Any) -> None:
        self._announce = announce
        self._silent: set[str] = set()
        super().__init__(**options)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        timeout = kwargs.get("timeout") or 0.0
        connect, read = timeout if isinstance(timeout, tuple) else (timeout, timeout)
        _thread.request = _PendingRequest(str(urlsplit(request.url or "").netloc), connect, read, self)
        try:
            return super().send(request, *args, **kwargs)
        finally:
            _thread.request = None

    def announce(self, event: Silence | Repeat) -> None:
        """Announce that a server does not respond; `end_silence` follows with its next byte."""
        if self._announce is not None:
            self._silent.add(event.server)
            self._announce(event)

    def end_silence(self, server: str) -> None:
        """Announce the end of a silence when a byte arrives from this server."""
        if server in self._silent and self._announce is not None:
            self._silent.discard(server)
            self._announce(SilenceEnd(server))

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        _bound_responses(self.poolmanager)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        _bound_responses(manager)
        return manager


@dataclass(frozen=True, slots=True)
class _PendingRequest:
    """A request in progress: its server, its timeouts in seconds, and the adapter that announces silence."""

    server: str
    connect: float
    read: float
    adapter: BoundedAdapter


class _Thread(threading.local):
    request: _PendingRequest | None = None


_thread = _Thread()
"""The pending request of this thread: urllib3 gives responses and Retry no reference to the adapter."""


class AnnouncedRetry(Retry):
    """Announces each repetition of a request that timed out."""

    def increment(
        self,
        method: Any = None,
        url: Any = None,
        response: Any = None,
        error: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> Self:
        retry = super().increment(method, url, response, error, *args, **kwargs)
        request = _thread.request
        if request is not None and isinstance(error, ConnectTimeoutError | ReadTimeoutError):
            connecting = isinstance(error, ConnectTimeoutError)
            remaining = retry.connect if connecting else retry.read
            attempt = len(retry.history) + 1
            seconds = request.connect if connecting else request.read
            request.adapter.announce(Repeat(request.server, seconds, attempt, attempt + int(remaining or 0)))
        return retry


class _BoundedReader(io.RawIOBase):
    """Reads the bytes of one response from a socket within a total time.

    Args:
        sock: the socket; its timeout is that of the request, None for no limit.
        raw: the file object of the socket.

    Attributes:
        in_body: whether the headers have been read.
    """

    def __init__(self, sock: socket, raw: io.RawIOBase) -> None:
        self._sock = sock
        self._raw = raw
        self._limit = self._remaining = sock.gettimeout()
        self._waited = 0.0  # seconds without a response, or since the last byte of its body
        self._next_announcement = SILENCE  # value of `_waited` at the next announcement
        self._request = _thread.request
        self.in_body = False

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def readinto(self, buffer: Any) -> int | None:
        if self._remaining is None:
            return self._raw.readinto(buffer)
        if self._remaining <= 0:
            raise TimeoutError("timed out")
        timeout = self._sock.gettimeout()
        deadline = time.monotonic() + (self._remaining if timeout is None else min(self._remaining, timeout))
        try:
            size = self._receive(buffer, deadline)
        finally:
            self._sock.settimeout(timeout)
        if self._request is not None:
            self._request.adapter.end_silence(self._request.server)
        if self.in_body and size:
            self._remaining += size / MIN_RATE
            self._waited, self._next_announcement = 0.0, SILENCE
        return size

    def _receive(self, buffer: Any, deadline: float) -> int:
        """Reads the next bytes from the socket; `raw` is unusable after its first timeout.

        Raises:
            TimeoutError: no byte arrived before the deadline, in monotonic seconds.
        """
        assert self._remaining is not None and self._limit is not None
        while True:
            start = time.monotonic()
            if start >= deadline:
                raise TimeoutError("timed out")
            if self._waited >= self._next_announcement:
                if self._request is not None:
                    silence = Silence(self._request.server, self._next_announcement, self._limit)
                    self._request.adapter.announce(silence)
                self._next_announcement += SILENCE
            until_announcement = max(self._next_announcement - self._waited, 0.001)
            self._sock.settimeout(min(deadline - start, until_announcement))
            try:
                return self._sock.recv_into(buffer)
            except TimeoutError:
                pass
            finally:
                elapsed = time.monotonic() - start
                self._remaining -= elapsed
                self._waited += elapsed

    def close(self) -> None:
        try:
            self._raw.close()
        finally:
            super().close()


class _Response(HTTPResponse):
    """A response read within the timeout of its request."""

    def __init__(self, sock: socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._reader = _BoundedReader(sock, self.fp.detach())
        self.fp = io.BufferedReader(self._reader)

    def begin(self) -> None:
        super().begin()
        self._reader.in_body = True


def _bound_responses(manager: Any) -> None:
    """Make every connection of a pool manager use `_Response`."""
    pools = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {scheme: _bounded_pool(pool) for scheme, pool in pools.items()}


@cache
def _bounded_pool(pool: Any) -> Any:
    if issubclass(pool.ConnectionCls.response_class, _Response):
        return pool
    connection = type(pool.ConnectionCls.__name__, (pool.ConnectionCls,), {"response_class": _Response})
    return type(pool.__name__, (pool,), {"ConnectionCls": connection})
