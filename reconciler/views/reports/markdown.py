"""Drift and plans as Markdown for comments, issues and step summaries: what counts first, the rest folded.

Never longer than what it is for takes: what does not fit is counted and said. Whatever comes from files or
far ends is written so that it is neither markup nor a mention of anybody.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

from reconciler.core.diagnostics import Diagnostic, in_order
from reconciler.core.plan import Action, Plan, Step
from reconciler.drift.findings import Cause, Finding, Report, causes
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
    value,
    values,
    way,
    ways,
)
from reconciler.views.plan_rows import rows
from reconciler.views.safe import one_line
from reconciler.views.terminal.plans import summary

COMMENT = 65_536
"""What GitHub takes as a comment or an issue, in characters; counted in bytes here, which are never fewer."""
MANY = 20
"""Pipelines of which the commands are written out when the same has to be done for each."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part with any number of items, of which as many are shown as there is room for.

    Attributes:
        head, foot: around the items.
        items: most important first.
        draw: one of them as Markdown; asked only as long as there is room.
        noun: what one of them is.
        share: part of the room that is left which it may take.
    """

    head: str
    items: Sequence[Any]
    draw: Callable[[Any], str]
    noun: str
    foot: str = ""
    share: float = 1.0


def drift_markdown(report: Report, limit: int = COMMENT) -> str:
    """The report in at most `limit` bytes, behind the marker by which a workflow finds its own issue."""
    found = causes(report.findings)
    news = [cause for cause in found if not cause.first.acknowledged]
    known = [cause for cause in found if cause.first.acknowledged]
    head = (
        f"<!-- reconciler:drift -->\n## {'Drift: ' if report.findings else ''}{headline(report)}\n\n"
        f"{coverage(report)} Checked {moment(report.at)}.\n"
    )
    return _fitted(
        head,
        [
            Section(_TABLE, news, _row, "finding", share=0.5),
            _folded("Not checked", [*unchecked(report).items()], _unchecked, "problem", share=0.5),
            _folded("What to do", news, _ways, "finding", share=0.8),
            _folded("Acknowledged", known, _row, "finding", table=_TABLE),
            _folded("Remarks", in_order(report.remarks), _problem, "remark"),
            _folded(
                "Last applied",
                report.stacks,
                lambda stack: f"- {code(str(stack.stack))}: {plain(last_applied(stack))}\n",
                "pipeline",
            ),
        ],
        limit,
    )


def plan_markdown(plans: Sequence[Plan], errors: Sequence[Diagnostic], limit: int = COMMENT) -> str:
    """The plans in at most `limit` bytes, behind the marker of its stack, or of several."""
    whose = f" {quote(str(plans[0].stack), '@/:', errors='backslashreplace')}" if len(plans) == 1 else ""
    steps = sorted(
        ((plan, step) for plan in plans for step in plan.steps if step.action is not Action.NOOP),
        key=lambda found: -(found[1].action.severity + 10 * bool(found[1].refusal or found[1].conflicts)),
    )
    remarks = in_order(problem for plan in plans for problem in plan.diagnostics)
    return _fitted(
        f"<!-- reconciler:plan{whose} -->\n## Plan\n",
        [
            Section("\n", plans, _head, "plan", share=0.5),
            Section(_PLAN_TABLE, steps, partial(_step, many=len(plans) > 1), "step", share=0.5),
            _folded("Not planned", errors, _problem, "problem", share=0.5),
            _folded("Refused as it stands", [*_refusals(plans)], str, "step", share=0.5),
            _folded("Fields", [found for found in steps if rows(found[1])], _fields, "step"),
            _folded("Remarks", remarks, _problem, "remark"),
        ],
        limit,
    )


_TABLE = "\n| what | severity | where | the files say | it is now | since |\n|---|---|---|---|---|---|\n"
_PLAN_TABLE = "\n| action | resource | why |\n|---|---|---|\n"


def code(text: str) -> str:
    """Text as code that is only text: in HTML, as Markdown has no way to quote a backtick in a table."""
    return f"<code>{_numbered(one_line(text))}</code>" if text else ""


def plain(text: str) -> str:
    """Text on one line that is no markup, no mention and no reference to an issue."""
    joined = " ".join(one_line(line) for line in text.split("\n"))
    return _numbered(re.sub(r"[@#](?=\w)", "\\g<0>\u200b", joined))


_READ = re.compile(r"""[^\w .,;:/=+()'"@#%?…“”\u200b-]|(?<![^\W_])_|_(?![^\W_])|^:|#(?=#)""")


def _numbered(text: str) -> str:
    """With every character that Markdown, a table or HTML could read as its own by its number."""
    return _READ.sub(lambda found: f"&#{ord(found[0])};", text)


def _folded(
    title: str,
    items: Sequence[Any],
    draw: Callable[[Any], str],
    noun: str,
    *,
    table: str = "",
    share: float = 1.0,
) -> Section:
    head = f"\n<details><summary>{title}</summary>\n{table or chr(10)}"
    return Section(head, items, draw, noun, foot="\n</details>\n", share=share)


def _fitted(head: str, sections: Iterable[Section], limit: int) -> str:
    """The head, and of each section what there is room for."""
    text = head
    for section in sections:
        if section.items:
            text += _part(section, limit - _length(text))
    return text


def _part(section: Section, room: int) -> str:
    """As many items as the section's share of the room holds, and how many those were not."""

    def rest(count: int) -> str:
        return f"\n_{plural(count, section.noun)} not shown here._\n"

    frame = _length(section.head + section.foot)
    left = int(room * section.share) - frame - _length(rest(len(section.items)))
    shown = []
    for item in map(section.draw, section.items):
        left -= _length(item)
        if left < 0:
            break
        shown.append(item)
    missing = len(section.items) - len(shown)
    told = rest(missing) if missing else ""
    if not shown:
        return told if _length(told) <= room else ""
    return section.head + "".join(shown) + told + section.foot


def _length(text: str) -> int:
    return len(text.encode("utf-8", "backslashreplace"))


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
    """What is known of it, and the ways out for each pipeline that it was found in."""
    first = cause.first
    told = [f"- {word}: {code(said)}" for word, said in (*values(first), *facts(first))]
    commands = [command for finding in cause.findings[:MANY] for _, command in ways(finding)]
    if len(cause.findings) > MANY:
        told.append(f"- {plural(len(cause.findings) - MANY, 'pipeline')} more, with the same commands")
    head = f"{code(cause.where)} {_why(first)}"
    return "\n".join([head, "", *told, "", _block(commands), ""])


def _why(finding: Finding) -> str:
    return plain(reason(finding.change.reason, Audience.DRIFT))


def _block(lines: Sequence[str]) -> str:
    """Lines to copy, in a fence that none of them can end."""
    text = "\n".join(map(one_line, lines))
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}sh\n{text}\n{fence}\n"


def _problem(problem: Diagnostic) -> str:
    at = " ".join(code(part) for part in (problem.address, problem.place) if part)
    detail = f" {plain(problem.detail)}" if problem.detail else ""
    return f"- {at}{': ' if at else ''}{plain(problem.summary)}.{detail}\n"


def _unchecked(told: tuple[Diagnostic, Sequence[str]]) -> str:
    problem, names = told
    shown = ", ".join(code(name) for name in names[:10])
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"{_problem(problem).rstrip()} {shown}{more}\n"


def _head(plan: Plan) -> str:
    return f"{code(str(plan.stack))}  \n{plain(summary(plan).plain)}\n"


def _step(found: tuple[Plan, Step], *, many: bool) -> str:
    plan, step = found
    where = code(str(step.address)) + (f"<br>{code(str(plan.stack))}" if many else "")
    stopped = " **refused**" if step.refusal else " **conflict**" if step.conflicts else ""
    return f"| {step.action.word}{stopped} | {where} | {plain(reason(step.reason, audience_of(plan)))} |\n"


def _fields(found: tuple[Plan, Step]) -> str:
    plan, step = found
    head = f"{code(str(step.address))}\n\n| field | it is now | it becomes | why |\n|---|---|---|---|\n"
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
                yield f"{plain(label)}\n\n{_block([command]) if command else ''}\n"
        for step in plan.conflicts:
            ways = [f"{plan.apply_command} --{who} {step.address}" for who in ("ours", "theirs")]
            why = reason(step.conflicts[0].reason, audience_of(plan))
            yield f"{code(str(step.address))} {plain(why)}\n\n{_block(ways)}\n"
