"""What adopt does to the files, for a person."""

from rich.console import Console
from rich.text import Text

from reconciler.core.plan import Stack
from reconciler.drift.adopt import Adoption, patch
from reconciler.views.counting import plural
from reconciler.views.terminal.console import indented

_STYLES = {"+": "green", "-": "red", "@": "cyan"}


def print_config(adopted: Adoption, err: Console) -> None:
    """What changes in config.toml."""
    for line in (
        patch(adopted.config.path, adopted.config.on_disk, adopted.config.text).rstrip("\n").split("\n")[2:]
    ):
        err.print(indented(Text(line, style=_STYLES.get(line[:1], "")), 2))


def print_adopted(adopted: Adoption, stack: Stack, err: Console) -> None:
    """What was taken over, and what follows from it."""
    if adopted.is_empty:
        said = "nothing of it is what a file says" if adopted.remaining else "nothing was changed outside"
        err.print(f"nothing to adopt: {said}")
    if adopted.written:
        names = ", ".join(map(str, adopted.written))
        err.print(f"{adopted.config.path}: {plural(len(adopted.written), 'value')} written ({names})")
    if adopted.in_patch:
        err.print(f"in the patch, and in no file yet: {', '.join(map(str, adopted.in_patch))}")
    if adopted.remaining:
        names = ", ".join(map(str, adopted.remaining))
        err.print(f"not taken over: {names}; see {stack.command('drift')}, or name one to be told why")
    if adopted.new_source:
        publish = stack.command("apply", "--bump", "patch")
        err.print(f"with that the image's source is another one; publish it: {publish}")
