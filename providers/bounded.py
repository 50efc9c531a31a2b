"""A `requests` adapter that bounds the total time of a response, however slowly a server sends it.

Below all providers. A socket timeout restarts with each byte, so a server that sends one byte per second
would block a run forever. Here status line and headers, including interim responses, must arrive within the
timeout in total, and the body at `MIN_RATE` or faster. Only time spent reading counts, and only content is
progress: the lines around it get no time of their own, and have at most `MAX_LINES` bytes. A body that is
read as a whole has the limits of `bodies` already here: decompression may read on without returning a byte.

The adapter announces a pending response while it waits, without a thread: the read wakes up every `SILENCE`
seconds.

A usual read over an open connection takes a short way, past urllib3 and http.client, see `open_connections`.
If it meets anything else, it hands over what it has so far: the bytes that arrived, or the error.
"""

import io
import math
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from http.client import HTTPException, HTTPResponse, RemoteDisconnected
from queue import Empty
from socket import socket
from ssl import SSLError as TlsError
from typing import Any, Self
from urllib.parse import urlsplit

import requests
import urllib3
from msgspec import Struct
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers
from urllib3.exceptions import (
    ConnectTimeoutError,
    InvalidHeader,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.util.connection import is_connection_dropped
from urllib3.util.retry import Retry

from providers import bodies
from providers.bodies import ExcessError, server_of, typed_errors
from providers.made_once import made_once
from providers.open_connections import Head, request_head, response_head
from providers.timeouts import answer_timeout
from providers.waits import SILENCE, Exchange, Repeat, Silence, SilenceEnd, pending

MIN_RATE = 1024.0
"""Minimum average rate of a body in bytes per second, in any period as long as the timeout of the request."""

MAX_LINES = 1 << 20
"""Bytes of a response that are not content, in a row: interim responses, headers, chunk sizes, trailers."""

_LINES_PER_CONTENT = 16
"""Bytes of lines for each byte of content, in chunks: a chunk of one byte has five."""

Announce = Callable[[Silence | Repeat | SilenceEnd | Exchange], None]


class BoundedAdapter(HTTPAdapter):
    """Raises a read timeout for a response that takes too long in total.

    Args:
        announce: called while a server does not respond, from the waiting thread; with RECONCILER_VERBOSE,
            also after each request.
        options: passed to HTTPAdapter.
    """

    def __init__(self, announce: Announce | None = None, **options: Any) -> None:
        self._announce = announce
        self._tells_all = announce is not None and bool(os.environ.get("RECONCILER_VERBOSE"))
        self._silent: set[str] = set()
        # By scheme, host and certificates: the connections without a proxy.
        self._pools: dict[tuple[Any, ...], Any] = {}
        super().__init__(**options)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        if not self._tells_all:
            return self._send(request, *args, **kwargs)
        start, status = time.monotonic(), 0
        try:
            response = self._send(request, *args, **kwargs)
            status = response.status_code
            return response
        finally:
            parts = urlsplit(str(request.url))
            url = f"{parts.scheme}://{server_of(request)}{parts.path}"
            assert self._announce is not None
            self._announce(Exchange(str(request.method), url, status, time.monotonic() - start))

    def _send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        with pending(server_of(request)), typed_errors(request):
            return self._send_pending(request, *args, **kwargs)

    def _send_pending(
        self, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        timeout = kwargs.get("timeout") or 0.0
        connect, read = timeout if isinstance(timeout, tuple) else (timeout, timeout)
        parts, server = urlsplit(request.url or ""), server_of(request)
        is_stream = bool(kwargs.get("stream"))
        _thread.request = _PendingRequest(server, connect, read, self, is_stream)
        try:
            is_usual = request.method in ("GET", "HEAD") and request.body is None and read
            if is_usual and not (args or kwargs.get("proxies")):
                origin = parts.scheme, parts.netloc, kwargs.get("verify", True), kwargs.get("cert")
                if (answer := self._pool(request, *origin).read(request, read)) is not None:
                    return _Answered(request, *answer)
            return super().send(request, *args, **kwargs)
        finally:
            _thread.request = _thread.begun = None

    def _pool(self, request: requests.PreparedRequest, *origin: Any) -> Any:
        pool = self._pools.get(origin)
        if pool is None or pool.pool is None:  # closed, as there are many others
            _, _, verify, cert = origin
            pool = self._pools[origin] = self.get_connection_with_tls_context(request, verify, cert=cert)
        return pool

    def close(self) -> None:
        """Close the connections, also while a response refers to their pool."""
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()
        super().close()

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


class _PendingRequest(Struct, frozen=True):
    """A request in progress.

    Attributes:
        server: HOST:PORT.
        connect, read: its timeouts in seconds.
        adapter: announces silence.
        is_stream: whether the caller reads the body of a success in pieces, with a limit of its own.
    """

    server: str
    connect: float
    read: float
    adapter: BoundedAdapter
    is_stream: bool


class _Thread(threading.local):
    """What a thread is doing, as urllib3 gives pools, responses and Retry no reference to the adapter.

    Attributes:
        request: the pending request.
        begun: what urllib3 has to continue with: the response or the error of a read that is sent already.
        buffer: for the bytes of a response.
    """

    request: _PendingRequest | None = None
    begun: urllib3.HTTPResponse | urllib3.exceptions.HTTPError | None = None

    def __init__(self) -> None:
        self.buffer = memoryview(bytearray(1 << 16))


_thread = _Thread()


class AnnouncedRetry(Retry):
    """Announces each repetition of a request that timed out, or could not be sent."""

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
            if isinstance(error, NewConnectionError):  # to urllib3 a timeout, too
                seconds = 0.0
            request.adapter.announce(Repeat(request.server, seconds, attempt, attempt + int(remaining or 0)))
        return retry


class _BoundedReader(io.RawIOBase):
    """Reads the bytes of one response from a socket within a total time.

    Args:
        sock: the socket. Its timeout changes; urllib3 sets it before each request.
        timeout: of the request, in seconds; None for no limit.

    Attributes:
        raw: the file object of the socket, if there is one.
        begun: bytes that have been read already, and come first.
        wanted: bytes of content that the current read waits for; math.inf if all that arrives is content.
    """

    def __init__(self, sock: socket, timeout: float | None) -> None:
        self._sock = sock
        self.raw: io.RawIOBase | None = None
        self.begun = memoryview(b"")
        self._limit = self._remaining = timeout
        self._waited = 0.0  # seconds without a response, or since the last byte of its body
        self._next_announcement = SILENCE  # value of `_waited` at the next announcement
        self._request = _thread.request
        self.wanted = 0.0
        self._lines = MAX_LINES
        self._most = self._end = math.inf  # bytes of the body; monotonic seconds

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._sock.fileno()

    def readinto(self, buffer: Any) -> int:
        if self.begun:
            size = min(len(self.begun), len(buffer))
            buffer[:size], self.begun = self.begun[:size], self.begun[size:]
            return size
        if self._remaining is None or self._limit is None:
            return self._sock.recv_into(buffer)
        if self._remaining <= 0:
            raise TimeoutError("timed out")
        deadline = min(time.monotonic() + min(self._remaining, self._limit), self._end)
        size = self._receive(buffer, deadline)
        if self._request is not None:
            self._request.adapter.end_silence(self._request.server)
        if self.wanted and size:
            content = min(size, self.wanted)
            self.wanted -= content
            self.allow(content)
        return size

    def begin_body(self, status: int) -> None:
        """Apply the limits of `bodies` unless the caller has its own."""
        if self._request is None or not self._request.is_stream or status >= 300:
            self._most = bodies.MAX_BYTES
            self._end = time.monotonic() + answer_timeout(bodies.MAX_SECONDS)

    def allow(self, content: float) -> None:
        """Allow more time and lines, for so many bytes of content."""
        if self._remaining is not None and self._limit is not None:
            self._remaining = min(self._remaining + content / MIN_RATE, self._limit)
        self._lines = min(self._lines + int(content) * _LINES_PER_CONTENT, MAX_LINES)
        self._waited, self._next_announcement = 0.0, SILENCE

    def count_content(self, size: int) -> None:
        """Count bytes of the body. Raises ExcessError."""
        self._most -= size
        if self._most < 0:
            raise ExcessError(f"the response has more than {bodies.MAX_BYTES >> 20} MB")

    def count_line(self, size: int) -> None:
        """Count bytes of a line. Raises ExcessError."""
        self._lines -= size
        if self._lines < 0:
            raise ExcessError("the response has headers, interim responses or trailers without an end")

    def _receive(self, buffer: Any, deadline: float) -> int:
        """Reads the next bytes from the socket itself; `raw` is unusable after its first timeout.

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
            wait = min(deadline - start, until_announcement)
            if self._sock.gettimeout() != wait:  # a call of the system, which other threads may delay
                self._sock.settimeout(wait)
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
            if self.raw is not None:
                self.raw.close()
        finally:
            super().close()


class _Parts(io.BufferedReader):
    """Tells content from the lines around it: http.client and urllib3 read these by `readline` only."""

    raw: _BoundedReader

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        self.raw.count_line(len(line))
        return line

    def read(self, size: int | None = -1, /) -> bytes:
        return self._content(super().read, size, math.inf if size is None or size < 0 else size)

    def read1(self, size: int = -1, /) -> bytes:
        return self._content(super().read1, size, math.inf if size < 0 else size)

    def readinto(self, buffer: Any, /) -> int:
        content = self.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def _content(self, read: Callable[[Any], bytes], size: int | None, most: float) -> bytes:
        reader = self.raw
        reader.wanted = most
        try:
            content = read(size)
            arrived = most - reader.wanted if most < math.inf else len(content)
        finally:
            reader.wanted = 0.0
        if len(content) > arrived:  # the rest came with a line
            reader.allow(len(content) - arrived)
        reader.count_content(len(content))
        return content


class _Response(HTTPResponse):
    """A response read within the timeout of its request.

    Args:
        reader: has read a part of it.
    """

    def __init__(self, sock: socket, *args: Any, reader: _BoundedReader | None = None, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._reader = reader or _BoundedReader(sock, sock.gettimeout())
        self._reader.raw = self.fp.detach()
        self.fp = _Parts(self._reader)

    def begin(self) -> None:
        super().begin()
        lengths = ",".join(self.headers.get_all("Content-Length", [])).split(",")
        if not self.chunked and len({length.strip() for length in lengths}) > 1:  # urllib3 would not close it
            raise InvalidHeader("it has several lengths")
        self._reader.begin_body(self.status)

    def _safe_read(self, amt: int) -> bytes:
        if amt < 0:  # it would read to the end of the connection
            raise HTTPException("a chunk has a size below zero")
        return super()._safe_read(amt)  # type: ignore[misc,no-any-return]


class _Answered(requests.Response):
    """A response that has been read completely."""

    def __init__(self, request: requests.PreparedRequest, head: Head, body: bytes) -> None:
        # Without that of `requests`, which takes as long as the rest: it makes a cookie jar.
        self._content = body
        self._content_consumed = True
        self._next = None
        self.status_code = head.status
        self.reason = head.reason
        self.headers = CaseInsensitiveDict(head.headers)
        self.encoding = get_encoding_from_headers(self.headers)
        self.url = request.url or ""
        self.request = request
        self.raw = None
        self.history = []
        self.elapsed = timedelta(0)

    @property
    def cookies(self) -> RequestsCookieJar:  # type: ignore[override]
        return RequestsCookieJar()


class _Pool(urllib3.HTTPConnectionPool):
    """Part of a pool class: reads over open connections, and `urlopen` that continues them."""

    def read(self, request: requests.PreparedRequest, timeout: float) -> tuple[Head, bytes] | None:
        """Send a request and read its response over an open connection.

        None if there is no open connection, or if `urlopen` has to continue with `_thread.begun`.
        """
        connection = self._open_connection()
        if connection is None:
            return None
        method, target = request.method or "", request.path_url
        sent = request_head(method, target, _host_header(connection), request.headers)
        if sent is None:
            self._put_conn(connection)
            return None
        data, head = b"", None
        try:
            sock = connection.sock
            reader = _BoundedReader(sock, timeout)
            with suppress(BrokenPipeError, ConnectionResetError):  # there may be a response all the same
                sock.sendall(sent)
            data = _more(reader)
            if not data:
                raise RemoteDisconnected("Remote end closed connection without response")
            head = response_head(data, method)
            if head is not None:
                reader.wanted = math.inf
                with suppress(OSError):  # urllib3 finds the same
                    while len(data) < head.start + head.length and (more := _more(reader)):
                        data += more
            if head is None or len(data) < head.start + head.length:
                reader.begun, reader.wanted = memoryview(data), 0.0
                _thread.begun = self._rest(connection, reader, method, target)
                return None
        except (OSError, HTTPException, urllib3.exceptions.HTTPError) as problem:
            _thread.begun = self._error(problem, target, timeout)
            connection.close()
            self._put_conn(None)
            return None
        except BaseException:
            connection.close()
            self._put_conn(None)
            raise
        if head.is_last or len(data) > head.start + head.length:
            connection.close()
        self._put_conn(connection)
        return head, data[head.start : head.start + head.length]

    def _open_connection(self) -> Any:
        """A connection that is open, as far as this machine knows; None if there is none."""
        try:
            connection = self.pool.get(block=False) if self.pool is not None else None
        except Empty:
            return None
        if connection is None or connection.is_closed or is_connection_dropped(connection):
            self._put_conn(connection)
            return None
        return connection

    def _rest(
        self, connection: Any, reader: _BoundedReader, method: str, target: str
    ) -> urllib3.HTTPResponse:
        """The response that begins with the bytes of the reader, as urllib3 reads it."""
        raw = _Response(connection.sock, method=method, url=target, reader=reader)
        try:
            raw.begin()
        except BaseException:
            raw.close()
            raise
        if raw.will_close:
            connection.close()
        headers = ((name, re.sub(r"\r\n[ \t]+", " ", value)) for name, value in raw.msg.items())
        return urllib3.HTTPResponse(
            body=raw,
            headers=urllib3.HTTPHeaderDict(headers),
            status=raw.status,
            version=raw.version,
            reason=raw.reason,
            preload_content=False,
            decode_content=False,
            original_response=raw,
            pool=self,
            connection=connection,
            request_method=method,
            request_url=target,
        )

    def _error(
        self, problem: OSError | HTTPException | urllib3.exceptions.HTTPError, target: str, timeout: float
    ) -> urllib3.exceptions.HTTPError:
        """The error of urllib3 for this one."""
        if isinstance(problem, urllib3.exceptions.HTTPError):
            return problem
        if isinstance(problem, TimeoutError):
            return ReadTimeoutError(self, target, f"Read timed out. (read timeout={timeout})")
        if isinstance(problem, TlsError):
            return SSLError(problem)
        error = ProtocolError("Connection aborted.", problem)
        error.__cause__ = problem
        return error

    def urlopen(  # type: ignore[override]
        self,
        method: str,
        url: str,
        body: Any = None,
        headers: Any = None,
        retries: Any = None,
        *args: Any,
        **options: Any,
    ) -> Any:
        begun, _thread.begun = _thread.begun, None
        if isinstance(begun, urllib3.HTTPResponse):
            return begun
        if isinstance(begun, InvalidHeader):  # urllib3 does not repeat the request either
            raise begun
        if begun is not None:
            retries = retries.increment(method, url, error=begun, _pool=self, _stacktrace=sys.exc_info()[2])
            retries.sleep()
        return super().urlopen(method, url, body, headers, retries, *args, **options)


def _more(reader: _BoundedReader) -> bytes:
    """The next bytes; none at the end."""
    return bytes(_thread.buffer[: reader.readinto(_thread.buffer)])


def _host_header(connection: Any) -> str:
    """As http.client writes it."""
    host = f"[{connection.host}]" if ":" in connection.host else str(connection.host)
    return host if connection.port == connection.default_port else f"{host}:{connection.port}"


def _bound_responses(manager: Any) -> None:
    """Make every connection of a pool manager use `_Response`."""
    pools = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {scheme: _bounded_pool(pool) for scheme, pool in pools.items()}


@made_once
def _bounded_pool(pool: Any) -> Any:
    if issubclass(pool, _Pool):
        return pool
    connection = type(pool.ConnectionCls.__name__, (pool.ConnectionCls,), {"response_class": _Response})
    return type(pool.__name__, (_Pool, pool), {"ConnectionCls": connection})
