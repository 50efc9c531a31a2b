"""The table of `list`."""

from collections.abc import Iterable

from reconciler.system.files import display_path
from reconciler.views.terminal.console import columns
from reconciler.views.terminal.text import Text
from reconciler.workspace.config_file import PipelineSummary

_HEADER = ("folder", "stack", "type", "version", "gpu")


def pipeline_lines(rows: Iterable[tuple[PipelineSummary, tuple[str, ...]]], *, explain: bool) -> list[Text]:
    """The table, with a header; empty without pipelines.

    Args:
        rows: the pipelines, each with the reasons why it is selected.
        explain: whether the table has the reasons.
    """
    lines = [
        [
            Text(display_path(summary.folder), "bold"),
            *(Text(value or "-") for value in (summary.stack, summary.type, summary.version)),
            Text("-" if summary.gpu is None else str(summary.gpu)),
            *([Text("; ".join(why), "dim")] if explain else []),
        ]
        for summary, why in rows
    ]
    header = [*_HEADER, *(["why"] if explain else [])]
    return columns([[Text(word, "dim") for word in header], *lines]) if lines else []
