"""The options for reading the classes of a pipeline."""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from reconciler.api.requests import ReadOptions
from reconciler.cli.options.command import Command
from reconciler.cli.options.param_types import LONGEST, NumberType
from reconciler.cli.options.targets import state_url, workspace


def classes(command: Command) -> Command:
    """The options for reading classes, passed as `read_options`."""

    @click.option(
        "--python",
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        help="Python interpreter for classes that must be executed to be read.",
    )
    @click.option(
        "--static-only",
        is_flag=True,
        help="Never execute a pipeline's code. A class that needs it is an error.",
    )
    @click.option(
        "--class-timeout",
        type=NumberType(0, LONGEST, min_open=True),
        default=30.0,
        show_default=True,
        metavar="SECONDS",
        help="Maximum time to execute a class.",
    )
    @functools.wraps(command)
    def with_read_options(**arguments: Any) -> int:
        read_options = read_options_of(arguments)
        rest = {name: value for name, value in arguments.items() if name not in _READING}
        return command(read_options=read_options, **rest)

    return with_read_options


_READING = ("python", "static_only", "class_timeout")


def read_options_of(arguments: Mapping[str, Any]) -> ReadOptions | None:
    """The options for reading classes among these arguments; None if there are none. Raises UserError."""
    if not arguments.keys() >= {*_READING}:
        return None
    from reconciler.api.stores import files_of_state

    python, static_only, timeout = (arguments[name] for name in _READING)
    files = files_of_state(state_url())
    return ReadOptions(python, static_only, timeout, shared=workspace().shared(), state_files=files)
