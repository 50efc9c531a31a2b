"""Whatever a server answers to any request: a value or a provider error, after a limited number of bytes."""

import gzip
import random
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import repeat

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from providers import bodies
from providers.bounded import AnnouncedRetry
from providers.docker.registry.auth import Login
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.manifests import Blob, sha256
from providers.errors import ProviderError
from providers.picsellia.platform import Platform
from providers.waits import pending_servers
from tests.conftest import CASES
from tests.waits import PATIENCE

LAYER = b"a layer"
BLOB = Blob("l", sha256(LAYER), len(LAYER))
ORGANIZATION = b'{"id": "x", "name": "sandbox"}'


def good(body: bytes, status: bytes = b"200 OK", headers: bytes = b"") -> bytes:
    return b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s" % (status, headers, len(body), body)


class AnyServer:
    """Answers one kind of request with given bytes, and then closes the connection; all others well.

    Attributes:
        odd: the kind, as the start of "METHOD path".
        answer: the pieces of its answer.
    """

    def __init__(self) -> None:
        self.odd = ""
        self.answer: Callable[[], Iterable[bytes]] = lambda: iter(())
        self.host = ""

    @contextmanager
    def running(self) -> Iterator[None]:
        with socket.create_server(("127.0.0.1", 0)) as door:
            self.host = "{}:{}".format(*door.getsockname())

            def serve() -> None:
                with suppress(OSError):
                    while True:
                        threading.Thread(target=self._talk, args=(door.accept()[0],), daemon=True).start()

            threading.Thread(target=serve, daemon=True).start()
            yield
            door.shutdown(socket.SHUT_RDWR)

    def _talk(self, connection: socket.socket) -> None:
        with connection, suppress(OSError, ValueError), connection.makefile("rb") as received:
            while line := received.readline():
                head = line
                while (more := received.readline()).strip():
                    head += more
                length = head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]
                received.read(int(length or 0))
                if self.odd and line.decode().startswith(self.odd):
                    for piece in self.answer():
                        connection.sendall(piece)
                    return
                connection.sendall(self._good(*line.decode().split()[:2], b"authorization:" in head.lower()))

    def _good(self, method: str, path: str, signed: bool) -> bytes:
        if path.startswith("/api/"):
            return good(ORGANIZATION)
        if path.startswith("/token"):
            return good(b'{"token": "abc"}')
        if "/manifests/signed" in path and not signed:
            realm = b'WWW-Authenticate: Bearer realm="http://%s/token"\r\n' % self.host.encode()
            return good(b"", b"401 Unauthorized", realm)
        if method == "POST":
            return good(b"", b"202 Accepted", b"Location: /v2/team/app/blobs/uploads/1\r\n")
        return good(b"", b"404 Not Found")


def of_platform(server: AnyServer, call: Callable[[Platform], object]) -> None:
    with Platform(f"http://{server.host}", "token", "sandbox") as platform:
        call(platform)


def of_registry(server: AnyServer, call: Callable[[RegistryClient], object]) -> None:
    def look_up(_: str) -> Login:
        return Login("a", "b")

    with RegistryClient(f"{server.host}/team/app", look_up=look_up, pause=lambda _: None) as registry:
        registry.has_blob(sha256(b""))  # so that a connection is open
        call(registry)


CALLS: dict[str, tuple[str, Callable[[AnyServer], None]]] = {
    "platform GET": ("GET /api/x", lambda server: of_platform(server, lambda p: p.get("/api/x"))),
    "platform POST": ("POST", lambda server: of_platform(server, lambda p: p.post("/api/x", {}))),
    "platform PATCH": ("PATCH", lambda server: of_platform(server, lambda p: p.patch("/api/x", {}))),
    "platform DELETE": ("DELETE", lambda server: of_platform(server, lambda p: p.delete("/api/x"))),
    "sign-in": ("GET /api/org", lambda server: of_platform(server, lambda _: None)),
    "registry GET": ("GET", lambda server: of_registry(server, lambda r: r.manifest("1"))),
    "registry HEAD": (
        "HEAD /v2/team/app/manifests",
        lambda server: of_registry(server, lambda r: r.digest("1")),
    ),
    "registry POST": ("POST", lambda server: of_registry(server, lambda r: r.check())),
    "registry PUT": ("PUT", lambda server: of_registry(server, lambda r: r.put_manifest("1", "a/b", b"{}"))),
    "registry PATCH": (
        "PATCH",
        lambda server: of_registry(server, lambda r: r.upload(BLOB, lambda at: [LAYER[at:]])),
    ),
    "registry layer": ("GET", lambda server: of_registry(server, lambda r: [*r.read_blob(BLOB)])),
    "token server": ("GET /token", lambda server: of_registry(server, lambda r: r.manifest("signed"))),
}


@pytest.fixture(scope="module")
def server() -> Iterator[AnyServer]:
    server = AnyServer()
    with server.running():
        yield server


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch, home: object) -> None:
    monkeypatch.setattr(AnnouncedRetry, "sleep", lambda *_: None)
    monkeypatch.setenv("RECONCILER_TIMEOUT", str(PATIENCE))  # nothing ends because of the time it takes
    monkeypatch.setattr(bodies, "MAX_BYTES", 1 << 20)


def is_error(server: AnyServer, name: str, answer: Callable[[], Iterable[bytes]]) -> bool:
    """Whether a call ends with a provider error, if this is the answer to it."""
    CASES["answers of arbitrary bytes"] += 1
    server.odd, call = CALLS[name]
    server.answer = answer
    try:
        call(server)
    except ProviderError as problem:
        assert problem.message
        return True
    return False


MUCH = 1 << 15
"""Pieces after which an endless answer ends well, so that a test without a limit fails."""

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
PADDING = b"a" * 1000
ENDLESS: dict[str, tuple[bytes, bytes, bytes]] = {
    "status line": (b"HTTP/1.1 200 ", PADDING, b"\r\nContent-Length: 0\r\n\r\n"),
    "interim answers": (b"", b"HTTP/1.1 100 Continue\r\nX-A: " + PADDING + b"\r\n\r\n", good(b"{}")),
    "a header": (b"HTTP/1.1 200 OK\r\nX-A: ", PADDING, b"\r\nContent-Length: 0\r\n\r\n"),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X-A: " + PADDING + b"\r\n", b"Content-Length: 0\r\n\r\n"),
    "a size of a chunk": (CHUNKED, b"0" * 1000, b"\r\n\r\n"),
    "an extension": (CHUNKED + b"1;", PADDING, b"\r\n{\r\n1\r\n}\r\n0\r\n\r\n"),
    "extensions": (CHUNKED, b"1;" + PADDING + b"\r\n \r\n", b"2\r\n{}\r\n0\r\n\r\n"),
    "chunks": (CHUNKED, b"3e8\r\n" + b" " * 1000 + b"\r\n", b"2\r\n{}\r\n0\r\n\r\n"),
    "a chunk without a size": (CHUNKED + b"-1\r\n", b" " * 1000, b"{}"),
    "a trailer": (CHUNKED + b"2\r\n{}\r\n0\r\n", PADDING, b"\r\n\r\n"),
    "trailers": (CHUNKED + b"2\r\n{}\r\n0\r\n", b"X-A: " + PADDING + b"\r\n", b"\r\n"),
    "trailers of a refusal": (
        CHUNKED.replace(b"200", b"400") + b"2\r\n{}\r\n0\r\n",
        b"X-A: " + PADDING + b"\r\n",
        b"\r\n",
    ),
    "body": (b"HTTP/1.1 200 OK\r\n\r\n", b" " * 1000, b"{}"),
    "body of a redirect": (b"HTTP/1.1 302 Found\r\nLocation: /\r\n\r\n", b" " * 1000, b""),
    "compressed nothing": (
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n",
        gzip.compress(b"") * 50,
        gzip.compress(b"{}"),
    ),
}
HEAD_ONLY = ("status line", "interim answers", "a header", "headers")
"""The parts that an answer to a HEAD has."""


@pytest.mark.parametrize("part", ENDLESS)
@pytest.mark.parametrize("name", CALLS)
def test_no_part_of_an_answer_is_read_without_an_end(server: AnyServer, name: str, part: str) -> None:
    start, piece, end = ENDLESS[part]
    sent = 0

    def answer() -> Iterator[bytes]:
        nonlocal sent
        sent = 0
        yield start
        for many in repeat(piece * 64, MUCH // 64):
            yield many
            sent += len(many)
        yield end

    failed = is_error(server, name, answer)
    if "HEAD" not in name or part in HEAD_ONLY:
        assert failed
    assert sent < MUCH * len(piece) // 2, "it was read to its end"


NAMES = (
    *("Content-Length", "Transfer-Encoding", "Content-Encoding", "Content-Type", "Connection", "Location"),
    *("Set-Cookie", "Link", "Retry-After", "WWW-Authenticate", "Range", "Docker-Content-Digest", "Date"),
    *("Content-Range", "Refresh", "Proxy-Authenticate", "X-A", ""),
)
VALUES = (
    *(
        "",
        "0",
        "2",
        "3",
        "2, 2",
        "2, 3",
        "-2",
        "+2",
        "1e9",
        "9" * 5000,
        "²",
        "chunked",
        "gzip, chunked",
        "gzip",
    ),
    *("deflate", "br", "zstd", "identity", "gzip, gzip", "close", "keep-alive", "/", "//", "http://[", "x:y"),
    *(
        "http://a:99999999/",
        "a=b; Max-Age=x",
        "a=b; Expires=99",
        'a=b; Port="x"; Version=1',
        "=;",
        "<",
        '<>;="',
    ),
    *("text/html; charset=\x00", "text/plain; charset=undefined", 'Bearer realm="http://["', "Basic", "nan"),
    *("bytes 0-1/2", "0-1", "sha256:" + "0" * 64, "Fri, 99 Jan 99999 99:99:99 +9999"),
)
LINES = st.one_of(
    st.builds(
        lambda name, colon, value: f"{name}{colon}{value}".encode(),
        st.sampled_from(NAMES) | st.text(max_size=9),
        st.sampled_from((":", ": ", " :", "")),
        st.sampled_from(VALUES) | st.text(max_size=9),
    ),
    st.binary(max_size=40),
)
ENDS = st.sampled_from((b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r", b"\r\n ", b""))
BLOCKS = st.lists(st.builds(bytes.__add__, LINES, ENDS), max_size=5).map(b"".join)
"""Header lines, and trailers."""

STATUSES = st.sampled_from(
    (200, 201, 202, 204, 205, 206, 208, 301, 302, 304, 307, 400, 401, 404, 409, 416, 500)
)
STATUS_LINES = st.one_of(
    STATUSES.map(lambda status: b"HTTP/1.1 %d X\r\n" % status),
    st.sampled_from((b"HTTP/1.0 200\r\n", b"HTTP/2 200 OK\r\n")),
    st.sampled_from((b"HTTP/1.1 100 X\r\n\r\n", b"HTTP/1.1 101 X\r\n")),
    st.binary(max_size=20),
)
CHUNKS = st.lists(
    st.sampled_from(
        (b"2\r\n{}\r\n", b"1;a=b\r\n{\r\n", b"-1\r\n", b"\r\n", b"z\r\n", b"f" * 40 + b"\r\n", b"0\r\n")
    ),
    max_size=4,
).map(b"".join)
BODIES = st.one_of(
    st.sampled_from((b"", b"{}", b"{", gzip.compress(b"{}"), gzip.compress(b"{}")[:-9])),
    CHUNKS,
    st.binary(max_size=40),
)
ANSWERS = st.tuples(STATUS_LINES, BLOCKS, st.sampled_from((b"\r\n", b"")), BODIES, BLOCKS).map(b"".join)


@pytest.mark.parametrize("name", CALLS)
def test_any_bytes_are_a_value_or_an_error(server: AnyServer, name: str) -> None:
    @settings(max_examples=60)
    @given(ANSWERS)
    def check(answer: bytes) -> None:
        is_error(server, name, lambda: iter([answer]))

    check()


@pytest.mark.parametrize("name", CALLS)
def test_a_sample_of_headers_is_a_value_or_an_error(server: AnyServer, name: str) -> None:
    for answer in random.Random(name).sample([*with_each_header()], 150):
        is_error(server, name, repeat([answer]).__next__)


@pytest.mark.full
@pytest.mark.parametrize("name", CALLS)
def test_every_header_is_a_value_or_an_error(server: AnyServer, name: str) -> None:
    for answer in with_each_header():
        is_error(server, name, repeat([answer]).__next__)


def with_each_header() -> Iterator[bytes]:
    """Good answers, each with one more header, once also as a trailer."""
    for line in (f"{field}: {value}\r\n".encode() for field in NAMES for value in VALUES):
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n%s\r\n{}" % line
        yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n%s\r\n2\r\n{}\r\n0\r\n%s\r\n" % (line, line)


@pytest.mark.parametrize("name", CALLS)
def test_lengths_that_differ_are_an_error(server: AnyServer, name: str) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"
    assert is_error(server, name, lambda: iter([answer]))


@pytest.mark.parametrize("name", [name for name in CALLS if "HEAD" not in name])
def test_a_server_is_waited_for_until_its_answer_ends(
    server: AnyServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = requests.Response.iter_content
    waited_for = []

    def iter_content(response: requests.Response, *how: int) -> Iterator[bytes]:
        for piece in read(response, *how):
            waited_for.append(pending_servers())
            yield piece

    monkeypatch.setattr(requests.Response, "iter_content", iter_content)
    is_error(server, name, lambda: iter([CHUNKED, b"2\r\n{}\r\n", b"0\r\n\r\n"]))
    assert waited_for and all(servers == [server.host] for servers in waited_for)
