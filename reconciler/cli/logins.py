"""What `login`, `logout`, `switch` and `whoami` share: saved logins, chosen among and told of."""

import os
from collections.abc import Sequence

from rich.console import Console

from reconciler.cli import prompts
from reconciler.cli.prompts import Default, choose
from reconciler.core.diagnostics import UserError, error, warning
from reconciler.core.platforms import HOSTS, platform_address
from reconciler.credentials import saved
from reconciler.credentials.environment import host_variable
from reconciler.credentials.saved import Login
from reconciler.credentials.target import ENVIRONMENT, ORGANIZATION, TOKEN
from reconciler.views.terminal.messages import print_diagnostics


def matching(organization: str | None, environment: str | None) -> list[Login]:
    """The saved logins that the two options leave.

    Raises:
        UserError: there is none; it says which there are.
    """
    known = saved.logins()
    found = [
        login
        for login in known
        if organization in (None, login.organization) and environment in (None, login.environment)
    ]
    if not found:
        asked = "@".join(part for part in (organization, environment) if part)
        there = f"Saved: {', '.join(map(str, known))}." if known else "Nothing is saved."
        raise UserError(
            error(
                f"no login is saved for {asked}" if asked else "no login is saved",
                f"{there} Another one: reconciler login",
            )
        )
    return found


def chosen(among: Sequence[Login], err: Console) -> Login:
    """The only one, or the one that the user picks.

    Raises:
        UserError: there are several and nobody can be asked.
    """
    if len(among) == 1:
        return among[0]
    if not prompts.someone_watches():
        raise UserError(
            error(
                "several logins are saved, and nobody can be asked",
                f"Use --organization and --env for one of {', '.join(map(str, among))}.",
            )
        )
    now = saved.current()
    numbers = {str(number): str(login) for number, login in enumerate(among, 1)}
    default = Default(str(among.index(now) + 1), "in use now") if now in among else None
    return among[int(choose("Login", numbers, default, err)) - 1]


def warn_of_variables(login: Login, err: Console) -> None:
    """Say which variables come before what was saved, so that nothing seems to be in use that is not."""
    says = {ORGANIZATION: login.organization, ENVIRONMENT: login.environment}
    if login.environment not in HOSTS:
        variable = host_variable(login.environment)
        says[variable] = saved.entries().get(variable, "")
    names = [name for name, value in says.items() if _differs(os.environ.get(name), value)]
    names += [name for name in (TOKEN, login.key) if os.environ.get(name)]
    if names:
        print_diagnostics(
            [
                warning(
                    f"{', '.join(names)} set in the environment: that comes before this login",
                    f"To use the login:  unset {' '.join(names)}",
                )
            ],
            err,
        )


def _differs(given: str | None, value: str) -> bool:
    """Whether a variable says something else; two spellings of one address are the same."""
    if not given or given == value:
        return False
    try:
        return platform_address(given) != platform_address(value)
    except ValueError:
        return True
