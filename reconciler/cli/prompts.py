"""How something is asked at a terminal: what it is, what Enter answers and why that, and a line to type."""

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
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
    """What Enter answers, and why that."""

    value: "Value"
    reason: str


def someone_watches() -> bool:
    """Whether a person can be asked: the question and the answer both go through a terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(
    text: str,
    form: str,
    default: Default | None,
    convert: "Callable[..., Value]",
    err: Console,
    *,
    hidden: bool = False,
) -> "Value":
    """A line that is typed, again and again until it can be used.

    Args:
        form: what the answer should look like.
        convert: from what was typed to the value; raises UsageError with what is wrong with it.
        hidden: do not show what is typed.
    """
    err.print(Text.assemble(("? ", "cyan"), (text, "bold"), (f"  {form}" if form else "", "dim")))
    return _prompt(default, convert, err, hidden=hidden)


def confirm(question: str, *, default: bool) -> bool:
    """A yes or a no. What was typed before the question was there is no answer to it."""
    with suppress(ImportError, OSError, ValueError):  # Windows, or a stream that is no terminal
        import termios

        with suppress(termios.error):
            termios.tcflush(sys.stdin, termios.TCIFLUSH)
    return click.confirm(f"\n{one_line(question)}", default=default, err=True)


def choose(text: str, choices: Mapping[str, str], default: Default | None, err: Console) -> str:
    """One of some words, shown as a list with what each means."""
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
        except click.UsageError as problem:  # not click's own loop, which breaks lines within words
            err.print(Text.assemble(("Error: ", "red"), problem.message), soft_wrap=False)
