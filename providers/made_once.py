"""A cache for what must exist once, such as a type that is compared by identity."""

from collections.abc import Callable
from functools import wraps
from typing import TypeVar, TypeVarTuple

_Arguments = TypeVarTuple("_Arguments")
_Made = TypeVar("_Made")


def made_once(make: Callable[[*_Arguments], _Made]) -> Callable[[*_Arguments], _Made]:
    """Give every caller the same object for the same arguments, and keep it until the process ends.

    `functools.cache` gives each its own to threads that ask first at the same time. Here `make` may also run
    for each of them, and all get what the first one made. Arguments are of built-in types, so that looking
    them up runs no Python.
    """
    kept: dict[tuple[*_Arguments], _Made] = {}

    @wraps(make)
    def made(*arguments: *_Arguments) -> _Made:
        if arguments in kept:
            return kept[arguments]
        return kept.setdefault(arguments, make(*arguments))

    return made
