"""Prints the problems of many pipelines, equal ones once, with their reasons and ways out."""

from collections.abc import Iterable, Sequence

from providers.text import shown_names
from reconciler.core.diagnostics import Severity
from reconciler.views.counting import plural
from reconciler.views.fleet_problems import ProblemRow
from reconciler.views.terminal.console import SEVERITY_STYLES, Console, indented
from reconciler.views.terminal.text import Text

MOST_NAMES = 12
"""Pipelines that are named with one problem; the others are counted."""
MOST_NOTED = 3
"""Pipelines that are named with one warning or remark, and places of one problem."""


def print_problems(rows: Iterable[ProblemRow], err: Console) -> None:
    """Print each problem with its pipelines, its places in the files, and its ways out."""
    styles = {severity.value: SEVERITY_STYLES[severity] for severity in Severity}
    for row in rows:
        problem = row.problem
        heading = (f"{problem.word}: ", styles.get(problem.word, "bold red"))
        err.print(Text.assemble(heading, (problem.text, "bold")))
        is_remark = problem.word in (Severity.WARNING, Severity.INFO)
        most = MOST_NOTED if is_remark else MOST_NAMES
        err.print(indented(Text(in_pipelines(row.pipelines, most)), 2))
        address = problem.address if len(row.pipelines) == 1 else ""
        if place := "  ".join(filter(None, (shown_names(row.places, MOST_NOTED), address))):
            err.print(indented(Text(f"at {place}", "dim"), 2))
        for detail in problem.details:
            err.print(indented(Text(detail), 2))
        for label, command in problem.ways:
            line = Text.assemble(label, ":  ", (command, "cyan")) if command else Text(label)
            err.print(indented(line, 4))


def in_pipelines(names: Sequence[str], most: int = MOST_NAMES) -> str:
    """`in a`, or `in 34 pipelines: a, b and 32 more`."""
    if len(names) == 1:
        return f"in {names[0]}"
    return f"in {plural(len(names), 'pipeline')}: {shown_names(names, most)}"
