"""The type of a command's function."""

from collections.abc import Callable

Command = Callable[..., int]
