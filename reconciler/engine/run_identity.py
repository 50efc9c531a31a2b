"""The identity of this run for the lock and the history: user, host, process, commit, CI job."""

import getpass
import os
import socket
from collections.abc import Mapping, Sequence
from functools import cache
from uuid import uuid4

from providers.hiding import safe_message
from state.lock import process_table
from state.lock_info import LockInfo
from state.state_writer import now

CI_ADDRESSES = ("CI_JOB_URL", "BUILD_URL", "CIRCLE_BUILD_URL", "BUILDKITE_BUILD_URL", "TRAVIS_BUILD_WEB_URL")
CI_RUNS = (
    *("GITHUB_RUN_ID", "CI_PIPELINE_ID", "CIRCLE_WORKFLOW_ID", "BUILDKITE_BUILD_ID", "TRAVIS_BUILD_ID"),
    *("BITBUCKET_BUILD_NUMBER", "BUILD_BUILDID"),
)
"""The number of a run, which all its jobs share, also when one is repeated."""
CI_NUMBERS = ("GITHUB_RUN_ID", "CI_JOB_ID", "BITBUCKET_BUILD_NUMBER", "BUILD_BUILDID", "BUILD_ID")


@cache
def version() -> str:
    """The version of this installation. Read when it is needed: a run that writes nothing does not."""
    from importlib.metadata import version as installed_version

    return installed_version("picsellia-reconciler")


def this_run(
    command: Sequence[str], git_commit: str, *, promoted_from: str = "", override: str = ""
) -> LockInfo:
    """The identity of this process.

    Args:
        command: the command line; a login in an address is left out.
        git_commit: commit of the pipeline's files, with "+dirty" if they differ from it; "" for none.
        promoted_from, override: see `LockInfo`.
    """
    return LockInfo(
        owner=user_name(),
        host=socket.gethostname(),
        pid=os.getpid(),
        command=safe_message(" ".join(command)),
        since=now(),
        id=str(uuid4()),
        git_commit=git_commit,
        processes=process_table(),
        ci=safe_message(ci_job(os.environ)),
        promoted_from=promoted_from,
        override=safe_message(override),
    )


def ci_run(environment: Mapping[str, str]) -> str:
    """The number of the CI run that this job belongs to; "" outside of CI, and where no variable has it."""
    return next((environment[name] for name in CI_RUNS if environment.get(name)), "")


def user_name() -> str:
    """The user's name, or their number if the system has no name for it, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, ImportError, OSError):
        return str(os.getuid()) if hasattr(os, "getuid") else "unknown"


def ci_job(environment: Mapping[str, str]) -> str:
    """The address of this CI job's log, otherwise the job's number; "" outside of CI.

    GitHub Actions sets the parts of the address, other systems all of it.
    https://docs.github.com/actions/reference/variables-reference
    https://docs.gitlab.com/ci/variables/predefined_variables
    """
    parts = [environment.get(f"GITHUB_{name}", "") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID")]
    if all(parts):
        return "{}/{}/actions/runs/{}".format(*parts)
    return next((environment[name] for name in (*CI_ADDRESSES, *CI_NUMBERS) if environment.get(name)), "")
