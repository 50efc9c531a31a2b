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
from urllib.parse import urlsplit

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
        UserError: no organization, no such environment, no address for CUSTOM, no token, or a file that
            cannot be read.
    """
    name = environment or variables.get("PICSELLIA_ENV")
    org = organization or variables.get("PICSELLIA_ORGANIZATION")
    saved = {} if name and org else _saved_context()
    env = _environment(name or saved.get("env") or Environment.PROD)
    org = org or saved.get("organization")
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


def _environment(name: str) -> Environment:
    try:
        return Environment(name.upper())
    except ValueError:
        known = ", ".join(Environment)
        raise UserError(
            error(
                f"{name!r} is not an environment",
                f"Use --env with one of {known}; it comes from --env, PICSELLIA_ENV or {_context_file()}.",
            )
        ) from None


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
    if (problem := _not_an_address(host)) is not None:
        raise UserError(
            error(
                "PICSELLIA_CUSTOM_ENV is not the address of a platform", f"It {problem}: https://host[:port]."
            )
        )
    return host.rstrip("/")


def _not_an_address(host: str) -> str | None:
    """What is wrong with an address, which is not repeated: it may hold a password."""
    if not host.startswith(("http://", "https://")):
        return "must start with http:// or https://"
    try:
        parts = urlsplit(host)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:
        named = False
    if not named:
        return "must name a host, and a port between 1 and 65535 or none"
    if "@" in parts.netloc:
        return "must hold no user name and no password"
    return None


def _token(
    org: str, env: Environment, variables: Mapping[str, str], files: Mapping[str, str]
) -> tuple[str, str]:
    key = f"PICSELLIA_{org}_{env}_API_TOKEN"
    places = (
        (variables.get("PICSELLIA_TOKEN"), "PICSELLIA_TOKEN"),
        (variables.get(key), key),
        (files.get(key), str(folder() / ".env")),
    )
    for found, place in places:
        token = (found or "").strip()  # what a file or a secret store gives may end with a line's end
        if not token:
            continue
        if not (token.isascii() and token.isprintable()):
            raise UserError(
                error(
                    f"the API token in {place} cannot be sent",
                    "It has a character that no token has, such as a line's end or an accent. Copy it again.",
                )
            )
        return token, place
    raise UserError(
        error(
            f"no API token for {org}@{env}",
            f"Set PICSELLIA_TOKEN, or log in: pxl-pipeline login --organization {org} --env {env}",
        )
    )


def _context_file() -> Path:
    return folder() / "context.json"


def _saved_context() -> dict[str, str]:
    """What the official CLI's `login` and `switch` saved; a broken file must not silently mean PROD."""
    path = _context_file()
    try:
        context = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as problem:
        raise UserError(
            error(
                "the saved context cannot be read",
                f"{problem}. Use --organization and --env, or log in again: pxl-pipeline login",
                file=path,
            )
        ) from None
    if not isinstance(context, dict):
        return {}
    return {key: value for key, value in context.items() if isinstance(value, str)}


def _credentials_file() -> dict[str, str]:
    path = folder() / ".env"
    try:
        return {key: value for key, value in dotenv_values(path).items() if value}
    except (OSError, UnicodeDecodeError) as problem:
        raise UserError(
            error(
                "the credentials file cannot be read",
                f"{problem}. Mend it, or log in again: pxl-pipeline login",
                file=path,
            )
        ) from None
