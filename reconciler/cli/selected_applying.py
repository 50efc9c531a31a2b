"""Applies the pipelines of a selection from their files: one alone, or several side by side."""

from functools import partial

from reconciler.api.requests import ApplyOptions, Consent, FleetOptions, PlanRequest, ReadOptions
from reconciler.cli import execution, options
from reconciler.cli.applying import Dialogue, apply_one
from reconciler.cli.outputs import Outputs
from reconciler.system.files import display_path


def apply_files(
    dialogue: type[Dialogue],
    selection: options.Selection,
    where: options.TargetOptions,
    request: PlanRequest,
    *,
    consent: Consent,
    fleet_options: FleetOptions,
    apply_options: ApplyOptions,
    read_options: ReadOptions,
    outputs: Outputs,
) -> int:
    """Plan, ask, apply and return the exit code.

    Args:
        dialogue: gives the verb and the question.

    Raises:
        UserError: a pipeline cannot be read, or a report could not be written.
    """
    if selection.request.is_of_one:
        folder = selection.folder()
        return apply_one(
            partial(execution.validated, folder, where.reads(read_options)),
            display_path(folder),
            where,
            request,
            apply_options,
            consent=consent,
            outputs=outputs,
            dialogue=dialogue,
        )
    from reconciler.api.commands import Command  # late: one pipeline needs none of these
    from reconciler.cli.fleet_applying import FleetCommand, apply_selected

    return apply_selected(
        FleetCommand(Command(verb=dialogue.verb), dialogue.question),
        selection,
        where,
        request,
        consent=consent,
        fleet_options=fleet_options,
        apply_options=apply_options,
        read_options=read_options,
        outputs=outputs,
    )
