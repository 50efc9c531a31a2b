"""Runs `reconciler switch`."""

import sys

from reconciler.cli import logins
from reconciler.core.exit_codes import DONE
from reconciler.credentials import saved
from reconciler.credentials.target import resolve
from reconciler.views.terminal.console import console
from reconciler.views.terminal.text import Text


def run(organization: str | None, environment: str | None) -> int:
    err = console(sys.stderr)
    login = logins.select_login(logins.matching_logins(organization, environment), err)
    target = resolve(login.organization, login.environment, {})  # raises if the login is incomplete
    saved.use(login)
    console(sys.stdout).print(Text.assemble("Now using ", (str(login), "bold"), f" at {target.host}."))
    logins.warn_of_variables(login, err)
    return DONE
