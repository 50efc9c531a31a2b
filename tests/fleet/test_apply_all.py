"""Many pipelines are planned at once, approved once and applied side by side; each gets its own result."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from providers.sandbox import Sandbox
from reconciler import api
from reconciler.core.events import Event, StepStarted
from reconciler.core.plan import Plan
from reconciler.core.runs import PipelineRun
from reconciler.engine.fleet_apply import Operation, apply_approved
from reconciler.engine.requests import ApplyOptions
from reconciler.engine.session import Session
from reconciler.engine.validate import ValidatedPipeline
from tests.commands.terminal import terminal
from tests.conftest import Cli, Ended, training
from tests.fleet import made
from tests.waits import PATIENCE, until

COUNT = 12
IN_PROCESSES = """
import os, sys
from reconciler import cli
from reconciler.engine import workers
workers._MANY, os.sched_getaffinity = 2, lambda _: {0, 1}
cli.main(sys.argv[1:])
"""
"""A program that runs a command in two worker processes."""


class Fleet:
    """Pipelines that were applied, and their sandbox."""

    def __init__(self, sandbox: Sandbox, cli: Cli, folders: list[Path]) -> None:
        self.sandbox = sandbox
        self.cli = cli
        self.folders = folders
        self.in_processes = False

    def apply(self, *arguments: str) -> tuple[Ended, dict[str, Any]]:
        """Apply, and return how it ended with the JSON report."""
        self.sandbox.clear_requests()
        ended = self.cli("apply", *arguments, "--json", "-")
        return ended, json.loads(ended.out)

    def describe(self, text: str, *numbers: int) -> None:
        """Change the description in these pipelines; in all of them without numbers."""
        for number in numbers or range(len(self.folders)):
            config = self.folders[number] / "config.toml"
            config.write_text(re.sub(r"description = .*", f'description = "{text}"', config.read_text()))

    def change_source(self, *numbers: int) -> None:
        """Change the source of these pipelines, and build them without Docker."""
        for number in numbers:
            folder = self.folders[number]
            (folder / "pipeline.py").write_text("print('faster')\n")
            base = f"{self.sandbox.registry}/base/python:3.11"
            with (folder / "config.toml").open("a") as config:
                config.write(f'\n[reconciler.image]\nbuilder = "append"\nbase = "{base}"\n')

    def descriptions(self) -> Counter[str]:
        """The number of processings with each description."""
        return Counter(one["description"] for one in self.sandbox.platform.processings())

    def changed(self) -> set[str]:
        """The names of the processings that were written since the last apply started."""
        ids = {one["id"]: one["name"] for one in self.sandbox.platform.processings()}
        paths = (request["path"] for request in self.sandbox.writes(service="platform"))
        return {ids[match[1]] for path in paths if (match := re.search("/api/processing/([0-9a-f-]+)", path))}


@pytest.fixture
def fleet(cli: Cli, sandbox: Sandbox) -> Iterator[Fleet]:
    folders = made.pipelines(cli.folder, sandbox.registry, COUNT)
    made.publish(folders, sandbox)
    made.record(folders, cli.folder)
    yield Fleet(sandbox, cli, folders)
    sandbox.switch(faults=[])


@pytest.fixture(params=["threads", "worker processes"])
def either(request: pytest.FixtureRequest, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """The fleet, whose pipelines are applied in threads of the command or of worker processes."""
    if request.param != "threads":
        monkeypatch.setattr("reconciler.engine.workers._MANY", 2)
        monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
        fleet.in_processes = True
    return fleet


def results(report: dict[str, Any]) -> dict[str, str]:
    return {run["folder"]: run["result"] for run in report["pipelines"]}


def test_one_field_in_every_pipeline(either: Fleet) -> None:
    either.describe("Better.")

    ended, report = either.apply("--all", "--yes")

    assert ended.code == 0, ended.err
    assert set(results(report).values()) == {"applied"}
    assert either.descriptions() == {"Better.": COUNT}
    assert len(either.sandbox.writes(service="platform")) == COUNT


def test_nothing_to_do_writes_nothing(fleet: Fleet) -> None:
    ended, report = fleet.apply("--all", "--yes")

    assert ended.code == 0, ended.err
    assert set(results(report).values()) == {"unchanged"}
    assert fleet.sandbox.writes() == []


def test_only_what_changed_is_applied(fleet: Fleet) -> None:
    fleet.describe("Better.", 3, 7)

    ended, report = fleet.apply("--all", "--yes")

    assert ended.code == 0
    assert fleet.changed() == {"pipeline_0003", "pipeline_0007"}
    assert Counter(results(report).values()) == {"applied": 2, "unchanged": COUNT - 2}


def test_a_failure_stops_no_other_and_the_next_run_does_what_is_left(either: Fleet) -> None:
    either.describe("Better.")
    broken = either.sandbox.platform.processing("pipeline_0004")
    assert broken is not None
    either.sandbox.fail("PATCH", f"/api/processing/{broken['id']}$", 422, times=None)

    ended, report = either.apply("--all", "--yes")

    assert ended.code == 1
    assert results(report).pop("pipeline_0004") == "failed"
    assert Counter(results(report).values()) == {"failed": 1, "applied": COUNT - 1}
    assert "422" in ended.err and "pipeline_0004" in ended.err

    either.sandbox.switch(faults=[])
    ended, report = either.apply("--all", "--yes")
    assert ended.code == 0
    assert either.changed() == {"pipeline_0004"}


def test_a_pipeline_with_errors_in_its_files_stops_no_other(fleet: Fleet) -> None:
    fleet.describe("Better.")
    (fleet.folders[2] / "config.toml").write_text("[metadata\n")

    ended, report = fleet.apply("--all", "--yes")

    assert ended.code == 1
    assert Counter(results(report).values()) == {"failed": 1, "applied": COUNT - 1}
    assert "pipeline_0002/config.toml:1" in ended.err


def test_nothing_new_starts_after_too_many_failures(either: Fleet) -> None:
    either.describe("Better.")
    either.sandbox.fail("PATCH", "/api/processing/[0-9a-f-]+$", 422, times=None)

    ended, report = either.apply("--all", "--yes", "--jobs", "1", "--max-failures", "2")

    assert ended.code == 1
    assert Counter(results(report).values()) == {"failed": 3, "not_started": COUNT - 3}
    assert report["stopped_by_failures"] is True


def test_a_wave_starts_after_the_one_before(fleet: Fleet) -> None:
    fleet.describe("Better.")

    ended, report = fleet.apply("--all", "--yes", "--waves", "1,25%,100%")

    assert ended.code == 0
    assert Counter(run["wave"] for run in report["pipelines"]) == {1: 1, 2: 3, 3: COUNT - 4}


def test_a_failure_in_a_wave_is_the_end(either: Fleet) -> None:
    either.describe("Better.")
    either.sandbox.fail("PATCH", "/api/processing/[0-9a-f-]+$", 422, times=1)

    ended, report = either.apply("--all", "--yes", "--waves", "1,100%")

    assert ended.code == 1
    assert Counter(results(report).values()) == {"failed": 1, "not_started": COUNT - 1}
    assert either.descriptions()["Better."] == 0


def test_a_failure_in_a_wave_that_is_tolerated_is_not(fleet: Fleet) -> None:
    fleet.describe("Better.")
    fleet.sandbox.fail("PATCH", "/api/processing/[0-9a-f-]+$", 422, times=1)

    ended, report = fleet.apply("--all", "--yes", "--waves", "1,100%", "--max-failures", "1")

    assert ended.code == 1
    assert Counter(results(report).values()) == {"failed": 1, "applied": COUNT - 1}


@pytest.mark.parametrize(
    ("broken", "options", "is_stopped"),
    [
        (1, (), False),
        (1, ("--waves", "1,100%"), False),  # it is in no wave
        (1, ("--max-failures", "0"), True),
        (1, ("--max-failures", "1"), False),
        (2, ("--max-failures", "1"), True),
        (1, ("--max-failures", "0%"), True),
        (1, ("--max-failures", "10%"), False),
        (2, ("--max-failures", "10%", "--waves", "1,100%"), True),
        (2, ("--max-failures", "1", "--waves", "1,100%"), True),
    ],
    ids=str,
)
def test_failures_while_planning_count_for_the_limit(
    fleet: Fleet, broken: int, options: tuple[str, ...], is_stopped: bool
) -> None:
    fleet.describe("Better.")
    for number in range(2, 2 + broken):
        (fleet.folders[number] / "config.toml").write_text("[metadata\n")

    ended, report = fleet.apply("--all", "--yes", *options)

    others = "not_started" if is_stopped else "applied"
    assert (ended.code, report["stopped_by_failures"]) == (1, is_stopped)
    assert Counter(results(report).values()) == {"failed": broken, others: COUNT - broken}
    assert bool(fleet.sandbox.writes()) != is_stopped
    assert ("too many pipelines failed before" in ended.err) == is_stopped


def test_failures_while_planning_and_applying_count_together(fleet: Fleet) -> None:
    fleet.describe("Better.")
    (fleet.folders[2] / "config.toml").write_text("[metadata\n")
    fleet.sandbox.fail("PATCH", "/api/processing/[0-9a-f-]+$", 422, times=None)

    _, report = fleet.apply("--all", "--yes", "--jobs", "1", "--max-failures", "2")

    assert Counter(results(report).values()) == {"failed": 3, "not_started": COUNT - 3}


def test_the_python_interface_counts_them_too(fleet: Fleet) -> None:
    fleet.describe("Better.")
    (fleet.folders[2] / "config.toml").write_text("[metadata\n")
    workspace = api.Workspace.open()
    plans = workspace.select(all=True).plan(workspace.environment())

    report = plans.apply(approve=True, max_failures=0)

    assert (report.stopped_by_failures, report.exit_code) == (True, 1)


@pytest.mark.parametrize("option", [("--waves", "0%"), ("--max-failures", "many"), ("--jobs", "0")])
def test_bad_numbers_are_refused_before_anything_is_read(fleet: Fleet, option: tuple[str, str]) -> None:
    fleet.sandbox.clear_requests()

    ended = fleet.cli("apply", "--all", "--yes", *option)

    assert ended.code == 2
    assert fleet.sandbox.requests() == []


def test_a_login_that_ends_before_the_apply_fails_each_pipeline(fleet: Fleet) -> None:
    fleet.describe("Better.")
    fleet.sandbox.fail("GET", "/api/organizations/find$", 401, nth=2, times=None)

    ended, report = fleet.apply("--all", "--yes")

    assert ended.code == 1
    assert results(report) == {folder.name: "failed" for folder in fleet.folders}
    assert "token" in ended.err
    assert fleet.sandbox.writes() == []


# Approval


def test_the_digest_of_a_plan_approves_exactly_that_plan(fleet: Fleet) -> None:
    fleet.describe("Better.", 1, 2)
    planned = json.loads(fleet.cli("plan", "--all", "--json").out)
    fleet.describe("Better still.", 2)

    refused, report = fleet.apply("--all", "--approve", planned["digest"])
    assert refused.code == 12
    assert "not the plan" in refused.err
    assert fleet.sandbox.writes() == []
    assert Counter(results(report).values()) == {"not_started": 2, "unchanged": COUNT - 2}

    fleet.describe("Better.", 2)
    ended, _ = fleet.apply("--all", "--approve", planned["digest"][:16])
    assert ended.code == 0
    assert fleet.descriptions()["Better."] == 2


def test_deletions_need_an_approval_without_a_terminal(fleet: Fleet) -> None:
    fleet.change_source(5)
    inputs = fleet.folders[5] / "inputs.py"
    inputs.write_text(
        inputs.read_text().replace(next(re.finditer(r".*title.*\n", inputs.read_text()))[0], "")
    )

    refused, _ = fleet.apply("--all", "--bump", "patch")
    assert refused.code == 12
    assert "1 pipeline" in refused.err and "--approve" in refused.err
    assert fleet.sandbox.writes() == []

    ended, _ = fleet.apply("--all", "--bump", "patch", "--yes")
    assert ended.code == 0
    assert {one["name"] for one in fleet.sandbox.platform.inputs("pipeline_0005")}.isdisjoint({"title"})


def test_pipelines_that_share_a_model_are_applied_side_by_side(cli: Cli, sandbox: Sandbox) -> None:
    names = [f"clip_{number}" for number in range(8)]
    for name in names:
        config = training(cli.folder / name, name, sandbox.registry) / "config.toml"
        text = config.read_text().replace(f'origin_name = "{name}"', 'origin_name = "Shared"')
        config.write_text(text.replace('name = "v1"', f'name = "{name}"'))

    ended = cli("apply", "--all", "--yes", "--builds", "8")

    assert ended.code == 0, ended.err
    assert [model["name"] for model in sandbox.platform.models()] == ["Shared"]
    assert len(sandbox.platform.objects("model-version", "Shared")) == len(names)
    assert cli("plan", "--all", "--exit-code").code == 0


# Saved plans


def test_a_saved_plan_of_all_is_applied_in_shards(fleet: Fleet, tmp_path: Path) -> None:
    fleet.describe("Better.")
    file = tmp_path / "plans.json"
    assert fleet.cli("plan", "--all", "--out", str(file)).code == 0

    counts = []
    for index in (1, 2, 3):
        ended, report = fleet.apply("--plan", str(file), "--shard", f"{index}/3")
        assert ended.code == 0, ended.err
        counts.append(len(report["pipelines"]))

    assert sum(counts) == COUNT
    assert fleet.descriptions() == {"Better.": COUNT}


def test_one_stale_stack_stops_all_unless_it_is_skipped(fleet: Fleet, tmp_path: Path) -> None:
    fleet.describe("Better.")
    file = tmp_path / "plans.json"
    fleet.cli("plan", "--all", "--out", str(file))
    fleet.sandbox.platform.edit_processing("pipeline_0006", description="Mine.")

    refused, report = fleet.apply("--plan", str(file))
    assert refused.code == 12
    assert fleet.sandbox.writes() == []
    assert results(report)["pipeline_0006"] == "refused"

    ended, report = fleet.apply("--plan", str(file), "--skip-stale")
    assert ended.code == 12
    assert Counter(results(report).values()) == {"refused": 1, "applied": COUNT - 1}
    assert fleet.descriptions() == {"Better.": COUNT - 1, "Mine.": 1}


def test_a_saved_plan_that_was_applied_has_nothing_left_to_do(fleet: Fleet, tmp_path: Path) -> None:
    fleet.describe("Better.", 1)
    file = tmp_path / "plans.json"
    fleet.cli("plan", "--all", "--out", str(file))

    assert fleet.apply("--plan", str(file))[0].code == 0
    ended, report = fleet.apply("--plan", str(file))

    assert ended.code == 0
    assert set(results(report).values()) == {"unchanged"}


def test_a_plan_of_another_workspace_is_refused(fleet: Fleet, tmp_path: Path) -> None:
    file = tmp_path / "plans.json"
    toml = fleet.cli.folder / "reconciler.toml"
    toml.write_text('[workspace]\nname = "theirs"\n')
    fleet.cli("plan", "--all", "--out", str(file))
    toml.write_text('[workspace]\nname = "ours"\n')

    ended = fleet.cli("apply", "--plan", str(file), "--yes")

    assert ended.code == 1
    assert "another workspace" in ended.err
    assert "theirs" in ended.err


def test_a_plan_that_was_edited_is_refused(fleet: Fleet, tmp_path: Path) -> None:
    fleet.describe("Better.")
    file = tmp_path / "plans.json"
    fleet.cli("plan", "--all", "--out", str(file))
    file.write_text(file.read_text().replace("Better.", "Worse."))

    ended = fleet.cli("apply", "--plan", str(file), "--yes")

    assert ended.code == 1
    assert "digest" in ended.err


# Other commands


def test_destroy_takes_a_selection(fleet: Fleet) -> None:
    ended = fleet.cli("destroy", "pipeline_0001", "pipeline_0002", "--yes")

    assert ended.code == 0, ended.err
    assert len(fleet.sandbox.platform.processings()) == COUNT - 2


def test_rollback_takes_a_selection(fleet: Fleet) -> None:
    fleet.describe("Worse.")
    assert fleet.apply("--all", "--yes")[0].code == 0

    refused = fleet.cli("rollback", "pipeline_0000", "pipeline_0001")
    assert refused.code == 12
    assert "--yes" in refused.err

    ended = fleet.cli("rollback", "pipeline_0000", "pipeline_0001", "--yes")
    assert ended.code == 0, ended.err
    assert fleet.descriptions() == {
        "Worse.": COUNT - 2,
        "Number 0 of a fleet.": 1,
        "Number 1 of a fleet.": 1,
    }


def test_deploy_takes_a_selection(either: Fleet) -> None:
    either.change_source(0, 1, 2)

    refused = either.cli("deploy", "--all", "--yes")
    assert refused.code == 12
    assert "--bump" in refused.err
    assert f"{COUNT - 3} to change in config.toml only, 3 refused." in refused.out

    ended = either.cli("deploy", "--all", "--bump", "patch", "--yes")
    assert ended.code == 0, ended.err
    versions = Counter(one["docker_tag"] for one in either.sandbox.platform.processings())
    assert versions == {"latest": COUNT}
    configs = Counter(
        re.findall(r'version = "(.*)"\n(?:.*\n)*.*image_tag = "(.*)"', (f / "config.toml").read_text())[0]
        for f in either.folders
    )
    assert configs == {("1.0.1", "latest"): 3, ("1.0.0", "latest"): COUNT - 3}  # as a deploy of each
    assert f"{COUNT} in sync." in either.cli("deploy", "--all", "--yes").out


def test_values_of_one_pipeline_are_not_for_many(fleet: Fleet) -> None:
    ended = fleet.cli("deploy", "--all", "--cpu", "8")

    assert ended.code == 2
    assert "for one pipeline" in ended.err


def test_bump_takes_a_selection(fleet: Fleet) -> None:
    ended = fleet.cli("bump", "minor", "pipeline_000*")

    assert ended.code == 0, ended.err
    versions = Counter(
        re.findall(r'version = "(.*)"', (f / "config.toml").read_text())[0] for f in fleet.folders
    )
    assert versions == {"1.1.0": 10, "1.0.0": 2}


def test_image_takes_a_selection(fleet: Fleet) -> None:
    ended = fleet.cli("image", "--all", "--json")

    assert ended.code == 0, ended.err
    assert [one["verdict"] for one in json.loads(ended.out)["images"]] == ["published"] * COUNT


# Interruptions


def started(fleet: Fleet, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
    """The command, in a process of its own."""
    command = [sys.executable, "-m", "reconciler", *arguments]
    if fleet.in_processes:
        command[1:3] = ["-c", IN_PROCESSES]
    return subprocess.Popen(
        command, cwd=fleet.cli.folder, stderr=subprocess.PIPE, text=True, start_new_session=True, **options
    )


def wait_for_writes(fleet: Fleet, run: "subprocess.Popen[str]", count: int) -> None:
    while len(fleet.sandbox.writes(service="platform")) < count:
        assert run.poll() is None, run.stderr.read() if run.stderr else ""
        time.sleep(0.02)


def test_ctrl_c_lets_what_is_in_hand_finish_and_starts_nothing_new(either: Fleet, tmp_path: Path) -> None:
    either.describe("Better.")
    either.sandbox.fail("PATCH", "/api/processing/[0-9a-f-]+$", "hang", seconds=1, times=None)
    either.sandbox.clear_requests()
    file = tmp_path / "run.json"

    with started(either, "apply", "--all", "--yes", "--jobs", "2", "--json", str(file)) as run:
        wait_for_writes(either, run, 1)
        run.send_signal(signal.SIGINT)
        _, err = run.communicate()

    assert run.returncode == 130, err
    counts = Counter(results(json.loads(file.read_text())).values())
    assert counts.total() == COUNT
    assert counts["not_started"] >= COUNT - 4
    assert either.descriptions()["Better."] == counts["applied"]
    either.sandbox.switch(faults=[])
    assert either.apply("--all", "--yes")[0].code == 0
    assert either.descriptions() == {"Better.": COUNT}


def test_after_a_kill_the_next_run_does_what_is_left(either: Fleet) -> None:
    either.describe("Better.")
    either.sandbox.fail("PATCH", "/api/processing/[0-9a-f-]+$", "hang", seconds=1, times=None)
    either.sandbox.clear_requests()

    with started(either, "apply", "--all", "--yes", "--jobs", "2") as run:
        wait_for_writes(either, run, 3)
        run.kill()
    done = either.descriptions()["Better."]

    either.sandbox.switch(faults=[])
    ended, report = either.apply("--all", "--yes")
    assert ended.code == 0, ended.err
    assert either.descriptions() == {"Better.": COUNT}
    assert len(either.changed()) <= COUNT - done
    assert set(results(report).values()) <= {"applied", "unchanged"}


@dataclass(frozen=True)
class KilledInAStep:
    """Applies a plan, but ends like a killed process in a step of one pipeline: once, or always.

    Attributes:
        mark: a file that exists once it happened.
    """

    mark: Path
    often: bool

    def __call__(
        self,
        operation: Operation,
        options: ApplyOptions,
        skips: bool,
        session: Session,
        validated: ValidatedPipeline,
        plan: Plan,
    ) -> PipelineRun:
        if plan.stack.name == "pipeline_0007" and (self.often or not self.mark.exists()):
            session = replace(session, emit=self.kill)
        return apply_approved(operation, options, skips, session, validated, plan)

    def kill(self, event: Event) -> None:
        if isinstance(event, StepStarted):
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(("often", "result"), [(False, "applied"), (True, "failed")])
def test_a_worker_process_that_is_killed_costs_at_most_its_pipeline(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, often: bool, result: str
) -> None:
    """The kernel kills it while it applies several, whose locks are free then."""
    monkeypatch.setattr("reconciler.engine.workers._MANY", 2)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr("reconciler.api.running.apply_approved", KilledInAStep(tmp_path / "killed", often))
    fleet.describe("Better.")

    ended, report = fleet.apply("--all", "--yes")

    assert (tmp_path / "killed").exists()
    assert ended.code == (1 if often else 0), ended.err
    assert results(report) == {folder.name: "applied" for folder in fleet.folders} | {"pipeline_0007": result}
    sent = Counter(request["path"] for request in fleet.sandbox.writes(service="platform"))
    assert len(sent) == fleet.descriptions()["Better."]
    # Only what was under way in the killed process may be sent again; the platform may answer late.
    assert max(sent.values()) <= 2


def test_a_reader_that_ends_stops_the_run_without_a_traceback(fleet: Fleet) -> None:
    fleet.describe("Better.")
    reading, writing = os.pipe()
    with started(fleet, "apply", "--all", "--yes", "--jobs", "1", stdout=writing) as run:
        os.close(writing)
        os.close(reading)
        _, err = run.communicate()

    assert run.returncode == 1
    assert "Traceback" not in err
    assert fleet.apply("--all", "--yes")[0].code == 0
    assert fleet.descriptions() == {"Better.": COUNT}


# One pipeline has the same outputs and approvals


def test_one_pipeline_has_the_report_of_a_run(fleet: Fleet, tmp_path: Path) -> None:
    fleet.describe("Better.", 3)

    ended, report = fleet.apply("pipeline_0003", "--yes", "--events", str(tmp_path / "events"))

    assert ended.code == 0
    assert results(report) == {"pipeline_0003": "applied"}
    lines = [json.loads(line) for line in (tmp_path / "events").read_text().splitlines()]
    assert lines[-1]["event"] == "run-ended"


def test_the_digest_of_one_plan_approves_it(fleet: Fleet, tmp_path: Path) -> None:
    fleet.describe("Better.", 3)
    (planned,) = json.loads(fleet.cli("plan", "pipeline_0003*", "--json").out)["plans"]
    digest = json.loads(fleet.cli("plan", "pipeline_0003*", "--json").out)["digest"]
    assert planned["stack"]["name"] == "pipeline_0003"

    refused, report = fleet.apply("pipeline_0003", "--approve", "0" * 64)
    assert refused.code == 12
    assert digest[:16] in refused.err
    assert results(report) == {"pipeline_0003": "not_started"}
    assert fleet.sandbox.writes() == []

    assert fleet.apply("pipeline_0003", "--approve", digest)[0].code == 0


def test_what_fails_before_the_plan_is_in_the_report_of_one_pipeline(fleet: Fleet) -> None:
    (fleet.folders[3] / "config.toml").write_text("[metadata\n")

    ended, report = fleet.apply("pipeline_0003", "--yes")

    assert ended.code == 1
    assert results(report) == {"pipeline_0003": "failed"}


def test_a_terminal_shows_the_table_and_says_that_running_steps_finish(fleet: Fleet) -> None:
    fleet.describe("Better.")
    fleet.sandbox.fail("PATCH", "/api/processing/[0-9a-f-]+$", "hang", seconds=3, times=None)
    fleet.sandbox.clear_requests()

    with terminal("apply", "--all", "--jobs", "2", cwd=fleet.cli.folder, environment=os.environ) as screen:
        screen.expect(f"Plan for {COUNT} pipelines: {COUNT} to change.")
        screen.expect("Apply this? [Y/n]: ")
        screen.type("y")
        screen.expect(f"0 of {COUNT} done  2 running")
        until(lambda: len(fleet.sandbox.writes(service="platform")) == 2)
        screen.interrupt(at_prompt=False)
        screen.expect("interrupted: running steps finish; interrupt again to stop now")
        screen.expect("Not finished: ")
        assert screen.end() == 130

    assert "waiting for running steps" not in screen.shown
    assert fleet.descriptions()["Better."] == 2


def test_a_log_without_a_reader_ends_the_run_without_a_traceback(fleet: Fleet) -> None:
    fleet.describe("Better.")
    fleet.sandbox.fail("PATCH", "/api/processing/[0-9a-f-]+$", "hang", seconds=1, times=None)

    with started(fleet, "apply", "--all", "--yes", "--jobs", "2") as run:
        assert run.stderr is not None
        for line in run.stderr:
            assert "Traceback" not in line
            if "applied " in line:
                break
        run.stderr.close()
        assert run.wait(PATIENCE) == 1

    fleet.sandbox.switch(faults=[])
    ended, _ = fleet.apply("--all", "--yes")
    assert ended.code == 0, ended.err
    assert fleet.descriptions() == {"Better.": COUNT}


def test_a_terminal_that_ends_costs_no_report(fleet: Fleet, tmp_path: Path) -> None:
    fleet.describe("Better.")
    reading, writing = os.pipe()
    file = tmp_path / "run.json"
    command = [
        sys.executable,
        "-m",
        "reconciler",
        "apply",
        "--all",
        "--yes",
        "--jobs",
        "1",
        "--json",
        str(file),
    ]
    fleet.sandbox.clear_requests()
    with subprocess.Popen(command, cwd=fleet.cli.folder, stdout=subprocess.DEVNULL, stderr=writing) as run:
        os.close(writing)
        while not fleet.sandbox.writes(service="platform"):
            assert run.poll() is None
            time.sleep(0.02)
        os.close(reading)

    assert run.returncode != 0
    counts = Counter(results(json.loads(file.read_text())).values())
    assert counts.total() == COUNT
    assert counts["applied"] == fleet.descriptions()["Better."]
