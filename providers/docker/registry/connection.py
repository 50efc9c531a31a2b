"""HTTP with one registry: authentication, timeouts, retries and errors.

Below `client` and `uploads`, which define the requests. Transient failures (no response, 5xx, 429) are
retried a few times, after the registry's Retry-After if it sends one. A 401 is answered once, with the login
or a new token; 403 and all other refusals are final. So is a 404 to a request without a login, if one is
known: some registries hide private repositories this way.

A registry may redirect a read, usually to a store for layers. Only the content of that server's response
counts. What a status or header says about the registry, such as a challenge, is the registry's own to say.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urljoin, urlsplit, urlunsplit

import requests

from providers.bodies import read_body, server_of
from providers.bounded import BoundedAdapter
from providers.docker.registry import error_mapping
from providers.docker.registry.auth import (
    CONNECT_TIMEOUT,
    READ_TIMEOUT,
    Authorization,
    Login,
    fixed_header,
    stored_login,
)
from providers.docker.registry.reference import Repository
from providers.errors import PermanentError, ProviderError, TransientError
from providers.http import Session, origin, same_origin
from providers.image_names import is_loopback
from providers.rate_limit import AT_ONCE, REFUSAL_STATUSES, RateLimiter, retry_after
from providers.retries import ATTEMPTS, attempt, delay, is_transient, problem_of, retrying
from providers.timeouts import answer_timeout
from providers.waits import Repeat

if TYPE_CHECKING:
    import tenacity

_WRITE_TIMEOUT = 300.0  # seconds; a registry may take minutes to store a large upload
_OPERATION = "reconciler_operation"
"""Attribute of a request: the registry and the operation, by which the limiter recognizes it again. The URL
would not do: after a refusal, an upload may go on at another one."""


class Body:
    """A request body of known size that can be sent repeatedly."""

    def __init__(self, size: int, chunks: Callable[[], Iterator[bytes]]) -> None:
        self._size = size
        self._chunks = chunks

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks()


class ConnectionPool(BoundedAdapter):
    """Connections and caches shared by the clients of any number of repositories.

    Args:
        limiter: the rate limiter of the run.

    Attributes:
        configurations: image configurations by digest, as several pipelines may use one image.
        session: sends the requests of all clients.
    """

    def __init__(self, limiter: RateLimiter) -> None:
        super().__init__(limiter.announce, pool_connections=AT_ONCE, pool_maxsize=AT_ONCE)
        self.limiter = limiter
        self.configurations: dict[str, bytes] = {}
        self.session = Session()
        self.session.mount("https://", self)
        self.session.mount("http://", self)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send the request when the rate limit permits. A refusal gets `waits`, as in TransientError."""
        parts = urlsplit(request.url or "")
        path = server_of(request), f"{request.method} {parts.path!s}"
        server, name = getattr(request, _OPERATION, path)
        self.limiter.wait(server, name)
        with self.limiter.slot:
            response = super().send(request, *args, **kwargs)
        if response.status_code in REFUSAL_STATUSES:
            pause = retry_after(response.headers)
            is_explicit = response.status_code == 429 or pause is not None
            may_retry = self.limiter.report_refusal(server, name, pause, response.status_code)
            waits = is_explicit or None if may_retry else False
            response.waits = waits  # type: ignore[attr-defined]
        else:
            self.limiter.report_success(server, name)
        if not kwargs.get("stream") or response.status_code >= 300:
            read_body(response)
        return response

    def close(self) -> None:
        """Does nothing: a closed client leaves the connections to the others."""

    def end(self) -> None:
        """Close the connections."""
        super().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


class Connection:
    """HTTP with one repository in one registry. Thread-safe.

    Args:
        look_up: returns the stored login for the registry's name.
        pause: sleeps a number of seconds between two attempts.
        pool: connections to share; None for a new pool.
    """

    def __init__(
        self,
        repository: Repository,
        look_up: Callable[[str], Login | None],
        pause: Callable[[float], None],
        pool: ConnectionPool | None = None,
    ) -> None:
        self.repository = repository
        self.pool = pool or ConnectionPool(RateLimiter())
        self._owns_pool = pool is None
        self._session = self.pool.session
        self._authorization = Authorization(
            repository,
            self._session,
            lambda: look_up(repository.registry),
            takes_variables=look_up is not stored_login,
        )
        self._pause = pause

    def close(self) -> None:
        """Close the pool unless it is shared."""
        if self._owns_pool:
            self.pool.end()

    def scopes(self, actions: str) -> tuple[str, ...]:
        """The token scopes for `actions` ("pull", "pull,push") on the repository."""
        return (f"repository:{self.repository.path}:{actions}",)

    def url(self, path: str) -> str:
        """URL of `path` ("manifests/latest") in the registry's API."""
        return f"{self.repository.url}/{path}"

    def read(
        self,
        method: str,
        url: str,
        doing: str,
        *,
        headers: Mapping[str, str] | None = None,
        actions: str = "pull",
        stream: bool = False,
    ) -> requests.Response | None:
        """Send a read request. Returns None for a 404 of the server asked, not of a redirect's target.

        Args:
            doing: the operation, for error messages: "reading team/app:1.0".
            actions: the actions that the token must allow.
        """

        def send() -> requests.Response | None:
            response = self._exchange(
                method,
                url,
                doing,
                headers=headers or {},
                scopes=self.scopes(actions),
                timeout=READ_TIMEOUT,
                stream=stream,
            )
            if response.status_code == 404 and same_origin(response.url, url):
                response.close()
                return None
            if response.status_code >= 300:  # including a redirect without a Location
                raise self.error(response, doing)
            return response

        return attempt(send, lambda: self._retrying(is_transient))

    def write(
        self,
        method: str,
        url: str,
        doing: str,
        *,
        data: bytes | Body | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        scopes: tuple[str, ...] | None = None,
        tolerated: tuple[int, ...] = (),
        repeatable: bool = True,
    ) -> requests.Response:
        """Send a write request. A `tolerated` status is not an error; a redirect always is.

        Args:
            repeatable: whether a repetition is safe: true for content addressed by digest, not for a tag or a
                part of an upload.
        """

        def send() -> requests.Response:
            response = self._exchange(
                method,
                url,
                doing,
                headers={**({"Content-Length": "0"} if data is None else {}), **(headers or {})},
                scopes=scopes or self.scopes("pull,push"),
                timeout=_WRITE_TIMEOUT,
                data=data,
                params=params,
            )
            if response.status_code >= 300 and response.status_code not in tolerated:
                raise self.error(response, doing)
            return response

        return attempt(send, lambda: self._retrying(_is_transient_and_fast)) if repeatable else send()

    def is_own(self, response: requests.Response) -> bool:
        """Whether the registry itself sent this response, not the target of a redirect."""
        return same_origin(response.url, self.repository.url)

    def location(self, response: requests.Response) -> str:
        """The URL for the next request of an upload.

        Raises:
            PermanentError: the response has none, or one without https that is not on the registry's own
                machine.
        """
        location = response.headers.get("Location")
        if not location:
            raise PermanentError(f"{self.repository.registry} started an upload without a Location header")
        try:
            url = urljoin(response.url, location)
        except ValueError:
            url = ""
        if (target := origin(url)) is None:
            raise PermanentError(f"{self.repository.registry} started an upload at an invalid URL")
        parts = urlsplit(url)
        if parts.netloc.lower() == self.repository.host.lower():
            # Behind a proxy that terminates TLS, a registry may name itself with http.
            return urlunsplit(parts._replace(scheme=urlsplit(self.repository.url).scheme))
        if target.scheme != "https" and not (self.repository.loopback and is_loopback(target.host)):
            raise PermanentError(
                f"{self.repository.registry} redirects an upload to {target}, which does not use https",
                hint="the administrator of the registry must configure its own URL",
            )
        return url

    def error(self, response: requests.Response, doing: str) -> ProviderError:
        """The error for a refusing response."""
        with response:
            if (server := error_mapping.other_server(response.url, self.repository)) is not None:
                return error_mapping.from_other_server(response, self.repository, doing, server)
            return self._authorization.refusal(response, doing)

    def wait_after(self, error: TransientError, attempt: int) -> None:
        """Wait after the failure of attempt number `attempt`, counted from 1."""
        self._pause(delay(error, attempt))

    def _retrying(self, may_retry: Callable[[BaseException], bool]) -> "tenacity.Retrying":
        return retrying(sleep=self._pause, before_sleep=self._announce, may_retry=may_retry)

    def _announce(self, state: "tenacity.RetryCallState") -> None:
        """Announce a repetition after a timeout."""
        error = problem_of(state)
        cause = error.__cause__ if error else None
        if isinstance(cause, requests.Timeout) and cause.request is not None:
            connecting = isinstance(cause, requests.ConnectTimeout)
            seconds = CONNECT_TIMEOUT if connecting else answer_timeout(READ_TIMEOUT)
            self.pool.announce(Repeat(server_of(cause.request), seconds, state.attempt_number + 1, ATTEMPTS))

    def _exchange(
        self,
        method: str,
        url: str,
        doing: str,
        *,
        headers: Mapping[str, str],
        scopes: tuple[str, ...],
        timeout: float,
        data: bytes | Body | None = None,
        params: Mapping[str, str] | None = None,
        stream: bool = False,
    ) -> requests.Response:
        """Sends one request and answers a challenge once."""
        timeouts = CONNECT_TIMEOUT, answer_timeout(timeout)

        def send(header: str | None) -> requests.Response:
            authorize = fixed_header(header, self.repository.url)

            def of_operation(request: requests.PreparedRequest) -> requests.PreparedRequest:
                setattr(request, _OPERATION, (self.repository.host, f"{method} {doing}"))
                return authorize(request)

            try:
                return self._session.request(
                    method,
                    url,
                    headers=headers,
                    auth=of_operation,
                    data=data,
                    params=params,
                    timeout=timeouts,
                    stream=stream,
                )
            except (requests.RequestException, ValueError) as error:
                writing = method not in ("GET", "HEAD")
                raise error_mapping.from_exception(error, self.repository, doing, writing=writing) from error

        first = self._authorization.header(scopes)
        response = send(first)
        challenge = None
        if response.status_code == 401 and self.is_own(response):
            challenge = response.headers.get("WWW-Authenticate", "")
        elif response.status_code == 404 and self.is_own(response) and first is None:
            challenge = self._authorization.challenge_of_registry()
        if challenge is not None:
            header = self._authorization.answer_challenge(challenge, scopes)
            if header:
                response.close()
                response = send(header)
        return response


def _is_transient_and_fast(error: BaseException) -> bool:
    """Like `is_transient`, but not after a timeout of minutes, which must not add up."""
    return is_transient(error) and not isinstance(error.__cause__, requests.Timeout)
