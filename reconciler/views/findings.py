"""Drift for a person: worst first, each finding with its old and new value and the two ways out."""

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from reconciler.diff import ChangeClass
from reconciler.drift import Finding, Report, StackReport
from reconciler.values import MISSING, Nothing
from reconciler.views.lines import CLASS_STYLES, columns, indented, things
from reconciler.views.values import shown

_STYLES = {**CLASS_STYLES, ChangeClass.PENDING: "yellow", ChangeClass.UNRECORDED: "cyan"}


def print_report(report: Report, out: Console) -> None:
    """Every stack with something to tell, and the whole in one line."""
    for stack in report.stacks:
        if stack.findings or stack.unchecked:
            _print_stack(stack, out)
    out.print(_summary(report))


def _print_stack(stack: StackReport, out: Console) -> None:
    out.print(Text.assemble((str(stack.stack), "bold"), f"  {_last_apply(stack)}"))
    for finding in stack.findings:
        for line in _finding(finding):
            out.print(indented(line, 2))
    out.print()


def _finding(finding: Finding) -> Iterator[Text]:
    change = finding.change
    style = "dim" if finding.acknowledged else _STYLES.get(change.cls, "")
    yield Text.assemble((f"{change.cls.value} ", style), (finding.field, "bold"), f"  {change.reason}")
    values = [
        [Text(word, "dim"), Text(shown(value))]
        for word, value in (
            ("the files say", change.desired),
            ("it was", change.recorded),
            ("it is now", change.live),
        )
        if change.path and not (isinstance(value, Nothing) and value is MISSING)
    ]
    facts = [("in the files", change.place)]
    if finding.seen.first < finding.seen.last:
        facts.append(("seen since", f"{finding.seen.first:%Y-%m-%d %H:%M} UTC"))
    if finding.modified_at or finding.modified_by:
        facts.append(("changed", " by ".join(filter(None, (finding.modified_at, finding.modified_by)))))
    if finding.acknowledged is not None:
        known = finding.acknowledged
        until = f" until {known.expires}" if known.expires else ""
        facts.append(("acknowledged", f"by {known.owner}{until}: {known.reason}"))
    else:
        facts.append(("put it back", finding.put_back))
        facts.append(("take it over", finding.take_over))
    rows = [*values, *([Text(word, "dim"), Text(value)] for word, value in facts if value)]
    for line in columns(rows):
        yield indented(line, 2)


def _last_apply(stack: StackReport) -> str:
    last = stack.last_apply
    if last is None:
        return "nothing is recorded, so nobody knows who changed what"
    who = f" by {last.by}@{last.host}" if last.by else ""
    commit = f" from {last.git_commit[:9]}" if last.git_commit else ""
    return f"last applied {last.at[:16].replace('T', ' ')}{who}{commit}"


def _summary(report: Report) -> Text:
    found = [finding for finding in report.findings if not finding.acknowledged]
    known = len(report.findings) - len(found)
    clean = sum(not stack.findings and not stack.unchecked for stack in report.stacks)
    counts = [
        Text(f"{count} {cls.value}", _STYLES.get(cls, ""))
        for cls in (
            *(ChangeClass.CONFLICT, ChangeClass.DRIFT, ChangeClass.PENDING, ChangeClass.UNRECORDED),
            ChangeClass.UNVERIFIED,
        )
        if (count := sum(finding.change.cls is cls for finding in found))
    ]
    parts = [*counts, *([Text(f"{known} acknowledged", "dim")] if known else [])]
    text = Text.assemble(("Drift: ", "bold"), Text(", ").join(parts)) if parts else Text("No drift", "green")
    text.append(f". {things(clean, 'pipeline')} in sync.")
    if report.unchecked:
        text.append(f" {len(report.unchecked)} not checked.", "bold red")
    return text
