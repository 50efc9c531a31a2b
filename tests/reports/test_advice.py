"""The advice after a failed run: to run it again only if that may help without a change."""

import ast
import io
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace

import providers.errors
import state.errors
from providers.errors import ProviderError, SettingError
from reconciler.core.events import Outcome, Status
from reconciler.core.runs import RunResult
from reconciler.engine.apply import ApplyResult
from reconciler.engine.problems import diagnostics_of, provider_diagnostic
from reconciler.engine.run_results import failed_run
from reconciler.views.terminal.console import console
from reconciler.views.terminal.messages import print_applied
from reconciler.views.terminal.recap import print_recap
from tests.fleet import runs

AGAIN = "Run the same command again"
FIRST = "first: the same command then"
LASTING = {
    "GoneError": True,
    "PermanentError": True,
    "UnauthorizedError": True,
    "ForbiddenError": True,
    "ExistsError": True,
    "RefusedError": True,
    "SettingError": True,
    "ProviderError": False,
    "TransientError": False,
    "UnexpectedError": False,
}


def classes(base: type) -> Iterator[type]:
    yield base
    for child in base.__subclasses__():
        yield from classes(child)


OF_PROVIDERS = {
    kind.__name__: kind for kind in classes(ProviderError) if kind.__module__ == "providers.errors"
}


def made(name: str) -> ProviderError:
    kind = OF_PROVIDERS[name]
    return SettingError("no", setting="x") if kind is SettingError else kind("no")


def test_each_family_of_errors_is_lasting_or_not() -> None:
    assert {name: kind.is_lasting for name, kind in OF_PROVIDERS.items()} == LASTING


def advice_of_one(*problems: ProviderError) -> str:
    """The last line of a run of one pipeline whose steps failed with these errors."""
    step = runs.plan_of(1).steps[0]
    outcomes = tuple(Outcome(step, Status.FAILED, problem) for problem in problems)
    result = SimpleNamespace(
        succeeded=False, of=lambda status: [one for one in outcomes if one.status is status]
    )
    err = io.StringIO()
    print_applied(cast(ApplyResult, SimpleNamespace(result=result)), console(err), console(err))
    return err.getvalue()


def advice_of_many(*changed: Any) -> str:
    """The end of a run of several pipelines."""
    err = io.StringIO()
    print_recap(replace(runs.report(), runs=changed), console(err), console(err))
    return err.getvalue().splitlines()[-1]


def failing(problem: ProviderError) -> Any:
    run = runs.run_of(1)
    outcomes = (replace(run.outcomes[0], status=Status.FAILED, error=problem), *run.outcomes[1:])
    return replace(run, result=RunResult.FAILED, exit_code=1, outcomes=outcomes)


@pytest.mark.parametrize("name", LASTING)
def test_a_lasting_error_never_advises_to_run_again(name: str) -> None:
    problem = made(name)
    unread = replace(
        runs.bad_file(), diagnostics=(provider_diagnostic(problem, "could not sign in"),), exit_code=1
    )
    said = [advice_of_one(problem), advice_of_many(failing(problem)), advice_of_many(unread)]
    assert [AGAIN in text for text in said] == [not LASTING[name]] * 3
    assert [FIRST in text for text in said] == [LASTING[name]] * 3


def test_one_lasting_error_among_others_decides() -> None:
    transient, refused = made("TransientError"), made("RefusedError")
    assert FIRST in advice_of_one(transient, refused)
    assert FIRST in advice_of_many(failing(transient), failing(refused))
    assert FIRST in advice_of_many(runs.bad_file())
    assert FIRST in advice_of_many(runs.run_of(runs.CONFLICTING), failing(transient))
    interrupted = replace(runs.run_of(1), result=RunResult.INTERRUPTED)
    assert AGAIN in advice_of_many(interrupted, failing(transient))


def test_a_locked_or_unreachable_state_may_pass() -> None:
    passing = state.errors.StoreUnavailableError("the bucket cannot be reached")
    lasting = state.errors.NewerFormatError("a newer reconciler wrote it")
    assert [one.may_pass for problem in (passing, lasting) for one in diagnostics_of(problem)] == [
        True,
        False,
    ]
    assert AGAIN in advice_of_many(failed_run(passing, "x"))
    assert FIRST in advice_of_many(failed_run(lasting, "x"))


WORDS = ("run the same command again", "run it again", "run again", "try again")
MAY_PASS = {"StaleStateError", "RegisterConflictError", "StoreUnavailableError", "LostWorkersError"}


def advising(file: Path) -> Iterator[tuple[str, ast.Call]]:
    """The calls in a file that make an error with this advice, with the name of the error."""
    tree = ast.parse(file.read_text())
    assigned = [
        (node.lineno, target.id, ast.unparse(node.value))
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]

    def value(text: str, line: int) -> str:
        """What a variable had in this line, from the last assignment above it."""
        before = [(at, value) for at, name, value in assigned if name == text and at <= line]
        return max(before)[1] if before else text

    for node in ast.walk(tree):
        name = ast.unparse(node.func).rpartition(".")[2] if isinstance(node, ast.Call) else ""
        if isinstance(node, ast.Call) and (name == "error" or name.endswith("Error")):
            parts = [*node.args, *(keyword.value for keyword in node.keywords)]
            texts = [ast.unparse(part) for part in parts if not isinstance(part, ast.Call)]
            text = " ".join(value(text, node.lineno) for text in texts).lower()
            if any(word in text and f"{word} when" not in text for word in WORDS):
                yield name, node


def test_no_lasting_error_is_written_with_this_advice() -> None:
    root = Path(providers.errors.__file__).parents[1]
    found = [
        (file.relative_to(root).as_posix(), name, node)
        for room in ("providers", "reconciler", "state")
        for file in sorted((root / room).rglob("*.py"))
        for name, node in advising(file)
    ]
    assert len(found) > 8
    for place, name, node in found:
        if name == "error":
            assert any(keyword.arg == "may_pass" for keyword in node.keywords), place
        elif name in OF_PROVIDERS:
            assert not OF_PROVIDERS[name].is_lasting, (place, name)
        else:
            assert name in MAY_PASS, (place, name)
