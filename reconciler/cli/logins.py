"""Shared by `login`, `logout` and `switch`: selection of saved logins, and warnings about variables."""

import os
from collections.abc import Sequence

from reconciler.cli import prompts
from reconciler.cli.prompts import Default, choose
from reconciler.core.diagnostics import UserError, error, warning
from reconciler.core.platforms import HOSTS, platform_address
from reconciler.credentials import saved
from reconciler.credentials.environment import host_variable
from reconciler.credentials.saved import Login
from reconciler.credentials.target import ENVIRONMENT, ORGANIZATION, TOKEN
from reconciler.views.terminal.console import Console
from reconciler.views.terminal.messages import print_diagnostics


def matching_logins(organization: str | None, environment: str | None) -> list[Login]:
    """The saved logins that match the two options.

    Raises:
        UserError: none matches. The message lists the saved ones.
    """
    logins = saved.logins()
    matching = [
        login
        for login in logins
        if organization in (None, login.organization) and environment in (None, login.environment)
    ]
    if not matching:
        name = "@".join(part for part in (organization, environment) if part)
        existing = f"Saved: {', '.join(map(str, logins))}." if logins else "Nothing is saved."
        raise UserError(
            error(
                f"no login is saved for {name}" if name else "no login is saved",
                f"{existing} To add one:  reconciler login",
            )
        )
    return matching


def select_login(logins: Sequence[Login], err: Console) -> Login:
    """The only login, or the one that the user selects.

    Raises:
        UserError: there are several logins and no terminal.
    """
    if len(logins) == 1:
        return logins[0]
    if not prompts.is_interactive():
        raise UserError(
            error(
                "several logins are saved, and there is no terminal to select one",
                f"Use --organization and --env for one of {', '.join(map(str, logins))}.",
            )
        )
    now = saved.current()
    numbers = {str(number): str(login) for number, login in enumerate(logins, 1)}
    default = Default(str(logins.index(now) + 1), "in use now") if now in logins else None
    return logins[int(choose("Login", numbers, default, err)) - 1]


def warn_of_variables(login: Login, err: Console) -> None:
    """Print a warning that names the environment variables which override the saved login."""
    saved_values = {ORGANIZATION: login.organization, ENVIRONMENT: login.environment}
    if login.environment not in HOSTS:
        variable = host_variable(login.environment)
        saved_values[variable] = saved.entries().get(variable, "")
    names = [name for name, value in saved_values.items() if _differs(os.environ.get(name), value)]
    names += [name for name in (TOKEN, login.key) if os.environ.get(name)]
    if names:
        print_diagnostics(
            [
                warning(
                    f"this login is not in use: {', '.join(names)} in the environment overrides it",
                    f"To use the login:  unset {' '.join(names)}",
                )
            ],
            err,
        )


def _differs(variable: str | None, value: str) -> bool:
    """Whether a variable is set to another value. Two spellings of one address are equal."""
    if not variable or variable == value:
        return False
    try:
        return platform_address(variable) != platform_address(value)
    except ValueError:
        return True
