"""Questions at a terminal. Each shows its text, the default with a reason, and a line for the answer."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.text import Text

from reconciler.views.safe import one_line

if TYPE_CHECKING:
    from reconciler.pipeline.toml.toml_edits import Value


@dataclass(frozen=True, slots=True)
class Default:
    """The answer for Enter, and the reason for it."""

    value: "Value"
    reason: str


_waits: list[float] = []


def waited() -> float:
    """Seconds that this process has waited for answers."""
    return sum(_waits)


@contextmanager
def _waiting() -> Iterator[None]:
    start = time.monotonic()
    try:
        yield
    finally:
        _waits.append(time.monotonic() - start)


def is_interactive() -> bool:
    """Whether stdin and stderr are terminals, for the answer and the question, and questions are wanted."""
    return not os.environ.get("RECONCILER_NO_INPUT") and sys.stdin.isatty() and sys.stderr.isatty()


def ask(
    text: str,
    form: str,
    default: Default | None,
    convert: "Callable[..., Value]",
    err: Console,
    *,
    hidden: bool = False,
) -> "Value":
    """Ask for a value, until the answer is valid.

    Args:
        form: the form of an answer, shown beside the question.
        convert: returns the value of an answer; raises UsageError for an invalid one.
        hidden: hide the answer while it is typed.
    """
    err.print(Text.assemble(("? ", "cyan"), (text, "bold"), (f"  {form}" if form else "", "dim")))
    return _prompt(default, convert, err, hidden=hidden)


def confirm(question: str, *, default: bool) -> bool:
    """Ask for yes or no. Discards input typed before the question appeared."""
    with suppress(ImportError, OSError, ValueError):  # Windows, or a stream that is not a terminal
        import termios

        with suppress(termios.error):
            termios.tcflush(sys.stdin, termios.TCIFLUSH)
    with _waiting():
        return click.confirm(f"\n{one_line(question)}", default=default, err=True)


def choose(text: str, choices: Mapping[str, str], default: Default | None, err: Console) -> str:
    """Ask for one of the choices, shown as a list with their meanings."""
    err.print(Text.assemble(("? ", "cyan"), (text, "bold")))
    widest = max(map(len, choices))
    for word, meaning in choices.items():
        line = Text.assemble((f"    {word:<{widest}}", "bold"), f"  {meaning}")
        line.rstrip()
        err.print(line)
    by_lower = {word.lower(): word for word in choices}

    def convert(typed: str) -> str:
        try:
            return by_lower[typed.strip().lower()]
        except KeyError:
            raise click.UsageError(f"{typed!r} is not one of {', '.join(choices)}.") from None

    return str(_prompt(default, convert, err))


def _prompt(
    default: Default | None, convert: "Callable[..., Value]", err: Console, *, hidden: bool = False
) -> "Value":
    if default is not None:
        err.print(Text.assemble("  Enter for ", (str(default.value), "bold"), (f", {default.reason}", "dim")))
    while True:
        with _waiting():
            typed = click.prompt(
                " ",
                default=default.value if default else None,
                value_proc=str,
                prompt_suffix="> ",
                show_default=False,
                hide_input=hidden,
                err=True,
            )
        try:
            return convert(typed)
        except click.UsageError as problem:  # click's own loop breaks lines within words
            err.print(Text.assemble(("Error: ", "red"), problem.message))
