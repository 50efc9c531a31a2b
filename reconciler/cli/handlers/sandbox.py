"""Runs `reconciler sandbox`."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from reconciler.core.diagnostics import UserError, error
from reconciler.core.exit_codes import DONE
from reconciler.views.terminal.console import console
from reconciler.views.terminal.messages import print_sandbox


def run(port: int, folder: Path | None, switches: tuple[str, ...]) -> int:
    from pydantic import TypeAdapter, ValidationError

    from providers.sandbox import Settings, Switches, serve

    try:
        chosen = TypeAdapter(Switches).validate_python(dict(_pair(text) for text in switches))
    except ValidationError as problem:
        details = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in problem.errors())
        raise click.BadParameter(details, param_hint="--switch") from None
    out = console(sys.stdout)
    settings = Settings(port=port, folder=folder, switches=chosen)
    try:
        serve(settings, on_ready=lambda address: print_sandbox(address.url, address.registry, settings, out))
    except OSError as problem:
        raise UserError(
            error(
                f"the sandbox cannot start: {problem.strerror or problem}", "Try another --port or --folder."
            )
        ) from None
    return DONE


def _pair(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--switch")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
