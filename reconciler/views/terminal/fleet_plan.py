"""Prints many plans as one summary: totals, each kind of change once, refusals and errors."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from providers.text import shown_names
from reconciler.core.diagnostics import Diagnostic, in_order
from reconciler.core.plan import Action, Plan
from reconciler.views.counting import plural
from reconciler.views.fleet_changes import ChangeRow, ContractRow, change_rows, contract_rows, totals
from reconciler.views.fleet_problems import Affected, diagnostic_problem, problem_rows, refusals, remarks
from reconciler.views.phrases import contract_reason, effect, pipeline_name
from reconciler.views.terminal.console import CLASS_STYLES, STYLES, Console, columns, indented
from reconciler.views.terminal.plans import SUMMARISED, effect_style
from reconciler.views.terminal.problems import print_problems
from reconciler.views.terminal.promotions import promotions_table
from reconciler.views.terminal.text import Text

_TOTALS = {
    **dict.fromkeys(["to change", "to change in config.toml only", "to change in the state only"], "yellow"),
    "with ignored fields only": "dim",
    "in sync": "green",
    **dict.fromkeys(["refused", "with errors"], "bold red"),
}
MOST_NAMES = 3
"""Pipelines that are named with one change; the others are counted."""
MOST_DESTROYED = 40
"""Resources that are named with one change that deletes or replaces them."""


def print_fleet_plan(
    plans: Sequence[Plan], problems: Mapping[str, Sequence[Diagnostic]], out: Console, err: Console
) -> None:
    """Print a summary of the plans: totals and changes on `out`, refusals, errors and remarks on `err`.

    Args:
        plans: of the pipelines whose files have no errors, all of one environment.
        problems: folder -> the errors of each other pipeline.
    """
    changing = [plan for plan in plans if plan.can_apply and not plan.is_empty]
    for scope, host in dict.fromkeys((plan.stack.scope_label, plan.stack.host) for plan in plans):
        out.print(Text.assemble((scope, "bold"), (f"  {host}", "dim")))
    for line in promotions_table(plans):
        out.print(line)
    first_line = _totals(plans, len(problems))
    out.print(first_line)
    if changing:
        out.print(_counts(changing))
        out.print("")
        for line in _lines(change_rows(changing), out):
            out.print(line)
    if changes := contract_rows(plans):
        out.print("")
        out.print(Text.assemble(("Contract: ", "bold"), "changes of inputs, for jobs of the processings."))
        for line in _with_pipelines(map(_contract_cells, changes), map(_in_pipelines, changes), out):
            out.print(indented(line, 2))
    refused, remarked = refusals(plans), remarks(plans)
    erroneous_files = problem_rows(
        Affected(folder, folder, diagnostic_problem(diagnostic))
        for folder, diagnostics in problems.items()
        for diagnostic in in_order(diagnostics)
    )
    if refused or remarked or erroneous_files:
        err.print("")
    for problem_lines in (remarked, refused, erroneous_files):
        print_problems(problem_lines, err)
    if (refused or remarked or erroneous_files) and err.is_terminal:
        err.print("")
        err.print(first_line)  # again, as the first line may have left the screen


def _totals(plans: Sequence[Plan], unplanned: int) -> Text:
    counts = totals(plans, unplanned)
    parts = [Text(f"{count:,} {word}", _TOTALS[word]) for word, count in counts.items()]
    heading = (f"Plan for {plural(len(plans) + unplanned, 'pipeline')}: ", "bold")
    return Text.assemble(heading, Text(", ").join(parts or [Text("nothing to do")]), ".")


def _counts(plans: Iterable[Plan]) -> Text:
    """The number of resources per action, and of fields with drift."""
    counts: Counter[str] = Counter()
    for plan in plans:
        counts.update(plan.counts)
    parts = [
        Text(f"{counts[action.word]:,} to {action.word}", STYLES[action])
        for action in SUMMARISED
        if counts[action.word]
    ]
    text = Text.assemble("Resources: ", Text(", ").join(parts))
    if unchanged := counts[Action.NOOP.word]:
        text.append(f", {unchanged:,} unchanged")
    text.append(".")
    if drifted := counts["drift"]:
        text.append(f" {plural(drifted, 'field')} changed outside.", "red")
    return text


def _lines(rows: Sequence[ChangeRow], out: Console) -> list[Text]:
    """A line for each row; if they are too long for the terminal, the pipelines are on a line below each."""
    return _with_pipelines(map(_cells, rows), map(_pipelines, rows), out)


def _with_pipelines(rows: Iterable[Sequence[Text]], who: Iterable[Text], out: Console) -> list[Text]:
    changes, pipelines = columns(rows), list(who)
    pad = max((line.cell_len for line in changes), default=0) + 2
    whole = [
        Text.assemble(change, " " * (pad - change.cell_len), names)
        for change, names in zip(changes, pipelines, strict=True)
    ]
    if not out.is_terminal or all(line.cell_len <= out.width for line in whole):
        return whole
    both = zip(changes, pipelines, strict=True)
    return [line for change, names in both for line in (change, indented(names, 4))]


def _contract_cells(row: ContractRow) -> list[Text]:
    change = row.change
    return [
        Text(effect(change), effect_style(change)),
        Text(change.input, "bold"),
        Text(contract_reason(change)),
    ]


def _in_pipelines(row: ContractRow) -> Text:
    names = [pipeline_name(stack) for stack in row.stacks]
    if len(names) == 1:
        return Text(names[0])
    return Text(f"in {plural(len(names), 'pipeline')}: {shown_names(names, MOST_NAMES)}")


def _cells(row: ChangeRow) -> list[Text]:
    style = "bold red" if row.is_destructive else STYLES[row.action]
    if row.different > 1:
        what = "changes" if row.path else "reasons"
        values = Text(f"{row.different:,} different {what}")
    else:
        new = Text(row.new, "green")
        values = Text.assemble((row.old, "red"), " -> ", new) if row.old else new
    remark = Text(row.remark, CLASS_STYLES.get(row.cls, "dim") if row.cls else "dim")
    heading = [Text(f"{row.action.symbol} {row.kind}", style), Text(row.action.word, style)]
    if not row.path:
        return [*heading, values if row.different > 1 else remark, Text(), Text()]
    return [*heading, Text(row.path, "bold"), values, remark]


def _pipelines(row: ChangeRow) -> Text:
    """`in 34 pipelines: a, b and 32 more`; the resources themselves if they are deleted or replaced."""
    stacks = row.stacks
    if row.is_destructive:
        addresses = [str(address) for _, address in row.resources]
        return Text(shown_names(addresses, MOST_DESTROYED), "red")
    names = [pipeline_name(stack) for stack in stacks]
    if len(row.resources) == 1:
        return Text(names[0])
    more = f"{plural(len(row.resources), 'resource')} in " if len(row.resources) != len(stacks) else ""
    if len(stacks) == 1:
        return Text(f"{more}{names[0]}")
    return Text(f"{more}{plural(len(stacks), 'pipeline')}: {shown_names(names, MOST_NAMES)}")
