"""The report of a run as a versioned JSON document, and back. The events of a run have the same entries."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from providers.errors import ProviderError
from providers.json_value import JSON
from providers.protocol import LiveObject
from providers.reasons import Reason
from providers.regular_files import read_regular
from reconciler.core.diagnostics import UserError, error
from reconciler.core.diff import ChangeClass
from reconciler.core.events import Outcome, Status
from reconciler.core.plan import Basis, Plan, Stack, Step
from reconciler.core.runs import PipelineRun, RunReport, RunResult
from reconciler.core.stale import PlanMismatch, StaleField, StaleStep
from reconciler.core.values import Address, NoValue
from reconciler.views import phrases
from reconciler.views.phrases import Audience, audience_of
from reconciler.views.reports.document_parts import (
    UNUSABLE,
    Document,
    cause_of,
    diagnostic_from_document,
    diagnostic_to_document,
    expect,
    expect_words,
    only_keys,
    reason_from_document,
    reason_to_document,
    stack_to_document,
    time_from_document,
    way_from_document,
    way_to_document,
)
from reconciler.views.reports.field_types import check_fields
from reconciler.views.reports.plan_json import (
    STEP_KEYS,
    contract_from_document,
    contract_to_document,
    step_from_document,
    step_to_document,
)
from reconciler.views.run_problems import commands, problems
from reconciler.views.safe import json_text

FORMAT, VERSION = "reconciler/run", 1
MOST_BYTES = 2 << 30
"""Documents of ten thousand pipelines are larger than other files."""

_SHOWN_OUTPUTS = ("digest", "page")
_IN_SYNC = frozenset({ChangeClass.IN_SYNC, ChangeClass.UNVERIFIED})
_HEAD_KEYS = frozenset(
    [
        *("exit_code", "totals", "command", "options", "plan_options", "started", "ended", "seconds"),
        *("digest", "interrupted", "stopped_by_failures", "declined", "refusal", "problems"),
    ]
)
_PIPELINE_KEYS = frozenset(
    [
        *("folder", "stack", "result", "exit_code", "version", "image_digest", "seconds", "wave", "problems"),
        *("next", "plan", "steps", "stale_steps", "mismatch", "diagnostics"),
    ]
)
_PLAN_KEYS = frozenset(["basis", "asked", "summary", "contract", "diagnostics"])
OUTCOME_KEYS = frozenset(["status", "step_seconds", "error", "blocked_by", "object"])


def run_text(report: RunReport) -> str:
    """The report as JSON."""
    return json_text(run_to_document(report))


def run_to_document(report: RunReport) -> dict[str, JSON]:
    """The whole report. Fields that are in sync are left out of the plans, and live objects are shortened."""
    return {
        "format": FORMAT,
        "version": VERSION,
        **head_to_document(report),
        "pipelines": [pipeline_to_document(run, report) for run in report.runs],
    }


def head_to_document(report: RunReport) -> dict[str, JSON]:
    """The report without its pipelines."""
    return {
        "exit_code": report.exit_code,
        "totals": {"pipelines": len(report.runs), **totals(report)},
        "command": report.command,
        "options": list(report.options),
        "plan_options": list(report.plan_options),
        "started": _time(report.started),
        "ended": _time(report.ended),
        "seconds": report.seconds,
        "digest": report.digest,
        "interrupted": report.interrupted,
        "stopped_by_failures": report.stopped_by_failures,
        "declined": report.declined,
        "refusal": diagnostic_to_document(report.refusal) if report.refusal else None,
        "problems": [diagnostic_to_document(problem) for problem in report.problems],
    }


def totals(report: RunReport) -> dict[str, int]:
    """The number of pipelines with each result, by its name in documents: `not_started`."""
    return {result_name(result): count for result, count in report.counts.items()}


def result_name(result: RunResult) -> str:
    """The name of a result in documents and outputs of workflows."""
    return result.value.replace(" ", "_")


def pipeline_to_document(run: PipelineRun, report: RunReport) -> dict[str, JSON]:
    """The entry of one pipeline. `problems` and `next` follow from the rest, and are there for scripts."""
    return {
        "folder": run.folder,
        "stack": stack_to_document(run.stack) if run.stack else None,
        "result": result_name(run.result),
        "exit_code": run.exit_code,
        "version": run.version or None,
        "image_digest": run.image_digest or None,
        "seconds": round(run.seconds, 3),
        "wave": run.wave,
        "problems": [diagnostic_to_document(problem) for problem in problems(report, run)],
        "next": list(commands(report, [run])),
        "plan": _plan_to_document(run.plan) if run.plan else None,
        "steps": [*_steps_to_document(run)],
        "stale_steps": [_stale_to_document(step) for step in run.stale_steps],
        "mismatch": _mismatch_to_document(run.mismatch) if run.mismatch else None,
        "diagnostics": [diagnostic_to_document(remark) for remark in run.diagnostics],
    }


def read_run(path: Path) -> RunReport:
    """The report in a file that `run_text` wrote.

    Raises:
        UserError: the file cannot be read, or is not the report of a run.
    """
    try:
        return run_from_document(json.loads(read_regular(path, MOST_BYTES)))
    except OSError as problem:
        raise UserError(error("the report cannot be read", f"{problem.strerror}.", file=path)) from None
    except UNUSABLE as problem:
        detail = f"{cause_of(problem)}. Use a file that `reconciler apply --json FILE` wrote."
        raise UserError(error("the file is not the report of a run", detail, file=path)) from None


def run_from_document(document: Document) -> RunReport:
    """The report in a document of `run_to_document`.

    Raises:
        ValueError, KeyError, TypeError: the document is not such a report, or has a newer version.
    """
    expect(document, dict, "the report of a run")
    if document["format"] != FORMAT:
        raise ValueError(f"its format is {document['format']!r}, not {FORMAT!r}")
    if document["version"] != VERSION:
        raise ValueError(f"its version is {document['version']!r}; this reconciler reads version {VERSION}")
    only_keys(document, _HEAD_KEYS | {"format", "version", "pipelines"}, "the report")
    head = {key: document[key] for key in _HEAD_KEYS}
    return replace(head_from_document(head), runs=tuple(map(pipeline_from_document, document["pipelines"])))


def head_from_document(document: Document) -> RunReport:
    """The report in a document of `head_to_document`, without pipelines. Raises as `run_from_document`."""
    only_keys(document, _HEAD_KEYS, "the report")
    started, ended = (time_from_document(document[key]) for key in ("started", "ended"))
    report = RunReport(
        command=document["command"],
        started=started,
        ended=ended,
        digest=document["digest"],
        runs=(),
        problems=tuple(map(diagnostic_from_document, document["problems"])),
        refusal=diagnostic_from_document(document["refusal"]) if document["refusal"] else None,
        interrupted=document["interrupted"],
        stopped_by_failures=document["stopped_by_failures"],
        declined=document["declined"],
        options=tuple(document["options"]),
        plan_options=tuple(document["plan_options"]),
        waited=round((ended - started).total_seconds() - document["seconds"]),
    )
    check_fields(report)
    return report


def pipeline_from_document(document: Document) -> PipelineRun:
    """The result in a document of `pipeline_to_document`. Raises as `run_from_document`."""
    only_keys(document, _PIPELINE_KEYS, "a pipeline")
    stack = Stack(**document["stack"]) if document["stack"] else None
    steps = [_split(step) for step in document["steps"]]
    plan = None
    if document["plan"] is not None:
        if stack is None:
            raise ValueError(f"{document['folder']} has a plan and no stack")
        plan = _plan_from_document(document["plan"], stack, tuple(step for step, _ in steps))
    run = PipelineRun(
        folder=document["folder"],
        stack=stack,
        result=RunResult(document["result"].replace("_", " ")),
        exit_code=document["exit_code"],
        plan=plan,
        outcomes=tuple(outcome_from_document(step, rest) for step, rest in steps if rest["status"]),
        diagnostics=tuple(map(diagnostic_from_document, document["diagnostics"])),
        stale_steps=tuple(map(_stale_from_document, document["stale_steps"])),
        mismatch=_mismatch_from_document(document["mismatch"]) if document["mismatch"] else None,
        version=document["version"] or "",
        seconds=document["seconds"],
        wave=document["wave"],
    )
    check_fields(run)
    return run


def outcome_to_document(outcome: Outcome | None) -> dict[str, JSON]:
    """How a step ended; every value but the time is null for a step that did not run."""
    if outcome is None:
        return {"status": None, "step_seconds": 0.0, "error": None, "blocked_by": None, "object": None}
    return {
        "status": outcome.status.value,
        "step_seconds": round(outcome.seconds, 3),
        "error": _error_to_document(outcome.error) if outcome.error else None,
        "blocked_by": str(outcome.blocked_by) if outcome.blocked_by else None,
        "object": _object_to_document(outcome.live) if outcome.live else None,
    }


def _steps_to_document(run: PipelineRun) -> Iterator[dict[str, JSON]]:
    """The steps of the plan, each with its outcome."""
    audience = audience_of(run.plan) if run.plan else Audience.PLAN
    outcomes = {outcome.step.address: outcome for outcome in run.outcomes}
    planned = run.plan.steps if run.plan else ()
    others = (outcome.step for outcome in run.outcomes)
    for step in {step.address: step for step in (*others, *planned)}.values():
        changes = tuple(one for one in step.changes if one.write or one.cls not in _IN_SYNC)
        yield {
            **step_to_document(replace(step, changes=changes), audience),
            **outcome_to_document(outcomes.get(step.address)),
        }


def _split(document: Document) -> tuple[Step, Document]:
    """A step, and the document of its outcome."""
    only_keys(document, STEP_KEYS | OUTCOME_KEYS, f"step {document.get('address')}")
    step = step_from_document({key: document[key] for key in STEP_KEYS})
    return step, {key: document[key] for key in OUTCOME_KEYS}


def outcome_from_document(step: Step, document: Document) -> Outcome:
    """The outcome of this step in a document of `outcome_to_document`. Raises as `run_from_document`."""
    live, blocked_by = document["object"], document["blocked_by"]
    outcome = Outcome(
        step,
        Status(document["status"]),
        error=_error_from_document(document["error"]) if document["error"] else None,
        live=_object_from_document(step.address, live) if live else None,
        blocked_by=Address.parse(blocked_by) if blocked_by else None,
        seconds=document["step_seconds"],
    )
    check_fields(outcome)
    return outcome


def _object_to_document(live: LiveObject) -> dict[str, JSON]:
    return {"id": live.id, **{name: _text(live.outputs.get(name)) for name in _SHOWN_OUTPUTS}}


def _object_from_document(address: Address, document: Document) -> LiveObject:
    only_keys(document, frozenset(["id", *_SHOWN_OUTPUTS]), f"the object of {address}")
    outputs = {name: document[name] for name in _SHOWN_OUTPUTS if document[name] is not None}
    for name, value in outputs.items():
        expect(value, str, f"the object of {address}: its {name} is {value!r}")
    return LiveObject(document["id"], address.name, {}, outputs)


def _text(value: JSON) -> str | None:
    return value if isinstance(value, str) else None


def _error_to_document(problem: ProviderError) -> dict[str, JSON]:
    way = way_to_document(problem.way_out) if problem.way_out else None
    return {"message": problem.message, "hint": problem.hint, "way_out": way}


def _error_from_document(document: Document) -> ProviderError:
    only_keys(document, frozenset(["message", "hint", "way_out"]), "an error")
    way = way_from_document(document["way_out"]) if document["way_out"] else None
    return ProviderError(document["message"], hint=document["hint"], way_out=way)


def _plan_to_document(plan: Plan) -> dict[str, JSON]:
    return {
        "basis": plan.basis.value,
        "asked": dict(plan.request),
        "summary": plan.counts,
        "contract": contract_to_document(plan.contract),
        "diagnostics": [diagnostic_to_document(remark) for remark in plan.diagnostics],
    }


def _plan_from_document(document: Document, stack: Stack, steps: tuple[Step, ...]) -> Plan:
    document = {"contract": [], **document}  # earlier reports lack it
    only_keys(document, _PLAN_KEYS, "a plan")
    return Plan(
        stack,
        lineage="",
        serial=0,
        steps=steps,
        diagnostics=tuple(map(diagnostic_from_document, document["diagnostics"])),
        request=document["asked"],
        contract=contract_from_document(document["contract"]),
        basis=Basis(document["basis"]),
    )


def _stale_to_document(step: StaleStep) -> dict[str, JSON]:
    fields: list[JSON] = [
        {
            "path": field.path,
            "saved": _stale_value_to_document(field.saved),
            "current": _stale_value_to_document(field.current),
        }
        for field in step.fields
    ]
    return {"address": str(step.address), "fields": fields}


def _stale_from_document(document: Document) -> StaleStep:
    only_keys(document, frozenset(["address", "fields"]), "a stale step")
    fields = [
        StaleField(
            field["path"],
            _stale_value_from_document(field["saved"]),
            _stale_value_from_document(field["current"]),
        )
        for field in document["fields"]
    ]
    return StaleStep(Address.parse(document["address"]), tuple(fields))


def _stale_value_to_document(value: JSON | NoValue | Reason) -> dict[str, JSON]:
    """An object with one of three keys, as a value may be anything."""
    if isinstance(value, Reason):
        return {"reason": reason_to_document(value, Audience.PLAN)}
    return {"absent": value.value} if isinstance(value, NoValue) else {"value": value}


def _stale_value_from_document(document: Document) -> JSON | NoValue | Reason:
    ((kind, value),) = document.items()
    match kind:
        case "reason":
            return reason_from_document(value)
        case "absent":
            return NoValue(value)
        case "value":
            return _json(value)
        case _:
            raise ValueError(f"a stale field has the unknown key {kind!r}")


def _json(value: Any) -> JSON:
    found: JSON = value
    return found


def _mismatch_to_document(mismatch: Reason) -> dict[str, JSON]:
    return {
        "reason": phrases.plan_mismatch(mismatch),
        "reason_code": mismatch.code.value,
        "reason_details": dict(mismatch.details),
    }


def _mismatch_from_document(document: Document) -> Reason:
    mismatch = Reason(PlanMismatch(document["reason_code"]), dict(document["reason_details"]))
    expect_words(mismatch.code, lambda: phrases.plan_mismatch(mismatch))
    return mismatch


def _time(when: datetime) -> str:
    return when.isoformat(timespec="seconds")
