"""Plans that were saved to a file: found again, made again and compared, then applied."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from reconciler.api.environments import Environment
from reconciler.api.events import EventSink
from reconciler.api.executors import open_workers
from reconciler.api.pipelines import Pipelines
from reconciler.api.planning import make_plans
from reconciler.api.plans import Plan, Plans
from reconciler.api.requests import PlanRequest, ReadOptions, SelectionRequest
from reconciler.api.running import Saved, apply_plans
from reconciler.api.runs import RunReport
from reconciler.api.stores import files_of_state
from reconciler.api.workspaces import Workspace
from reconciler.core.diagnostics import UserError, error
from reconciler.core.plan import Plan as CorePlan
from reconciler.core.plan import Stack
from reconciler.core.platforms import scope, scope_label
from reconciler.credentials.target import known_environments
from reconciler.engine.sources import workspace_name
from reconciler.system.files import display_path
from reconciler.views.reports.plan_json import SavedPlans as Document
from reconciler.views.reports.plan_json import read_saved
from reconciler.workspace.config_file import DeclaredStacks, declaration
from reconciler.workspace.discovery import PipelineIndex, find, is_folder_of_pipeline
from reconciler.workspace.selection import SelectedPipeline

__all__ = ["LoadedPlans", "found_pipelines", "load_plans", "require_environment", "require_workspace"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class LoadedPlans(Plans):
    """The plans in a file.

    Attributes:
        document: what the file has.
        file: the file.
    """

    document: Document = field(default_factory=lambda: Document((), "", ""))
    file: Path = Path()

    @property
    def digest(self) -> str:
        """The digest of all plans, as it was saved."""
        return self.document.digest

    def _apply(self, **arguments: Any) -> RunReport:
        """Make the plans again with their own options, compare them with the saved ones, and apply them."""
        workspace = self.pipelines.workspace
        require_workspace(self.document, workspace, self.file)
        require_environment(self.document.plans, self.environment, self.file)
        of_selection = self.pipelines.request, self.pipelines.read_options
        pipelines, found = found_pipelines(self.document, workspace, *of_selection)
        sink = EventSink(arguments["on_event"])
        workers = open_workers(arguments["executor"])
        made = make_plans(
            pipelines, self.environment, PlanRequest(), self.command, sink, workers=workers, saved=found
        )
        sink.raise_error()
        saved = Saved(found, self.document.digest, arguments.pop("skip_stale"))
        return apply_plans(made, saved=saved, **arguments)


def load_plans(file: Path, workspace: Workspace | None, environment: Environment | None) -> LoadedPlans:
    """As `Plans.load`."""
    from reconciler.core.approval import digest

    found = read_saved(file)
    document = Document((found,), digest([found]), "") if isinstance(found, CorePlan) else found
    workspace = workspace or Workspace.open()
    names = tuple(plan.stack.name for plan in document.plans)
    is_of_one = isinstance(found, CorePlan)
    request = SelectionRequest(names) if is_of_one else SelectionRequest(everything=True)
    folders: dict[Path, CorePlan] = {}
    for plan in document.plans:
        folder = Path(plan.stack.folder or plan.stack.name)
        folders[folder if folder not in folders else Path(str(plan.stack))] = plan
    selected = tuple(SelectedPipeline(folder, ("in the saved plan",)) for folder in folders)
    read_options = ReadOptions(
        shared=workspace.settings.shared(), state_files=files_of_state(workspace.state)
    )
    return LoadedPlans(
        Pipelines(workspace, selected, request, read_options),
        environment or _environment_of(document, workspace),
        {folder: Plan.of(plan) for folder, plan in folders.items()},
        {},
        document=document,
        file=file,
    )


def _environment_of(document: Document, workspace: Workspace) -> Environment:
    """The environment that the plans were made for, with the token that the command line finds."""
    declared = workspace.settings.declared()
    if not document.plans:
        return Environment(declared=declared)
    stack = document.plans[0].stack
    own = stack.environment in declared
    return Environment(stack.environment, stack.organization, declared=declared, own_first=own)


def require_workspace(saved: Document, workspace: Workspace, file: Path | None) -> None:
    """Raise UserError if the plans were made in another workspace than the present one."""
    name = workspace_name(workspace.root, workspace.settings.name)
    if saved.workspace and name and saved.workspace != name:
        detail = f"They were made in {saved.workspace}, and this is {name}. Nothing was changed."
        raise UserError(error("the plans are of another workspace", detail, file=file))


def require_environment(plans: Sequence[CorePlan], environment: Environment, file: Path | None) -> None:
    """Raise UserError if the plans were made for another environment than this one. Sends no request."""
    if not plans:
        return
    stack, settings = plans[0].stack, environment.settings()
    if environment.name == stack.environment and stack.environment not in known_environments(
        environment.declared
    ):
        summary = (
            f"the plan is for {stack.scope_label}, and reconciler.toml does not declare {stack.environment}"
        )
        detail = f"Nothing was changed. Declare it again, with host = {stack.host!r}, or make a new plan."
        raise UserError(error(summary, detail, file=file))
    name, address, organization = settings.environment.value, settings.host.value, settings.organization.value
    if (address, organization) == (stack.host, stack.organization):
        return
    here = scope_label(scope(organization, name, address), name)
    summary = f"the plan is for {stack.scope_label}, and this is {here}"
    if here == stack.scope_label:
        detail = f"{name} was {stack.host} when it was made, and is {address} now. Make a new plan."
    else:
        apply = shlex.join(("reconciler", "apply", "--plan", str(file)))
        detail = f"Apply it without options for another environment: {apply}"
    raise UserError(error(summary, f"Nothing was changed. {detail}", file=file))


def found_pipelines(
    saved: Document, workspace: Workspace, request: SelectionRequest, read_options: ReadOptions
) -> tuple[Pipelines, dict[Path, CorePlan]]:
    """The pipelines of saved plans, and the plan of each folder.

    A stack that no folder declares, or several do, is among the problems of the pipelines.
    """
    by_folder, problems = _folders_of_plans(saved.plans, workspace)
    selected = tuple(SelectedPipeline(folder, ("in the saved plan",)) for folder in sorted(by_folder))
    return Pipelines(workspace, selected, request, read_options, problems), by_folder


def _folders_of_plans(
    plans: Sequence[CorePlan], workspace: Workspace
) -> tuple[dict[Path, CorePlan], dict[str, UserError]]:
    """The folder of each plan, and the error of each that has none."""

    @cache
    def declared() -> DeclaredStacks:
        return DeclaredStacks(PipelineIndex(workspace.folder).declarations)

    by_folder: dict[Path, CorePlan] = {}
    problems: dict[str, UserError] = {}
    for plan in plans:
        stack = plan.stack
        folder = workspace.folder / stack.folder if stack.folder else None
        if folder is None or not _may_have(folder, stack):
            folders = declared().folders(stack.name, stack.environment)
            if len(folders) != 1:
                problems[stack.name] = _not_found(stack, workspace)
                continue
            folder = folders[0]
        if folder in by_folder:
            summary = f"{display_path(folder)} has the plan of {by_folder[folder].stack} already"
            problems[stack.name] = UserError(error(summary, "Make a new plan."))
            continue
        by_folder[folder] = plan
    return by_folder, problems


def _may_have(folder: Path, stack: Stack) -> bool:
    """Whether a folder may be that of a saved stack: it declares the stack, or does not say.

    Another pipeline may have got the name of the folder since.
    """
    declared = declaration(folder)
    is_meant = not declared.stacks or declared.declares(stack.name, stack.environment)
    return is_folder_of_pipeline(folder) and is_meant


def _not_found(stack: Stack, workspace: Workspace) -> UserError:
    try:
        find(stack.name, workspace.folder, workspace.settings)
    except UserError as problem:
        return problem
    return UserError(error(f"no pipeline has the stack {stack}"))
