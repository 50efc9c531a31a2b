"""The options that select an organization and an environment, and the workspace around the current folder."""

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem
from msgspec import Struct

from providers.ascii_case import ascii_upper
from reconciler.api.requests import ReadOptions
from reconciler.cli.options import completions
from reconciler.cli.options.command import Command
from reconciler.core.platforms import ENVIRONMENTS

if TYPE_CHECKING:
    from reconciler.api.environments import Environment
    from reconciler.api.workspaces import Workspace as OpenWorkspace
    from reconciler.credentials.target import Target, TargetSettings
    from reconciler.workspace.schema import Workspace

STATE = "RECONCILER_STATE"
_WORKSPACE = "reconciler.workspace"  # in the meta of click's context


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


def open_workspace() -> "OpenWorkspace":
    """The workspace around the current folder, as `reconciler.api` has it. Raises UserError."""
    from reconciler.api.workspaces import Workspace as OpenWorkspace

    return OpenWorkspace(Path.cwd(), workspace(), state_url())


def environment_names() -> list[str]:
    """The valid values of --env in the current folder. Raises UserError."""
    from reconciler.credentials.target import known_environments

    return known_environments(workspace().declared())


class EnvironmentType(click.ParamType[str]):
    """The name of an environment, converted to upper case."""

    name = "ENV"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        name: str = ascii_upper(value)
        if name not in ENVIRONMENTS and name not in (names := environment_names()):
            from reconciler.pipeline.suggestions import did_you_mean  # late: not for help

            self.fail(f"{value!r} is not one of {', '.join(names)}.{did_you_mean(name, names)}", param, ctx)
        return name

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem[str]]:
        return completions.environments(ctx, param, incomplete)


class TargetOptions(Struct, frozen=True):
    """The options that select a target. `target` adds variables and files."""

    organization: str | None
    environment: str | None

    def named(self) -> "Environment":
        """The environment, whose values are looked up when they are needed. Raises UserError."""
        from reconciler.api.environments import Environment

        return Environment(self.environment, self.organization, declared=workspace().declared())

    def target(self) -> "Target":
        """The target with all its values. Raises UserError."""
        return self.named().target()

    def arguments(self, verb: str) -> tuple[str, ...]:
        """The options of a command line for this target, whichever login is in use when it runs."""
        return self.named().arguments(verb)

    def explicit(self) -> "TargetOptions":
        """The same target by its names, for other machines with other variables. Raises UserError."""
        named = self.named().explicit()
        return TargetOptions(named.organization, named.name)

    def scopes(self) -> list[str]:
        """The scope of the target, such as `my-org@STAGING`. Raises UserError."""
        return [self.named().scope()]

    def reads(self, read_options: ReadOptions, *, search: bool = False) -> ReadOptions:
        """The options for reading files, with the environment of this target. Raises UserError."""
        return self.named().reads(read_options, search=search)

    def environment_name(self) -> str:
        """The environment. Needs neither a token nor an organization. Raises UserError."""
        return self.named().platform_name()

    def settings(self) -> "TargetSettings":
        """Each value of the target, with its source. Raises UserError."""
        return self.named().settings()


def where(command: Command) -> Command:
    """`--organization` and `--env`, passed as `where`."""
    return _target(
        command,
        organization="Organization on the platform.",
        environment="Environment. Default: PICSELLIA_ENV, else the login in use, else PROD.",
    )


def among_stacks(command: Command) -> Command:
    """`--organization` and `--env` without defaults, which narrow a search for stacks, passed as `where`."""
    return _target(
        command,
        organization="Only stacks of this organization.",
        environment="Only stacks of this environment.",
    )


def destination(command: Command) -> Command:
    """`--organization` and `--to`, passed as `where`."""
    return _target(
        command,
        organization="Organization of the environment of --to.",
        environment="Environment that gets the images.",
        option="--to",
        metavar="ENV",
        required=True,
    )


def _target(
    command: Command,
    *,
    organization: str,
    environment: str,
    option: str = "--env",
    metavar: str = "[" + "|".join(ENVIRONMENTS) + "|NAME]",
    required: bool = False,
) -> Command:
    """The options for both parts of a target, with their help."""
    of_environment = click.option(
        option, "environment", type=EnvironmentType(), metavar=metavar, required=required, help=environment
    )
    of_organization = click.option(
        "--organization", metavar="ORG", shell_complete=completions.organizations, help=organization
    )
    return of_organization(of_environment(_with_target(command)))


def _with_target(command: Command) -> Command:
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
