"""One organization of one Picsellia platform, spoken to through the official SDK's Client and its connection.

Answers are raw JSON, read leniently: the SDK's own objects raise on one enum value that they do not know,
and their `update()` methods drop null. Every error leaves as one of the families of `providers.errors`.
Retries belong to the caller, but for reads, which the session repeats by itself.
"""

import os
import re
import threading
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote

import requests

from providers.errors import (
    ExistsError,
    FinalError,
    ForbiddenError,
    GoneError,
    ProviderError,
    RefusedError,
    TransientError,
    UnauthorizedError,
)
from providers.http import Session
from providers.pace import Pace
from providers.picsellia.listing import Listing
from providers.picsellia.transport import Adapter, RedirectedError, UnreachableError, as_it_is
from providers.rules import JSON
from providers.timeouts import answer_timeout

if TYPE_CHECKING:
    from picsellia import Client

FEW = 8  # objects that are looked for one by one, whatever a list would cost
PAGE = 100  # objects asked for in one request of a list; whether lists have a maximum is not known
READ_TIMEOUT = 60.0  # seconds; the SDK would wait 300
LONGEST_TEXT = 500  # characters of the platform's own words; a gateway's error may be a whole page


class Answer(dict[str, JSON]):
    """A JSON object from the platform; a key that we need and that it lacks is an error of the platform's."""

    writing = False

    def __missing__(self, key: str) -> JSON:
        raise FinalError(
            f"the platform's answer has no {key!r}",
            hint="is it a Picsellia platform that answers?",
            outcome_unknown=self.writing,
        )


class WriteAnswer(Answer):
    """The same after a write, of which nobody knows then what became of it."""

    writing = True


class Platform:
    """Requests to one organization, as JSON in and JSON out.

    Args:
        host: address of the platform, without a path.
        token: API token; never part of any message.
        organization: name of the organization.
        read_timeout: seconds to wait for an answer; None for RECONCILER_TIMEOUT, else 60.
        pace: of everything that the run asks; as fast as can be when left out.

    Raises:
        UnauthorizedError, FinalError, TransientError: no session could be had.
    """

    def __init__(
        self,
        host: str,
        token: str,
        organization: str,
        *,
        read_timeout: float | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.host = host.rstrip("/")
        self.organization = organization
        self._token = token
        timeout = answer_timeout(READ_TIMEOUT) if read_timeout is None else read_timeout
        self._adapter = Adapter(timeout, pace or Pace())
        self._looks = 0
        self._listings: dict[str, Listing] = {}
        self._listing = threading.Lock()
        self._session = Session()
        self._session.auth = as_it_is
        self._session.mount("https://", self._adapter)
        self._session.mount("http://", self._adapter)
        try:
            self._client = self._connect(token)
        except BaseException:
            self._session.close()
            raise

    def _connect(self, token: str) -> "Client":
        client_class = _sdk_client()
        from picsellia.exceptions import PicselliaError, ResourceNotFoundError

        try:
            return client_class(
                api_token=token, organization_name=self.organization, host=self.host, session=self._session
            )
        except ResourceNotFoundError as problem:
            raise FinalError(
                f"{self.host} knows no organization {self.organization!r}, or this token may not see it",
                hint="check --organization, and that the token belongs to a member of it",
            ) from problem
        except PicselliaError as problem:
            # The SDK wraps whatever the first request raised; the original is its context.
            first = self._translate(problem.__context__ or problem)
            if isinstance(first, GoneError):
                first = FinalError(
                    f"{self.host} does not answer as a Picsellia platform does: {first.message}",
                    hint=f"is {self.host} the address of the platform?",
                )
            raise first from problem
        except (requests.RequestException, UnreachableError, KeyError, TypeError, ValueError) as problem:
            raise self._translate(problem) from problem

    def username(self) -> str:
        """Whom the token belongs to, as the platform says."""
        name: str = self.get("/api/home/ping")["username"]
        return name

    def close(self) -> None:
        self._session.close()

    def __enter__(self) -> "Platform":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def get(self, path: str, **params: str | int) -> JSON:
        return self._call("get", path, params=params)

    def post(self, path: str, body: Mapping[str, JSON]) -> JSON:
        return self._call("post", path, body=body)

    def patch(self, path: str, body: Mapping[str, JSON]) -> JSON:
        return self._call("patch", path, body=body)

    def put(self, path: str, body: Mapping[str, JSON]) -> JSON:
        return self._call("put", path, body=body)

    def delete(self, path: str) -> None:
        self._call("delete", path)

    def organization_path(self, *parts: str) -> str:
        return path("organization", str(self._client.id), *parts)

    def expect(self, looks: int) -> None:
        """So many objects of each collection will be looked for, so that reading lists may be cheaper."""
        self._looks = looks

    def find_listed(self, collection: str, name: str, keys: Collection[str]) -> dict[str, JSON] | None:
        """As `find`, from a list of the whole collection that everybody shares, where that saves requests.

        Args:
            keys: what the answer should have; a list may say less of an object than `find` does.
        """
        if self._looks < FEW:
            return self.find(collection, name)
        with self._listing:
            listing = self._listings.setdefault(collection, Listing(self, collection, self._looks))
        found = listing.get(name, keys)
        if found is None:  # not even its absence is told by a list: pages move while they are read
            found = self.find(collection, name)
            listing.compare(name, found)
        return found

    def find(self, collection: str, name: str) -> dict[str, JSON] | None:
        """The object of exactly this name in a collection that has a `find`, or None.

        `find` may match loosely, so another name in its answer sends us through the list.
        """
        try:
            found: dict[str, JSON] = self.get(f"{collection}/find", name=name)
        except GoneError:
            return None
        if found.get("name") == name:
            return found
        return next((item for item in self.items(collection) if item.get("name") == name), None)

    def items(self, collection: str) -> Iterator[dict[str, JSON]]:
        """Every object of a list, page by page: whether lists have a maximum of their own is not known."""
        for page, _ in self.pages(collection):
            yield from page

    def pages(self, collection: str) -> Iterator[tuple[list[dict[str, JSON]], int | None]]:
        """The pages of a list, each with how many objects the platform says there are in all, if it does."""
        seen: set[str] = set()
        while True:
            answer = self.get(collection, limit=PAGE, offset=len(seen))
            fresh = [item for item in answer["items"] if item["id"] not in seen]
            seen.update(item["id"] for item in fresh)
            count = answer.get("count")
            yield fresh, count
            if not fresh or len(seen) >= (len(seen) + 1 if count is None else count):
                return

    def _call(
        self,
        verb: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        body: Mapping[str, JSON] | None = None,
    ) -> JSON:
        import orjson
        from picsellia.exceptions import PicselliaError

        connection = self._client.connection
        try:
            data = None if body is None else {"data": orjson.dumps(body)}
        except orjson.JSONEncodeError as problem:
            raise RefusedError(f"it cannot be sent: {problem}") from problem
        try:
            if verb == "get":
                response = connection.get(path, params=params or None)
            else:
                response = getattr(connection, verb)(path, **data or {})
            if verb == "delete":
                return None
            answer = response.json(object_hook=Answer if verb == "get" else WriteAnswer)
            if not isinstance(answer, Answer):
                raise TypeError("a JSON object was expected")
            return answer
        except (
            *(PicselliaError, requests.RequestException, UnreachableError, RedirectedError),
            # The SDK reads an error's body as an object with a text in it, and fails where it is not.
            *(ValueError, TypeError, KeyError, AttributeError),
        ) as problem:
            raise self._translate(problem, writing=verb != "get") from problem

    def _words(self, problem: object) -> str:
        """What was said, in one line, not too long, and without the token should it have been repeated."""
        text = " ".join(str(problem).replace(self._token, "…").split())
        return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "…"

    def _unauthorized(self) -> UnauthorizedError:
        return UnauthorizedError(
            f"{self.host} does not know this API token",
            hint="set PICSELLIA_TOKEN, or log in again: reconciler login",
        )

    def _translate(self, problem: BaseException, *, writing: bool = False) -> ProviderError:
        """The family that an error of the SDK, of requests or of ours belongs to.

        Statuses as in the SDK's connection.py; it keeps no status on its exceptions, but writes the ones it
        has no class for as "[503] …".
        """
        from picsellia import exceptions as sdk

        text = self._words(problem)
        server = self.host.partition("://")[2]
        match problem:
            case sdk.ResourceNotFoundError():
                return GoneError(text or "not found")
            case sdk.UnauthorizedError():
                return self._unauthorized()
            case sdk.ForbiddenError():
                return ForbiddenError(
                    f"{server} does not allow it: {text}", hint="this token may be read-only, or lack a role"
                )
            case sdk.ResourceConflictError():
                return ExistsError(text)
            case sdk.BadRequestError() | sdk.RequestTooLargeError() | sdk.InsufficientResourcesError():
                return RefusedError(f"{server} refused it: {text}")
            case sdk.TooManyRequestError():
                return TransientError(
                    f"{server} says too many requests", retry_after=self._adapter.retry_after()
                )
            case sdk.ResourceLockedError():
                return TransientError(f"locked on the platform: {text}")
            case sdk.BadGatewayError():
                return TransientError(f"{server} is unavailable (502)", outcome_unknown=writing)
            case sdk.InternalServerError():
                return FinalError(
                    f"{server} failed inside (500): {text}",
                    hint="run the same command again; if it stays, ask Picsellia's support",
                    outcome_unknown=writing,
                )
            case RedirectedError():
                return FinalError(
                    f"{server} has moved: {text}", hint="use that address; a write cannot be redirected"
                )
            case UnreachableError():
                return TransientError(
                    f"{server} cannot be reached: {text}",
                    hint=f"is {self.host} right, and up?",
                    outcome_unknown=writing and problem.sent,
                )
            case requests.Timeout():
                return TransientError(f"{server} did not answer in time", outcome_unknown=writing)
            case (
                requests.exceptions.InvalidJSONError()
                | ValueError()
                | KeyError()
                | TypeError()
                | AttributeError()
            ):
                return FinalError(
                    f"{server} answered something that is not what a Picsellia platform answers",
                    hint=f"is {self.host} the address of the platform?",
                    outcome_unknown=writing,
                )
            case requests.RequestException():
                return TransientError(f"{server} cannot be reached: {text}", outcome_unknown=writing)
        status = re.match(r"\[(\d{3})\]", text)
        if status and int(status[1]) in (503, 504):
            return TransientError(
                f"{server} is unavailable ({status[1]})",
                outcome_unknown=writing,
                retry_after=self._adapter.retry_after(),
            )
        return FinalError(f"{server} answered: {text}", outcome_unknown=writing)


def modified(answer: Mapping[str, JSON]) -> dict[str, JSON]:
    """When and by whom an object was changed last, as far as the platform says; no key is known for sure."""
    said = {"modified_at": answer.get("updated_at"), "modified_by": answer.get("updated_by")}
    return {name: value for name, value in said.items() if isinstance(value, str) and value}


def path(*parts: str) -> str:
    """`/api/…` with every part quoted.

    Raises:
        RefusedError: a part that would change the path's meaning: unquoted, an input named ".." turns the
            deletion of the input into the deletion of its processing, and quoting cannot help, as HTTP
            clients decode dots again.
    """
    for part in parts:
        if part in ("", ".", ".."):
            raise RefusedError(f"{part!r} cannot be a name on the platform")
    return "/api/" + "/".join(quote(part, safe="") for part in parts)


def _sdk_client() -> "type[Client]":
    """The SDK's Client, imported late (it takes a second) and without letting it take over logging."""
    os.environ["PICSELLIA_SDK_CUSTOM_LOGGING"] = "1"
    from picsellia import Client

    client: type[Client] = Client
    return client
