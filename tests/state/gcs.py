"""A replacement for Google Cloud Storage: the part of its XML API that obstore uses, in memory.

It honours `x-goog-if-generation-match` on writes, 0 meaning that there must be none, and gives every write a
generation of its own: https://cloud.google.com/storage/docs/xml-api/reference-headers#xgoogifgenerationmatch.
Anything else that it is asked is answered with 400, so that nothing passes that it does not know.
"""

import socket
import threading
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

KNOWN = {"list-type", "prefix", "delimiter", "start-after", "max-keys"}


class Gcs:
    """The server, for the duration of a block."""

    def __init__(self, bucket: str) -> None:
        self.bucket = bucket
        self.objects: dict[str, tuple[int, datetime, bytes]] = {}
        self.generation = 1
        self.refusals: list[int] = []  # status codes of the next responses to writes
        self.hangs_from: int | None = None  # the number of the first request that gets no response
        self.requests = 0
        self.hung = threading.Event()
        self.turn = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def write(self, key: str, body: bytes, expected: str | None) -> int | None:
        """The new generation; None if the object has another one than expected."""
        with self.turn:
            current = self.objects[key][0] if key in self.objects else 0
            if expected is not None and int(expected) != current:
                return None
            self.generation += 1
            self.objects[key] = (self.generation, datetime.now(UTC), body)
            return self.generation

    def listing(self, prefix: str, delimiter: str, after: str) -> str:
        contents, folders = [], set()
        with self.turn:
            for key, (generation, at, body) in sorted(self.objects.items()):
                if not key.startswith(prefix) or key <= after:
                    continue
                head, found, _ = key.removeprefix(prefix).partition(delimiter) if delimiter else (key, "", "")
                if found:
                    folders.add(prefix + head + delimiter)
                    continue
                contents.append(
                    f"<Contents><Key>{escape(key)}</Key><LastModified>{at:%Y-%m-%dT%H:%M:%S.%fZ}</LastModified>"
                    f'<ETag>"{generation}"</ETag><Size>{len(body)}</Size></Contents>'
                )
        folders_xml = (
            f"<CommonPrefixes><Prefix>{escape(f)}</Prefix></CommonPrefixes>" for f in sorted(folders)
        )
        return f"<ListBucketResult>{''.join(contents)}{''.join(folders_xml)}</ListBucketResult>"


def _handler(server: Gcs) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def parse_request(self) -> bool:
            is_valid = super().parse_request()
            with server.turn:
                server.requests += 1
                hangs = server.hangs_from is not None and server.requests >= server.hangs_from
            if hangs:
                server.hung.set()
                self.connection.recv(1 << 16, socket.MSG_WAITALL)  # until the client has gone
                self.close_connection = True
            return is_valid and not hangs

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            key = self._key()
            if key is None:
                return
            if server.refusals:
                self._answer(server.refusals.pop(0), "<Error><Code>SlowDown</Code></Error>")
                return
            generation = server.write(key, body, self.headers.get("x-goog-if-generation-match"))
            if generation is None:
                self._answer(412, "<Error><Code>PreconditionFailed</Code></Error>")
            else:
                self._answer(200, "", {"ETag": f'"{generation}"', "x-goog-generation": str(generation)})

        def do_GET(self) -> None:
            key = self._key()
            if key is None:
                return
            if not key:
                query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
                if query.keys() - KNOWN:
                    self._answer(400, f"<Error><Code>NotInThisStandIn</Code>{self.path}</Error>")
                    return
                listing = server.listing(
                    query.get("prefix", ""), query.get("delimiter", ""), query.get("start-after", "")
                )
                self._answer(200, listing)
            elif key in server.objects:
                generation, at, body = server.objects[key]
                headers = {"ETag": f'"{generation}"', "x-goog-generation": str(generation)}
                self._answer(200, body, {**headers, "Last-Modified": format_datetime(at, usegmt=True)})
            else:
                self._answer(404, "<Error><Code>NoSuchKey</Code></Error>")

        def do_DELETE(self) -> None:
            key = self._key()
            if key is None:
                return
            gone = server.objects.pop(key, None)
            self._answer(204 if gone else 404, "")

        def _key(self) -> str | None:
            """The object of the request, "" for the bucket; None if the response was already sent."""
            bucket, _, key = unquote(urlsplit(self.path).path).removeprefix("/").partition("/")
            if bucket == server.bucket:
                return key
            self._answer(404, "<Error><Code>NoSuchBucket</Code></Error>")
            return None

        def _answer(self, code: int, body: str | bytes, headers: dict[str, str] | None = None) -> None:
            data = body.encode() if isinstance(body, str) else body
            self.send_response(code)
            for name, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    return Handler
