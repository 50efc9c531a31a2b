"""Compares what callers of a pipeline rely on: its inputs and their types, in the files or in versions."""

from contextlib import ExitStack

from reconciler.api.environments import Environment
from reconciler.api.sessions import FILES
from reconciler.api.stores import open_state
from reconciler.core.diagnostics import UserError
from reconciler.core.events import Emit, Note
from reconciler.engine.contract import ContractReport, contract_at, contract_in_files
from reconciler.engine.session import registries, stack_of, with_older_names
from reconciler.pipeline.load import Pipeline

__all__ = ["ContractReport", "compare_contracts"]


def compare_contracts(
    pipeline: Pipeline,
    before: str | None,
    after: str | None,
    environment: Environment,
    state: str | None,
    emit: Emit,
) -> ContractReport:
    """The contract of the files, or the changes between two contracts. Reads only.

    Args:
        before: the version to compare from; None for the contract of the files alone.
        after: the version to compare with; None for the files.
        environment: has the versions. Without a login, only images are read.
        state: the address of the state; None for the default place.

    Raises:
        CannotCheckError: a version has no contract that can be read.
        StateError: the state cannot be read.
    """
    in_files = contract_in_files(pipeline)
    if before is None:
        return ContractReport(pipeline, None, in_files)
    emit(Note(f"reading the contracts of {pipeline.name}"))
    with ExitStack() as opened:
        store = opened.enter_context(open_state(emit, state))
        pool = opened.enter_context(registries(emit))
        stack = None
        try:
            target = environment.target()
            stack = str(stack_of(target, pipeline))
        except UserError:
            pass  # without a login, only images are read
        else:
            renamed = with_older_names(target, [pipeline], store, emit, FILES)
            store = opened.enter_context(renamed)
        first = contract_at(pipeline, before, store, stack, pool)
        second = contract_at(pipeline, after, store, stack, pool) if after is not None else in_files
    return ContractReport(pipeline, first, second)
