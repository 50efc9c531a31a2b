"""The options `--json`, `--events`, `--junit`, `--markdown` and `--html`, and the destination of each."""

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.options import Command

if TYPE_CHECKING:
    from reconciler.core.diagnostics import Diagnostic
    from reconciler.core.runs import Follow

HELP = {
    "json": "Write JSON. The report of an earlier run in this file gives the age of each finding.",
    "junit": "Write JUnit XML, with a failed test for each finding.",
    "markdown": "Write Markdown, for a comment or an issue.",
    "html": "Write one HTML page.",
}
RUN_HELP = {
    "json": "Write the result of each pipeline as JSON.",
    "events": "Write each event of the run as a line of JSON, while it runs.",
    "junit": "Write JUnit XML, with a test for each pipeline.",
    "markdown": "Write the results as Markdown, for a comment.",
    "html": "Write the results as one HTML page.",
}
STDOUT = Path("-")


@dataclass(frozen=True, slots=True)
class Outputs:
    """The destination of each requested format.

    Attributes:
        places: format -> its file, or `STDOUT`.
        failures: formats that could not be written during the run. `write_run` reports them.
        dashboard: the address of the dashboard that HTML pages link to; "" for none.
    """

    places: Mapping[str, Path]
    failures: "list[Diagnostic]" = field(default_factory=list)
    dashboard: str = ""

    @property
    def on_stdout(self) -> bool:
        """Whether a format goes to stdout."""
        return STDOUT in self.places.values()

    def file(self, format_: str) -> Path | None:
        """The file of this format; None if it is not requested or goes to stdout."""
        place = self.places.get(format_)
        return None if place == STDOUT else place

    @contextmanager
    def events(self) -> "Iterator[Follow]":
        """Write the events of a run while the block runs, if they are requested.

        A file that cannot be written any more does not end the run.

        Raises:
            UserError: the file cannot be opened. Nothing was done yet.
        """
        if "events" not in self.places:
            yield lambda _: None
            return
        from reconciler.cli.event_files import event_lines

        with event_lines(self.file("events"), self.failures) as follow:
            yield follow


def run_outputs(command: Command) -> Command:
    """The options for the outputs of a command that applies plans, passed as `outputs`."""
    return output_files(*RUN_HELP, texts=RUN_HELP)(command)


def output_files(*formats: str, texts: Mapping[str, str] = HELP) -> Callable[[Command], Command]:
    """An option for each of these formats, passed as `outputs`.

    Args:
        texts: format -> help of its option.
    """

    def decorated(command: Command) -> Command:
        @functools.wraps(command)
        def with_outputs(**arguments: Any) -> int:
            values = {name: arguments.pop(f"{name}_file") for name in formats}
            places: dict[str, Path] = {name: place for name, place in values.items() if place is not None}
            if len(set(places.values())) < len(places):
                raise click.UsageError("two outputs cannot go to the same place")
            return command(outputs=Outputs(places, dashboard=arguments.pop("dashboard", "")), **arguments)

        if "html" in formats:
            with_outputs = click.option(
                "--dashboard",
                default="",
                metavar="URL",
                callback=_a_web_address,
                help="With --html: the address of a dashboard, whose page of each pipeline is linked.",
            )(with_outputs)
        for name in reversed(formats):
            kind = click.Path(path_type=Path, dir_okay=False, allow_dash=True)
            with_outputs = click.option(
                f"--{name}", f"{name}_file", type=kind, callback=_in_a_folder, help=texts[name]
            )(with_outputs)
        return with_outputs

    return decorated


def _a_web_address(ctx: click.Context, param: click.Parameter, address: str) -> str:
    """Accept only addresses that may be a link: a web address, or a path relative to the page."""
    if not re.fullmatch(r"(https?://.*|(?!/)[^:\\]*)", address):
        raise click.BadParameter("use an address that begins with https:// or http://, or a relative path")
    return address


def _in_a_folder(ctx: click.Context, param: click.Parameter, place: Path | None) -> Path | None:
    """Refuse a missing folder before the run: a check can take minutes and would lose its report."""
    if place is not None and not place.parent.is_dir():
        raise click.BadParameter(f"there is no folder {place.parent}")
    return place
