"""`reconciler sandbox`."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from reconciler.core.diagnostics import UserError, error
from reconciler.core.exit_codes import DONE
from reconciler.views.terminal.console import console
from reconciler.views.terminal.messages import print_sandbox


@click.command("sandbox")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="8000 is what --env LOCAL expects; 0 for a free one.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep everything here; without it, it goes when the sandbox ends.",
)
@click.option(
    "--switch",
    "switches",
    metavar="NAME=VALUE",
    multiple=True,
    help="How the platform behaves: echo=certain, latency=0.05, page_cap=10, … (VALUE is JSON or text).",
)
def command(port: int, folder: Path | None, switches: tuple[str, ...]) -> int:
    """Run a platform and a registry on your own machine.

    It speaks the platform's protocol as far as it is known, so the official SDK and CLI work with it, too.
    Ctrl-C ends it. Switches can be changed while it runs, with the control token that it prints:

    \b
      curl -X PATCH http://localhost:8000/_sandbox/switches \\
        -H "Authorization: Bearer TOKEN" --json '{"latency": 0.1}'
    """
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
