"""Prints documents for programs on stdout, as no other module does, and says which one a file has."""

import re
import sys
from pathlib import Path

from reconciler.views.safe import in_workflow, safe_for_workflows

_FORMAT = re.compile(rb'"format": ?"(reconciler/[a-z]+)"')
"""Every document begins with its format."""


def print_document(text: str, format_: str = "json") -> None:
    """Print a document. In GitHub Actions, text that reads as a workflow command is escaped."""
    sys.stdout.write(safe_for_workflows(text, format_) if in_workflow() else text)


def print_line(text: str) -> None:
    """Print one line of a document in lines, and flush it: its reader need not wait for the next one."""
    print_document(text)
    sys.stdout.flush()


def format_of(file: Path) -> bytes:
    """The format that the beginning of the file names; b"" if it names none or cannot be read."""
    try:
        if not file.is_file():  # a pipe could be read only once
            return b""
        with file.open("rb") as opened:
            found = _FORMAT.search(opened.read(200))
    except OSError:
        return b""
    return found[1] if found else b""
