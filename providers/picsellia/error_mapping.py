"""Maps the platform's refusals and broken connections to the error families of `providers.errors`.

Used for reads and writes. Sends nothing; no message contains the token.
"""

from dataclasses import dataclass, field

import requests

from providers.answers import MalformedAnswerError, json_value
from providers.errors import (
    ExistsError,
    ForbiddenError,
    GoneError,
    PermanentError,
    ProviderError,
    RefusedError,
    TransientError,
    UnauthorizedError,
    UnexpectedError,
)
from providers.hiding import shortened
from providers.http import RedirectError, origin, same_origin
from providers.picsellia.transport import RedirectedError, RefusedAnswerError, UnreachableError
from providers.rate_limit import RETRY_HINT
from providers.text import without_secrets

LONGEST_TEXT = 500  # characters of the platform's message; a gateway's error may be a whole page


@dataclass(frozen=True, slots=True)
class ErrorMapper:
    """Makes the provider errors for one platform.

    Attributes:
        host: address of the platform.
        token: removed from every message, in case the platform repeats it.
        token_from: the variable or file that the token comes from; "" if it is unknown.
        renewal: how to replace it.
    """

    host: str
    token: str = field(repr=False)
    token_from: str = ""
    renewal: str = ""

    def of(self, problem: Exception, *, writing: bool = False) -> ProviderError:
        """The provider error for a refusal, a missing response or an unreadable one.

        Args:
            writing: whether the request was a write, whose outcome is then unknown.
        """
        server = self._server
        match problem:
            case RefusedAnswerError():
                return self._of_status(problem, writing=writing)
            case RedirectedError():
                return PermanentError(
                    f"{server} has moved: {self._words(problem)}",
                    hint="use that address; a write cannot be redirected",
                )
            case UnreachableError():
                return TransientError(
                    f"{server} cannot be reached: {self._words(problem)}",
                    hint=f"check that {self.host} is the right address, and reachable",
                    outcome_unknown=writing and problem.sent,
                )
            case RedirectError():
                return PermanentError(
                    f"a redirect from {server} was not followed: {self._words(problem)}",
                    hint=f"check the address {self.host}",
                )
            case requests.Timeout():
                return TransientError(f"{server} did not respond in time", outcome_unknown=writing)
            # An invalid URL or JSON is below.
            case requests.RequestException() if not isinstance(problem, ValueError):
                return TransientError(
                    f"{server} cannot be reached: {self._words(problem)}", outcome_unknown=writing
                )
        why = f": {problem}" if isinstance(problem, MalformedAnswerError) else ""
        return UnexpectedError(
            f"{server} returned a response that is not from a Picsellia platform{why}",
            hint=f"check that {self.host} is the address of the platform",
            outcome_unknown=writing,
        )

    def _of_status(self, answer: RefusedAnswerError, *, writing: bool) -> ProviderError:
        """Statuses as in the SDK's connection.py."""
        server, status, text = (
            self.host.partition("://")[2],
            answer.status,
            self._words(_message(answer.content)),
        )
        said = f": {text}" if text else ""
        if not same_origin(answer.url, self.host) and status not in (429, 502, 503, 504):
            # It gets no token, and cannot say for the platform that something is missing.
            return PermanentError(
                f"{server} redirects to {origin(answer.url)}, which returned {status}{said}",
                hint="use that address if the platform has moved",
            )
        match status:
            case 401:
                return UnauthorizedError(
                    f"{self.host} does not accept this API token{self._origin}", hint=self.renewal
                )
            case 403:
                return ForbiddenError(
                    f"{server} does not allow it: {text}",
                    hint=f"this token{self._origin} may be read-only, or lack a role",
                )
            case 404:
                return GoneError(text or "not found")
            case 409:
                return ExistsError(text or "it already exists")
            case 400 | 402 | 413 | 422:
                return RefusedError(f"{server} refused it: {text}")
            case 423:
                return TransientError(f"locked on the platform: {text}")
            case 429:
                return TransientError(
                    f"{server} returned 429 (too many requests)",
                    hint=RETRY_HINT if answer.waits is False else "",
                    retry_after=answer.retry_after,
                    waits=answer.waits,
                )
            case 500:
                return UnexpectedError(
                    f"{server} failed with 500: {text}",
                    hint="run the same command again; if it fails again, contact Picsellia's support",
                    outcome_unknown=writing,
                )
            case 502 | 503 | 504:
                return TransientError(
                    f"{server} is unavailable ({status})",
                    outcome_unknown=writing,
                    retry_after=answer.retry_after,
                    waits=answer.waits,
                )
        return UnexpectedError(f"{server} returned {status}{said}", outcome_unknown=writing)

    @property
    def _origin(self) -> str:
        return f" (from {self.token_from})" if self.token_from else ""

    @property
    def _server(self) -> str:
        return self.host.partition("://")[2]

    def _words(self, message: object) -> str:
        """The message on one line, shortened, without the token."""
        return shortened(" ".join(without_secrets(str(message), [self.token]).split()), LONGEST_TEXT)


def _message(content: bytes) -> str:
    """The message of a response: `message` and `detail`, as the SDK reads them, or else the whole body."""
    try:
        answer = json_value(content)
    except MalformedAnswerError:
        answer = None
    if not isinstance(answer, dict) or "message" not in answer:
        return content.decode(errors="replace")
    message, detail = answer["message"], answer.get("detail") or []
    details = [str(part) for part in (detail if isinstance(detail, list) else [detail])]
    return f"{message}: {'; '.join(details)}" if details else str(message)
