"""Everything that a worker returns can be pickled, and arrives as it was."""

import importlib
import inspect
import pickle
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest

import providers
import reconciler
import state
from providers.docker.source.secret_scan import Secret
from providers.errors import ProviderError, RefusedError
from providers.protocol import LiveObject
from providers.reasons import WayOut
from reconciler.core.diagnostics import Diagnostic, UserError, error
from reconciler.core.events import Outcome, PipelineEvent, Status, StepFinished
from reconciler.core.plan import Action, Step
from reconciler.core.runs import RunReport
from reconciler.core.values import Address
from state.errors import StateError
from state.lock_info import LockInfo
from tests.reports.conftest import CHANGED_OUTSIDE, everything
from tests.reports.runs import pipeline, report


def error_types() -> Iterator[type[Exception]]:
    """The types of all errors of users, providers and state."""
    for package in (reconciler, providers, state):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)

    def below(base: type[Exception]) -> Iterator[type[Exception]]:
        yield base
        for kind in base.__subclasses__():
            yield from below(kind)

    for base in (UserError, StateError, ProviderError):
        yield from below(base)


VALUES: dict[object, Any] = {
    str: "a text",
    bool: True,
    int: 3,
    float: 0.5,
    Secret: Secret(".env", "a token", 3, "env.TOKEN"),
    LockInfo: LockInfo("me", "here", 7, "reconciler apply", "2025-03-01T12:00:00+00:00", "id"),
    WayOut: WayOut("wait", "reconciler plan"),
    RunReport: report(pipeline("one")),
    Diagnostic: error("broken", "mend it", file=Path("config.toml"), line=3),
}


def value_of(annotation: object) -> Any:
    if annotation in VALUES:
        return VALUES[annotation]
    inner = get_args(annotation)
    if get_origin(annotation) is UnionType or type(None) in inner:
        return value_of(next(kind for kind in inner if kind is not type(None)))
    return [value_of(inner[0])]


@pytest.mark.parametrize("kind", sorted(set(error_types()), key=lambda kind: kind.__qualname__))
def test_an_error(kind: type[Exception]) -> None:
    hints = get_type_hints(kind.__init__, vars(importlib.import_module("state.lock_info")))
    positional, named = [], {}
    for name, parameter in inspect.signature(kind).parameters.items():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            named[name] = value_of(hints[name])
        else:
            positional.append(value_of(hints[name]))
    problem = kind(*positional, **named)

    again = pickle.loads(pickle.dumps(problem))

    assert (type(again), again.args, str(again)) == (kind, problem.args, str(problem))
    assert vars(again) == vars(problem)


def test_the_outcome_of_a_step() -> None:
    step = Step(Address.of("input", "app", "data"), Action.CREATE, CHANGED_OUTSIDE)
    live = LiveObject("id", ("app", "data"), {"name": "data"})
    for outcome in (
        Outcome(step, Status.DONE, live=live, seconds=0.5),
        Outcome(step, Status.BLOCKED, blocked_by=Address.of("processing", "app")),
    ):
        event = PipelineEvent("app", StepFinished(outcome))
        assert pickle.loads(pickle.dumps(event)) == event

    failed = pickle.loads(pickle.dumps(Outcome(step, Status.FAILED, RefusedError("no", hint="yes"))))
    assert (str(failed.error), failed.error.hint) == ("no", "yes")


def test_a_report_with_everything_and_its_plans() -> None:
    report = everything()
    assert pickle.loads(pickle.dumps(report)) == report
