"""Plans as JSON documents: the same bytes for `--json` and `--out`, in the shape of the contract."""

import json
from collections.abc import Sequence

from reconciler.diagnostics import Diagnostic
from reconciler.plan import Plan, diagnostic_to_document
from reconciler.values import JSON

PLANS_FORMAT = "reconciler/plans"


def plan_text(plan: Plan) -> str:
    return written(plan.to_document())


def plans_text(plans: Sequence[Plan], errors: Sequence[Diagnostic]) -> str:
    """Several plans in one document; pipelines without a plan are told apart by their errors."""
    return written(
        {
            "format": PLANS_FORMAT,
            "version": 1,
            "plans": [plan.to_document() for plan in plans],
            "errors": [diagnostic_to_document(problem) for problem in errors],
        }
    )


def written(document: JSON) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
