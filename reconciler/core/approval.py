"""What an approval covers: the digest of everything that some plans would do. Pure."""

import hashlib
import json
from collections.abc import Iterable

from providers.json_value import JSON
from reconciler.core.diff import ChangeClass
from reconciler.core.plan import Plan, Step
from reconciler.core.values import NoValue

SHORT = 16
"""Hexadecimal digits of a digest that are shown, and the fewest that `--approve` takes."""


def digest(plans: Iterable[Plan]) -> str:
    """A digest of what these plans would write, forget and refuse, in hexadecimal digits.

    Two digests are equal exactly if the stacks, their steps, the written values and the options are. It does
    not depend on the order of the plans, on plans with nothing to do, on folders, or on the serial of the
    state. So the plan of a pull request has the digest of the same plan after the merge.
    """
    documents = sorted(json.dumps(_document(plan), sort_keys=True) for plan in plans if not plan.is_empty)
    return hashlib.sha256("\n".join(documents).encode()).hexdigest()


def is_approved(approved: str, actual: str) -> bool:
    """Whether the digest in `--approve` is the actual one, or its beginning of at least `SHORT` digits."""
    return len(approved) >= SHORT and actual.startswith(approved.lower())


def _document(plan: Plan) -> JSON:
    return {
        "stack": str(plan.stack),
        "host": plan.stack.host,
        "sources": plan.sources,
        "request": dict(plan.request),
        "steps": [_step(step) for step in plan.steps],
        **({"image": plan.promotion.source.digest} if plan.promotion else {}),
    }


def _step(step: Step) -> JSON:
    decided = (change for change in step.changes if change.write or change.cls is ChangeClass.CONFLICT)
    return {
        "address": str(step.address),
        "action": step.action.word,
        "id": step.id,
        "refused": step.refusal.reason.code if step.refusal else None,
        "changes": sorted([change.path, _text(change.live), _text(change.desired)] for change in decided),
    }


def _text(value: JSON | NoValue) -> str:
    """A text that differs for different values, also from those that are no JSON."""
    return repr(value) if isinstance(value, NoValue) else json.dumps(value, sort_keys=True)
