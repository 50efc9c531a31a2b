"""A wrong argument of a public method is named at the call, before anything is read or sent."""

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest

from reconciler.api import Environment, Pipelines, Plans, Workspace
from reconciler.api.arguments import _KINDS
from reconciler.api.settings import bump_of

METHODS: list[Callable[..., Any]] = [
    Workspace.open.__func__,  # type: ignore[attr-defined]
    Workspace.environment,
    Workspace.select,
    *(getattr(Pipelines, name) for name in ("plan", "deploy", "promote", "rollback", "destroy")),
    *(getattr(Pipelines, name) for name in ("drift", "status", "bump", "validate", "summaries")),
    Plans.apply,
]
ELSEWHERE = {"kind"}  # it is parsed, which raises the same errors
ARGUMENTS = [
    (method, name)
    for method in METHODS
    for name, parameter in inspect.signature(method).parameters.items()
    if name not in ("self", "cls", *ELSEWHERE) and parameter.kind is not parameter.VAR_KEYWORD
]


@pytest.mark.parametrize(("method", "name"), ARGUMENTS, ids=lambda one: getattr(one, "__name__", one))
@pytest.mark.parametrize("value", [object(), b"text", {1: 2}, [-1]], ids=["object", "bytes", "table", "list"])
def test_an_argument_of_a_wrong_type_is_named(method: Callable[..., Any], name: str, value: object) -> None:
    assert name in _KINDS
    parameters = inspect.signature(method).parameters
    required = {
        one: Environment()
        for one, parameter in parameters.items()
        if parameter.default is parameter.empty and one in ("environment", "source", "target")
    }
    kind = {"kind": "patch"} if "kind" in parameters else {}
    with pytest.raises(TypeError, match=f"^{name} must be "):
        if name == "names":
            method(object(), value)
        else:
            method(object(), **{**required, **kind, name: value})


@pytest.mark.parametrize("name", ["jobs", "builds", "parallel", "lock_timeout"])
@pytest.mark.parametrize("value", [-5, float("nan"), float("inf")])
def test_a_number_out_of_range_is_named(name: str, value: float) -> None:
    with pytest.raises((ValueError, TypeError), match=f"^{name} must be "):
        Plans.apply(None, **{name: value})  # type: ignore[arg-type]


def test_a_text_is_no_list_of_names() -> None:
    with pytest.raises(TypeError, match=r"^types must be a list of texts, not str: write "):
        Workspace.select(object(), types="TRAINING")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^jobs must be 1 or more, not 0"):
        Plans.apply(None, jobs=0)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"^environment must be an Environment, not NoneType$"):
        Pipelines.plan(None, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [1, None, b"patch", "patches"])
def test_a_bump_that_does_not_exist_is_named(kind: Any) -> None:
    with pytest.raises(ValueError, match=f"^there is no bump {re.escape(repr(kind))}: use patch, "):
        bump_of(kind)
