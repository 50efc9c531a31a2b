"""An organization on a platform, with a token: where pipelines are compared and applied."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Self

from msgspec import structs

from providers.ascii_case import ascii_upper
from reconciler.core.diagnostics import UserError, error
from reconciler.core.plan import target_options
from reconciler.core.platforms import HOSTS, platform_address
from reconciler.credentials import saved
from reconciler.credentials.environment import Declared, DeclaredEnvironment, Sourced, host_variable
from reconciler.credentials.environment import Environment as Platform
from reconciler.credentials.target import (
    ORGANIZATION,
    TOKEN,
    Target,
    TargetSettings,
    checked_token,
    resolve,
    resolve_beside,
)
from reconciler.engine.requests import ReadOptions

__all__ = ["Environment", "Target", "environments_with_login"]


@dataclass(frozen=True, slots=True)
class Environment:
    """An organization on a platform. What is not given comes from the places that the command line reads.

    Values are looked up when they are needed, in the process that needs them. So an environment whose token
    was not given can be sent to other processes without it.

    Attributes:
        name: as with `--env`, in any case; None for the environment in use.
        organization: None for that of reconciler.toml, of variables or of the login in use.
        host: address of the platform, for a name that is neither the official tool's nor in reconciler.toml.
        token: the API token. It is in no output, and hidden from the repr.
        declared: the environments of reconciler.toml; `Workspace.environment` passes them.
        variables: names of the environment variables to read; None for all.
        own_first: whether a token for this environment alone comes before PICSELLIA_TOKEN, for a program that
            has several environments.
        others: environments that a promotion comes from, with their tokens.
    """

    name: str | None = None
    organization: str | None = None
    host: str | None = field(default=None, kw_only=True)
    token: str | None = field(default=None, kw_only=True, repr=False)
    declared: Declared = field(default_factory=dict, kw_only=True, repr=False, compare=False)
    variables: tuple[str, ...] | None = field(default=None, kw_only=True, repr=False)
    own_first: bool = field(default=False, kw_only=True, repr=False)
    others: tuple["Environment", ...] = field(default=(), kw_only=True, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.name is None:
            if self.host is not None:
                raise ValueError("an environment with a host needs a name")
            return
        object.__setattr__(self, "name", ascii_upper(self.name))
        if self.host is None:
            return
        if self.name in HOSTS:
            raise ValueError(f"the address of {self.name} is fixed; choose another name for {self.host}")
        if self.organization is None:
            raise ValueError("an environment with a host needs an organization")
        try:
            address = platform_address(self.host)
        except ValueError as problem:
            raise UserError(error("the host is not the address of a platform", f"It {problem}.")) from None
        owner = Sourced(self.organization, "the argument organization")
        declared = DeclaredEnvironment(owner, Sourced(address, "the argument host"))
        object.__setattr__(self, "declared", {**self.declared, self.name: declared})

    def target(self) -> Target:
        """All values, with the token.

        Raises:
            UserError: no organization, an unknown environment, one that reconciler.toml declares under
                another name, no address for it, no token, or a file that cannot be read.
        """
        if self.token is not None:
            settings = self.settings()
            settings.require_own_name()
            return Target(
                settings.organization.value,
                Platform(settings.environment.value, settings.host.value),
                checked_token(self.token, "the argument token"),
                "the argument token",
                settings.organization.source,
                settings.environment.source,
                settings.host.source,
                "pass a valid token",
                settings.allows_http,
            )
        variables = self._variables()
        if self.own_first:
            own = {name: value for name, value in variables.items() if name not in (ORGANIZATION, TOKEN)}
            with suppress(UserError):
                return resolve(self.organization, self.name, own, self.declared)
        return resolve(self.organization, self.name, variables, self.declared)

    def settings(self) -> TargetSettings:
        """Each value with its source, looked up when it is needed."""
        return TargetSettings(self.organization, self.name, self._variables(), self.declared)

    def platform_name(self) -> str:
        """The name of the environment. Needs neither a token nor an organization. Raises UserError."""
        return self.settings().environment.value

    def scope(self) -> str:
        """The organization and its platform: `my-org@STAGING`. Raises UserError, also without a token."""
        return self.target().scope

    def beside(self, name: str) -> Target:
        """The target of another environment of the same run. Raises UserError."""
        for other in self.others:
            if other.platform_name() == name:
                return other.target()
        return resolve_beside(name, declared=self.declared)

    def explicit(self) -> Self:
        """The same environment by its names, for places with other variables. Raises UserError."""
        settings = self.settings()
        return replace(self, organization=settings.organization.value, name=settings.environment.value)

    def arguments(self, verb: str) -> tuple[str, ...]:
        """The options of a command line for this environment, whichever login is in use when it runs."""
        try:
            named = self.explicit()
        except UserError:
            named = self
        return target_options(verb, named.organization, named.name)

    def reads(self, read_options: ReadOptions, *, search: bool = False) -> ReadOptions:
        """The options for reading files, with this environment. Raises UserError."""
        return structs.replace(read_options, environment=self.platform_name(), search=search)

    def _variables(self) -> Mapping[str, str]:
        if self.variables is not None:
            return {name: os.environ[name] for name in self.variables if name in os.environ}
        if self.host is None:
            return os.environ
        variable = host_variable(self.name or "")
        return {name: value for name, value in os.environ.items() if name != variable}


def environments_with_login(in_use: Environment, *, needs_one_in_use: bool = True) -> Iterator[Environment]:
    """The environment in use, those of reconciler.toml whose token variable is set, then all saved logins.

    Leaves out logins under another name than reconciler.toml has for the same environment.

    Args:
        in_use: with the environments of reconciler.toml.
        needs_one_in_use: whether one must be in use, although reconciler.toml has some.

    Raises:
        UserError: no environment is in use, or a file cannot be read.
    """
    declared = in_use.declared
    yielded = set()
    try:
        first = in_use.target()
    except UserError:
        if needs_one_in_use or not declared:
            raise
    else:
        yield in_use
        yielded.add((first.organization, first.environment.name))
    for name, environment in declared.items():
        # Without the other variables: PICSELLIA_TOKEN is for the environment in use.
        token = environment.token.value if environment.token else ""
        if os.environ.get(token) and (environment.organization.value, name) not in yielded:
            yielded.add((environment.organization.value, name))
            yield Environment(name, declared=declared, variables=(token,))
    for login in saved.logins():
        logged_in = Environment(login.environment, login.organization, declared=declared, variables=())
        if (login.organization, login.environment) not in yielded and not _has_another_name(logged_in):
            yield logged_in


def _has_another_name(environment: Environment) -> bool:
    with suppress(UserError):  # an incomplete login is an error of what needs it
        return environment.settings().declared_name is not None
    return False
