"""HTTP with one registry: who we are, how long it is waited for, what is asked again, what a refusal means.

Below `registry` and `uploads`, which know what to ask. What fails in passing (nobody answers, 5xx, 429) is
asked again a few times, after the pause that the registry names if it names one. 401 is answered once, with
the login or a new token; 403 and every other refusal is an answer, and never asked again.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self
from urllib.parse import urljoin, urlsplit, urlunsplit

import requests
import tenacity

from providers.bodies import read_body
from providers.bounded import BoundedAdapter
from providers.docker.registry import error_mapping
from providers.docker.registry.auth import CONNECT_TIMEOUT, READ_TIMEOUT, Authorization, Login, signed
from providers.docker.registry.reference import Repository, is_loopback
from providers.errors import PermanentError, ProviderError, TransientError
from providers.http import EnvironmentSettings, Session, origin, same_origin
from providers.rate_limit import REFUSAL_STATUSES, RateLimiter, retry_after
from providers.timeouts import answer_timeout
from providers.waits import Repeat

ATTEMPTS = 4
_FIRST_WAIT = 0.5  # seconds before the second attempt; doubles with each
_WRITE_TIMEOUT = 300.0  # seconds; a registry may take minutes to file a large upload away
_THREADS = 32


class Body:
    """A request's body of known size that can be sent again from its start."""

    def __init__(self, size: int, pieces: Callable[[], Iterator[bytes]]) -> None:
        self._size = size
        self._pieces = pieces

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces()


class ConnectionPool(BoundedAdapter):
    """Open connections, and what came over them, that the clients of any number of repositories share.

    Args:
        pace: of everything that the run asks.

    Attributes:
        configurations: of images, by their digest: many pipelines may be of one image.
        settings: environment settings per host, separate for loopback hosts, which bypass proxies.
    """

    def __init__(self, limiter: RateLimiter) -> None:
        super().__init__(limiter.announce, pool_connections=_THREADS, pool_maxsize=_THREADS)
        self.limiter = limiter
        self.configurations: dict[str, bytes] = {}
        self.settings: dict[bool, EnvironmentSettings] = {True: {}, False: {}}

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send it when it is its turn. A refusal has `waits`, as of TransientError."""
        parts = urlsplit(request.url or "")
        server, name = str(parts.netloc), f"{request.method} {parts.path!s}"
        self.limiter.wait(server)
        response = super().send(request, *args, **kwargs)
        if response.status_code in REFUSAL_STATUSES:
            asked = retry_after(response.headers)
            told = response.status_code == 429 or asked is not None
            may = self.limiter.report_refusal(server, name, asked, response.status_code)
            response.waits = (told and may) or (None if may else False)  # type: ignore[attr-defined]
        else:
            self.limiter.report_success(server, name)
        if not kwargs.get("stream") or response.status_code >= 300:
            read_body(response)
        return response

    def close(self) -> None:
        """Nothing: a client that ends leaves the connections to the others."""

    def end(self) -> None:
        """Close the connections."""
        super().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


class Connection:
    """One repository in one registry. Safe for threads.

    Args:
        look_up: finds the stored login for the registry's name.
        pause: how to wait, in seconds, between two attempts.
        wire: shared with others; one of its own when None.
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
        self._own = pool is None
        self._session = Session(self.pool.settings[repository.loopback])
        self._session.trust_env = not repository.loopback  # no proxy leads to this machine
        self._session.mount("https://", self.pool)
        self._session.mount("http://", self.pool)
        self._authorization = Authorization(repository, self._session, lambda: look_up(repository.registry))
        self._pause = pause

    def close(self) -> None:
        """Close the connections that are ours."""
        self._session.close()
        if self._own:
            self.pool.end()

    def scopes(self, actions: str) -> tuple[str, ...]:
        """What a token has to allow: `actions` ("pull", "pull,push") on the repository."""
        return (f"repository:{self.repository.path}:{actions}",)

    def url(self, path: str) -> str:
        """Address of `path` ("manifests/latest") in the registry's API."""
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
        """One read; None for 404.

        Args:
            doing: what is asked for, as it stands in errors: "reading team/app:1.0".
            actions: what a token has to allow.
        """

        def once() -> requests.Response | None:
            response = self._exchange(
                method,
                url,
                doing,
                headers=headers or {},
                scopes=self.scopes(actions),
                timeout=READ_TIMEOUT,
                stream=stream,
            )
            if response.status_code == 404:
                response.close()
                return None
            if response.status_code >= 300:  # a redirect that says nowhere is no answer
                raise self.failure(response, doing)
            return response

        return self._retrying(is_passing)(once)

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
        """One write; an answer of a `tolerated` status is no error. A redirect always is one.

        Args:
            repeatable: a second time changes nothing that the first did not. So it is with what is named by
                its digest; not with a tag, nor with a piece of an upload.
        """

        def once() -> requests.Response:
            response = self._exchange(
                method,
                url,
                doing,
                headers={"Content-Length": "0"} if data is None else (headers or {}),
                scopes=scopes or self.scopes("pull,push"),
                timeout=_WRITE_TIMEOUT,
                data=data,
                params=params,
            )
            if response.status_code >= 300 and response.status_code not in tolerated:
                raise self.failure(response, doing)
            return response

        return self._retrying(_is_quick_and_passing)(once) if repeatable else once()

    def location(self, response: requests.Response) -> str:
        """Where an upload goes on, as the answer says.

        Raises:
            FinalError: it does not say, or not by https and not on this machine as the registry is.
        """
        location = response.headers.get("Location")
        if not location:
            raise PermanentError(
                f"{self.repository.registry} began an upload and did not say where it goes on"
            )
        try:
            address = urljoin(response.url, location)
        except ValueError:
            address = ""
        if (there := origin(address)) is None:
            raise PermanentError(
                f"{self.repository.registry} began an upload at an address that is not usable"
            )
        parts = urlsplit(address)
        if parts.netloc.lower() == self.repository.host.lower():
            # Behind a proxy that ends https for it, a registry may think that it speaks http.
            return urlunsplit(parts._replace(scheme=urlsplit(self.repository.url).scheme))
        if there.scheme != "https" and not (self.repository.loopback and is_loopback(there.host)):
            raise PermanentError(
                f"{self.repository.registry} sends an upload on to {there}: not https",
                hint="the administrator of the registry has to make it name its own address",
            )
        return address

    def failure(self, response: requests.Response, doing: str) -> ProviderError:
        """The error that a refusing answer stands for."""
        with response:
            return error_mapping.from_answer(
                response, self.repository, doing, username=self._authorization.username
            )

    def rest(self, error: TransientError, attempt: int) -> None:
        """Wait after the failure of attempt number `attempt`, counted from 1."""
        self._pause(_seconds(error, attempt))

    def _retrying(self, worth_it: Callable[[BaseException], bool]) -> tenacity.Retrying:
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception(worth_it),
            stop=_is_enough,
            wait=_wait,
            before_sleep=self._announce,
            sleep=self._pause,
            reraise=True,
        )

    def _announce(self, state: tenacity.RetryCallState) -> None:
        """Announce a repetition after an answer that did not come in time."""
        error = state.outcome.exception() if state.outcome else None
        cause = error.__cause__ if error else None
        if isinstance(cause, requests.Timeout) and cause.request is not None:
            connecting = isinstance(cause, requests.ConnectTimeout)
            seconds = CONNECT_TIMEOUT if connecting else answer_timeout(READ_TIMEOUT)
            server = str(urlsplit(cause.request.url or "").netloc)
            self.pool.announce(Repeat(server, seconds, state.attempt_number + 1, ATTEMPTS))

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
        """One request and its answer; a challenge is answered once."""
        ours = same_origin(url, self.repository.url)  # an upload may go on at another host
        patience = CONNECT_TIMEOUT, answer_timeout(timeout)

        def send(header: str | None) -> requests.Response:
            try:
                return self._session.request(
                    method,
                    url,
                    headers=headers,
                    auth=signed(header, self.repository.url),
                    data=data,
                    params=params,
                    timeout=patience,
                    stream=stream,
                )
            except (requests.RequestException, ValueError) as error:
                writing = method not in ("GET", "HEAD")
                raise error_mapping.from_exception(error, self.repository, doing, writing=writing) from error

        response = send(self._authorization.header(scopes))
        if response.status_code == 401 and ours:
            header = self._authorization.answer(response.headers.get("WWW-Authenticate", ""), scopes)
            if header:
                response.close()
                response = send(header)
        return response


def is_passing(error: BaseException) -> bool:
    """Whether it is worth asking again, within the time that somebody would wait for."""
    return isinstance(error, TransientError) and error.waits is not False


def _is_quick_and_passing(error: BaseException) -> bool:
    """As `is_passing`, but not after minutes of silence: those are not waited for again and again."""
    return is_passing(error) and not isinstance(error.__cause__, requests.Timeout)


def _is_enough(state: tenacity.RetryCallState) -> bool:
    """A registry that says how long to wait is waited for as long as the pace allows."""
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, TransientError) and error.waits is not None:
        return not error.waits
    return state.attempt_number >= ATTEMPTS


def _wait(state: tenacity.RetryCallState) -> float:
    return _seconds(state.outcome.exception() if state.outcome else None, state.attempt_number)


def _seconds(error: BaseException | None, attempt: int) -> float:
    """Before the next attempt: what the registry asked for, else 0.5, 1, 2, …"""
    asked = error.retry_after if isinstance(error, TransientError) else None
    return asked if asked is not None else float(_FIRST_WAIT * 2 ** min(attempt - 1, 4))
