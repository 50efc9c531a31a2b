"""Runs `reconciler rollback`."""

from reconciler.api.applying import ApplyResult, PlanResult, configured
from reconciler.api.commands import Command
from reconciler.api.requests import (
    ApplyOptions,
    Consent,
    FleetOptions,
    PlanOptions,
    PlanRequest,
    ReadOptions,
    RollbackRequest,
)
from reconciler.cli import options
from reconciler.cli.applying import Dialogue, WritingCommand
from reconciler.cli.outputs import Outputs
from reconciler.cli.prompts import Question
from reconciler.cli.selected_applying import apply_selected
from reconciler.views.counting import listed


def run(
    selection: options.Selection,
    where: options.TargetOptions,
    to: str | None,
    write: bool,
    decisions: PlanOptions,
    dry_run: bool,
    consent: Consent,
    fleet_options: FleetOptions,
    apply_options: ApplyOptions,
    outputs: Outputs,
) -> int:
    command = Command.rollback(is_of_many=not selection.request.is_of_one)
    request = PlanRequest(options=decisions, rollback=RollbackRequest(to, write))
    read_options = ReadOptions(shared=options.workspace().shared())
    if dry_run:
        from reconciler.cli.handlers import plan

        return plan.dry_run(selection, where, request, fleet_options, outputs, read_options, command=command)
    return apply_selected(
        WritingCommand(command, Question.ROLL_BACK, _Rollback),
        selection,
        where,
        request,
        consent=consent,
        fleet_options=fleet_options,
        apply_options=apply_options,
        read_options=read_options,
        outputs=outputs,
        read=lambda folder, reads, _: configured(folder, reads),
    )


class _Rollback(Dialogue):
    def needs_yes(self, planned: PlanResult) -> bool:
        """Whether the plan needs --yes without a terminal; prints the reason."""
        if planned.also_changes:
            self.err.print(
                f"refused: the rollback also changes what {listed(planned.also_changes)} "
                f"{'run' if planned.also_changes[1:] else 'runs'}; without a terminal this needs --yes"
            )
            return True
        return super().needs_yes(planned)

    def report_applied(self, applied: ApplyResult) -> None:
        """Print the result, and a reminder that the next apply undoes it unless the files change, too."""
        super().report_applied(applied)
        if applied.succeeded and not applied.planned.plan.is_empty:
            changed = "only the version in config.toml was changed" if applied.config_written else ""
            rest = "the other values of your files" if changed else "their values"
            self.err.print(f"  {changed or 'your files are unchanged'}: the next apply brings {rest} back")
