"""Applies the pipelines of a selection: one alone, or several side by side."""

from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace

from reconciler.api.applying import of_pipeline
from reconciler.api.requests import ApplyOptions, Consent, FleetOptions, PlanRequest, ReadOptions
from reconciler.api.validating import ValidatedPipeline
from reconciler.cli import execution, options
from reconciler.cli.applying import WritingCommand, run_one
from reconciler.cli.outputs import Outputs
from reconciler.core.events import Emit
from reconciler.core.plan import Plan
from reconciler.system.files import display_path

Read = Callable[[Path, ReadOptions, Emit], ValidatedPipeline]
"""Reads the files of a pipeline. Raises UserError if they have errors."""


def apply_selected(
    command: WritingCommand,
    selection: options.Selection,
    where: options.TargetOptions,
    request: PlanRequest,
    *,
    consent: Consent,
    fleet_options: FleetOptions,
    apply_options: ApplyOptions,
    read_options: ReadOptions,
    outputs: Outputs,
    read: Read = execution.validated,
    saved: Plan | None = None,
    skip_moved: bool = False,
) -> int:
    """Plan, ask, apply and return the exit code.

    Args:
        read: how to read the files of one pipeline.
        saved, skip_moved: of one pipeline, as for `run_one`.

    Raises:
        UserError: a pipeline cannot be read, or a report could not be written.
    """
    if selection.request.is_of_one:
        folder = selection.folder()
        reads = where.reads(read_options, search=command.does.searches)
        return run_one(
            command,
            lambda emit: of_pipeline(read(folder, reads, emit), command.does, request),
            display_path(folder),
            where,
            request,
            consent=consent,
            apply_options=apply_options,
            outputs=outputs,
            saved=saved,
            skip_moved=skip_moved,
        )
    from reconciler.cli.fleet_applying import FleetRequest, apply_pipelines  # late: one pipeline needs none

    pipelines = replace(selection, read_options=read_options, is_strict=True).pipelines()
    fleet = FleetRequest(command, pipelines, request, consent, fleet_options, apply_options)
    return apply_pipelines(fleet, where, outputs)
