"""Runs `reconciler promote`."""

from pathlib import Path

import click
from msgspec.structs import replace

from reconciler.api.commands import Command
from reconciler.api.requests import (
    ApplyOptions,
    Consent,
    FleetOptions,
    PlanRequest,
    PromoteRequest,
    ReadOptions,
)
from reconciler.cli import options
from reconciler.cli.applying import WritingCommand
from reconciler.cli.outputs import Outputs
from reconciler.cli.prompts import Question
from reconciler.cli.selected_applying import apply_selected


def run(
    selection: options.Selection,
    where: options.TargetOptions,
    source: str | None,
    final: bool,
    request: PlanRequest,
    out: Path | None,
    dry_run: bool,
    consent: Consent,
    fleet_options: FleetOptions,
    apply_options: ApplyOptions,
    outputs: Outputs,
    read_options: ReadOptions,
) -> int:
    request = replace(request, promote=PromoteRequest(_source(source, where), final))
    if dry_run:
        from reconciler.cli.handlers import plan

        unused = {"--out": out}
        return plan.dry_run(selection, where, request, fleet_options, outputs, read_options, unused=unused)
    if out is not None:
        return _save(selection, where, request, out, consent, fleet_options, outputs, read_options)
    return apply_selected(
        WritingCommand(Command.promote(), Question.PROMOTE),
        selection,
        where,
        request,
        consent=consent,
        fleet_options=fleet_options,
        apply_options=apply_options,
        read_options=read_options,
        outputs=outputs,
    )


def _source(source: str | None, where: options.TargetOptions) -> str:
    """The environment whose images are promoted. Raises UsageError if there is none."""
    target = where.environment_name()
    source = source or options.workspace().shared().promotes_from.get(target)
    if source is None:
        table = f"[environments.{target}]"
        raise click.UsageError(f"add --from ENV, or promote_from to {table} of reconciler.toml")
    if source == target:
        raise click.UsageError("--from and --to are the same environment")
    return source


def _save(
    selection: options.Selection,
    where: options.TargetOptions,
    request: PlanRequest,
    out: Path,
    consent: Consent,
    fleet_options: FleetOptions,
    outputs: Outputs,
    read_options: ReadOptions,
) -> int:
    """Show and save the plans, and apply nothing."""
    from reconciler.cli.handlers.plan import run as plan

    if consent != Consent():
        raise click.UsageError("--out saves the plan and applies nothing, so there is nothing to approve")
    if set(outputs.places) - {"markdown", "html"}:
        raise click.UsageError("--out applies nothing, so only --markdown and --html can report it")
    return plan(
        selection,
        where,
        request,
        out,
        outputs=outputs,
        exit_code=False,
        rps=fleet_options.rps,
        executor=fleet_options.executor,
        read_options=read_options,
        fails_if_refused=True,
    )
