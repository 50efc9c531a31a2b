"""One organization of one Picsellia platform: reads over our own session, writes over the SDK's connection.

Most commands only read, and the SDK takes a second to import: reads are the same requests without it.
Answers are raw JSON, read leniently: the SDK's own objects raise on one enum value that they do not know,
and their `update()` methods drop null. Every error leaves as one of the families of `providers.errors`.
Retries belong to the caller, but for reads, which the session repeats by itself.
"""

import os
import threading
from collections.abc import Collection, Iterator, Mapping
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import requests

from providers.answers import json_object
from providers.errors import GoneError, PermanentError, RefusedError
from providers.http import Session
from providers.picsellia.answer import Answer, WriteAnswer
from providers.picsellia.error_mapping import ErrorMapper
from providers.picsellia.listing import Listing, pages
from providers.picsellia.paths import path
from providers.picsellia.transport import (
    Adapter,
    RedirectedError,
    RefusedAnswerError,
    UnreachableError,
    without_netrc,
)
from providers.rate_limit import RateLimiter
from providers.rules import JSON
from providers.timeouts import answer_timeout

if TYPE_CHECKING:
    from picsellia.sdk.connection import Connection

FEW = 8  # objects that are looked for one by one, whatever a list would cost
PAGE = 100  # objects asked for in one request of a list; whether lists have a maximum is not known
READ_TIMEOUT = 60.0  # seconds; the SDK would wait 300
_ORGANIZATION: Final = "X-Picsellia-Organization"
_RAISED: Final = (
    *(RefusedAnswerError, RedirectedError, UnreachableError, requests.RequestException),
    *(ValueError, TypeError),  # an answer that is no JSON object, an address that is none
)


class Platform:
    """Requests to one organization, as JSON in and JSON out.

    Args:
        host: address of the platform; requests go below its path, where it has one.
        token: API token; never part of any message.
        organization: name of the organization.
        read_timeout: seconds to wait for an answer; None for RECONCILER_TIMEOUT, else 60.
        pace: of everything that the run asks; as fast as can be when left out.

    Attributes:
        username: whom the token belongs to, as the platform says.

    Raises:
        UnauthorizedError, PermanentError, TransientError: no session could be had.
    """

    def __init__(
        self,
        host: str,
        token: str,
        organization: str,
        *,
        read_timeout: float | None = None,
        limiter: RateLimiter | None = None,
    ) -> None:
        self.host = host.rstrip("/")
        self.organization = organization
        self._token = token
        self._failures = ErrorMapper(self.host, token)
        timeout = answer_timeout(READ_TIMEOUT) if read_timeout is None else read_timeout
        self._looks = 0
        self._listings: dict[str, Listing] = {}
        self._lock = threading.Lock()
        self._headers = {  # as the SDK sends them
            "Authorization": f"Bearer {token}",
            "User-Agent": f"Picsellia-SDK/{version('picsellia')}",
            "Content-type": "application/json",
        }
        self._adapter = Adapter(timeout, limiter or RateLimiter())
        self._session = Session()
        self._session.auth = without_netrc
        self._session.mount("https://", self._adapter)
        self._session.mount("http://", self._adapter)
        try:
            self.username = self._sign_in()
        except BaseException:
            self._session.close()
            raise

    def _sign_in(self) -> str:
        """The requests that the SDK's Client begins with, but for those whose answers nobody needs."""
        try:
            username = self.get("/api/home/ping").text("username")
        except GoneError as problem:
            raise PermanentError(
                f"{self.host} does not answer as a Picsellia platform does: {problem.message}",
                hint=f"is {self.host} the address of the platform?",
            ) from problem
        try:
            found = self.get("/api/organizations/find", name=self.organization)
        except GoneError as problem:
            raise PermanentError(
                f"{self.host} knows no organization {self.organization!r}, or this token may not see it",
                hint="check --organization, and that the token belongs to a member of it",
            ) from problem
        self._headers[_ORGANIZATION] = found.text("id")
        return username

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
        return self._write("post", path, body)

    def patch(self, path: str, body: Mapping[str, JSON]) -> Answer:
        return self._write("patch", path, body)

    def put(self, path: str, body: Mapping[str, JSON]) -> Answer:
        return self._write("put", path, body)

    def delete(self, path: str) -> None:
        self._write("delete", path)

    def organization_path(self, *parts: str) -> str:
        return path("organization", self._headers[_ORGANIZATION], *parts)

    def expect(self, looks: int) -> None:
        """So many objects of each collection will be looked for, so that reading lists may be cheaper."""
        self._looks = looks

    def find_listed(self, collection: str, name: str, keys: Collection[str]) -> Answer | None:
        """As `find`, from a list of the whole collection that everybody shares, where that saves requests.

        Args:
            keys: what the answer should have; a list may say less of an object than `find` does.
        """
        if self._looks < FEW:
            return self.find(collection, name)
        with self._lock:
            listing = self._listings.setdefault(collection, Listing(self, collection, self._looks))
        found = listing.get(name, keys)
        if found is None:  # not even its absence is told by a list: pages move while they are read
            found = self.find(collection, name)
            listing.compare(name, found)
        return found

    def find(self, collection: str, name: str) -> Answer | None:
        """The object of exactly this name in a collection that has a `find`, or None.

        `find` may match loosely, so another name in its answer sends us through the list.
        """
        try:
            found = self.get(f"{collection}/find", name=name)
        except GoneError:
            return None
        if found.get("name") == name:
            return found
        return next((item for item in self.items(collection) if item.get("name") == name), None)

    def items(self, collection: str, identity: str = "id") -> Iterator[Answer]:
        """Every object of a list, page by page: whether lists have a maximum of their own is not known.

        Args:
            identity: the key that tells its objects apart.
        """
        for page, _ in self.pages(collection, identity):
            yield from page

    def pages(self, collection: str, identity: str = "id") -> Iterator[tuple[list[Answer], int | None]]:
        """The pages of a list, each with how many objects the platform says there are in all, if it does."""
        return pages(lambda offset: self.get(collection, limit=PAGE, offset=offset).page(identity))

    def _write(self, verb: str, path: str, body: Mapping[str, JSON] | None = None) -> Answer:
        """Raises RefusedError, with nothing sent, for what JSON cannot hold."""
        import orjson

        try:
            data = {} if body is None else {"data": orjson.dumps(body)}
        except orjson.JSONEncodeError as problem:
            raise RefusedError(f"it cannot be sent: {problem}") from problem
        try:
            with self._lock:
                connection = self._connection
            # The whole address, as the SDK drops the path of its host: reads and writes go to one place.
            response = getattr(connection, verb)(self.host + path, **data)
            return Answer() if verb == "delete" else json_object(response.content, WriteAnswer)
        except _RAISED as problem:
            raise self._failures.of(problem, writing=True) from problem

    @cached_property
    def _connection(self) -> "Connection":
        connection = _sdk_connection()(self.host, self._token, session=self._session)
        connection.organization_id = self._headers[_ORGANIZATION]
        return connection


def _sdk_connection() -> "type[Connection]":
    """The SDK's Connection, imported late (it takes a second) and without letting it take over logging."""
    os.environ["PICSELLIA_SDK_CUSTOM_LOGGING"] = "1"
    from picsellia.sdk.connection import Connection

    connection: type[Connection] = Connection
    return connection
