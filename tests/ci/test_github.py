"""The GitHub workflows in examples/ci, run as they stand against the sandbox."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from providers.sandbox import Sandbox
from tests.ci.expressions import ExpressionError, evaluate
from tests.ci.github import GitHub, by_hand, pull_request, push, schedule
from tests.ci.machine import Job, commit, head
from tests.conftest import EXAMPLES, Cli
from tests.services import free_port

CI = EXAMPLES / "ci"
DRIFT, SHARDED, PIPELINES, RUNNERS, DASHBOARD = (
    CI / f"github-{name}.yml" for name in ("drift", "drift-sharded", "plan-apply", "runners", "dashboard")
)
BRANCH = "a-branch"
MARKER = "<!-- reconciler:drift -->\n"


def checked(github: GitHub, workflow: Path = DRIFT) -> Job:
    """The scheduled check, and how it ended."""
    (ended,) = github.run(workflow, schedule())["drift"]
    return ended


def issue(number: int, **given: Any) -> dict[str, Any]:
    """An issue as the workflow would open it, but for what is given."""
    bot = {"login": "github-actions[bot]"}
    own = {"number": number, "title": "Drift in sandbox@CUSTOM", "body": MARKER, "state": "open", "user": bot}
    return own | given


def finding(github: GitHub) -> dict[str, Any]:
    """The one finding of the last check's report."""
    report = json.loads((github.artifacts["drift"] / "drift.json").read_text())
    ((one,),) = [stack["findings"] for stack in report["stacks"] if stack["findings"]]
    assert isinstance(one, dict)
    return one


def proposed(github: GitHub, folder: Path, message: str, number: int = 1) -> Job:
    """The plan of a pull request with everything in the folder."""
    commit(folder, message, BRANCH)
    if not any(issue["number"] == number for issue in github.kept["issues"]):
        github.kept["issues"].append({"number": number, "pull_request": {}})
    (ended,) = github.run(PIPELINES, pull_request(number, branch=BRANCH))["plan"]
    return ended


def merged(github: GitHub, folder: Path, number: int = 1) -> Job:
    """What the workflow does after that pull request is merged."""
    before = head_of_main(github)
    subprocess.run(["git", "push", "-q", "origin", "HEAD:main"], cwd=folder, check=True)
    (request,) = [issue for issue in github.kept["issues"] if issue["number"] == number]
    request["merged_as"] = head(folder)
    (ended,) = github.run(PIPELINES, push(before, head(folder)))["apply"]
    return ended


def head_of_main(github: GitHub) -> str:
    words = ["git", "rev-parse", "main"]
    remote = github.machine.remote
    return subprocess.run(words, cwd=remote, check=True, capture_output=True, text=True).stdout.strip()


def approved(github: GitHub, folder: Path, message: str, number: int) -> Job:
    """A pull request that is planned, merged and applied."""
    plan = proposed(github, folder, message, number)
    assert plan.code == 0, plan.log
    ended = merged(github, folder, number)
    assert ended.code == 0, ended.log
    return ended


def started_by_hand(github: GitHub) -> Job:
    """What is left, applied by somebody who read the digest of the plan in the log of a run without one."""
    (refused,) = github.run(PIPELINES, by_hand(digest="0" * 16))["apply"]
    assert refused.code == 12, refused.log
    digest = re.search(r"The digest is ([0-9a-f]{16}) now", refused.log)
    assert digest is not None, refused.log
    (ended,) = github.run(PIPELINES, by_hand(digest=digest[1]))["apply"]
    assert ended.code == 0, ended.log
    return ended


def test_one_issue_follows_what_somebody_changes_outside(
    github: GitHub, cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    github.kept["issues"] = strangers = [
        issue(1, user={"login": "somebody"}),
        issue(2, title="Drift in sandbox@PROD"),
        issue(3, body=f"as {MARKER} says"),
        issue(4, pull_request={}),
        issue(5, state="closed"),
        issue(6, body=None),
    ]
    others = json.loads(json.dumps(strangers))

    assert "## Apply: 2 applied" in started_by_hand(github).summary
    assert sandbox.platform.processing("dataset_cleanup") is not None

    clean = checked(github)
    assert clean.code == 0, clean.log
    assert github.kept["issues"] == others

    # somebody edits the platform
    sandbox.platform.edit_processing("dataset_cleanup", default_cpu=64)
    sandbox.clear_requests()
    edited = checked(github)
    assert edited.code == 11, edited.log
    assert "::error file=dataset_cleanup/config.toml,line=16," in edited.log
    assert edited.summary.startswith(MARKER)
    assert github.kept["issues"][:6] == others
    (opened,) = github.kept["issues"][6:]
    assert (opened["title"], opened["state"]) == ("Drift in sandbox@CUSTOM", "open")
    assert opened["body"].startswith(MARKER)
    assert {path.name for path in github.artifacts["drift"].iterdir()} == {
        *("drift.json", "drift.xml", "drift.md", "drift.html")
    }
    first = finding(github)
    assert (first["field"], first["live"]) == ("default_cpu", 64)

    # the next day it is checked in parts, and the issue is not the newest one any more
    github.kept["issues"] += [issue(8, title="Something else"), issue(9, title="Something else")]
    opened["body"] = MARKER
    parts = github.run(SHARDED, schedule())
    assert [job.code for job in parts["part"]] == [0, 0, 0, 0], parts["part"][0].log
    assert [job.code for job in parts["drift"]] == [11]
    assert finding(github)["first_seen"] == first["first_seen"]
    updated = github.kept["issues"][6]
    assert updated["body"] != MARKER
    assert len(github.kept["issues"]) == 9, "the same issue, not another one"
    assert sandbox.writes() == [], "a check only reads"

    # nobody knows: the issue is left alone
    before = json.dumps(github.kept)
    with monkeypatch.context() as down:
        down.setitem(github.machine.variables, "PICSELLIA_CUSTOM_ENV", f"http://127.0.0.1:{free_port()}")
        assert checked(github).code == 13
    assert json.dumps(github.kept) == before
    assert (github.artifacts["drift"] / "drift.json").exists()

    # taken over, merged, applied
    assert cli("adopt", "dataset_cleanup").code == 0
    assert cli("bump", "patch", "dataset_cleanup").code == 0
    github.kept["issues"].append(issue(10, pull_request={}, title="64"))
    approved(github, cli.folder, "64 cpus it is", 10)
    assert checked(github).code == 0
    assert github.kept["issues"][6]["state"] == "closed"
    assert [comment["on"] for comment in github.kept["comments"]] == [10, 7]
    assert f"/actions/runs/{github.runs}" in github.kept["comments"][1]["body"]

    # merged and not applied yet: the check says so, and nobody is alarmed
    config = cli.folder / "dataset_cleanup" / "config.toml"
    config.write_text(config.read_text().replace("Copies a dataset", "Copies the dataset"))
    assert cli("bump", "patch", "dataset_cleanup").code == 0
    commit(cli.folder, "Another description")
    settled = json.dumps(github.kept)
    assert checked(github).code == 10
    assert json.dumps(github.kept) == settled
    assert github.kept["issues"][:6] == others


def test_the_dashboard_is_published_each_night_with_the_drift_of_earlier_nights(
    github: GitHub, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    started_by_hand(github)
    sandbox.clear_requests()

    first = github.run(DASHBOARD, schedule())
    assert [job.code for jobs in first.values() for job in jobs] == [0, 0], first["dashboard"][0].log
    assert len(points(github)) == 1
    (kept,) = github.caches.values()
    (today,) = (name for name in kept if name.startswith("drift-"))
    kept["drift-2025-01-01.json"] = kept.pop(today)  # it is the next night

    sandbox.platform.edit_processing("dataset_cleanup", default_cpu=64)
    sandbox.clear_requests()
    second = github.run(DASHBOARD, schedule())
    assert [job.code for jobs in second.values() for job in jobs] == [0, 0], "drift is no failure here"
    assert sandbox.writes() == []
    assert len(points(github)) == 2
    assert "pipelines/dataset_cleanup.html" in (github.pages or {})

    # what cannot be checked is published, too, and the job is red
    with monkeypatch.context() as down:
        down.setitem(github.machine.variables, "PICSELLIA_CUSTOM_ENV", f"http://127.0.0.1:{free_port()}")
        ended = github.run(DASHBOARD, schedule())
    assert [ended["dashboard"][0].code, ended["publish"][0].code] == [0, 13], ended["dashboard"][0].log


def points(github: GitHub) -> list[int]:
    """The times of the checks that the published dashboard shows."""
    assert github.pages is not None
    script = github.pages["data/drift.js"].decode().removeprefix("var DATA = ").removesuffix(";\n")
    found: list[int] = json.loads(script)["drift"]["at"]
    return found


def test_wrong_usage_fails_the_job_and_touches_no_issue(github: GitHub) -> None:
    github.vars["PICSELLIA_ENV"] = "NOWHERE"
    ended = checked(github)
    assert ended.code not in (0, 10, 11, 12, 13), ended.log
    assert (github.kept["issues"], github.caches) == ([], {})


def test_both_ways_to_check_end_the_same_way() -> None:
    """The sharded workflow repeats what follows the check, and a repair of one has to reach the other."""
    one, many = (yaml.safe_load(path.read_text())["jobs"]["drift"]["steps"] for path in (DRIFT, SHARDED))
    names = [step.get("name") for step in one]
    assert one[names.index("Check") + 1 :] == many[[step.get("name") for step in many].index("Check") + 1 :]
    assert len(one) > names.index("Check") + 3


def change_description(folder: Path, text: str) -> None:
    """Edit a pipeline's description, which needs no new version."""
    config = folder / "config.toml"
    config.write_text(re.sub('description = ".*"', f'description = "{text}"', config.read_text()))


def test_a_pull_request_has_one_comment_which_says_what_it_would_change(
    github: GitHub, cli: Cli, sandbox: Sandbox
) -> None:
    github.kept["issues"] = [{"number": 1, "pull_request": {}}]
    stranger = {"id": 1, "on": 1, "body": "<!-- reconciler:plan -->", "user": {"login": "somebody"}}
    github.kept["comments"] = [stranger]
    for name in ("dataset_cleanup", "single_training"):
        change_description(cli.folder / name, "Something new")

    plan = proposed(github, cli.folder, "Something new")

    assert plan.code == 0, plan.log
    _, comment = github.kept["comments"]
    assert comment["body"].startswith("<!-- reconciler:plan")
    assert comment["body"] == plan.summary
    assert "## Plan: 2 to change" in comment["body"]
    assert sandbox.writes() == []

    # pushed once more, and nothing of it can be planned
    for config in cli.folder.glob("*/config.toml"):
        config.write_text("[metadata")
    broken = proposed(github, cli.folder, "Half of a table")
    assert broken.code == 1
    assert len(github.kept["comments"]) == 2
    assert "Not planned" in github.kept["comments"][1]["body"]
    assert github.kept["comments"][0] == stranger


def test_after_the_merge_the_changed_pipelines_are_applied_as_the_comment_said(
    github: GitHub, cli: Cli, sandbox: Sandbox
) -> None:
    started_by_hand(github)
    change_description(cli.folder / "dataset_cleanup", "Cleans up")
    sandbox.clear_requests()
    ended = approved(github, cli.folder, "Clean up", 1)
    assert "## Apply: 1 applied\n" in ended.summary
    live = sandbox.platform.processing("dataset_cleanup")
    assert live is not None
    assert live["description"] == "Cleans up"
    report = json.loads((github.artifacts["apply"] / "apply.json").read_text())
    assert [one["folder"] for one in report["pipelines"]] == ["dataset_cleanup"], (
        "the other one did not change"
    )
    assert {path.name for path in github.artifacts["apply"].iterdir()} == {
        *("apply.json", "apply.xml", "apply.html", "events.ndjson")
    }

    # a comment of somebody else approves nothing, and nothing is left to do
    again = merged(github, cli.folder)
    assert again.code == 0, again.log


def test_another_plan_than_the_approved_one_is_not_applied(
    github: GitHub, cli: Cli, sandbox: Sandbox
) -> None:
    started_by_hand(github)
    change_description(cli.folder / "dataset_cleanup", "Cleans up")
    assert proposed(github, cli.folder, "Clean up").code == 0
    sandbox.platform.edit_processing("dataset_cleanup", default_cpu=64)
    sandbox.clear_requests()
    refused = merged(github, cli.folder)
    assert refused.code == 12, refused.log
    assert sandbox.writes() == []
    assert "this is not the plan with the digest" in refused.log
    assert "The digest is " in refused.log
    started_by_hand(github)


def test_commits_without_a_pull_request_are_not_applied(github: GitHub, cli: Cli, sandbox: Sandbox) -> None:
    before = head(cli.folder)
    change_description(cli.folder / "dataset_cleanup", "Cleans up")
    commit(cli.folder, "Clean up")
    github.kept["issues"] = [{"number": 1, "pull_request": {}, "merged_as": head(cli.folder)}]
    forged = {"id": 1, "on": 1, "user": {"login": "somebody"}}
    marker = f"<!-- reconciler:plan -->\n<!-- reconciler:digest {'0' * 64} -->"
    github.kept["comments"] = [forged | {"body": marker}]
    (ended,) = github.run(PIPELINES, push(before, head(cli.folder)))["apply"]
    assert ended.code == 1, ended.log
    assert "::error title=not approved::" in ended.log
    assert sandbox.writes() == []
    started_by_hand(github)


def test_each_changed_pipeline_is_applied_on_the_runner_that_fits(
    github: GitHub, cli: Cli, sandbox: Sandbox
) -> None:
    before = head(cli.folder)
    config = cli.folder / "--all" / "config.toml"  # the name of a folder is no option
    (cli.folder / "dataset_cleanup").rename(config.parent)
    config.write_text(config.read_text().replace('gpu = "0"', "gpu = 1"))
    change_description(cli.folder / "single_training", "Something new")
    commit(cli.folder, "A GPU, and something new")
    ended = github.run(RUNNERS, push(before, head(cli.folder)))
    assert [job.code for job in ended["apply"]] == [0, 0], ended["apply"][0].log
    assert [job.runner for job in ended["apply"]] == ["gpu", "ubuntu-latest"]
    assert sandbox.platform.processing("dataset_cleanup") is not None

    # a push that changes no pipeline has no jobs
    before = head(cli.folder)
    (cli.folder / "README.md").write_text("Our pipelines\n")
    commit(cli.folder, "A page")
    assert list(github.run(RUNNERS, push(before, head(cli.folder)))) == ["list"]


def test_a_forks_pull_request_is_checked_without_secrets_and_without_its_code(
    github: GitHub, cli: Cli, tmp_path: Path
) -> None:
    ran = tmp_path / "ran"
    inputs = cli.folder / "dataset_cleanup" / "utils" / "inputs.py"
    inputs.write_text(f"{inputs.read_text()}\n\nopen({str(ran)!r}, 'w')\n")
    commit(cli.folder, "A look around")

    ended = github.run(PIPELINES, pull_request(1, "stranger/pipelines"))

    assert list(ended) == ["validate"]
    assert ended["validate"][0].code == 1
    assert "ok single_training" in ended["validate"][0].log
    assert "ProcessingInputs needs code to run" in ended["validate"][0].log
    assert not ran.exists()


@pytest.mark.parametrize("expression", ["github.nothing", "secrets.OTHER", "hashFiles('x')", "1 +", "a b"])
def test_an_unknown_expression_is_an_error(expression: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(expression, {"github": {}, "secrets": {"TOKEN": "x"}, "a": 1, "b": 2})
