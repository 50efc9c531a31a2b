"""What runs the scripts of a workflow: a machine that starts with nothing but the programs a runner has.

`gh` and `pip` are stand-ins; `reconciler`, bash and git are the real ones.
"""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TOOLS = Path(__file__).parent


@dataclass
class Job:
    """How a job ended.

    Attributes:
        code: exit code of the script that made it fail; 0 when none did.
        log: what its scripts printed, stderr included.
        summary: the step summary, on GitHub.
        outputs: of the job, on GitHub.
        runner: what it ran on, on GitHub.
    """

    code: int = 0
    log: str = ""
    summary: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    runner: str = ""


@dataclass
class Machine:
    """Runs scripts in a clone of `remote`.

    Args:
        folder: below which everything is that it makes.
        remote: the repository.
        variables: what its environment says beside what a workflow sets.
        secrets: values that no log may have in it.
    """

    folder: Path
    remote: Path
    variables: dict[str, str]
    secrets: set[str] = field(default_factory=set)
    runs: int = 0

    def start(self) -> Path:
        """A folder for one more job, with a home and a clone in it; nothing is left of the one before."""
        self.runs += 1
        place = self.folder / f"run-{self.runs}"
        for name in ("home", "temp", "bin"):
            (place / name).mkdir(parents=True)
        for name in ("gh", "pip"):
            tool = place / "bin" / name
            tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{TOOLS / name}.py" "$@"\n')
            tool.chmod(0o755)
        (place / "clone").mkdir()
        return place

    def check_out(self, place: Path, *, whole: bool, branch: str = "main") -> None:
        """Clone the repository, with the whole history or only the last commit of a branch."""
        depth = [] if whole else ["--depth", "1"]
        words = ["git", "clone", "-q", *depth, "--branch", branch, self.remote.as_uri(), str(place / "clone")]
        subprocess.run(words, check=True)
        no_head = ["git", "remote", "set-head", "origin", "--delete"]  # services do not set it
        subprocess.run(no_head, cwd=place / "clone", check=True)

    def run(self, script: str, place: Path, job: Job, environment: dict[str, str]) -> int:
        """Runs a script as runners do, and adds what it prints to the job's log."""
        path = f"{place / 'bin'}:{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
        assert not set(environment) & set(self.variables), "a workflow overwrites what is its machine's"
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=place / "clone",
            env={
                "PATH": path,
                "HOME": str(place / "home"),
                "LANG": "C.UTF-8",
                **self.variables,
                **environment,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        job.log += done.stdout
        for secret in self.secrets:
            assert secret not in done.stdout, "a secret is in the log"
        return done.returncode


def commit(folder: Path, message: str, branch: str = "main") -> None:
    """What a user does: everything in the folder is committed, and pushed to a branch."""
    who = {
        f"GIT_{role}_{what}": "ada@example.com"
        for role in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    for words in (["add", "-A"], ["commit", "-q", "-m", message], ["push", "-q", "origin", f"HEAD:{branch}"]):
        subprocess.run(["git", *words], cwd=folder, env={**os.environ, **who}, check=True)


def head(folder: Path) -> str:
    """The commit of the folder."""
    words = ["git", "rev-parse", "HEAD"]
    return subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def only(mapping: dict[str, Any], *known: str) -> None:
    """A key that is not acted upon here would be a promise that no test holds."""
    assert set(mapping) <= set(known), f"not understood: {set(mapping) - set(known)}"
