"""State that an earlier version stored under the name of a training is found by its image, and moved once."""

import json
from hashlib import sha256

import pytest
from msgspec.structs import replace

from providers.sandbox import Sandbox
from state.stores.opening import open_store
from tests.conftest import Cli, copy_example, stack_of, training

OLD = "training"  # the name that all trainings here have


def stack(model: str, sandbox: Sandbox) -> str:
    return stack_of(f"{sandbox.registry}/team/training-{model}")


def one_line(text: str) -> str:
    """The text without the line breaks of a narrow terminal."""
    return "".join(text.split())


def test_it_is_found_by_its_image_and_moved_once(state: str, cli: Cli, sandbox: Sandbox) -> None:
    for model in ("clip", "dino"):
        training(cli.folder / model / "training", model, sandbox.registry)
    assert cli("apply", "clip/training", "--yes").code == 0
    new, old = stack("clip", sandbox), stack_of(OLD)
    with open_store(state) as store:
        history = [replace(entry) for entry in store.history(new, 100)]
        before = store.load(new)
        store.move(new, old)
    assert before is not None
    sandbox.platform.edit_version("clip", "v1", framework="TENSORFLOW")

    planned = cli("plan", "clip/training", "--exit-code")
    assert (planned.code, f"using the state of {old}" in one_line_of(planned.err)) == (11, True)
    assert cli("drift", "clip/training").code == 11
    shown = json.loads(cli("status", "--all", "--json").out)["rows"]
    assert {row["stack"].rpartition("-")[2]: row["version"] for row in shown} == {
        "clip": "1.0.0",
        "dino": None,
    }
    assert json.loads(cli("image", "clip/training", "--json").out)["serial"] == before.serial
    assert cli("state", "list").out.split() == [old], "reading moves nothing"

    other = cli("apply", "dino/training", "--yes")
    assert (other.code, old in other.err) == (0, False), "it is not the state of this training"
    assert cli("apply", "clip/training", "--yes").code == 0
    assert cli("state", "list").out.split() == [stack("clip", sandbox), stack("dino", sandbox)]
    with open_store(state) as store:
        assert store.load_at(new, before.serial) == before
        assert store.history(new, 100)[-len(history) :] == history
        register = store.load_register(stack_of("").rstrip("/"))
    assert register is not None
    assert {one.stack for one in register.claims.values()} == {new, stack("dino", sandbox)}
    again = cli("plan", "--all", "--exit-code")
    assert (again.code, old in again.err) == (0, False)


def one_line_of(text: str) -> str:
    return " ".join(text.split())


def test_state_of_another_training_is_left_alone_silently(cli: Cli, sandbox: Sandbox) -> None:
    """An earlier version kept one record for all: that of the training which was applied last."""
    for model in ("clip", "dino", "sam"):
        training(cli.folder / model / "training", model, sandbox.registry)
    assert cli("apply", "dino/training", "--yes").code == 0
    with open_store(str(cli.folder.parent / "state.db")) as store:
        store.move(stack("dino", sandbox), stack_of(OLD))
        before = store.load(stack_of(OLD))
    for command in (("plan",), ("apply", "--yes", "--prune"), ("drift",), ("destroy", "--prune", "--yes")):
        ended = cli(command[0], "clip/training", *command[1:])
        assert (ended.code in (0, 10), OLD + "'" in ended.err) == (True, False), ended.err
    with open_store(str(cli.folder.parent / "state.db")) as store:
        assert store.load(stack_of(OLD)) == before
    assert cli("plan", "dino/training", "--exit-code").code == 0, "nothing of it was touched"


def test_a_renamed_image_is_said_with_the_command_that_settles_it(
    state: str, cli: Cli, sandbox: Sandbox
) -> None:
    folder = training(cli.folder / "clip" / "training", "clip", sandbox.registry)
    assert cli("apply", "clip/training", "--yes").code == 0
    old, before = stack_of(OLD), stack("clip", sandbox)
    with open_store(state) as store:
        store.move(before, old)
        history = store.history(old, 100)
    config = folder / "config.toml"
    config.write_text(config.read_text().replace("team/training-clip", "vision/clip"))
    new = stack_of(f"{sandbox.registry}/vision/clip")

    planned = cli("plan", "clip/training")
    assert planned.code == 0
    assert one_line(f"reconciler state move {old} {new}") in one_line(planned.err)
    assert "not used" in one_line_of(planned.err)

    assert cli("state", "move", old, new).code == 0
    with open_store(state) as store:
        assert list(store.stacks()) == [new]
        assert store.history(new, 100) == history
    moved = cli("plan", "clip/training", "--exit-code")
    assert (moved.code, "state move" in moved.err) == (10, False)
    assert cli("apply", "clip/training", "--yes").code == 0
    assert cli("plan", "clip/training", "--exit-code").code == 0


def test_the_age_of_a_finding_is_kept(cli: Cli, sandbox: Sandbox) -> None:
    """The id of a finding has the name of its stack. A report of an earlier version has the older one."""
    training(cli.folder / "clip" / "training", "clip", sandbox.registry)
    assert cli("apply", "clip/training", "--yes").code == 0
    sandbox.platform.edit_version("clip", "v1", framework="TENSORFLOW")
    file = cli.folder.parent / "report.json"
    assert cli("drift", "--all", "--json", str(file)).code == 11
    report = json.loads(file.read_text())
    [found] = report["stacks"][0]["findings"]
    older = "\0".join((stack_of(OLD), found["address"], found["field"]))
    found |= {"id": sha256(older.encode()).hexdigest()[:12], "first_seen": "2025-01-01T00:00:00+00:00"}
    file.write_text(json.dumps(report))

    assert cli("drift", "--all", "--json", str(file)).code == 11

    [again] = json.loads(file.read_text())["stacks"][0]["findings"]
    assert (again["first_seen"], again["id"] == found["id"]) == ("2025-01-01T00:00:00+00:00", False)


def test_a_saved_plan_is_applied_to_its_own_training(cli: Cli, sandbox: Sandbox) -> None:
    for model in ("clip", "dino"):
        training(cli.folder / model / "training", model, sandbox.registry)
    file = str(cli.folder.parent / "plan.json")
    assert cli("plan", "clip/training", "--out", file).code == 0
    saved = json.loads((cli.folder.parent / "plan.json").read_text())["stack"]
    assert (saved["pipeline"], saved["folder"]) == ("training", "clip/training")
    assert saved["name"] == f"{sandbox.registry}/team/training-clip"

    assert cli("apply", "--plan", file).code == 0
    assert cli("state", "list").out.split() == [stack("clip", sandbox)]
    other = cli("apply", "dino/training", "--plan", file)
    assert (other.code, "the saved plan cannot be applied" in other.err) == (12, True)


def test_a_move_waits_for_the_locks_of_both_names(cli: Cli, sandbox: Sandbox) -> None:
    from tests.state.conftest import run

    training(cli.folder / "clip" / "training", "clip", sandbox.registry)
    assert cli("apply", "clip/training", "--yes").code == 0
    before, after = stack("clip", sandbox), stack_of("elsewhere")
    for name in (before, after):
        with (
            open_store(str(cli.folder.parent / "state.db")) as store,
            store.lock(name, run("bob"), timeout=0),
        ):
            ended = cli("state", "move", before, after)
        assert (ended.code, "bob" in ended.err) == (13, True), ended.err
    assert cli("state", "list").out.split() == [before]


def test_a_stack_of_its_own_name_keeps_the_state(cli: Cli, sandbox: Sandbox) -> None:
    """`[reconciler] stack` names the stack; the older state is found by the image all the same."""
    folder = training(cli.folder / "clip" / "training", "clip", sandbox.registry)
    assert cli("apply", "clip/training", "--yes").code == 0
    with open_store(str(cli.folder.parent / "state.db")) as store:
        store.move(stack("clip", sandbox), stack_of(OLD))
    config = folder / "config.toml"
    config.write_text(
        config.read_text().replace("[reconciler.image]", '[reconciler]\nstack = "clip"\n\n[reconciler.image]')
    )
    assert cli("plan", "clip", "--exit-code").code == 0
    assert cli("apply", "clip", "--yes").code == 0
    assert cli("state", "list").out.split() == [stack_of("clip")]


@pytest.mark.parametrize("kind", ["training", "processing"])
def test_a_stack_does_not_get_the_older_state_of_a_training_by_its_name(
    cli: Cli, sandbox: Sandbox, kind: str
) -> None:
    """An earlier version named that of every training by metadata.name, which another stack can have now."""
    training(cli.folder / "dino" / "training", "dino", sandbox.registry)
    assert cli("apply", "dino/training", "--yes").code == 0
    old, right = stack_of(OLD), stack("dino", sandbox)
    with open_store(str(cli.folder.parent / "state.db")) as store:
        store.move(right, old)
    if kind == "training":
        folder = training(cli.folder / "clip", "clip", sandbox.registry)
    else:
        folder = copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    with (folder / "config.toml").open("a") as file:
        file.write(f'\n[reconciler]\nstack = "{OLD}"\n')
    sandbox.clear_requests()
    for command in (("plan",), ("apply", "--yes", "--prune"), ("drift",), ("destroy", "--yes", "--prune")):
        ended = cli(command[0], folder.name, *command[1:])
        assert ended.code in (1, 13), command
        assert one_line(f"reconciler state move {old} {right}") in one_line(ended.err), command
        assert "model-version/dino/v1" in one_line(ended.err)
    assert cli("status", "--all").code in (0, 13)
    assert sandbox.writes() == []

    assert cli("state", "move", old, right).code == 0
    assert cli("plan", "dino/training", "--exit-code").code == 0
    assert cli("plan", folder.name, "--exit-code").code == 10
    assert cli("apply", folder.name, "--yes").code == 0
    assert cli("plan", "--all", "--exit-code").code == 0


def test_two_older_names_are_reported_and_none_is_used(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    training(cli.folder / "clip" / "training", "clip", sandbox.registry)
    assert cli("apply", "clip/training", "--yes").code == 0
    port = sandbox.registry.rpartition(":")[2]
    olds = [f"sandbox@{host}:{port}/{OLD}" for host in ("LocalHost", "localhost")]
    with open_store(str(cli.folder.parent / "state.db")) as store:
        record = store.load(stack("clip", sandbox))
        assert record is not None
        store.move(stack("clip", sandbox), olds[0])
        store.save(replace(record, stack=olds[1], lineage="another"), expected_serial=0, lock=None)
    monkeypatch.setenv("PICSELLIA_CUSTOM_ENV", f"http://localhost:{port}")
    sandbox.clear_requests()
    for command in (("plan",), ("apply", "--yes"), ("drift",)):
        ended = cli(command[0], "clip/training", *command[1:])
        assert ended.code in (1, 13), ended.err
        assert all(old in ended.err for old in olds)
        assert "reconciler state move" in ended.err
    assert sandbox.writes() == []
