"""Merges the reports of several jobs. Pipelines that no job checked are reported as unchecked. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

from msgspec import Struct

from reconciler.core.diagnostics import Diagnostic, error
from reconciler.drift.findings import PART, PartOf, Report, StackReport, UnmanagedObject
from reconciler.workspace.shards import Shard

_LONGEST = timedelta(hours=12)
"""The time between the first and the last part of a run: less than between two checks of a daily schedule."""
_DIFFERENCES = {"selection": "selection", "commit": "commit", "ci": "CI run"}
"""Attribute of `PartOf` -> what parts of one run have in common."""


def merged(reports: Iterable[Report]) -> Report:
    """One report of all jobs.

    A missing part counts as not checked, and so does a stack with two different reports. Parts complete each
    other if they are of the same environment and the same run.
    """
    reports = sorted(reports, key=lambda report: report.at)
    failed: dict[str, tuple[Diagnostic, ...]] = {}
    for name, problems in (entry for report in reports for entry in report.failed.items()):
        failed[name] = tuple(dict.fromkeys((*failed.get(name, ()), *problems)))
    stacks: dict[str, StackReport] = {}
    for stack in (stack for report in reports for stack in report.stacks):
        name = str(stack.stack)
        if stacks.setdefault(name, stack) != stack:
            detail = "Each pipeline belongs to one part. Pass each part once, all from the same run."
            failed[name] = (error(f"two reports of {name} differ", detail),)
    return Report(
        reports[-1].at,
        tuple(stack for name, stack in sorted(stacks.items()) if name not in failed),
        failed | _missing(reports),
        tuple(dict.fromkeys(remark for report in reports for remark in report.remarks)),
        unmanaged=_unmanaged(reports),
        fails_on_unmanaged=any(report.fails_on_unmanaged for report in reports),
    )


def _unmanaged(reports: list[Report]) -> tuple[UnmanagedObject, ...] | None:
    """The unmanaged objects of all reports, each once; None if no report has them."""
    listed = [report.unmanaged for report in reports if report.unmanaged is not None]
    found = {(one.address, one.id): one for objects in listed for one in objects}
    return tuple(found[key] for key in sorted(found)) if listed else None


class _Run(Struct):
    """The parts of one run in one environment, and the number of all its parts."""

    of: int
    whole: PartOf
    reports: list[Report]

    @property
    def missing(self) -> list[Shard]:
        present = {report.shard for report in self.reports}
        every = (Shard(index, self.of) for index in range(1, self.of + 1))
        return [shard for shard in every if shard not in present]


def _missing(reports: Sequence[Report]) -> dict[str, tuple[Diagnostic, ...]]:
    """The missing parts of each run in each environment, with an error each. Reports are sorted by time."""
    runs = list(_runs(reports))
    missing: dict[str, tuple[Diagnostic, ...]] = {}
    for run in runs:
        others = [other for other in runs if other is not run and other.whole.scope == run.whole.scope]
        for shard in run.missing:
            name = f"{PART}{shard} of {run.whole.label}" if run.whole.label else f"{PART}{shard}"
            detail = "Its pipelines were not checked. See the log of its job, and pass its report as well."
            detail += "".join(sorted({f" {_difference(run, other)}" for other in others}))
            missing[name] = (*missing.get(name, ()), error(f"{name} is missing", detail))
    return missing


def _runs(reports: Sequence[Report]) -> Iterator[_Run]:
    """The parts by run."""
    runs: dict[tuple[int, PartOf], _Run] = {}
    for report in reports:
        if report.shard is None:
            continue
        key = report.shard.of, report.part_of or _of_earlier_version(report, reports)
        run = runs.get(key)
        if run is not None and report.at - run.reports[0].at <= _LONGEST:
            run.reports.append(report)
            continue
        if run is not None:
            yield run
        runs[key] = _Run(*key, [report])
    yield from runs.values()


def _of_earlier_version(report: Report, reports: Iterable[Report]) -> PartOf:
    """What a part belongs to, by its stacks; without stacks as the others, if they have one environment."""
    found = _in_stacks([report]) or _in_stacks(one for one in reports if one.part_of is None)
    return found.pop() if len(found) == 1 else PartOf("")


def _in_stacks(reports: Iterable[Report]) -> set[PartOf]:
    return {PartOf(one.stack.scope, one.stack.environment) for report in reports for one in report.stacks}


def _difference(run: _Run, other: _Run) -> str:
    """Why the parts of another run in the same environment do not complete this one."""
    if run.of != other.of:
        return f"There is also a part {other.reports[0].shard}, which is of another number of parts."
    names = [
        name for key, name in _DIFFERENCES.items() if getattr(run.whole, key) != getattr(other.whole, key)
    ]
    what = f"another {' and another '.join(names)}" if names else f"{other.reports[0].at:%Y-%m-%d %H:%M %Z}"
    return f"There are also parts of {what}, which do not complete this run."
