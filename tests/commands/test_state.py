"""`reconciler state` as text and as documents, and a team that shares a bucket."""

import json
import re
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from providers.sandbox import Sandbox
from reconciler.engine.run_identity import ci_job
from state.lock_info import LockInfo
from state.snapshot import Snapshot
from state.stores.sqlite import SqliteStore
from tests.conftest import Cli, copy_example, stack_of
from tests.state.conftest import AT, STACK, counting, intent, resource, run
from tests.state.servers import Bucket, use
from tests.state.test_sqlite import change

ROOT = Path(__file__).parents[2]
Document = Callable[..., Any]


@pytest.fixture
def record(home: Path) -> Path:
    """A store with a state of two saves: one without a lock, one by a run in CI."""
    path = home.parent / "state.db"
    with SqliteStore(path) as store:
        store.save(counting(4).with_resource(resource("model/M", a=1)), expected_serial=0, lock=None)
        job = run("ada", git_commit="c0ffee" * 6, ci="https://ci.example.com/7")
        with store.lock(STACK, job, timeout=0) as lock:
            after = counting(6).with_resource(resource("input/app/new", required=None))
            store.save(after, expected_serial=1, lock=lock)
    return path


@pytest.fixture
def document(cli: Cli) -> Document:
    """The document that a command prints with --json, alone on stdout."""

    def printed(*arguments: str, code: int = 0) -> Any:
        ended = cli("state", *arguments, "--json")
        assert ended.code == code, ended.err
        return json.loads(ended.out)

    return printed


CHANGED = {
    "resources": [
        {
            "address": "input/app/new",
            "change": "added",
            "fields": [{"path": "id", "after": "id of input/app/new"}, {"path": "required", "after": None}],
        },
        {
            "address": "model/M",
            "change": "removed",
            "fields": [{"path": "a", "before": 1}, {"path": "id", "before": "id of model/M"}],
        },
        {
            "address": "processing/app",
            "change": "changed",
            "fields": [{"path": "default_cpu", "before": 4, "after": 6}],
        },
    ],
    "opened": [],
    "settled": [],
}


def test_the_history_shows_user_time_place_command_and_changes(
    record: Path, cli: Cli, document: Document
) -> None:
    told = document("history", "my_pipeline")
    assert (told["format"], told["stack"]) == ("reconciler/history", STACK)
    latest, first = told["saves"]
    assert latest["changes"] == CHANGED
    assert (latest["serial"], latest["owner"], latest["host"]) == (2, "ada", "build-1")
    assert (latest["command"], latest["ci"]) == ("reconciler apply", "https://ci.example.com/7")
    assert latest["git_commit"] == "c0ffee" * 6
    assert [changed["change"] for changed in first["changes"]["resources"]] == ["added", "added"]
    text = cli("state", "history", "my_pipeline").out
    for said in ("ada@build-1", "reconciler apply", "commit c0ffeec0ffee", "https://ci.example.com/7"):
        assert said in text
    assert "~ processing/app  default_cpu" in text
    assert [save["serial"] for save in document("history", STACK, "--limit", "1")["saves"]] == [2]


def saved(path: Path, who: LockInfo | None, *contents: Snapshot) -> None:
    """Write these saves, by one run or without a lock."""
    with (
        SqliteStore(path) as store,
        store.lock(STACK, who, timeout=0) if who else nullcontext() as lock,
    ):
        for content in contents:
            latest = store.load(STACK)
            store.save(content, expected_serial=latest.serial if latest else 0, lock=lock)


@pytest.fixture
def runs(home: Path) -> Path:
    """Where a record is of two saves by nobody with a lock and of two runs of one person: one that ended, and
    one that did not."""
    path = home.parent / "state.db"
    begun = counting(5).with_intent(intent("model/M"))
    completed = counting(6).with_resource(resource("model/M", a=1))
    saved(path, None, counting(4), counting(5))
    saved(path, run("ada"), begun, counting(5).with_resource(resource("model/M")), completed)
    died = run("ada", id="another one", command="reconciler destroy app", git_commit="c0ffee" * 6, ci="7")
    gone = completed.without_resource("model/M")
    begun, next_begun = (
        before.with_intent(intent(address, verb="delete", id=f"id of {address}"))
        for before, address in ((completed, "model/M"), (gone, "processing/app"))
    )
    saved(path, died, begun, next_begun)
    return path


def test_a_run_is_one_block_with_the_changes_of_its_saves(runs: Path, cli: Cli) -> None:
    told = f"""\
6-7  {AT}  ada@build-1     reconciler destroy app
    unknown
    - model/M
    left open processing/app
    commit c0ffeec0ffee  7
3-5  {AT}  ada@build-1     reconciler apply
    applied
    + model/M
    ~ processing/app  default_cpu
2    {AT}  without a lock
    applied
    ~ processing/app  default_cpu
1    {AT}  without a lock
    applied
    + processing/app
"""
    assert cli("state", "history", "my_pipeline").out == told
    assert cli("state", "history", "my_pipeline", "--limit", "2").out.splitlines() == [
        line.replace("     reconciler", "  reconciler") for line in told.splitlines()[:9]
    ]


def test_saves_are_listed_with_an_option_and_in_documents(runs: Path, cli: Cli, document: Document) -> None:
    assert (
        cli("state", "history", "my_pipeline", "--saves", "--limit", "3").out
        == f"""\
7  {AT}  ada@build-1  reconciler destroy app
    - model/M
    opened processing/app
    commit c0ffeec0ffee  7
6  {AT}  ada@build-1  reconciler destroy app
    opened model/M
    commit c0ffeec0ffee  7
5  {AT}  ada@build-1  reconciler apply
    ~ model/M  a
    ~ processing/app  default_cpu
"""
    )
    for options in ((), ("--saves",)):
        told = document("history", "my_pipeline", *options, "--limit", "3")["saves"]
        assert [save["serial"] for save in told] == [7, 6, 5]


def test_a_run_without_the_state_before_or_after_is_marked(runs: Path, cli: Cli) -> None:
    change(runs, "UPDATE contents SET body = x'00' WHERE serial = 5")
    told = cli("state", "history", "my_pipeline").out.splitlines()
    headlines = [number for number, line in enumerate(told) if not line.startswith(" ")]
    assert [told[number].split()[0] for number in headlines] == ["6-7", "3-5", "2", "1"]
    below = [told[number + 1].strip() for number in headlines]
    lost = "content no longer kept, or damaged"
    assert below == [lost, lost, "applied", "applied"]


def test_two_serials_are_compared_field_by_field(record: Path, cli: Cli, document: Document) -> None:
    told = document("diff", "my_pipeline", "1", "2")
    assert {name: told[name] for name in CHANGED} == CHANGED
    assert (told["before"], told["after"]) == (1, 2)
    assert "default_cpu  4 -> 6" in cli("state", "diff", "my_pipeline", "1", "2").out
    assert "default_cpu  6 -> 4" in cli("state", "diff", "my_pipeline", "2", "1").out


def test_the_other_commands_have_documents(record: Path, document: Document) -> None:
    assert document("list")["stacks"] == [STACK]
    assert document("show", "my_pipeline")["serial"] == 2
    assert document("show", "my_pipeline", "--serial", "1")["serial"] == 1
    assert document("unlock", STACK)["holder"] is None
    assert document("verify", "my_pipeline")["whole_serials"] == [2, 1]
    forgotten = document("forget", "my_pipeline", "input/app/new", "--yes")
    assert (forgotten["serial"], forgotten["address"]) == (3, "input/app/new")
    addresses = [found["address"] for found in document("show", "my_pipeline")["resources"]]
    assert addresses == ["processing/app"]


def test_what_is_forgotten_can_be_forgotten_again(record: Path, cli: Cli, document: Document) -> None:
    """A job that is repeated, or was killed before it could release the claim, ends as the first one."""
    for _ in range(2):
        assert document("forget", "my_pipeline", "input/app/new", "--yes")["serial"] == 3
    for _ in range(2):  # that a run deleted is not there either
        assert document("forget", "my_pipeline", "model/M")["serial"] == 3
    never = cli("state", "forget", "my_pipeline", "input/app/never", "--yes")
    assert never.code == 1
    assert "input/app/never is not in the state" in never.err
    for _ in range(2):
        assert document("forget", "--stack", "my_pipeline", "--yes")["serial"] == 4


def test_a_source_of_a_copy_that_does_not_exist_is_an_error_and_an_empty_one_is_not(cli: Cli) -> None:
    ended = cli("state", "copy", "./typo.db", "target.db")
    assert (ended.code, "./typo.db does not exist" in ended.err) == (1, True), ended
    assert not (cli.folder / "target.db").exists()
    with SqliteStore(cli.folder / "empty.db") as empty, empty.lock("org@LIVE/app", run("ada"), timeout=0):
        pass
    ended = cli("state", "copy", "empty.db", "target.db")
    assert (ended.code, ended.out) == (0, "there is no state in empty.db\n"), ended


def test_forget_takes_the_lock(record: Path, cli: Cli) -> None:
    with SqliteStore(record) as store, store.lock(STACK, run("bob"), timeout=0):
        ended = cli("state", "forget", "my_pipeline", "input/app/new", "--yes")
    assert ended.code == 13
    assert "bob@build-1" in ended.err


def test_damaged_state_is_reported_with_a_repair_that_works(
    record: Path, cli: Cli, document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(record, "UPDATE contents SET body = x'00' WHERE serial = 2")
    told = document("verify", "my_pipeline", code=1)
    assert (told["whole"], told["whole_serials"]) == (False, [1])
    ended = cli("state", "verify", "my_pipeline")
    assert ended.code == 1
    assert "Intact serials: 1." in ended.err
    assert "reconciler state copy" in ended.err
    repaired = str(record.parent / "repaired.db")
    copied = cli("state", "copy", str(record), repaired)
    assert copied.code == 1, "a copy that is not whole is no success"
    assert "serials 2 not copied: damaged" in copied.err
    monkeypatch.setenv("RECONCILER_STATE", repaired)
    assert document("verify", "my_pipeline")["serial"] == 1


@pytest.mark.parametrize("name", ["s3", "azure", "gcs"])
def test_a_team_works_through_one_bucket(
    name: str, cli: Cli, sandbox: Sandbox, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """State in a file is copied to the bucket, and then shared."""
    bucket: Bucket = request.getfixturevalue(name)
    use(bucket, monkeypatch)
    copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    assert cli("apply", "dataset_cleanup", "--yes").code == 0
    url = f"{bucket.url}/commands"
    copied = cli("state", "copy", str(cli.folder.parent / "state.db"), url)
    assert "serials copied" in copied.out
    monkeypatch.setenv("RECONCILER_STATE", url)
    assert cli("plan", "dataset_cleanup", "--exit-code").code == 0
    sandbox.platform.edit_processing("dataset_cleanup", default_cpu=64)
    assert cli("plan", "dataset_cleanup", "--exit-code").code == 11
    assert cli("apply", "dataset_cleanup", "--yes").code == 0
    assert cli("plan", "dataset_cleanup", "--exit-code").code == 0
    assert f"{stack_of('dataset_cleanup')} is intact" in cli("state", "verify", "dataset_cleanup").out


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ""),
        (
            {
                "GITHUB_SERVER_URL": "https://github.com",
                "GITHUB_REPOSITORY": "my/app",
                "GITHUB_RUN_ID": "42",
            },
            "https://github.com/my/app/actions/runs/42",
        ),
        ({"GITHUB_RUN_ID": "42"}, "42"),
        (
            {"CI_JOB_URL": "https://gitlab.com/my/app/-/jobs/9", "CI_JOB_ID": "9"},
            "https://gitlab.com/my/app/-/jobs/9",
        ),
        ({"BUILD_URL": "", "BUILD_ID": "7"}, "7"),
    ],
)
def test_a_ci_job_is_shown_by_its_address(environment: dict[str, str], expected: str) -> None:
    assert ci_job(environment) == expected


def test_the_commands_of_the_page_work(
    cli: Cli, sandbox: Sandbox, s3: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(s3, monkeypatch)
    folder = copy_example("dataset_cleanup", cli.folder, sandbox.registry).rename(cli.folder / "my_pipeline")
    config = folder / "config.toml"
    config.write_text(config.read_text().replace('name = "dataset_cleanup"', 'name = "my_pipeline"', 1))
    assert cli("apply", "my_pipeline", "--yes").code == 0
    (cli.folder.parent / "state.db").rename(cli.folder / "before.db")
    (block,) = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "how-to" / "share-state.md").read_text(), re.S)
    export, *commands = block.replace("s3://my-bucket/", f"{s3.url}/").splitlines()
    name, _, value = export.removeprefix("export ").partition("=")
    monkeypatch.setenv(name, value)
    for line in commands:
        ended = cli(*line.split()[1:])
        assert ended.code == 0, f"{line}\n{ended.err}"
    assert {line.split()[2] for line in commands if " state " in line} >= {
        "copy",
        "history",
        "diff",
        "verify",
    }


SCOPES = ("sandbox@LOCAL", "sandbox@127.0.0.1:8123", "other@LOCAL")
WHERE = (
    (),
    ("--env", "LOCAL"),
    ("--env", "STAGING"),
    ("--organization", "other"),
    ("--organization", "none"),
)


@pytest.mark.parametrize("where", WHERE, ids=" ".join)
def test_a_refused_name_leads_to_one_that_works(home: Path, cli: Cli, where: tuple[str, ...]) -> None:
    """A hint that repeats the refused name does not help."""
    stacks = [f"{scope}/app" for scope in SCOPES]
    with SqliteStore(home.parent / "state.db") as store:
        for stack in stacks:
            empty = Snapshot.new(stack, f"lineage of {stack}")
            made = empty.with_resource(resource("model/M", a=1)).written(serial=0, by="1", at=AT)
            store.save(made, expected_serial=0, lock=None)
    for name in ("app", "apq", "LOCAL/app", "STAGING/app", *stacks):
        follow(cli, name, where, ())


def follow(cli: Cli, name: str, where: tuple[str, ...], refused: tuple[str, ...]) -> None:
    """Take every way that an error names, until one shows a state."""
    ended = cli("state", "show", name, *where)
    if ended.code == 0:
        return
    assert name not in refused, (*refused, where)
    ways = [(other, where) for other in re.findall(r"Did you mean '(.*?)'", ended.err)]
    for others in re.findall(r"There is state of (.*)\. Give its full name", ended.err):
        ways += [(other, ()) for other in others.split(", ")]
    for others in re.findall(r"has several stacks: (.*)", ended.err):
        ways += [(other, ()) for other in others.split(", ")]
    assert ways or "There is state of" in ended.err, ended.err
    for other, options in ways:
        follow(cli, other, options, (*refused, name))


def test_a_stack_of_another_environment_is_named(record: Path, cli: Cli) -> None:
    for name in ("my_pipeline", STACK):
        ended = cli("state", "show", name, "--env", "LOCAL")

        assert ended.code == 1
        assert f"there is no state of {name} with these options" in ended.err
        assert (
            f"There is state of {STACK}. Give its full name, without --env and --organization." in ended.err
        )


def test_adopt_without_state_says_so(cli: Cli, sandbox: Sandbox) -> None:
    """`apply` finds what exists by its name; `adopt` cannot know who changed what."""
    name = "dataset_cleanup"
    copy_example(name, cli.folder, sandbox.registry)
    assert cli("apply", name, "--yes").code == 0
    assert cli("state", "forget", "--stack", name, "--yes").code == 0
    for changed in ({}, {"default_cpu": 7}):
        sandbox.platform.edit_processing(name, **changed)

        ended = cli("adopt", name)

        assert ended.code == 0
        assert "is empty" in ended.err
        assert "Apply the files to create or add them again: reconciler apply dataset_cleanup" in ended.err
        assert "nothing to adopt: the state does not show what was changed outside" in ended.err
        assert "nothing was changed outside" not in ended.err
