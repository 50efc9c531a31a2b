"""Resolve the target of a command: organization, environment, address and token.

Reads the same places as the official CLI: flags, environment variables, then `context.json` and `.env` in
`~/.config/picsellia`. Writes nothing, and never shows a token.
"""

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.core.diagnostics import UserError, error
from reconciler.core.platforms import platform_address
from reconciler.credentials import saved
from reconciler.credentials.environment import CUSTOM_HOST, HOSTS, Environment
from reconciler.credentials.saved import Login

TOKEN = "PICSELLIA_TOKEN"
ORGANIZATION = "PICSELLIA_ORGANIZATION"
ENVIRONMENT = "PICSELLIA_ENV"


@dataclass(frozen=True, slots=True)
class Target:
    """The platform, the organization and the token that every request needs.

    Attributes:
        host: address of the platform, normalised.
        token: never part of any output; hidden from the repr.
        token_from, organization_from, environment_from, host_from: the flag, variable or file that each value
            comes from, for `whoami`; "" for the well-known host of an environment.
    """

    organization: str
    environment: Environment
    host: str
    token: str = field(repr=False)
    token_from: str
    organization_from: str = ""
    environment_from: str = ""
    host_from: str = ""


def resolve(
    organization: str | None, environment: str | None, variables: Mapping[str, str] = os.environ
) -> Target:
    """The target from flags, environment variables and saved files, in this order.

    Raises:
        UserError: no organization, an unknown environment, no address for CUSTOM, no token, or a file that
            cannot be read.
    """
    env, env_from = chosen_environment(environment, variables)
    context = {} if organization or variables.get(ORGANIZATION) else saved.context()
    org, org_from = _first(
        (organization, "--organization"),
        (variables.get(ORGANIZATION), ORGANIZATION),
        (context.get("organization"), str(saved.context_file())),
    )
    if not org:
        raise UserError(
            error(
                "no organization is selected",
                f"Use --organization ORG, set {ORGANIZATION}, or log in: reconciler login",
            )
        )
    entries = saved.entries()
    token, token_from = _token(Login(org, env), variables, entries)
    host, host_from = _host(env, variables, entries)
    return Target(org, env, host, token, token_from, org_from, env_from, host_from)


def chosen_environment(
    environment: str | None, variables: Mapping[str, str] = os.environ
) -> tuple[Environment, str]:
    """The environment from flag, environment variable or saved context, in this order, and its source.

    Raises:
        UserError: the environment is unknown, or the saved context cannot be read.
    """
    context = {} if environment or variables.get(ENVIRONMENT) else saved.context()
    name, place = _first(
        (environment, "--env"),
        (variables.get(ENVIRONMENT), ENVIRONMENT),
        (context.get("env"), str(saved.context_file())),
        (Environment.PROD, "default"),
    )
    return _environment(name), place


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


def _first(*candidates: tuple[str | None, str]) -> tuple[str, str]:
    """The first value that is set, and where it comes from."""
    return next(((value, place) for value, place in candidates if value), ("", ""))


def _environment(name: str) -> Environment:
    try:
        return Environment(name.upper())
    except ValueError:
        raise UserError(
            error(
                f"{name!r} is not an environment",
                f"Use one of {', '.join(Environment)}. "
                f"The value comes from --env, {ENVIRONMENT} or {saved.context_file()}.",
            )
        ) from None


def _host(env: Environment, variables: Mapping[str, str], entries: Mapping[str, str]) -> tuple[str, str]:
    if env is not Environment.CUSTOM:
        return HOSTS[env], ""
    host, place = _first(
        (variables.get(CUSTOM_HOST), CUSTOM_HOST),
        (entries.get(CUSTOM_HOST), str(saved.credentials_file())),
    )
    if not host:
        raise UserError(
            error(
                "the CUSTOM environment has no address",
                f"Set {CUSTOM_HOST}=https://…, or log in: reconciler login --host https://…",
            )
        )
    try:
        return platform_address(host), place
    except ValueError as problem:
        raise UserError(
            error(
                f"{CUSTOM_HOST} is not the address of a platform", f"It {problem}. Write https://host[:port]."
            )
        ) from None


def _token(login: Login, variables: Mapping[str, str], entries: Mapping[str, str]) -> tuple[str, str]:
    places = (
        (variables.get(TOKEN), TOKEN),
        (variables.get(login.key), login.key),
        (entries.get(login.key), str(saved.credentials_file())),
    )
    for found, place in places:
        if token := checked_token(found or "", place):
            return token, place
    raise UserError(
        error(
            f"no API token for {login}",
            f"Set {TOKEN}, or log in: reconciler login --organization {shlex.quote(login.organization)} "
            f"--env {login.environment}",
        )
    )
