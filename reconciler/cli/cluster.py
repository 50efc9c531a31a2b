"""Opens the workers that `--executor` selects."""

import hashlib
import platform
import socket
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from providers.regular_files import read_regular
from reconciler.cli import options
from reconciler.core.diagnostics import UserError, error
from reconciler.engine.chunks import Task
from reconciler.engine.cluster import connect
from reconciler.engine.run_identity import VERSION
from reconciler.engine.workers import OpenWorkers, local
from state.stores.opening import state_files


def workers_of(executor: str | None, where: options.TargetOptions) -> OpenWorkers:
    """The workers that `--executor` selects: of this machine, or of a cluster.

    Args:
        executor: `HOST:PORT` of a Dask scheduler; None for this machine.
        where: with names, as from `explicit`.

    Raises:
        UserError: the command does not run in the top folder of the workspace, so paths would differ.
    """
    if executor is None:
        return local
    top = options.workspace().root
    if not top.samefile(Path.cwd()):
        detail = f"The workers resolve the same paths in their checkouts. Run it there: cd {top}"
        raise UserError(error("--executor needs the top folder of the workspace", detail))
    return partial(connect, executor, partial(_surroundings, where), _in_this_checkout)


def _surroundings(where: options.TargetOptions) -> Mapping[str, str]:
    """What decides a plan beside the files of its pipeline. No value is secret."""
    settings, url, file = where.settings(), options.state_url(), options.workspace().file
    state = url or ""
    if files := state_files(url):
        state = f"{files[0].absolute()} on {socket.gethostname()}"
    return {
        "version of reconciler": VERSION,
        "version of Python": ".".join(platform.python_version_tuple()[:2]),
        "platform": f"{settings.organization.value} at {settings.host.value}",
        "state": state,
        "reconciler.toml": hashlib.sha256(read_regular(file)).hexdigest()[:16] if file else "none",
    }


def _in_this_checkout(task: Task[Any, Any]) -> Task[Any, Any]:
    """On a worker: the task with the settings of its own checkout, which has its own paths."""
    return replace(task, read_options=replace(task.read_options, shared=options.workspace().shared()))
