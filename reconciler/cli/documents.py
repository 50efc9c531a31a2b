"""Prints documents for programs on stdout. No other module does."""

import sys

from reconciler.views.safe import in_workflow, safe_for_workflows


def print_document(text: str, format_: str = "json") -> None:
    """Print a document. In GitHub Actions, text that reads as a workflow command is escaped."""
    sys.stdout.write(safe_for_workflows(text, format_) if in_workflow() else text)


def print_line(text: str) -> None:
    """Print one line of a document in lines, and flush it: its reader need not wait for the next one."""
    print_document(text)
    sys.stdout.flush()
