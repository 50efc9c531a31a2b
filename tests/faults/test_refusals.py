"""Servers that refuse everything for ever: each command ends within the stated time, with its exit code."""

import os
import re
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from providers.sandbox import Sandbox
from tests.conftest import CASES, Cli, copy_example
from tests.faults.conftest import SCENARIOS, UUID, Scenario, shape, start_over
from tests.faults.warm import Warm
from tests.waits import until

PATIENCE = "1"  # seconds; RECONCILER_TIMEOUT
ENOUGH = 60.0  # seconds; for a command on a busy machine, whatever it waits for
Refusal = tuple[int, Mapping[str, str]]
STATUSES: list[Refusal] = [
    *((429, {"Retry-After": after}) for after in ("1", "0", "-1", "3600", "soon", "9" * 400)),
    *((429, {}), (503, {"Retry-After": "1"}), (503, {}), (412, {}), (409, {})),
]
COMMANDS: dict[str, tuple[tuple[str, ...], tuple[set[int], set[int]]]] = {
    # what is run, and how it may end where the platform refuses, and where the registry does
    "plan": (("plan", "one", "--exit-code"), ({13}, {13})),
    "plan all": (("plan", "--all", "--exit-code"), ({13}, {13})),
    "apply": (("apply", "one", "--yes"), ({1}, {1})),
    "apply all": (("apply", "--all", "--yes"), ({1}, {1})),
    "deploy": (("deploy", "one", "--organization", "sandbox", "--yes"), ({1}, {1})),
    "drift": (("drift", "--all"), ({13}, {13})),
    "status": (("status", "--all"), ({13}, {13})),
    "rollback": (("rollback", "one", "--to", "1.0.0", "--yes"), ({1}, {0, 1})),
    "adopt": (("adopt", "one", "--yes"), ({1, 13}, {0, 1, 13})),
    "destroy": (("destroy", "one", "--yes"), ({1}, {0, 1})),
    "image": (("image", "one"), ({0}, {1})),
    "whoami": (("whoami",), ({1}, {0})),
    "state": (("state", "list"), ({0}, {0})),
}


@pytest.fixture
def applied(cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, classes_once: None) -> Cli:
    for name in ("one", "two"):
        pipeline = copy_example("dataset_cleanup", cli.folder, sandbox.registry)
        config = (pipeline / "config.toml").read_text()
        assert "dataset_cleanup" in config
        (pipeline / "config.toml").write_text(config.replace("dataset_cleanup", name))
        pipeline.rename(cli.folder / name)
    ended = cli("apply", "--all", "--yes")
    assert ended.code == 0, ended.err
    monkeypatch.setenv("RECONCILER_TIMEOUT", PATIENCE)
    return cli


def refuse_all(cli: Cli, sandbox: Sandbox, command: str, where: int, cases: list[Any]) -> None:
    arguments, allowed = COMMANDS[command]
    wrong = []
    for status, headers in cases:
        path = ("^/api/", "^/v2/")[where]
        sandbox.switch(faults=[{"path": path, "action": status, "times": None, "headers": headers}])
        began = time.monotonic()
        ended = cli(*arguments)
        took = time.monotonic() - began
        case = f"{status} {str(headers)[:60]}: exit code {ended.code} after {took:.1f} s\n{ended.err[:1500]}"
        if ended.code not in allowed[where] or "bug in reconciler" in ended.err or took > ENOUGH:
            wrong.append(case)
        if ended.code and not re.search(
            "error|failed|cannot|could not|not all could be read", ended.out + ended.err
        ):
            wrong.append(f"{case}\nand says nothing of it\n{ended.out}")
    CASES["commands whose server refuses everything"] += len(cases)
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("where", [0, 1], ids=["platform", "registry"])
def test_a_command_ends_when_a_server_refuses_for_ever(
    applied: Cli, sandbox: Sandbox, command: str, where: int
) -> None:
    sample = list(COMMANDS).index(command) + where
    cases = [STATUSES[(sample + step) % len(STATUSES)] for step in (0, 4)]
    refuse_all(applied, sandbox, command, where, cases)


@pytest.mark.full
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("where", [0, 1], ids=["platform", "registry"])
def test_it_does_so_whatever_the_refusal_says(
    applied: Cli, sandbox: Sandbox, command: str, where: int
) -> None:
    refuse_all(applied, sandbox, command, where, STATUSES)


LOGINS = ["svc:CdnPassw0rd", "CdnPassw0rd", "svc:p@CdnPassw0rd", ":CdnPassw0rd"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("where", ["^/api/", "^/v2/"], ids=["platform", "registry"])
def test_the_login_of_an_address_that_a_server_redirects_to_is_shown_nowhere(
    applied: Cli, sandbox: Sandbox, command: str, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a server says is no reason to print a password: not while it is waited for, and not afterwards."""
    monkeypatch.setenv("RECONCILER_VERBOSE", "1")
    arguments, _ = COMMANDS[command]
    events = ["--events", "events.ndjson"] if command.partition(" ")[0] in ("plan", "apply", "drift") else []
    for number, login in enumerate(LOGINS):
        nowhere, busy = f"http://{login}@127.0.0.1:1/x", f"http://{login}@{sandbox.registry}/busy"
        place = (nowhere, busy)[number % 2]
        again = {"path": "^/busy", "action": 429, "times": None, "headers": {"Retry-After": "1"}}
        redirect = {"path": where, "action": 302 + 5 * (number // 2), "method": "GET", "times": None}
        sandbox.switch(faults=[again, {**redirect, "headers": {"Location": place}}])
        ended = applied(*arguments, *events)
        written = "".join(path.read_text() for path in applied.folder.glob("events.ndjson"))
        assert "CdnPassw0rd" not in ended.out + ended.err + written, place


def kinds_of_requests(requests: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    """Each kind of request, with its method and a pattern that matches every URL of its kind."""
    found = {}
    for request in requests:
        path = re.escape(request["path"]).replace("\\-", "-")
        for part, any_such in ((UUID, UUID), ("sha256:[0-9a-f]+",) * 2, ("(?<=/uploads/).+", "[^/]+")):
            path = re.sub(part, any_such, path)
        found[shape(request)] = request["method"], f"^{path}$"
    return found


def refuse_each_kind(
    scenario: Scenario, cli: Cli, sandbox: Sandbox, warm: Warm, state: Path, refusals: Sequence[Refusal]
) -> None:
    """Each kind of request of an apply is refused for ever, and nothing else is."""
    arguments = ("apply", scenario.example, "--yes", "--bump", "minor")
    start_over(scenario, cli, sandbox, state)
    assert cli(*arguments).code == 0
    kinds = kinds_of_requests(sandbox.requests())
    assert {"PATCH /v2/{name}/blobs/uploads/{id}", "PUT /v2/{name}/manifests/{version}"} <= kinds.keys()
    wrong = []
    for kind, (method, path) in kinds.items():
        for status, headers in refusals:
            start_over(scenario, cli, sandbox, state)
            sandbox.fail(method, path, status, times=None, headers=headers)
            run = warm.start(arguments, cli.folder, environment={"RECONCILER_TIMEOUT": PATIENCE})
            try:
                until(lambda run=run: run.is_ended, ENOUGH)  # type: ignore[misc]
            except AssertionError:
                run.signal(signal.SIGKILL)
            code, err = warm.wait(run), run.err.read_text()
            assert any(shape(request) == kind for request in sandbox.requests()), kind
            if code not in (0, 1) or "bug in reconciler" in err:
                wrong.append(f"{kind}: {status} {str(headers)[:60]}: {code}\n{err[-800:]}")
            CASES["kinds of requests that are refused for ever"] += 1
    assert not wrong, "\n\n".join(wrong)


def test_an_apply_ends_whichever_request_is_refused_for_ever(
    cli: Cli, sandbox: Sandbox, warm: Warm, tmp_path: Path, classes_once: None
) -> None:
    """An upload that is refused starts again at another URL: that is no progress."""
    refusals = [(429, {"Retry-After": "1"})]
    refuse_each_kind(SCENARIOS[-1], cli, sandbox, warm, tmp_path / "state.db", refusals)


@pytest.mark.full
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_it_ends_whatever_the_refusal_says(
    scenario: Scenario, cli: Cli, sandbox: Sandbox, warm: Warm, tmp_path: Path, classes_once: None
) -> None:
    refuse_each_kind(scenario, cli, sandbox, warm, tmp_path / "state.db", STATUSES)


def test_writes_that_are_refused_for_ever_are_announced_and_given_up(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_example("single_training", cli.folder, sandbox.registry)
    monkeypatch.setenv("RECONCILER_TIMEOUT", "2.5")
    sandbox.switch(
        faults=[
            {
                "method": method,
                "path": "^/api/",
                "action": 429,
                "times": None,
                "headers": {"Retry-After": "1"},
            }
            for method in ("POST", "PATCH", "PUT")
        ]
    )
    ended = cli("apply", "single_training", "--yes")
    assert ended.code == 1
    server = os.environ["PICSELLIA_CUSTOM_ENV"].partition("//")[2]
    assert f"{server}: rate limited, next try in 1 s" in ended.err
    assert "returned 429 (too many requests)" in ended.err
    assert "RECONCILER_TIMEOUT" in ended.err
    assert 3 <= len(sandbox.writes(service="platform")) <= 20


def test_a_platform_that_limits_requests_lets_an_apply_through(cli: Cli, sandbox: Sandbox) -> None:
    copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    sandbox.fail("*", "^/api/", 429, times=None, every=3, headers={"Retry-After": "0"})
    ended = cli("apply", "dataset_cleanup", "--yes")
    assert ended.code == 0, ended.err


def test_a_wait_for_the_registry_of_a_base_image_is_announced(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    monkeypatch.setenv("RECONCILER_TIMEOUT", PATIENCE)
    sandbox.fail("GET", "^/v2/base/", 429, times=None, headers={"Retry-After": "1"})
    ended = cli("apply", "dataset_cleanup", "--yes")
    assert ended.code == 1
    assert f"{sandbox.registry}: rate limited, next try in 1 s" in ended.err
