"""Plans as the interface returns them: one for each pipeline, with the errors of the others."""

import os
import threading
from collections.abc import ItemsView, Iterable, Iterator, Mapping, Sequence, ValuesView
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from msgspec.structs import asdict

from reconciler.api.arguments import checked
from reconciler.api.commands import Command
from reconciler.api.displays import Displayed
from reconciler.api.environments import Environment
from reconciler.api.events import OnEvent
from reconciler.api.pipelines import Pipelines
from reconciler.api.requests import PlanRequest
from reconciler.api.workspaces import Workspace
from reconciler.core.approval import digest
from reconciler.core.diagnostics import CannotCheckError, Diagnostic, Severity, UserError, error
from reconciler.core.exit_codes import DONE, UNCHECKED, code_of, worst
from reconciler.core.plan import Basis, Stack
from reconciler.core.plan import Plan as CorePlan
from reconciler.core.waves import FailureLimit, Waves
from reconciler.engine.chunks import Problem
from reconciler.engine.problems import diagnostics_of
from reconciler.engine.sources import workspace_name
from reconciler.system.files import display_path
from reconciler.views.terminal.console import Console

if TYPE_CHECKING:
    from reconciler.api.runs import RunReport

__all__ = ["Plan", "Plans", "image_with", "owners_of"]


class Plan(Displayed, CorePlan, frozen=True):
    """The plan of one pipeline: its steps, and every rule about it."""

    @classmethod
    def of(cls, plan: CorePlan) -> Self:
        """The same plan, which notebooks and terminals can show."""
        return cls(**asdict(plan))

    @property
    def digest(self) -> str:
        """The digest of this plan alone."""
        return digest([self])

    @property
    def errors(self) -> list[Diagnostic]:
        """The errors among its diagnostics."""
        return [line for line in self.diagnostics if line.severity is Severity.ERROR]

    def to_json(self) -> str:
        """The document of `reconciler plan --json` for one pipeline."""
        from reconciler.views.reports.plan_json import plan_text

        return plan_text(self)

    def _print(self, out: Console) -> None:
        from reconciler.views.terminal.messages import print_diagnostics
        from reconciler.views.terminal.plans import print_plan, print_refusals

        print_plan(self, out)
        print_diagnostics(self.diagnostics, out)
        print_refusals(self, out)

    def _html(self, fragment: bool) -> str:
        from reconciler.views.reports.html import plan_html

        return plan_html([self], [], fragment=fragment, owners=owners_of([self], Path.cwd()))

    def __repr__(self) -> str:
        from reconciler.views.terminal.plans import summary

        return f"<Plan {self.stack}: {summary(self).plain.removeprefix('Plan: ')}>"

    __str__ = Displayed.__str__


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Plans(Displayed, Mapping[str, Plan]):
    """The plans of several pipelines by the names of their stacks.

    `plans["trainer"]` also takes the name of a pipeline, if only one has it, and the folder.

    Attributes:
        pipelines: that were planned.
        environment: where they were planned for.
        by_folder: folder -> its plan, of the pipelines that could be planned.
        problems: folder, or name that matches no pipeline -> why there is no plan.
        command: plans and applies each of them.
        request: the options of the plans.
        override: why promote_from and review are overridden; "" if they are not.
        rps: most requests per second; None for no limit.
        sign_in_error: the error of signing in, if it failed for all pipelines and is not transient.
    """

    pipelines: Pipelines
    environment: Environment
    by_folder: Mapping[Path, Plan]
    problems: Mapping[str, Problem]
    command: Command = field(default_factory=Command)
    request: PlanRequest = field(default_factory=PlanRequest)
    override: str = ""
    rps: float | None = None
    sign_in_error: Problem | None = None

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        workspace: Workspace | None = None,
        environment: Environment | None = None,
    ) -> "Plans":
        """The plans in a file of `save` or `reconciler plan --out`, which were approved when they were saved.

        Args:
            workspace: None for the one around the current folder.
            environment: None for that of the plans, with the token that the command line finds.

        Raises:
            UserError: the file cannot be read, is not a plan of a supported version, or was changed.
        """
        from reconciler.api.saved_plans import load_plans

        return load_plans(Path(path), workspace, environment)

    def __getitem__(self, name: str) -> Plan:
        plans = self.by_folder.items()
        found = [plan for _, plan in plans if plan.stack.name == name]
        found = found or [
            plan for folder, plan in plans if display_path(folder) == name or str(folder) == name
        ]
        found = found or [plan for _, plan in plans if plan.stack.pipeline == name]
        if len(found) != 1:
            raise KeyError(name)
        return found[0]

    def __iter__(self) -> Iterator[str]:
        return (plan.stack.name for plan in self.by_folder.values())

    def __len__(self) -> int:
        return len(self.by_folder)

    # Not those of Mapping, which look each plan up by its name: that compares the names of all others.

    def values(self) -> ValuesView[Plan]:
        return self.by_folder.values()

    def items(self) -> ItemsView[str, Plan]:
        return {plan.stack.name: plan for plan in self.by_folder.values()}.items()

    @property
    def digest(self) -> str:
        """The digest of all plans, which an approval names."""
        return digest(self.by_folder.values())

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do, and every pipeline could be planned."""
        return not self.problems and all(plan.is_empty for plan in self.values())

    @property
    def can_apply(self) -> bool:
        """Whether every pipeline could be planned, and no plan has a conflict, a refused step or an error."""
        return not self.problems and all(plan.can_apply for plan in self.values())

    @property
    def is_destructive(self) -> bool:
        """Whether a plan deletes or replaces resources."""
        return any(plan.is_destructive for plan in self.values())

    @property
    def errors(self) -> list[Diagnostic]:
        """The errors of the pipelines without a plan, each once."""
        return [line for problem in dict.fromkeys(self.problems.values()) for line in diagnostics_of(problem)]

    @property
    def exit_code(self) -> int:
        """The code of `reconciler plan --exit-code`: 0 in sync, 10 changes to apply, 11 drift, 12 a conflict
        or a refused step, 13 not checked, 1 an error."""
        return worst(
            {
                DONE,
                *(plan.exit_code for plan in self.values()),
                *(
                    UNCHECKED if isinstance(problem, CannotCheckError) else code_of(problem)
                    for problem in self.problems.values()
                ),
            }
        )

    @property
    def is_of_one(self) -> bool:
        """Whether the selection was of one pipeline, whose document is that of a plan, not of a list."""
        return not self.pipelines.is_of_many

    def to_json(self) -> str:
        """The document of `reconciler plan --json` for this selection."""
        from reconciler.views.reports.plan_json import plan_text, plans_text

        plans = list(self.by_folder.values())
        if self.is_of_one and plans:
            return plan_text(plans[0])
        settings = self.pipelines.workspace.settings
        return plans_text(plans, self.errors, workspace_name(settings.root, settings.name))

    def to_markdown(self) -> str:
        """The text of `reconciler plan --markdown`."""
        from reconciler.views.reports.plan_markdown import plan_markdown

        plans = list(self.values())
        return plan_markdown(plans, self.errors, owners=owners_of(plans, Path.cwd()))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Save the plans to a file that only its owner can read, for `load` or `reconciler apply --plan`.

        Raises:
            UserError: the file cannot be written, or would become part of an image.
            ValueError: there is no plan, or the plans are a rollback, which is planned from the history.
        """
        from reconciler.views.reports.plan_json import save_plan

        file = Path(path)
        if not self.by_folder:
            raise ValueError("there is no plan to save")
        if any(plan.basis is not Basis.FILES for plan in self.values()):
            raise ValueError("a rollback cannot be saved: its plans are made from the history")
        if image := image_with(file, self.pipelines):
            raise UserError(error(image, "Save the plan outside of the build context."))
        save_plan(self.to_json(), file)

    @checked
    def apply(
        self,
        *,
        approve: str | bool = False,
        on_event: OnEvent | None = None,
        executor: Executor | None = None,
        stop: threading.Event | None = None,
        waves: str | Waves | None = None,
        max_failures: str | int | FailureLimit | None = None,
        jobs: int | None = None,
        builds: int | None = None,
        parallel: int = 8,
        lock_timeout: float = 0.0,
        skip_stale: bool = False,
        skip_moved: bool = False,
    ) -> "RunReport":
        """Apply the plans, side by side.

        Each is made again under the lock of its stack, and applied only if it is still the same.

        An error of one pipeline is in the report, and stops no other one.

        Args:
            approve: the digest of the plans, or its first 16 digits or more; True for any. Plans that delete
                or replace resources need an approval, and those whose environment requires a review need the
                digest.
            on_event: as for `Pipelines.plan`. After its error, nothing new starts.
            executor: any executor; None for threads.
            stop: once it is set, no pipeline starts, and in threads of this process no further step.
            waves: sizes of consecutive waves, such as `1,10%,100%`.
            max_failures: after more failures than this, nothing new starts: a number for the run, or a
                percentage of each wave, such as `10%`. Pipelines without a plan count, too.
            jobs: most pipelines at once, without those that publish an image.
            builds: most pipelines at once that publish an image.
            parallel: most steps at once of one pipeline.
            lock_timeout: seconds to wait for another run's lock.
            skip_stale: of loaded plans, apply the others if some are out of date.
            skip_moved: apply the steps of a plan that are still valid, if others changed since it was made.

        Raises:
            KeyboardInterrupt: at the end of the steps that ran, as after `stop`.
            ValueError: an argument is invalid.
        """
        return self._apply(
            approve=approve,
            on_event=on_event,
            executor=executor,
            stop=stop,
            waves=waves,
            max_failures=max_failures,
            jobs=jobs,
            builds=builds,
            parallel=parallel,
            lock_timeout=lock_timeout,
            skip_stale=skip_stale,
            skip_moved=skip_moved,
        )

    def _apply(self, *, skip_stale: bool, **arguments: Any) -> "RunReport":
        """As `apply`. Each plan is compared alone, so a stale one stops no other."""
        from reconciler.api.running import apply_plans

        return apply_plans(self, **arguments)

    def raise_for_problems(self) -> None:
        """Raise UserError if a pipeline has no plan, or one that cannot be applied."""
        from reconciler.views.fleet_problems import refusals

        found = [*self.errors, *(line for plan in self.values() for line in plan.errors)]
        for row in refusals(self.values()):
            ways = (f"{label}:  {command}" if command else label for label, command in row.problem.ways)
            found.append(error(row.problem.text, "\n".join((*row.problem.details, *ways))))
        if found:
            raise UserError(*found)

    def _print(self, out: Console) -> None:
        if self.is_of_one and self.by_folder:
            for plan in self.values():
                plan._print(out)
            return
        from reconciler.views.terminal.fleet_plan import print_fleet_plan

        problems = {name: diagnostics_of(problem) for name, problem in self.problems.items()}
        print_fleet_plan(list(self.by_folder.values()), problems, out, out)

    def _html(self, fragment: bool) -> str:
        from reconciler.views.reports.html import plan_html

        plans = list(self.values())
        owners = owners_of(plans, Path.cwd())
        return plan_html(plans, self.errors, fragment=fragment, owners=owners)

    def __repr__(self) -> str:
        from reconciler.views.fleet_changes import totals

        counts = totals(list(self.values()), len(self.problems))
        text = ", ".join(f"{count:,} {word}" for word, count in counts.items() if count)
        return f"<Plans {text or 'none'}>"

    __str__ = Displayed.__str__


def image_with(file: Path, pipelines: Pipelines) -> str:
    """What is wrong with a file for plans that would become part of an image; "" if it would not."""
    from reconciler.pipeline.image_source import is_in_image

    shared = pipelines.read_options.shared
    if any(is_in_image(folder, file, shared) for folder in pipelines.folders):
        return f"{file} would become part of the image"
    return ""


def owners_of(plans: Iterable[CorePlan], here: Path) -> dict[Stack, Sequence[str]]:
    """The owners of each pipeline, as CODEOWNERS has them.

    Args:
        here: the folder that the folders of stacks are relative to.
    """
    from reconciler.workspace.owners import find_owners

    found = find_owners(here)
    return {plan.stack: found.of(here / plan.stack.folder) for plan in plans if plan.stack.folder}
