"""The options `--json`, `--junit`, `--markdown` and `--html`, and the destination of each format."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from reconciler.cli.options import Command

HELP = {
    "json": "Write JSON. The report of an earlier run in this file gives the age of each finding.",
    "junit": "Write JUnit XML, with a failed test for each finding.",
    "markdown": "Write Markdown, for a comment or an issue.",
    "html": "Write one HTML page.",
}
STDOUT = Path("-")


@dataclass(frozen=True, slots=True)
class Outputs:
    """The destination of each requested format."""

    places: Mapping[str, Path]

    @property
    def on_stdout(self) -> bool:
        """Whether a format goes to stdout."""
        return STDOUT in self.places.values()

    def file(self, format_: str) -> Path | None:
        """The file of this format; None if it is not requested or goes to stdout."""
        place = self.places.get(format_)
        return None if place == STDOUT else place


def output_files(*formats: str) -> Callable[[Command], Command]:
    """An option for each of these formats, passed as `outputs`."""

    def decorated(command: Command) -> Command:
        @functools.wraps(command)
        def with_outputs(**arguments: Any) -> int:
            values = {name: arguments.pop(f"{name}_file") for name in formats}
            places: dict[str, Path] = {name: place for name, place in values.items() if place is not None}
            if len(set(places.values())) < len(places):
                raise click.UsageError("two outputs cannot go to the same place")
            return command(outputs=Outputs(places), **arguments)

        for name in reversed(formats):
            kind = click.Path(path_type=Path, dir_okay=False, allow_dash=True)
            with_outputs = click.option(
                f"--{name}", f"{name}_file", type=kind, callback=_in_a_folder, help=HELP[name]
            )(with_outputs)
        return with_outputs

    return decorated


def _in_a_folder(ctx: click.Context, param: click.Parameter, place: Path | None) -> Path | None:
    """Refuse a missing folder before the run: a check can take minutes and would lose its report."""
    if place is not None and not place.parent.is_dir():
        raise click.BadParameter(f"there is no folder {place.parent}")
    return place
