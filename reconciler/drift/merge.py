"""The reports of several jobs as one: what no job looked at is told, never taken for in sync. Pure."""

from collections.abc import Iterable

from reconciler.core.diagnostics import Diagnostic, error
from reconciler.drift.findings import Report, StackReport


def merged(reports: Iterable[Report]) -> Report:
    """One report of all of them.

    A part that is missing, and a stack of which two reports say different things, are not checked.
    """
    reports = sorted(reports, key=lambda report: report.at)
    failed = {name: problems for report in reports for name, problems in report.failed.items()}
    stacks: dict[str, StackReport] = {}
    for stack in (stack for report in reports for stack in report.stacks):
        name = str(stack.stack)
        if stacks.setdefault(name, stack) != stack:
            told = "Each pipeline belongs to one part. Give each part once, all from the same run."
            failed[name] = (error(f"two reports of {name} say different things", told),)
    return Report(
        reports[-1].at,
        tuple(stack for name, stack in sorted(stacks.items()) if name not in failed),
        failed | _missing(reports),
        tuple(dict.fromkeys(remark for report in reports for remark in report.remarks)),
    )


def _missing(reports: list[Report]) -> dict[str, tuple[Diagnostic, ...]]:
    """The parts that were not given, as problems."""
    shards = {report.shard for report in reports if report.shard is not None}
    missing: dict[str, tuple[Diagnostic, ...]] = {}
    for of in sorted({shard.of for shard in shards}):
        there = {shard.index for shard in shards if shard.of == of}
        for index in sorted(set(range(1, of + 1)) - there):
            told = "Its pipelines were not checked. Look at the log of its job, and give its report as well."
            missing[f"part {index}/{of}"] = (error(f"part {index}/{of} is missing", told),)
    return missing
