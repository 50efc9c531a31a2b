"""`reconciler whoami`."""

from typing import Any

import click

from reconciler.cli import options


@click.command("whoami")
@options.where
@click.option("--explain", is_flag=True, help="Show each value with its source, offline.")
@click.option("--json", "as_json", is_flag=True, help="Print it as a JSON document.")
def command(**given: Any) -> int:
    """Show which platform, organization and token would be used, what said so, and whether they work."""
    from reconciler.cli.handlers.whoami import explain, run

    return explain(**given) if given.pop("explain") else run(**given)
