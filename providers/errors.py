"""The errors that providers raise, named by how the engine should react.

Providers have no addresses, plans or state: an error contains the provider's response, and the engine adds
verb, address and id once.

    ProviderError
    ├── TransientError          retry later (unreachable, rate-limited, locked, 502/503/504)
    ├── GoneError               the object does not exist (404)
    └── PermanentError          a retry cannot succeed
        ├── UnauthorizedError   the credentials are unknown (401)
        ├── ForbiddenError      the credentials lack permission (403)
        ├── ExistsError         an object of that name already exists (409)
        ├── RefusedError        understood and refused (400, 413, 422, a failed build, …)
        │   └── SettingError    a setting in the files cannot be used
        └── UnexpectedError     a response that violates the protocol (500, 412, a malformed 200)

No message contains a token or a password.
"""

from providers.hiding import safe_message
from providers.reasons import WayOut


class ProviderError(Exception):
    """A failed request, described in one sentence, and its fix.

    Args:
        message: the problem and its cause, without a final full stop.
        hint: the next command or change; empty if there is none.
        way_out: the same as a value, for the refusals of plans.
        outcome_unknown: True if a write may have succeeded although no response arrived.
    """

    is_lasting = False
    """Whether the same request fails again until the user changes something."""

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        way_out: WayOut | None = None,
        outcome_unknown: bool = False,
    ) -> None:
        message = safe_message(message)  # it may quote an address or a response
        super().__init__(message)
        self.message = message
        self.hint = safe_message(hint)
        self.way_out = way_out
        self.outcome_unknown = outcome_unknown

    def __reduce__(self) -> tuple[object, ...]:
        # Workers send errors to the reporting process; `args` differ from the constructors' parameters.
        return _rebuilt, (type(self), self.args), self.__dict__


def _rebuilt(kind: type[ProviderError], args: tuple[object, ...]) -> ProviderError:
    problem = kind.__new__(kind)
    problem.args = args
    return problem


class TransientError(ProviderError):
    """The provider is unavailable for now; the same request may succeed later.

    Args:
        retry_after: seconds to wait before the next attempt, from the server; None without a value.
        waits: True if the run's `RateLimiter` delays the next attempt; False if attempts or time are used up;
            None if the caller decides.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        outcome_unknown: bool = False,
        retry_after: float | None = None,
        waits: bool | None = None,
    ) -> None:
        super().__init__(message, hint=hint, outcome_unknown=outcome_unknown)
        self.retry_after = retry_after
        self.waits = waits


class GoneError(ProviderError):
    """The requested object does not exist."""

    is_lasting = True


class PermanentError(ProviderError):
    """A retry cannot succeed."""

    is_lasting = True


class UnauthorizedError(PermanentError):
    """The provider rejects the credentials as unknown."""


class ForbiddenError(PermanentError):
    """The credentials are valid but lack permission."""


class ExistsError(PermanentError):
    """An object of that name already exists."""


class RefusedError(PermanentError):
    """The provider understood the request and refused it."""


class SettingError(RefusedError):
    """A setting of the image is not supported, or names something that is not there.

    Args:
        setting: its name in the settings, "cache_to".
    """

    def __init__(self, message: str, *, setting: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.setting = setting


class UnexpectedError(PermanentError):
    """The response violates the protocol, so the result of the request is unknown."""

    is_lasting = False
