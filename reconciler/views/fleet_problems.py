"""The refusals, errors and remarks of many plans as rows, with equal ones in one row. Pure."""

import shlex
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from reconciler.core.diagnostics import Diagnostic, in_order
from reconciler.core.plan import Plan
from reconciler.core.values import MISSING
from reconciler.views.conflict_ways import conflict_ways
from reconciler.views.counting import plural
from reconciler.views.phrases import (
    WORLDS,
    audience_of,
    pipeline_name,
    reason,
    way,
    without_differences,
)
from reconciler.views.run_problems import MANY
from reconciler.views.shown_values import format_value

_OPTIONS = len(("reconciler", "VERB", "NAME", "--organization", "NAME", "--env", "NAME"))
"""The index of the first option that is special, in a command for one pipeline."""


class Problem(Struct, frozen=True):
    """Why a pipeline is not applied, or a remark about it.

    Attributes:
        word: `refused`, `conflict`, or a severity.
        text: what happened, in one line.
        common: the same without what differs between pipelines; "" if that is all of `text`.
        details: further lines.
        place: `config.toml:3`, or "".
        address: the resource, if `text` does not name it; "" otherwise.
        ways: the ways out, each with its label and its command.
    """

    word: str
    text: str
    common: str = ""
    details: tuple[str, ...] = ()
    place: str = ""
    address: str = ""
    ways: tuple[tuple[str, str], ...] = ()


class ProblemRow(Struct, frozen=True):
    """The same problem of some pipelines.

    Attributes:
        problem: of all of them; its ways out are for all of them.
        pipelines: how each is shown.
        places: the place in the files of each, without those that have none.
    """

    problem: Problem
    pipelines: tuple[str, ...]
    places: tuple[str, ...]


class Affected(Struct, frozen=True):
    """A pipeline with a problem.

    Attributes:
        shown: how it is shown.
        name: its name in commands.
    """

    shown: str
    name: str
    problem: Problem


def problem_rows(affected: Iterable[Affected]) -> list[ProblemRow]:
    """Equal problems as one row each, in the order in which they come up first."""
    groups: dict[object, list[Affected]] = {}
    for one in affected:
        problem = one.problem
        commands = tuple((label, _without_name(command, one.name)) for label, command in problem.ways)
        key = (problem.word, problem.common or problem.text, problem.details, commands)
        groups.setdefault(key, []).append(one)
    return [_problem_row(group) for group in groups.values()]


def _problem_row(group: Sequence[Affected]) -> ProblemRow:
    first = group[0]
    problem, shown = first.problem, tuple(dict.fromkeys(one.shown for one in group))
    if len(shown) > 1:
        names = list(dict.fromkeys(one.name for one in group))
        ways = tuple(_for_all(label, command, first.name, names) for label, command in problem.ways)
        problem = replace(problem, text=problem.common or problem.text, ways=ways)
    places = dict.fromkeys(one.problem.place for one in group if one.problem.place)
    return ProblemRow(problem, shown, tuple(places))


def _words(command: str) -> list[str]:
    """The words of a command line. One that is no command line, from a document, is one word."""
    try:
        return shlex.split(command)
    except ValueError:
        return [command]


def _without_name(command: str, name: str) -> tuple[str, ...]:
    """The words of a command for one pipeline, `reconciler VERB NAME …`, without the name."""
    words = _words(command)
    return (*words[:2], "", *words[3:]) if words[2:3] == [name] else tuple(words)


def _for_all(label: str, command: str, name: str, names: Sequence[str]) -> tuple[str, str]:
    """The way out for all of these pipelines, from the one for the pipeline `name`."""
    words = _words(command)
    if words[2:3] != [name]:
        return label, command
    if len(names) <= MANY:
        return label, shlex.join((*words[:2], *names, *words[3:]))
    options = shlex.join(words[_OPTIONS:])
    return f"{label}: run the same command {f'with {options}' if options else 'again'}", ""


def refusals(plans: Iterable[Plan]) -> list[ProblemRow]:
    """The refused steps and the conflicts of these plans."""
    return problem_rows(_affected(plan, problem) for plan in plans for problem in _refusals(plan))


def remarks(plans: Iterable[Plan]) -> list[ProblemRow]:
    """The errors, warnings and remarks of these plans."""
    return problem_rows(
        _affected(plan, diagnostic_problem(diagnostic))
        for plan in plans
        for diagnostic in in_order(plan.diagnostics)
    )


def _affected(plan: Plan, problem: Problem) -> Affected:
    return Affected(pipeline_name(plan.stack), plan.stack.name, problem)


def diagnostic_problem(diagnostic: Diagnostic) -> Problem:
    details = tuple(diagnostic.detail.split("\n")) if diagnostic.detail else ()
    return Problem(
        diagnostic.severity.value,
        diagnostic.summary,
        details=details,
        place=diagnostic.place,
        address=diagnostic.address,
    )


def _refusals(plan: Plan) -> Iterator[Problem]:
    """The refused steps of a plan, and its conflicts."""
    audience = audience_of(plan)
    for step in plan.refused:
        assert step.refusal is not None
        why = step.refusal.reason
        yield Problem(
            "refused",
            f"{step.address}: {reason(why, audience)}",
            f"{step.address.kind}: {reason(without_differences(why), audience)}",
            ways=tuple(map(way, step.refusal.ways)),
        )
    for step in plan.conflicts:
        details = []
        for change in step.conflicts:
            worlds = [(WORLDS["desired"], change.desired), (WORLDS["live"], change.live)]
            if change.recorded is not MISSING:
                worlds.append((WORLDS["recorded"], change.recorded))
            values = ", ".join(f"{label} {format_value(value, change.path)}" for label, value in worlds)
            details.append(f"{change.path}: {values}")
        many = f"{plural(len(step.conflicts), 'field')} {reason(step.conflicts[0].reason, audience)}"
        yield Problem(
            "conflict",
            f"{step.address}: {many}",
            f"{step.address.kind}: {many}",
            tuple(details),
            ways=tuple(conflict_ways(plan, step)),
        )
