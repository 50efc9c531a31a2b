"""Writes documents for programs, to stdout or a file. No other module prints them."""

import sys
from pathlib import Path

from providers.patterns import pattern
from providers.regular_files import read_start
from reconciler.cli.options.param_types import STDOUT
from reconciler.core.diagnostics import Diagnostic, UserError, error
from reconciler.system.files import why_not_written, write_output
from reconciler.views.safe import in_workflow, safe_for_workflows
from reconciler.views.terminal.live_views import before_output

_FORMAT = pattern(rb'"format": ?"(reconciler/[a-z]+)"')
"""Every document begins with its format."""


def print_document(text: str, format_: str = "json") -> None:
    """Print a document. In GitHub Actions, text that reads as a workflow command is escaped."""
    before_output()
    try:
        sys.stdout.write(safe_for_workflows(text, format_) if in_workflow() else text)
    except OSError as problem:
        problem.filename = "stdout"
        raise


def print_line(text: str) -> None:
    """Print one line of a document in lines, and flush it: its reader need not wait for the next one."""
    print_document(text)
    sys.stdout.flush()


def format_of(file: Path) -> bytes:
    """The format that the beginning of the file names; b"" if it names none, or there is no file.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        if not file.is_file():  # a pipe could be read only once
            return b""
        found = _FORMAT.search(read_start(file, 200))
    except OSError as problem:
        raise UserError(error("the file cannot be read", f"{problem.strerror}.", file=file)) from None
    return found[1] if found else b""


def write_document(place: Path, text: str, format_: str = "json") -> None:
    """Write a document to a file, or to stdout.

    Raises:
        UserError: the file cannot be written.
    """
    try:
        write_to(place, text, format_)
    except OSError as problem:
        raise UserError(not_written("the output", place, why_not_written(place, problem))) from None


def not_written(what: str, place: Path | None, detail: str) -> Diagnostic:
    """The error for an output that cannot be written to a file, or to stdout."""
    if place in (None, STDOUT):
        return error(f"{what} cannot be written to stdout", detail)
    return error(f"{what} cannot be written", detail, file=place)


def write_to(place: Path, text: str, format_: str) -> None:
    """As `write_document`. Raises OSError."""
    content = text.encode("utf-8", "backslashreplace")
    if place == STDOUT:
        print_document(content.decode(), format_)
    else:
        write_output(place, content, mode=0o644)  # readable by all: the user of the next step, a web server
