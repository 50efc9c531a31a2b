"""Drift for a person: worst first, each finding with its old and new value and the two ways out."""

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from reconciler.diff import ChangeClass
from reconciler.drift import Finding, Report, StackReport
from reconciler.views.lines import CLASS_STYLES, columns, indented
from reconciler.views.wording import counted, coverage, facts, headline, last_applied, values, ways

_STYLES = {**CLASS_STYLES, ChangeClass.PENDING: "yellow", ChangeClass.UNRECORDED: "cyan"}
_STYLE_OF_WORD = {cls.value: style for cls, style in _STYLES.items()} | {"acknowledged": "dim"}


def print_report(report: Report, out: Console) -> None:
    """Every stack with something to tell, and the whole in one line."""
    for stack in report.stacks:
        if stack.findings or stack.unchecked:
            _print_stack(stack, out)
    out.print(_summary(report))


def _print_stack(stack: StackReport, out: Console) -> None:
    out.print(Text.assemble((str(stack.stack), "bold"), f"  {last_applied(stack)}"))
    for finding in stack.findings:
        for line in _finding(finding):
            out.print(indented(line, 2))
    out.print()


def _finding(finding: Finding) -> Iterator[Text]:
    change = finding.change
    style = "dim" if finding.acknowledged else _STYLES.get(change.cls, "")
    yield Text.assemble((f"{change.cls.value} ", style), (finding.field, "bold"), f"  {change.reason}")
    told = (*values(finding), *facts(finding), *ways(finding))
    rows = [[Text(word, "dim"), Text(value)] for word, value in told]
    for line in columns(rows):
        yield indented(line, 2)


def _summary(report: Report) -> Text:
    if report.findings:
        counts = [Text(part, _STYLE_OF_WORD.get(part.partition(" ")[2], "")) for part in counted(report)]
        text = Text.assemble(("Drift: ", "bold"), Text(", ").join(counts))
    else:
        text = Text(headline(report), "yellow" if report.unchecked else "green")
    return text.append(f". {coverage(report)}")
