"""`reconciler sandbox`."""

from pathlib import Path
from typing import Any

import click


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
def command(**given: Any) -> int:
    """Run a platform and a registry on your own machine.

    It speaks the platform's protocol as far as it is known, so the official SDK and CLI work with it, too.
    Ctrl-C ends it. Switches can be changed while it runs, with the control token that it prints:

    \b
      curl -X PATCH http://localhost:8000/_sandbox/switches \\
        -H "Authorization: Bearer TOKEN" --json '{"latency": 0.1}'
    """
    from reconciler.cli.handlers.sandbox import run

    return run(**given)
