"""The dashboard of a workspace: its pipelines with their history and reports, in every environment."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from reconciler.api.reports import Report
from reconciler.api.stores import open_state
from reconciler.core.diagnostics import UserError
from reconciler.core.events import Emit
from reconciler.drift.dashboard import drift_history, pipeline_records
from reconciler.drift.matrix import Column, in_promotion_order
from reconciler.drift.orphans import find_orphans, not_sought
from reconciler.views.reports.image_json import ImageVersion
from reconciler.views.site.site import Site, columns_of
from reconciler.workspace.schema import Workspace
from state.errors import UnreadableStateError
from state.register import scope_of
from state.stores.base import Store

__all__ = ["dashboard_files"]


def dashboard_files(
    workspace: Workspace,
    folder: Path,
    state: str | None,
    reports: Iterable[Report],
    images: Sequence[ImageVersion],
    *,
    most_runs: int,
    emit: Emit,
    failed: Callable[[UserError], None],
) -> Iterator[tuple[str, bytes]]:
    """Yield each file of a dashboard with its path, while state and reports are read.

    Args:
        folder: only at the top of the workspace, stacks without a folder are found.
        state: the address of the state; None for the default place.
        reports: drift reports, which are read one at a time.
        images: versions of images with their layers, complete once the reports are read.
        most_runs: the latest runs of each pipeline that get a place.
        failed: gets the errors of the stacks without a folder.

    Raises:
        StateError: the state cannot be read.
    """
    with open_state(emit, state) as store:
        drift = drift_history(reports)
        declared = _declared(workspace)
        stacks = {*store.stacks(), *drift.checks}
        if declared:
            stacks -= _of_former_environments(store, stacks, {column.scope for column in declared})
        orphans = []
        unknown = not_sought(workspace, folder)
        if not unknown:
            try:
                orphans = find_orphans(store, sorted({*map(scope_of, stacks)} - {""}), workspace)
            except UserError as problem:
                failed(problem)
                unknown = problem.reason
        columns = columns_of(stacks, declared)
        records = pipeline_records(store, stacks, drift, orphans, most_runs=most_runs, emit=emit)
        made = datetime.now(UTC).replace(microsecond=0)
        yield from Site(records, columns, drift, images, made, unknown).files()


def _of_former_environments(store: Store, stacks: Iterable[str], declared: Collection[str]) -> set[str]:
    """The stacks of environments that reconciler.toml had, and of which the state has nothing any more."""
    others = {stack for stack in stacks if scope_of(stack) not in declared}
    left = {scope_of(stack) for stack in others if _has_content(store, stack)}
    return {stack for stack in others if scope_of(stack) not in left}


def _has_content(store: Store, stack: str) -> bool:
    """Whether the state of a stack has resources, or cannot be read."""
    try:
        state = store.load(stack)
    except UnreadableStateError:
        return True
    return state is not None and bool(state.resources or state.intents)


def _declared(workspace: Workspace) -> list[Column]:
    """The environments of reconciler.toml, in the order of promotion."""
    shared = workspace.shared()
    return in_promotion_order(
        [Column(name, scope, shared.promotes_from.get(name, "")) for scope, name in shared.names.items()]
    )
