"""The options that select pipelines."""

import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.cli.options import completions
from reconciler.cli.options.command import Command
from reconciler.cli.options.param_types import ParsedType, PipelineTypeType
from reconciler.cli.options.reading import read_options_of
from reconciler.cli.options.targets import TargetOptions, workspace
from reconciler.core.diagnostics import UserError
from reconciler.engine.requests import ReadOptions
from reconciler.workspace.selection_request import SelectionRequest
from reconciler.workspace.shards import Shard

if TYPE_CHECKING:
    from reconciler.core.events import Emit
    from reconciler.workspace.changes import Base
    from reconciler.workspace.selection import SelectedPipeline
    from state.stores.base import Store

    OpenStore = Callable[[Emit], Store]
    """Opens the state store of the command; `cli.stores.store` does."""

SHARD = ParsedType("K/N", Shard.parse)


def pipeline_folder(name: str | None) -> Path:
    """The folder of the pipeline with this name or path; with None, the current folder.

    Raises:
        UsageError: no name is given, and the current folder is no pipeline.
        UserError: there is no such pipeline, or more than one.
    """
    from reconciler.workspace.discovery import checked_folder, find

    if name is not None:
        return find(name, Path.cwd(), workspace())
    if not is_in_pipeline():
        raise click.UsageError("name a pipeline, or run the command in its folder")
    return checked_folder(Path.cwd(), workspace())


def is_in_pipeline() -> bool:
    """Whether the current folder is that of a pipeline, which commands then need no name for."""
    return (Path.cwd() / "config.toml").exists()


@dataclass(frozen=True, slots=True)
class Selection:
    """The pipelines that the arguments select.

    Attributes:
        where: the environment whose values of config.toml count; None for those that all share.
        read_options: how to read the files to compare them with the state.
    """

    request: SelectionRequest
    where: TargetOptions | None = None
    read_options: ReadOptions | None = None

    def selected(
        self, failed: Callable[[str, UserError], None], open_store: "OpenStore"
    ) -> "list[SelectedPipeline]":
        """The pipelines, each once, with the reasons.

        Args:
            failed: called for each name that matches no pipeline.
            open_store: opens the state that `--stale` compares with.

        Raises:
            UsageError: no pipeline is named, or both names and --all are.
            UserError: no pipeline is selected, or there is no such group.
            StateError: the state cannot be read.
        """
        from reconciler.workspace.selection import select

        request = self.request
        if request.everything and (request.names or request.groups):
            raise click.UsageError("pass names of pipelines or --all, not both")
        is_current = request.is_by_name and not request.names
        if is_current and not is_in_pipeline():
            raise click.UsageError("name a pipeline, run the command in its folder, or use --all")
        stale = functools.partial(self._stale, open_store)
        selected = select(request, Path.cwd(), workspace(), self.environment, self._changed, stale, failed)
        if not selected and request.allow_empty:
            from reconciler.views.terminal.console import console

            console(sys.stderr).print("no pipeline is selected")
        return selected

    def folder(self) -> Path:
        """The folder of the pipeline, if the request is of one. Raises UserError."""
        return pipeline_folder(self.request.names[0] if self.request.names else None)

    def named_folders(self, failed: Callable[[str, UserError], None], open_store: "OpenStore") -> list[Path]:
        """The folders of `selected`."""
        return [pipeline.folder for pipeline in self.selected(failed, open_store)]

    def folders(self, failed: Callable[[UserError], None], open_store: "OpenStore") -> list[Path]:
        """As `named_folders`, for callers that do not need the names of missing pipelines."""
        return self.named_folders(lambda _, problem: failed(problem), open_store)

    def _changed(self, folders: Sequence[Path], base: "Base") -> Mapping[Path, str]:
        """Those of the pipelines whose files differ from a commit. Raises UserError."""
        from reconciler.views.terminal.console import console
        from reconciler.views.terminal.progress import ProgressView
        from reconciler.workspace.changes import changed_pipelines

        with ProgressView(console(sys.stderr)) as progress:
            return changed_pipelines(folders, base, Path.cwd(), workspace(), progress)

    def _stale(self, open_store: "OpenStore", folders: Sequence[Path]) -> Mapping[Path, str]:
        """Those of the pipelines whose files differ from the state. Raises UserError or StateError."""
        from reconciler.core.platforms import scope
        from reconciler.engine.unapplied import stale_pipelines
        from reconciler.views.terminal.console import console
        from reconciler.views.terminal.progress import ProgressView

        where = self.where or TargetOptions(None, None)
        read_options = where.reads(self.read_options or ReadOptions(shared=workspace().shared()))
        settings = where.settings()
        target = (settings.organization.value, settings.environment.value, settings.host.value)
        with ProgressView(console(sys.stderr)) as progress, open_store(progress) as store:
            return stale_pipelines(folders, read_options, scope(*target), store, progress)

    def environment(self) -> str | None:
        """The environment whose values of config.toml count. Raises UserError."""
        return self.where.environment_name() if self.where else None


def pipelines(command: Command) -> Command:
    """`[PIPELINE]...` and the options that select pipelines, passed as `selection`."""
    gpu = click.option(
        "--gpu/--no-gpu",
        "has_gpu",
        default=None,
        help="Select only pipelines whose jobs use a GPU, or none.",
    )
    return gpu(pipelines_to_deploy(command))


def pipelines_to_deploy(command: Command) -> Command:
    """As `pipelines`, without `--gpu`, which sets the GPUs of a job in the official command."""

    @click.argument("names", metavar="[PIPELINE]...", nargs=-1, shell_complete=completions.pipelines)
    @click.option("--all", "everything", is_flag=True, help="Select every pipeline below the current folder.")
    @click.option(
        "--group",
        "groups",
        metavar="NAME",
        multiple=True,
        shell_complete=completions.groups,
        help="Select the pipelines of this group of reconciler.toml.",
    )
    @click.option(
        "--type",
        "types",
        type=PipelineTypeType(),
        multiple=True,
        help="Select only pipelines of this type, such as TRAINING.",
    )
    @click.option(
        "--changed",
        metavar="[REF]",
        is_flag=False,
        flag_value="",
        help="Select only pipelines whose files differ from this commit. Default: the merge base with the "
        "default branch.",
    )
    @click.option(
        "--stale",
        is_flag=True,
        help="Select only pipelines whose files differ from the last apply in the state.",
    )
    @click.option(
        "--allow-empty", is_flag=True, help="Do nothing if no pipeline is selected, without an error."
    )
    @functools.wraps(command)
    def with_selection(
        names: tuple[str, ...],
        everything: bool,
        groups: tuple[str, ...],
        types: tuple[str, ...],
        changed: str | None,
        stale: bool,
        allow_empty: bool,
        has_gpu: bool | None = None,
        **rest: Any,
    ) -> int:
        request = SelectionRequest(names, everything, groups, types, has_gpu, changed, stale, allow_empty)
        return command(selection=Selection(request, _where(rest), read_options_of(rest)), **rest)

    return with_selection


def _where(arguments: Mapping[str, Any]) -> TargetOptions | None:
    """The target in the arguments of a command; None if it has no options for one."""
    if not {"organization", "environment"} <= arguments.keys():
        return None
    return TargetOptions(arguments["organization"], arguments["environment"])


pipeline = click.argument("name", metavar="[PIPELINE]", required=False, shell_complete=completions.pipelines)
"""`[PIPELINE]` of a command for one pipeline: by default the current folder."""


shard = click.option(
    "--shard",
    type=SHARD,
    help="Take only this part of the pipelines, such as 3/16: for parallel jobs.",
)
