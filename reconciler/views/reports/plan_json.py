"""Plans as JSON documents, with the same bytes for `--json` and `--out`."""

import json
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import asdict

from providers.json_value import JSON
from providers.reasons import Reason, Refusal, WayOut
from providers.regular_files import read_regular
from reconciler.core.approval import digest
from reconciler.core.contract import ContractChange
from reconciler.core.diagnostics import Diagnostic, UserError, error, in_order
from reconciler.core.diff import Change, ChangeClass, Resolution
from reconciler.core.plan import Plan, Stack, Step
from reconciler.core.promotion import Promotion, RunningVersion
from reconciler.core.reasons import ContractCode, RefusalCode, Way
from reconciler.core.values import Address
from reconciler.engine.requests import PlanRequest
from reconciler.system.files import write_output, writing
from reconciler.views import phrases
from reconciler.views.phrases import Audience, audience_of
from reconciler.views.reports.document_parts import (
    ACTIONS,
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
    unstated,
    values_from_document,
    values_to_document,
    way_from_document,
    way_to_document,
)
from reconciler.views.reports.field_types import check_fields
from reconciler.views.safe import json_text

FORMAT = "reconciler/plan"
VERSION = 2
"""Version 2 adds codes to reasons. Version 1 can be read, too; its reasons keep their texts."""
PLANS_FORMAT = "reconciler/plans"


def plan_text(plan: Plan) -> str:
    return json_text(plan_to_document(plan))


class SavedPlans(Struct, frozen=True):
    """The plans in a file of `plan --all --out`.

    Attributes:
        plans: one for each pipeline that could be planned.
        digest: of all of them, see `reconciler.core.approval`.
        workspace: the name of the workspace that they were made in; "" if it has none.
    """

    plans: tuple[Plan, ...]
    digest: str
    workspace: str


def plans_text(plans: Sequence[Plan], errors: Sequence[Diagnostic], workspace: str = "") -> str:
    """Several plans in one document.

    Args:
        errors: the problems of pipelines without a plan.
        workspace: the name of the workspace, which a saved document has.
    """
    return json_text(
        {
            "format": PLANS_FORMAT,
            "version": 1,
            "digest": digest(plans),
            "workspace": workspace,
            "plans": [plan_to_document(plan) for plan in plans],
            "errors": [diagnostic_to_document(problem) for problem in errors],
        }
    )


def save_plan(text: str, path: Path) -> None:
    """Write a document of plans to a file that only its owner can read, as parameters may be confidential.

    Raises:
        UserError: the file cannot be written.
    """
    with writing(path, "the plan cannot be saved"):
        write_output(path, text.encode(), mode=0o600)


def read_saved(path: Path) -> Plan | SavedPlans:
    """The plan or plans that `save_plan` wrote.

    Raises:
        UserError: the file cannot be read, or is not a plan of a supported version.
    """
    try:
        document = json.loads(read_regular(path))
        saved = _saved_from_document(document)
        for plan in saved.plans if isinstance(saved, SavedPlans) else [saved]:
            PlanRequest.from_document(plan.request)
        return saved
    except OSError as problem:
        raise UserError(error("the plan cannot be read", f"{problem.strerror}.", file=path)) from None
    except UNUSABLE as problem:
        detail = f"{cause_of(problem)}. Make a new plan:  reconciler plan PIPELINE --out FILE"
        raise UserError(error("the file is not a usable plan", detail, file=path)) from None


def read_plan(path: Path) -> tuple[Plan, PlanRequest]:
    """The plan of one pipeline in a file, and its request.

    Raises:
        UserError: as `read_saved`, or the file has the plans of several pipelines.
    """
    saved = read_saved(path)
    if isinstance(saved, SavedPlans):
        raise UserError(error("the file has the plans of several pipelines, not of one", file=path))
    return saved, PlanRequest.from_document(saved.request)


def _saved_from_document(document: Document) -> Plan | SavedPlans:
    expect(document, dict, "a plan")
    if document.get("format") != PLANS_FORMAT:
        return plan_from_document(document)
    if document.get("version") != 1:
        raise ValueError(f"plans of version {document.get('version')}; this reconciler reads version 1")
    only_keys(document, _PLANS_KEYS, "the plans")
    expect(document["workspace"], str, "the workspace")
    plans = tuple(plan_from_document(plan) for plan in document["plans"])
    if document["digest"] != digest(plans):
        raise ValueError("its plans do not have its digest, so it was changed after it was saved")
    return SavedPlans(plans, document["digest"], document["workspace"])


def plan_to_document(plan: Plan) -> dict[str, JSON]:
    """The plan as the JSON document of `plan --json` and `plan --out`."""
    audience = audience_of(plan)
    return {
        "format": FORMAT,
        "version": VERSION,
        "stack": stack_to_document(plan.stack),
        "lineage": plan.lineage,
        "serial": plan.serial,
        "sources": plan.sources,
        "asked": dict(plan.request),
        "summary": plan.counts,
        "contract": contract_to_document(plan.contract),
        "steps": [step_to_document(step, audience) for step in plan.steps],
        "diagnostics": [diagnostic_to_document(d) for d in in_order(plan.diagnostics)],
        **({"promotion": _promotion_to_document(plan.promotion)} if plan.promotion else {}),
    }


def _promotion_to_document(promotion: Promotion) -> dict[str, JSON]:
    return {
        "source": asdict(promotion.source),
        "target": asdict(promotion.target),
        "version": promotion.version,
    }


def _promotion_from_document(document: Document | None) -> Promotion | None:
    if document is None:
        return None
    only_keys(document, _PROMOTION_KEYS, "the promotion")
    for name in ("source", "target"):
        only_keys(document[name], _RUNNING_KEYS, f"the {name} of the promotion")
        for key, value in document[name].items():
            expect(value, str, f"the {name} of a promotion: its {key} is {value!r}")
    expect(document["version"], str, "the version of a promotion")
    return Promotion(
        RunningVersion(**document["source"]), RunningVersion(**document["target"]), document["version"]
    )


def plan_from_document(document: Document) -> Plan:
    """The plan in a document of `plan_to_document`, or of version 1 of the format.

    Raises:
        ValueError: not a plan, a newer version, or unknown keys.
    """
    expect(document, dict, "a plan")
    if document.get("format") != FORMAT:
        raise ValueError(f"not a saved plan: its format is {document.get('format')!r}, not {FORMAT!r}")
    version = document.get("version")
    if version not in (1, VERSION):
        raise ValueError(f"a plan of version {version}; this reconciler reads versions 1 and {VERSION}")
    document = {"contract": [], "promotion": None, **document}  # earlier plans lack them
    only_keys(document, _PLAN_KEYS, "the plan")
    only_keys(document["stack"], _STACK_KEYS, "the plan's stack")
    for name, value in document["stack"].items():
        expect(value, str, f"a stack: its {name} is {value!r}")
    steps = document["steps"] if version == VERSION else map(_step_with_codes, document["steps"])
    plan = Plan(
        stack=Stack(**document["stack"]),
        lineage=document["lineage"],
        serial=document["serial"],
        sources=document["sources"],
        request=document["asked"],
        contract=contract_from_document(document["contract"]),
        steps=tuple(step_from_document(step) for step in steps),
        diagnostics=tuple(diagnostic_from_document(d) for d in document["diagnostics"]),
        promotion=_promotion_from_document(document["promotion"]),
    )
    check_fields(plan)
    return plan


_PROMOTION_KEYS = frozenset(["source", "target", "version"])
_RUNNING_KEYS = frozenset(RunningVersion.__struct_fields__)
_PLANS_KEYS = frozenset(["format", "version", "digest", "workspace", "plans", "errors"])
_REASON_KEYS = frozenset(["reason", "reason_code", "reason_details"])
_PLAN_KEYS = frozenset(
    [
        *("format", "version", "stack", "lineage", "serial", "sources", "asked", "summary", "contract"),
        *("steps", "diagnostics", "promotion"),
    ]
)
_STACK_KEYS = frozenset(["organization", "environment", "host", "pipeline", "name", "folder"])
STEP_KEYS = _REASON_KEYS | {
    "address",
    "kind",
    "action",
    "depends_on",
    "changes",
    "id",
    "fingerprint",
    "refusal",
}
_CONTRACT_KEYS = _REASON_KEYS | {"input", "effect", "place"}
_CHANGE_KEYS = _REASON_KEYS | {
    "path",
    "class",
    "desired",
    "recorded",
    "live",
    "write",
    "resolution",
    "place",
    "absent",
}
_REFUSAL_KEYS = frozenset(["summary", "reason_code", "reason_details", "ways", "ways_out"])
_WAY_KEYS = frozenset(["code", "command", "details"])


def contract_to_document(changes: Sequence[ContractChange]) -> list[JSON]:
    """The changes of the contract: `effect` is `breaking` or `compatible`."""
    return [
        {
            "input": change.input,
            "effect": phrases.effect(change),
            "reason": phrases.contract_reason(change),
            "reason_code": change.reason.code.value,
            "reason_details": dict(change.reason.details),
            "place": change.place,
        }
        for change in changes
    ]


def contract_from_document(documents: Sequence[Document]) -> tuple[ContractChange, ...]:
    """The changes in documents of `contract_to_document`. Raises ValueError or KeyError for any other."""
    expect(documents, list, "the changes of a contract")
    return tuple(map(_contract_change, documents))


def _contract_change(document: Document) -> ContractChange:
    only_keys(document, _CONTRACT_KEYS, f"the change of the input {document.get('input')}")
    reason = Reason(ContractCode(document["reason_code"]), dict(document["reason_details"]))
    change = ContractChange(document["input"], reason, document["place"])
    expect_words(reason.code, lambda: phrases.contract_reason(change))
    return change


def step_to_document(step: Step, audience: Audience) -> dict[str, JSON]:
    """A step with its changes, worded for this audience."""
    return {
        "address": str(step.address),
        "kind": step.address.kind,
        "action": step.action.word,
        **reason_to_document(step.reason, audience),
        "depends_on": [str(address) for address in step.depends_on],
        "id": step.id,
        "fingerprint": step.fingerprint,
        "refusal": None if step.refusal is None else _refusal_to_document(step.refusal, audience),
        "changes": [_change_to_document(change, audience) for change in step.changes],
    }


def step_from_document(document: Document) -> Step:
    """The step in a document of `step_to_document`. Raises ValueError or KeyError for any other."""
    only_keys(document, STEP_KEYS, f"step {document.get('address')}")
    address, refusal = document["address"], document["refusal"]
    if document["action"] not in ACTIONS:
        raise ValueError(f"step {address} has an unknown action: {document['action']}")
    return Step(
        address=Address.parse(address),
        action=ACTIONS[document["action"]],
        reason=reason_from_document(document),
        changes=tuple(_change_from_document(change) for change in document["changes"]),
        depends_on=tuple(Address.parse(text) for text in document["depends_on"]),
        id=document["id"],
        fingerprint=document["fingerprint"],
        refusal=_refusal_from_document(refusal, address) if refusal is not None else None,
    )


def _refusal_to_document(refusal: Refusal, audience: Audience) -> dict[str, JSON]:
    words = reason_to_document(refusal.reason, audience)
    return {
        "summary": words.pop("reason"),
        **words,
        "ways": [phrases.way_text(way) for way in refusal.ways],
        "ways_out": [way_to_document(way) for way in refusal.ways],
    }


def _refusal_from_document(document: Document, address: str) -> Refusal:
    only_keys(document, _REFUSAL_KEYS, f"the refusal of {address}")
    for way in document["ways_out"]:
        only_keys(way, _WAY_KEYS, f"a way out of the refusal of {address}")
    return Refusal(reason_from_document(document), tuple(map(way_from_document, document["ways_out"])))


def _change_to_document(change: Change, audience: Audience) -> dict[str, JSON]:
    return {
        "path": change.path,
        "class": change.cls.value,
        **values_to_document(change),
        **reason_to_document(change.reason, audience),
        "write": change.write,
        "resolution": change.resolution.value,
        "place": change.place,
    }


def _change_from_document(document: Document) -> Change:
    only_keys(document, _CHANGE_KEYS, f"change {document.get('path')}")
    return Change(
        path=document["path"],
        cls=ChangeClass(document["class"]),
        reason=reason_from_document(document),
        write=document["write"],
        resolution=Resolution(document["resolution"]),
        place=document["place"],
        **values_from_document(document),
    )


def _step_with_codes(step: Document) -> Document:
    """A step of version 1, which has only texts, converted to version 2."""
    expect(step, dict, "a step")
    refusal = step["refusal"]
    if refusal is not None:
        only_keys(refusal, frozenset(["summary", "ways"]), f"the refusal of {step.get('address')}")
        ways = [WayOut(Way.UNSTATED, details={"text": text}) for text in refusal["ways"]]
        text = Reason(RefusalCode.UNSTATED, {"text": refusal["summary"]})
        refusal = _refusal_to_document(Refusal(text, tuple(ways)), Audience.PLAN)
    return {
        **_with_code(step),
        "refusal": refusal,
        "changes": [_with_code(change) for change in step["changes"]],
    }


def _with_code(document: Document) -> Document:
    expect(document, dict, "a step or a change")
    return {**document, **reason_to_document(unstated(document["reason"]), Audience.PLAN)}
