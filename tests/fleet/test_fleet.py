"""Many pipelines in one run: few requests, and unread pipelines are never reported as in sync."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from multiprocessing import active_children
from pathlib import Path
from socket import socket
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from benchmarks.runs import user
from providers.rate_limit import RateLimiter
from providers.sandbox import Sandbox
from reconciler.engine.chunks import Chunk, Outcomes, Task, run_chunk
from tests.conftest import Cli, Ended
from tests.fleet import made

PROCESSINGS, TRAININGS = 36, 4
COUNT = PROCESSINGS + TRAININGS


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sandbox, Path]]:
    """A fleet in sync, and the folder with its pipelines and state."""
    folder = tmp_path_factory.mktemp("fleet")
    with Sandbox() as sandbox, pytest.MonkeyPatch.context() as monkeypatch:
        _sign_in(monkeypatch, sandbox, folder)
        folders = made.pipelines(folder / "pipelines", sandbox.registry, COUNT, trainings=TRAININGS)
        made.publish(folders, sandbox)
        made.record(folders, folder)
        yield sandbox, folder


def _sign_in(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, folder: Path) -> None:
    for name, value in user(sandbox, folder / "state.db").items():
        monkeypatch.setenv(name, value)


class Fleet:
    """The fleet, with its folder as the working directory."""

    def __init__(self, sandbox: Sandbox, cli: Cli, folder: Path, reports: Path) -> None:
        self.sandbox = sandbox
        self.cli = cli
        self.folder = folder
        self.reports = reports

    def drift(self, *arguments: str, name: str = "report") -> tuple[Ended, dict[str, Any]]:
        file = self.reports / f"{name}.json"
        file.unlink(missing_ok=True)
        self.sandbox.clear_requests()
        ended = self.cli("drift", *arguments, "--json", str(file))
        assert file.exists(), ended.err
        return ended, json.loads(file.read_text())

    def request_counts(self) -> Counter[str]:
        """The number of requests by path, with names and ids replaced by `*`."""
        return Counter(
            re.sub(r"[0-9a-f-]{36}|(?<=fleet/)pipeline_\d+|sha256:\w+", "*", request["path"])
            for request in self.sandbox.requests()
        )


@pytest.fixture
def fleet(
    applied: tuple[Sandbox, Path],
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Fleet]:
    sandbox, folder = applied
    _sign_in(monkeypatch, sandbox, folder)
    monkeypatch.chdir(folder / "pipelines")
    yield Fleet(sandbox, Cli(folder / "pipelines", capsys), folder / "pipelines", tmp_path)
    sandbox.switch(faults=[], echo="all", page_cap=None)


def comparable(document: dict[str, Any]) -> dict[str, Any]:
    """The part of a report that is equal in two runs."""
    return {
        "stacks": sorted(map(json.dumps, document["stacks"])),
        "failed": document["failed"],
        "diagnostics": document["diagnostics"],
        "exit_code": document["exit_code"],
    }


def test_one_request_per_list(fleet: Fleet) -> None:
    ended, report = fleet.drift("--all")

    assert (ended.code, len(report["stacks"]), fleet.sandbox.writes()) == (0, COUNT, [])
    assert fleet.request_counts() == {
        "/api/organizations/find": 1,
        "/api/organization/*/processings": 1,
        "/api/organization/*/models": 1,
        "/api/processing/*/inputs": PROCESSINGS,
        "/api/model/*/versions/find": TRAININGS,
        "/v2/fleet/*/manifests/1.0.0": COUNT,
        "/v2/fleet/*/manifests/latest": COUNT,
    }


def test_one_pipeline_reads_no_lists(fleet: Fleet) -> None:
    ended, _ = fleet.drift("pipeline_0000")

    assert ended.code == 0
    assert fleet.request_counts()["/api/organization/*/processings"] == 0


def test_every_request_passes_the_rate_limiter(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[RateLimiter] = []
    wait = RateLimiter.wait
    monkeypatch.setattr(
        RateLimiter, "wait", lambda limiter, *request: (turns.append(limiter), wait(limiter, *request))[1]
    )
    fleet.sandbox.fail("*", "/(inputs|manifests/.*)$", 503, times=3, every=2)

    ended, _ = fleet.drift("pipeline_0000", "pipeline_0001", "--rps", "1000")

    assert ended.code == 0
    assert len(set(turns)) == 1
    assert len(turns) == sum(fleet.request_counts().values())


def test_plan_sends_the_same_requests(fleet: Fleet) -> None:
    fleet.sandbox.clear_requests()

    ended = fleet.cli("plan", "--all", "--json", "--exit-code")

    assert (ended.code, len(json.loads(ended.out)["plans"])) == (0, COUNT)
    assert fleet.request_counts()["/api/organization/*/processings"] == 1
    assert fleet.request_counts()["/api/organization/*/processings/find"] == 0


def test_worker_processes_read_the_same(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    _, threads = fleet.drift("--all")
    _in_two_processes(monkeypatch)

    _, processes = fleet.drift("--all")

    assert _without_times(processes) == _without_times(threads)
    assert active_children() == []


def test_status_reads_them_at_once_in_a_stable_order(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet.sandbox.clear_requests()
    threads = fleet.cli("status", "--all", "--json")
    requests = fleet.request_counts()
    _in_two_processes(monkeypatch)
    processes = fleet.cli("status", "--all", "--json")

    rows = json.loads(threads.out)["rows"]
    assert (threads.code, {row["drift"] for row in rows}) == (0, {"in sync"})
    assert len(rows) == COUNT
    assert rows == sorted(rows, key=lambda row: row["stack"])
    assert requests["/api/organization/*/processings"] == 1
    assert (processes.code, json.loads(processes.out)["rows"]) == (0, rows)


def test_status_shows_a_pipeline_that_kills_its_worker(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    _in_two_processes(monkeypatch)
    monkeypatch.setattr("reconciler.engine.fleet.run_chunk", die)

    ended = fleet.cli("status", "--all", "--json")

    rows = {row["folder"]: row["drift"] for row in json.loads(ended.out)["rows"]}
    assert ended.code == 13
    assert "the worker process that was working on it was killed" in rows.pop("pipeline_0007")
    assert set(rows.values()) == {"in sync"}


def _in_two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.engine.workers._MANY", 2)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})


def die_at_first(task: Task[Any, Any], chunk: Chunk[Any]) -> Outcomes[Any]:
    """Run a chunk, but end like a killed process at the first attempt at one pipeline."""
    return die(task, chunk) if chunk.attempt == 1 else run_chunk(task, chunk)


def die(task: Task[Any, Any], chunk: Chunk[Any]) -> Outcomes[Any]:
    """Run a chunk, but end like a killed process at one pipeline."""
    if any(folder.name == "pipeline_0007" for folder in chunk.jobs):
        os.kill(os.getpid(), signal.SIGKILL)
    return run_chunk(task, chunk)


def test_a_killed_worker_is_replaced(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel kills a worker once; another one reads its pipelines."""
    _, undisturbed = fleet.drift("--all")
    _in_two_processes(monkeypatch)
    monkeypatch.setattr("reconciler.engine.fleet.run_chunk", die_at_first)

    ended, report = fleet.drift("--all")

    assert ended.code == 0
    assert _without_times(report) == _without_times(undisturbed)
    assert active_children() == []


def test_a_worker_that_is_always_killed_hides_nothing_else(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    _in_two_processes(monkeypatch)
    monkeypatch.setattr("reconciler.engine.fleet.run_chunk", die)

    ended, report = fleet.drift("--all")

    assert (ended.code, len(report["stacks"])) == (13, COUNT - 1)
    assert {
        folder: [problem["summary"] for problem in told] for folder, told in report["failed"].items()
    } == {"pipeline_0007": ["the worker process that was working on it was killed"]}
    assert active_children() == []


@pytest.mark.parametrize("command", ["plan", "drift", "status", "apply"])
@pytest.mark.parametrize(
    ("arguments", "early"), [(("--all",), True), (("--all", "--type", "TRAINING"), False)]
)
def test_workers_are_forked_before_the_command_has_a_thread(
    fleet: Fleet, command: str, arguments: tuple[str, ...], early: bool
) -> None:
    code = """
import os, sys, threading
from multiprocessing import popen_fork
from reconciler import cli
from reconciler.engine import workers
workers._MANY, os.sched_getaffinity = 2, lambda _: {0, 1}
def fork(*_):
    is_imported = f"reconciler.cli.handlers.{sys.argv[1]}" in sys.modules
    os._exit(50 if is_imported and threading.active_count() == 1 else 60)
popen_fork.Popen._launch = fork
cli.main(sys.argv[1:])
"""
    program = [sys.executable, "-c", code, command, *arguments]
    done = subprocess.run(program, capture_output=True, text=True, check=False)

    assert (done.returncode == 50) is early, done.stderr
    assert done.returncode != 60


SIGNALS = {
    "Ctrl-C": lambda pid: os.killpg(pid, signal.SIGINT),
    "SIGTERM": lambda pid: os.kill(pid, signal.SIGTERM),
    "SIGTERM to the group": lambda pid: os.killpg(pid, signal.SIGTERM),
    "a closed terminal": lambda pid: os.killpg(pid, signal.SIGHUP),
}
"""How a command with worker processes is interrupted."""


@pytest.mark.parametrize("sent", SIGNALS)
def test_a_signal_while_workers_start_prints_one_word(fleet: Fleet, sent: str) -> None:
    assert _interrupted(fleet, lambda _: True, sent) == (130, ["interrupted"])


def test_ctrl_c_while_a_worker_starts_waits_for_the_start() -> None:
    """Another thread may get the signal, although this one blocks it."""
    code = """
import os, signal, threading, time
from reconciler.engine.workers import without_ctrl_c
signal.signal(signal.SIGINT, signal.default_int_handler)
threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
try:
    with without_ctrl_c():
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.2)
        print("started")
    print("not interrupted")
except KeyboardInterrupt:
    print("interrupted")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["started", "interrupted"]


@pytest.mark.parametrize("sent", SIGNALS)
def test_a_signal_while_workers_read_prints_one_word(fleet: Fleet, sent: str) -> None:
    def asks(_: int) -> bool:
        return any(request["path"].endswith("/inputs") for request in fleet.sandbox.requests())

    assert _interrupted(fleet, asks, sent) == (130, ["interrupted"])


def _interrupted(fleet: Fleet, ready: Callable[[int], bool], sent: str) -> tuple[int, list[str]]:
    """Interrupt when a worker process runs and `ready`; returns the exit code and the words on stderr."""
    code = """
import os, signal
from reconciler import cli
from reconciler.engine import workers
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background of a script ignores it
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored after `nohup`
workers._MANY, os.sched_getaffinity = 2, lambda _: {0, 1}
cli.main(["drift", "--all"])
"""
    fleet.sandbox.clear_requests()
    fleet.sandbox.fail("GET", "/inputs$", "hang", seconds=600, times=None)
    with (
        TemporaryDirectory() as scratch,
        subprocess.Popen(
            [sys.executable, "-c", code],
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "TMPDIR": scratch},
        ) as run,
    ):
        while not any(ready(pid) for pid in _workers(run.pid)):
            assert run.poll() is None
            time.sleep(0.01)
        SIGNALS[sent](run.pid)
        _, err = run.communicate()  # until no process has its stderr
        assert [*Path(scratch).iterdir()] == [], "nothing is left, sockets of workers included"
    return run.returncode, err.split()


def _workers(command: int) -> list[int]:
    """The worker processes of a command, which are forked from it."""
    program = _read(f"/proc/{command}/cmdline")
    return [child for child in _children(command) if _read(f"/proc/{child}/cmdline") == program]


def _children(pid: int) -> list[int]:
    return [int(child) for child in _read(f"/proc/{pid}/task/{pid}/children").split()]


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except (FileNotFoundError, ProcessLookupError):  # that process is gone
        return ""


def test_a_process_that_cannot_sign_in_leaves_its_pipelines_to_the_others(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, undisturbed = fleet.drift("--all")
    _in_two_processes(monkeypatch)
    fleet.sandbox.fail("GET", "/api/organizations/find$", 401)

    ended, report = fleet.drift("--all")

    assert ended.code == 0
    assert _without_times(report) == _without_times(undisturbed)


def test_a_sign_in_error_of_all_processes_is_the_error(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    _in_two_processes(monkeypatch)
    fleet.sandbox.fail("GET", "/api/organizations/find$", 401, times=None)

    ended = fleet.cli("drift", "--all")

    assert ended.code == 1
    assert "does not accept this API token" in ended.err


@pytest.mark.parametrize("problem", [TypeError("odd"), PermissionError(13, "Permission denied", "some/file")])
@pytest.mark.parametrize("place", ["files", "live"])
def test_a_bug_in_one_pipeline_hides_no_other(
    place: str, problem: Exception, fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    from providers.picsellia.kinds import processing
    from reconciler.engine import chunks

    live, validate = processing._live, chunks.validate

    def live_or_bug(answer: Any) -> Any:
        if answer["name"] == "pipeline_0003":
            raise problem
        return live(answer)

    def validated_or_bug(folder: Path, *arguments: Any, **options: Any) -> Any:
        if folder.name == "pipeline_0003":
            raise problem
        return validate(folder, *arguments, **options)

    if place == "live":
        monkeypatch.setattr(processing, "_live", live_or_bug)
    else:
        monkeypatch.setattr(chunks, "validate", validated_or_bug)

    ended, report = fleet.drift("--all")

    assert (ended.code, len(report["stacks"]), list(report["failed"])) == (13, COUNT - 1, ["pipeline_0003"])
    assert (
        "a bug in reconciler: TypeError: odd" if isinstance(problem, TypeError) else "some/file"
    ) in ended.err
    planned = fleet.cli("plan", "--all", "--json")
    assert (planned.code, len(json.loads(planned.out)["plans"])) == (1, COUNT - 1)


def test_incomplete_lists_are_completed_by_reads(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fields that a list lacks are read one by one, so none becomes unverified."""
    from providers.picsellia.answer import Answer
    from providers.picsellia.platform import Platform

    whole = Platform.pages

    def shorter(
        self: Platform, collection: str, identity: str = "id"
    ) -> Iterator[tuple[list[Answer], int | None]]:
        for page, count in whole(self, collection, identity):
            yield [Answer({key: item[key] for key in item if key != "default_cpu"}) for item in page], count

    monkeypatch.setattr(Platform, "pages", shorter)
    fleet.sandbox.platform.edit_processing("pipeline_0007", default_cpu=64)
    try:
        ended, report = fleet.drift("--all")
    finally:
        fleet.sandbox.platform.edit_processing("pipeline_0007", default_cpu=4)

    found = [(f["address"], f["field"], f["live"]) for s in report["stacks"] for f in s["findings"]]
    assert (ended.code, found) == (11, [("processing/pipeline_0007", "default_cpu", 64)])
    assert {stack["unverified"] for stack in report["stacks"]} == {0}


def test_fields_that_reads_lack_too_cost_no_further_reads(fleet: Fleet) -> None:
    fleet.sandbox.switch(echo="certain")

    ended, report = fleet.drift("--all")

    assert ended.code == 0
    assert sum(stack["unverified"] for stack in report["stacks"]) > COUNT
    assert fleet.request_counts()["/api/organization/*/processings/find"] < PROCESSINGS


def test_an_object_missing_in_the_lists_is_read(fleet: Fleet) -> None:
    fleet.sandbox.fail("GET", "/processings$", 500, times=None)

    ended, report = fleet.drift("--all")

    assert (ended.code, len(report["stacks"])) == (0, COUNT)
    assert fleet.request_counts()["/api/organization/*/processings/find"] == PROCESSINGS


def test_a_busy_platform_only_slows_the_run_down(fleet: Fleet) -> None:
    fleet.sandbox.platform.edit_processing("pipeline_0003", default_gpu=1)
    try:
        _, calm = fleet.drift("--all")
        fleet.sandbox.fail(
            "*", "^/(api/processing|v2)/", 429, times=None, every=20, headers={"Retry-After": "1"}
        )
        ended, busy = fleet.drift("--all")
    finally:
        fleet.sandbox.platform.edit_processing("pipeline_0003", default_gpu=0)

    refused = [request for request in fleet.sandbox.requests() if request["status"] == 429]
    assert (ended.code, len(refused) > 3) == (11, True)
    assert _without_times(busy) == _without_times(calm)


def _without_times(document: dict[str, Any]) -> str:
    return re.sub(r'"(at|first_seen|last_seen|age_seconds)": ("[^"]*"|\d+)', "", json.dumps(document))


def test_a_platform_that_stays_busy_is_reported_as_unchecked(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.sandbox.fail("GET", "/inputs$", 429, times=None, headers={"Retry-After": "3600"})

    ended, report = fleet.drift("--all")

    unchecked = [stack["stack"]["pipeline"] for stack in report["stacks"] if stack["unchecked"]]
    assert (ended.code, len(unchecked)) == (13, PROCESSINGS)
    assert f"{TRAININGS} pipelines in sync" in ended.out


def test_a_dead_registry_hides_nothing_else(fleet: Fleet) -> None:
    with closing(socket()) as nobody:
        nobody.bind(("127.0.0.1", 0))  # held, and answered by nobody
        config = fleet.folder / "pipeline_0005" / "config.toml"
        before = config.read_text()
        config.write_text(before.replace(fleet.sandbox.registry, f"localhost:{nobody.getsockname()[1]}"))
        fleet.sandbox.platform.edit_processing("pipeline_0009", default_cpu=64)
        try:
            ended, report = fleet.drift("--all")
        finally:
            config.write_text(before)
            fleet.sandbox.platform.edit_processing("pipeline_0009", default_cpu=4)

    unchecked = {s["stack"]["pipeline"]: len(s["unchecked"]) for s in report["stacks"] if s["unchecked"]}
    assert (ended.code, unchecked) == (13, {"pipeline_0005": 1})
    assert "processing/pipeline_0009" in {f["address"] for s in report["stacks"] for f in s["findings"]}


def test_a_broken_pipeline_is_listed_under_its_folder(fleet: Fleet) -> None:
    broken, twin = fleet.folder / "broken", fleet.folder / "twin"
    for folder in (broken, twin):
        folder.mkdir()
    (broken / "config.toml").write_text("[metadata]\nname = 3\n")
    for file in (fleet.folder / "pipeline_0001").iterdir():
        (twin / file.name).write_bytes(file.read_bytes())
    try:
        ended, report = fleet.drift("--all")
        named, _ = fleet.drift("./broken", "pipeline_0000", "nowhere", name="named")
    finally:
        for folder in (broken, twin):
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()

    assert (ended.code, sorted(report["failed"])) == (13, ["broken", "pipeline_0001", "twin"])
    assert len(report["stacks"]) == COUNT - 1
    for folder in ("twin", "pipeline_0001"):
        assert "two pipelines have the stack 'pipeline_0001'" in report["failed"][folder][0]["summary"]
    assert (named.code, "no pipeline is called nowhere" in named.err) == (13, True)


class TestShards:
    def parts(self, fleet: Fleet, of: int) -> list[Path]:
        fleet.sandbox.platform.edit_processing("pipeline_0011", default_cpu=64)
        try:
            for index in range(1, of + 1):
                fleet.drift("--all", "--shard", f"{index}/{of}", name=f"part{index}")
            fleet.drift("--all", name="whole")
        finally:
            fleet.sandbox.platform.edit_processing("pipeline_0011", default_cpu=4)
        return [fleet.reports / f"part{index}.json" for index in range(1, of + 1)]

    def merge(self, fleet: Fleet, *files: Path) -> tuple[Ended, dict[str, Any]]:
        into = fleet.reports / "all.json"
        ended = fleet.cli("drift", "merge", *map(str, files), "--json", str(into))
        assert into.exists(), ended.err
        return ended, json.loads(into.read_text())

    def test_shards_together_equal_one_run(self, fleet: Fleet) -> None:
        parts = self.parts(fleet, 3)
        whole = json.loads((fleet.reports / "whole.json").read_text())

        ended, report = self.merge(fleet, *reversed(parts))

        assert ended.code == 11
        assert len(report["stacks"]) == COUNT
        merged, one = comparable(report), comparable(whole)
        assert [_without_times(json.loads(text)) for text in merged.pop("stacks")] == [
            _without_times(json.loads(text)) for text in one.pop("stacks")
        ]
        assert merged == one
        sizes = [len(json.loads(part.read_text())["stacks"]) for part in parts]
        assert sum(sizes) == COUNT
        assert all(sizes)

    def test_a_missing_part_is_reported_as_unchecked(self, fleet: Fleet) -> None:
        first, _, third = self.parts(fleet, 3)

        ended, report = self.merge(fleet, first, third)

        [missing] = report["failed"]
        assert (ended.code, missing.partition(" of ")[0]) == (13, "part 2/3")
        assert f"{missing} is missing" in " ".join(ended.err.split())

    def test_two_different_reports_of_a_stack_are_an_error(self, fleet: Fleet) -> None:
        (part,) = self.parts(fleet, 1)
        other = fleet.reports / "other.json"
        other.write_text(part.read_text().replace('"live": 64', '"live": 32'))

        same, _ = self.merge(fleet, part, part)
        ended, report = self.merge(fleet, part, other)

        assert same.code == 11
        (failed,) = report["failed"]
        assert (ended.code, failed.endswith("/pipeline_0011")) == (13, True)

    @pytest.mark.parametrize("shard", ["0/3", "4/3", "1/0", "x", "1/2/3"])
    def test_an_invalid_part(self, fleet: Fleet, shard: str) -> None:
        assert fleet.cli("drift", "--all", "--shard", shard).code == 2

    def test_a_file_that_is_not_a_report(self, fleet: Fleet) -> None:
        other = fleet.reports / "other.json"
        other.write_text('{"format": "reconciler/plan"}')

        for file in (other, fleet.reports / "nowhere.json"):
            ended = fleet.cli("drift", "merge", str(file))
            assert (ended.code, str(file) in ended.err.replace("\n", "")) == (1, True)
