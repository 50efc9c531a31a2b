"""A proxy in front of a real registry: records requests, and interferes on demand."""

import contextlib
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import requests

_DROPPED = {"transfer-encoding", "connection", "content-encoding", "date", "server", "content-length"}


@dataclass(frozen=True, slots=True)
class Seen:
    """One recorded request."""

    method: str
    path: str
    received: int
    sent: int
    status: int
    authorization: str


@dataclass(slots=True)
class Answer:
    """A response of the proxy, instead of the registry's."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Proxy:
    """The proxy's address, its recorded requests, and its settings.

    Attributes:
        interfere: called first; returns a response, or None to forward the request. If it raises
            ConnectionAbortedError, the client's connection ends, and nothing is recorded.
        answering: like `interfere`, for a server that also needs the request's headers.
        hidden: headers of the registry's responses that are not forwarded (lower case).
        withheld: headers of the client's requests that are not forwarded (lower case).
        lag: seconds to wait before a response is forwarded.
        registry: address of the registry behind it; "" if the proxy makes every response.
    """

    address: str
    seen: list[Seen] = field(default_factory=list)
    interfere: Callable[[str, str, bytes], Answer | None] = lambda method, path, body: None
    answering: Callable[[str, str, bytes, str], Answer | None] = lambda method, path, body, who: None
    hidden: set[str] = field(default_factory=set)
    withheld: set[str] = field(default_factory=set)
    lag: Callable[[str, str], float] = lambda method, path: 0.0
    registry: str = ""

    def requests(self, method: str, part: str = "") -> list[Seen]:
        return [seen for seen in self.seen if seen.method == method and part in seen.path]


def new_identity(folder: Path) -> tuple[ssl.SSLContext, str]:
    """An identity for 127.0.0.1, and the path of its certificate, which clients must trust."""
    key, certificate = str(folder / "key.pem"), str(folder / "certificate.pem")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate


@contextlib.contextmanager
def proxy_to(address: str, identity: ssl.SSLContext | None = None) -> Iterator[Proxy]:
    """A proxy for the registry at `address`; "" if the proxy makes every response.

    With an `identity` it speaks https.
    """
    session = requests.Session()
    session.trust_env = False

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def _body(self) -> bytes:
            if "chunked" not in self.headers.get("Transfer-Encoding", ""):
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def _handle(self) -> None:
            body = self._body()
            who = self.headers.get("Authorization", "")
            try:
                answer = proxy.interfere(self.command, self.path, body)
            except ConnectionAbortedError:
                self.close_connection = True
                return
            answer = answer or proxy.answering(self.command, self.path, body, who)
            if answer is None:
                kept_back = proxy.withheld | {"transfer-encoding"}
                headers = {k: v for k, v in self.headers.items() if k.lower() not in kept_back}
                passed = session.request(
                    self.command,
                    f"http://{proxy.registry}{self.path}",
                    headers=headers,
                    data=body or None,
                    allow_redirects=False,
                    timeout=30,
                )
                kept = {k: v for k, v in passed.headers.items() if k.lower() not in _DROPPED | proxy.hidden}
                answer = Answer(passed.status_code, passed.content, kept)
                length = passed.headers.get("Content-Length", "0") if self.command == "HEAD" else None
            else:
                length = None
            # Recorded before it is sent: the test may check as soon as it has the response.
            proxy.seen.append(Seen(self.command, self.path, len(body), len(answer.body), answer.status, who))
            time.sleep(proxy.lag(self.command, self.path))
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", length or str(len(answer.body)))
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else answer.body)

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _handle

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if identity:
        server.socket = identity.wrap_socket(server.socket, server_side=True)
    proxy = Proxy(f"127.0.0.1:{server.server_address[1]}", registry=address)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        session.close()
