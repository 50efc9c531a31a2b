"""The reason of an error, where only one line of it fits."""

from itertools import permutations

import pytest

from reconciler.core.diagnostics import Diagnostic, UserError, error, info, warning

OTHERS = (info("its class is read without the engine"), warning("a field cannot be read"))


@pytest.mark.parametrize("order", list(permutations((*OTHERS, error("the folder cannot be read")))))
def test_the_reason_is_an_error_wherever_it_comes(order: tuple[Diagnostic, ...]) -> None:
    assert UserError(*order).reason == "the folder cannot be read"
