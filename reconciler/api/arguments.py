"""Checks the arguments of public methods, so that a wrong one is named at the call."""

import inspect
import math
import os
import threading
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, Final, ParamSpec, TypeVar

from reconciler.api.requests import Shard
from reconciler.core.waves import FailureLimit, Waves

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")
_Check = Callable[[Any], bool]


def _is_a(*kinds: type) -> _Check:
    return lambda value: isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))


def _is_list_of(is_right: _Check) -> _Check:
    """Any iterable except text. An iterator is not consumed."""
    return lambda value: (
        isinstance(value, Iterable)
        and not isinstance(value, str | bytes | Mapping)
        and (not isinstance(value, list | tuple | set) or all(map(is_right, value)))
    )


def _is_environment(value: Any) -> bool:
    from reconciler.api.environments import Environment  # late: it reads .env files

    return isinstance(value, Environment)


_FLAG, _TEXT, _PATH = (
    (_is_a(bool), "True or False"),
    (_is_a(str), "text"),
    (_is_a(str, os.PathLike), "a path"),
)
_COUNT, _NUMBER = (_is_a(int), "a whole number"), (_is_a(int, float), "a number")
_TEXTS, _ENVIRONMENT = (_is_list_of(_is_a(str)), "a list of texts"), (_is_environment, "an Environment")


def _is_flag_or_texts(value: Any) -> bool:
    return _FLAG[0](value) or _TEXTS[0](value)


_KINDS: Final[dict[str, tuple[_Check, str]]] = {
    **dict.fromkeys(("environment", "source", "target"), _ENVIRONMENT),
    "environments": (_is_list_of(_is_environment), "a list of Environment"),
    **dict.fromkeys(("names", "groups", "types", "replace", "take"), _TEXTS),
    **dict.fromkeys(("ours", "theirs"), (_is_flag_or_texts, "a list of texts, True or False")),
    **dict.fromkeys(("all", "gpu", "stale", "allow_empty", "strict", "static_only"), _FLAG),
    **dict.fromkeys(("final", "write", "prune", "unmanaged", "offline", "dry_run"), _FLAG),
    **dict.fromkeys(("skip_stale", "skip_moved", "force_bump", "accept_foreign"), _FLAG),
    **dict.fromkeys(("folder", "python", "baseline", "earlier"), _PATH),
    **dict.fromkeys(("jobs", "builds", "parallel"), _COUNT),
    **dict.fromkeys(("class_timeout", "lock_timeout", "rps"), _NUMBER),
    **dict.fromkeys(("changed", "approve"), (_is_a(bool, str), "text, True or False")),
    **dict.fromkeys(("name", "organization", "host", "token", "state", "override"), _TEXT),
    "waves": (_is_a(str, Waves), "text, such as 1,10%,100%"),
    "max_failures": (_is_a(str, int, FailureLimit), "a number or a percentage, such as 5 or 10%"),
    "to": (_is_a(str, int), "a version or a serial"),
    "shard": (_is_a(Shard), "a Shard"),
    "on_event": (callable, "a function"),
    "executor": (lambda value: hasattr(value, "submit"), "an executor"),
    "stop": (_is_a(threading.Event), "a threading.Event"),
}
_LEAST: Final = {"jobs": 1, "builds": 1, "parallel": 1, "class_timeout": 0, "lock_timeout": 0, "rps": 0}


def checked(method: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """The method, with arguments checked by their names, which mean the same everywhere.

    It raises TypeError for one of another type and ValueError for a number out of range. None is accepted
    where it is the default.
    """
    signature = inspect.signature(method)

    @wraps(method)
    def call(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> _Result:
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            parameter = signature.parameters[name]
            if parameter.kind is parameter.VAR_KEYWORD:
                for setting, given in value.items():
                    _check(setting, given)
            elif value is not None or parameter.default is not None:
                _check(name, value)
        return method(*args, **kwargs)

    return call


def _check(name: str, value: Any) -> None:
    is_right, expected = _KINDS.get(name, (None, ""))
    if is_right is not None and not is_right(value):
        advice = f": write [{value!r}]" if isinstance(value, str) and "list" in expected else ""
        raise TypeError(f"{name} must be {expected}, not {type(value).__name__}{advice}")
    least = _LEAST.get(name)
    if least is not None and not (least <= value < math.inf):
        raise ValueError(f"{name} must be {least} or more, not {value}")
