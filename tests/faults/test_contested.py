"""A creation is open, and an object of that name is there which differs: whose it is, only the user can say.

The run died while it created; what is there now may be its own, changed since, or somebody else's.
"""

import signal
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from state.stores.opening import open_store
from tests.conftest import Cli, copy_example, stack_of
from tests.faults.warm import Death, Warm

APPLY = ("apply", "dataset_cleanup", "--yes")


def intents(state: Path) -> list[str]:
    with open_store(str(state)) as store:
        record = store.load(stack_of("dataset_cleanup"))
    return list(record.intents) if record else []


@pytest.fixture
def contested(warm: Warm, cli: Cli, sandbox: Sandbox, tmp_path: Path) -> Path:
    """Killed just before the POST of the processing; then somebody else makes one of that name."""
    copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    assert cli(*APPLY).code == 0
    posts = [(r["method"], r["path"].rpartition("/")[2]) for r in sandbox.requests()]
    number = posts.index(("POST", "processings")) + 1
    sandbox.reset()
    for file in tmp_path.glob("state.db*"):
        file.unlink()
    run = warm.start([*APPLY, "--parallel", "1"], cli.folder, dies=Death("request", number, after=False))
    assert warm.wait(run) == -signal.SIGKILL
    assert intents(tmp_path / "state.db") == ["processing/dataset_cleanup"]
    sandbox.platform.create_processing(
        "dataset_cleanup",
        type="DATASET_VERSION_CREATION",
        default_cpu=64,
        docker_image="somebody/elses",
        docker_tag="latest",
    )
    sandbox.clear_requests()
    return tmp_path / "state.db"


def test_it_is_a_conflict_with_both_sides_and_the_ways_out(
    contested: Path, cli: Cli, sandbox: Sandbox
) -> None:
    for command in (("plan", "dataset_cleanup", "--exit-code"), APPLY):
        ended = cli(*command)
        assert ended.code == 12, ended.err
        assert "conflict: processing/dataset_cleanup" in ended.err
        assert "not as sent by an interrupted run" in ended.err
        for side in ("somebody/elses", "examples/dataset_cleanup", "64", "--ours", "--theirs"):
            assert side in ended.err
    assert sandbox.writes() == []
    assert intents(contested) == ["processing/dataset_cleanup"]


def test_the_files_win_where_the_user_says_so(contested: Path, cli: Cli, sandbox: Sandbox) -> None:
    assert cli(*APPLY, "--ours").code == 0
    found = sandbox.platform.processing("dataset_cleanup")
    assert found is not None and found["default_cpu"] == 4
    settled(contested, cli)


def test_live_is_kept_where_the_user_says_so(contested: Path, cli: Cli, sandbox: Sandbox) -> None:
    assert cli(*APPLY, "--theirs", "processing/dataset_cleanup").code == 0
    found = sandbox.platform.processing("dataset_cleanup")
    assert found is not None and found["default_cpu"] == 64
    assert intents(contested) == []
    assert cli("plan", "dataset_cleanup", "--exit-code").code == 10, "the files still say something else"


def test_live_is_kept_by_the_same_command_after_another_step_failed(
    contested: Path, cli: Cli, sandbox: Sandbox
) -> None:
    """The files do not win because the failed run has recorded what is live."""
    sandbox.fail("POST", "/inputs$", 400)
    assert cli(*APPLY, "--theirs").code == 1
    assert cli(*APPLY).code == 12
    assert cli(*APPLY, "--theirs").code == 0
    found = sandbox.platform.processing("dataset_cleanup")
    assert found is not None and found["default_cpu"] == 64
    assert intents(contested) == []


@pytest.mark.parametrize(
    ("said", "cpu"),
    [
        (("--ours", "--theirs", "processing/dataset_cleanup"), 64),
        (("--theirs", "--ours", "processing/dataset_cleanup"), 4),
    ],
)
def test_a_named_address_comes_before_everywhere(
    contested: Path, cli: Cli, sandbox: Sandbox, said: tuple[str, ...], cpu: int
) -> None:
    assert cli(*APPLY, *said).code == 0
    found = sandbox.platform.processing("dataset_cleanup")
    assert found is not None and found["default_cpu"] == cpu


def test_files_that_say_what_is_there_end_it(contested: Path, cli: Cli, sandbox: Sandbox) -> None:
    desired = cli("plan", "dataset_cleanup", "--ours", "--json")
    assert desired.code == 0
    sandbox.platform.edit_processing(
        "dataset_cleanup",
        default_cpu=4,
        description="Copies a dataset version without blurred and duplicated images.",
        docker_image=f"{sandbox.registry}/examples/dataset_cleanup",
    )
    ended = cli(*APPLY, "--ours")
    assert ended.code == 0, ended.err
    settled(contested, cli)


def test_it_is_not_destroyed_as_if_it_were_ours(contested: Path, cli: Cli, sandbox: Sandbox) -> None:
    ended = cli("destroy", "dataset_cleanup", "--yes", "--prune")
    assert ended.code == 0, ended.err
    assert "processing/dataset_cleanup exists, and an interrupted run may have created it" in ended.err
    assert sandbox.platform.processing("dataset_cleanup") is not None
    assert intents(contested) == []


def test_one_that_somebody_took_away_again_is_created(contested: Path, cli: Cli, sandbox: Sandbox) -> None:
    sandbox.platform.delete_processing("dataset_cleanup")
    assert cli(*APPLY).code == 0
    settled(contested, cli)


def settled(state: Path, cli: Cli) -> None:
    assert intents(state) == []
    assert cli("plan", "dataset_cleanup", "--exit-code").code == 0
