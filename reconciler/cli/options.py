"""Options that several commands share. Each decorator hands its options over as one value."""

import dataclasses
import functools
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.core.diagnostics import UserError, error
from reconciler.core.plan_options import PlanOptions
from reconciler.core.platforms import ENVIRONMENTS
from reconciler.core.values import Address
from reconciler.engine.requests import ApplyOptions, PlanRequest, ReadOptions
from reconciler.pipeline.bumps import Bump
from reconciler.workspace.shards import Shard

if TYPE_CHECKING:
    from reconciler.credentials.target import Target, TargetSettings
    from reconciler.workspace.schema import Workspace

Command = Callable[..., int]
EVERYWHERE = "*"


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
    """An address, or nothing for everywhere; a pipeline's name in its place is a mistake worth a word."""

    name = "ADDR"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address | None:
        if value == EVERYWHERE:
            return None
        try:
            return Address.parse(value)
        except ValueError:
            self.fail(f"{value!r} is not an address; name pipelines before this option", param, ctx)


class EnvironmentType(click.ParamType[str]):
    """The name of an environment, in capitals."""

    name = "ENV"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        name: str = value.upper()
        if name not in ENVIRONMENTS and name not in (known := environment_names()):
            self.fail(f"{value!r} is not one of {', '.join(known)}", param, ctx)
        return name


def workspace() -> "Workspace":
    """The workspace around the current folder. Raises UserError."""
    from reconciler.workspace.reader import find_workspace

    return find_workspace(Path.cwd())


def pipeline_folder(name: str) -> Path:
    """The folder of the pipeline with this name or path. Raises UserError."""
    from reconciler.workspace.discovery import find

    return find(name, Path.cwd(), workspace())


def environment_names() -> list[str]:
    """The environments that can be named here. Raises UserError."""
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
class Selection:
    """The pipelines that the arguments name."""

    names: tuple[str, ...]
    everything: bool

    def folders(self, failed: Callable[[UserError], None]) -> list[Path]:
        """As `named_folders`, where nobody asks which name was not found."""
        return self.named_folders(lambda _, problem: failed(problem))

    def named_folders(self, failed: Callable[[str, UserError], None]) -> list[Path]:
        """All, those named, or the current folder, each once; a name that is not found goes to `failed`.

        Raises UsageError, and UserError when there is no pipeline at all.
        """
        from providers.regular_files import real_path
        from reconciler.workspace.discovery import checked_folder, find, find_all

        here = Path.cwd()
        if self.everything:
            if self.names:
                raise click.UsageError("name pipelines, or use --all, not both")
            found = find_all(here, limits := workspace())
            if not found:
                limited = (
                    f" {limits.file} limits where to look." if limits.pipelines or limits.exclude else ""
                )
                detail = f"A pipeline has a config.toml.{limited}"
                raise UserError(error(f"there is no pipeline below {here}", detail))
            return found
        if self.names:
            from providers.regular_files import real_path

            folders: dict[Path, Path] = {}
            limits = workspace()
            for name in self.names:
                try:
                    folder = find(name, here, limits)
                except UserError as problem:
                    failed(name, problem)
                else:
                    folders.setdefault(real_path(folder), folder)
            return list(folders.values())
        if (here / "config.toml").exists():
            return [checked_folder(here, workspace())]
        raise click.UsageError("name a pipeline or be in its folder, or use --all")


@dataclass(frozen=True, slots=True)
class TargetOptions:
    """The flags that name a target, before variables and files are asked."""

    organization: str | None
    environment: str | None

    def target(self) -> "Target":
        """Raises UserError."""
        from reconciler.credentials.target import resolve

        return resolve(self.organization, self.environment, declared=workspace().declared())

    def reads(self, read_options: ReadOptions) -> ReadOptions:
        """How files are read for the environment that this names. Raises UserError."""
        return replace(read_options, environment=self.environment_name())

    def environment_name(self) -> str:
        """The environment alone, which needs neither token nor organization. Raises UserError."""
        return self.settings().environment.value

    def settings(self) -> "TargetSettings":
        """Each value of the target, with its source. Raises UserError."""
        from reconciler.credentials.target import TargetSettings

        return TargetSettings(self.organization, self.environment, declared=workspace().declared())


def pipelines(command: Command) -> Command:
    """`[PIPELINE]...` and `--all`, as `selection`."""

    @click.argument("names", metavar="[PIPELINE]...", nargs=-1)
    @click.option("--all", "everything", is_flag=True, help="Every pipeline below the current folder.")
    @functools.wraps(command)
    def with_selection(names: tuple[str, ...], everything: bool, **rest: Any) -> int:
        return command(selection=Selection(names, everything), **rest)

    return with_selection


def fleet(command: Command) -> Command:
    """How many pipelines are looked at, as `rps`."""

    @click.option(
        "--rps", type=click.FloatRange(0, min_open=True), metavar="N", help="Most requests a second."
    )
    @functools.wraps(command)
    def unchanged(**rest: Any) -> int:
        return command(**rest)

    return unchanged


def where(command: Command) -> Command:
    """`--organization` and `--env`, as `where`."""

    @click.option("--organization", metavar="ORG", help="Organization on the platform.")
    @click.option(
        "--env",
        "environment",
        type=EnvironmentType(),
        metavar="[" + "|".join(ENVIRONMENTS) + "|NAME]",
        help="Environment; PICSELLIA_ENV, the saved context and PROD come next.",
    )
    @functools.wraps(command)
    def with_where(organization: str | None, environment: str | None, **rest: Any) -> int:
        return command(where=TargetOptions(organization, environment), **rest)

    return with_where


def login_filter_options(command: Command) -> Command:
    """`--organization` and `--env`, without a default: they choose among what is saved."""
    command = click.option("--env", "environment", type=EnvironmentType(), help="Its environment.")(command)
    return click.option("--organization", metavar="ORG", help="Organization of a saved login.")(command)


def classes(command: Command) -> Command:
    """How classes are read, as `read_options`."""

    @click.option(
        "--python",
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        help="Interpreter for classes that need code to run.",
    )
    @click.option(
        "--static-only", is_flag=True, help="Never run a pipeline's code; what needs it is an error."
    )
    @click.option(
        "--class-timeout",
        type=click.FloatRange(0, min_open=True),
        default=30.0,
        show_default=True,
        metavar="SECONDS",
        help="Longest that a class may run.",
    )
    @functools.wraps(command)
    def with_read_options(python: Path | None, static_only: bool, class_timeout: float, **rest: Any) -> int:
        shared = workspace().shared()
        return command(read_options=ReadOptions(python, static_only, class_timeout, shared=shared), **rest)

    return with_read_options


def planning(command: Command) -> Command:
    """What a plan is asked for, as `request`."""
    winner: dict[str, Any] = {
        "type": WinnerType(),
        "multiple": True,
        "is_flag": False,
        "flag_value": EVERYWHERE,
        "metavar": "[ADDR]",
    }

    @versions
    @click.option(
        "--target",
        "targets",
        type=AddressType(),
        multiple=True,
        help="Only this resource and what it depends on.",
    )
    @click.option(
        "--replace", type=AddressType(), multiple=True, help="Allow to delete this and make it again."
    )
    @click.option("--prune", is_flag=True, help="Delete what left the files instead of forgetting it.")
    @click.option("--ours", help="In a conflict the files win, at ADDR or else everywhere.", **winner)
    @click.option("--theirs", help="In a conflict live is kept, at ADDR or else everywhere.", **winner)
    @functools.wraps(command)
    def with_request(
        version: PlanRequest,
        targets: tuple[Address, ...],
        replace: tuple[Address, ...],
        prune: bool,
        ours: tuple[Address | None, ...],
        theirs: tuple[Address | None, ...],
        **rest: Any,
    ) -> int:
        if set(ours) & set(theirs):
            raise click.UsageError("--ours and --theirs say opposite things")
        options = PlanOptions(ours=_winners(ours), theirs=_winners(theirs), replace=replace, prune=prune)
        wished = dataclasses.replace(version, options=options, targets=targets)
        return command(request=wished, **rest)

    return with_request


def versions(command: Command) -> Command:
    """What the user says of the image's version, as `version`."""

    @click.option(
        "--bump",
        type=click.Choice([kind.value for kind in Bump]),
        help="Publish as the next version, where what is published is other source.",
    )
    @click.option("--force-bump", is_flag=True, help="With --bump: publish this source once more.")
    @click.option(
        "--accept-foreign",
        is_flag=True,
        help="A version that another tool published is made from these files.",
    )
    @functools.wraps(command)
    def with_version(bump: str | None, force_bump: bool, accept_foreign: bool, **rest: Any) -> int:
        if force_bump and bump is None:
            raise click.UsageError("--force-bump goes with --bump KIND")
        version = PlanRequest(Bump(bump) if bump else None, force_bump, accept_foreign)
        return command(version=version, **rest)

    return with_version


def _winners(given: tuple[Address | None, ...]) -> tuple[Address, ...] | None:
    return None if None in given else tuple(address for address in given if address is not None)


lock_timeout = click.option(
    "--lock-timeout",
    type=click.FloatRange(0),
    default=0.0,
    metavar="SECONDS",
    help="Wait so long for another run.",
)


def applying(command: Command) -> Command:
    """How a plan is carried out, as `apply_options`."""

    @click.option(
        "--parallel", type=click.IntRange(1, 64), default=8, show_default=True, help="Steps at once."
    )
    @lock_timeout
    @functools.wraps(command)
    def with_apply_options(parallel: int, lock_timeout: float, **rest: Any) -> int:
        return command(apply_options=ApplyOptions(parallel, lock_timeout, command_line()), **rest)

    return with_apply_options


def command_line() -> list[str]:
    """What was asked for, for the record. No option of ours takes a secret."""
    return ["reconciler", *sys.argv[1:]]
