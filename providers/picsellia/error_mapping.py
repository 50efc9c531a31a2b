"""What the platform's refusals and broken connections mean, as the error families of `providers.errors`.

One place for reads and for writes. Works on answers only: sends nothing, and no message holds the token.
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
from providers.http import RedirectError
from providers.picsellia.transport import RedirectedError, RefusedAnswerError, UnreachableError
from providers.rate_limit import RETRY_HINT
from providers.text import without_secrets

LONGEST_TEXT = 500  # characters of the platform's own words; a gateway's error may be a whole page


@dataclass(frozen=True, slots=True)
class ErrorMapper:
    """Names what went wrong between us and one platform.

    Attributes:
        host: address of the platform.
        token: taken out of everything that is said, should the platform repeat it.
    """

    host: str
    token: str = field(repr=False)

    def of(self, problem: Exception, *, writing: bool = False) -> ProviderError:
        """The family of an answer that is a refusal, of none at all, or of one that cannot be read.

        Args:
            writing: whether the request was a write, so that its outcome is now unknown.
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
                    hint=f"is {self.host} right, and up?",
                    outcome_unknown=writing and problem.sent,
                )
            case RedirectError():
                return PermanentError(
                    f"{server} is not followed: {self._words(problem)}", hint=f"is {self.host} right?"
                )
            case requests.Timeout():
                return TransientError(f"{server} did not answer in time", outcome_unknown=writing)
            case requests.RequestException() if not isinstance(problem, ValueError):  # no odd address or JSON
                return TransientError(
                    f"{server} cannot be reached: {self._words(problem)}", outcome_unknown=writing
                )
        why = f": {problem}" if isinstance(problem, MalformedAnswerError) else ""
        return UnexpectedError(
            f"{server} answered something that is not what a Picsellia platform answers{why}",
            hint=f"is {self.host} the address of the platform?",
            outcome_unknown=writing,
        )

    def _of_status(self, answer: RefusedAnswerError, *, writing: bool) -> ProviderError:
        """Statuses as in the SDK's connection.py."""
        server, status, text = (
            self.host.partition("://")[2],
            answer.status,
            self._words(_message(answer.content)),
        )
        match status:
            case 401:
                return UnauthorizedError(
                    f"{self.host} does not know this API token",
                    hint="set PICSELLIA_TOKEN, or log in again: reconciler login",
                )
            case 403:
                return ForbiddenError(
                    f"{server} does not allow it: {text}", hint="this token may be read-only, or lack a role"
                )
            case 404:
                return GoneError(text or "not found")
            case 409:
                return ExistsError(text)
            case 400 | 402 | 413 | 422:
                return RefusedError(f"{server} refused it: {text}")
            case 423:
                return TransientError(f"locked on the platform: {text}")
            case 429:
                return TransientError(
                    f"{server} says too many requests",
                    hint=RETRY_HINT if answer.waits is False else "",
                    retry_after=answer.retry_after,
                    waits=answer.waits,
                )
            case 500:
                return UnexpectedError(
                    f"{server} failed inside (500): {text}",
                    hint="run the same command again; if it stays, ask Picsellia's support",
                    outcome_unknown=writing,
                )
            case 502 | 503 | 504:
                return TransientError(
                    f"{server} is unavailable ({status})",
                    outcome_unknown=writing,
                    retry_after=answer.retry_after,
                    waits=answer.waits,
                )
        return UnexpectedError(f"{server} answered {status}: {text}", outcome_unknown=writing)

    @property
    def _server(self) -> str:
        return self.host.partition("://")[2]

    def _words(self, said: object) -> str:
        """What was said, in one line, not too long."""
        text = " ".join(without_secrets(str(said), [self.token]).split())
        return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "…"


def _message(content: bytes) -> str:
    """The platform's own words: `message` and `detail` as the SDK reads them, else all that it answered."""
    try:
        answer = json_value(content)
    except MalformedAnswerError:
        answer = None
    if not isinstance(answer, dict) or "message" not in answer:
        return content.decode(errors="replace")
    message, detail = answer["message"], answer.get("detail") or []
    details = [str(part) for part in (detail if isinstance(detail, list) else [detail])]
    return f"{message}: {'; '.join(details)}" if details else str(message)
