"""The options that every command has: how it talks to the user."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import click

_OPTIONS: Final = (
    ("--quiet", "RECONCILER_QUIET", "Print results, warnings and errors, but no progress."),
    ("--verbose", "RECONCILER_VERBOSE", "Also print each request, with its status and time."),
    ("--no-color", "NO_COLOR", "Print without colours."),
    ("--no-input", "RECONCILER_NO_INPUT", "Ask nothing, as without a terminal."),
)
"""Each option with the variable that has the same effect, and its help."""


def with_common(command: click.Command) -> click.Command:
    """The command, with the options that every command has."""
    present = {name for param in command.params for name in param.opts}
    command.params += [_option(*one) for one in _OPTIONS if one[0] not in present]
    return command


def _option(name: str, variable: str, text: str) -> click.Option:
    return click.Option([name], is_flag=True, expose_value=False, callback=_setting(variable), help=text)


def _setting(variable: str) -> Callable[[click.Context, click.Parameter, bool], Any]:
    def callback(ctx: click.Context, _: click.Parameter, is_given: bool) -> None:
        if is_given and not ctx.resilient_parsing:
            ctx.with_resource(_set(variable))

    return callback


@contextmanager
def _set(variable: str) -> Iterator[None]:
    """Set a variable, which worker processes get, too, for as long as the command runs."""
    before = os.environ.get(variable)
    os.environ[variable] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(variable, None)
        else:
            os.environ[variable] = before
