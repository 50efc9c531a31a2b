"""What to do about a commit that a clone lacks, as text. Offline: only the remote knows whether it has it.

A command is advised only if it makes the same command of reconciler succeed, provided that the remote has the
commit.
"""

import re
import shlex
from typing import Final

from providers.patterns import pattern
from reconciler.system.git import Repository

_HASH = pattern(r"[0-9a-f]{40}|[0-9a-f]{64}")
_SHORT_HASH = pattern(r"[0-9a-f]{7,}")
_NO_NAME = pattern(r"[\x00-\x20\x7f:?*\[\\]|\.\.|@\{|^[-/.]|^@$|//|/\.|[/.]$|\.lock$")
"""What git refuses in the name of a branch or tag."""
_OF_PIPELINES = "Name pipelines before --changed."
FETCHED: Final = "refs/remotes/origin/"
"""Where the advised commands store branches and tags. `--changed=main` finds `origin/main`, too."""
SET_HEAD = "git remote set-head origin --auto"


def way_to_commit(repository: Repository, reference: str) -> str:
    """What to do if the clone has no commit of this name. Raises GitError."""
    name, ancestry = _split(reference)
    if not reference.strip("0") and _HASH.fullmatch(reference):
        return (
            "It stands for no commit: github.event.before has it for a new branch. Write --changed without a "
            "value, which compares with the merge base with the default branch."
        )
    if not name or _NO_NAME.search(name):
        return f"No branch, tag or hash is written so. {_OF_PIPELINES}"
    is_shallow = repository.is_shallow()
    if repository.commit(name) is not None or name == "HEAD":
        if not is_shallow:
            return f"The history of {name} is shorter, or has no such parent. Name another commit."
        return f"The clone is shallow. If the history of {name} is long enough, run:  git fetch --unshallow"
    if not repository.has_remote("origin"):
        return f"There is no remote origin to fetch it from. {_OF_PIPELINES}"
    if _SHORT_HASH.fullmatch(name) and not _HASH.fullmatch(name):
        return f"Write the whole hash, by which a commit can be fetched. {_OF_PIPELINES}"
    fetch = "git fetch"
    if is_shallow:
        fetch = "git fetch --unshallow" if ancestry else "git fetch --depth 1"
    source = name if _HASH.fullmatch(name) else f"{name}:{FETCHED}{name}"
    return f"{_OF_PIPELINES} If the remote has the commit, run:  {fetch} origin {shlex.quote(source)}"


def _split(reference: str) -> tuple[str, str]:
    """A name without the remote, and what follows it, such as `~2` or `^`."""
    name = re.split(r"[~^]", reference, maxsplit=1)[0]
    return name.removeprefix("refs/remotes/").removeprefix("origin/"), reference[len(name) :]


def way_to_default_branch(repository: Repository) -> str:
    """The command after which the clone knows the default branch of its remote. Raises GitError."""
    if not repository.has_remote("origin"):
        return "Name the branch to compare with:  --changed=BRANCH"
    fetch = "git fetch --unshallow origin" if repository.is_shallow() else "git fetch origin"
    return (
        "Name the branch to compare with, --changed=origin/BRANCH, or run:  "
        f"git remote set-branches origin '*' && {fetch} && {SET_HEAD}"
    )
