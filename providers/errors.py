"""The error families that a provider raises, named by what the engine should do about them.

A provider never knows an address, a plan or a state: it says what the far end answered, and the engine
adds the verb, the address and the id once.

    ProviderError
    ├── TransientError          try again later (unreachable, rate-limited, locked, 502/503/504)
    ├── GoneError               the object is not there (404)
    └── FinalError              trying again changes nothing
        ├── UnauthorizedError   the credentials are not known (401)
        ├── ForbiddenError      the credentials do not allow it (403)
        ├── ExistsError         an object of that name exists already (409)
        ├── RefusedError        understood, and refused (400, 413, 422, a broken build, …)
        │   └── SettingError    a setting of the files cannot be honoured
        └── UnexpectedError     an answer that no such server gives (500, 412, an odd 200)

No message ever holds a token or a password.
"""

from providers.reasons import WayOut


class ProviderError(Exception):
    """What a far end answered, in one sentence, with what to do about it.

    Args:
        message: what happened and why, without a final stop.
        hint: what to run or to change next; empty when there is nothing to say.
        way_out: the same as a value, where a refusal of a plan ends in the same way.
        outcome_unknown: True when a write may have been carried out although no answer came back.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        way_out: WayOut | None = None,
        outcome_unknown: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.way_out = way_out
        self.outcome_unknown = outcome_unknown


class TransientError(ProviderError):
    """The far end could not answer now; the same request may succeed later.

    Args:
        retry_after: seconds to wait before the next try, as the server requested; None without a request.
        waits: True where the run's `RateLimiter` delays the next try; False where the tries or the
            time are used up; None where the caller decides.
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
    """The object that was asked for does not exist."""


class PermanentError(ProviderError):
    """Trying again changes nothing."""


class UnauthorizedError(PermanentError):
    """The far end does not know these credentials."""


class ForbiddenError(PermanentError):
    """The credentials are known, and do not allow this."""


class ExistsError(PermanentError):
    """An object of that name exists already."""


class RefusedError(PermanentError):
    """The far end understood the request and refused it."""


class SettingError(RefusedError):
    """A setting of the image cannot be honoured.

    Args:
        setting: its name in the settings, "cache_to".
    """

    def __init__(self, message: str, *, setting: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.setting = setting


class UnexpectedError(PermanentError):
    """The server answered what no such server should: nothing is known of what was requested."""
