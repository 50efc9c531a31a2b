"""Runs `reconciler whoami`."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from reconciler.api.sessions import user_of
from reconciler.api.stores import address_of_state
from reconciler.cli import options
from reconciler.cli.documents import write_document
from reconciler.cli.options.param_types import STDOUT
from reconciler.core.diagnostics import Diagnostic, UserError
from reconciler.core.exit_codes import DONE, FAILED
from reconciler.credentials import saved
from reconciler.credentials.environment import Sourced
from reconciler.credentials.saved import Login
from reconciler.views.safe import json_text
from reconciler.views.terminal.console import console
from reconciler.views.terminal.messages import print_diagnostics, print_pairs
from reconciler.views.terminal.progress import ProgressView
from reconciler.workspace.schema import Workspace


def explain(where: options.TargetOptions, json_place: Path | None) -> int:
    """Print each value with its source. Contacts no platform; a value that is missing hides no other."""
    workspace, settings = options.workspace(), where.settings()
    lookups: dict[str, Callable[[], Sourced]] = {
        "workspace": lambda: Sourced(str(workspace.root), str(workspace.file or "no reconciler.toml")),
        "pipelines": lambda: _pipelines(workspace),
        "environment": lambda: settings.environment,
        "organization": lambda: settings.organization,
        "host": lambda: settings.host,
        "token": lambda: Sourced("set", settings.token.source),
        "channel": lambda: _channel(workspace, settings.environment.value),
        "state": lambda: _state(workspace),
    }
    found: dict[str, Sourced | None] = {}
    problems: list[Diagnostic] = []
    for name, lookup in lookups.items():
        try:
            found[name] = lookup()
        except UserError as problem:
            found[name] = None
            problems += problem.diagnostics
    if json_place is not None:
        document = {
            name: {"value": one.value if one else None, "from": one.source if one else None}
            for name, one in found.items()
        }
        write_document(json_place, json_text(document))
    if json_place != STDOUT:
        facts = {name: f"{one.value}  ({one.source})" if one else "missing" for name, one in found.items()}
        print_pairs(facts, console(sys.stdout))
    print_diagnostics(dict.fromkeys(problems), console(sys.stderr))
    return FAILED if problems else DONE


def _pipelines(workspace: Workspace) -> Sourced:
    globs = ", ".join(map(str, workspace.pipelines)) or "everything below the workspace"
    without = f", without {', '.join(map(str, workspace.exclude))}" if workspace.exclude else ""
    keys = [key for key in ("pipelines", "exclude") if getattr(workspace, key)]
    return Sourced(globs + without, workspace.place("workspace", keys[0]) if keys else "default")


def _channel(workspace: Workspace, environment: str) -> Sourced:
    giver = workspace.channel_of(environment)
    if giver is None or giver.channel is None:
        return Sourced("latest, or test for an rc", "default")
    return Sourced(giver.channel, workspace.place("environments", giver.name, "channel"))


def _state(workspace: Workspace) -> Sourced:
    """The place of state. Raises UserError if the URL is invalid, and does not repeat it then."""
    if url := os.environ.get(options.STATE):
        return Sourced(address_of_state(url), options.STATE)
    if workspace.state is not None:
        return Sourced(workspace.state, workspace.place("workspace", "state"))
    return Sourced(address_of_state(None), "default")


def run(where: options.TargetOptions, json_place: Path | None) -> int:
    target = where.target()
    with ProgressView(console(sys.stderr)) as progress:
        user = user_of(target, options.state_url(), progress)
    values = {
        "user": user,
        "organization": target.organization,
        "environment": target.environment.name,
        "host": target.host,
        "token_from": target.token_from,
    }
    places = {
        "organization": target.organization_from,
        "environment": target.environment_from,
        "host": target.host_from,
    }
    used = Login(target.organization, target.environment.name)
    others = [str(login) for login in saved.logins() if login != used]
    if json_place is not None:
        origins = {f"{name}_from": place for name, place in places.items()}
        write_document(json_place, json_text({**values, **origins, "other_logins": others}))
    if json_place == STDOUT:
        return DONE
    facts = {
        name.replace("_", " "): f"{value}  ({places[name]})" if places.get(name) else value
        for name, value in values.items()
    }
    if others:
        facts["also saved"] = ", ".join(others)
    print_pairs(facts, console(sys.stdout))
    return DONE
