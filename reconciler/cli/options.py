"""Options that several commands share. Each decorator passes its options to the command as one value."""

import dataclasses
import functools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.core.diagnostics import UserError
from reconciler.core.plan_options import PlanOptions
from reconciler.core.platforms import ENVIRONMENTS
from reconciler.core.values import Address
from reconciler.engine.requests import (
    BUILDS,
    JOBS,
    ApplyOptions,
    Consent,
    FleetOptions,
    PlanRequest,
    ReadOptions,
)
from reconciler.pipeline.bumps import Bump
from reconciler.workspace.selection_request import SelectionRequest
from reconciler.workspace.shards import Shard

if TYPE_CHECKING:
    from reconciler.core.events import Emit
    from reconciler.core.waves import FailureLimit, Waves
    from reconciler.credentials.target import Target, TargetSettings
    from reconciler.workspace.changes import Base
    from reconciler.workspace.schema import Workspace
    from reconciler.workspace.selection import SelectedPipeline
    from state.stores.base import Store

    OpenStore = Callable[[Emit], Store]
    """Opens the state store of the command; `cli.stores.store` does."""

Command = Callable[..., int]
EVERYWHERE = "*"
STATE = "RECONCILER_STATE"
_WORKSPACE = "reconciler.workspace"  # in the meta of click's context


class AddressType(click.ParamType[Address]):
    name = "ADDR"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        if isinstance(value, Address):
            return value
        try:
            return Address.parse(value)
        except ValueError as problem:
            self.fail(str(problem), param, ctx)


class WinnerType(click.ParamType[Address | None]):
    """An address, or nothing for every resource. A pipeline's name here gets an error of its own."""

    name = "ADDR"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address | None:
        if value == EVERYWHERE:
            return None
        try:
            return Address.parse(value)
        except ValueError:
            self.fail(f"{value!r} is not an address; name pipelines before this option", param, ctx)


class EnvironmentType(click.ParamType[str]):
    """The name of an environment, converted to upper case."""

    name = "ENV"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        name: str = value.upper()
        if name not in ENVIRONMENTS and name not in (names := environment_names()):
            self.fail(f"{value!r} is not one of {', '.join(names)}", param, ctx)
        return name


def workspace() -> "Workspace":
    """The workspace around the current folder, read once per command. Raises UserError."""
    from reconciler.workspace.reader import find_workspace

    context = click.get_current_context(silent=True)
    if context is None:
        return find_workspace(Path.cwd())
    if _WORKSPACE not in context.meta:
        context.meta[_WORKSPACE] = find_workspace(Path.cwd())
    found: Workspace = context.meta[_WORKSPACE]
    return found


def state_url() -> str | None:
    """RECONCILER_STATE, else the state of reconciler.toml; None for the default. Raises UserError."""
    return os.environ.get(STATE) or workspace().state


def pipeline_folder(name: str | None) -> Path:
    """The folder of the pipeline with this name or path; with None, the current folder.

    Raises:
        UsageError: no name is given, and the current folder is no pipeline.
        UserError: there is no such pipeline, or more than one.
    """
    from reconciler.workspace.discovery import checked_folder, find

    if name is not None:
        return find(name, Path.cwd(), workspace())
    if not _is_in_pipeline():
        raise click.UsageError("name a pipeline, or run the command in its folder")
    return checked_folder(Path.cwd(), workspace())


def _is_in_pipeline() -> bool:
    return (Path.cwd() / "config.toml").exists()


def environment_names() -> list[str]:
    """The valid values of --env in the current folder. Raises UserError."""
    from reconciler.credentials.target import known_environments

    return known_environments(workspace().declared())


class ShardType(click.ParamType[Shard]):
    name = "K/N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Shard:
        try:
            return value if isinstance(value, Shard) else Shard.parse(value)
        except ValueError as problem:
            self.fail(str(problem), param, ctx)


@dataclass(frozen=True, slots=True)
class TargetOptions:
    """The options that select a target. `target` adds variables and files."""

    organization: str | None
    environment: str | None

    def target(self) -> "Target":
        """The target with all its values. Raises UserError."""
        from reconciler.credentials.target import resolve

        return resolve(self.organization, self.environment, declared=workspace().declared())

    @staticmethod
    def beside(environment: str) -> "Target":
        """The target of another environment of the same command. Raises UserError."""
        from reconciler.credentials.target import resolve_beside

        return resolve_beside(environment, declared=workspace().declared())

    def explicit(self) -> "TargetOptions":
        """The same target by its names, for other machines with other variables. Raises UserError."""
        settings = self.settings()
        return TargetOptions(settings.organization.value, settings.environment.value)

    def scopes(self) -> list[str]:
        """The scope of the target, such as `my-org@STAGING`. Raises UserError."""
        return [self.target().scope]

    def reads(self, read_options: ReadOptions, *, search: bool = False) -> ReadOptions:
        """The options for reading files, with the environment of this target. Raises UserError."""
        return replace(read_options, environment=self.environment_name(), search=search)

    def environment_name(self) -> str:
        """The environment. Needs neither a token nor an organization. Raises UserError."""
        return self.settings().environment.value

    def settings(self) -> "TargetSettings":
        """Each value of the target, with its source. Raises UserError."""
        from reconciler.credentials.target import TargetSettings

        return TargetSettings(self.organization, self.environment, declared=workspace().declared())


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
        if is_current and not _is_in_pipeline():
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


class PipelineTypeType(click.ParamType[str]):
    """The type of a pipeline, converted to upper case."""

    name = "TYPE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from providers.enums import PROCESSING_TYPES, TRAINING

        name: str = value.upper()
        if name not in (TRAINING, *PROCESSING_TYPES):
            self.fail(f"{value!r} is not one of {', '.join((TRAINING, *PROCESSING_TYPES))}", param, ctx)
        return name


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

    @click.argument("names", metavar="[PIPELINE]...", nargs=-1)
    @click.option("--all", "everything", is_flag=True, help="Select every pipeline below the current folder.")
    @click.option(
        "--group",
        "groups",
        metavar="NAME",
        multiple=True,
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
        return command(selection=Selection(request, _where(rest), _read_options(rest)), **rest)

    return with_selection


def _where(arguments: Mapping[str, Any]) -> TargetOptions | None:
    """The target in the arguments of a command; None if it has no options for one."""
    if not {"organization", "environment"} <= arguments.keys():
        return None
    return TargetOptions(arguments["organization"], arguments["environment"])


pipeline = click.argument("name", metavar="[PIPELINE]", required=False)
"""`[PIPELINE]` of a command for one pipeline: by default the current folder."""


class WavesType(click.ParamType["Waves"]):
    name = "SIZES"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "Waves":
        from reconciler.core.waves import Waves

        try:
            return value if isinstance(value, Waves) else Waves.parse(value)
        except ValueError as problem:
            self.fail(str(problem), param, ctx)


class FailureLimitType(click.ParamType["FailureLimit"]):
    name = "N|P%"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> "FailureLimit":
        from reconciler.core.waves import FailureLimit

        try:
            return value if isinstance(value, FailureLimit) else FailureLimit.parse(value)
        except ValueError as problem:
            self.fail(str(problem), param, ctx)


def approval(yes: str) -> Callable[[Command], Command]:
    """`--yes`, `--approve` and `--override`, passed as `consent`.

    Args:
        yes: the help of `--yes`.
    """

    def decorated(command: Command) -> Command:
        @click.option("--yes", "-y", is_flag=True, help=yes)
        @click.option(
            "--approve",
            "digest",
            metavar="DIGEST",
            help="Apply without a question if the plan has this digest, which plan shows; else refuse it.",
        )
        @click.option(
            "--override",
            metavar="REASON",
            default="",
            help="Apply although promote_from or review of reconciler.toml forbids it. The history keeps "
            "the reason.",
        )
        @functools.wraps(command)
        def with_approval(yes: bool, digest: str | None, override: str, **rest: Any) -> int:
            return command(consent=Consent(yes, digest, _one_line(override)), **rest)

        return with_approval

    return decorated


def _one_line(reason: str) -> str:
    """The reason on one line. Raises UsageError for a blank one."""
    text = " ".join(reason.split())
    if reason and not text:
        raise click.UsageError("--override needs a reason")
    return text


shard = click.option(
    "--shard",
    type=ShardType(),
    help="Take only this part of the pipelines, such as 3/16: for parallel jobs.",
)


def fleet(command: Command) -> Command:
    """`--rps`, passed as `rps`."""

    @click.option(
        "--rps",
        type=click.FloatRange(0, min_open=True),
        metavar="N",
        help="Maximum number of requests per second.",
    )
    @functools.wraps(command)
    def unchanged(**rest: Any) -> int:
        return command(**rest)

    return unchanged


class ClusterType(click.ParamType[str]):
    """The address of a cluster, converted to `HOST:PORT`."""

    name = "URL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        address: str = value.removeprefix("dask://")
        host, _, port = address.rpartition(":")
        if value == address or not host or "/" in address or not port.isdecimal():
            self.fail(f"{value!r} is not an address such as dask://localhost:8786", param, ctx)
        return address


executor = click.option(
    "--executor",
    type=ClusterType(),
    metavar="dask://HOST:PORT",
    help="Spread the pipelines over the workers of this Dask cluster.",
)


def side_by_side(command: Command) -> Command:
    """The options for applying many pipelines, passed as `fleet_options`."""

    @click.option(
        "--jobs",
        type=click.IntRange(1, 256),
        metavar="N",
        default=JOBS,
        show_default=True,
        help="Maximum number of pipelines at once.",
    )
    @click.option(
        "--builds",
        type=click.IntRange(1, 256),
        metavar="N",
        default=BUILDS,
        show_default=True,
        help="Maximum number of pipelines at once that publish an image.",
    )
    @click.option(
        "--waves",
        type=WavesType(),
        help="Sizes of consecutive waves, such as 1,10%,100%. The last one is repeated. A wave "
        "starts when the one before has ended without more failures than --max-failures (default: none).",
    )
    @click.option(
        "--max-failures",
        type=FailureLimitType(),
        help="After more failures than this, start nothing new: a number for the run, or a percentage "
        "of each wave.",
    )
    @fleet
    @executor
    @functools.wraps(command)
    def with_fleet_options(
        jobs: int,
        builds: int,
        waves: "Waves | None",
        max_failures: "FailureLimit | None",
        rps: float | None,
        executor: str | None,
        **rest: Any,
    ) -> int:
        how = FleetOptions(jobs, builds, waves, max_failures, rps, executor)
        return command(fleet_options=how, **rest)

    return with_fleet_options


def where(command: Command) -> Command:
    """`--organization` and `--env`, passed as `where`."""

    @click.option("--organization", metavar="ORG", help="Organization on the platform.")
    @click.option(
        "--env",
        "environment",
        type=EnvironmentType(),
        metavar="[" + "|".join(ENVIRONMENTS) + "|NAME]",
        help="Environment. Default: PICSELLIA_ENV, else the login in use, else PROD.",
    )
    @functools.wraps(command)
    def with_where(organization: str | None, environment: str | None, **rest: Any) -> int:
        return command(where=TargetOptions(organization, environment), **rest)

    return with_where


def destination(command: Command) -> Command:
    """`--organization` and `--to`, passed as `where`."""

    @click.option("--organization", metavar="ORG", help="Organization of the environment of --to.")
    @click.option(
        "--to",
        "environment",
        type=EnvironmentType(),
        metavar="ENV",
        required=True,
        help="Environment that gets the images.",
    )
    @functools.wraps(command)
    def with_where(organization: str | None, environment: str | None, **rest: Any) -> int:
        return command(where=TargetOptions(organization, environment), **rest)

    return with_where


def login_filter_options(command: Command) -> Command:
    """`--organization` and `--env` without defaults, to select saved logins."""
    environment = click.option(
        "--env", "environment", type=EnvironmentType(), help="Environment of the saved login."
    )
    organization = click.option("--organization", metavar="ORG", help="Organization of the saved login.")
    return organization(environment(command))


def classes(command: Command) -> Command:
    """The options for reading classes, passed as `read_options`."""

    @click.option(
        "--python",
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        help="Python interpreter for classes that must be executed to be read.",
    )
    @click.option(
        "--static-only",
        is_flag=True,
        help="Never execute a pipeline's code. A class that needs it is an error.",
    )
    @click.option(
        "--class-timeout",
        type=click.FloatRange(0, min_open=True),
        default=30.0,
        show_default=True,
        metavar="SECONDS",
        help="Maximum time to execute a class.",
    )
    @functools.wraps(command)
    def with_read_options(**arguments: Any) -> int:
        read_options = _read_options(arguments)
        rest = {name: value for name, value in arguments.items() if name not in _READING}
        return command(read_options=read_options, **rest)

    return with_read_options


_READING = ("python", "static_only", "class_timeout")


def _read_options(arguments: Mapping[str, Any]) -> ReadOptions | None:
    """The options for reading classes among these arguments; None if there are none. Raises UserError."""
    if not arguments.keys() >= {*_READING}:
        return None
    from state.stores.opening import state_files

    python, static_only, timeout = (arguments[name] for name in _READING)
    return ReadOptions(
        python, static_only, timeout, shared=workspace().shared(), state_files=state_files(state_url())
    )


def planning(command: Command) -> Command:
    """The options of a plan, passed as `request`."""
    return versions(resolving(command))


def resolving(command: Command) -> Command:
    """As `planning`, without the options for the image's version."""
    winner: dict[str, Any] = {
        "type": WinnerType(),
        "multiple": True,
        "is_flag": False,
        "flag_value": EVERYWHERE,
        "metavar": "[ADDR]",
    }

    @take
    @click.option(
        "--target",
        "targets",
        type=AddressType(),
        multiple=True,
        help="Plan only this resource and its dependencies.",
    )
    @click.option(
        "--replace",
        type=AddressType(),
        multiple=True,
        help="Allow this resource to be deleted and created again.",
    )
    @click.option(
        "--prune",
        is_flag=True,
        help="Delete resources that left the files. Default: only remove them from the state.",
    )
    @click.option(
        "--ours", help="Resolve conflicts with the values of the files, for ADDR or all resources.", **winner
    )
    @click.option(
        "--theirs", help="Resolve conflicts with the live values, for ADDR or all resources.", **winner
    )
    @functools.wraps(command)
    def with_request(
        targets: tuple[Address, ...],
        replace: tuple[Address, ...],
        take: tuple[Address, ...],
        prune: bool,
        ours: tuple[Address | None, ...],
        theirs: tuple[Address | None, ...],
        version: PlanRequest | None = None,
        **rest: Any,
    ) -> int:
        if set(ours) & set(theirs):
            raise click.UsageError("--ours and --theirs contradict each other")
        options = PlanOptions(
            ours=_winners(ours), theirs=_winners(theirs), replace=replace, take=take, prune=prune
        )
        return command(
            request=dataclasses.replace(version or PlanRequest(), options=options, targets=targets), **rest
        )

    return with_request


take = click.option(
    "--take",
    type=AddressType(),
    multiple=True,
    help="Take over this resource, although another stack claims it.",
)


def versions(command: Command) -> Command:
    """The options for the image's version, passed as `version`."""

    @click.option(
        "--bump",
        type=click.Choice([kind.value for kind in Bump]),
        help="Publish as the next version if the published version has another source.",
    )
    @click.option(
        "--force-bump", is_flag=True, help="With --bump: publish even if this source is already published."
    )
    @click.option(
        "--accept-foreign",
        is_flag=True,
        help="Accept a version that another tool published as made from these files.",
    )
    @functools.wraps(command)
    def with_version(bump: str | None, force_bump: bool, accept_foreign: bool, **rest: Any) -> int:
        if force_bump and bump is None:
            raise click.UsageError("--force-bump needs --bump KIND")
        version = PlanRequest(Bump(bump) if bump else None, force_bump, accept_foreign)
        return command(version=version, **rest)

    return with_version


def _winners(addresses: tuple[Address | None, ...]) -> tuple[Address, ...] | None:
    return None if None in addresses else tuple(address for address in addresses if address is not None)


lock_timeout = click.option(
    "--lock-timeout",
    type=click.FloatRange(0),
    default=0.0,
    metavar="SECONDS",
    show_default=True,
    help="Seconds to wait for another run's lock.",
)


def applying(command: Command) -> Command:
    """The options for applying a plan, passed as `apply_options`."""

    @click.option(
        "--parallel",
        type=click.IntRange(1, 64),
        default=8,
        show_default=True,
        help="Maximum number of concurrent steps.",
    )
    @lock_timeout
    @functools.wraps(command)
    def with_apply_options(parallel: int, lock_timeout: float, **rest: Any) -> int:
        return command(apply_options=ApplyOptions(parallel, lock_timeout, command_line()), **rest)

    return with_apply_options


def command_line() -> list[str]:
    """The command and its arguments, for the history. No option takes a secret."""
    return ["reconciler", *sys.argv[1:]]
