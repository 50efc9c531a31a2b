"""The retry policy of provider calls: which errors, how many attempts, and the delay between two of them.

Used by the engine for the calls of a step, and by the registry client for its requests.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, TypeVar

from providers.errors import TransientError

if TYPE_CHECKING:
    from tenacity import RetryCallState, Retrying

T = TypeVar("T")

ATTEMPTS = 4
"""Maximum number of attempts, except while the rate limiter waits for a server."""
FIRST_DELAY = 0.5  # seconds; doubles with each attempt
LONGEST_DELAY = 30.0  # seconds; also the limit for a Retry-After


def is_transient(problem: BaseException | None) -> bool:
    """Whether a retry may succeed within the permitted wait."""
    return isinstance(problem, TransientError) and problem.waits is not False


def is_rate_limited(problem: BaseException | None) -> bool:
    """Whether the rate limiter delays the next attempt, and decides how often there is one."""
    return isinstance(problem, TransientError) and problem.waits is True


def delay(problem: BaseException | None, attempt: int) -> float:
    """Seconds between the failed attempt number `attempt`, counted from 1, and the next one."""
    pause = problem.retry_after if isinstance(problem, TransientError) else None
    if is_rate_limited(problem):
        return pause or 0.0
    backoff: float = FIRST_DELAY * 2 ** (attempt - 1)
    return min(backoff if pause is None else pause, LONGEST_DELAY)


def problem_of(state: "RetryCallState") -> BaseException | None:
    """The error of the last attempt."""
    return state.outcome.exception() if state.outcome else None


def exhausted(problem: BaseException | None) -> BaseException | None:
    """The error of the last attempt, so that no caller repeats what was repeated already."""
    if isinstance(problem, TransientError):
        problem.waits = False
    return problem


def may_repeat(problem: BaseException, attempt: int) -> bool:
    """Whether another attempt follows the failed one of this number, counted from 1."""
    return attempt < ATTEMPTS and is_transient(problem)


def _raise(problem: BaseException | None) -> NoReturn:
    assert problem is not None
    raise problem


def retrying(
    *,
    sleep: Callable[[float], None],
    before_sleep: "Callable[[RetryCallState], None]",
    may_retry: Callable[[BaseException], bool] = is_transient,
) -> "Retrying":
    """Calls a function until it succeeds, or until a retry is not permitted. Raises its last error.

    Args:
        sleep: waits a number of seconds.
        before_sleep: announces the next attempt.
        may_retry: whether a retry after this error is permitted.
    """
    from tenacity import Retrying, retry_if_exception  # almost nothing fails, and it imports asyncio

    return Retrying(
        retry=retry_if_exception(may_retry),
        wait=lambda state: delay(problem_of(state), state.attempt_number),
        stop=lambda state: not is_rate_limited(problem_of(state)) and state.attempt_number >= ATTEMPTS,
        before_sleep=before_sleep,
        sleep=sleep,
        retry_error_callback=lambda state: _raise(exhausted(problem_of(state))),
    )


def attempt(call: Callable[[], T], retrying: "Callable[[], Retrying]") -> T:
    """Call a function, and again as often as the policy permits. Raises its last error.

    The first attempt goes without the policy, which takes longer than a query of the state: almost all calls
    succeed.

    Args:
        retrying: makes the policy, after a failure only; that failure is its first attempt.
    """
    try:
        return call()
    except Exception as problem:  # noqa: BLE001 - the policy decides
        failed: Exception | None = problem

    def again() -> T:
        nonlocal failed
        if failed is not None:
            first, failed = failed, None
            raise first
        return call()

    return retrying()(again)
