"""Prints the edits of adopt."""

import tomllib
from pathlib import Path

from providers.hiding import lines_with_secrets, secrets_in
from reconciler.core.plan import Stack
from reconciler.drift.adopt import Adoption, patch
from reconciler.pipeline.toml.toml_positions import BOM
from reconciler.views.counting import plural
from reconciler.views.terminal.console import Console, indented
from reconciler.views.terminal.text import Text

_STYLES = {"+": "green", "-": "red", "@": "cyan"}


def print_config(adopted: Adoption, err: Console) -> None:
    """Print the diff of config.toml."""
    for line in diff_lines(adopted.config.path, adopted.config.on_disk, adopted.config.text):
        err.print(indented(Text(line, style=_STYLES.get(line[:1], "")), 2))


def diff_lines(file: Path, before: str, after: str) -> list[str]:
    """The lines of a diff for people, without the names of the files and without secrets."""
    shown: dict[str, str] = {}
    for text in (before, after):
        document = tomllib.loads(text.removeprefix(BOM))
        shown |= lines_with_secrets(text, secrets_in(document))
    lines = patch(file, before, after).rstrip("\n").split("\n")[2:]
    return [line[:1] + shown.get(line[1:], line[1:]) for line in lines]


def print_remaining(adopted: Adoption, stack: Stack, err: Console) -> None:
    """Print the values that are not adopted."""
    deleted = [value for value in adopted.remaining if value.is_deleted]
    for value in deleted:
        put_back = stack.command("apply", "--target", str(value.address))
        err.print(f"{value} was deleted outside. Put it back:  {put_back}")
    if deleted:
        err.print(f"To delete the rest of the pipeline, too:  {stack.command('destroy')}")
    if others := [value for value in adopted.remaining if not value.is_deleted]:
        names = ", ".join(map(str, others))
        err.print(f"not adopted: {names}; see {stack.command('drift')}, or name one to see the reason")


def print_adopted(adopted: Adoption, stack: Stack, err: Console, *, is_written: bool) -> None:
    """Print the adopted values and the next commands.

    Args:
        is_written: whether config.toml has its values already.
    """
    if adopted.is_empty:
        if not adopted.has_state:
            reason = "the state does not show what was changed outside"
        elif not adopted.remaining:
            reason = "nothing was changed outside"
        elif all(value.is_deleted for value in adopted.remaining):
            reason = "a deleted object has no values"
        else:
            reason = "no file sets a changed value"
        err.print(f"nothing to adopt: {reason}")
    if adopted.written:
        names = ", ".join(map(str, adopted.written))
        count = plural(len(adopted.written), "value")
        err.print(f"{adopted.config.path}: {count} {'written' if is_written else 'to write'} ({names})")
    if adopted.in_patch:
        err.print(f"in the patch, not yet in a file: {', '.join(map(str, adopted.in_patch))}")
    if adopted.new_source:
        publish = stack.command("apply", "--bump", "patch")
        err.print(f"this changes the image's source; publish it:  {publish}")
