"""Takes values from the platform over into the files of a pipeline."""

from collections.abc import Sequence
from pathlib import Path

from reconciler.api.environments import Environment
from reconciler.api.requests import PlanOptions, PlanRequest, ReadOptions
from reconciler.api.sessions import open_session
from reconciler.core.events import Emit
from reconciler.core.values import Address
from reconciler.drift.adopt import Adoption, adoption, patch, write
from reconciler.engine.plan import PlanResult, make_plan
from reconciler.engine.validate import validate

__all__ = ["Adoption", "adoption", "patch", "plan_to_adopt", "write"]


def plan_to_adopt(
    folder: Path,
    environment: Environment,
    state: str | None,
    read_options: ReadOptions,
    emit: Emit,
    *,
    take: Sequence[Address] = (),
) -> PlanResult:
    """The plan of a pipeline, which shows the live values that differ from the files. Reads only.

    Args:
        take: resources of other stacks to take over.

    Raises:
        UserError: the files have errors, or the platform refuses the token.
        StateError: the state cannot be read.
    """
    validated = validate(folder, environment.reads(read_options), emit=emit)
    with open_session(environment, state, None, emit, 1) as session:
        return make_plan(session, validated, PlanRequest(options=PlanOptions(take=tuple(take))))
