"""Runs the jobs of a GitHub workflow file for an event, as far as the examples go: steps in order, real bash.

Of actions that are used, the effect that a later step relies on is played; an unknown one is an error.
"""

import base64
import json
import shutil
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from tests.ci.expressions import evaluate, holds, text
from tests.ci.machine import Job, Machine, only

REPOSITORY = "my-org/pipelines"
WORKFLOW_KEYS = ("name", "on", "concurrency", "permissions", "env", "defaults", "jobs")
JOB_KEYS = (
    "if",
    "needs",
    "runs-on",
    "timeout-minutes",
    "concurrency",
    "permissions",
    "environment",
    "strategy",
    "outputs",
    "steps",
)
STEP_KEYS = ("name", "id", "if", "uses", "with", "env", "run")


def push(before: str = "", after: str = "") -> dict[str, Any]:
    """Commits on the default branch: the one before them, and the last one."""
    return {"event_name": "push", "event": {"before": before}, "sha": after, "ref": "refs/heads/main"}


def by_hand(**inputs: str) -> dict[str, Any]:
    """Started by hand on the default branch, with these inputs."""
    return {"event_name": "workflow_dispatch", "event": {"before": ""}, "sha": "", "inputs": inputs}


def schedule() -> dict[str, Any]:
    return {"event_name": "schedule", "event": {}}


def pull_request(number: int, repository: str = REPOSITORY, branch: str = "main") -> dict[str, Any]:
    """A pull request from this branch, which stands for GitHub's merge of it."""
    head = {"repo": {"full_name": repository}}
    request = {"number": number, "head": head}
    return {"event_name": "pull_request", "event": {"pull_request": request}, "sha": "", "head_ref": branch}


@dataclass
class GitHub:
    """A repository on GitHub: its settings, issues, caches and artifacts.

    Args:
        machine: that jobs run on.
        vars, secrets: of the repository.
        environments: secrets of each, which come before the repository's.
    """

    machine: Machine
    vars: dict[str, str]
    secrets: dict[str, str]
    environments: dict[str, dict[str, str]]
    caches: dict[str, dict[str, bytes]] = field(default_factory=dict)
    artifacts: dict[str, Path] = field(default_factory=dict)
    kept: dict[str, Any] = field(default_factory=lambda: {"issues": [], "comments": []})
    runs: int = 0
    pages: dict[str, bytes] | None = None
    _for_pages: Path | None = None

    def run(self, workflow: Path, event: dict[str, Any]) -> dict[str, list[Job]]:
        """Runs every job whose `if` holds, one after the other, and tells how each of its matrix ended."""
        self.runs += 1
        self.artifacts = {}
        document = yaml.load(workflow.read_text(), _Loader)
        only(document, *WORKFLOW_KEYS)
        assert document["defaults"] == {"run": {"shell": "bash"}}, "as Machine runs scripts"
        assert event["event_name"] in document["on"]
        ended: dict[str, list[Job]] = {}
        for name, job in document["jobs"].items():
            only(job, *JOB_KEYS)
            needed = ended.get(job["needs"]) if "needs" in job else []
            if needed is None:
                assert job["needs"] in document["jobs"], f"{name} needs an unknown job"
                continue  # the job that it needs was skipped
            context = self._context(event, job)
            context["needs"] = {other: {"outputs": jobs[-1].outputs} for other, jobs in ended.items()}
            if holds(job.get("if"), context, failed=any(other.code for other in needed)):
                ended[name] = [
                    self._job(document, job, context | {"matrix": values, "strategy": {"job-total": total}})
                    for values, total in _matrix(job, context)
                ]
        return ended

    def _context(self, event: dict[str, Any], job: dict[str, Any]) -> dict[str, Any]:
        secrets = (
            {} if _foreign(event) else self.secrets | self.environments.get(job.get("environment", ""), {})
        )
        github = {"repository": REPOSITORY, "server_url": "https://github.com", "run_id": str(self.runs)}
        return {
            "github": {**github, "run_attempt": "1", **event},
            "inputs": event.get("inputs", {"digest": ""}),
            "vars": dict.fromkeys(self.vars, "") if _foreign(event) else self.vars,
            "secrets": secrets,
        }

    def _job(self, document: dict[str, Any], job: dict[str, Any], context: dict[str, Any]) -> Job:
        place, ended = self.machine.start(), Job()
        granted = job.get("permissions", document["permissions"])
        context["github"] |= {"token": " ".join(f"{what}:{how}" for what, how in granted.items())}
        context |= {"steps": {}, "runner": {"temp": str(place / "temp")}}
        set_up = {name: text(value, context) for name, value in document["env"].items()}
        for step in job["steps"]:
            only(step, *STEP_KEYS)
            outcome = "skipped"
            outputs: dict[str, str] = {}
            if holds(step.get("if"), context, failed=bool(ended.code)):
                if "uses" in step:
                    values = {name: text(str(value), context) for name, value in step.get("with", {}).items()}
                    github = context["github"]
                    self._action(step["uses"], values, place, github.get("head_ref", "main"), github["token"])
                    code = 0
                else:
                    own = {name: text(value, context) for name, value in step.get("env", {}).items()}
                    code, outputs = self._script(step["run"], place, ended, set_up | own)
                outcome = "failure" if code else "success"
                ended.code = ended.code or code
            if "id" in step:
                context["steps"][step["id"]] = {"outcome": outcome, "outputs": outputs}
        ended.outputs = {name: text(value, context) for name, value in job.get("outputs", {}).items()}
        ended.runner = text(job["runs-on"], context)
        return ended

    def _script(
        self, script: str, place: Path, job: Job, environment: dict[str, str]
    ) -> tuple[int, dict[str, str]]:
        assert "${{" not in script, "what is put into a script is run as one; it belongs into env"
        issues, output, summary = (place / name for name in ("issues.json", "output", "summary"))
        issues.write_text(json.dumps(self.kept))
        output.write_text("")
        summary.write_text("")
        given = {
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_REPOSITORY": REPOSITORY,
            "GITHUB_WORKSPACE": str(place / "clone"),
            "GITHUB_OUTPUT": str(output),
            "GITHUB_STEP_SUMMARY": str(summary),
            "RUNNER_TEMP": str(place / "temp"),
            "GH_STANDIN": str(issues),
        }
        code = self.machine.run(script, place, job, given | environment)
        self.kept = json.loads(issues.read_text())
        job.summary += summary.read_text()
        return code, dict(line.split("=", 1) for line in output.read_text().splitlines())

    def _action(self, uses: str, given: dict[str, str], place: Path, branch: str, token: str) -> None:
        match uses.partition("@")[0]:
            case "actions/checkout":
                only(given, "persist-credentials", "fetch-depth")
                assert given["persist-credentials"] == "false"
                self.machine.check_out(place, whole=given.get("fetch-depth") == "0", branch=branch)
            case "actions/setup-python":
                only(given, "python-version")
            case "docker/login-action":
                only(given, "registry", "username", "password")
                login = base64.b64encode(f"{given['username']}:{given['password']}".encode()).decode()
                (place / "home" / ".docker").mkdir()
                config = {"auths": {given["registry"]: {"auth": login}}}
                (place / "home" / ".docker" / "config.json").write_text(json.dumps(config))
            case "actions/cache/restore":
                only(given, "path", "key", "restore-keys")
                newest = [key for key in self.caches if key.startswith(given["restore-keys"])][-1:]
                for key in newest:
                    for name, content in self.caches[key].items():
                        file = Path(given["path"]) / name if name else Path(given["path"])
                        file.parent.mkdir(parents=True, exist_ok=True)
                        file.write_bytes(content)
            case "actions/cache/save":
                only(given, "path", "key")
                assert given["key"] not in self.caches, "a cache is never overwritten"
                self.caches[given["key"]] = _files(Path(given["path"]))
            case "actions/upload-artifact":
                only(given, "name", "path")
                assert given["name"] not in self.artifacts, "two artifacts of one name"
                if Path(given["path"]).exists() and [
                    *Path(given["path"]).iterdir()
                ]:  # else there is only a warning
                    self.artifacts[given["name"]] = Path(given["path"])
            case "actions/upload-pages-artifact":
                only(given, "path")
                self._for_pages = Path(given["path"])
            case "actions/deploy-pages":
                only(given)
                assert {"pages:write", "id-token:write"} <= {*token.split()}, "it may not write pages"
                assert self._for_pages is not None
                self.pages = _files(self._for_pages)
            case "actions/download-artifact":
                only(given, "pattern", "path")
                for name, folder in self.artifacts.items():
                    if fnmatch(name, given["pattern"]):
                        shutil.copytree(folder, Path(given["path"]) / name)
            case unknown:
                raise AssertionError(f"{unknown} is not known")


def _files(path: Path) -> dict[str, bytes]:
    """The content of each file below a folder; of a file, its own below ""."""
    if path.is_file():
        return {"": path.read_bytes()}
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def _foreign(event: dict[str, Any]) -> bool:
    """Whether a fork is the cause, which gets neither secrets nor variables."""
    request = event["event"].get("pull_request")
    return bool(request and request["head"]["repo"]["full_name"] != REPOSITORY)


def _matrix(job: dict[str, Any], context: dict[str, Any]) -> list[tuple[dict[str, Any], int]]:
    if "strategy" not in job:
        return [({}, 1)]
    only(job["strategy"], "fail-fast", "matrix")
    matrix = job["strategy"]["matrix"]
    if isinstance(matrix, str):
        rows = evaluate(matrix.removeprefix("${{").removesuffix("}}"), context)["include"]
        assert rows, "GitHub refuses a matrix without jobs"
        return [(row, len(rows)) for row in rows]
    ((name, values),) = matrix.items()
    return [({name: value}, len(values)) for value in values]


class _Loader(yaml.SafeLoader):
    """YAML 1.2's words for true and false, so that the key `on` stays one."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
