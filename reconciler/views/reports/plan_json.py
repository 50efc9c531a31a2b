"""Plans as JSON documents: the same bytes for `--json` and `--out`, in the shape of the contract."""

import json
from collections.abc import Sequence
from pathlib import Path

from providers.regular_files import read_regular
from reconciler.core.diagnostics import Diagnostic, UserError, error
from reconciler.core.plan import Plan, diagnostic_to_document
from reconciler.engine.requests import PlanRequest
from reconciler.system.files import replace_file
from reconciler.views.safe import json_text

PLANS_FORMAT = "reconciler/plans"


def plan_text(plan: Plan) -> str:
    return json_text(plan.to_document())


def plans_text(plans: Sequence[Plan], errors: Sequence[Diagnostic]) -> str:
    """Several plans in one document; pipelines without a plan are told apart by their errors."""
    return json_text(
        {
            "format": PLANS_FORMAT,
            "version": 1,
            "plans": [plan.to_document() for plan in plans],
            "errors": [diagnostic_to_document(problem) for problem in errors],
        }
    )


def save_plan(plan: Plan, path: Path) -> None:
    """Write the plan to a file that only its owner may read: parameters may be nobody else's business.

    Raises:
        UserError: it cannot be written.
    """
    try:
        content = plan_text(plan).encode()
        if path.exists() and not path.is_file():  # a pipe or a terminal has no content to keep whole
            path.write_bytes(content)
        else:
            replace_file(path, content, mode=None if path.exists() else 0o600)
    except OSError as problem:
        raise UserError(error("the plan cannot be saved", f"{problem.strerror}.", file=path)) from None


def read_plan(path: Path) -> tuple[Plan, PlanRequest]:
    """The plan that `save_plan` wrote, and what it was asked for.

    Raises:
        UserError: it cannot be read, or is no plan that this version knows.
    """
    try:
        plan = Plan.from_document(json.loads(read_regular(path)))
        return plan, PlanRequest.from_document(plan.asked)
    except OSError as problem:
        raise UserError(error("the plan cannot be read", f"{problem.strerror}.", file=path)) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        told = f"{problem}. Make it with: reconciler plan PIPELINE --out FILE"
        raise UserError(error("this is not a plan that can be used", told, file=path)) from None
