"""One blob on its way into a registry: sent in one request, gone on with where a broken line left it.

Below `registry`, which asks first whether the blob is there already. A registry is asked what it has of a
broken upload, and gets the rest. Some lose all of it (those made from distribution before its version 3, when
the line breaks within a request): there the blob starts anew. Never tries for ever: four breaks in a row that
moved nothing on are the end.

The exchange: https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-blobs
"""

import re
from collections.abc import Callable, Iterable, Iterator

import requests

from providers.docker.registry.connection import ATTEMPTS, Body, Connection, is_passing
from providers.docker.registry.manifests import Blob
from providers.errors import PermanentError, RefusedError, TransientError
from providers.protocol import Progress, Report

Content = Callable[[int], Iterable[bytes]]
"""Gives a blob's bytes from this offset on, each time it is called."""

_CHUNK = 32 << 20  # bytes sent at a time to a registry, or over a line, that takes no large request
_LOST = 404, 416  # statuses: the upload is not known, or is elsewhere
_RANGE = re.compile(r"(?:bytes=)?0-(\d{1,18})", re.ASCII)


def upload(connection: Connection, blob: Blob, content: Content, report: Report, stage: str) -> None:
    """Store a blob that is not there yet.

    Args:
        stage: of the progress that is reported.

    Raises:
        TransientError: the line broke, or the registry failed, too often.
        ProviderError: the registry refused it, or `content` failed.
    """
    _Upload(connection, blob, content, report, stage).run()


class _Upload:
    """The state of one upload.

    Attributes:
        _location: where it goes on; None before it was begun, and when the registry lost it.
        _stored: bytes that the registry has for certain.
        _furthest: the most that it ever had.
        _largest: bytes that are sent in one request.
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
        self._stored = self._furthest = 0
        self._largest = blob.size

    def run(self) -> None:
        breaks = 0  # in a row, without one more byte stored
        while True:
            furthest = self._furthest
            try:
                if not (breaks and self._was_filed()):
                    self._send_rest()
            except TransientError as error:
                breaks = 1 if self._furthest > furthest else breaks + 1
                if breaks >= ATTEMPTS or not is_passing(error):
                    raise
                if breaks > 1:  # it may be the size that is in the way
                    self._largest = min(self._largest, _CHUNK)
                self._connection.rest(error, breaks)
            else:
                return

    def _send_rest(self) -> None:
        """Everything that the registry does not have, and the request that files it away."""
        while self._location is None or self._stored < self._blob.size:
            if self._location is None:
                self._location, self._stored = self._begin(), 0
            if self._blob.size:
                self._send_one(self._location)
        address = _with_query(self._location, digest=self._blob.digest)
        self._refuse_lost(
            self._connection.write("PUT", address, self._doing, tolerated=_LOST, repeatable=False)
        )

    def _begin(self) -> str:
        response = self._connection.write("POST", self._connection.url("blobs/uploads/"), self._doing)
        return self._connection.location(response)

    def _send_one(self, location: str) -> None:
        start, end = self._stored, min(self._stored + self._largest, self._blob.size)
        headers = {"Content-Type": "application/octet-stream"}
        if (start, end) != (0, self._blob.size):
            headers["Content-Range"] = f"{start}-{end - 1}"
        response = self._connection.write(
            "PATCH",
            location,
            self._doing,
            data=Body(end - start, lambda: self._pieces(start, end)),
            headers=headers,
            tolerated=(413, *_LOST),
            repeatable=False,
        )
        if response.status_code == 413 and self._largest > _CHUNK:
            self._largest, self._location = _CHUNK, None
            return
        if response.status_code == 413:
            raise self._connection.failure(response, self._doing)
        self._refuse_lost(response)
        self._location = self._connection.location(response)
        self._stored = end
        self._furthest = max(self._furthest, end)

    def _refuse_lost(self, response: requests.Response) -> None:
        """Raises when the registry no longer knows the upload, or is somewhere else in it."""
        if response.status_code in _LOST:
            raise TransientError(
                f"{self._connection.repository.registry} lost the upload when {self._doing}",
                hint="run again; several instances of one registry have to share their storage and secret",
            )

    def _was_filed(self) -> bool:
        """After a break: what the registry has; True when it has the blob, and only its answer was lost."""
        if self._stored == self._blob.size:
            url = self._connection.url(f"blobs/{self._blob.digest}")
            if self._connection.read("HEAD", url, self._doing) is not None:
                return True
        self._find_out()
        self._tell("going on after a break" if self._stored else "starting again after a break", self._stored)
        return False

    def _find_out(self) -> None:
        """What the registry has of the upload; when it cannot say, the upload begins anew."""
        location, stored = self._location, 0
        self._location = None
        if location is None:
            return
        try:
            response = self._connection.read("GET", location, self._doing, actions="pull,push")
        except RefusedError:
            response = None
        except TransientError:
            self._location = location
            raise
        if response is not None:
            # "0-0" is what some say of no byte at all, so it counts as nothing.
            match = _RANGE.fullmatch(response.headers.get("Range", ""))
            stored = int(match[1]) + 1 if match and match[1] != "0" else 0
            self._location = self._connection.location(response) if 0 < stored <= self._blob.size else None
        self._stored = stored if self._location else 0
        self._furthest = max(self._furthest, self._stored)

    def _pieces(self, start: int, end: int) -> Iterator[bytes]:
        done = start
        for piece in self._cursor.read(start, end):
            yield piece
            done += len(piece)
            if done < self._blob.size:  # the end is reported once the registry has confirmed it
                self._tell("sending", done)

    def _tell(self, text: str, done: int) -> None:
        self._report(Progress(self._stage, short(self._blob.digest), text, done, self._blob.size))


class _Cursor:
    """Reads ranges of a content, without opening it again as long as they follow on each other."""

    def __init__(self, content: Content, size: int) -> None:
        self._content = content
        self._size = size
        self._at = -1
        self._pieces: Iterator[bytes] = iter(())
        self._rest = b""

    def read(self, start: int, end: int) -> Iterator[bytes]:
        """The bytes from `start` up to `end`.

        Raises:
            FinalError: the content is shorter than that.
        """
        if start != self._at:
            self._pieces, self._rest, self._at = iter(self._content(start)), b"", start
        while self._at < end:
            piece = self._rest or self._next()
            piece, self._rest = piece[: end - self._at], piece[end - self._at :]
            self._at += len(piece)
            yield piece

    def _next(self) -> bytes:
        at, self._at = self._at, -1  # a content that failed is opened again
        piece = next(self._pieces, None)
        if piece is None:
            raise PermanentError(f"a layer of {self._size} bytes ended after {at}")
        self._at = at
        return piece


def short(digest: str) -> str:
    """Twelve digits, as Docker shows layers."""
    return digest.removeprefix("sha256:")[:12]


def _with_query(url: str, **parameters: str) -> str:
    """`url` with further query parameters; what is in it stays as it is (it may be signed)."""
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    return f"{url}{'&' if '?' in url else '?'}{query}"
