"""Runs `reconciler rollback`."""

import sys
from collections.abc import Iterator

from reconciler.cli import options
from reconciler.cli.applying import Dialogue, Failed, Task, run_each
from reconciler.core.diagnostics import UserError
from reconciler.core.events import Emit
from reconciler.engine.apply import ApplyRequest, ApplyResult
from reconciler.engine.plan import PlanResult
from reconciler.engine.requests import ApplyOptions
from reconciler.engine.rollback import pipeline_at, roll_back
from reconciler.views.counting import listed


def run(
    name: str | None,
    where: options.TargetOptions,
    to: str | None,
    write: bool,
    yes: bool,
    apply_options: ApplyOptions,
) -> int:
    def tasks(failed: Failed, _: Emit) -> Iterator[Task]:
        try:
            pipeline = pipeline_at(
                options.pipeline_folder(name), where.environment_name(), options.workspace().shared()
            )
        except UserError as problem:
            failed(problem)
            return
        yield lambda opened, dialogue: roll_back(
            opened,
            pipeline,
            to,
            ApplyRequest(apply_options, dialogue.approve),
            write=write,
        )

    return run_each(tasks, where, yes=yes, dialogue=_Rollback, out=sys.stdout, err=sys.stderr)


class _Rollback(Dialogue):
    verb = "rollback"
    question = "Roll back to this?"

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
            rest = "classes and source" if applied.config_written else "files"
            self.err.print(f"  your {rest} are unchanged: the next apply brings their values back")
