"""What `reconciler rollback` does."""

import sys
from collections.abc import Iterator

from reconciler.cli import options
from reconciler.cli.applying import Dialogue, Failed, Work, in_turn
from reconciler.core.diagnostics import UserError
from reconciler.engine.apply import ApplyRequest, ApplyResult
from reconciler.engine.requests import ApplyOptions
from reconciler.engine.rollback import pipeline_at, roll_back


def run(
    name: str,
    where: options.TargetOptions,
    to: str | None,
    write: bool,
    yes: bool,
    apply_options: ApplyOptions,
) -> int:
    def works(failed: Failed) -> Iterator[Work]:
        try:
            pipeline = pipeline_at(
                options.pipeline_folder(name), where.environment_name(), options.workspace().shared()
            )
        except UserError as problem:
            failed(problem)
            return
        yield lambda opened, talk: roll_back(
            opened,
            pipeline,
            to,
            ApplyRequest(apply_options, talk.approve),
            write=write,
        )

    return in_turn(works, where, yes=yes, dialogue=_Rollback, out=sys.stdout, err=sys.stderr)


class _Rollback(Dialogue):
    verb = "rollback"
    question = "Go back to this?"

    def done(self, applied: ApplyResult) -> None:
        """Tell how it ended, and that the next apply undoes it unless the files go back, too."""
        super().done(applied)
        if applied.succeeded and not applied.planned.plan.is_empty:
            rest = "classes and source" if applied.config_written else "files"
            self.err.print(f"  your {rest} stay as they are: the next apply brings back what they say")
