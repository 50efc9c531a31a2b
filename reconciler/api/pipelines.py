"""The selected pipelines, and everything that can be done with them."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self, Unpack, overload

from msgspec import structs

from reconciler.api.arguments import checked
from reconciler.api.events import EventSink, OnEvent
from reconciler.api.requests import (
    Bump,
    PlanOptions,
    PlanRequest,
    PromoteRequest,
    ReadOptions,
    RollbackRequest,
    SelectionRequest,
    Shard,
    part_of,
)
from reconciler.api.workspaces import Workspace
from reconciler.core.diagnostics import UserError
from reconciler.core.events import Emit, ignore
from reconciler.system.files import display_path
from reconciler.workspace.config_file import PipelineSummary, summarize
from reconciler.workspace.selection import NoPipelineError, SelectedPipeline, select

if TYPE_CHECKING:
    from reconciler.api.bumping import VersionBump
    from reconciler.api.drifting import DriftReport
    from reconciler.api.environments import Environment
    from reconciler.api.plans import Plans
    from reconciler.api.settings import BumpName, PlanSettings
    from reconciler.api.statuses import StatusReport
    from reconciler.api.validating import Validation
    from reconciler.workspace.changes import Base

__all__ = ["NoPipelineError", "PipelineSummary", "Pipelines", "SelectedPipeline", "select_pipelines"]


@dataclass(frozen=True, slots=True, repr=False)
class Pipelines(Sequence[SelectedPipeline]):
    """The selected pipelines, each with its folder and the reasons.

    Methods that would change a platform return plans, and only `Plans.apply` changes it. `bump` writes files.

    Attributes:
        workspace: where they were selected.
        selected: the pipelines.
        request: the selection.
        read_options: how to read their files.
        problems: the names that match no pipeline, with their errors.
    """

    workspace: Workspace
    selected: tuple[SelectedPipeline, ...]
    request: SelectionRequest
    read_options: ReadOptions
    problems: Mapping[str, UserError] = field(default_factory=dict)

    @property
    def folders(self) -> list[Path]:
        """The folders of the pipelines."""
        return [pipeline.folder for pipeline in self.selected]

    def part(self, shard: Shard | None) -> Self:
        """The pipelines of one of several parallel jobs; None for all."""
        kept = set(part_of(self.folders, self.workspace.folder, shard))
        return replace(self, selected=tuple(one for one in self.selected if one.folder in kept))

    @checked
    def summaries(self, environment: "Environment | None" = None) -> list[PipelineSummary]:
        """Name, stack, type and version of each pipeline, from config.toml, as `reconciler list` has them.

        Args:
            environment: the one whose values count; None for those that all share.

        Raises:
            UserError: the environment is unknown. A file that cannot be read has a summary that says so.
        """
        name = environment.platform_name() if environment is not None else None
        return [summarize(folder, name) for folder in self.folders]

    @checked
    def validate(self, *, on_event: OnEvent | None = None) -> "Validation":
        """The problems of the files, offline, as `reconciler validate` reports them. Reads only.

        Args:
            on_event: gets the events of reading large sources.
        """
        from reconciler.api.validating import validation_of

        sink = EventSink(on_event)
        found = validation_of(self, sink)
        sink.raise_error()
        return found

    @checked
    def bump(self, kind: "Bump | BumpName", *, dry_run: bool = False) -> list["VersionBump"]:
        """Write the next version and its image tag into each config.toml, and nothing else.

        Args:
            dry_run: write nothing.

        Raises:
            UserError: a file cannot be read, or has no such next version. Then none is written.
            ValueError: there is no such bump.
        """
        from reconciler.api.bumping import bump_version
        from reconciler.api.settings import bump_of

        shared, bump = self.workspace.settings.shared(), bump_of(kind)
        found = [bump_version(folder, bump, shared, is_written=False) for folder in self.folders]
        return found if dry_run else [bump_version(folder, bump, shared) for folder in self.folders]

    @overload
    def __getitem__(self, index: int) -> SelectedPipeline: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[SelectedPipeline, ...]: ...

    def __getitem__(self, index: int | slice) -> SelectedPipeline | tuple[SelectedPipeline, ...]:
        return self.selected[index]

    def __len__(self) -> int:
        return len(self.selected)

    def __repr__(self) -> str:
        return f"<Pipelines {', '.join(map(display_path, self.folders)) or 'none'}>"

    @property
    def is_of_many(self) -> bool:
        """Whether this is a selection of several pipelines, even if only one of them is there."""
        return len(self) != 1 or not self.request.is_by_name

    @checked
    def plan(
        self,
        environment: "Environment",
        *,
        on_event: OnEvent | None = None,
        executor: Executor | None = None,
        rps: float | None = None,
        override: str = "",
        **settings: Unpack["PlanSettings"],
    ) -> "Plans":
        """What `apply` would change in an environment, and why. Reads only.

        Args:
            on_event: gets the events, one at a time, from any thread. Its first error ends its events, and is
                raised at the end.
            executor: runs the pipelines; None for threads and processes of this machine, as many as help.
            rps: most requests per second, of all workers together.
            override: why promote_from and review of reconciler.toml are overridden; the history keeps it.

        Raises:
            UserError: the platform refuses the token or the organization, or cannot be reached.
            StateError: the store cannot be opened.
            ValueError: a setting is invalid, or for one pipeline only.
        """
        from reconciler.api.planning import plan_pipelines

        request = self._request_of(settings)
        return plan_pipelines(
            self, environment, request, on_event=on_event, executor=executor, rps=rps, override=override
        )

    @checked
    def deploy(
        self,
        environment: "Environment",
        *,
        on_event: OnEvent | None = None,
        executor: Executor | None = None,
        rps: float | None = None,
        override: str = "",
        **settings: Unpack["PlanSettings"],
    ) -> "Plans":
        """The plans of `reconciler deploy`: as `plan`, and `apply` also writes the image tag of the version
        to config.toml if it has another one. Reads only.

        The arguments and the errors are as for `plan`.
        """
        from reconciler.api.commands import Command
        from reconciler.api.planning import plan_pipelines

        return plan_pipelines(
            self,
            environment,
            self._request_of(settings),
            on_event=on_event,
            executor=executor,
            rps=rps,
            override=override,
            command=Command.deploy(environment.reads(self.read_options, search=True)),
        )

    @checked
    def promote(
        self,
        source: "Environment",
        target: "Environment",
        *,
        final: bool = False,
        on_event: OnEvent | None = None,
        executor: Executor | None = None,
        rps: float | None = None,
        override: str = "",
        **settings: Unpack["PlanSettings"],
    ) -> "Plans":
        """The plans that give an environment the images that another one runs. Reads only, as `plan`.

        Args:
            source: the environment whose images are promoted.
            target: the environment that gets them.
            final: give a release candidate its final version.

        The others, and the errors, are as for `plan`.
        """
        from reconciler.api.commands import Command
        from reconciler.api.planning import plan_pipelines
        from reconciler.api.settings import request_of

        name = source.platform_name()
        if name == target.platform_name():
            raise ValueError(f"the source and the target of a promotion are both {name}")
        request = structs.replace(request_of(settings), promote=PromoteRequest(name, final))
        target = replace(target, others=(*target.others, source))
        return plan_pipelines(
            self,
            target,
            request,
            on_event=on_event,
            executor=executor,
            rps=rps,
            override=override,
            command=Command.promote(),
        )

    @checked
    def rollback(
        self,
        environment: "Environment",
        *,
        to: str | int | None = None,
        write: bool = False,
        replace: Iterable[str] = (),
        take: Iterable[str] = (),
        ours: Iterable[str] | bool = (),
        theirs: Iterable[str] | bool = (),
        on_event: OnEvent | None = None,
        executor: Executor | None = None,
        rps: float | None = None,
        override: str = "",
    ) -> "Plans":
        """The plans that restore the state of an earlier run. Reads only, as `plan`.

        Args:
            to: a version, or the serial of a state version; None for the run before the last one. With
                several pipelines, None leaves those alone whose last run was a rollback.
            write: whether `apply` also writes the earlier version to config.toml.
            replace, take: as for `plan`.
            ours, theirs: who wins where another stack applied the live value of a shared object; True for all
                resources. A rollback overwrites all other changes made since.

        The others, and the errors, are as for `plan`.
        """
        from reconciler.api.commands import Command
        from reconciler.api.planning import plan_pipelines
        from reconciler.api.settings import request_of

        decided = request_of({"replace": replace, "take": take, "ours": ours, "theirs": theirs})
        wanted = RollbackRequest(None if to is None else str(to), write)
        command = Command.rollback(is_of_many=self.is_of_many)
        return plan_pipelines(
            self,
            environment,
            structs.replace(decided, rollback=wanted),
            on_event=on_event,
            executor=executor,
            rps=rps,
            override=override,
            command=command,
        )

    @checked
    def destroy(
        self,
        environment: "Environment",
        *,
        prune: bool = False,
        on_event: OnEvent | None = None,
        executor: Executor | None = None,
        rps: float | None = None,
        override: str = "",
    ) -> "Plans":
        """The plans that delete the resources of the pipelines. Reads only, as `plan`.

        Args:
            prune: whether objects that other pipelines may use are deleted, too.

        The others, and the errors, are as for `plan`.
        """
        from reconciler.api.commands import Command
        from reconciler.api.planning import plan_pipelines

        request = PlanRequest(options=PlanOptions(prune=prune, destroy=True))
        return plan_pipelines(
            self,
            environment,
            request,
            on_event=on_event,
            executor=executor,
            rps=rps,
            override=override,
            command=Command.destroy(),
        )

    @checked
    def drift(
        self,
        environment: "Environment",
        *,
        unmanaged: bool = False,
        baseline: str | os.PathLike[str] | None = None,
        earlier: str | os.PathLike[str] | None = None,
        shard: Shard | None = None,
        on_event: OnEvent | None = None,
        executor: Executor | None = None,
        rps: float | None = None,
    ) -> "DriftReport":
        """The changes that were made outside of the files. Reads only.

        If all pipelines of a workspace are selected in its top folder, the report also has the stacks that no
        folder declares any more.

        Args:
            unmanaged: also find the objects of the organization that no stack has.
            baseline: the file with the acknowledgements; None for drift-baseline.toml in the folder of the
                workspace object, if it exists.
            earlier: the JSON report of an earlier check, for the age of findings. It need not exist.
            shard: only this part of the pipelines, for parallel jobs.

        The others are as for `plan`.

        Raises:
            UserError: the platform refuses the token or the organization, or a file has errors.
            StateError: the store cannot be opened.
        """
        from reconciler.api.drifting import drift_of

        return drift_of(
            self,
            environment,
            unmanaged=unmanaged,
            baseline=None if baseline is None else Path(baseline),
            earlier=None if earlier is None else Path(earlier),
            shard=shard,
            on_event=on_event,
            executor=executor,
            rps=rps,
        )

    @checked
    def status(
        self,
        environments: "Iterable[Environment] | None" = None,
        *,
        offline: bool = False,
        on_event: OnEvent | None = None,
        executor: Executor | None = None,
    ) -> "StatusReport":
        """Version, image, last apply and drift of each pipeline in each environment. Reads only.

        A pipeline that cannot be read has a row with the reason.

        Args:
            environments: the only ones with rows: the first for every pipeline, the others for those with
                state. None for `workspace.environments()`, and all other environments that the state has.
            offline: read files and state only.
            on_event, executor: as for `plan`.

        Raises:
            UserError: an environment has no token, or reconciler.toml has errors.
            StateError: the store cannot be read.
        """
        from reconciler.api.statuses import status_of

        found = None if environments is None else list(environments)
        return status_of(self, found, offline=offline, on_event=on_event, executor=executor)

    def _request_of(self, settings: "PlanSettings") -> PlanRequest:
        """The request of these settings. Raises ValueError: one is invalid, or for one pipeline only."""
        from reconciler.api.settings import request_of

        request = request_of(settings)
        if request.force_bump and self.is_of_many:
            raise ValueError("force_bump is for one pipeline: repeated, it would publish several once more")
        return request


def select_pipelines(
    workspace: Workspace,
    request: SelectionRequest,
    read_options: ReadOptions,
    environment: "Environment | None",
    emit: Emit = ignore,
    *,
    is_offline: bool = False,
) -> "Pipelines":
    """The pipelines of a request. Names that match nothing are in `problems`. Raises as `Workspace.select`.

    Args:
        read_options: those of the workspace are added.
        is_offline: do not read a bucket to find stacks of folders that the search passes over.
    """
    from reconciler.api.stores import files_of_state

    if request.everything and (request.names or request.groups):
        raise ValueError("select pipelines by names and groups, or all of them, not both")
    settings = workspace.settings
    reads = structs.replace(
        read_options, shared=settings.shared(), state_files=files_of_state(workspace.state)
    )
    problems: dict[str, UserError] = {}

    def environment_name() -> str | None:
        return environment.platform_name() if environment is not None else None

    def changed(folders: Sequence[Path], base: "Base") -> Mapping[Path, str]:
        from reconciler.workspace.changes import changed_pipelines

        return changed_pipelines(folders, base, workspace.folder, settings, emit)

    def stale(folders: Sequence[Path]) -> Mapping[Path, str]:
        from reconciler.api.stores import open_state
        from reconciler.core.platforms import scope
        from reconciler.engine.unapplied import stale_pipelines

        where = environment or workspace.environment()
        found = where.settings()
        target = (found.organization.value, found.environment.value, found.host.value)
        with open_state(emit, workspace.state) as store:
            return stale_pipelines(folders, where.reads(reads), scope(*target), store, emit)

    def known(is_meant: Callable[[str, str], bool]) -> Mapping[str, str]:
        from reconciler.api.known_folders import known_folders

        return known_folders(workspace, is_meant, emit, is_offline=is_offline)

    selected = select(
        request, workspace.folder, settings, environment_name, changed, stale, problems.__setitem__, known
    )
    return Pipelines(workspace, tuple(selected), request, reads, problems)
