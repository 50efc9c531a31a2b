"""The policy of repeated requests."""

import pytest

from providers.errors import GoneError, ProviderError, TransientError
from providers.retries import ATTEMPTS, may_repeat


@pytest.mark.parametrize("waits", [True, None, False])
@pytest.mark.parametrize("attempt", range(1, ATTEMPTS + 2))
def test_the_question_whether_to_repeat_changes_no_error(attempt: int, waits: bool | None) -> None:
    error = TransientError("unavailable", waits=waits)
    answers = {may_repeat(error, attempt) for _ in range(3)}
    assert answers == {attempt < ATTEMPTS and waits is not False}
    assert error.waits is waits


@pytest.mark.parametrize("error", [GoneError("gone"), ValueError("no answer of a server")])
def test_nothing_else_is_repeated(error: ProviderError | ValueError) -> None:
    assert not may_repeat(error, 1)
