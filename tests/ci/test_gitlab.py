"""The GitLab pipeline in examples/ci, run as it stands against the sandbox."""

import json
import subprocess
from pathlib import Path

from providers.sandbox import Sandbox
from tests.ci.gitlab import GitLab
from tests.ci.machine import commit, head
from tests.conftest import EXAMPLES, Cli

FILE = EXAMPLES / "ci" / "gitlab-ci.yml"


def change_descriptions(folder: Path) -> None:
    """Edit both pipelines in a way that needs no new version."""
    for config in folder.glob("*/config.toml"):
        config.write_text(config.read_text().replace('description = "', 'description = "It '))


def merge(folder: Path) -> None:
    subprocess.run(["git", "push", "-q", "origin", "HEAD:main"], cwd=folder, check=True)


def test_the_same_jobs_on_gitlab(gitlab: GitLab, cli: Cli, sandbox: Sandbox) -> None:
    before = head(cli.folder)
    change_descriptions(cli.folder)
    commit(cli.folder, "It", "a-branch")
    planned = gitlab.run(FILE, "merge_request_event", branch="")
    assert list(planned) == ["plan"]
    assert planned["plan"].code == 0, planned["plan"].log
    assert gitlab.artifacts["reports/plan.html"].read_text().startswith("<!doctype html>")
    assert "## Plan: 2 to change" in gitlab.artifacts["reports/plan.md"].read_text()
    assert gitlab.run(FILE, "push", branch="a-branch") == {}

    merge(cli.folder)
    assert list(gitlab.run(FILE, "push", before=before, click=False)) == ["plan-merged"]
    assert sandbox.writes() == []
    deployed = gitlab.run(FILE, "push", before=before)
    assert list(deployed) == ["plan-merged", "deploy"]
    assert deployed["deploy"].code == 0, deployed["deploy"].log
    assert 'tests="2" failures="0" errors="0"' in gitlab.artifacts["reports/apply.xml"].read_text()

    sandbox.clear_requests()
    sandbox.platform.edit_processing("dataset_cleanup", default_cpu=64)
    sandbox.clear_requests()
    drifted = gitlab.run(FILE, "schedule")
    assert list(drifted) == ["drift"]
    assert drifted["drift"].code == 11, drifted["drift"].log
    assert "<failure" in gitlab.artifacts["reports/drift.xml"].read_text()
    seen = first_seen(gitlab)

    assert gitlab.run(FILE, "schedule")["drift"].code == 11
    assert first_seen(gitlab) == seen
    assert sandbox.writes() == []


def first_seen(gitlab: GitLab) -> list[str]:
    report = json.loads(gitlab.artifacts["reports/drift.json"].read_text())
    return [finding["first_seen"] for stack in report["stacks"] for finding in stack["findings"]]
