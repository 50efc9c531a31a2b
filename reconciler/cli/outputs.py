"""`--json`, `--junit`, `--markdown`, `--html`: the options, and where each format goes."""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from reconciler.cli.options import Command

HELP = {
    "json": "Write the report as JSON; a report of an earlier run there tells since when things are so.",
    "junit": "Write the report as JUnit XML: a finding is a failure.",
    "markdown": "Write it as Markdown, for a comment or an issue.",
    "html": "Write it as one HTML page.",
}
STDOUT = Path("-")


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where each format goes, of those that were asked for."""

    places: Mapping[str, Path]

    @property
    def on_stdout(self) -> bool:
        """Whether a format goes to stdout."""
        return STDOUT in self.places.values()

    def file(self, format_: str) -> Path | None:
        """The file of this format, when it goes to one."""
        place = self.places.get(format_)
        return None if place == STDOUT else place


def output_files(*formats: str) -> Callable[[Command], Command]:
    """An option for each of these formats, as `outputs`."""

    def decorated(command: Command) -> Command:
        @functools.wraps(command)
        def with_outputs(**given: Any) -> int:
            asked = {name: given.pop(f"{name}_file") for name in formats}
            places: dict[str, Path] = {name: place for name, place in asked.items() if place is not None}
            if len(set(places.values())) < len(places):
                raise click.UsageError("two outputs cannot go to the same place")
            return command(outputs=Outputs(places), **given)

        for name in reversed(formats):
            kind = click.Path(path_type=Path, dir_okay=False, allow_dash=True)
            with_outputs = click.option(
                f"--{name}", f"{name}_file", type=kind, callback=_in_a_folder, help=HELP[name]
            )(with_outputs)
        return with_outputs

    return decorated


def _in_a_folder(ctx: click.Context, param: click.Parameter, place: Path | None) -> Path | None:
    """Told before anything is asked: a report that took minutes should not end at a missing folder."""
    if place is not None and not place.parent.is_dir():
        raise click.BadParameter(f"there is no folder {place.parent}")
    return place
