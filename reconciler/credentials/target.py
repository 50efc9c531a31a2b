"""Resolve the target of a command: organization, environment, address and token.

Reads the same places as the official CLI: flags, environment variables, then `context.json` and `.env` in
`~/.config/picsellia`. Between the two come the environments that a reconciler.toml declares. Writes nothing,
and never shows a token.
"""

import os
import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property

from providers.ascii_case import ascii_upper
from reconciler.core.diagnostics import UserError, error
from reconciler.core.platforms import ENVIRONMENTS, HOSTS, organization_problem, platform_address, scope
from reconciler.credentials import saved
from reconciler.credentials.environment import (
    Declared,
    Environment,
    Sourced,
    address_problem,
    allows_http,
    host_variable,
)
from reconciler.credentials.saved import Login

TOKEN = "PICSELLIA_TOKEN"
ORGANIZATION = "PICSELLIA_ORGANIZATION"
ENVIRONMENT = "PICSELLIA_ENV"
DEFAULT = "default"
"""The source of an environment that nothing selects."""
FIXED = "fixed"
"""The source of the address of PROD, STAGING and LOCAL."""


@dataclass(frozen=True, slots=True)
class Target:
    """The platform, the organization and the token that every request needs.

    Attributes:
        token: never part of any output; hidden from the repr.
        token_from, organization_from, environment_from, host_from: the flag, variable or file that each value
            comes from, for `whoami`; "" for the fixed host of an environment.
        token_renewal: how to replace the token.
        allows_http: whether the token may be sent to another machine without encryption.
    """

    organization: str
    environment: Environment
    token: str = field(repr=False)
    token_from: str
    organization_from: str = ""
    environment_from: str = ""
    host_from: str = ""
    token_renewal: str = field(default="", compare=False)
    allows_http: bool = field(default=False, compare=False)

    @property
    def host(self) -> str:
        """Address of the platform, in its one spelling."""
        return self.environment.host

    @property
    def scope(self) -> str:
        """The organization and its platform: `my-org@STAGING`."""
        return scope(self.organization, self.environment.name, self.host)


def resolve(
    organization: str | None,
    environment: str | None,
    variables: Mapping[str, str] = os.environ,
    declared: Declared | None = None,
) -> Target:
    """The target from flags, variables, reconciler.toml and saved files, in this order.

    Raises:
        UserError: no organization, an unknown environment, one that reconciler.toml declares under another
            name, no address for it, no token, or a file that cannot be read.
    """
    settings = TargetSettings(organization, environment, variables, declared)
    settings.require_own_name()
    name, owner = settings.environment, settings.organization
    token, host = settings.token, settings.host
    return Target(
        owner.value,
        Environment(name.value, host.value),
        token.value,
        token.source,
        owner.source,
        name.source,
        "" if host.source == FIXED else host.source,
        settings.token_renewal,
        settings.allows_http,
    )


def resolve_beside(
    environment: str, variables: Mapping[str, str] = os.environ, declared: Declared | None = None
) -> Target:
    """The target of a second environment of a command.

    As `resolve`, but what is for this environment alone comes before PICSELLIA_ORGANIZATION and
    PICSELLIA_TOKEN: where the two environments differ, those are for the first one.

    Raises: as `resolve`.
    """
    own = {name: value for name, value in variables.items() if name not in (ORGANIZATION, TOKEN)}
    organization = None
    if declared and environment in declared:
        organization = declared[environment].organization.value
    for known in (own, {**own, ORGANIZATION: variables.get(ORGANIZATION, "")}):
        with suppress(UserError):
            return resolve(organization, environment, known, declared)
    return resolve(organization, environment, variables, declared)


def known_environments(declared: Declared) -> list[str]:
    """The names that an environment can have: the official CLI's, the declared and the saved ones."""
    return list(dict.fromkeys((*ENVIRONMENTS, *declared, *saved.environments())))


class TargetSettings:
    """The values of a target, each with its source; looked up when they are needed.

    The order is: flag, variable, reconciler.toml, the official CLI's saved files, built-in default. A broken
    file is an error only for a value that would come from it.
    """

    def __init__(
        self,
        organization: str | None,
        environment: str | None,
        variables: Mapping[str, str] = os.environ,
        declared: Declared | None = None,
    ) -> None:
        self._organization = organization
        self._environment = environment
        self._variables = variables
        self._declared = declared or {}

    @cached_property
    def environment(self) -> Sourced:
        """The name of the environment. Raises UserError if there is none of this name."""
        found = self._first((self._environment, "--env"), (self._variables.get(ENVIRONMENT), ENVIRONMENT))
        if found is None:
            found = self._first((saved.context().get("env"), str(saved.context_file())), ("PROD", DEFAULT))
            assert found is not None
        name = ascii_upper(found.value)
        if name not in (*ENVIRONMENTS, *self._declared) and name not in saved.environments():
            raise UserError(
                error(
                    f"{found.value!r} is not an environment",
                    f"Use one of {', '.join(known_environments(self._declared))}. "
                    f"The value comes from --env, {ENVIRONMENT} or {saved.context_file()}.",
                )
            )
        return Sourced(name, found.source)

    @cached_property
    def organization(self) -> Sourced:
        """Raises UserError if none is selected."""
        declared = self._declared.get(self.environment.value)
        found = self._first(
            (self._organization, "--organization"), (self._variables.get(ORGANIZATION), ORGANIZATION)
        )
        found = found or (declared.organization if declared else None)
        found = found or self._first((saved.context().get("organization"), str(saved.context_file())))
        if found is None:
            raise self._nothing_selected()
        if (problem := organization_problem(found.value)) is not None:
            detail = f"It {problem}. Write the name that the platform shows, such as my-org."
            raise UserError(error(f"{found.source} has no name of an organization", detail))
        return found

    @property
    def selects_environment(self) -> bool:
        """Whether an option, a variable or a login selects the environment. Raises UserError."""
        return self.environment.source != DEFAULT

    def _nothing_selected(self) -> UserError:
        flags = " or ".join(f"--env {name}" for name in self._declared)
        if not flags:
            detail = f"Use --organization ORG, set {ORGANIZATION}, or log in: reconciler login"
        elif self.selects_environment:
            detail = f"Use --organization ORG, or {flags} of reconciler.toml, or set {ORGANIZATION}"
        else:
            names = ", ".join(self._declared)
            detail = f"reconciler.toml has {names}. Use {flags}, or set {ENVIRONMENT}"
            return UserError(error("no environment is selected", detail))
        return UserError(error("no organization is selected", detail))

    @cached_property
    def host(self) -> Sourced:
        """The address of the platform. Raises UserError if it is missing or invalid."""
        name = self.environment.value
        if name in HOSTS:
            return Sourced(HOSTS[name], FIXED)
        declared, variable = self._declared.get(name), host_variable(name)
        found = self._first((self._variables.get(variable), variable))
        found = found or (declared.host if declared else None)
        found = found or self._first((self._entries.get(variable), str(saved.credentials_file())))
        if found is None:
            raise UserError(
                error(
                    f"the {name} environment has no address",
                    f"Set {variable}=https://…, or log in: reconciler login --host https://…",
                )
            )
        try:
            return Sourced(platform_address(found.value), found.source)
        except ValueError as problem:
            raise UserError(
                error(
                    f"{variable} is not the address of a platform",
                    f"It {problem}. Write https://host[:port].",
                )
            ) from None

    @cached_property
    def declared_name(self) -> str | None:
        """The other name that reconciler.toml has for this organization and platform; None for no other one.

        Raises UserError as `organization` and `host`.
        """
        own = scope(self.organization.value, self.environment.value, self.host.value)
        for name, declared in self._declared.items():
            host = HOSTS.get(name) or (declared.host.value if declared.host else None)
            if (
                host
                and name != self.environment.value
                and scope(declared.organization.value, name, host) == own
            ):
                return name
        return None

    def require_own_name(self) -> None:
        """Raise UserError if reconciler.toml has another name for it, whose rules would not be kept."""
        if (name := self.declared_name) is not None:
            raise UserError(
                error(
                    f"{self.environment.value} and {name} are the same environment",
                    f"Both are the organization {self.organization.value} at {self.host.value}. Use "
                    f"--env {name}, which has settings at {self._declared[name].organization.source}.",
                )
            )

    @cached_property
    def token(self) -> Sourced:
        """The API token. Raises UserError if there is none, or if it is not for this platform."""
        login = Login(self.organization.value, self.environment.value)
        declared = self._declared.get(login.environment)
        named = declared.token if declared else None
        places = [(self._variables.get(name), name) for name in (TOKEN, login.key)]
        if named is not None:
            places.append((self._variables.get(named.value), f"{named.value}, named in {named.source}"))
        for text, place in (*places, (self._entries.get(login.key), str(saved.credentials_file()))):
            if token := checked_token(text or "", place):
                if place == str(saved.credentials_file()):
                    self._check_address(login)
                return Sourced(token, place)
        raise UserError(
            error(
                f"no API token for {login}",
                f"Set {named.value if named else TOKEN}, or log in: {_login_command(login)}",
            )
        )

    @property
    def allows_http(self) -> bool:
        """Whether the token may cross a network without encryption: the origin of the address allows it.

        Raises UserError as `host`.
        """
        declared = self._declared.get(self.environment.value)
        is_declared = declared is not None and declared.host == self.host and declared.allow_http
        return is_declared or allows_http(self._variables)

    @property
    def token_renewal(self) -> str:
        """How to replace the token, at the place that it comes from. Raises UserError if there is none."""
        if self.token.source == str(saved.credentials_file()):
            return f"log in again: {_login_command(Login(self.organization.value, self.environment.value))}"
        declared = self._declared.get(self.environment.value)
        named = declared.token if declared else None
        if self.token.source == TOKEN and named is not None and self._variables.get(named.value, "").strip():
            return f"unset {TOKEN}, which comes before {named.value}, named in {named.source}"
        return f"set {self.token.source.partition(',')[0]} to a valid token"

    def _check_address(self, login: Login) -> None:
        """Refuse to send a saved token to another address because a reconciler.toml says so."""
        declared = self._declared.get(login.environment)
        if declared is None or declared.host is None or self.host != declared.host:
            return
        before = self._entries.get(host_variable(login.environment), "")
        if address_problem(before) or platform_address(before) != self.host.value:
            raise UserError(
                error(
                    f"the saved token of {login} is not for {self.host.value}",
                    f"{self.host.source} has this address. If you trust it, log in there: "
                    f"{_login_command(login)}",
                )
            )

    @cached_property
    def _entries(self) -> Mapping[str, str]:
        return saved.entries()

    @staticmethod
    def _first(*candidates: tuple[str | None, str]) -> Sourced | None:
        """The first value that is set."""
        return next((Sourced(value, place) for value, place in candidates if value), None)


def _login_command(login: Login) -> str:
    return f"reconciler login --organization {shlex.quote(login.organization)} --env {login.environment}"


def checked_token(text: str, place: str) -> str:
    """The token in this text; "" if it is blank.

    Args:
        place: where the text comes from, for the error.

    Raises:
        UserError: the token has characters that an HTTP header cannot carry.
    """
    token = text.strip()  # files and secret stores often append a newline
    if not (token.isascii() and token.isprintable()):
        raise UserError(
            error(
                f"the API token in {place} cannot be sent",
                "It contains a character that no token has, such as a newline or an accent. Copy it again.",
            )
        )
    return token
