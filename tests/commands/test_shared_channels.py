"""Environments that register one tag: drift, warnings and rollback, with the state of both in one store.

A deploy to TEST moves a tag that LIVE registered, too. So LIVE runs another image than its last apply left.
Every command about LIVE reports it, also when its files declare the new version by now.
"""

import json
import os
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, tzinfo
from html import unescape
from typing import Any, Self

import pytest

from providers.docker.registry.client import RegistryClient
from providers.sandbox import Sandbox
from state import state_writer
from tests.conftest import EXAMPLES, Cli, copy_example, training

NAME = "dataset_cleanup"


@pytest.fixture
def other() -> Iterator[Sandbox]:
    """The platform of PRODUCTION; the pipelines publish to the registry of the first."""
    with Sandbox() as sandbox:
        yield sandbox


Write = Callable[..., None]


@pytest.fixture
def declare(cli: Cli, sandbox: Sandbox, other: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a reconciler.toml with the environments TEST and LIVE, and more keys for each."""
    for name in [name for name in os.environ if name.startswith("PICSELLIA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PICSELLIA_TOKEN", sandbox.token)
    copy_example(NAME, cli.folder, sandbox.registry)

    def write(**keys: str) -> None:
        (cli.folder / "reconciler.toml").write_text(
            '[workspace]\nname = "shop"\n'  # so the stack of a renamed pipeline is found
            + "".join(
                f'[environments.{name}]\nhost = "{platform.url}"\norganization = "{platform.organization}"\n'
                f"{keys.get(name, '')}\n"
                for name, platform in (("TEST", sandbox), ("LIVE", other))
            )
        )

    write()
    return write


@pytest.fixture
def applied(cli: Cli, declare: Write) -> Write:
    """Both environments run 1.0.0."""
    for name in ("TEST", "LIVE"):
        assert cli("apply", NAME, "--env", name, "--yes").code == 0
        assert cli("plan", NAME, "--env", name, "--exit-code").code == 0
    return declare


@pytest.fixture
def moved(cli: Cli, applied: Write) -> Write:
    """TEST got 1.0.1, and config.toml has it."""
    (cli.folder / NAME / "pipeline.py").write_text("print('other')\n")
    assert cli("deploy", NAME, "--env", "TEST", "--bump", "patch", "--yes").code == 0
    return applied


def set_version(cli: Cli, before: str, after: str) -> None:
    config = cli.folder / NAME / "config.toml"
    text = config.read_text()
    assert f'version = "{before}"' in text
    config.write_text(text.replace(f'version = "{before}"', f'version = "{after}"'))


def findings(cli: Cli, environment: str = "LIVE") -> tuple[int, list[dict[str, Any]]]:
    ended = cli("drift", NAME, "--env", environment, "--json", str(cli.folder / "drift.json"))
    document = json.loads((cli.folder / "drift.json").read_text())
    return ended.code, [found for stack in document["stacks"] for found in stack["findings"]]


def tag(sandbox: Sandbox, name: str) -> str | None:
    with RegistryClient(f"{sandbox.registry}/examples/{NAME}") as registry:
        return registry.digest(name)


def test_the_files_of_the_new_version_hide_no_drift(cli: Cli, moved: Write, sandbox: Sandbox) -> None:
    code, (found,) = findings(cli)

    assert code == 11
    assert (found["class"], found["reason_code"]) == ("drift", "channel-moved")
    assert found["field"] == "digest"
    assert (found["recorded"], found["live"]) == (tag(sandbox, "1.0.0"), tag(sandbox, "1.0.1"))
    assert found["reason"] == "latest was moved by TEST's apply of 1.0.1"
    assert found["reason_details"] == {"tag": "latest", "by": "TEST", "version": "1.0.1"}


def test_the_files_of_the_old_version_show_it_too(cli: Cli, moved: Write) -> None:
    (cli.folder / NAME / "pipeline.py").write_text((EXAMPLES / NAME / "pipeline.py").read_text())
    set_version(cli, "1.0.1", "1.0.0")

    code, (found,) = findings(cli)

    assert code == 11
    assert (found["class"], found["reason_code"]) == ("drift", "channel-moved")
    assert "TEST's apply of 1.0.1" in found["reason"]
    plan = cli("plan", NAME, "--env", "LIVE")
    assert "this also changes what TEST runs" in plan.err


def test_apply_acknowledges_what_the_files_say_and_writes_only_state(
    cli: Cli, moved: Write, sandbox: Sandbox, other: Sandbox
) -> None:
    before = tag(sandbox, "latest")
    plan = cli("plan", NAME, "--env", "LIVE", "--exit-code")
    assert plan.code == 11
    assert "latest was moved by TEST's apply of 1.0.1" in plan.out
    assert "also changes" not in plan.err, "nothing is written"
    sandbox.clear_requests()
    other.clear_requests()

    assert cli("apply", NAME, "--env", "LIVE").code == 0

    assert [*sandbox.writes(), *other.writes()] == []
    assert tag(sandbox, "latest") == before
    assert findings(cli) == (0, [])
    assert cli("plan", NAME, "--env", "LIVE", "--exit-code").code == 0


def test_every_output_names_who_moved_the_tag(cli: Cli, moved: Write) -> None:
    files = {name: cli.folder / f"report.{name}" for name in ("junit", "markdown", "html")}
    options = [word for name, file in files.items() for word in (f"--{name}", str(file))]

    ended = cli("drift", NAME, "--env", "LIVE", *options)

    assert ended.code == 11
    for text in (ended.out, *(file.read_text() for file in files.values())):
        assert "latest was moved by TEST's apply of 1.0.1" in unescape(text)


def test_a_baseline_acknowledges_it_until_the_tag_moves_again(
    cli: Cli, moved: Write, sandbox: Sandbox
) -> None:
    file = str(cli.folder / "baseline.toml")
    reason = ("--owner", "ops", "--reason", "tested there", "--expires", "2099-12-31")
    cli("drift", NAME, "--env", "LIVE", "--write-baseline", file, *reason)
    assert cli("drift", NAME, "--env", "LIVE", "--baseline", file).code == 0

    (cli.folder / NAME / "pipeline.py").write_text("print('third')\n")
    assert cli("deploy", NAME, "--env", "TEST", "--bump", "patch", "--yes").code == 0
    ended = cli("drift", NAME, "--env", "LIVE", "--baseline", file)
    assert ended.code == 11
    assert "TEST's apply of 1.0.2" in ended.out


def test_a_deploy_says_which_environments_it_changes(cli: Cli, applied: Write) -> None:
    (cli.folder / NAME / "pipeline.py").write_text("print('other')\n")
    for command in ("plan", "apply"):
        ended = cli(command, NAME, "--env", "TEST", "--bump", "patch")
        assert ended.code == 0
        assert "this also changes what LIVE runs" in ended.err
    again = cli("apply", NAME, "--env", "TEST", "--bump", "patch")
    assert "also changes" not in again.err, "nothing moves"


def test_the_state_shows_it_where_the_files_do_not(cli: Cli, applied: Write, other: Sandbox) -> None:
    """A channel that is declared, but not applied yet, is not the tag that the environment runs."""
    applied(LIVE='channel = "live"')
    (cli.folder / NAME / "pipeline.py").write_text("print('other')\n")
    ended = cli("apply", NAME, "--env", "TEST", "--bump", "patch")
    assert "this also changes what LIVE runs" in ended.err

    assert cli("apply", NAME, "--env", "LIVE", "--yes").code == 0
    (cli.folder / NAME / "pipeline.py").write_text("print('third')\n")
    ended = cli("apply", NAME, "--env", "TEST", "--bump", "patch")
    assert ended.code == 0
    assert "also changes" not in ended.err
    assert findings(cli)[1][0]["class"] == "pending"


@pytest.mark.parametrize(
    "keys", [{"LIVE": 'pin = "version"'}, {"TEST": 'channel = "a"', "LIVE": 'channel = "b"'}]
)
def test_an_environment_with_a_tag_of_its_own_shares_nothing(
    cli: Cli, declare: Write, sandbox: Sandbox, keys: dict[str, str]
) -> None:
    declare(**keys)
    for name in ("TEST", "LIVE"):
        assert cli("apply", NAME, "--env", name, "--yes").code == 0
    (cli.folder / NAME / "pipeline.py").write_text("print('other')\n")

    ended = cli("deploy", NAME, "--env", "TEST", "--bump", "patch", "--yes")

    assert ended.code == 0 and "also changes" not in ended.err
    assert {found["class"] for found in findings(cli)[1]} == {"pending"}, "the files have 1.0.1"
    assert cli("apply", NAME, "--env", "LIVE", "--yes").code == 0
    assert findings(cli) == (0, []) == findings(cli, "TEST")
    assert cli("plan", NAME, "--env", "LIVE", "--exit-code").code == 0


def test_a_follower_has_neither_drift_nor_warnings(
    cli: Cli, applied: Write, sandbox: Sandbox, other: Sandbox
) -> None:
    applied(LIVE='follows = "TEST"')
    (cli.folder / NAME / "pipeline.py").write_text("print('other')\n")

    ended = cli("deploy", NAME, "--env", "TEST", "--bump", "patch", "--yes")

    assert ended.code == 0 and "also changes" not in ended.err
    assert findings(cli) == (0, [])
    assert "share the tag" not in cli("validate", NAME).err
    other.clear_requests()
    ended = cli("apply", NAME, "--env", "LIVE", "--yes")
    assert ended.code == 0 and "also changes" not in ended.err
    assert other.writes() == []
    assert tag(sandbox, "latest") == tag(sandbox, "1.0.1")


def test_a_follower_with_older_files_leaves_the_tag(cli: Cli, applied: Write, sandbox: Sandbox) -> None:
    applied(LIVE='follows = "TEST"')
    old = (cli.folder / NAME / "pipeline.py").read_text()
    (cli.folder / NAME / "pipeline.py").write_text("print('other')\n")
    assert cli("deploy", NAME, "--env", "TEST", "--bump", "patch", "--yes").code == 0
    (cli.folder / NAME / "pipeline.py").write_text(old)
    set_version(cli, "1.0.1", "1.0.0")

    assert findings(cli) == (0, [])
    assert cli("apply", NAME, "--env", "LIVE", "--yes").code == 0
    assert tag(sandbox, "latest") == tag(sandbox, "1.0.1")


def test_after_the_rollback_of_a_follower_the_files_are_pending(
    cli: Cli, applied: Write, sandbox: Sandbox
) -> None:
    """The tag is where the follower's own last run left it, so nothing but the follower will move it."""
    applied(LIVE='follows = "TEST"')
    (cli.folder / NAME / "pipeline.py").write_text("print('other')\n")
    assert cli("apply", NAME, "--env", "LIVE", "--bump", "patch", "--yes").code == 0
    assert cli("rollback", NAME, "--env", "LIVE", "--yes").code == 0
    assert tag(sandbox, "latest") == tag(sandbox, "1.0.0")

    code, (found,) = findings(cli)

    assert (code, found["class"], found["reason_code"]) == (10, "pending", "channel-not-moved")
    assert cli("plan", NAME, "--env", "LIVE", "--exit-code").code == 10
    assert cli("apply", NAME, "--env", "LIVE", "--yes").code == 0
    assert tag(sandbox, "latest") == tag(sandbox, "1.0.1")
    assert findings(cli) == (0, [])


def test_a_follower_that_moved_the_tag_is_named(cli: Cli, applied: Write) -> None:
    applied(LIVE='follows = "TEST"')
    (cli.folder / NAME / "pipeline.py").write_text("print('other')\n")
    assert cli("apply", NAME, "--env", "LIVE", "--bump", "patch", "--yes").code == 0

    _, (found,) = findings(cli, "TEST")

    assert found["reason"] == "latest was moved by LIVE's apply of 1.0.1"


def test_a_tag_that_was_moved_by_hand_has_no_author(cli: Cli, moved: Write, sandbox: Sandbox) -> None:
    """TEST applied 1.0.1, but before LIVE did, so that apply did not move the tag away from LIVE's image."""
    (cli.folder / NAME / "pipeline.py").write_text("print('third')\n")
    assert cli("deploy", NAME, "--env", "LIVE", "--bump", "patch", "--yes").code == 0
    with RegistryClient(f"{sandbox.registry}/examples/{NAME}") as registry:
        registry.tag(str(registry.digest("1.0.1")), "latest")

    code, (found,) = findings(cli)

    assert (code, found["class"], found["reason"]) == (11, "drift", "changed outside")
    assert cli("apply", NAME, "--env", "LIVE", "--yes").code == 0, "it is put back"
    assert tag(sandbox, "latest") == tag(sandbox, "1.0.2")


@pytest.mark.parametrize("hours", [-48, 48])
def test_the_clocks_of_two_machines_do_not_decide_who_moved_a_tag(
    cli: Cli, applied: Write, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    """TEST is applied on a machine whose clock is days ahead or behind."""

    class Skewed(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return super().now(tz) + timedelta(hours=hours)

    (cli.folder / NAME / "pipeline.py").write_text("print('other')\n")
    with monkeypatch.context() as other_machine:
        other_machine.setattr(state_writer, "datetime", Skewed)
        assert cli("deploy", NAME, "--env", "TEST", "--bump", "patch", "--yes").code == 0
    _, (found,) = findings(cli)
    assert found["reason"] == "latest was moved by TEST's apply of 1.0.1"

    (cli.folder / NAME / "pipeline.py").write_text("print('third')\n")
    assert cli("deploy", NAME, "--env", "LIVE", "--bump", "patch", "--yes").code == 0
    with RegistryClient(f"{sandbox.registry}/examples/{NAME}") as registry:
        registry.tag(str(registry.digest("1.0.1")), "latest")
    _, (found,) = findings(cli)
    assert found["reason"] == "changed outside", "somebody moved it by hand"


def test_an_environment_that_found_the_tag_moved_did_not_move_it(
    cli: Cli, applied: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DEV is applied last and has the same image, which TEST's apply left behind the tag."""
    with Sandbox() as third:
        with (cli.folder / "reconciler.toml").open("a") as file:
            file.write(f'[environments.DEV]\nhost = "{third.url}"\norganization = "{third.organization}"\n')
        assert cli("apply", NAME, "--env", "DEV", "--yes").code == 0
        (cli.folder / NAME / "pipeline.py").write_text("print('other')\n")
        assert cli("deploy", NAME, "--env", "TEST", "--bump", "patch", "--yes").code == 0
        assert cli("apply", NAME, "--env", "DEV", "--yes").code == 0
        _, (found,) = findings(cli)
    assert found["reason"] == "latest was moved by TEST's apply of 1.0.1"


def test_rollback_of_one_environment_needs_consent_to_change_the_other(
    cli: Cli, moved: Write, sandbox: Sandbox
) -> None:
    new = tag(sandbox, "latest")

    refused = cli("rollback", NAME, "--env", "TEST")

    assert refused.code == 12
    assert "this also changes what LIVE runs" in refused.err
    assert "--yes" in refused.err
    assert tag(sandbox, "latest") == new

    done = cli("rollback", NAME, "--env", "TEST", "--yes")
    assert done.code == 0
    assert "this also changes what LIVE runs" in done.err
    assert tag(sandbox, "latest") == tag(sandbox, "1.0.0")


def test_rollback_leaves_an_environment_with_a_channel_of_its_own(
    cli: Cli, declare: Write, sandbox: Sandbox
) -> None:
    declare(TEST='channel = "a"', LIVE='channel = "b"')
    (source := cli.folder / NAME / "pipeline.py").read_text()
    for version in ("1.0.0", "1.0.1"):
        for name in ("TEST", "LIVE"):
            assert cli("apply", NAME, "--env", name, "--yes", "--bump", "patch").code == 0, version
        source.write_text(f"print('{version}')\n")
    before = tag(sandbox, "b")

    ended = cli("rollback", NAME, "--env", "TEST")

    assert ended.code == 0
    assert "also changes" not in ended.err
    assert tag(sandbox, "a") != before == tag(sandbox, "b")
    assert findings(cli)[0] != 11


def test_nothing_to_do_costs_no_request_more_than_one_environment(
    cli: Cli, applied: Write, sandbox: Sandbox, other: Sandbox
) -> None:
    def requests() -> list[tuple[str, str]]:
        sandbox.clear_requests()
        other.clear_requests()
        assert cli("plan", NAME, "--env", "LIVE", "--exit-code").code == 0
        return [(r["method"], r["path"]) for each in (sandbox, other) for r in each.requests()]

    both = requests()
    text = (cli.folder / "reconciler.toml").read_text()
    (cli.folder / "reconciler.toml").write_text(
        "[environments.LIVE]" + text.partition("[environments.LIVE]")[2]
    )
    assert sorted(requests()) == sorted(both)
    assert [method for method, path in both if path.startswith("/v2/")] == ["HEAD"] * 2, "one for each tag"


PENDING_EDITS = {
    "nothing": ("", "", ""),
    "the name of the pipeline": ("config.toml", f'name = "{NAME}"', f'name = "{NAME}-2"'),
    "the name of the image": ("config.toml", f'examples/{NAME}"', f'examples/{NAME}-2"'),
    "the version": ("config.toml", 'version = "1.0.1"', 'version = "1.0.2"'),
    "the source": ("pipeline.py", "print", "print  "),
    "cpu": ("config.toml", 'cpu = "', 'cpu = "1'),
    "the channel": ("reconciler.toml", "", ""),
    "the pin": ("reconciler.toml", "", ""),
}
KEYS_OF_EDIT = {"the channel": 'channel = "live"', "the pin": 'pin = "version"'}


@pytest.mark.parametrize("edit", PENDING_EDITS)
def test_no_edit_of_the_files_hides_that_another_image_runs(
    cli: Cli, moved: Write, other: Sandbox, both_tokens: dict[str, str], edit: str
) -> None:
    file, old, new = PENDING_EDITS[edit]
    moved(TEST=both_tokens["TEST"], LIVE=both_tokens["LIVE"] + KEYS_OF_EDIT.get(edit, ""))
    if old:
        path = cli.folder / NAME / file
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1))

    code, found = findings(cli)

    assert code in (11, 12)
    assert {one["class"] for one in found} & {"drift", "conflict"}, found
    row = row_of(other, rows(cli, "LIVE"))
    assert (row["running_version"], row["version"]) == ("1.0.1", "1.0.0")


@pytest.mark.parametrize("edit", PENDING_EDITS)
def test_an_edit_of_the_files_is_pending_and_nothing_else(cli: Cli, applied: Write, edit: str) -> None:
    file, old, new = PENDING_EDITS[edit]
    old = old.replace("1.0.1", "1.0")
    if edit in KEYS_OF_EDIT:
        applied(LIVE=KEYS_OF_EDIT[edit])
    elif file:
        path = cli.folder / NAME / file
        path.write_text(
            path.read_text().replace(old, new, 1) + ("# edited\n" if file == "pipeline.py" else "")
        )

    code, found = findings(cli)

    assert code == (10 if file else 0)
    assert {one["class"] for one in found} == ({"pending"} if file else set())


def test_a_moved_tag_of_an_image_with_a_new_name_is_named(cli: Cli, moved: Write, sandbox: Sandbox) -> None:
    config = cli.folder / NAME / "config.toml"
    config.write_text(config.read_text().replace(f'examples/{NAME}"', f'examples/{NAME}-2"'))

    (found,) = [one for one in findings(cli)[1] if one["class"] == "drift"]

    assert found["reason"] == "latest was moved by TEST's apply of 1.0.1"
    assert (found["recorded"], found["live"]) == (tag(sandbox, "1.0.0"), tag(sandbox, "1.0.1"))
    assert cli("apply", NAME, "--env", "LIVE", "--yes").code == 0
    assert findings(cli) == (0, [])


def test_no_other_model_version_in_the_files_hides_that_another_image_runs(
    cli: Cli, declare: Write, sandbox: Sandbox
) -> None:
    folder = training(cli.folder / "train", "sorter", sandbox.registry)
    for name in ("TEST", "LIVE"):
        assert cli("apply", "train", "--env", name, "--yes").code == 0
    (folder / "pipeline.py").write_text("print('other')\n")
    assert cli("apply", "train", "--env", "TEST", "--bump", "patch", "--yes").code == 0
    config = folder / "config.toml"
    text = config.read_text()
    assert 'name = "v1"' in text
    config.write_text(text.replace('name = "v1"', 'name = "v2"'))

    ended = cli("drift", "train", "--env", "LIVE")

    assert ended.code == 11
    assert "latest was moved by TEST's apply of 1.0.1" in ended.out


@pytest.mark.parametrize("field", ["docker_image", "docker_tag"])
def test_no_other_name_in_the_files_hides_that_another_image_was_set_outside(
    cli: Cli, applied: Write, other: Sandbox, field: str
) -> None:
    other.platform.edit_processing(NAME, **{field: "another"})
    config = cli.folder / NAME / "config.toml"
    config.write_text(config.read_text().replace(f'name = "{NAME}"', f'name = "{NAME}-2"', 1))

    code, found = findings(cli)

    assert code == 11
    (drift,) = [one for one in found if one["class"] == "drift"]
    assert (drift["address"], drift["field"], drift["live"]) == (f"processing/{NAME}", field, "another")
    for command in (("status",), ("adopt", "--yes"), ("apply", "--yes")):
        assert cli(*command, NAME, "--env", "LIVE").code == 0, command
    assert findings(cli) == (0, [])


RENAMES = {
    "by name": ("", ""),
    "renamed": (f'name = "{NAME}"', f'name = "{NAME}-2"'),
    "renamed there": (
        "[reconciler.image]",
        f'[reconciler.env.LIVE.metadata]\nname = "{NAME}-live"\n\n[reconciler.image]',
    ),
    "with a stack of its own": ("[reconciler.image]", '[reconciler]\nstack = "other"\n\n[reconciler.image]'),
}


@pytest.mark.parametrize("declared", [True, False], ids=["reconciler.toml", "state only"])
@pytest.mark.parametrize("before", [True, False], ids=["before", "since"])
@pytest.mark.parametrize("rename", RENAMES)
def test_whatever_it_is_called_a_plan_says_what_it_changes_elsewhere(
    cli: Cli, declare: Write, rename: str, before: bool, declared: bool
) -> None:
    """The pipeline has other names in its two environments: from the start, or since they were applied."""

    def edit() -> None:
        config, (old, new) = cli.folder / NAME / "config.toml", RENAMES[rename]
        assert old in config.read_text()
        config.write_text(config.read_text().replace(old, new, 1))

    if before:
        edit()
    for name in ("TEST", "LIVE"):
        assert cli("apply", NAME, "--env", name, "--yes").code == 0
    if not before:
        edit()
    if not declared:  # the tag that LIVE has by now is in the state alone
        declare(LIVE='channel = "live"')
    (cli.folder / NAME / "pipeline.py").write_text("print('other')\n")

    planned = cli("apply", NAME, "--env", "TEST", "--bump", "patch", "--yes")

    assert planned.code == 0, planned.err
    assert "this also changes what LIVE runs" in planned.err
    code, found = findings(cli)
    assert code == 11
    assert "latest was moved by TEST's apply of 1.0.1" in {one["reason"] for one in found}, found


# status


@pytest.fixture
def both_tokens(monkeypatch: pytest.MonkeyPatch, sandbox: Sandbox, other: Sandbox) -> dict[str, str]:
    """`token` for each environment, with the variables set."""
    for name, platform in (("TEST", sandbox), ("LIVE", other)):
        monkeypatch.setenv(f"{name}_TOKEN", platform.token)
    return {name: f'token = "{name}_TOKEN"\n' for name in ("TEST", "LIVE")}


def rows(cli: Cli, environment: str) -> dict[str, dict[str, Any]]:
    """The rows of `status`, by the address of the platform."""
    ended = cli("status", NAME, "--env", environment, "--json")
    assert ended.code == 0, ended.err
    return {row["environment"].partition("@")[2]: row for row in json.loads(ended.out)["rows"]}


def row_of(platform: Sandbox, found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return found[platform.url.partition("://")[2]]


def test_status_is_in_sync_only_if_platform_state_and_files_agree(
    cli: Cli, moved: Write, sandbox: Sandbox, other: Sandbox, both_tokens: dict[str, str]
) -> None:
    moved(**both_tokens)
    found = rows(cli, "TEST")
    test, live = row_of(sandbox, found), row_of(other, found)

    new, old = tag(sandbox, "1.0.1"), tag(sandbox, "1.0.0")
    assert (test["running_version"], test["version"], test["files_version"]) == ("1.0.1",) * 3
    assert (test["running_digest"], test["digest"], test["drift"]) == (new, new, "in sync")
    assert (live["running_version"], live["version"], live["files_version"]) == ("1.0.1", "1.0.0", "1.0.1")
    assert (live["running_digest"], live["digest"]) == (new, old)
    assert (live["drift"], live["drift_code"]) == ("1 drift", "different")

    head, *table = cli("status", NAME, "--env", "TEST").out.splitlines()
    assert head.split()[:5] == ["pipeline", "environment", "runs", "applied", "files"]
    assert any("1.0.1  1.0.0    1.0.1" in line for line in table)


def test_worker_processes_read_the_status_of_several_environments(
    cli: Cli, applied: Write, both_tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    applied(**both_tokens)
    in_threads = rows(cli, "TEST")
    monkeypatch.setattr("reconciler.engine.workers._MANY", 1)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1})

    assert rows(cli, "TEST") == in_threads
    assert [row["drift"] for row in in_threads.values()] == ["in sync", "in sync"]


def test_status_of_a_follower_names_the_environment_that_it_follows(
    cli: Cli, moved: Write, other: Sandbox, both_tokens: dict[str, str]
) -> None:
    moved(TEST=both_tokens["TEST"], LIVE=f'{both_tokens["LIVE"]}follows = "TEST"')
    live = row_of(other, rows(cli, "LIVE"))

    assert (live["drift"], live["drift_code"], live["follows"]) == ("follows TEST", "follows", "TEST")
    assert (live["running_version"], live["version"]) == ("1.0.1", "1.0.0")
    assert "follows TEST" in cli("status", NAME, "--env", "LIVE").out

    assert cli("apply", NAME, "--env", "LIVE", "--yes").code == 0
    assert "in sync, follows TEST" in cli("status", NAME, "--env", "LIVE").out


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("adopt", NAME), 0),
        (("adopt", NAME, "image/IMAGE#digest"), 1),
        (("image", NAME, "--json"), 0),
        (("plan", NAME, "--out", "saved.json"), 0),
        (("apply", "--plan", "saved.json"), 0),
        (("rollback", NAME), 1),
        (("destroy", NAME, "--yes"), 0),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_other_commands_work_where_the_tag_was_moved(
    cli: Cli, moved: Write, sandbox: Sandbox, command: tuple[str, ...], code: int
) -> None:
    words = [word.replace("IMAGE", f"{sandbox.registry}/examples/{NAME}") for word in command]
    if words[0] == "apply":
        assert cli("plan", NAME, "--env", "LIVE", "--out", "saved.json").code == 0

    ended = cli(words[0], *words[1:], "--env", "LIVE")

    assert "Traceback" not in ended.err
    assert ended.code == code, ended.err
    if words[0] == "apply":
        assert findings(cli) == (0, [])
