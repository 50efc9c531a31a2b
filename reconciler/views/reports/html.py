"""Drift reports, plans and reports of runs as one HTML page each, without external files.

The page sends no requests; its Content-Security-Policy forbids them. It is complete without JavaScript, which
only adds a filter and buttons to copy commands.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from providers.hiding import HIDDEN, is_hidden
from providers.json_value import JSON
from reconciler.core.diagnostics import Diagnostic, Severity, in_order
from reconciler.core.events import Outcome
from reconciler.core.plan import Action, Plan, Stack, Step
from reconciler.core.runs import PipelineRun, RunReport
from reconciler.core.values import NoValue
from reconciler.drift.findings import DriftState, Report, StackReport, causes
from reconciler.drift.matrix import Cell, Column, Matrix
from reconciler.views import phrases, run_problems
from reconciler.views.counting import ago, duration, plural
from reconciler.views.plan_rows import image_versions, rows
from reconciler.views.reports.graphs import of_plan, of_report
from reconciler.views.reports.svg import style, svg
from reconciler.views.safe import is_web, visible
from reconciler.views.site_links import link_to
from reconciler.views.terminal.plans import summary

if TYPE_CHECKING:
    from jinja2 import Environment, Template

LONGEST_VALUE = 20_000  # characters


def drift_html(report: Report, dashboard: str = "", *, fragment: bool = False) -> str:
    """The page of a report: its state, the findings (worst first), the graphs and the remarks.

    Args:
        dashboard: the address of the dashboard to link to; "" for none.
        fragment: return a part of a page, for notebooks: it brings its style, which changes nothing else.
    """
    all_causes = causes(report.of_applied)
    tones = [phrases.TONES[word] for word, count in report.counts.items() if count]
    return page_template("drift.html").render(
        base=_base(fragment),
        report=report,
        dashboard=dashboard,
        tone="unknown" if report.unchecked and "bad" not in tones else next(iter(tones), "good"),
        unacknowledged=[cause for cause in all_causes if not cause.first.acknowledged],
        acknowledged=[cause for cause in all_causes if cause.first.acknowledged],
        stacks=sorted(report.stacks, key=_rank),
        version_of={
            stack.stack: stack.last_apply.version if stack.last_apply else "" for stack in report.stacks
        },
        last_applied={stack.stack: phrases.last_applied(stack) for stack in report.stacks},
        remarks=in_order(report.remarks),
    )


def plan_html(
    plans: Sequence[Plan],
    errors: Sequence[Diagnostic],
    dashboard: str = "",
    *,
    owners: Mapping[Stack, Sequence[str]] = MappingProxyType({}),
    fragment: bool = False,
) -> str:
    """The page of plans: the totals, then the steps field by field, with refusals, conflicts and errors.

    Args:
        dashboard, fragment: as for `drift_html`.
        owners: of the folder of each stack; those without owners may be missing.
    """
    stopped = any(not plan.can_apply for plan in plans) or errors
    writes = any(not plan.is_empty for plan in plans)
    return page_template("plan.html").render(
        base=_base(fragment),
        plans=plans,
        errors=errors,
        dashboard=dashboard,
        totals=_totals(plans),
        owners_of=lambda plan: owners.get(plan.stack, ()),
        tone="bad" if stopped else "warn" if writes else "good",
    )


def run_html(report: RunReport, dashboard: str = "", *, fragment: bool = False) -> str:
    """The page of a run: the totals, then each pipeline, worst first, with its reasons and steps.

    Args:
        dashboard, fragment: as for `drift_html`.
    """
    tones = [phrases.TONES[result.value] for result, count in report.counts.items() if count]
    failed = "bad" if "bad" in tones or report.problems or report.refusal else "warn"
    return page_template("run.html").render(
        base=_base(fragment),
        report=report,
        dashboard=dashboard,
        tone=failed if report.exit_code else "good",
        headline=run_problems.headline,
        reach=run_problems.reach,
        duration=duration,
        run_reasons=run_problems.run_reasons,
        worst_first=run_problems.WORST_FIRST,
        reasons=lambda run: run_problems.problems(report, run),
        next_commands=lambda run: run_problems.commands(report, [run]),
        outcomes=_outcomes,
        remarks=_remarks,
        runs=sorted(report.runs, key=lambda run: run_problems.WORST_FIRST.index(run.result)),
    )


def matrix_html(found: Matrix, now: datetime, *, fragment: bool = False) -> str:
    """The page of `status --matrix`: a table of pipelines and environments.

    Args:
        fragment: as for `drift_html`.
    """
    cells = [cell for line in found.lines for cell in line.cells.values()]
    codes = [cell.row.drift.code for cell in cells]
    counts = {
        "with changes": codes.count(DriftState.DIFFERENT),
        "not applied": codes.count(DriftState.NOT_APPLIED),
        "with ignored fields": sum(code in (DriftState.IGNORED, DriftState.IGNORED_IMAGE) for code in codes),
        "behind": sum(bool(cell.behind) for cell in cells),
    }
    words = [f"{count:,} {word}" for word, count in counts.items() if count]
    if not found.is_complete:
        words.append("not everything was read")
    return page_template("matrix.html").render(
        base=_base(fragment),
        matrix=found,
        now=now,
        ago=ago,
        behind=phrases.behind,
        drift_state=phrases.drift_state,
        tone_of_cell=_tone_of_cell,
        headline=", ".join(words) or "All environments are in sync",
        tone="unknown" if not found.is_complete else "warn" if words else "good",
    )


def _totals(plans: Sequence[Plan]) -> list[tuple[str, str, int]]:
    """Tone, word and number: the pipelines that change, cannot be applied, and the steps by action."""
    steps = Counter(step.action for plan in plans for step in plan.steps)
    refused = sum(not plan.can_apply for plan in plans)
    unchanged = sum(plan.is_empty and plan.can_apply for plan in plans)
    return [
        ("bad", "cannot be applied", refused),
        ("warn", "to change", len(plans) - refused - unchanged),
        ("good", "unchanged", unchanged),
        *(
            (phrases.TONES[action.word], f"to {action.word}", count)
            for action, count in sorted(steps.items(), key=lambda item: -item[0].severity)
            if action is not Action.NOOP
        ),
    ]


def _tone_of_cell(cell: Cell, column: Column) -> str:
    if column.problem:
        return "bad"
    if cell.row.drift.code is DriftState.IN_SYNC:
        return "good"
    return "warn" if cell.row.checked else "unknown"


def _outcomes(run: PipelineRun) -> list[Outcome]:
    """The outcomes of the steps that had something to do."""
    return [outcome for outcome in run.outcomes if outcome.step.action is not Action.NOOP]


def _remarks(run: PipelineRun) -> list[Diagnostic]:
    every = (*run.diagnostics, *(run.plan.diagnostics if run.plan else ()))
    return [remark for remark in in_order(dict.fromkeys(every)) if remark.severity is not Severity.ERROR]


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined  # imported here: only pages need it

    environment = Environment(
        loader=PackageLoader("reconciler.views", "pages"),
        autoescape=True,
        finalize=_in_a_page,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(full_text=full_text, plural=plural, web=is_web)
    environment.globals.update(
        # Markup is not escaped again: svg() escapes its texts, and style() has none from outside.
        page_style=lambda: Markup(_page_style()),
        scoped_style=lambda: Markup(_scoped_style()),
        graph_of_plan=lambda plan: Markup(svg(of_plan(plan), alone=False)),
        graph_of_report=lambda stack: Markup(svg(of_report(stack), alone=False)),
        tone_of=phrases.TONES.__getitem__,
        plan_summary=lambda plan: summary(plan).plain,
        steps=_steps,
        versions=image_versions,
        link_to=link_to,
        rows=rows,
        in_order=in_order,
        DRIFT=phrases.Audience.DRIFT,
        **{name: getattr(phrases, name) for name in _WORDS},
    )
    return environment


_WORDS = (
    "age",
    "audience_of",
    "contract_counts",
    "contract_reason",
    "coverage",
    "effect",
    "facts",
    "headline",
    "moment",
    "never_applied",
    "promotion",
    "reason",
    "state",
    "unchecked",
    "value",
    "values",
    "way",
    "ways",
)


def _base(fragment: bool) -> str:
    """The template around the content."""
    return "fragment.html" if fragment else "page.html"


@cache
def _page_style() -> str:
    """The CSS of a page."""
    return f"{style()}\n{_environment().get_template('page.css').render()}"


def _scoped_style() -> str:
    """The CSS of a page for a part of another page, by nesting: it concerns nothing outside of that part."""
    nested = re.sub(r"(?<![\w.-])(?::root|body)(?= \{)", "&", _page_style())
    return f".reconciler-view {{ {nested} border-radius: 8px; padding: 12px }}"


def page_template(name: str) -> "Template":
    """The template of a page, which escapes every text."""
    return _environment().get_template(name)


def full_text(value: JSON | NoValue, name: str) -> str:
    """The value of a field of this name in full, on several lines if needed."""
    if isinstance(value, NoValue):
        return "(none)"
    if is_hidden(value, name):
        return HIDDEN
    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}… ({len(text):,} characters)"


def _in_a_page(value: object) -> object:
    """A value for a page, escaped, with hidden characters made visible. Markup stays unchanged."""
    if isinstance(value, Markup):
        return value
    return Markup(escape(visible(str(value))).replace("\n", Markup("&#10;")))


def _rank(stack: StackReport) -> tuple[bool, bool, str]:
    return (not stack.findings, not stack.unchecked, str(stack.stack))


def _steps(plan: Plan) -> list[Step]:
    """The steps of a plan, worst first and unchanged resources last."""
    return sorted(plan.steps, key=lambda s: (s.refusal is None, not s.conflicts, -s.action.severity))
