"""Questions at a terminal. Each shows its text, the default with a reason, and a line for the answer."""

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import Enum
from typing import TYPE_CHECKING

import click
from msgspec import Struct

from providers.ascii_case import ascii_lower
from reconciler.views.safe import one_line
from reconciler.views.terminal.console import Console
from reconciler.views.terminal.progress import paused
from reconciler.views.terminal.text import Text

if TYPE_CHECKING:
    from reconciler.core.plan import Plan
    from reconciler.pipeline.toml.edits import Value


class Default(Struct, frozen=True):
    """The answer for Enter, and the reason for it."""

    value: "Value"
    reason: str


_waits: list[float] = []


def waited() -> float:
    """Seconds that this process has waited for answers."""
    return sum(_waits)


def _show_earlier_output() -> None:
    """Write what stdout holds back: in a pipe (`| cat`), the question would come before what it is about."""
    with suppress(OSError, ValueError):
        sys.stdout.flush()


@contextmanager
def _waiting() -> Iterator[None]:
    start = time.monotonic()
    try:
        with paused():
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
    _show_earlier_output()
    err.print(Text.assemble(("? ", "cyan"), (text, "bold"), (f"  {form}" if form else "", "dim")))
    return _prompt(default, convert, err, hidden=hidden)


class Question(Enum):
    """The questions with the answers yes and no: the text, and whether yes always takes something away."""

    APPLY = ("Apply this?", False)
    DEPLOY = ("Deploy this?", False)
    PROMOTE = ("Promote this?", False)
    ROLL_BACK = ("Roll back to this?", True)
    DESTROY = ("Destroy all of this?", True)
    WRITE = ("Write this?", True)
    ACCEPT = ("Accept {version} as made from these files?", True)
    FORGET = ("Remove {address} from the state of {stack}?", True)
    FORGET_ALL = ("Remove all of {addresses} from {stack}?", True)

    @property
    def text(self) -> str:
        """The question, with its names in braces."""
        return self.value[0]


def enter_means_yes(question: Question, plans: "Iterable[Plan]" = ()) -> bool:
    """The answer for Enter: yes, unless yes deletes, replaces, overwrites or takes back something.

    Args:
        plans: what the question is about.
    """
    return not question.value[1] and not any(plan.is_destructive for plan in plans)


def confirm(question: Question, plans: "Iterable[Plan]" = (), **names: str) -> bool:
    """Ask for yes or no. Discards input typed before the question appeared.

    Args:
        plans: what the question is about; they decide the answer for Enter.
        names: the names in the text of the question.
    """
    with suppress(ImportError, OSError, ValueError):  # Windows, or a stream that is not a terminal
        import termios

        with suppress(termios.error):
            termios.tcflush(sys.stdin, termios.TCIFLUSH)
    _show_earlier_output()
    with _waiting():
        text = one_line(question.text.format(**names))
        return click.confirm(f"\n{text}", default=enter_means_yes(question, plans), err=True)


def choose(text: str, choices: Mapping[str, str], default: Default | None, err: Console) -> str:
    """Ask for one of the choices, shown as a list with their meanings."""
    _show_earlier_output()
    err.print(Text.assemble(("? ", "cyan"), (text, "bold")))
    widest = max(map(len, choices))
    for word, meaning in choices.items():
        line = Text.assemble((f"    {word:<{widest}}", "bold"), f"  {meaning}")
        line.rstrip()
        err.print(line)
    by_lower = {ascii_lower(word): word for word in choices}

    def convert(typed: str) -> str:
        try:
            return by_lower[ascii_lower(typed.strip())]
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
