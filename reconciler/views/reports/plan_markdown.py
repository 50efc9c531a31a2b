"""Plans as Markdown for a comment: one plan step by step, several by kind of change."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from urllib.parse import quote

from reconciler.core.approval import SHORT, digest
from reconciler.core.diagnostics import Diagnostic, in_order
from reconciler.core.plan import Action, Plan, Stack, Step
from reconciler.views.conflict_ways import conflict_ways
from reconciler.views.fleet_changes import change_rows, contract_rows, totals
from reconciler.views.fleet_problems import ProblemRow, refusals, remarks
from reconciler.views.phrases import audience_of, promotion, reason, way
from reconciler.views.plan_rows import image_versions, rows
from reconciler.views.reports.markdown_parts import (
    CHANGES,
    COMMENT,
    CONTRACT,
    Section,
    block,
    change_item,
    code,
    contract_item,
    fitted,
    folded,
    names,
    plain,
    problem_item,
)
from reconciler.views.terminal.plans import summary

_STEPS = "\n| action | resource | reason |\n|---|---|---|\n"


Owners = Mapping[Stack, Sequence[str]]


def plan_markdown(
    plans: Sequence[Plan],
    errors: Sequence[Diagnostic],
    limit: int = COMMENT,
    owners: Owners = MappingProxyType({}),
) -> str:
    """The plans in at most `limit` bytes.

    The marker at the start names the stack, if there is one plan. The one below it has the digest that
    `--approve` takes, for a workflow that applies the plan after the merge.

    Args:
        owners: of the folder of each stack, as code: a mention would send each of them a message.
    """
    stack = f" {quote(str(plans[0].stack), '@/:', errors='backslashreplace')}" if len(plans) == 1 else ""
    approval = digest(plans)
    counts = ", ".join(f"{count:,} {word}" for word, count in totals(plans).items())
    found = f": {counts}" if len(plans) > 1 else ""
    head = (
        f"<!-- reconciler:plan{stack} -->\n<!-- reconciler:digest {approval} -->\n## Plan{found}\n\n"
        f"The digest of the plan is {code(approval[:SHORT])}.\n"
    )
    not_planned = folded("Not planned", errors, problem_item, "problem", share=0.5)
    one = _one(plans[0], not_planned, owners) if len(plans) == 1 else None
    sections = [*(one or _several(plans, not_planned, owners))]
    return fitted(head, sections, limit)


def _one(plan: Plan, not_planned: Section, owners: Owners) -> Iterator[Section]:
    steps = sorted(
        (step for step in plan.steps if step.action is not Action.NOOP),
        key=lambda step: -(step.action.severity + 10 * bool(step.refusal or step.conflicts)),
    )
    yield Section("\n", [plan], partial(_head, owners), "plan", share=0.5)
    yield Section(CONTRACT, contract_rows([plan]), contract_item, "change of the contract", share=0.5)
    yield Section(_STEPS, steps, lambda step: _step(plan, step), "step", share=0.5)
    yield not_planned
    yield folded("Refused", [*_refusals(plan)], str, "step", share=0.5)
    yield folded("Fields", [step for step in steps if rows(step)], lambda step: _fields(plan, step), "step")
    yield folded("Remarks", in_order(plan.diagnostics), problem_item, "remark")


def _several(plans: Sequence[Plan], not_planned: Section, owners: Owners) -> Iterator[Section]:
    """The same change of several pipelines is one row, and so is the same refusal."""
    ready = [plan for plan in plans if plan.can_apply and not plan.is_empty]
    yield not_planned
    yield Section("\nRefused:\n\n", refusals(plans), _problem, "refusal", share=0.4)
    yield Section(CONTRACT, contract_rows(plans), contract_item, "change of the contract", share=0.4)
    yield Section(CHANGES, change_rows(ready), change_item, "change", share=0.6)
    yield folded("Pipelines", ready, partial(_head, owners), "plan", share=0.6)
    yield folded("Remarks", remarks(plans), _problem, "remark")


def _problem(row: ProblemRow) -> str:
    problem = row.problem
    places = (*row.places, *([problem.address] if problem.address and len(row.pipelines) == 1 else []))
    place = f" {', '.join(map(code, places))}" if places else ""
    lines = [f"- **{problem.word}** {plain(problem.text)}: {names(row.pipelines)}{place}\n"]
    lines += [f"  - {plain(detail)}\n" for detail in problem.details]
    lines += [
        f"  - {plain(label)}{f' {code(command)}' if command else ''}\n" for label, command in problem.ways
    ]
    return "".join(lines)


def _head(owners: Owners, plan: Plan) -> str:
    versions = _versions(plan)
    of_image = f" {plain(versions)}" if versions else ""
    owned = ", ".join(map(code, owners.get(plan.stack, ())))
    both = f"{plain(promotion(plan.promotion))}  \n" if plan.promotion is not None else ""
    head = f"{code(plan.stack.label)}{of_image}{f', owned by {owned}' if owned else ''}"
    return f"{head}  \n{both}{plain(summary(plan).plain)}\n\n"


def _versions(plan: Plan) -> str:
    """`1.0.0 to 1.0.1`, or the version of a first image; "" if the plan changes none."""
    before, after = image_versions(plan)
    return f"{before} to {after}" if before and before != after else after


def _step(plan: Plan, step: Step) -> str:
    stopped = " **refused**" if step.refusal else " **conflict**" if step.conflicts else ""
    why = plain(reason(step.reason, audience_of(plan)))
    return f"| {step.action.word}{stopped} | {code(str(step.address))} | {why} |\n"


def _fields(plan: Plan, step: Step) -> str:
    head = f"{code(str(step.address))}\n\n| field | live | new | reason |\n|---|---|---|---|\n"
    cells = (
        f"| {code(row.path)} | {code(row.old)} | {code(row.new)} | {plain(row.remark)} |\n"
        for row in rows(step, audience_of(plan))
    )
    return f"{head}{''.join(cells)}\n"


def _refusals(plan: Plan) -> Iterator[str]:
    for step in plan.refused:
        assert step.refusal is not None
        yield f"{code(str(step.address))} {plain(reason(step.refusal.reason, audience_of(plan)))}\n\n"
        for label, command in map(way, step.refusal.ways):
            yield f"{plain(label)}\n\n{block([command]) if command else ''}\n"
    for step in plan.conflicts:
        ways = [command for _, command in conflict_ways(plan, step, alone=True)]
        why = reason(step.conflicts[0].reason, audience_of(plan))
        yield f"{code(str(step.address))} {plain(why)}\n\n{block(ways)}\n"
