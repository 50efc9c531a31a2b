"""A workspace, and the pipelines that are selected in it."""

import os
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self, Unpack, overload

from msgspec import structs

from reconciler.api.events import EventSink, OnEvent
from reconciler.api.requests import (
    PlanOptions,
    PlanRequest,
    PromoteRequest,
    ReadOptions,
    SelectionRequest,
    Shard,
    part_of,
)
from reconciler.core.diagnostics import UserError
from reconciler.core.events import Emit, ignore
from reconciler.engine.problems import diagnostics_of
from reconciler.system.files import display_path
from reconciler.workspace import schema
from reconciler.workspace.reader import find_workspace
from reconciler.workspace.selection import NoPipelineError, SelectedPipeline, select

if TYPE_CHECKING:
    from reconciler.api.drifting import DriftReport
    from reconciler.api.environments import Environment
    from reconciler.api.plans import Plans
    from reconciler.api.settings import PlanSettings
    from reconciler.api.statuses import StatusReport
    from reconciler.workspace.changes import Base


__all__ = ["NoPipelineError", "Pipelines", "SelectedPipeline", "Workspace", "select_pipelines"]

STATE = "RECONCILER_STATE"


@dataclass(frozen=True, slots=True)
class Workspace:
    """The folder with a reconciler.toml; without one the git repository, and without that a single folder.

    Attributes:
        folder: where names, paths and globs of pipelines start, as the current folder does for a command.
        settings: the content of reconciler.toml.
        state: the address of the state; None for the default place.
    """

    folder: Path
    settings: schema.Workspace = field(repr=False)
    state: str | None = None

    @classmethod
    def open(cls, folder: str | os.PathLike[str] = ".", *, state: str | None = None) -> Self:
        """The workspace around a folder. Its reconciler.toml is found upwards.

        Args:
            state: the address of the state. Default: RECONCILER_STATE, else that of reconciler.toml, else the
                file of the user.

        Raises:
            UserError: reconciler.toml cannot be read, or has errors; with all of them.
        """
        here = Path(folder).absolute()
        settings = find_workspace(here)
        return cls(here, settings, state or os.environ.get(STATE) or settings.state)

    @property
    def root(self) -> Path:
        """The top folder."""
        return self.settings.root

    @property
    def groups(self) -> tuple[str, ...]:
        """The names of the groups of pipelines."""
        return tuple(self.settings.groups)

    def environment(
        self,
        name: str | None = None,
        *,
        organization: str | None = None,
        host: str | None = None,
        token: str | None = None,
    ) -> "Environment":
        """An environment by its name in reconciler.toml, of the official tool or of a saved login.

        A token that is not given comes from the places that the command line reads. The variable that
        reconciler.toml names comes before PICSELLIA_TOKEN, as a program may have several environments.

        Args:
            name: in any case; None for the environment in use.
            host: address of the platform, for an environment without a name of its own.

        Raises:
            UserError: there is no environment of this name.
            ValueError: a host without a name or an organization, or with a name whose address is fixed.
        """
        from reconciler.api.environments import Environment

        declared = self.settings.declared()
        own = declared.get(name.upper()) if name is not None else None
        found = Environment(
            name,
            organization or (own.organization.value if own else None),
            host=host,
            token=token,
            declared=declared,
            own_first=own is not None,
        )
        found.platform_name()
        return found

    def environments(self) -> "list[Environment]":
        """The environments with a token: the one in use, those of reconciler.toml, then the saved logins.

        Raises:
            UserError: no environment is in use and reconciler.toml has none, or a file cannot be read.
        """
        from reconciler.api.environments import Environment, environments_with_login

        in_use = Environment(declared=self.settings.declared())
        return list(environments_with_login(in_use, needs_one_in_use=False))

    def select(
        self,
        *names: str,
        all: bool = False,
        groups: Iterable[str] = (),
        types: Iterable[str] = (),
        gpu: bool | None = None,
        changed: bool | str = False,
        stale: bool = False,
        allow_empty: bool = False,
        strict: bool = True,
        environment: "Environment | None" = None,
        python: str | os.PathLike[str] | None = None,
        static_only: bool = False,
        class_timeout: float = 30.0,
        on_event: OnEvent | None = None,
    ) -> "Pipelines":
        """The pipelines that this selects, as the same options of a command do. Without names, groups and
        filters, `all` or the pipeline in the folder.

        Args:
            names: names, paths and globs.
            all: every pipeline below the folder.
            groups: names of `[groups]` in reconciler.toml.
            types: only pipelines of these types, such as `TRAINING`.
            gpu: only pipelines whose jobs use a GPU, or only those whose jobs use none.
            changed: only pipelines whose files differ from this commit; True for the merge base with the
                default branch.
            stale: only pipelines whose files differ from the last apply in the state.
            allow_empty: whether it is no error if no pipeline is selected.
            strict: whether a name that matches nothing is an error. Otherwise it is in `problems`, and the
                other pipelines are selected all the same.
            environment: the one whose values of config.toml count for `types`, `gpu` and `stale`; None for
                those that all share, and for `stale` the environment in use.
            python: interpreter for classes that must be executed to be read.
            static_only: never execute code of a pipeline. A class that needs it is an error.
            class_timeout: seconds that a class may take.
            on_event: gets the events of reading the files.

        Raises:
            NoPipelineError: there is no pipeline to select from.
            UserError: no pipeline is selected, or there is no such name or group.
            StateError: the state cannot be read.
            ValueError: both names and `all`.
        """
        request = SelectionRequest(
            names,
            all,
            tuple(groups),
            tuple(kind.upper() for kind in types),
            gpu,
            (changed if isinstance(changed, str) else "") if changed else None,
            stale,
            allow_empty,
        )
        interpreter = None if python is None else Path(python)
        read_options = ReadOptions(interpreter, static_only, class_timeout)
        sink = EventSink(on_event)
        found = select_pipelines(self, request, read_options, environment, sink)
        sink.raise_error()
        if strict and found.problems:
            raise UserError(*(one for problem in found.problems.values() for one in diagnostics_of(problem)))
        return found


@dataclass(frozen=True, slots=True, repr=False)
class Pipelines(Sequence[SelectedPipeline]):
    """The selected pipelines, each with its folder and the reasons.

    Methods that would write return plans. Only `Plans.apply` writes.

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
        """
        from reconciler.api.planning import plan_pipelines
        from reconciler.api.settings import request_of

        request = request_of(settings)
        return plan_pipelines(
            self, environment, request, on_event=on_event, executor=executor, rps=rps, override=override
        )

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
            command=Command(verb="promote"),
        )

    def rollback(
        self,
        environment: "Environment",
        *,
        to: str | int | None = None,
        write: bool = False,
        on_event: OnEvent | None = None,
        executor: Executor | None = None,
        rps: float | None = None,
        override: str = "",
    ) -> "Plans":
        """The plans that restore the state of an earlier run. Reads only, as `plan`.

        Args:
            to: a version, or the serial of a state version; None for the run before the last one.
            write: whether `apply` also writes the earlier version to config.toml.

        The others, and the errors, are as for `plan`.
        """
        from reconciler.api.commands import Command
        from reconciler.api.planning import plan_pipelines

        command = Command.rollback(
            None if to is None else str(to), write, is_of_many=len(self) != 1 or not self.request.is_by_name
        )
        return plan_pipelines(
            self,
            environment,
            PlanRequest(),
            on_event=on_event,
            executor=executor,
            rps=rps,
            override=override,
            command=command,
        )

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
            environments: the first one has a row for every pipeline, the others for those with state.
                None for `workspace.environments()`.
            offline: read files and state only.
            on_event, executor: as for `plan`.

        Raises:
            UserError: an environment has no token, or reconciler.toml has errors.
            StateError: the store cannot be read.
        """
        from reconciler.api.statuses import status_of

        found = self.workspace.environments() if environments is None else list(environments)
        return status_of(self, found, offline=offline, on_event=on_event, executor=executor)


def select_pipelines(
    workspace: Workspace,
    request: SelectionRequest,
    read_options: ReadOptions,
    environment: "Environment | None",
    emit: Emit = ignore,
) -> "Pipelines":
    """The pipelines of a request. Names that match nothing are in `problems`. Raises as `Workspace.select`.

    Args:
        read_options: those of the workspace are added.
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

    selected = select(
        request, workspace.folder, settings, environment_name, changed, stale, problems.__setitem__
    )
    return Pipelines(workspace, tuple(selected), request, reads, problems)
