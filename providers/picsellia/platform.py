"""One organization of one Picsellia platform: the requests that the official SDK sends, without the SDK.

The SDK takes a second to import, repeats every request whose connection dropped, also a POST, and keeps no
status on its errors. Its objects raise for an unknown enum value, and their `update()` methods drop null. So
responses are raw JSON, and every error is one of the families of `providers.errors`. The session repeats
reads; callers repeat writes.
"""

import threading
from collections.abc import Collection, Iterator, Mapping
from importlib.metadata import version
from typing import Final
from urllib.parse import urlencode

import requests

from providers.answers import json_object
from providers.errors import GoneError, PermanentError, RefusedError
from providers.http import Session
from providers.json_value import JSON
from providers.picsellia.answer import Answer, Page, WriteAnswer
from providers.picsellia.error_mapping import ErrorMapper
from providers.picsellia.listing import Listing, pages
from providers.picsellia.paths import path
from providers.picsellia.transport import (
    Adapter,
    RedirectedError,
    RefusedAnswerError,
    UnreachableError,
)
from providers.rate_limit import RateLimiter
from providers.timeouts import answer_timeout

FEW = 8  # look-ups; fewer of them never read a list
PAGE = 100  # objects per request of a list; the platform may have a lower maximum
READ_TIMEOUT = 60.0  # seconds; the SDK would wait 300
_ORGANIZATION: Final = "X-Picsellia-Organization"
_RAISED: Final = (
    *(RefusedAnswerError, RedirectedError, UnreachableError, requests.RequestException),
    *(ValueError, TypeError),  # a response that is not a JSON object, an invalid address
)


class NotAPlatformError(PermanentError):
    """The server at this address is not a Picsellia platform."""


class UnknownOrganizationError(PermanentError):
    """The platform has no such organization, or the token has no access to it."""


class Platform:
    """Requests to one organization, as JSON in and JSON out.

    Args:
        host: address of the platform, with or without a path.
        token: API token; never part of a message.
        organization: name of the organization.
        token_from, renewal: where the token comes from and how to replace it, for messages.
        read_timeout: seconds to wait for a response; None for RECONCILER_TIMEOUT, or else 60.
        limiter: the rate limiter of the run; None for requests without a limit.

    Raises:
        UnauthorizedError, PermanentError, TransientError: the sign-in failed.
    """

    def __init__(
        self,
        host: str,
        token: str,
        organization: str,
        *,
        token_from: str = "",
        renewal: str = "",
        read_timeout: float | None = None,
        limiter: RateLimiter | None = None,
    ) -> None:
        self.host = host.rstrip("/")
        self.organization = organization
        self._failures = ErrorMapper(self.host, token, token_from, renewal)
        timeout = answer_timeout(READ_TIMEOUT) if read_timeout is None else read_timeout
        self._look_ups = 0
        self._listings: dict[str, Listing] = {}
        self._lock = threading.Lock()
        self._headers = {  # as the SDK sends them
            "Authorization": f"Bearer {token}",
            "User-Agent": f"Picsellia-SDK/{version('picsellia')}",
            "Content-type": "application/json",
        }
        self._adapter = Adapter(timeout, limiter or RateLimiter())
        self._session = Session()
        self._session.mount("https://", self._adapter)
        self._session.mount("http://", self._adapter)
        try:
            self._sign_in()
        except BaseException:
            self._session.close()
            raise

    def _sign_in(self) -> None:
        """The request of the SDK's Client whose response is needed, without the others."""
        try:
            found = self.get("/api/organizations/find", name=self.organization)
        except GoneError as problem:
            self.username()  # otherwise there is no platform
            raise UnknownOrganizationError(
                f"{self.host} has no organization {self.organization!r}, or this token has no access to it",
                hint="check --organization, and that the user of the token is a member",
            ) from problem
        self._headers[_ORGANIZATION] = found.text("id")

    def username(self) -> str:
        """The user of the token.

        Raises:
            NotAPlatformError: the server has no such request.
            UnauthorizedError, PermanentError, TransientError: the request failed.
        """
        try:
            return self.get("/api/home/ping").text("username")
        except GoneError as problem:
            raise NotAPlatformError(
                f"{self.host} does not respond like a Picsellia platform: {problem.message}",
                hint=f"check that {self.host} is the address of the platform",
            ) from problem

    def close(self) -> None:
        self._session.close()

    def __enter__(self) -> "Platform":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, path: str, **params: str | int) -> Answer:
        try:
            address = self.host + path + (f"?{urlencode(params)}" if params else "")
            return json_object(self._session.get(address, headers=self._headers).content, Answer)
        except _RAISED as problem:
            raise self._failures.of(problem) from problem

    def post(self, path: str, body: Mapping[str, JSON]) -> Answer:
        return self._write("POST", path, body)

    def patch(self, path: str, body: Mapping[str, JSON]) -> Answer:
        return self._write("PATCH", path, body)

    def put(self, path: str, body: Mapping[str, JSON]) -> Answer:
        return self._write("PUT", path, body)

    def delete(self, path: str) -> None:
        self._write("DELETE", path)

    def organization_path(self, *parts: str) -> str:
        return path("organization", self._headers[_ORGANIZATION], *parts)

    def expect(self, look_ups: int) -> None:
        """Set the number of expected look-ups per collection. For many of them, lists are cheaper.

        The lists are read anew, at the first look-up in each, and used until the first write.
        """
        with self._lock:
            self._look_ups = look_ups
            self._listings = {}

    def read_ahead(self, collection: str) -> None:
        """Begin to read the list for `find_listed`, if many look-ups are expected."""
        if self._look_ups >= FEW:
            self._listing(collection).read_ahead()

    def _listing(self, collection: str) -> Listing:
        with self._lock:
            return self._listings.setdefault(collection, Listing(self, collection, self._look_ups))

    def find_listed(self, collection: str, name: str, keys: Collection[str]) -> Answer | None:
        """Like `find`, but from a shared list of the whole collection if that saves requests.

        Args:
            keys: the keys that the object should have; listed objects may have fewer than `find` returns.
        """
        if self._look_ups < FEW:
            return self.find(collection, name)
        listing = self._listing(collection)
        found = listing.get(name, keys)
        if found is None:  # a list is no proof of absence: pages move while they are read
            found = self.find(collection, name)
            listing.compare(name, found)
        return found

    def find(self, collection: str, name: str) -> Answer | None:
        """The object with exactly this name in a collection with a `find`; None if it does not exist.

        `find` may match loosely. If it returns another name, this searches the list.
        """
        try:
            found = self.get(f"{collection}/find", name=name)
        except GoneError:
            return None
        if found.text("name") == name:
            return found
        return next((item for item in self.items(collection) if item.get("name") == name), None)

    def find_id(self, collection: str, id: str) -> Answer | None:
        """The object with this id in a collection with a `find`; None if it is not in there."""
        try:
            found = self.get(f"{collection}/find", id=id)
        except GoneError:
            return None
        return found if found.text("id") == id else None

    def items(self, collection: str, identity: str = "id") -> Iterator[Answer]:
        """Every object of a list, page by page.

        Args:
            identity: the key that identifies its objects.
        """
        for page, _ in self.pages(collection, identity):
            yield from page

    def pages(self, collection: str, identity: str = "id") -> Iterator[tuple[list[Answer], int | None]]:
        """The pages of a list, each with the count of all objects; None if it is not returned."""

        def read(offset: int) -> Page:
            return self.get(collection, limit=PAGE, offset=offset).page(identity)

        return pages(read, collection)

    def _write(self, verb: str, path: str, body: Mapping[str, JSON] | None = None) -> Answer:
        """Send a write. Raises RefusedError before sending if JSON cannot contain the body."""
        import orjson

        try:
            data = None if body is None else orjson.dumps(body)
        except orjson.JSONEncodeError as problem:
            raise RefusedError(f"it cannot be sent: {problem}") from problem
        self.expect(0)  # what is read from now on is as it is after the write
        try:
            response = self._session.request(verb, self.host + path, headers=self._headers, data=data)
            return Answer() if verb == "DELETE" else json_object(response.content, WriteAnswer)
        except _RAISED as problem:
            raise self._failures.of(problem, writing=True) from problem
