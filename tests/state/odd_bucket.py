"""A proxy in front of a local bucket that returns malformed responses to some requests."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from tests.state.servers import Bucket, use

BODIES = {
    "a page": b"<html><body><p>Sign in</p></body></html>",
    "a page that is no XML": b"<!doctype html><html><body><p>Sign in<br>Forgot?</body></html>",
    "other XML": b'<?xml version="1.0"?><Welcome/>',
    "JSON": b'{"items": []}',
    "text": b"welcome",
    "nothing": b"",
}
_ENDPOINTS = "AWS_ENDPOINT_URL", "AZURE_STORAGE_ENDPOINT", "GOOGLE_BASE_URL"
_OF_ONE_HOP = {"connection", "transfer-encoding", "content-encoding", "content-length", "date", "server"}


@dataclass(frozen=True, slots=True)
class Answered:
    """A response of the bucket, and its request."""

    method: str
    lists: bool
    status: int


IsOdd = Callable[[Answered], bool]


def everything(answered: Answered) -> bool:
    return True


def lists(answered: Answered) -> bool:
    return answered.lists


def absence(answered: Answered) -> bool:
    return answered.status == 404


@contextmanager
def odd_bucket(bucket: Bucket, is_odd: IsOdd, body: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sends requests for the bucket through the proxy, which puts `body` into the malformed responses."""
    name = next(name for name in _ENDPOINTS if name in bucket.variables)
    endpoint = urlsplit(bucket.variables[name])
    session = requests.Session()
    session.trust_env = False

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            url = f"{endpoint.scheme}://{endpoint.netloc}{self.path}"
            real = session.request(self.command, url, data=sent, headers=dict(self.headers), timeout=30)
            query = parse_qs(urlsplit(self.path).query)
            one = Answered(
                self.command, "list-type" in query or query.get("comp") == ["list"], real.status_code
            )
            status, headers, content = real.status_code, dict(real.headers), real.content
            if is_odd(one):
                status, headers, content = (200 if real.ok else status), {"Content-Type": "text/html"}, body
            self.send_response(status)
            for key, value in headers.items():
                if key.lower() not in _OF_ONE_HOP:
                    self.send_header(key, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_DELETE = do_HEAD = answer

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        with monkeypatch.context() as through:
            url = f"http://127.0.0.1:{server.server_port}{endpoint.path}"
            use(Bucket(bucket.url, {**bucket.variables, name: url}), through)
            yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
