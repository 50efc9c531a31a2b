"""Where an output may be written. Every option that names a file to write checks it here, before the run.

An output replaces an earlier output or an empty file, and no other one. The content of the file decides: a
list of files to protect could miss one, and the name of a file tells nothing about its other names. Some
files are refused whatever they contain: the state may not exist yet, and settings may be empty.

An output in the build context of a pipeline would become source of its image.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import click

from providers.patterns import pattern
from reconciler.cli.options.param_types import STDOUT
from reconciler.cli.options.targets import STATE, state_url, workspace

_OUTPUT: Final = pattern(
    rb"""(?:
      \{ \s* "format": [ ]? "reconciler/ (?!dashboard") [a-z-]+ "  # not the list of a dashboard's files
    | \{ \s* (?: "workspace": [ ]? \{ \s* "value": | "user": [^\n]{0,500} \n \s* "organization": )  # whoami
    | (?: <\?xml [^>]{0,200} \?> \s* )? <testsuites? [ >]  # of any program: JUnit is never written by hand
    | <!--[ ]reconciler:
    | flowchart[ ]LR \n [ ]+ (?: subgraph[ ]g0 | n0 ) \[
    | digraph[ ]"[^\n]{0,500}"[ ]\{ \n [ ]+ rankdir=LR \n [ ]+ node[ ]\[shape=box,[ ]style="rounded,filled"
    | <svg[ ]xmlns="http://www.w3.org/2000/svg"[ ]class="graph"
    )""",
    re.VERBOSE,
)
"""The beginning of an output, for each format but HTML."""
_PAGE: Final = b"<!doctype html>", b'<meta name="generator" content="reconciler"'
"""The beginning of a page, and what one of ours has."""
_RULE: Final = pattern(rb"^\[\[ {0,9}acknowledge {0,9}\]\]", re.MULTILINE)
"""The beginning of a rule of a baseline."""
_START: Final = 4096
"""Number of bytes that contain the beginning of every output but a baseline."""
_STREAM: Final = pattern(r"/dev/(?:stdout|stderr|fd/\d+)|/proc/(?:self|\d+)/fd/\d+")
"""A file that the caller has opened for the output, such as a log."""


def report_file(place: Path) -> None:
    """Check the file of a report. If it is source of an image, print a warning.

    Raises:
        BadParameter: it would replace another file.
    """
    _refuse_to_replace(place, _is_output, _START)
    _warn_if_in_image(place)


def baseline_file(place: Path) -> None:
    """As `report_file`, for a baseline, whose earlier rules are kept."""
    _refuse_to_replace(place, _is_baseline)
    _warn_if_in_image(place)


def outside_of_images(ctx: click.Context, param: click.Parameter, place: Path | None) -> Path | None:
    """Refuse a file that is source of a pipeline in a folder above it, or that is no earlier output."""
    if place is None or place == STDOUT or ctx.resilient_parsing:
        return place
    _refuse_to_replace(place, _is_output, _START)
    if _is_in_an_image(place):
        advice = "write the file outside of the build context, or add it to .dockerignore"
        raise click.BadParameter(f"{place} would become part of the image; {advice}")
    return place


def pages_of(ctx: click.Context, param: click.Parameter, folder: Path) -> Path:
    """Refuse the place of the state for a folder of pages, which replace their own files only.

    If they are source of an image, print a warning.
    """
    if not ctx.resilient_parsing:
        _refuse_kept(folder)
        _warn_if_in_image(folder / "index.html")
    return folder


def refuse_state(place: Path, *urls: str) -> None:
    """Raise UsageError if an output would be written to one of these stores."""
    for url in urls:
        if file_identity(place) in map(file_identity, _state_files(url)):
            raise click.UsageError(f"{place} is the state of {url}; write the output to another file")


def file_identity(place: Path) -> object:
    """What all paths of one file have in common, also links to it."""
    from providers.regular_files import is_file, real_path  # late: `--help` needs none of it

    real = real_path(place)
    if not is_file(real):
        return real
    status = real.stat()
    return status.st_dev, status.st_ino


def _is_output(start: bytes) -> bool:
    text = start.lstrip()
    return _OUTPUT.match(text) is not None or (text.startswith(_PAGE[0]) and _PAGE[1] in text)


def _is_baseline(content: bytes) -> bool:
    """Whether a file has rules of a baseline, or nothing but comments."""
    lines = map(bytes.strip, content.splitlines())
    return _RULE.search(content) is not None or all(not line or line.startswith(b"#") for line in lines)


def _refuse_to_replace(place: Path, is_output: Callable[[bytes], bool], size: int = -1) -> None:
    """Raise BadParameter if the file exists and is no output.

    Args:
        is_output: whether this is the content of an earlier one.
        size: number of bytes to read; -1 for all.
    """
    from providers.regular_files import is_file, open_regular

    _refuse_kept(place)
    if not is_file(place) or _STREAM.fullmatch(os.fspath(place)):
        return
    try:
        with os.fdopen(open_regular(place), "rb") as file:
            content = file.read(size)
    except OSError as problem:
        detail = f"it exists, and whether it may be replaced cannot be read: {problem.strerror}"
        raise click.BadParameter(f"{place}: {detail}") from None
    if is_output(content) if content else not _is_in_an_image(place):
        return
    what = "an empty file of a build context" if not content else "no earlier output of reconciler"
    advice = "write to another file, or remove this one if you do not need it"
    raise click.BadParameter(f"{place} exists and is {what}; {advice}")


def _refuse_kept(place: Path) -> None:
    """Raise BadParameter for a file that no output may be, whatever it contains."""
    identity = file_identity(place)
    for file, what in _kept_files(place):
        if file_identity(file) == identity:
            raise click.BadParameter(f"{place} is {what}; write to another file")


def _kept_files(place: Path) -> Iterator[tuple[Path, str]]:
    """The files that no output may be, and what they are. `place` is one of them if its name tells it."""
    from providers.regular_files import real_path
    from reconciler.core.diagnostics import UserError

    real = real_path(place)
    if real.name == "config.toml" and os.path.lexists(real):
        yield real, f"the config.toml of {real.parent.name}"
    try:
        if (settings := workspace().file) is not None:
            yield settings, "the settings of the workspace"
        url = state_url()
    except UserError:  # the command reports it
        url = os.environ.get(STATE)
    yield from ((file, "the state of reconciler") for one in {None, url} for file in _state_files(one))


def _state_files(url: str | None) -> Iterator[Path]:
    from providers.regular_files import real_path
    from reconciler.api.stores import files_of_state

    if files := files_of_state(url):
        yield from files
        yield from files_of_state(os.fspath(real_path(files[0])))  # beside the file that a link leads to


def _warn_if_in_image(place: Path) -> None:
    """Print a warning if the file is source of a pipeline in a folder above it."""
    if not _is_in_an_image(place):
        return
    from reconciler.core.diagnostics import warning
    from reconciler.views.terminal.console import console
    from reconciler.views.terminal.messages import print_diagnostics

    detail = (
        "This changes the image's source, which then needs a new version. Write the file outside of the "
        "folder, or add it to .dockerignore."
    )
    problem = warning(f"{place} is in the build context of a pipeline", detail)
    print_diagnostics([problem], console(sys.stderr))


def _is_in_an_image(place: Path) -> bool:
    from providers.regular_files import real_path  # late: `--help` needs none of it

    real = real_path(place)
    folders = [folder for folder in real.parents if os.path.lexists(folder / "config.toml")]
    if not folders:
        return False
    from reconciler.core.diagnostics import UserError
    from reconciler.pipeline.image_source import is_in_image
    from reconciler.pipeline.shared import SharedSettings
    from reconciler.workspace.reader import find_workspace

    for folder in folders:
        try:
            shared = find_workspace(folder).shared()
        except UserError:  # the command reports it
            shared = SharedSettings()
        if is_in_image(folder, real, shared):
            return True
    return False
