"""Runs `reconciler rollback`."""

from reconciler.api.commands import Command
from reconciler.api.requests import ApplyOptions, Consent, FleetOptions, PlanRequest, ReadOptions
from reconciler.cli import options
from reconciler.cli.applying import Dialogue, Task, run_one
from reconciler.cli.outputs import Outputs
from reconciler.cli.prompts import Question
from reconciler.core.events import Emit
from reconciler.engine.apply import ApplyRequest, ApplyResult
from reconciler.engine.plan import PlanResult
from reconciler.engine.recorded import pipeline_at
from reconciler.engine.rollback import roll_back
from reconciler.system.files import display_path
from reconciler.views.counting import listed


def run(
    selection: options.Selection,
    where: options.TargetOptions,
    to: str | None,
    write: bool,
    dry_run: bool,
    consent: Consent,
    fleet_options: FleetOptions,
    apply_options: ApplyOptions,
    outputs: Outputs,
) -> int:
    if dry_run:
        from reconciler.cli.handlers import plan

        return plan.dry_run(
            selection,
            where,
            PlanRequest(),
            fleet_options,
            outputs,
            ReadOptions(shared=options.workspace().shared()),
            command=Command.rollback(to, write),
        )
    again = (*(["--to", to] if to is not None else []), *(["--write"] if write else []))
    if not selection.request.is_of_one:
        from reconciler.cli.fleet_applying import FleetCommand, apply_selected

        command = FleetCommand(Command.rollback(to, write), _Rollback.question)
        return apply_selected(
            command,
            selection,
            where,
            PlanRequest(),
            consent=consent,
            fleet_options=fleet_options,
            apply_options=apply_options,
            read_options=ReadOptions(shared=options.workspace().shared()),
            outputs=outputs,
        )
    folder = selection.folder()

    def prepare(_: Emit) -> Task:
        pipeline = pipeline_at(folder, where.environment_name(), options.workspace().shared())
        return lambda opened, dialogue: roll_back(
            opened, pipeline, to, ApplyRequest(apply_options, dialogue.approve), write=write
        )

    return run_one(
        prepare,
        display_path(folder),
        where,
        consent=consent,
        outputs=outputs,
        dialogue=_Rollback,
        again=again,
    )


class _Rollback(Dialogue):
    verb = "rollback"
    question = Question.ROLL_BACK

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
