"""Runs the jobs of a `.gitlab-ci.yml`, as far as the example goes: real bash, one shell a job."""

import re
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.ci.machine import Job, Machine, only

GLOBAL = ("stages", "variables", "default")
JOB_KEYS = (
    *("stage", "needs", "rules", "interruptible", "environment", "resource_group", "script"),
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
    _variables: dict[str, dict[str, str]] = field(default_factory=dict)

    def run(
        self, file: Path, source: str, branch: str = "main", *, before: str = "", click: bool = True
    ) -> dict[str, Job]:
        """Runs every job that a rule lets into a pipeline of this source.

        Args:
            before: the commit before a push.
            click: whether somebody starts the jobs that wait for it.
        """
        document = yaml.safe_load(file.read_text())
        only(document["default"], "image", "before_script")
        given = {"CI": "true", "GITLAB_CI": "true", "CI_PIPELINE_SOURCE": source}
        given |= {"CI_COMMIT_BRANCH": branch, "CI_DEFAULT_BRANCH": "main", "CI_COMMIT_BEFORE_SHA": before}
        assert document["variables"] == {"GIT_DEPTH": "0"}
        jobs = {name: job for name, job in document.items() if name not in GLOBAL}
        for job in jobs.values():
            only(job, *JOB_KEYS)
            assert job["stage"] in document["stages"]
        ended: dict[str, Job] = {}
        for name, job in jobs.items():
            rules = [rule for rule in job["rules"] if _holds(rule["if"], given)]
            for rule in rules:
                only(rule, "if", "when")
            if not rules or (rules[0].get("when") == "manual" and not click):
                continue
            if all(other in ended and not ended[other].code for other in job.get("needs", [])):
                script = [*document["default"]["before_script"], *job["script"]]
                branch_of_clone = "a-branch" if source == "merge_request_event" else "main"
                ended[name] = self._job(name, script, job, given, branch_of_clone)
        return ended

    def _job(
        self, name: str, script: list[str], job: dict[str, Any], given: dict[str, str], branch: str
    ) -> Job:
        place, ended = self.machine.start(), Job()
        self.machine.check_out(place, whole=True, branch=branch)
        variables = self.variables | self.environments.get(job.get("environment", ""), {})
        for other in job.get("needs", []):
            variables |= self._variables.get(other, {})
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
            reports = job["artifacts"].get("reports", {})
            for path in [*job["artifacts"]["paths"], *reports.values()]:
                self.artifacts[path] = place / "clone" / path
            if "dotenv" in reports and not ended.code:
                lines = (place / "clone" / reports["dotenv"]).read_text().splitlines()
                self._variables[name] = dict(line.split("=", 1) for line in lines)
        return ended


def _holds(rule: str, variables: dict[str, str]) -> bool:
    terms = [TERM.fullmatch(term) for term in rule.split(" && ")]
    assert all(terms), f"not understood: {rule}"
    return all(variables[t[1]] == (variables[t[2]] if t[2] else t[3]) for t in terms if t)
