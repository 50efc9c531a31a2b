"""The outputs of a command: `-o FORMAT[=FILE]`, which every command has that prints or writes documents.

Each format also has an option of its own: `--json`, `--events`, `--junit`, `--markdown` and `--html`.
"""

import functools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct, field

from reconciler.cli.options import Command
from reconciler.cli.options.param_types import STDOUT, ParsedType, ReportFile
from reconciler.cli.output_places import file_identity, outside_of_images, report_file

if TYPE_CHECKING:
    from reconciler.core.diagnostics import Diagnostic
    from reconciler.core.runs import Follow

HELP = {
    "json": "Write JSON to PATH, or with - to stdout. The report of an earlier run in this file gives the "
    "age of each finding.",
    "junit": "Write JUnit XML, with a failed test for each finding.",
    "markdown": "Write Markdown, for a comment or an issue.",
    "html": "Write one HTML page.",
}
RUN_HELP = {
    "json": "Write the result of each pipeline as JSON to PATH, or with - to stdout.",
    "events": "Write each event of the run as a line of JSON, while it runs.",
    "junit": "Write JUnit XML, with a test for each pipeline.",
    "markdown": "Write the results as Markdown, for a comment.",
    "html": "Write the results as one HTML page.",
}


class Outputs(Struct, frozen=True):
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


def output_files(
    *formats: str, texts: Mapping[str, str] = HELP, flags: Collection[str] = (), dashboard: bool = True
) -> Callable[[Command], Command]:
    """`-o` with these formats, and an option for each of them, passed as `outputs`.

    Args:
        texts: format -> help of its option.
        flags: formats whose option takes no file: it prints to stdout.
        dashboard: whether the page has links to those of a dashboard.
    """

    def decorated(command: Command) -> Command:
        @functools.wraps(command)
        def with_outputs(asked: Sequence[tuple[str, Path]], **arguments: Any) -> int:
            own = [(name, arguments.pop(f"{name}_file")) for name in formats]
            given = [(name, STDOUT if name in flags else place) for name, place in own if place]
            outputs = Outputs(_places([*given, *asked]), dashboard=arguments.pop("dashboard", ""))
            return command(outputs=outputs, **arguments)

        result = _asked(formats)(with_outputs)
        if dashboard:
            result = click.option(
                "--dashboard",
                default="",
                metavar="URL",
                callback=_a_web_address,
                help="With --html: the address of a dashboard, whose page of each pipeline is linked.",
            )(result)
        for name in reversed(formats):
            result = (_FLAG if name in flags else _file_option(name, texts[name]))(result)
        return result

    return decorated


def _a_web_address(ctx: click.Context, param: click.Parameter, address: str) -> str:
    """Accept only addresses that may be a link: a web address, or a path relative to the page."""
    if not re.fullmatch(r"(https?://.*|(?!/)[^:\\]*)", address):
        raise click.BadParameter("use an address that begins with https:// or http://, or a relative path")
    if re.match(r"https?://[^/?#]*@", address) or re.search(r"[?#]", address):
        # The page would show it, and the history.
        raise click.BadParameter("use an address without a login, a question mark and a number sign")
    return address


def output_option(*formats: str) -> Callable[[Command], Command]:
    """`-o` alone, with these formats, passed as `outputs`."""

    def decorated(command: Command) -> Command:
        @functools.wraps(command)
        def with_outputs(asked: Sequence[tuple[str, Path]], **arguments: Any) -> int:
            return command(outputs=Outputs(_places(asked)), **arguments)

        return _asked(formats)(with_outputs)

    return decorated


def json_document(command: Command) -> Command:
    """`-o json[=FILE]` and the flag `--json`, for a command whose only document is JSON, as `json_place`.

    The command gets the destination of the document, or None to print text.
    """

    @functools.wraps(command)
    def with_document(asked: Sequence[tuple[str, Path]], json_file: bool, **arguments: Any) -> int:
        places = _places([*([("json", STDOUT)] if json_file else []), *asked])
        return command(json_place=places.get("json"), **arguments)

    return _FLAG(_asked(["json"])(with_document))


_FLAG = click.option(
    "--json", "json_file", is_flag=True, help="Print a JSON document. For a file: -o json=FILE"
)


def _file_option(name: str, text: str) -> Callable[[Command], Command]:
    kind = ReportFile(path_type=Path, allow_dash=True)

    def checked(ctx: click.Context, param: click.Parameter, place: Path | None) -> Path | None:
        return _checked(ctx, param, name, place)

    return click.option(f"--{name}", f"{name}_file", type=kind, callback=checked, help=text)


_ALIASES = {"events": "ndjson"}
"""Formats whose name after `-o` is that of the form."""


def _asked(formats: Sequence[str]) -> Callable[[Command], Command]:
    names = {_ALIASES.get(name, name): name for name in formats}

    def parse(text: str) -> tuple[str, str]:
        name, _, place = text.partition("=")
        if name not in names:
            raise ValueError(f"there is no format {name!r} here. There are: {', '.join(names)}.")
        return names[name], place or str(STDOUT)

    def convert(ctx: click.Context, param: click.Parameter, asked: Sequence[tuple[str, str]]) -> Any:
        return [(name, _checked(ctx, param, name, Path(place))) for name, place in asked]

    return click.option(
        "-o",
        "--output",
        "asked",
        metavar="FORMAT[=FILE]",
        multiple=True,
        type=ParsedType("FORMAT[=FILE]", parse),
        callback=convert,
        help=f"Write {_in_words(list(names))} to FILE, or to stdout. Repeatable.",
    )


def _in_words(names: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _places(asked: Iterable[tuple[str, Path]]) -> dict[str, Path]:
    """Format -> its destination. Raises UsageError if two are the same."""
    places: dict[str, Path] = {}
    for name, place in asked:
        if places.setdefault(name, place) != place:
            raise click.UsageError(f"-o {name}: two destinations for one format")
    files = {STDOUT if place == STDOUT else file_identity(place): name for name, place in places.items()}
    if len(files) < len(places):
        raise click.UsageError("two outputs cannot go to the same place")
    for place, option in _other_files() if places else ():
        if format_ := files.get(file_identity(place)):
            raise click.UsageError(f"-o {format_}: {place} is the file of {option}; write to another file")
    return places


def _other_files() -> Iterator[tuple[Path, str]]:
    """The files and folders of the command's other options, with the name of the option.

    An option of one format is another one for `-o`, and is compared in `_places`.
    """
    context = click.get_current_context()
    for param in context.command.params:
        value = context.params.get(param.name or "")
        if isinstance(value, Path) and not isinstance(param.type, ReportFile):
            yield value, param.opts[0]
        elif isinstance(value, tuple):
            yield from ((one, param.human_readable_name) for one in value if isinstance(one, Path))


def _in_a_folder(ctx: click.Context, param: click.Parameter, place: Path | None) -> Path | None:
    """Refuse a folder, and a missing one, before the run: one of minutes would lose its report."""
    if place is None or place == STDOUT:
        return place
    if place.is_dir():
        is_pipeline = " of a pipeline" if (place / "config.toml").exists() else ""
        raise click.BadParameter(f"{place} is the folder{is_pipeline}, and the output needs a file")
    if not place.parent.is_dir():
        raise click.BadParameter(f"there is no folder {place.parent}")
    return place


def _checked(ctx: click.Context, param: click.Parameter, name: str, place: Path | None) -> Path | None:
    """The destination of a format, whose file should be no source of a pipeline.

    Events are written while images are built, so such a run could not end.
    """
    place = _in_a_folder(ctx, param, place)
    if name == "events":
        return outside_of_images(ctx, param, place)
    if place is not None and place != STDOUT and not ctx.resilient_parsing:
        report_file(place)
    return place
