"""Writes the man pages into a wheel, from the help of the commands. Hatchling runs it.

The commands' declarations need only click and msgspec, which `build-system` in pyproject.toml requires.

scripts/man_hook.py FOLDER writes the pages into a folder.
"""

import inspect
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

if TYPE_CHECKING:
    import click

ROOT = Path(__file__).parents[1]
PLACE = "share/man/man1"


class ManHook(BuildHookInterface[Any]):
    """Adds the pages to the shared data of the wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the pages into a folder that `finalize` removes."""
        if version == "editable":
            return
        self._folder = tempfile.TemporaryDirectory()
        for name, text in pages(self.metadata.version).items():
            path = Path(self._folder.name, name)
            path.write_text(text, encoding="utf-8")
            build_data["shared_data"][str(path)] = f"{PLACE}/{name}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the folder."""
        if version != "editable":
            self._folder.cleanup()


def pages(version: str) -> dict[str, str]:
    """The page of each command, by the name of its file: `reconciler-state-show.1`."""
    sys.path.insert(0, str(ROOT))
    try:
        from reconciler.cli.reference import every_command

        contexts = list(every_command())
    finally:
        sys.path.remove(str(ROOT))
    return {f"{name_of(one)}.1": "\n".join(page(one, version, contexts)) + "\n" for one in contexts}


def name_of(context: "click.Context") -> str:
    return context.command_path.replace(" ", "-")


def page(context: "click.Context", version: str, contexts: list["click.Context"]) -> Iterator[str]:
    """The lines of one page, for groff's and mandoc's `man`."""
    from reconciler.cli.reference import options_of

    name, command = name_of(context), context.command
    help_ = inspect.cleandoc(command.help or "")
    # No date, so that a release made again is the same.
    yield f'.TH {roff(name.upper())} 1 "" "picsellia-reconciler {version}" "User Commands"'
    yield ".SH NAME"
    yield f"{roff(name)} \\- {roff(' '.join(help_.partition(chr(10) * 2)[0].split()).rstrip('.'))}"
    yield ".SH SYNOPSIS"
    yield f"\\fB{roff(context.command_path)}\\fR {roff(' '.join(command.collect_usage_pieces(context)))}"
    yield ".SH DESCRIPTION"
    first, *paragraphs = re.split(r"\n\n+", help_)
    yield roff(" ".join(first.split()))
    for paragraph in paragraphs:
        yield from lines_of(paragraph)
    if options := options_of(context):
        yield ".SH OPTIONS"
        for option, meaning in options:
            yield from (".TP", f"\\fB{roff(option)}\\fR", roff(meaning))
    below = [one for one in contexts if one.parent is context]
    if below:
        yield ".SH COMMANDS"
        for one in below:
            first = " ".join(inspect.cleandoc(one.command.help or "").partition("\n\n")[0].split())
            yield from (".TP", f"\\fB{roff(name_of(one))}\\fR(1)", roff(first))
    if context.parent is not None:
        yield ".SH SEE ALSO"
        yield f"\\fB{roff(name_of(context.parent))}\\fR(1)"


def lines_of(paragraph: str) -> Iterator[str]:
    """A paragraph of help: filled, or as it is after click's mark for that or if it is indented."""
    kept = paragraph.removeprefix("\b\n")
    if kept == paragraph and not paragraph.startswith(" "):
        yield from (".PP", roff(" ".join(paragraph.split())))
        return
    head, *rest = kept.splitlines()
    if head.endswith(":") and not head.startswith(" "):
        yield from (".PP", roff(head))
        kept = inspect.cleandoc("\n".join(rest))
    yield from (".RS 4", ".nf", *(roff(line) for line in inspect.cleandoc(kept).splitlines()), ".fi", ".RE")


def roff(text: str) -> str:
    """Text as roff shows it: no line of it is a request."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped


if __name__ == "__main__":
    for file, content in pages("0").items():
        Path(sys.argv[1], file).write_text(content, encoding="utf-8")
