"""The command to run next in reports finishes what failed, and the time of a run has no waiting in it."""

import json
import shlex
import shutil
import time
from collections.abc import Callable
from datetime import timedelta
from types import SimpleNamespace

import click
import pytest

from providers.sandbox import Sandbox
from reconciler.api.approvals import utc_now
from reconciler.cli import applying, fleet_applying, prompts
from tests.conftest import Cli, copy_example

NAME = '[workspace]\nname = "team/pipelines"\n'
TWO = ("dataset_cleanup", "computed_inputs")


def copied(cli: Cli, sandbox: Sandbox) -> None:
    (cli.folder / "reconciler.toml").write_text(NAME)
    for name in TWO:
        copy_example(name, cli.folder, sandbox.registry)


def of_one(cli: Cli, sandbox: Sandbox) -> list[str]:
    copied(cli, sandbox)
    return ["apply", "dataset_cleanup", "--yes"]


def of_all(cli: Cli, sandbox: Sandbox) -> list[str]:
    copied(cli, sandbox)
    return ["apply", "--all", "--yes"]


def of_saved_plan(cli: Cli, sandbox: Sandbox) -> list[str]:
    copied(cli, sandbox)
    assert cli("plan", "dataset_cleanup", "--out", "a plan.json").code == 0
    return ["apply", "--plan", "a plan.json"]


def of_saved_plans(cli: Cli, sandbox: Sandbox) -> list[str]:
    copied(cli, sandbox)
    assert cli("plan", "--all", "--out", "plans.json").code == 0
    return ["apply", "--plan", "plans.json", "--shard", "1/1"]


def of_destroy(cli: Cli, sandbox: Sandbox) -> list[str]:
    copied(cli, sandbox)
    assert cli("apply", "--all", "--yes").code == 0
    return ["destroy", "dataset_cleanup", "--yes"]


def of_destroy_without_folder(cli: Cli, sandbox: Sandbox) -> list[str]:
    copied(cli, sandbox)
    assert cli("apply", "--all", "--yes").code == 0
    shutil.rmtree(cli.folder / "dataset_cleanup")
    return ["destroy", "--stack", "dataset_cleanup", "--prune", "--yes"]


@pytest.mark.parametrize(
    "prepare", [of_one, of_all, of_saved_plan, of_saved_plans, of_destroy, of_destroy_without_folder]
)
def test_the_next_command_finishes_what_failed(
    cli: Cli, sandbox: Sandbox, prepare: Callable[[Cli, Sandbox], list[str]]
) -> None:
    arguments = prepare(cli, sandbox)
    for method in ("POST", "DELETE"):
        sandbox.fail(method, "^/(api|sdk)/", 400, times=None)
    failed = cli(*arguments, "--json", "run.json")
    assert failed.code == 1, failed.out + failed.err
    document = json.loads((cli.folder / "run.json").read_text())
    lines = list(dict.fromkeys(line for one in document["pipelines"] for line in one["next"]))
    assert lines
    sandbox.switch(faults=[])
    for line in lines:
        program, *again = shlex.split(line)
        assert program == "reconciler"
        if again[0] == "plan":  # the steps that ran made the saved plan stale
            assert cli(*again).code == 0
            again[0] = "apply"
        ended = cli(*again, "--yes")
        assert ended.code == 0, f"{line}\n{ended.err}"
    processings = [one["name"] for one in sandbox.platform.processings()]
    assert ("dataset_cleanup" in processings) == (arguments[0] == "apply")
    assert cli("drift", "--all").code in (0, 10)


@pytest.mark.parametrize("arguments", [("dataset_cleanup",), ("--all",)])
def test_the_time_of_a_run_has_no_waiting_for_the_answer(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    """The user answers after an hour."""
    copied(cli, sandbox)
    hours: list[float] = []

    def answer(*_: object, **__: object) -> bool:
        hours.append(3600.0)
        return True

    monkeypatch.setattr(prompts, "is_interactive", lambda: True)
    monkeypatch.setattr(prompts, "time", SimpleNamespace(monotonic=lambda: time.monotonic() + sum(hours)))
    monkeypatch.setattr(click, "confirm", answer)
    for module in (applying, fleet_applying):
        monkeypatch.setattr(module, "utc_now", lambda: utc_now() + timedelta(seconds=sum(hours)))
    cli.checks_documents = False  # only one of the clocks has the hour, so a pipeline takes less than none
    ended = cli("apply", *arguments, "--json", "run.json", "--events", "events.ndjson")
    assert (ended.code, len(hours)) == (0, 1), ended.err
    document = json.loads((cli.folder / "run.json").read_text())
    assert document["seconds"] < 3600
    assert cli("show", "run.json").out == cli("show", "events.ndjson").out
