"""Runs `reconciler login`."""

import os
import sys
from collections.abc import Callable, Mapping

import click

from providers.ascii_case import ascii_upper
from reconciler.api.sessions import refused_value, user_of
from reconciler.cli import logins, options, prompts
from reconciler.cli.prompts import Default, ask, choose
from reconciler.core.diagnostics import UserError, error, info
from reconciler.core.exit_codes import DONE
from reconciler.core.platforms import CUSTOM, HOSTS, organization_problem, platform_address
from reconciler.credentials import saved
from reconciler.credentials.environment import (
    Declared,
    Environment,
    address_problem,
    allows_http,
    host_variable,
)
from reconciler.credentials.saved import Login
from reconciler.credentials.target import (
    ENVIRONMENT,
    ORGANIZATION,
    Target,
    TargetSettings,
    checked_token,
    known_environments,
)
from reconciler.pipeline.toml.edits import Value
from reconciler.views.terminal.console import Console, console
from reconciler.views.terminal.messages import print_diagnostics
from reconciler.views.terminal.progress import ProgressView
from reconciler.views.terminal.text import Text

_TOKEN_PLACE = "your API token is in your Personal Settings, tab Token"


def run(organization: str | None, environment: str | None, host: str | None, token_stdin: bool) -> int:
    if host is not None and environment not in (None, CUSTOM):
        raise click.UsageError("--host is only for CUSTOM; other environments have their own address")
    if token_stdin and sys.stdin.isatty():
        raise click.UsageError("--token-stdin reads the token from a pipe; omit it to type the token")
    out, err = console(sys.stdout), console(sys.stderr)
    login, address = _where(organization, environment, host, err, token_stdin)
    token = _token(login, address, token_stdin, err)
    while True:
        try:
            user = _sign_in(login, address, token, err)
            break
        except UserError as problem:
            wrong = refused_value(problem)
            is_ours = wrong == "host" and login.environment != CUSTOM  # a fixed address is never typed
            if wrong is None or is_ours or not prompts.is_interactive():
                raise
            print_diagnostics(problem.diagnostics, err)
        match wrong:
            case "token":
                token = _token(login, address, False, err)
            case "organization":
                typed = Default(login.organization, "as before")
                organization = str(ask("Organization", "", typed, _no_problem(_not_a_name), err))
                login = Login(organization, login.environment)
            case "host":
                address = _asked_address(Default(address, "as before"), err)
    name = login.environment
    before = _spelled(saved.entries().get(host_variable(name), address))
    shared = name not in HOSTS
    saved.save(login, token, address if shared else None)
    out.print(Text.assemble(("Logged in ", "bold green"), f"to {login} at {address} as {user}."))
    out.print(f"  the token is saved in {saved.credentials_file()}")
    others = [one for one in saved.logins() if one.environment == name and one != login]
    if shared and before != address and others:
        detail = f"{', '.join(map(str, others))} had another address. To go back to it, log in there again."
        print_diagnostics([info(f"all logins to {name} now use {address}", detail)], err)
    logins.warn_of_variables(login, err)
    return DONE


def _sign_in(login: Login, address: str, token: str, err: Console) -> str:
    """The user of the token. Raises as `user_of`."""
    target = Target(
        login.organization,
        Environment(login.environment, address),
        token,
        token_from="",
        host_from="" if login.environment in HOSTS else "--host, a variable or the answer",
        allows_http=allows_http(os.environ),
        token_renewal="type another one"
        if prompts.is_interactive()
        else "run the command again with a valid one",
    )
    with ProgressView(err) as progress:
        return user_of(target, options.state_url(), progress)


def _asked_address(default: Default | None, err: Console) -> str:
    return platform_address(
        str(ask("Address", "https://host[:port]", default, _no_problem(address_problem), err))
    )


def _where(
    organization: str | None,
    environment: str | None,
    host: str | None,
    err: Console,
    token_stdin: bool,
) -> tuple[Login, str]:
    """The login and its address, from options, else from prompts or, without a terminal, from variables.

    Raises:
        UserError: a value is missing without a terminal, or invalid.
    """
    declared = options.workspace().declared()
    organization = organization or None
    if host is not None:
        environment = CUSTOM
    if not prompts.is_interactive():
        environment = environment or _environment(os.environ.get(ENVIRONMENT, ""), declared)
        if (default := _default_organization(environment, declared, saved_too=False)) is not None:
            organization = organization or str(default.value)
        if environment == CUSTOM and host is None:
            host = _known_host(declared)[0] or None
        _refuse_missing(
            {
                "--organization ORG": organization is None,
                "--env ENV": environment is None,
                "--host URL": environment == CUSTOM and host is None,
                "--token-stdin": not token_stdin,
            }
        )
    # The platform first: it has the organizations.
    if environment is None:
        hosts = {name: _address(name, declared) for name in known_environments(declared)}
        environment = choose("Environment", hosts, _default_environment(declared), err)
    if environment != CUSTOM:
        host = TargetSettings(organization, environment, declared=declared).host.value
    elif host is None:
        address, place = _known_host(declared)
        host = _asked_address(Default(address, place) if address else None, err)
    if (problem := address_problem(host)) is not None:
        raise UserError(
            error("--host is not the address of a platform", f"It {problem}: https://host[:port].")
        )
    if organization is None:
        default = _default_organization(environment, declared)
        organization = str(ask("Organization", "", default, _no_problem(_not_a_name), err))
    return Login(organization, environment), platform_address(host)


def _spelled(address: str) -> str:
    """The normalized address; an invalid one stays unchanged."""
    return address if address_problem(address) else platform_address(address)


def _token(login: Login, address: str, from_stdin: bool, err: Console) -> str:
    if from_stdin:
        token = checked_token(sys.stdin.read(), "stdin")
        if not token:
            example = "For example:  printenv MY_TOKEN | reconciler login --token-stdin …"
            raise UserError(error("there is no API token on stdin", f"{_TOKEN_PLACE}.\n{example}"))
        return token
    form = f"of {login}; hidden while you type"
    err.print(Text(f"  {address}: {_TOKEN_PLACE}", "dim"))
    return str(ask("API token", form, None, _as_token, err, hidden=True))


def _as_token(typed: Value) -> str:
    try:
        return checked_token(str(typed), "the answer")
    except UserError as problem:
        (diagnostic,) = problem.diagnostics
        raise click.UsageError(f"{diagnostic.summary}. {diagnostic.detail}") from None


def _refuse_missing(options_missing: Mapping[str, bool]) -> None:
    missing = [option for option, is_missing in options_missing.items() if is_missing]
    if missing:
        raise UserError(
            error(
                f"login without a terminal needs {', '.join(missing)}",
                "For example:  printenv MY_TOKEN | "
                "reconciler login --organization my-org --env STAGING --token-stdin",
            )
        )


def _no_problem(problem_with: Callable[[str], str | None]) -> Callable[[Value], str]:
    """A converter that strips the answer and checks it. A problem is shown, and the prompt repeated."""

    def convert(typed: Value) -> str:
        answer = str(typed).strip()
        if (problem := problem_with(answer)) is not None:
            raise click.UsageError(f"it {problem}")
        return answer

    return convert


def _not_a_name(text: str) -> str | None:
    return organization_problem(text) if text else "must not be empty"


def _default_organization(
    environment: str | None, declared: Declared, *, saved_too: bool = True
) -> Default | None:
    if given := os.environ.get(ORGANIZATION):
        return Default(given, f"from {ORGANIZATION}")
    if environment is not None and environment in declared:
        owner = declared[environment].organization
        return Default(owner.value, f"from {owner.source}")
    now = saved.current() if saved_too else None
    if now is not None and environment in (None, now.environment):
        return Default(now.organization, "in use now")
    there = [one for one in saved.logins() if one.environment == environment] if saved_too else []
    return Default(there[0].organization, "a saved login") if there else None


def _default_environment(declared: Declared) -> Default:
    if given := _environment(os.environ.get(ENVIRONMENT, ""), declared):
        return Default(given, f"from {ENVIRONMENT}")
    now = saved.current()
    return Default(now.environment, "in use now") if now else Default("PROD", "the usual one")


def _environment(name: str, declared: Declared) -> str | None:
    return ascii_upper(name) if ascii_upper(name) in known_environments(declared) else None


def _address(name: str, declared: Declared) -> str:
    """The address of an environment, for the list of choices."""
    host = declared[name].host if name in declared else None
    address = HOSTS.get(name) or (host.value if host else saved.entries().get(host_variable(name)))
    return "your own address" if name == CUSTOM else address or ""


def _known_host(declared: Declared) -> tuple[str, str]:
    """The present address of CUSTOM and its source; "" for no address."""
    variable = host_variable(CUSTOM)
    if given := os.environ.get(variable):
        return given, f"from {variable}"
    if CUSTOM in declared and (host := declared[CUSTOM].host) is not None:
        return host.value, f"from {host.source}"
    return saved.entries().get(variable, ""), "saved by the last login to CUSTOM"
