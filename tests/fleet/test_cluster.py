"""`--executor dask://HOST:PORT`, with a real scheduler and real workers on loopback addresses."""

import json
import pickle
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.runs import user
from providers.sandbox import Sandbox
from reconciler.engine import cluster
from reconciler.engine.workers import THREADS
from tests.conftest import Cli, Ended, copy_example
from tests.fleet import made
from tests.fleet.clusters import Cluster
from tests.test_readme import ROOT
from tests.waits import PATIENCE, until

pytest.importorskip("distributed", reason="Dask is not installed: make setup")
pytestmark = pytest.mark.xdist_group("cluster")

COUNT = 12


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sandbox, Path]]:
    """A fleet in sync, and the folder with its pipelines and state."""
    folder = tmp_path_factory.mktemp("fleet")
    with Sandbox() as sandbox, pytest.MonkeyPatch.context() as monkeypatch:
        sign_in(monkeypatch, sandbox, folder)
        folders = made.pipelines(folder / "pipelines", sandbox.registry, COUNT)
        made.publish(folders, sandbox)
        made.record(folders, folder / "pipelines")
        yield sandbox, folder


def sign_in(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, folder: Path) -> None:
    for name, value in user(sandbox, folder / "state.db").items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    started = Cluster(tmp_path_factory.mktemp("logs"))
    yield started
    started.end()


class Fleet:
    def __init__(self, cli: Cli, cluster: Cluster, sandbox: Sandbox, folder: Path, reports: Path) -> None:
        self.cli = cli
        self.cluster = cluster
        self.sandbox = sandbox
        self.folder = folder
        self.reports = reports

    def drift(self, *arguments: str) -> tuple[Ended, dict[str, Any]]:
        file = self.reports / "drift.json"
        file.unlink(missing_ok=True)
        self.sandbox.clear_requests()
        ended = self.cli("drift", "--all", "--json", str(file), *arguments)
        return ended, json.loads(file.read_text()) if file.exists() else {"printed": ended}

    def on_cluster(self, *arguments: str) -> tuple[Ended, dict[str, Any]]:
        return self.drift("--executor", self.cluster.url, *arguments)

    def relative(self, text: str) -> str:
        """The text with paths relative to the top of the workspace, as those of a cluster are."""
        return text.replace(f"{self.folder}/", "")

    def has_read(self, count: int) -> bool:
        """Whether the workers have read the inputs of this many processings."""
        return sum(request["path"].endswith("/inputs") for request in self.sandbox.requests()) >= count


@pytest.fixture
def fleet(
    applied: tuple[Sandbox, Path],
    scheduler: Cluster,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Fleet]:
    sandbox, folder = applied
    sign_in(monkeypatch, sandbox, folder)
    monkeypatch.setattr(cluster, "PATIENCE", PATIENCE)
    monkeypatch.chdir(folder / "pipelines")
    yield Fleet(Cli(folder / "pipelines", capsys), scheduler, sandbox, folder / "pipelines", tmp_path)
    scheduler.end_workers()
    sandbox.switch(faults=[], latency=0)


def comparable(document: dict[str, Any]) -> str:
    return re.sub('(first_seen|last_seen|age_seconds)": ("[^"]*"|\\d+)', "", json.dumps(document["stacks"]))


def test_a_cluster_reads_the_same(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = list[bytes]()
    shares = set[int]()
    submit = cluster._Cluster.submit

    def recorded(executor: Any, call: Any, task: Any, chunk: Any) -> Any:
        sent.append(pickle.dumps((call, task, chunk)))
        shares.add(task.sessions)
        return submit(executor, call, task, chunk)

    monkeypatch.setattr(cluster._Cluster, "submit", recorded)
    for _ in range(2):
        fleet.cluster.worker(fleet.folder)
    fleet.sandbox.platform.edit_processing("pipeline_0003", default_cpu=64)
    on = ("--executor", fleet.cluster.url)
    try:
        here, there = fleet.drift(), fleet.on_cluster()
        plans = [fleet.cli("plan", "--all", "--json", *arguments) for arguments in ((), on)]
        rows = [fleet.cli("status", "--all", "--json", *arguments) for arguments in ((), on)]
    finally:
        fleet.sandbox.platform.edit_processing("pipeline_0003", default_cpu=4)

    assert (here[0].code, there[0].code) == (11, 11)
    assert there[0].out.splitlines() == fleet.relative(here[0].out).splitlines()
    assert comparable(there[1]) == fleet.relative(comparable(here[1]))
    assert fleet.sandbox.writes() == []
    assert plans[1].out == fleet.relative(plans[0].out)
    assert (rows[0].code, json.loads(rows[0].out)["rows"]) == (0, json.loads(rows[1].out)["rows"])
    assert len(sent) >= 3
    assert not [task for task in sent if fleet.sandbox.token.encode() in task], "a token is in a task"
    assert shares == {2}


def test_a_worker_that_is_killed_costs_nothing(fleet: Fleet) -> None:
    _, undisturbed = fleet.drift()
    first, _ = (fleet.cluster.worker(fleet.folder) for _ in range(2))
    fleet.sandbox.switch(latency=0.2)

    def kill() -> None:
        until(lambda: fleet.has_read(2))
        first.kill()

    fleet.sandbox.clear_requests()
    killer = threading.Thread(target=kill)
    killer.start()
    ended, report = fleet.on_cluster()
    killer.join()

    assert ended.code == 0
    assert comparable(report) == comparable(undisturbed)


def test_profiled_workers_do_not_lock_up(fleet: Fleet, tmp_path: Path) -> None:
    """Before Python 3.11.9, Dask's profiler can wait forever for a thread that is starting.

    It does so if garbage is collected in the wrong moment, which is here whenever it looks.
    """
    collect = tmp_path / "collect.py"
    collect.write_text(
        "import gc, sys, time\n\n\n"
        "def slow(phase, info):\n"
        "    if sys._getframe(1).f_code.co_name == 'trigger_profile':\n"
        "        time.sleep(0.001)\n\n\n"
        "gc.set_threshold(1, 1000, 1000)\n"
        "gc.callbacks.append(slow)\n"
    )
    fleet.cluster.worker(
        fleet.folder,
        DASK_DISTRIBUTED__WORKER__PRELOAD=str(collect),
        DASK_DISTRIBUTED__WORKER__PROFILE__INTERVAL="1ms",
    )
    ended, report = fleet.on_cluster()
    assert (ended.code, len(report["stacks"])) == (0, COUNT)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sandbox, Path]]:
    """As `applied`, with 10,000 pipelines."""
    folder = tmp_path_factory.mktemp("many")
    with Sandbox(subprocess=True) as sandbox, pytest.MonkeyPatch.context() as monkeypatch:
        sign_in(monkeypatch, sandbox, folder)
        folders = made.pipelines(folder / "pipelines", sandbox.registry, 10_000)
        made.publish(folders, sandbox)
        made.record(folders, folder / "pipelines")
        yield sandbox, folder


@pytest.fixture(params=["applied", pytest.param("many", marks=pytest.mark.full)])
def fleet_of_any_size(request: pytest.FixtureRequest, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """The fleet of all tests, and a large one in a sandbox of its own."""
    if request.param == "applied":
        return fleet
    sandbox, folder = request.getfixturevalue("many")
    sign_in(monkeypatch, sandbox, folder)
    monkeypatch.chdir(folder / "pipelines")
    return Fleet(fleet.cli, fleet.cluster, sandbox, folder / "pipelines", fleet.reports)


@contextmanager
def killed(fleet: Fleet, workers: Sequence["subprocess.Popen[bytes]"], every: int) -> Iterator[None]:
    """Kill these workers one by one, each after so many further requests, unless the block ends before."""
    is_over = threading.Event()
    sent = max((request["number"] for request in fleet.sandbox.requests()), default=0)

    def kill() -> None:
        for number, worker in enumerate(workers, 1):
            last = sent + number * every
            until(lambda last=last: is_over.is_set() or fleet.sandbox.requests(since=last), 12 * PATIENCE)  # type: ignore[misc]
            if not is_over.is_set():
                worker.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield
    finally:
        is_over.set()
        killer.join()


def test_two_of_four_workers_are_killed_at_random(fleet_of_any_size: Fleet) -> None:
    """Nothing is left out, and nothing is wrong in the rest."""
    fleet = fleet_of_any_size
    names = sorted(folder.name for folder in fleet.folder.iterdir())
    doomed = random.sample([fleet.cluster.worker(fleet.folder) for _ in range(4)], 2)
    fleet.sandbox.switch(latency=0.05)

    with killed(fleet, doomed, every=len(names) // 2):
        ended, report = fleet.on_cluster()

    assert (ended.code, report["failed"]) == (0, {}), ended
    assert sorted(stack["stack"]["folder"] for stack in report["stacks"]) == names
    assert not [stack for stack in report["stacks"] if stack["findings"] or stack["unchecked"]]
    assert fleet.sandbox.writes() == []


def test_two_of_four_workers_are_killed_at_random_while_they_apply(fleet_of_any_size: Fleet) -> None:
    """Their pipelines are applied by the others, each of them by one at a time."""
    fleet = fleet_of_any_size
    for config in fleet.folder.glob("*/config.toml"):
        config.write_text(re.sub("description = .*", 'description = "Better."', config.read_text()))
    count = len(list(fleet.folder.iterdir()))
    doomed = random.sample([fleet.cluster.worker(fleet.folder) for _ in range(4)], 2)
    fleet.sandbox.switch(latency=0.05)

    with killed(fleet, doomed, every=4 * count):  # 3 requests of each for the plan, and 6 to apply it
        ended = fleet.cli("apply", "--all", "--yes", "--executor", fleet.cluster.url, "--json", "-")

    assert ended.code == 0, ended.err
    results = Counter(run["result"] for run in json.loads(ended.out)["pipelines"])
    assert results.total() == count
    assert results.keys() <= {"applied", "unchanged"}, "unchanged: its worker was killed after the last write"
    writes = Counter(request["path"] for request in fleet.sandbox.writes(service="platform"))
    descriptions = [one["description"] for one in fleet.sandbox.platform.processings()]
    assert descriptions == ["Better."] * count
    assert len(writes) == count
    assert max(writes.values()) <= 2, "written again only if its worker was killed before it noted the answer"
    assert sum(writes.values()) - count <= 2 * THREADS, "each worker had so many in hand"
    fleet.sandbox.switch(latency=0)
    assert fleet.cli("plan", "--all", "--exit-code").code == 0


def test_a_cluster_that_is_lost_leaves_nothing_out(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "GONE", 1.0)
    worker = fleet.cluster.worker(fleet.folder)
    fleet.sandbox.fail("GET", "/inputs$", "hang", seconds=600, times=None)

    def kill() -> None:
        until(lambda: fleet.has_read(1))
        worker.kill()

    fleet.sandbox.clear_requests()
    killer = threading.Thread(target=kill)
    killer.start()
    ended, report = fleet.on_cluster()
    killer.join()

    assert "printed" not in report, ended
    assert (ended.code, len(report["failed"])) == (13, COUNT)
    assert {problem["summary"] for told in report["failed"].values() for problem in told} == {
        "the Dask cluster was lost"
    }


@pytest.fixture
def checkout(fleet: Fleet, tmp_path: Path) -> Path:
    """The same files at another place."""
    shutil.copytree(fleet.folder, tmp_path / "checkout")
    return tmp_path / "checkout"


def test_workers_use_their_own_checkout(fleet: Fleet, checkout: Path, tmp_path: Path) -> None:
    _, here = fleet.drift()
    fleet.cluster.worker(tmp_path, RECONCILER_WORKSPACE=str(checkout))

    ended, there = fleet.on_cluster()
    assert "printed" not in there, ended
    assert (ended.code, comparable(there)) == (0, comparable(here))

    (checkout / "pipeline_0002/pipeline.py").write_text("print('other')\n")
    config = checkout / "pipeline_0005/config.toml"
    config.write_text(f"{config.read_text()}# a remark\n")
    (checkout / "pipeline_0007/config.toml").unlink()
    ended, report = fleet.on_cluster()

    assert (ended.code, len(report["stacks"])) == (13, COUNT - 3)
    for name in ("pipeline_0002", "pipeline_0005", "pipeline_0007"):
        (problem,) = report["failed"][name]
        assert problem["summary"] == f"a worker has other files of {name}"
        assert str(checkout) in problem["detail"]
        assert re.search(r"is (\w{16}|none) in .* and \w{16} here", problem["detail"])


def test_a_worker_without_a_token_is_an_error(fleet: Fleet) -> None:
    fleet.cluster.worker(fleet.folder, PICSELLIA_TOKEN="")

    ended, _ = fleet.on_cluster()

    assert ended.code == 1
    assert "PICSELLIA_TOKEN" in ended.err


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"PICSELLIA_CUSTOM_ENV": "http://localhost:9"}, "has another platform"),
        ({"RECONCILER_STATE": "other.db"}, "has another state"),
        ({"RECONCILER_WORKSPACE": "/nowhere"}, "RECONCILER_WORKSPACE of a worker: /nowhere: No such file"),
    ],
)
def test_a_worker_that_differs_is_an_error(fleet: Fleet, variables: dict[str, str], problem: str) -> None:
    fleet.cluster.worker(fleet.folder, **variables)

    ended, _ = fleet.on_cluster()

    assert (ended.code, problem in ended.err) == (13, True), ended
    assert fleet.sandbox.requests() == []


def test_a_worker_of_another_version_is_an_error(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.api.clusters.version", lambda: "99.0")
    monkeypatch.setattr("platform.python_version_tuple", lambda: ("3", "99", "0"))
    fleet.cluster.worker(fleet.folder)

    ended, _ = fleet.on_cluster()

    assert ended.code == 13
    assert "has another version of reconciler" in ended.err
    assert "Here: 3.99." in ended.err


def test_a_cluster_without_workers_or_scheduler(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "PATIENCE", 1.0)

    unreachable, report = fleet.drift("--executor", "dask://127.0.0.1:9")
    empty, _ = fleet.on_cluster()

    assert (unreachable.code, empty.code) == (13, 13)
    assert len(report["failed"]) == len(list(fleet.folder.iterdir())), "each pipeline is in the report"
    assert "no Dask scheduler answers at 127.0.0.1:9" in unreachable.err
    assert (
        f"has no workers\n  Start some in a checkout of this workspace: dask worker tcp://{fleet.cluster.address}"
        in empty.err
    )


def test_without_dask_the_error_says_what_to_install(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)

    ended, _ = fleet.on_cluster()

    assert (ended.code, "pip install 'picsellia-reconciler[dask]'" in ended.err) == (1, True)


def test_a_folder_below_the_top_of_the_workspace_is_an_error(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    (fleet.folder / "reconciler.toml").write_text("")
    monkeypatch.chdir(fleet.folder / "pipeline_0001")
    try:
        ended = fleet.cli("plan", "--executor", "dask://127.0.0.1:9")
    finally:
        (fleet.folder / "reconciler.toml").unlink()

    assert (ended.code, f"cd {fleet.folder}" in ended.err) == (1, True)


@pytest.mark.parametrize(
    "url", ["localhost:8786", "dask://", "dask://localhost", "dask://:1", "tcp://h:1", "dask://h:1/x"]
)
def test_an_address_that_is_none(fleet: Fleet, url: str) -> None:
    ended = fleet.cli("plan", "--all", "--executor", url)
    assert (ended.code, "is not an address such as dask://localhost:8786" in ended.err) == (2, True)


def test_ctrl_c_ends_the_command_and_no_worker(fleet: Fleet) -> None:
    worker = fleet.cluster.worker(fleet.folder)
    fleet.sandbox.clear_requests()
    fleet.sandbox.fail("GET", "/inputs$", "hang", seconds=600, times=None)
    code = """
import signal, sys
from reconciler import cli
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background of a script ignores it
cli.main(sys.argv[1:])
"""
    command = [sys.executable, "-c", code, "drift", "--all", "--executor", fleet.cluster.url]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as run:
        until(lambda: fleet.has_read(1))
        run.send_signal(signal.SIGINT)
        _, err = run.communicate()

    assert (run.returncode, err.split()) == (130, ["interrupted"])
    assert worker.poll() is None


def test_the_commands_of_the_page(fleet: Fleet) -> None:
    address, page = fleet.cluster.address, (ROOT / "docs/how-to/cluster.md").read_text()
    page = page.replace("scheduler.internal:8786", address)
    lines = [line for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL) for line in block.splitlines()]
    commands = [line.split() for line in lines if line.startswith("reconciler ")]
    others = [line for line in lines if not line.startswith("reconciler ")]

    assert [line.partition(" ")[0] for line in others] == ["pip", "dask", "cd", "export", "dask"]
    assert others[1::3] == ["dask scheduler", f"dask worker tcp://{address}"], "as these tests do"
    fleet.cluster.worker(fleet.folder)
    assert len(commands) == 4
    for command in commands:
        assert fleet.cli(*command[1:]).code == 0, command


def test_a_bump_is_no_work_for_a_cluster(fleet: Fleet) -> None:
    ended = fleet.cli("apply", "--all", "--bump", "patch", "--executor", "dask://localhost:1")

    assert ended.code == 2
    assert "run `bump` first" in ended.err


@pytest.fixture
def spread(
    cli: Cli, environments: Sandbox, scheduler: Cluster, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Ended]]:
    """Runs commands on a worker, for the pipeline `trained`, which TEST runs."""
    folder = copy_example("single_training", cli.folder, environments.registry)
    folder.rename(cli.folder / "trained")
    assert cli("apply", "trained", "--env", "TEST", "--yes").code == 0
    monkeypatch.setattr(cluster, "PATIENCE", PATIENCE)
    scheduler.worker(cli.folder)
    yield lambda *command: cli(*command, "--executor", scheduler.url)
    scheduler.end_workers()


def _promote(cli: Cli, config: Path) -> tuple[str, ...]:
    """Promotes a version that only the overlay of TEST has."""
    config.write_text(f'{config.read_text()}\n[reconciler.env.TEST.metadata]\nversion = "1.0.1"\n')
    assert cli("apply", "trained", "--env", "TEST", "--yes").code == 0
    return ("promote", "--all", "--from", "TEST", "--to", "LIVE", "--yes")


def _saved_bump(cli: Cli, config: Path) -> tuple[str, ...]:
    (config.parent / "pipeline.py").write_text("# changed\n")
    bump = ("--bump", "patch", "--out", "plans.json")
    assert cli("plan", "--all", "--env", "TEST", *bump).code == 0
    return ("apply", "--plan", "plans.json")


def _rollback(cli: Cli, config: Path) -> tuple[str, ...]:
    (config.parent / "pipeline.py").write_text("# changed\n")
    assert cli("apply", "trained", "--env", "TEST", "--bump", "patch", "--yes").code == 0
    return ("rollback", "--all", "--env", "TEST", "--write", "--yes")


def _deploy(cli: Cli, config: Path) -> tuple[str, ...]:
    """Writes the image tag, which config.toml has where no environment has a channel."""
    workspace = cli.folder / "reconciler.toml"
    workspace.write_text(re.sub("channel = .*", "", workspace.read_text()))
    config.write_text(re.sub("image_tag = .*", 'image_tag = "test"', config.read_text()))
    return ("deploy", "--all", "--env", "TEST", "--yes")


@pytest.mark.parametrize("prepare", [_promote, _saved_bump, _rollback, _deploy])
def test_no_worker_writes_config_toml(
    cli: Cli,
    environments: Sandbox,
    spread: Callable[..., Ended],
    prepare: Callable[[Cli, Path], tuple[str, ...]],
) -> None:
    """Whatever would write it: a worker's checkout is not the one that is committed."""
    config = cli.folder / "trained" / "config.toml"
    command = prepare(cli, config)
    before = config.read_bytes()
    environments.clear_requests()

    ended = spread(*command)

    assert config.read_bytes() == before
    assert ended.code == 12, ended
    assert "trained/config.toml" in ended.err and "without --executor" in " ".join(ended.err.split()), ended
    assert environments.writes() == []
    assert cli(*command).code == 0
    assert config.read_bytes() != before
