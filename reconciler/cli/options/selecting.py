"""The options that select pipelines."""

import functools
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from msgspec import Struct

from reconciler.api.requests import PlanRequest, ReadOptions, SelectionRequest, Shard
from reconciler.cli.options import completions
from reconciler.cli.options.command import Command
from reconciler.cli.options.param_types import ParsedType, PipelineTypeType
from reconciler.cli.options.reading import read_options_of
from reconciler.cli.options.targets import TargetOptions, open_workspace, workspace
from reconciler.core.diagnostics import UserError, error

if TYPE_CHECKING:
    from reconciler.api.pipelines import Pipelines

SHARD = ParsedType("K/N", Shard.parse)


def refuse_forced_bump_of_many(
    selection: SelectionRequest, request: PlanRequest, where: TargetOptions, verb: str
) -> None:
    """Raise UsageError for `--force-bump` with several pipelines.

    The same command, run again after a failure, would publish once more what is published already.
    """
    if not request.force_bump or request.bump is None or selection.is_of_one:
        return
    first = shlex.join(("reconciler", "bump", request.bump.value, *selection.arguments))
    then = shlex.join(("reconciler", verb, *selection.arguments, *where.arguments(verb)))
    raise click.UsageError(
        "--force-bump is for one pipeline: repeated, it would publish once more what is done. "
        f"Write the versions first, and repeat only the second command: {first} && {then}"
    )


def pipeline_folder(name: str | None, where: TargetOptions | None = None) -> Path:
    """The folder of the pipeline with this name or path; with None, the current folder.

    Args:
        where: the environment whose names count; None for those of all.

    Raises:
        UsageError: no name is given, and the current folder is no pipeline.
        UserError: there is no such pipeline, or more than one.
    """
    from reconciler.workspace.discovery import PipelineIndex, checked_folder

    if name is not None:
        environment = where.named().platform_name if where is not None else lambda: None
        return PipelineIndex(Path.cwd(), workspace(), environment).find(name)
    if not is_in_pipeline():
        raise click.UsageError("name a pipeline, or run the command in its folder")
    return checked_folder(Path.cwd(), workspace())


def _json_file(names: Sequence[str]) -> str:
    """How to write a file, for a command whose --json takes none: FILE after it is the name of a pipeline."""
    options = click.get_current_context().params
    file = next((name for name in names if name.endswith(".json")), None)
    return f"; for a file, use -o json={file}" if file and options.get("json_file") is True else ""


def is_in_pipeline() -> bool:
    """Whether the current folder is that of a pipeline, which commands then need no name for."""
    return (Path.cwd() / "config.toml").exists()


class Selection(Struct, frozen=True):
    """The pipelines that the arguments select.

    Attributes:
        where: the environment whose values of config.toml count; None for those that all share.
        read_options: how to read the files to compare them with the state.
        is_strict: whether a name that matches no pipeline is an error. A command that writes sets it, so that
            it checks all names before it changes anything.
        is_offline: whether the command reads files only, and never a bucket. One without `where` is offline.
    """

    request: SelectionRequest
    where: TargetOptions | None = None
    read_options: ReadOptions | None = None
    is_strict: bool = False
    is_offline: bool = False

    def pipelines(self) -> "Pipelines":
        """The pipelines, each once, with the reasons; and the names that match none, with their errors.

        Raises:
            UsageError: no pipeline is named, or both names and --all are.
            UserError: no pipeline is selected, or there is no such group; or no such name, if it is strict.
            StateError: the state cannot be read.
        """
        from reconciler.api.pipelines import select_pipelines
        from reconciler.views.terminal.console import console
        from reconciler.views.terminal.progress import ProgressView

        request = self.request
        if request.everything and (request.names or request.groups):
            raise click.UsageError(f"pass names of pipelines or --all, not both{_json_file(request.names)}")
        is_current = request.is_by_name and not request.names
        if is_current and not is_in_pipeline():
            raise click.UsageError("name a pipeline, run the command in its folder, or use --all")
        err = console(sys.stderr)
        with ProgressView(err) as progress:
            found = select_pipelines(
                open_workspace(),
                request,
                self.reads(),
                self.where.named() if self.where else None,
                progress,
                is_offline=(self.is_offline or self.where is None) and not request.stale,
            )
        if self.is_strict and found.problems:
            every = [line for problem in found.problems.values() for line in problem.diagnostics]
            raise UserError(*every, *([error("nothing was changed", _CHECKED_FIRST)] if found else []))
        if not found and request.allow_empty:
            err.print("no pipeline is selected")
        return found

    def reads(self) -> ReadOptions:
        """How to read the files."""
        return self.read_options or ReadOptions(shared=workspace().shared())

    def folder(self) -> Path:
        """The folder of the pipeline, if the request is of one. Raises UserError."""
        return pipeline_folder(self.request.names[0] if self.request.names else None, self.where)

    def folders(self, failed: Callable[[UserError], None]) -> list[Path]:
        """The folders of `pipelines`. Passes the errors of names that match none on."""
        found = self.pipelines()
        for problem in found.problems.values():
            failed(problem)
        return found.folders


_CHECKED_FIRST = "All names are checked first. Correct them, or leave out those that are wrong."


def start_workers(selection: Selection, executor: str | None) -> None:
    """Start the workers of a command, if it selects many pipelines. Call it after all imports.

    Args:
        executor: the scheduler of the workers, if they are elsewhere.
    """
    request = selection.request
    if executor is not None or request.groups or request.has_filters:
        return
    total = len(request.names)
    if request.everything:
        total = sum(os.path.exists(f"{name}/config.toml") for name in os.listdir())  # noqa: PTH110, PTH208
    if total > 1:
        from reconciler.api.executors import start_early

        start_early(total)


_MERGE_BASE: Final = object()
"""The value of `--changed` without one. A value that is given is never empty."""


def pipelines(command: Command) -> Command:
    """`[PIPELINE]...` and the options that select pipelines, passed as `selection`."""
    gpu = click.option(
        "--gpu/--no-gpu",
        "has_gpu",
        default=None,
        help="Select only pipelines whose jobs use a GPU; with --no-gpu, only those whose jobs use none.",
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
        type=ParsedType("[REF]", str),
        metavar="[REF]",
        is_flag=False,
        flag_value=_MERGE_BASE,
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
        changed: Any,
        stale: bool,
        allow_empty: bool,
        has_gpu: bool | None = None,
        **rest: Any,
    ) -> int:
        base = "" if changed is _MERGE_BASE else changed
        request = SelectionRequest(names, everything, groups, types, has_gpu, base, stale, allow_empty)
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
