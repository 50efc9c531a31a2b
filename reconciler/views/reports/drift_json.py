"""A drift report as a versioned JSON document, for scripts and for the next run."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec.structs import asdict

from providers.json_value import JSON
from providers.regular_files import read_regular
from providers.rules import Effect
from reconciler.core.diagnostics import UserError, error, in_order
from reconciler.core.diff import Change, ChangeClass
from reconciler.core.plan import Plan, Stack, Step
from reconciler.core.reasons import UNSTATED
from reconciler.core.values import Address
from reconciler.drift.contents import Contents
from reconciler.drift.findings import (
    Acknowledgement,
    Finding,
    FindingDates,
    LastApply,
    PartOf,
    Report,
    StackReport,
    UnmanagedObject,
)
from reconciler.views.phrases import Audience
from reconciler.views.reports.document_parts import (
    ACTIONS,
    UNUSABLE,
    Document,
    cause_of,
    diagnostic_from_document,
    diagnostic_to_document,
    reason_from_document,
    reason_to_document,
    stack_to_document,
    time_from_document,
    unstated,
    values_from_document,
    values_to_document,
)
from reconciler.views.reports.field_types import check_fields
from reconciler.views.safe import json_text
from reconciler.workspace.shards import Shard

FORMAT, VERSION = "reconciler/drift", 1


def report_text(report: Report) -> str:
    """The report as JSON, with the same bytes for the same findings."""
    return json_text(report_to_document(report))


def report_to_document(report: Report) -> dict[str, JSON]:
    """The whole report. A missing value is null and listed in `absent`."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "at": _time(report.at),
        "exit_code": report.exit_code,
        "shard": str(report.shard) if report.shard else None,
        "stacks": [_stack_to_document(stack) for stack in report.stacks],
        "failed": {
            name: [diagnostic_to_document(problem) for problem in problems]
            for name, problems in report.failed.items()
        },
        "diagnostics": [diagnostic_to_document(remark) for remark in in_order(report.remarks)],
        "unmanaged": None
        if report.unmanaged is None
        else [
            {
                "address": str(one.address),
                "id": one.id,
                "page": one.page or None,
                "modified_at": one.modified_at or "unknown",
                "modified_by": one.modified_by or "unknown",
            }
            for one in report.unmanaged
        ],
        "fail_on": ["unmanaged"] if report.fails_on_unmanaged else [],
        "part_of": asdict(report.part_of) if report.part_of else None,
    }


def read_report(path: Path) -> Report:
    """The report in a file that `report_text` wrote.

    Raises:
        UserError: the file cannot be read, or is not a drift report.
    """
    try:
        return report_from_document(json.loads(read_regular(path)))
    except OSError as problem:
        raise UserError(error("the report cannot be read", f"{problem.strerror}.", file=path)) from None
    except UNUSABLE as problem:
        detail = f"{cause_of(problem)}. Use a file that `reconciler drift --json FILE` wrote."
        raise UserError(error("the file is not a drift report", detail, file=path)) from None


def report_from_document(document: Document) -> Report:
    """The report in a document of `report_to_document`.

    Raises:
        ValueError, KeyError, TypeError: the document is not such a report.
    """
    if (document["format"], document["version"]) != (FORMAT, VERSION):
        raise ValueError(f"its format is {document['format']!r} {document['version']!r}")
    report = Report(
        time_from_document(document["at"]),
        tuple(_stack_from_document(stack) for stack in document["stacks"]),
        {
            name: tuple(diagnostic_from_document(problem) for problem in problems)
            for name, problems in document["failed"].items()
        },
        tuple(diagnostic_from_document(remark) for remark in document["diagnostics"]),
        Shard.parse(document["shard"]) if document["shard"] else None,
        _unmanaged_from_document(document.get("unmanaged")),
        "unmanaged" in document.get("fail_on", []),
        PartOf(**part_of) if (part_of := document.get("part_of")) else None,
    )
    check_fields(report)
    return report


def _unmanaged_from_document(objects: Any) -> tuple[UnmanagedObject, ...] | None:
    """The unmanaged objects; None if they were not requested. Reports of earlier versions have none."""
    if objects is None:
        return None
    return tuple(
        UnmanagedObject(
            Address.parse(one["address"]),
            one["id"],
            one["page"] or "",
            _without_unknown(one["modified_at"]),
            _without_unknown(one["modified_by"]),
        )
        for one in objects
    )


def first_seen(path: Path) -> dict[str, datetime]:
    """Finding id -> the time when it was first seen, from the report of an earlier run.

    Raises:
        UserError: the file exists and is not a drift report.
    """
    if path.exists() and not path.is_file():
        return {}  # a pipe or a terminal has no earlier report
    try:
        document = json.loads(read_regular(path))
        if document["format"] != FORMAT:
            raise ValueError(f"its format is {document['format']!r}")
        return {
            finding["id"]: time_from_document(finding["first_seen"])
            for stack in document["stacks"]
            for finding in stack["findings"]
        }
    except FileNotFoundError:
        return {}
    except OSError as problem:
        raise UserError(
            error("the report of an earlier run cannot be read", f"{problem.strerror}.", file=path)
        ) from None
    except UNUSABLE as problem:
        detail = (
            f"{cause_of(problem)}. The age of findings comes from the report of an earlier run in this file. "
            "Remove the file, or use another one."
        )
        raise UserError(error("the file is not the report of an earlier run", detail, file=path)) from None


def _stack_to_document(stack: StackReport) -> dict[str, JSON]:
    return {
        "stack": stack_to_document(stack.stack),
        "last_apply": _last_apply(stack.last_apply),
        "resources": [_step_to_document(step) for step in stack.plan.steps],
        "unverified": stack.unverified,
        "emptied": stack.is_emptied,
        "ignored": [*stack.ignored],
        "findings": [_finding_to_document(finding) for finding in stack.findings],
        "unchecked": [diagnostic_to_document(problem) for problem in stack.unchecked],
    }


def _step_to_document(step: Step) -> dict[str, JSON]:
    return {
        "address": str(step.address),
        "action": step.action.word,
        "depends_on": [str(address) for address in step.depends_on],
    }


def _finding_to_document(finding: Finding) -> dict[str, JSON]:
    change = finding.change
    return {
        "id": finding.id,
        "address": str(finding.address),
        "field": change.path,
        "class": change.cls.value,
        "severity": finding.effect.name.lower(),
        **values_to_document(change),
        **reason_to_document(change.reason, Audience.DRIFT),
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
        "contents": asdict(finding.contents) if finding.contents else None,
    }


def _last_apply(last: LastApply | None) -> dict[str, JSON] | None:
    if last is None:
        return None
    return asdict(last)


def _acknowledged(rule: Acknowledgement | None) -> dict[str, JSON] | None:
    if rule is None:
        return None
    return {"owner": rule.owner, "reason": rule.reason, "expires": rule.expires}


def _time(when: datetime) -> str:
    return when.isoformat(timespec="seconds")


def _stack_from_document(document: Document) -> StackReport:
    stack = Stack(**document["stack"])
    last = document["last_apply"]
    return StackReport(
        stack,
        tuple(_finding_from_document(stack, finding) for finding in document["findings"]),
        Plan(stack, "", 0, tuple(_step_from_document(step) for step in document["resources"])),
        tuple(diagnostic_from_document(problem) for problem in document["unchecked"]),
        LastApply(**last) if last else None,
        document["unverified"],
        document.get("emptied", False),
        tuple(document.get("ignored", ())),
    )


def _step_from_document(document: Document) -> Step:
    word = document["action"]
    if word not in ACTIONS:
        raise ValueError(f"{word!r} is an unknown action")
    needs = tuple(Address.parse(text) for text in document["depends_on"])
    return Step(Address.parse(document["address"]), ACTIONS[word], UNSTATED, depends_on=needs)


def _finding_from_document(stack: Stack, document: Document) -> Finding:
    acknowledged, contents = document["acknowledged"], document.get("contents")
    has_code = "reason_code" in document  # reports of earlier versions have only the text
    return Finding(
        id=document["id"],
        stack=stack,
        address=Address.parse(document["address"]),
        change=Change(
            document["field"],
            ChangeClass(document["class"]),
            **values_from_document(document),
            reason=reason_from_document(document) if has_code else unstated(document["reason"]),
            write=False,  # a report is never applied
            place=document["place"],
        ),
        effect=Effect[document["severity"].upper()],
        seen=FindingDates.of(
            time_from_document(document["first_seen"]), time_from_document(document["last_seen"])
        ),
        modified_at=_without_unknown(document["modified_at"]),
        modified_by=_without_unknown(document["modified_by"]),
        page=document["page"],
        put_back=document["put_back"],
        take_over=document["take_over"],
        acknowledged=Acknowledgement(**acknowledged) if acknowledged else None,
        contents=Contents(**contents) if contents else None,
    )


def _without_unknown(text: str) -> str:
    return "" if text == "unknown" else text
