"""Prints what both environments of a promotion run, side by side."""

from collections.abc import Sequence

from reconciler.core.plan import Plan
from reconciler.core.promotion import Promotion, RunningVersion
from reconciler.views.counting import plural
from reconciler.views.phrases import NOT_APPLIED, pipeline_name, since
from reconciler.views.shown_values import SHORT_DIGEST
from reconciler.views.terminal.console import columns, indented
from reconciler.views.terminal.text import Text

MOST_PIPELINES = 40
"""Pipelines that the table of a run shows; the others are counted."""


def promotion_lines(promotion: Promotion) -> list[Text]:
    """A line for what each environment runs, and one for the version that the image gets."""
    rows = [
        _row("from", promotion.source),
        _row("to", promotion.target),
        [Text("becomes", "dim"), Text(), Text(promotion.version, "bold green"), Text(), Text()],
    ]
    return [indented(line, 2) for line in columns(rows)]


def _row(label: str, running: RunningVersion) -> list[Text]:
    return [
        Text(label, "dim"),
        Text(running.environment, "bold"),
        Text(running.version or NOT_APPLIED),
        Text(running.digest[:SHORT_DIGEST], "dim"),
        Text(since(running), "dim"),
    ]


def promotions_table(plans: Sequence[Plan]) -> list[Text]:
    """A line for each pipeline that is promoted: both environments, and the version that the image gets."""
    promoted = [(plan.stack, plan.promotion) for plan in plans if plan.promotion is not None]
    if not promoted:
        return []
    first = promoted[0][1]
    heading = ["pipeline", first.source.environment, "since", first.target.environment, "becomes", "image"]
    rows = [[Text(word, "dim") for word in heading]]
    for stack, promotion in promoted[:MOST_PIPELINES]:
        rows.append(
            [
                Text(pipeline_name(stack), "bold"),
                Text(promotion.source.version or NOT_APPLIED),
                Text(since(promotion.source, by=False), "dim"),
                Text(promotion.target.version or NOT_APPLIED),
                Text(promotion.version, "green"),
                Text(promotion.source.digest[:SHORT_DIGEST], "dim"),
            ]
        )
    more = len(promoted) - MOST_PIPELINES
    return [*columns(rows), *([Text(f"and {plural(more, 'pipeline')} more", "dim")] if more > 0 else [])]
