"""Prints a plan: a tree of resources, each field with its old and new value, class and reason."""

from collections.abc import Iterable, Iterator, Sequence

from providers.reasons import Reason
from reconciler.core.contract import ContractChange
from reconciler.core.diagnostics import error
from reconciler.core.diff import ChangeClass
from reconciler.core.plan import Action, Plan, Step
from reconciler.core.stale import StaleStep
from reconciler.core.values import MISSING, Address
from reconciler.views.conflict_ways import conflict_ways
from reconciler.views.counting import plural
from reconciler.views.phrases import (
    WORLDS,
    Audience,
    audience_of,
    contract_counts,
    contract_reason,
    effect,
    ignored,
    plan_mismatch,
    reason,
    saved_or_current,
    unverified,
    way,
)
from reconciler.views.plan_rows import _is_row, rows
from reconciler.views.shown_values import format_value
from reconciler.views.terminal.console import CLASS_STYLES, STYLES, Console, columns, indented, print_lines
from reconciler.views.terminal.messages import print_diagnostics
from reconciler.views.terminal.promotions import promotion_lines
from reconciler.views.terminal.text import Text

_GUIDES = {False: ("├── ", "│   "), True: ("└── ", "    ")}
"""By whether a child is the last one of its parent: what is before its head, and before its rows."""

SUMMARISED = (
    Action.CREATE,
    Action.UPDATE,
    Action.REPLACE,
    Action.DELETE,
    Action.ADOPT,
    Action.FORGET,
)


def print_plan(plan: Plan, out: Console) -> None:
    """Print the plan as a tree of resources, and its summary."""
    print_lines(_lines(plan), out)


def _lines(plan: Plan) -> Iterator[Text]:
    yield Text.assemble((plan.stack.label, "bold"), ("  " + plan.stack.host, "dim"))
    if plan.promotion is not None:
        yield from promotion_lines(plan.promotion)
    shown = [step for step in plan.steps if _is_shown(step)]
    if shown:
        yield Text()
        yield from _tree(shown, audience_of(plan))
        yield Text()
    yield from contract_lines(plan)
    yield summary(plan)


def contract_lines(plan: Plan) -> Iterable[Text]:
    """What the plan changes for jobs of its processing; no line without such a change."""
    if not plan.contract:
        return
    yield Text.assemble(("Contract: ", "bold"), contract_counts(plan.contract), ".")
    yield from (indented(line, 2) for line in columns(contract_rows(plan.contract)))
    yield Text()


def contract_rows(changes: Iterable[ContractChange]) -> list[list[Text]]:
    """A row for each change of a contract: its effect, the input, the words and the place."""
    return [
        [
            Text(effect(change), effect_style(change)),
            Text(change.input, "bold"),
            Text(contract_reason(change)),
            Text(change.place, "dim"),
        ]
        for change in changes
    ]


def effect_style(change: ContractChange) -> str:
    return "bold red" if change.is_breaking else "green"


def summary(plan: Plan) -> Text:
    """The number of resources per action, and of fields with drift and conflicts, in one line."""
    counts = plan.counts
    parts = [
        Text(f"{counts[action.word]} to {action.word}{_with_changes(plan, action)}", STYLES[action])
        for action in SUMMARISED
        if counts[action.word]
    ]
    if parts:
        unchanged = [Text(f"{counts['noop']} unchanged")] if counts["noop"] else []
        text = Text.assemble(("Plan: ", "bold"), Text(", ").join([*parts, *unchanged]), ".")
    else:
        text = Text.assemble(("Nothing to do: ", "green")).append(
            f"{plural(counts['noop'], 'resource')} unchanged."
        )
    if counts["drift"]:
        text.append(f" {plural(counts['drift'], 'field')} changed outside.", "red")
    if counts["conflict"]:
        text.append(f" {plural(counts['conflict'], 'field')} in conflict.", "bold red")
    if plan.ignored:
        text.append(f" {ignored(len(plan.ignored))}", "dim")
    if plan.unverified:
        text.append(f" {unverified(plan.unverified)}", "dim")
    return text


def _with_changes(plan: Plan, action: Action) -> str:
    """The number of adopted resources that are changed, too; other actions have their changes in the name."""
    changed = sum(step.action is action and step.writes for step in plan.steps)
    return f", {changed} of them with changes" if action is Action.ADOPT and changed else ""


def print_refusals(plan: Plan, err: Console) -> None:
    """Print each refusal and conflict of a plan with its ways out."""
    for step in plan.refused:
        assert step.refusal is not None
        err.print(Text.assemble(("refused: ", "bold red"), (str(step.address), "bold")))
        err.print(indented(Text(reason(step.refusal.reason, audience_of(plan))), 2))
        for label, command in map(way, step.refusal.ways):
            line = Text.assemble(label, ":  ", (command, "cyan")) if command else Text(label)
            err.print(indented(line, 4))
    for step in plan.conflicts:
        _print_conflict(step, plan, err)


def print_mismatch(mismatch: Reason, err: Console) -> None:
    """Print the reason why a saved plan cannot be applied."""
    detail = f"{plan_mismatch(mismatch)}. Make a new plan."
    print_diagnostics([error("the saved plan cannot be applied", detail)], err)


def print_stale(stale: Iterable[StaleStep], err: Console) -> None:
    """Print the stale steps of a saved plan, each field with its value then and now."""
    for step in stale:
        err.print(
            Text.assemble(("changed: ", "bold red"), (str(step.address), "bold"), "  after the plan was made")
        )
        for field in step.fields:
            if field.path:
                err.print(indented(Text(field.path, "bold"), 2))
            elif field.saved == field.current:
                err.print(indented(Text("a field or a child that the files do not manage"), 2))
                continue
            for line in columns(
                [
                    [Text("in the plan", "dim"), Text(saved_or_current(field.saved, field.path))],
                    [Text("now", "dim"), Text(saved_or_current(field.current, field.path), "red")],
                ]
            ):
                err.print(indented(line, 4))
    err.print(indented(Text("Make a new plan, or apply the rest of this one with --skip-moved."), 2))


def _print_conflict(step: Step, plan: Plan, err: Console) -> None:
    many = plural(len(step.conflicts), "field")
    why = reason(step.conflicts[0].reason, audience_of(plan))
    err.print(
        Text.assemble(
            ("conflict: ", "bold red"),
            (str(step.address), "bold"),
            f"  {many} {why}",
        )
    )
    for change in step.conflicts:
        err.print(indented(Text.assemble((change.path, "bold"), (f"  {change.place}", "dim")), 2))
        rows = [
            [Text(WORLDS["desired"], "dim"), Text(format_value(change.desired, change.path), "green")],
            [Text(WORLDS["live"], "dim"), Text(format_value(change.live, change.path), "red")],
        ]
        if change.recorded is not MISSING:
            rows.append([Text(WORLDS["recorded"], "dim"), Text(format_value(change.recorded, change.path))])
        for line in columns(rows):
            err.print(indented(line, 4))
    err.print(indented(Text("Choose which value to keep:"), 2))
    ways = conflict_ways(plan, step)
    alone = [("for this resource only", command) for _, command in conflict_ways(plan, step, alone=True)[:1]]
    if alone and alone[0][1] not in dict(ways).values():
        ways += alone
    for line in columns([[Text(label, "dim"), Text(command, "cyan")] for label, command in ways]):
        err.print(indented(line, 4))


def _tree(steps: Iterable[Step], audience: Audience) -> Iterable[Text]:
    """The lines of each step, followed by those of the resources inside its resource."""
    steps = list(steps)
    named: dict[tuple[str, ...], list[Step]] = {}
    for step in steps:
        named.setdefault(step.address.name, []).append(step)
    below: dict[Address | None, list[Step]] = {}
    for step in steps:
        below.setdefault(_parent(step, named.get(step.address.name[:-1], ())), []).append(step)

    def branches(parent: Address | None, guides: str) -> Iterator[Text]:
        children = below.get(parent, [])
        for step in children:
            own, inner = ("", "") if parent is None else _GUIDES[step is children[-1]]
            yield _head(step, guides + own, audience)
            yield from _rows(step, guides + inner, audience)
            yield from branches(step.address, guides + inner)

    return branches(None, "")


def _parent(step: Step, namesakes: Sequence[Step]) -> Address | None:
    """The step of the resource that contains this one, if the plan shows it.

    Args:
        namesakes: the shown steps with this step's name without its last part.
    """
    for other in namesakes:
        if other.address in step.depends_on or step.address in other.depends_on:
            return other.address
    return None


def _head(step: Step, guides: str, audience: Audience) -> Text:
    style = STYLES[step.action]
    word = "unchanged" if step.action is Action.NOOP else step.action.word
    head = Text.assemble(
        (guides, "dim"),
        (f"{step.action.symbol} {step.address}", style),
        (f"  {word}", style),
        (f"  {reason(step.reason, audience)}", "dim"),
    )
    return head.append("  refused", "bold red") if step.refusal else head


def _rows(step: Step, guides: str, audience: Audience) -> list[Text]:
    lines = []
    for row in rows(step, audience):
        new_object = step.action is Action.CREATE and row.cls is ChangeClass.PENDING
        new = (row.new, "green")
        values = new if new_object or not row.old else Text.assemble((row.old, "red"), " -> ", new)
        lines.append([row.path, values, (row.remark, CLASS_STYLES.get(row.cls, "dim"))])
    return columns(lines, before=Text.assemble((guides, "dim"), "    "))


def _is_shown(step: Step) -> bool:
    return step.action is not Action.NOOP or any(map(_is_row, step.changes))
