"""The GitLab pipeline in examples/ci, run as it stands against the sandbox."""

import json

from providers.sandbox import Sandbox
from tests.ci.gitlab import GitLab
from tests.conftest import EXAMPLES

FILE = EXAMPLES / "ci" / "gitlab-ci.yml"


def test_the_same_three_jobs_on_gitlab(gitlab: GitLab, sandbox: Sandbox) -> None:
    planned = gitlab.run(FILE, "merge_request_event", branch="")
    assert list(planned) == ["plan"]
    assert planned["plan"].code == 0, planned["plan"].log
    assert gitlab.artifacts["reports/plan.html"].read_text().startswith("<!doctype html>")
    assert sandbox.writes() == []

    assert gitlab.run(FILE, "push", branch="a-branch") == {}
    deployed = gitlab.run(FILE, "push")
    assert list(deployed) == ["deploy"]
    assert deployed["deploy"].code == 0, deployed["deploy"].log

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
