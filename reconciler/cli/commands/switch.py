"""`reconciler switch`."""

import sys

import click
from rich.text import Text

from reconciler.cli import logins
from reconciler.core.exit_codes import DONE
from reconciler.credentials import Environment, resolve, saved
from reconciler.views.terminal.console import console


@click.command("switch")
@logins.login_filter_options
def command(organization: str | None, environment: Environment | None) -> int:
    """Use another saved login from now on. Asks which one, unless the options leave only one."""
    err = console(sys.stderr)
    login = logins.chosen(logins.matching(organization, environment), err)
    target = resolve(login.organization, login.environment, {})  # it has all that a request needs
    saved.use(login)
    console(sys.stdout).print(Text.assemble("Using ", (str(login), "bold"), f" at {target.host} now."))
    logins.warn_of_variables(login, err)
    return DONE
