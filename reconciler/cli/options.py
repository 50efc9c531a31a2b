"""Options that several commands share, and what they mean."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import click

from reconciler.cli.exits import INTERRUPTED
from reconciler.credentials import Environment, Target, resolve
from reconciler.diagnostics import UserError
from reconciler.pipeline.discovery import find, find_all
from reconciler.pipeline.version import Bump
from reconciler.session import Checked, Reading, validate
from reconciler.values import Address
from state.store import Store, open_store

F = TypeVar("F", bound=Callable[..., Any])


def stacked(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    """Several decorators as one; the first is the first in the help."""

    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


class AddressType(click.ParamType[Address]):
    name = "ADDR"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        if isinstance(value, Address):
            return value
        try:
            return Address.parse(value)
        except ValueError as problem:
            self.fail(str(problem), param, ctx)


class EnvironmentType(click.ParamType[Environment]):
    name = "ENV"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Environment:
        try:
            return Environment(value.upper())
        except ValueError:
            self.fail(f"{value!r} is not one of {', '.join(Environment)}", param, ctx)


ADDRESS = AddressType()
ENVIRONMENT = EnvironmentType()

pipelines = stacked(
    click.argument("names", metavar="[PIPELINE]...", nargs=-1),
    click.option("--all", "everything", is_flag=True, help="Every pipeline below the current folder."),
)
where = stacked(
    click.option("--organization", metavar="ORG", help="Organization on the platform."),
    click.option(
        "--env",
        "environment",
        type=ENVIRONMENT,
        metavar="[" + "|".join(Environment) + "]",
        help="Environment; PICSELLIA_ENV, the saved context and PROD come next.",
    ),
)
classes = stacked(
    click.option(
        "--python",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Interpreter for classes that need code to run.",
    ),
    click.option(
        "--static-only", is_flag=True, help="Never run a pipeline's code; what needs it is an error."
    ),
    click.option(
        "--class-timeout",
        default=30.0,
        show_default=True,
        metavar="SECONDS",
        help="Longest that a class may run.",
    ),
)
planning = stacked(
    click.option("--bump", type=click.Choice([b.value for b in Bump]), help="Publish as the next version."),
    click.option(
        "--target", "targets", type=ADDRESS, multiple=True, help="Only this resource and what it depends on."
    ),
    click.option("--replace", type=ADDRESS, multiple=True, help="Allow to delete this and make it anew."),
    click.option("--prune", is_flag=True, help="Delete what left the files instead of forgetting it."),
)


def folders(names: Sequence[str], everything: bool) -> list[Path]:
    """The pipeline folders that the arguments name: all, those named, or the current folder."""
    here = Path.cwd()
    if everything:
        if names:
            raise click.UsageError("name pipelines, or use --all, not both")
        return find_all(here)
    if names:
        return [find(name, here) for name in names]
    if (here / "config.toml").is_file():
        return [here]
    raise click.UsageError("name a pipeline or be in its folder, or use --all")


def checked(
    folders: Sequence[Path], reading: Reading, failed: Callable[[UserError], None]
) -> Iterator[Checked]:
    """What the files of each pipeline say, before any far end is asked; those with errors go to `failed`."""
    for folder in folders:
        found = validate(folder, reading)
        try:
            found.sound()
        except UserError as problem:
            failed(problem)
        else:
            yield found


def target(organization: str | None, environment: str | None) -> Target:
    return resolve(organization, environment)


def store() -> Store:
    return open_store(os.environ.get("RECONCILER_STATE"))


def reading(python: Path | None, static_only: bool, class_timeout: float) -> Reading:
    return Reading(python=python, static_only=static_only, timeout=class_timeout)


def command_line() -> list[str]:
    """What was asked for, for the record. No option of ours takes a secret."""
    return ["reconciler", *sys.argv[1:]]


def someone_watches() -> bool:
    """Whether a person can be asked: the question and the answer both go through a terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C or SIGTERM sets; the second ends the process at once."""
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            os._exit(INTERRUPTED)
        stop.set()
        os.write(2, b"\ninterrupted: running steps finish, no other starts; once more to stop now\n")

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
