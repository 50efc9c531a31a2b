"""A plan for a person: a tree by resource, each field's old and new value with its class and reason."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.text import Text

from providers.reasons import Reason
from reconciler.core.diagnostics import error
from reconciler.core.diff import ChangeClass
from reconciler.core.plan import Action, Plan, Step
from reconciler.core.stale import StaleStep
from reconciler.core.values import JSON, MISSING, Address, NoValue
from reconciler.views.counting import plural
from reconciler.views.phrases import Audience, audience_of, plan_mismatch, reason, way
from reconciler.views.plan_rows import _is_row, rows
from reconciler.views.shown_values import shown
from reconciler.views.terminal.console import CLASS_STYLES, STYLES, columns, indented
from reconciler.views.terminal.messages import print_diagnostics

SUMMARISED = (
    Action.CREATE,
    Action.UPDATE,
    Action.REPLACE,
    Action.DELETE,
    Action.ADOPT,
    Action.FORGET,
)


def print_plan(plan: Plan, out: Console) -> None:
    """The plan as a tree by resource, and its summary in one line."""
    out.print(Text.assemble((str(plan.stack), "bold"), ("  " + plan.stack.host, "dim")))
    lines = list(_tree([step for step in plan.steps if _is_shown(step)], audience_of(plan)))
    if lines:
        out.print()
        for line in lines:
            out.print(line)
        out.print()
    out.print(summary(plan))


def summary(plan: Plan) -> Text:
    """How many resources of each action, and what did not match, in one line."""
    counts = plan.counts
    parts = [
        Text(f"{counts[action.word]} to {action.word}", STYLES[action])
        for action in SUMMARISED
        if counts[action.word]
    ]
    if parts:
        unchanged = [Text(f"{counts['noop']} unchanged")] if counts["noop"] else []
        text = Text.assemble(("Plan: ", "bold"), Text(", ").join([*parts, *unchanged]), ".")
    else:
        text = Text.assemble(("Nothing to do: ", "green")).append(
            f"{plural(counts['noop'], 'resource')} as the files say."
        )
    if counts["drift"]:
        text.append(f" {plural(counts['drift'], 'field')} changed outside.", "red")
    if counts["conflict"]:
        text.append(f" {plural(counts['conflict'], 'conflict')}.", "bold red")
    if plan.unverified:
        text.append(
            f" {plural(plan.unverified, 'field')} not returned by the platform, so not verified.", "dim"
        )
    return text


def print_refusals(plan: Plan, err: Console) -> None:
    """Why the plan may not be applied as it stands: each refusal and conflict with its ways out."""
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
    """Why a saved plan cannot be applied at all."""
    detail = f"{plan_mismatch(mismatch)}. Make a new plan."
    print_diagnostics([error("the saved plan does not fit any more", detail)], err)


def print_stale(stale: Iterable[StaleStep], err: Console) -> None:
    """The steps that a saved plan has otherwise: per field its value then and now."""
    for found in stale:
        err.print(
            Text.assemble(
                ("changed: ", "bold red"), (str(found.address), "bold"), "  after the plan was made"
            )
        )
        for field in found.fields:
            if field.path:
                err.print(indented(Text(f".{field.path}", "bold"), 2))
            for line in columns(
                [
                    [Text("in the plan", "dim"), Text(_value_or_reason(field.saved))],
                    [Text("now", "dim"), Text(_value_or_reason(field.current), "red")],
                ]
            ):
                err.print(indented(line, 4))
    err.print(indented(Text("Make a new plan, or apply the rest of this one with --skip-moved."), 2))


def _value_or_reason(value: JSON | NoValue | Reason) -> str:
    return reason(value) if isinstance(value, Reason) else shown(value)


def _print_conflict(step: Step, plan: Plan, err: Console) -> None:
    again, many = plan.apply_command, plural(len(step.conflicts), "field")
    why = reason(step.conflicts[0].reason, audience_of(plan))
    err.print(
        Text.assemble(
            ("conflict: ", "bold red"),
            (str(step.address), "bold"),
            f"  {many} {why}",
        )
    )
    for change in step.conflicts:
        err.print(indented(Text.assemble((f".{change.path}", "bold"), (f"  {change.place}", "dim")), 2))
        rows = [
            [Text("the files say", "dim"), Text(shown(change.desired), "green")],
            [Text("it is now", "dim"), Text(shown(change.live), "red")],
        ]
        if change.recorded is not MISSING:
            rows.append([Text("it was", "dim"), Text(shown(change.recorded))])
        for line in columns(rows):
            err.print(indented(line, 4))
    err.print(indented(Text("Choose which value to keep, or write the live value into the files:"), 2))
    for line in columns(
        [
            [Text("keep the files' values", "dim"), Text(f"{again} --ours", "cyan")],
            [Text("keep the live values", "dim"), Text(f"{again} --theirs", "cyan")],
            [Text("for this resource only", "dim"), Text(f"{again} --ours {step.address}", "cyan")],
        ]
    ):
        err.print(indented(line, 4))


def _tree(steps: Iterable[Step], audience: Audience) -> Iterable[Text]:
    """Each step, and below it those of what lives in it."""
    steps = list(steps)
    named: dict[tuple[str, ...], list[Step]] = {}
    for step in steps:
        named.setdefault(step.address.name, []).append(step)
    below: dict[Address | None, list[Step]] = {}
    for step in steps:
        below.setdefault(_parent(step, named.get(step.address.name[:-1], ())), []).append(step)

    def branches(parent: Address | None) -> Iterable[tuple[Text, bool]]:
        """Lines of the steps below `parent`, each with whether it is the head of one of them."""
        for step in below.get(parent, ()):
            yield _head(step, audience), True
            yield from ((indented(row, 4), False) for row in _rows(step, audience))
            yield from _below(list(branches(step.address)))

    return (line for line, _ in branches(None))


def _below(lines: list[tuple[Text, bool]]) -> Iterable[tuple[Text, bool]]:
    """The lines of the children of a resource, with the guides that lead to them."""
    last = max((index for index, (_, is_head) in enumerate(lines) if is_head), default=0)
    for index, (line, is_head) in enumerate(lines):
        head, below = ("└── ", "    ") if index >= last else ("├── ", "│   ")
        guide = head if is_head else below
        yield Text.assemble((guide, "dim"), line), False


def _parent(step: Step, namesakes: Sequence[Step]) -> Address | None:
    """The shown step whose resource this one's lives in.

    Args:
        namesakes: the shown steps whose name is this one's but for the last part.
    """
    for other in namesakes:
        if other.address in step.depends_on or step.address in other.depends_on:
            return other.address
    return None


def _head(step: Step, audience: Audience) -> Text:
    style = STYLES[step.action]
    word = "unchanged" if step.action is Action.NOOP else step.action.word
    head = Text.assemble(
        (f"{step.action.symbol} {step.address}", style),
        (f"  {word}", style),
        (f"  {reason(step.reason, audience)}", "dim"),
    )
    return head.append("  refused", "bold red") if step.refusal else head


def _rows(step: Step, audience: Audience) -> list[Text]:
    lines = []
    for row in rows(step, audience):
        new_object = step.action is Action.CREATE and row.cls is ChangeClass.PENDING
        new = Text(row.new, "green")
        values = new if new_object else Text.assemble((row.old, "red"), " -> ", new)
        lines.append([Text(row.path), values, Text(row.remark, CLASS_STYLES.get(row.cls, "dim"))])
    return columns(lines)


def _is_shown(step: Step) -> bool:
    return step.action is not Action.NOOP or any(map(_is_row, step.changes))
