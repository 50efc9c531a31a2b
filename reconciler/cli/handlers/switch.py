"""What `reconciler switch` does."""

import sys

from rich.text import Text

from reconciler.cli import logins
from reconciler.core.exit_codes import DONE
from reconciler.credentials import saved
from reconciler.credentials.target import resolve
from reconciler.views.terminal.console import console


def run(organization: str | None, environment: str | None) -> int:
    err = console(sys.stderr)
    login = logins.chosen(logins.matching(organization, environment), err)
    target = resolve(login.organization, login.environment, {})  # it has all that a request needs
    saved.use(login)
    console(sys.stdout).print(Text.assemble("Using ", (str(login), "bold"), f" at {target.host} now."))
    logins.warn_of_variables(login, err)
    return DONE
