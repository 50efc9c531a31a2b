"""Reads many pipelines at once.

Decides nothing about a pipeline, except that no two may have one stack.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Generic

from msgspec import Struct

from reconciler.core.diagnostics import CannotCheckError, UserError
from reconciler.core.events import Emit, Event, FleetProgress, Note, PipelineEvent
from reconciler.engine.chunks import A, Problem, SignIn, T, Task
from reconciler.engine.files_key import files_key
from reconciler.engine.fleet import Lane, run
from reconciler.engine.local_workers import local
from reconciler.engine.requests import ReadOptions
from reconciler.engine.session import Session
from reconciler.engine.validate import ValidatedPipeline, duplicate_stack_error
from reconciler.engine.workers import OpenWorkers
from state.errors import StateError


class FleetResult(Struct, Generic[T], frozen=True):
    """The outcome of each pipeline.

    Attributes:
        results: the results of the pipelines that were read, in the order of the folders.
        problems: the errors of the others, in the same order.
        sign_in_error: the error of signing in, if it failed in every process and is not transient.
    """

    results: Mapping[Path, T]
    problems: Mapping[Path, Problem]
    sign_in_error: Problem | None = None


def inspect_all(
    folders: Sequence[Path],
    read_options: ReadOptions,
    sign_in: SignIn,
    inspect: Callable[[Session, ValidatedPipeline], T],
    emit: Emit,
    open_workers: OpenWorkers = local,
) -> FleetResult[T]:
    """Inspect every pipeline whose files have no errors. A stack of two folders is an error of both.

    Args:
        inspect: called once per pipeline, from several threads; only reads.

    The others are as for `read_each`.
    """
    found, sign_in_error = read_each(
        dict.fromkeys(folders), read_options, sign_in, partial(_inspect, inspect), emit, open_workers
    )
    return _combine(folders, found, sign_in_error)


def read_each(
    jobs: Mapping[Path, A],
    read_options: ReadOptions,
    sign_in: SignIn,
    read: Callable[[Session, ValidatedPipeline, A], T],
    emit: Emit,
    open_workers: OpenWorkers = local,
) -> tuple[dict[Path, T | Problem], Problem | None]:
    """The outcome of each pipeline, and the error of signing in if it failed everywhere and is not transient.

    After such an error, only pipelines whose files have errors have an outcome.

    Args:
        jobs: the folder of each pipeline, with its argument.
        sign_in: opens a session when the first pipeline needs it.
        read: called once per pipeline whose files have no errors, from several threads; only reads.
        open_workers: opens the workers. Unless they are threads, `sign_in`, `read`, the arguments and the
            results must support pickling.
    """
    total = len(jobs)
    quiet = partial(_without_notes, emit) if total > 1 else emit
    found: dict[Path, T | Problem] = {}
    sign_in_error: Problem | None = None
    key = partial(files_key, read_options=read_options, emit=quiet)
    with ExitStack() as opened:
        try:
            workers = opened.enter_context(open_workers(total))
        except CannotCheckError as problem:
            return dict.fromkeys(jobs, problem), None
        task = Task(read_options, sign_in, read, workers.processes, workers.threads, total)
        outcomes = run(
            [Lane(jobs, workers.at_once)],
            task,
            workers.executor,
            quiet,
            chunk=workers.size,
            key_of_files=key if workers.elsewhere else None,
            isolates=workers.isolates,
        )
        try:
            for folder, outcome in outcomes:
                found[folder] = outcome
                if total > 1:
                    emit(FleetProgress(len(found), total))
        except (UserError, StateError) as problem:
            sign_in_error = problem
        except BaseException as problem:
            workers.executor.shutdown(wait=False, cancel_futures=True)  # only reads are in hand
            outcomes.throw(problem)
            raise
    return found, sign_in_error


def _inspect(
    inspect: Callable[[Session, ValidatedPipeline], T],
    session: Session,
    validated: ValidatedPipeline,
    _: None,
) -> tuple[str, T | Problem]:
    """The name of the stack, with the result or error."""
    name = validated.require_valid()[0].config.stack_name
    try:
        return name, inspect(session, validated)
    except (UserError, StateError) as problem:
        return name, problem


def _combine(
    folders: Sequence[Path],
    found: Mapping[Path, tuple[str, T | Problem] | Problem],
    sign_in_error: Problem | None,
) -> FleetResult[T]:
    """All outcomes, in the order of the folders. Pipelines with one stack are errors, whatever was read."""
    results: dict[Path, T] = {}
    problems: dict[Path, Problem] = {}
    shared = shared_stacks({folder: one[0] for folder, one in found.items() if isinstance(one, tuple)})
    for folder in folders:
        outcome: tuple[str, T | Problem] | Problem | None = found.get(folder, sign_in_error)
        assert outcome is not None
        if isinstance(outcome, UserError | StateError):
            problems[folder] = outcome
            continue
        result = shared.get(folder, outcome[1])
        if isinstance(result, UserError | StateError):
            problems[folder] = result
        else:
            results[folder] = result
    return FleetResult(results, problems, sign_in_error)


def shared_stacks(names: Mapping[Path, str]) -> dict[Path, UserError]:
    """The error of each folder whose stack another one has, too.

    Args:
        names: the name of the stack of each folder.
    """
    folders: dict[str, list[Path]] = {}
    for folder in sorted(names):
        folders.setdefault(names[folder], []).append(folder)
    return {
        folder: duplicate_stack_error(name, group[0], folder if folder != group[0] else group[1])
        for name, group in folders.items()
        if len(group) > 1
        for folder in group
    }


def _without_notes(emit: Emit, event: Event) -> None:
    """Drop notes: they describe one pipeline, and would flicker for many at once."""
    if not isinstance(event.event if isinstance(event, PipelineEvent) else event, Note):
        emit(event)
