"""`reconciler switch`."""

from typing import Any

import click

from reconciler.cli import options


@click.command("switch")
@options.login_filter_options
def command(**given: Any) -> int:
    """Use another saved login from now on. Asks which one, unless the options leave only one."""
    from reconciler.cli.handlers.switch import run

    return run(**given)
