"""The GitHub workflows in examples/ci, run as they stand against the sandbox."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from providers.sandbox import Sandbox
from tests.ci.expressions import ExpressionError, evaluate
from tests.ci.github import GitHub, pull_request, push, schedule
from tests.ci.machine import Job, commit
from tests.conftest import EXAMPLES, Cli
from tests.services import free_port

CI = EXAMPLES / "ci"
DRIFT, SHARDED, PIPELINES = (
    CI / name for name in ("github-drift.yml", "github-drift-sharded.yml", "github-plan-apply.yml")
)
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


def applied(github: GitHub) -> Job:
    (ended,) = github.run(PIPELINES, push())["apply"]
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

    assert "    Done: " in applied(github).summary
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
    commit(cli.folder, "64 cpus it is")
    applied(github)
    assert checked(github).code == 0
    assert github.kept["issues"][6]["state"] == "closed"
    assert [comment["on"] for comment in github.kept["comments"]] == [7]
    assert f"/actions/runs/{github.runs}" in github.kept["comments"][0]["body"]

    # merged and not applied yet: the check says so, and nobody is alarmed
    config = cli.folder / "dataset_cleanup" / "config.toml"
    config.write_text(config.read_text().replace("Copies a dataset", "Copies the dataset"))
    assert cli("bump", "patch", "dataset_cleanup").code == 0
    commit(cli.folder, "Another description")
    settled = json.dumps(github.kept)
    assert checked(github).code == 10
    assert json.dumps(github.kept) == settled
    assert github.kept["issues"][:6] == others


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


def test_a_pull_request_has_one_comment_which_says_what_it_would_change(
    github: GitHub, cli: Cli, sandbox: Sandbox
) -> None:
    github.kept["issues"] = [{"number": 1, "pull_request": {}}]
    stranger = {"id": 1, "on": 1, "body": "<!-- reconciler:plan -->", "user": {"login": "somebody"}}
    github.kept["comments"] = [stranger]

    ended = github.run(PIPELINES, pull_request(1))

    assert list(ended) == ["plan"]
    (plan,) = ended["plan"]
    assert plan.code == 0, plan.log
    _, comment = github.kept["comments"]
    assert comment["body"].startswith("<!-- reconciler:plan")
    assert comment["body"] == plan.summary
    assert sandbox.writes() == []

    # pushed once more, and nothing of it can be planned
    for config in cli.folder.glob("*/config.toml"):
        config.write_text("[metadata")
    commit(cli.folder, "Half of a table")
    (broken,) = github.run(PIPELINES, pull_request(1))["plan"]
    assert broken.code == 1
    assert len(github.kept["comments"]) == 2
    assert "Not planned" in github.kept["comments"][1]["body"]
    assert github.kept["comments"][0] == stranger


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
