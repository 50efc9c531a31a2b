"""Uploads one blob to a registry, in one request, and resumes after a broken connection.

Below `client`, which first checks whether the blob exists. After a break, the upload requests
the stored offset and sends the rest. Some registries lose the whole upload (those based on distribution
before version 3, if the connection breaks within a request); then the blob is sent from its start. An upload
fails after four consecutive breaks without progress.

The protocol: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-blobs
"""

import re
from collections.abc import Callable, Iterable, Iterator

import requests

from providers.docker.registry.connection import Body, Connection
from providers.docker.registry.manifests import Blob
from providers.errors import PermanentError, TransientError
from providers.http import origin, same_origin
from providers.patterns import pattern
from providers.protocol import Progress, Report
from providers.retries import exhausted, may_repeat

Content = Callable[[int], Iterable[bytes]]
"""Returns a blob's bytes from an offset on; may be called several times."""

_CHUNK = 32 << 20  # bytes per request, for registries or connections that do not support large requests
_LOST = 404, 416  # statuses: the upload is unknown, or at another offset
_RANGE = pattern(r"(?:bytes=)?0-(\d{1,18})", re.ASCII)


def upload(connection: Connection, blob: Blob, content: Content, report: Report, stage: str) -> None:
    """Store a blob that does not exist yet.

    Args:
        stage: the stage in the reported progress.

    Raises:
        TransientError: the connection broke, or the registry failed, too often.
        ProviderError: the registry refused it, or `content` failed.
    """
    _Upload(connection, blob, content, report, stage).run()


class _Upload:
    """The state of one upload.

    Attributes:
        _location: URL of the next request; None before the start and after the registry lost the upload.
        _stored: bytes confirmed by the registry.
        _furthest: maximum of `_stored` so far.
        _request_size: bytes to send in one request.
    """

    def __init__(
        self, connection: Connection, blob: Blob, content: Content, report: Report, stage: str
    ) -> None:
        self._connection = connection
        self._blob = blob
        self._cursor = _Cursor(content, blob.size)
        self._report = report
        self._stage = stage
        self._doing = f"pushing a layer to {connection.repository}"
        self._location: str | None = None
        self._named = ""  # the address of the upload as the registry names it
        self._stored = self._furthest = 0
        self._request_size = blob.size

    def run(self) -> None:
        breaks = 0  # consecutive ones without progress
        while True:
            furthest = self._furthest
            try:
                if not (breaks and self._is_stored_after_break()):
                    self._send_rest()
            except TransientError as error:
                breaks = 1 if self._furthest > furthest else breaks + 1
                if not may_repeat(error, breaks):
                    exhausted(error)
                    raise
                if breaks > 1:  # the request size may be the cause
                    self._request_size = min(self._request_size, _CHUNK)
                self._connection.wait_after(error, breaks)
            else:
                return

    def _send_rest(self) -> None:
        """Send the missing bytes and complete the upload."""
        while self._location is None or self._stored < self._blob.size:
            if self._location is None:
                self._location, self._stored = self._start(), 0
            if self._blob.size:
                self._send_chunk(self._location)
        url = _with_query(self._location, digest=self._blob.digest)
        self._check_not_lost(
            self._connection.write("PUT", url, self._doing, tolerated=_LOST, repeatable=False)
        )

    def _start(self) -> str:
        response = self._connection.write("POST", self._connection.url("blobs/uploads/"), self._doing)
        self._named = response.headers.get("Location", "")
        return self._connection.location(response)

    def _send_chunk(self, location: str) -> None:
        start, end = self._stored, min(self._stored + self._request_size, self._blob.size)
        headers = {"Content-Type": "application/octet-stream"}
        if (start, end) != (0, self._blob.size):
            headers["Content-Range"] = f"{start}-{end - 1}"
        response = self._connection.write(
            "PATCH",
            location,
            self._doing,
            data=Body(end - start, lambda: self._read_chunk(start, end)),
            headers=headers,
            tolerated=(413, *_LOST),
            repeatable=False,
        )
        if response.status_code == 413 and self._request_size > _CHUNK:
            self._request_size, self._location = _CHUNK, None
            return
        if response.status_code == 413:
            raise self._connection.error(response, self._doing)
        self._check_not_lost(response)
        self._location = self._connection.location(response)
        self._stored = end
        self._furthest = max(self._furthest, end)

    def _check_not_lost(self, response: requests.Response) -> None:
        """Raise TransientError if the registry lost the upload or has another offset."""
        if response.status_code in _LOST:
            repository = self._connection.repository
            named, own = origin(self._named), origin(repository.url)
            address = f"; it names {named} for the upload, and not {own}" if named not in (None, own) else ""
            raise TransientError(
                f"{repository.registry} lost the upload when {self._doing}{address}",
                hint="run again; several instances of one registry must share their storage and secret"
                + (", and have the right address of themselves" if address else ""),
            )

    def _is_stored_after_break(self) -> bool:
        """Resume after a break. Returns True if the blob is stored and only the response was lost."""
        if self._stored == self._blob.size:
            url = self._connection.url(f"blobs/{self._blob.digest}")
            if self._connection.read("HEAD", url, self._doing) is not None:
                return True
        self._read_offset()
        text = "resuming after a break" if self._stored else "starting again after a break"
        self._report_progress(text, self._stored)
        return False

    def _read_offset(self) -> None:
        """Read the offset of the upload from the registry; without one, the upload starts again."""
        location, stored = self._location, 0
        self._location = None
        if location is None:
            return
        try:
            response = self._connection.read("GET", location, self._doing, actions="pull,push")
        except PermanentError:  # also of a server to which the registry redirects this request
            response = None
        except TransientError:
            self._location = location
            raise
        if response is not None and same_origin(response.url, location):
            # Some registries send "0-0" for zero bytes, so it counts as zero.
            match = _RANGE.fullmatch(response.headers.get("Range", ""))
            stored = int(match[1]) + 1 if match and match[1] != "0" else 0
            self._location = self._connection.location(response) if 0 < stored <= self._blob.size else None
        self._stored = stored if self._location else 0
        self._furthest = max(self._furthest, self._stored)

    def _read_chunk(self, start: int, end: int) -> Iterator[bytes]:
        done = start
        for piece in self._cursor.read(start, end):
            yield piece
            done += len(piece)
            if done < self._blob.size:  # completion is reported after the registry confirms it
                self._report_progress("sending", done)

    def _report_progress(self, text: str, done: int) -> None:
        self._report(Progress(self._stage, short_digest(self._blob.digest), text, done, self._blob.size))


class _Cursor:
    """Reads ranges of a content; consecutive ranges do not reopen it."""

    def __init__(self, content: Content, size: int) -> None:
        self._content = content
        self._size = size
        self._position = -1
        self._pieces: Iterator[bytes] = iter(())
        self._rest = b""

    def read(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes from `start` up to `end`.

        Raises:
            PermanentError: the content is too short.
        """
        if start != self._position:
            self._pieces, self._rest, self._position = iter(self._content(start)), b"", start
        while self._position < end:
            piece = self._rest or self._next()
            size = end - self._position
            piece, self._rest = piece[:size], piece[size:]
            self._position += len(piece)
            yield piece

    def _next(self) -> bytes:
        position, self._position = self._position, -1  # reopen the content after an error
        piece = next(self._pieces, None)
        if piece is None:
            raise PermanentError(f"a layer of {self._size} bytes ended after {position}")
        self._position = position
        return piece


def short_digest(digest: str) -> str:
    """Twelve digits, as Docker shows layers."""
    return digest.removeprefix("sha256:")[:12]


def _with_query(url: str, **parameters: str) -> str:
    """`url` with added query parameters; the existing ones stay unchanged (they may be signed)."""
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    return f"{url}{'&' if '?' in url else '?'}{query}"
