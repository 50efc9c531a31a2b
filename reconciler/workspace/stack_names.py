"""Selects stacks by environment, in an option or in front of a name: `LIVE/my_pipeline`.

The name of an environment is one of reconciler.toml, of the official CLI or of a saved login. The name of a
stack contains the place of the platform instead, which is the same under each of these names.
"""

from collections.abc import Sequence
from contextlib import suppress
from urllib.parse import unquote

from msgspec import Struct

from providers.ascii_case import ascii_upper
from reconciler.core.diagnostics import UserError
from reconciler.core.platforms import environment_of, in_scope, place
from reconciler.workspace.config_file import Declaration
from reconciler.workspace.schema import Workspace


class StackFilter(Struct, frozen=True):
    """The stacks of an organization and of a platform.

    Attributes:
        organization: as in the names of stacks; None for any.
        place: the platform, as in the names of stacks; None for any.
    """

    organization: str | None = None
    place: str | None = None

    def has(self, stack: str) -> bool:
        """Whether the stack, or the scope, is one of them."""
        organization, _, platform = stack.partition("/")[0].rpartition("@")
        return self.organization in (None, organization) and self.place in (None, platform)

    @property
    def scope(self) -> str | None:
        """The only scope that it has; None if it has several."""
        if self.organization is None or self.place is None:
            return None
        return f"{self.organization}@{self.place}"


def stack_filter(
    workspace: Workspace, environment: str | None = None, organization: str | None = None
) -> StackFilter:
    """The stacks of an environment, of an organization, or of both; all stacks for None.

    The organization of an environment that reconciler.toml declares is its own, unless another is given.

    Raises:
        UserError: there is no such environment, or it has no address.
    """
    platform = None
    if environment is not None:
        from reconciler.credentials.target import TargetSettings  # late: reads the saved logins

        declared = workspace.declared()
        settings = TargetSettings(organization, environment, declared=declared)
        name = settings.environment.value
        platform = place(name, settings.host.value)
        if organization is None and name in declared:
            organization = declared[name].organization.value
    return StackFilter(None if organization is None else in_scope(organization), platform)


def split_name(workspace: Workspace, name: str) -> tuple[StackFilter, str]:
    """The environment in front of a name, and the name without it: `LIVE/app`, `my-org@LIVE/app`.

    A name without an environment in front is returned unchanged, with a filter for all stacks.
    """
    before, slash, rest = name.partition("/")
    if not slash:
        return StackFilter(), name
    from reconciler.credentials.target import known_environments  # late: reads the saved logins

    organization, _, environment = before.rpartition("@")
    if ascii_upper(environment) in known_environments(workspace.declared()):
        with suppress(UserError):  # a CUSTOM without an address
            return stack_filter(workspace, environment, unquote(organization) or None), rest
    return StackFilter(), name


def full_name(workspace: Workspace, name: str) -> str:
    """The full name of the stack: `my-org@LIVE/app` and `LIVE/app` with the place of the platform.

    A name without an environment in front, or without an organization, is returned unchanged.
    """
    where, rest = split_name(workspace, name)
    return name if where.scope is None else f"{where.scope}/{rest}"


def declared_by(
    workspace: Workspace, stacks: Sequence[str], declarations: Sequence[Declaration]
) -> list[str]:
    """Those of these stacks that one of the declarations names in the environment of the stack."""
    environments = environment_names(workspace, stacks)
    return [
        stack
        for stack in stacks
        if any(one.declares(stack.partition("/")[2], environments.get(stack)) for one in declarations)
    ]


def environment_names(workspace: Workspace, stacks: Sequence[str]) -> dict[str, str]:
    """Stack -> the name that `--env` takes for its environment, for each of these stacks that has one."""
    declared = {environment.scope: name for name, environment in workspace.environments.items()}
    names = {stack: environment_of(stack.partition("/")[0], declared) for stack in stacks}
    return {stack: name for stack, name in names.items() if name is not None}
