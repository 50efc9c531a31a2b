"""Documents on stdout, for programs: the one way that they get there."""

import sys

from reconciler.views.safe import in_workflow, safe_for_workflows


def print_document(text: str, format_: str = "json") -> None:
    """Print a document; where GitHub Actions reads it, nothing in it is a command to the workflow."""
    sys.stdout.write(safe_for_workflows(text, format_) if in_workflow() else text)
