"""A server that drips its answer is given up, whatever part of the answer it drips."""

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

import pytest
import requests

from providers.bounded import BoundedAdapter
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.connection import ConnectionPool
from providers.errors import ProviderError
from providers.picsellia.platform import Platform
from providers.rate_limit import RateLimiter
from providers.retries import ATTEMPTS
from providers.waits import Repeat
from reconciler.core.events import ServerDelay

PATIENCE = 0.2  # seconds
EVERY = 0.02  # seconds between two pieces: none of them takes as long as PATIENCE
ENOUGH = 80  # pieces, after which the answer ends as a good one

BODY = b'{"username": "anybody", "id": "x", "name": "sandbox"}'
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LAST = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
FAST = b"a" * 100  # every 0.02 seconds: faster than a body has to be
LARGE = 1 << 20  # bytes, which at the slowest rate would take minutes
ChunkReader = Iterator[bytes]


def spread(start: bytes, piece: bytes, end: bytes) -> Callable[[], ChunkReader]:
    def pieces() -> ChunkReader:
        yield start
        for _ in range(ENOUGH):
            yield piece
        yield end

    return pieces


WAYS: Mapping[str, Callable[[], ChunkReader]] = {
    "one header": spread(b"HTTP/1.1 200 OK\r\nX-A: ", b"a", GOOD.partition(b"200 OK")[2]),
    "the status line": spread(b"HTTP/1.1 200 ", b"a", GOOD.partition(b"200 OK")[2]),
    "one header after the other": spread(b"HTTP/1.1 200 OK", b"\r\nX-A: b", GOOD.partition(b"200 OK")[2]),
    "interim answers": spread(b"", b"HTTP/1.1 100 Continue\r\n\r\n", GOOD),
    "a body of known length": spread(
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (ENOUGH + len(BODY)), b" ", BODY
    ),
    "a body without a length": spread(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", b" ", BODY),
    "chunks": spread(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"1\r\n \r\n",
        b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY),
    ),
    "one chunk": spread(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % (ENOUGH + len(BODY)),
        b" ",
        BODY + b"\r\n0\r\n\r\n",
    ),
    "trailers": spread(
        CHUNKED + b"%x\r\n%s\r\n0\r\n" % (len(BODY), BODY), b"X-A: " + FAST + b"\r\n", b"\r\n"
    ),
    "trailers after a large body": spread(
        CHUNKED + b"%x\r\n%s\r\n0\r\n" % (len(BODY) + LARGE, BODY + b" " * LARGE), b"a", b"\r\n\r\n"
    ),
    "the extension of a chunk": spread(CHUNKED + b"1;", FAST, b"\r\n \r\n" + LAST),
    "the extensions of chunks": spread(CHUNKED, b"1;" + FAST + b"\r\n \r\n", LAST),
    "compressed nothing": spread(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n",
        gzip.compress(b"") * 5,
        gzip.compress(BODY),
    ),
    "a refusal": spread(
        b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n" % (ENOUGH + len(BODY)), b" ", BODY
    ),
}


@contextmanager
def server(answer: Callable[[], ChunkReader], every: float = EVERY) -> Iterator[str]:
    """HOST:PORT of a server that answers everything with these pieces."""
    with socket.create_server(("127.0.0.1", 0)) as door:

        def talk(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                connection.recv(1 << 16)
                for piece in answer():
                    connection.sendall(piece)
                    time.sleep(every)

        def serve() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=talk, args=(door.accept()[0],), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield "{}:{}".format(*door.getsockname())
        door.shutdown(socket.SHUT_RDWR)


def read_platform(host: str) -> object:
    return Platform(f"http://{host}", "token", "sandbox").username()


def read_registry(host: str) -> object:
    with RegistryClient(f"{host}/team/app", look_up=lambda _: None, pause=lambda _: None) as registry:
        return registry.manifest("1.0.0")


def write_registry(host: str) -> object:
    with RegistryClient(f"{host}/team/app", look_up=lambda _: None, pause=lambda _: None) as registry:
        return registry.put_manifest("1.0.0", "application/json", b"{}")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("call", [read_platform, read_registry, write_registry])
def test_a_server_that_drips_its_answer_is_given_up(
    call: Callable[[str], object], way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECONCILER_TIMEOUT", str(PATIENCE))
    with server(WAYS[way]) as host, pytest.raises(ProviderError) as failed:
        call(host)
    assert "time" in failed.value.message or "stopped responding" in failed.value.message


def test_a_body_that_comes_steadily_may_take_longer_than_the_timeout() -> None:
    pieces, size = 40, 4096
    steady = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (pieces * size)
    session = requests.Session()
    session.trust_env = False
    session.mount("http://", BoundedAdapter())
    with server(lambda: iter([steady, *([b"x" * size] * pieces)])) as host:
        answer = session.get(f"http://{host}/", timeout=PATIENCE * 2)
    assert len(answer.content) == pieces * size


@pytest.mark.parametrize("way", ["one chunk", "trailers", "compressed nothing"])
def test_a_repetition_after_a_body_that_takes_too_long_is_announced(
    way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECONCILER_TIMEOUT", str(PATIENCE))
    heard: list[ServerDelay] = []
    with (
        server(WAYS[way]) as host,
        ConnectionPool(RateLimiter(announce=heard.append)) as pool,
        RegistryClient(
            f"{host}/team/app", look_up=lambda _: None, pause=lambda _: None, pool=pool
        ) as registry,
        pytest.raises(ProviderError, match="stopped responding"),
    ):
        registry.manifest("1.0.0")
    repetitions = [event for event in heard if isinstance(event, Repeat)]
    assert repetitions == [Repeat(host, PATIENCE, attempt, ATTEMPTS) for attempt in range(2, ATTEMPTS + 1)]
