"""Drift reports as Markdown for comments, issues and step summaries."""

from collections.abc import Sequence

from providers.text import shown_names
from reconciler.core.diagnostics import Diagnostic, in_order
from reconciler.drift.findings import Cause, Finding, Report, StackReport, UnmanagedObject, causes
from reconciler.views.counting import plural
from reconciler.views.phrases import (
    Audience,
    age,
    coverage,
    facts,
    headline,
    last_applied,
    moment,
    never_applied,
    reason,
    state,
    unchecked,
    unmanaged_facts,
    value,
    values,
    ways,
)
from reconciler.views.reports.markdown_parts import (
    COMMENT,
    Section,
    block,
    code,
    fitted,
    folded,
    plain,
    problem_item,
)

MANY = 20
"""Pipelines whose commands are listed for a finding that several share."""


def drift_markdown(report: Report, limit: int = COMMENT) -> str:
    """The report in at most `limit` bytes. It starts with a marker, by which a workflow finds its issue."""
    all_causes = causes(report.of_applied)
    found: list[Cause | StackReport] = [cause for cause in all_causes if not cause.first.acknowledged]
    found += report.new
    acknowledged = [cause for cause in all_causes if cause.first.acknowledged]
    head = (
        f"<!-- reconciler:drift -->\n## {'Drift: ' if report.findings else ''}{headline(report)}\n\n"
        f"{coverage(report)} Checked {moment(report.at)}.\n"
    )
    return fitted(
        head,
        [
            Section(_TABLE, found, _row, "finding", share=0.5),
            folded("Not checked", [*unchecked(report).items()], _unchecked, "problem", share=0.5),
            folded("What to do", found, _ways, "finding", share=0.8),
            folded("Acknowledged", acknowledged, _row, "finding", table=_TABLE),
            folded(
                "Not managed by any stack in the state", report.unmanaged or (), _object, "object", share=0.8
            ),
            folded("Remarks", in_order(report.remarks), problem_item, "remark"),
            folded(
                "Last applied",
                report.stacks,
                lambda stack: f"- {code(stack.stack.label)}: {plain(last_applied(stack))}\n",
                "pipeline",
            ),
        ],
        limit,
    )


_TABLE = "\n| finding | severity | field | in the files | live | age |\n|---|---|---|---|---|---|\n"


def _row(cause: Cause | StackReport) -> str:
    if isinstance(cause, StackReport):
        return _new_row(cause)
    first = cause.first
    where = code(cause.where)
    where += f"<br>in {plural(len(cause.findings), 'pipeline')}" if len(cause.findings) > 1 else ""
    where += f"<br>{code(first.change.place)}" if first.change.place and len(cause.findings) == 1 else ""
    now = code(value(first, "live")) or _why(first)
    cells = (
        f"**{state(first)}**",
        first.effect.name.lower(),
        where,
        code(value(first, "desired")),
        now,
        age(first),
    )
    return f"| {' | '.join(cells)} |\n"


def _new_row(stack: StackReport) -> str:
    """The row of a stack that was never applied."""
    first = stack.findings[0]
    where = f"{code(stack.stack.label)}<br>{plain(never_applied(stack))}"
    return f"| **{state(first)}** | {first.effect.name.lower()} | {where} |  |  | {age(first)} |\n"


def _ways(cause: Cause | StackReport) -> str:
    """The values and facts of a finding, and the commands for each of its pipelines."""
    if isinstance(cause, StackReport):
        head = f"{code(cause.stack.label)} {plain(never_applied(cause))}"
        return "\n".join([head, "", block([cause.stack.command("apply")]), ""])
    first = cause.first
    lines = [f"- {label}: {code(text)}" for label, text in (*values(first), *facts(first))]
    commands = [command for finding in cause.findings[:MANY] for _, command in ways(finding)]
    if len(cause.findings) > MANY:
        lines.append(f"- {plural(len(cause.findings) - MANY, 'pipeline')} more, with the same commands")
    head = f"{code(cause.where)} {_why(first)}"
    return "\n".join([head, "", *lines, "", block(commands), ""])


def _why(finding: Finding) -> str:
    return plain(reason(finding.change.reason, Audience.DRIFT))


def _object(one: UnmanagedObject) -> str:
    return f"- {code(str(one.address))} {plain(unmanaged_facts(one))}\n"


def _unchecked(problem_and_names: tuple[Diagnostic, Sequence[str]]) -> str:
    problem, names = problem_and_names
    return f"{problem_item(problem).rstrip()} {shown_names([*map(code, names)], 10)}\n"
