"""Runs `reconciler sandbox`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from reconciler.core.diagnostics import UserError, error
from reconciler.core.exit_codes import DONE
from reconciler.core.platforms import HOSTS
from reconciler.views.terminal.console import console
from reconciler.views.terminal.messages import print_sandbox
from reconciler.workspace.reader import ENVIRONMENT_NAME

if TYPE_CHECKING:
    from providers.sandbox import Environment


def run(port: int, folder: Path | None, environments: tuple[str, ...], switches: tuple[str, ...]) -> int:
    from pydantic import TypeAdapter, ValidationError

    from providers.sandbox import Settings, Switches, serve

    try:
        chosen = TypeAdapter(Switches).validate_python(dict(_pair(text) for text in switches))
    except ValidationError as problem:
        details = "; ".join(
            ": ".join(filter(None, (".".join(map(str, e["loc"])), e["msg"].removeprefix("Value error, "))))
            for e in problem.errors()
        )
        raise click.BadParameter(details, param_hint="--switch") from None
    out = console(sys.stdout)
    settings = Settings(
        port=port, folder=folder, environments=_environments(environments, port), switches=chosen
    )
    try:
        serve(settings, on_ready=lambda address: print_sandbox(address, settings, out))
    except OSError as problem:
        raise UserError(
            error(
                f"the sandbox cannot start: {problem.strerror or problem}", "Try another --port or --folder."
            )
        ) from None
    kept = f"Its data is in {folder}." if folder else "Its data is gone; --folder keeps it."
    out.print(f"The sandbox has ended. {kept}")
    return DONE


def _environments(texts: Sequence[str], port: int) -> "tuple[Environment, ...]":
    """The environments that `--env` lists, on this port and the following ones; on free ports for 0."""
    from providers.sandbox import Environment

    hint = "--env"
    organizations: dict[str, list[str]] = {}
    for text in texts:
        name, _, organization = text.partition("=")
        if not ENVIRONMENT_NAME.fullmatch(name) or not organization.strip():
            message = f"{text!r} is not NAME=ORGANIZATION, with a NAME of capital letters, digits and hyphens"
            raise click.BadParameter(message, param_hint=hint)
        if name in HOSTS:
            message = f"{name} always is {HOSTS[name]}; choose another name, such as TEST"
            raise click.BadParameter(message, param_hint=hint)
        if organization in organizations.setdefault(name, []):
            raise click.BadParameter(f"{text!r} is given twice", param_hint=hint)
        organizations[name].append(organization)
    if port and port + len(organizations) > 65536:
        raise click.BadParameter("there are too few ports after it", param_hint="--port")
    return tuple(
        Environment(name, tuple(found), port + index if port else 0)
        for index, (name, found) in enumerate(organizations.items())
    )


def _pair(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--switch")
    try:
        return name, json.loads(value)
    except (ValueError, RecursionError):
        return name, value
