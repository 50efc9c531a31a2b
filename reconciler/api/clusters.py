"""The workers of a Dask cluster, whose checkouts and versions are compared first."""

import hashlib
import platform
import socket
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from providers.regular_files import read_regular
from reconciler.api.environments import Environment
from reconciler.api.workspaces import Workspace
from reconciler.core.diagnostics import UserError, error
from reconciler.engine.chunks import Task
from reconciler.engine.cluster import connect
from reconciler.engine.local_workers import local
from reconciler.engine.run_identity import version
from reconciler.engine.workers import OpenWorkers
from state.stores.opening import state_files


def workers_of(
    scheduler: str | None, workspace: Workspace, environment: Environment, here: OpenWorkers = local
) -> OpenWorkers:
    """The workers of a cluster.

    Args:
        scheduler: `HOST:PORT` of its Dask scheduler; None for those of this machine.
        environment: with names, as from `explicit`.
        here: opens the workers of this machine.

    Raises:
        UserError: the current folder is not the top folder of the workspace, so paths would differ.
    """
    if scheduler is None:
        return here
    top = workspace.root
    if not top.samefile(Path.cwd()):
        detail = f"The workers resolve the same paths in their checkouts. Run it there: cd {top}"
        raise UserError(error("--executor needs the top folder of the workspace", detail))
    surroundings = partial(_surroundings, environment.organization, environment.name)
    return partial(connect, scheduler, surroundings, _in_this_checkout)


def _surroundings(organization: str | None, name: str | None) -> Mapping[str, str]:
    """What decides a plan beside the files of its pipeline, in this checkout. No value is secret."""
    here = Workspace.open()
    settings = Environment(name, organization, declared=here.settings.declared()).settings()
    url, file = here.state, here.settings.file
    state = url or ""
    if files := state_files(url):
        state = f"{files[0].absolute()} on {socket.gethostname()}"
    return {
        "version of reconciler": version(),
        "version of Python": ".".join(platform.python_version_tuple()[:2]),
        "platform": f"{settings.organization.value} at {settings.host.value}",
        "state": state,
        "reconciler.toml": hashlib.sha256(read_regular(file)).hexdigest()[:16] if file else "none",
    }


def _in_this_checkout(task: Task[Any, Any]) -> Task[Any, Any]:
    """On a worker: the task with the settings of its own checkout, which has its own paths."""
    return replace(task, read_options=replace(task.read_options, shared=Workspace.open().settings.shared()))
