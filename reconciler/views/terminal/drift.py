"""Prints a drift report: worst first, each finding with its values and the commands that resolve it."""

from collections.abc import Iterable, Iterator

from providers.text import shown_names
from reconciler.core.diff import ChangeClass
from reconciler.drift.findings import Cause, Finding, Report, StackReport, causes
from reconciler.views.phrases import (
    Audience,
    counts,
    coverage,
    facts,
    headline,
    last_applied,
    never_applied,
    reason,
    unmanaged_facts,
    values,
    ways,
)
from reconciler.views.terminal.console import CLASS_STYLES, Console, columns, indented
from reconciler.views.terminal.text import Text

_NAMED = 8  # pipelines to list for the same finding in several
_STYLES = {**CLASS_STYLES, ChangeClass.PENDING: "yellow", ChangeClass.UNRECORDED: "cyan"}
_STYLE_OF_WORD = {cls.value: style for cls, style in _STYLES.items()} | {"acknowledged": "dim"}


def print_report(report: Report, out: Console) -> None:
    """Print findings that several pipelines share, the other findings of each stack, and a summary."""
    for stack in report.new:
        out.print(Text(stack.stack.label, "bold"))
        _print_indented(_never_applied(stack), out)
        out.print()
    shared = [cause for cause in causes(report.of_applied) if len(cause.findings) > 1]
    if shared:
        out.print(Text("The same in several pipelines", "bold"))
        for cause in shared:
            _print_indented(_cause(cause), out)
        out.print()
    shared_ids = {finding.id for cause in shared for finding in cause.findings}
    for stack in report.stacks:
        if stack.is_new:
            continue
        own = [finding for finding in stack.findings if finding.id not in shared_ids]
        if own or stack.unchecked:
            out.print(Text.assemble((stack.stack.label, "bold"), f"  {last_applied(stack)}"))
            for finding in own:
                _print_indented(_finding(finding), out)
            out.print()
    if report.unmanaged:
        out.print(Text("Not managed by any stack in the state", "bold"))
        rows = ([Text(str(one.address)), Text(unmanaged_facts(one), "dim")] for one in report.unmanaged)
        _print_indented(columns(rows), out)
        out.print()
    out.print(_summary(report))


def _print_indented(lines: Iterable[Text], out: Console) -> None:
    for line in lines:
        out.print(indented(line, 2))


def _never_applied(stack: StackReport) -> Iterator[Text]:
    """One row with one command, as one apply creates everything."""
    style = _STYLES[ChangeClass.PENDING]
    yield Text.assemble((f"{ChangeClass.PENDING.value} ", style), never_applied(stack))
    yield from _rows([("apply the files", stack.stack.command("apply"))])


def _cause(cause: Cause) -> Iterator[Text]:
    first, stacks = cause.first, [finding.stack.name for finding in cause.findings]
    where = ("pipelines", f"{len(stacks):,}: {shown_names(stacks, _NAMED)}")
    example = [(label, f"in each, for example: {command}") for label, command in ways(first)]
    yield _head(first, cause.where)
    yield from _rows((*values(first), where, *example))


def _finding(finding: Finding) -> Iterator[Text]:
    yield _head(finding, finding.field)
    yield from _rows((*values(finding), *facts(finding), *ways(finding)))


def _head(finding: Finding, field: str) -> Text:
    change = finding.change
    style = "dim" if finding.acknowledged else _STYLES.get(change.cls, "")
    return Text.assemble(
        (f"{change.cls.value} ", style), (field, "bold"), f"  {reason(change.reason, Audience.DRIFT)}"
    )


def _rows(pairs: Iterable[tuple[str, str]]) -> Iterator[Text]:
    for line in columns([Text(label, "dim"), Text(value)] for label, value in pairs):
        yield indented(line, 2)


def _summary(report: Report) -> Text:
    if report.findings:
        parts = [Text(f"{count:,} {word}", _STYLE_OF_WORD.get(word, "")) for word, count in counts(report)]
        text = Text.assemble(("Found: ", "bold"), Text(", ").join(parts))
    else:
        text = Text(headline(report), "yellow" if report.unchecked else "green")
    return text.append(f". {coverage(report)}")
