"""Merges the reports of several jobs. Pipelines that no job checked are reported as unchecked. Pure."""

from collections.abc import Iterable

from reconciler.core.diagnostics import Diagnostic, error
from reconciler.drift.findings import Report, StackReport, UnmanagedObject


def merged(reports: Iterable[Report]) -> Report:
    """One report of all jobs.

    A missing part counts as not checked, and so does a stack with two different reports.
    """
    reports = sorted(reports, key=lambda report: report.at)
    failed = {name: problems for report in reports for name, problems in report.failed.items()}
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


def _missing(reports: list[Report]) -> dict[str, tuple[Diagnostic, ...]]:
    """The missing parts, with an error each."""
    shards = {report.shard for report in reports if report.shard is not None}
    missing: dict[str, tuple[Diagnostic, ...]] = {}
    for of in sorted({shard.of for shard in shards}):
        present = {shard.index for shard in shards if shard.of == of}
        for index in sorted(set(range(1, of + 1)) - present):
            detail = "Its pipelines were not checked. See the log of its job, and pass its report as well."
            missing[f"part {index}/{of}"] = (error(f"part {index}/{of} is missing", detail),)
    return missing
