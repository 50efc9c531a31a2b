"""Runs the jobs of a `.gitlab-ci.yml`, as far as the example goes: real bash, one shell a job."""

import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.ci.machine import Job, Machine, only

GLOBAL = ("stages", "default")
JOB_KEYS = (
    *("stage", "rules", "interruptible", "environment", "resource_group", "script"),
    *("allow_failure", "cache", "artifacts"),
)
TERM = re.compile(r'\$(\w+) == (?:\$(\w+)|"(\w+)")')


@dataclass
class GitLab:
    """A project on GitLab.

    Args:
        machine: that jobs run on.
        variables: of the project.
        environments: variables of each, which come before the project's.
    """

    machine: Machine
    variables: dict[str, str]
    environments: dict[str, dict[str, str]]
    artifacts: dict[str, Path] = field(default_factory=dict)
    _cache: dict[str, Path] = field(default_factory=dict)

    def run(self, file: Path, source: str, branch: str = "main") -> dict[str, Job]:
        """Runs every job that a rule lets into a pipeline of this source."""
        document = yaml.safe_load(file.read_text())
        only(document["default"], "image", "before_script")
        given = {"CI": "true", "GITLAB_CI": "true", "CI_PIPELINE_SOURCE": source}
        given |= {"CI_COMMIT_BRANCH": branch, "CI_DEFAULT_BRANCH": "main"}
        jobs = {name: job for name, job in document.items() if name not in GLOBAL}
        for job in jobs.values():
            only(job, *JOB_KEYS)
            assert job["stage"] in document["stages"]
        return {
            name: self._job(name, [*document["default"]["before_script"], *job["script"]], job, given)
            for name, job in jobs.items()
            if any(_holds(rule["if"], given) for rule in job["rules"])
        }

    def _job(self, name: str, script: list[str], job: dict[str, Any], given: dict[str, str]) -> Job:
        place, ended = self.machine.start(), Job()
        variables = self.variables | self.environments.get(job.get("environment", ""), {})
        if "cache" in job:
            only(job["cache"], "key", "paths", "when")
            for path in job["cache"]["paths"]:
                if job["cache"]["key"] in self._cache:
                    shutil.copytree(self._cache[job["cache"]["key"]], place / "clone" / path)
        ended.code = self.machine.run("\n".join(script), place, ended, given | variables)
        if "cache" in job:
            assert job["cache"]["when"] == "always"
            (path,) = job["cache"]["paths"]
            self._cache[job["cache"]["key"]] = place / "clone" / path
        if "artifacts" in job:
            only(job["artifacts"], "when", "expose_as", "paths", "reports")
            assert job["artifacts"]["when"] == "always"
            for path in [*job["artifacts"]["paths"], *job["artifacts"].get("reports", {}).values()]:
                self.artifacts[path] = place / "clone" / path
        return ended


def _holds(rule: str, variables: dict[str, str]) -> bool:
    terms = [TERM.fullmatch(term) for term in rule.split(" && ")]
    assert all(terms), f"not understood: {rule}"
    return all(variables[t[1]] == (variables[t[2]] if t[2] else t[3]) for t in terms if t)
