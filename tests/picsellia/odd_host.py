"""A host that accepts every sign-in, and then returns malformed responses."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ORGANIZATION = {"id": "c0ffee00-0000-4000-8000-000000000000", "name": "sandbox", "default_connector_id": None}
PING = {"sdk_version": "6.0.0", "username": "anybody", "default_organization": ORGANIZATION["id"]}
SIGN_IN = {
    "/api/home/ping": PING,
    "/api/organizations/find": ORGANIZATION,
    f"/api/organization/{ORGANIZATION['id']}": ORGANIZATION,
}


@contextmanager
def odd_host(
    status: int,
    content: bytes | Callable[[str], bytes],
    headers: Mapping[str, str] = {},
    *,
    signs_in: bool = True,
) -> Iterator[tuple[str, list[str]]]:
    """The host's address, and its requests after the sign-in, as "METHOD /path".

    The content is the same for each request, or depends on its path with the query.
    """
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = self.path.partition("?")[0]
            if signs_in and path in SIGN_IN:
                self._send(200, json.dumps(SIGN_IN[path]).encode(), {})
            else:
                asked.append(f"{self.command} {path}")
                self._send(status, content if isinstance(content, bytes) else content(self.path), headers)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

        def _send(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()
