"""A read over an open connection gives what urllib3 gives, and the same errors, for any answer."""

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from providers.bounded import BoundedAdapter, _Pool
from providers.http import Session
from providers.open_connections import request_head, response_head
from tests.waits import PATIENCE

FIRST = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst"
CLOSE = b""
"""The end of an answer's connection."""

ANSWERS: dict[str, Sequence[bytes]] = {
    "one piece": [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\n{}"],
    "head, then body": [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", b"{}"],
    "a head in pieces": [b"HTTP/1.1 2", b"00 OK\r\nContent-Le", b"ngth: 2\r\n\r", b"\n{", b"}"],
    "nothing": [CLOSE],
    "half a head": [b"HTTP/1.1 200 OK\r\nContent-", CLOSE],
    "half a body": [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", b"half", CLOSE],
    "no body": [b"HTTP/1.1 204 No Content\r\n\r\n"],
    "not modified": [b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"],
    "not found": [b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone"],
    "a redirect": [b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n"],
    "without a reason": [b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n{}"],
    "without a length": [b"HTTP/1.1 200 OK\r\n\r\n", b"until the end", CLOSE],
    "chunks": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", b"0\r\n\r\n"],
    "chunks and a length": [
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    ],
    "deflated": [
        b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nContent-Length: 10\r\n\r\n"
        b"\x78\x9c\xab\xae\x05\x00\x01\x75\x00\xf9"
    ],
    "interim": [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"],
    "the last one": [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", CLOSE],
    "an old server": [b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", CLOSE],
    "two of a name": [b"HTTP/1.1 200 OK\r\nX-A: b\r\nx-a: c\r\nContent-Length: 2\r\n\r\n{}"],
    "a continued header": [b"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 2\r\n\r\n{}"],
    "not ASCII": [b"HTTP/1.1 200 OK\r\nX-A: \xc3\xa9\r\nContent-Length: 2\r\n\r\n{}"],
    "bare line breaks": [b"HTTP/1.1 200 OK\nX-A: b\nContent-Length: 2\n\n{}"],
    "two lengths": [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}", CLOSE],
    "two lengths that differ": [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        CLOSE,
    ],
    "a length of many digits": [b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n{}", CLOSE],
    "trailers": [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n",
        b"X-A: b\r\n\r\n",
    ],
    "a length below zero": [b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}", CLOSE],
    "not HTTP": [b"SSH-2.0-OpenSSH\r\n\r\n", CLOSE],
    "a status of words": [b"HTTP/1.1 two hundred\r\n\r\n", CLOSE],
    "large": [b"HTTP/1.1 200 OK\r\nContent-Length: 2097152\r\n\r\n", b"x" * (2 << 20)],
    "too late": [],
}


@contextmanager
def server(answer: Sequence[bytes]) -> Iterator[str]:
    """The URL of a server that answers the first request of each connection well, and the second one so."""
    with socket.create_server(("127.0.0.1", 0)) as door:

        def talk(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                connection.recv(1 << 16)
                connection.sendall(FIRST)
                connection.recv(1 << 16)
                for piece in answer:
                    if piece == CLOSE:
                        return
                    connection.sendall(piece)
                connection.recv(1 << 16)  # until the client has closed it

        def serve() -> None:
            with suppress(OSError):
                while True:
                    threading.Thread(target=talk, args=(door.accept()[0],), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield "http://{}:{}".format(*door.getsockname())
        door.shutdown(socket.SHUT_RDWR)


def outcome(method: str, answer: Sequence[bytes]) -> object:
    """What a session makes of the second answer of a connection: its parts, or the error."""
    with server(answer) as url, Session() as session:
        session.trust_env = False
        session.mount("http://", BoundedAdapter(max_retries=0))
        session.get(f"{url}/first", auth=lambda request: request, timeout=60)
        patience = 60 if answer else 0.1
        try:
            response = session.request(
                method, f"{url}/v2/x?a=b", auth=lambda r: r, timeout=patience, allow_redirects=False
            )
            content = response.content
        except requests.RequestException as problem:
            return type(problem), type(problem.args[0])
        headers = {name.lower(): value for name, value in response.headers.items()}
        return response.status_code, response.reason, headers, content, response.encoding, response.url[-9:]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("name", ANSWERS)
def test_a_read_gives_what_urllib3_gives(name: str, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    short = outcome(method, ANSWERS[name])
    monkeypatch.setattr(_Pool, "read", lambda *_: None)
    assert short == outcome(method, ANSWERS[name])


@pytest.mark.parametrize("name", ["one piece", "head, then body", "not found", "two of a name"])
def test_a_usual_read_takes_the_short_way(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    urlopen: Callable[..., object] = _Pool.urlopen

    def counted(*args: object, **options: object) -> object:
        opened.append(args)
        return urlopen(*args, **options)

    monkeypatch.setattr(_Pool, "urlopen", counted)
    outcome("GET", ANSWERS[name])
    assert len(opened) == 1  # the first one


texts = st.text(st.characters(max_codepoint=300), max_size=9)


@given(target=texts, headers=st.dictionaries(texts, texts, max_size=3))
def test_no_request_has_other_lines_than_its_own(target: str, headers: dict[str, str]) -> None:
    usual = {"Accept-Encoding": "gzip", "User-Agent": "test"}
    sent = request_head("GET", f"/{target}", "h", usual | headers)
    if sent is not None:
        lines = sent.split(b"\r\n")
        assert lines[0].count(b" ") == 2
        assert len(lines) == 4 + len(usual | headers)
        assert not any(b"\r" in line or b"\n" in line for line in lines)


def test_only_a_complete_head_is_read() -> None:
    whole = b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 3\r\n\r\nabc"
    start = whole.index(b"abc")
    for end in range(start):
        assert response_head(whole[:end], "GET") is None
    head = response_head(whole, "GET")
    assert head is not None and (head.start, head.length, head.headers["a"]) == (start, 3, "b")


def test_a_closed_session_leaves_no_connection_open() -> None:
    """Also while somebody holds the session: a long process has only so many file descriptors."""
    session = Session()
    session.mount("http://", BoundedAdapter())
    session.auth = lambda request: request
    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor() as pool:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"
        first = pool.submit(session.request, "GET", url, timeout=PATIENCE)
        far, _ = listening.accept()
        with far:
            far.settimeout(PATIENCE)
            far.recv(1000)
            far.sendall(FIRST)
            assert first.result().content == b"first"
            second = pool.submit(session.request, "GET", url, timeout=PATIENCE)
            far.recv(1000)
            far.sendall(FIRST)
            assert second.result().content == b"first"
            session.close()
            assert far.recv(1000) == b"", "the connection is open"
