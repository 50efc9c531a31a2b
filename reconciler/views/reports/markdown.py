"""Drift reports and plans as Markdown for comments, issues and step summaries."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from urllib.parse import quote

from reconciler.core.approval import SHORT, digest
from reconciler.core.diagnostics import Diagnostic, in_order
from reconciler.core.plan import Action, Plan, Step
from reconciler.drift.findings import Cause, Finding, Report, UnmanagedObject, causes
from reconciler.views.counting import plural
from reconciler.views.phrases import (
    Audience,
    age,
    audience_of,
    coverage,
    facts,
    headline,
    last_applied,
    moment,
    reason,
    state,
    unchecked,
    unmanaged_facts,
    value,
    values,
    way,
    ways,
)
from reconciler.views.plan_rows import rows
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
from reconciler.views.terminal.plans import summary

MANY = 20
"""Pipelines whose commands are listed for a finding that several share."""


def drift_markdown(report: Report, limit: int = COMMENT) -> str:
    """The report in at most `limit` bytes. It starts with a marker, by which a workflow finds its issue."""
    all_causes = causes(report.findings)
    unacknowledged = [cause for cause in all_causes if not cause.first.acknowledged]
    acknowledged = [cause for cause in all_causes if cause.first.acknowledged]
    head = (
        f"<!-- reconciler:drift -->\n## {'Drift: ' if report.findings else ''}{headline(report)}\n\n"
        f"{coverage(report)} Checked {moment(report.at)}.\n"
    )
    return fitted(
        head,
        [
            Section(_TABLE, unacknowledged, _row, "finding", share=0.5),
            folded("Not checked", [*unchecked(report).items()], _unchecked, "problem", share=0.5),
            folded("What to do", unacknowledged, _ways, "finding", share=0.8),
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


def plan_markdown(plans: Sequence[Plan], errors: Sequence[Diagnostic], limit: int = COMMENT) -> str:
    """The plans in at most `limit` bytes.

    The marker at the start names the stack, if there is one plan. The one below it has the digest that
    `--approve` takes, for a workflow that applies the plan after the merge.
    """
    stack = f" {quote(str(plans[0].stack), '@/:', errors='backslashreplace')}" if len(plans) == 1 else ""
    steps = sorted(
        ((plan, step) for plan in plans for step in plan.steps if step.action is not Action.NOOP),
        key=lambda found: -(found[1].action.severity + 10 * bool(found[1].refusal or found[1].conflicts)),
    )
    remarks = in_order(problem for plan in plans for problem in plan.diagnostics)
    approval = digest(plans)
    return fitted(
        f"<!-- reconciler:plan{stack} -->\n<!-- reconciler:digest {approval} -->\n## Plan\n\n"
        f"The digest of the plan is {code(approval[:SHORT])}.\n",
        [
            Section("\n", plans, _head, "plan", share=0.5),
            Section(_PLAN_TABLE, steps, partial(_step, many=len(plans) > 1), "step", share=0.5),
            folded("Not planned", errors, problem_item, "problem", share=0.5),
            folded("Refused", [*_refusals(plans)], str, "step", share=0.5),
            folded("Fields", [found for found in steps if rows(found[1])], _fields, "step"),
            folded("Remarks", remarks, problem_item, "remark"),
        ],
        limit,
    )


_TABLE = "\n| finding | severity | field | in the files | live | age |\n|---|---|---|---|---|---|\n"
_PLAN_TABLE = "\n| action | resource | reason |\n|---|---|---|\n"


def _row(cause: Cause) -> str:
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


def _ways(cause: Cause) -> str:
    """The values and facts of a finding, and the commands for each of its pipelines."""
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
    shown = ", ".join(code(name) for name in names[:10])
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"{problem_item(problem).rstrip()} {shown}{more}\n"


def _head(plan: Plan) -> str:
    return f"{code(plan.stack.label)}  \n{plain(summary(plan).plain)}\n"


def _step(plan_and_step: tuple[Plan, Step], *, many: bool) -> str:
    plan, step = plan_and_step
    where = code(str(step.address)) + (f"<br>{code(plan.stack.label)}" if many else "")
    stopped = " **refused**" if step.refusal else " **conflict**" if step.conflicts else ""
    return f"| {step.action.word}{stopped} | {where} | {plain(reason(step.reason, audience_of(plan)))} |\n"


def _fields(plan_and_step: tuple[Plan, Step]) -> str:
    plan, step = plan_and_step
    head = f"{code(str(step.address))}\n\n| field | live | new | reason |\n|---|---|---|---|\n"
    cells = (
        f"| {code(row.path)} | {code(row.old)} | {code(row.new)} | {plain(row.remark)} |\n"
        for row in rows(step, audience_of(plan))
    )
    return f"{head}{''.join(cells)}\n"


def _refusals(plans: Iterable[Plan]) -> Iterator[str]:
    for plan in plans:
        for step in plan.refused:
            assert step.refusal is not None
            yield f"{code(str(step.address))} {plain(reason(step.refusal.reason, audience_of(plan)))}\n\n"
            for label, command in map(way, step.refusal.ways):
                yield f"{plain(label)}\n\n{block([command]) if command else ''}\n"
        for step in plan.conflicts:
            ways = [f"{plan.apply_command} --{who} {step.address}" for who in ("ours", "theirs")]
            why = reason(step.conflicts[0].reason, audience_of(plan))
            yield f"{code(str(step.address))} {plain(why)}\n\n{block(ways)}\n"
