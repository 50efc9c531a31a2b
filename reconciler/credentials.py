"""Which organization of which environment, at what address and with which token.

Reads the same places as the official CLI: flags, environment variables, `context.json` and `.env` in
`~/.config/picsellia`. Writes nothing, and never shows a token.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from dotenv import dotenv_values

from reconciler.diagnostics import UserError, error


class Environment(StrEnum):
    """Where a platform runs; the hosts are those of the official CLI."""

    PROD = "PROD"
    STAGING = "STAGING"
    LOCAL = "LOCAL"
    CUSTOM = "CUSTOM"


_HOSTS = {
    Environment.PROD: "https://app.picsellia.com",
    Environment.STAGING: "https://staging.picsellia.com",
    Environment.LOCAL: "http://localhost:8000",
}


@dataclass(frozen=True, slots=True)
class Target:
    """What every request needs.

    Attributes:
        organization, environment, host: where.
        token: never part of any output; its repr is hidden.
        token_from: where the token was found, for `whoami`.
    """

    organization: str
    environment: Environment
    host: str
    token: str = field(repr=False)
    token_from: str


def folder() -> Path:
    """Where the official CLI keeps its files."""
    return Path.home() / ".config" / "picsellia"


def resolve(
    organization: str | None, environment: str | None, variables: Mapping[str, str] = os.environ
) -> Target:
    """The target that flags, variables and saved files name, in this order.

    Raises:
        UserError: no organization, no such environment, no address for CUSTOM, or no token.
    """
    saved = _saved_context()
    name = environment or variables.get("PICSELLIA_ENV") or saved.get("env") or Environment.PROD
    try:
        env = Environment(name.upper())
    except ValueError:
        known = ", ".join(Environment)
        raise UserError(error(f"{name!r} is not an environment", f"Use --env with one of {known}.")) from None
    org = organization or variables.get("PICSELLIA_ORGANIZATION") or saved.get("organization")
    if not org:
        raise UserError(
            error(
                "no organization was named",
                "Use --organization ORG, set PICSELLIA_ORGANIZATION, or log in: pxl-pipeline login",
            )
        )
    files = _credentials_file()
    token, token_from = _token(org, env, variables, files)
    return Target(org, env, _host(env, variables, files), token, token_from)


def _host(env: Environment, variables: Mapping[str, str], files: Mapping[str, str]) -> str:
    if env is not Environment.CUSTOM:
        return _HOSTS[env]
    host = variables.get("PICSELLIA_CUSTOM_ENV") or files.get("PICSELLIA_CUSTOM_ENV")
    if not host:
        raise UserError(
            error(
                "the address of the CUSTOM environment is not known",
                f"Set PICSELLIA_CUSTOM_ENV=https://…, in the environment or in {folder() / '.env'}.",
            )
        )
    if not host.startswith(("http://", "https://")):
        raise UserError(error(f"PICSELLIA_CUSTOM_ENV is {host!r}", "It must start with http:// or https://."))
    return host.rstrip("/")


def _token(
    org: str, env: Environment, variables: Mapping[str, str], files: Mapping[str, str]
) -> tuple[str, str]:
    key = f"PICSELLIA_{org}_{env}_API_TOKEN"
    places = (
        (variables.get("PICSELLIA_TOKEN"), "PICSELLIA_TOKEN"),
        (variables.get(key), key),
        (files.get(key), str(folder() / ".env")),
    )
    for token, place in places:
        if token:
            return token, place
    raise UserError(
        error(
            f"no API token for {org}@{env}",
            f"Set PICSELLIA_TOKEN, or log in: pxl-pipeline login --organization {org} --env {env}",
        )
    )


def _saved_context() -> dict[str, str]:
    try:
        context = json.loads((folder() / "context.json").read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(context, dict):
        return {}
    return {key: value for key, value in context.items() if isinstance(value, str)}


def _credentials_file() -> dict[str, str]:
    path = folder() / ".env"
    try:
        return {key: value for key, value in dotenv_values(path).items() if value}
    except OSError as problem:
        raise UserError(error("the credentials file cannot be read", str(problem), file=path)) from None
