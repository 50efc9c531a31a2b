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
    help="Port to listen on; 0 for a free one. The environment LOCAL expects 8000.",
)
@click.option(
    "--env",
    "environments",
    metavar="NAME=ORGANIZATION",
    multiple=True,
    help="Serve an environment with this organization; repeat it for more. The first has the port of --port, "
    "each other one the next port. Default: one environment with the organization sandbox.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep the data in this folder. Default: a temporary folder.",
)
@click.option(
    "--switch",
    "switches",
    metavar="NAME=VALUE",
    multiple=True,
    help="Set how the platform behaves: echo=certain, latency=0.05, page_cap=10, … VALUE is JSON or text.",
)
def command(**arguments: Any) -> int:
    """Run a platform and a registry on your machine.

    The sandbox implements the platform's API, so the official SDK and CLI work with it, too. Press Ctrl-C to
    stop it. With --env, it serves several environments beside one registry. Each has a port and organizations
    of its own, and each organization has its own token.

    \b
    Examples:
      reconciler sandbox
      reconciler sandbox --env TEST=my-test-org --env LIVE=my-org

    To change a switch while it runs, use the control token that it prints:

    \b
      curl -X PATCH http://localhost:8000/_sandbox/switches \\
        -H "Authorization: Bearer TOKEN" --json '{"latency": 0.1}'
    """
    from reconciler.cli.handlers.sandbox import run

    return run(**arguments)
