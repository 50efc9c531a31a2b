"""A drift report as a versioned JSON document: what scripts read, and what the next run reads again."""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from reconciler.diagnostics import UserError, error, in_order
from reconciler.drift import Acknowledgement, Finding, LastApply, Report, StackReport
from reconciler.plan import Stack, diagnostic_to_document
from reconciler.values import JSON, Nothing

FORMAT, VERSION = "reconciler/drift", 1


def report_text(report: Report) -> str:
    """The document, with the same bytes for the same findings."""
    return json.dumps(report_to_document(report), indent=2, ensure_ascii=False) + "\n"


def report_to_document(report: Report) -> dict[str, JSON]:
    """Everything that a report says; values that are missing are null and named in `absent`."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "at": _time(report.at),
        "exit_code": report.exit_code,
        "stacks": [_stack_to_document(stack) for stack in report.stacks],
        "failed": {
            name: [diagnostic_to_document(problem) for problem in problems]
            for name, problems in report.failed.items()
        },
        "diagnostics": [diagnostic_to_document(remark) for remark in in_order(report.remarks)],
    }


def first_seen(path: Path) -> dict[str, datetime]:
    """Finding id -> when it was seen first, as the report of an earlier run in this file says.

    Raises:
        UserError: the file is there and is no report of ours.
    """
    try:
        document = json.loads(path.read_text())
        if document["format"] != FORMAT:
            raise ValueError(f"its format is {document['format']!r}")
        return {
            finding["id"]: datetime.fromisoformat(finding["first_seen"])
            for stack in document["stacks"]
            for finding in stack["findings"]
        }
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        told = (
            f"{problem}. A report was expected there, to know since when things are as they are. Remove it."
        )
        raise UserError(error("the file is no report of an earlier run", told, file=path)) from None


def _stack_to_document(stack: StackReport) -> dict[str, JSON]:
    return {
        "stack": _stack(stack.stack),
        "last_apply": _last_apply(stack.last_apply),
        "resources": len(stack.plan.steps),
        "unverified": stack.plan.unverified,
        "findings": [_finding_to_document(finding) for finding in stack.findings],
        "unchecked": [diagnostic_to_document(problem) for problem in stack.unchecked],
    }


def _finding_to_document(finding: Finding) -> dict[str, JSON]:
    change = finding.change
    values: Mapping[str, JSON | Nothing] = {
        "desired": change.desired,
        "recorded": change.recorded,
        "live": change.live,
    }
    return {
        "id": finding.id,
        "address": str(finding.address),
        "field": change.path,
        "class": change.cls.value,
        "severity": finding.effect.name.lower(),
        **{name: None if isinstance(value, Nothing) else value for name, value in values.items()},
        "absent": {name: value.value for name, value in values.items() if isinstance(value, Nothing)},
        "reason": change.reason,
        "place": change.place,
        "first_seen": _time(finding.seen.first),
        "last_seen": _time(finding.seen.last),
        "age_seconds": int((finding.seen.last - finding.seen.first).total_seconds()),
        "modified_at": finding.modified_at or "unknown",
        "modified_by": finding.modified_by or "unknown",
        "page": finding.page,
        "put_back": finding.put_back,
        "take_over": finding.take_over,
        "acknowledged": _acknowledged(finding.acknowledged),
    }


def _stack(stack: Stack) -> dict[str, JSON]:
    return {
        "organization": stack.organization,
        "environment": stack.environment,
        "host": stack.host,
        "pipeline": stack.pipeline,
    }


def _last_apply(last: LastApply | None) -> dict[str, JSON] | None:
    if last is None:
        return None
    return {"at": last.at, "by": last.by, "host": last.host, "git_commit": last.git_commit, "ci": last.ci}


def _acknowledged(known: Acknowledgement | None) -> dict[str, JSON] | None:
    if known is None:
        return None
    return {"owner": known.owner, "reason": known.reason, "expires": known.expires}


def _time(when: datetime) -> str:
    return when.isoformat(timespec="seconds")
