"""Objects that were renamed outside, and state that was moved to another organization."""

import pytest
from msgspec.structs import replace

from providers.sandbox import Sandbox, Settings
from state.lock_info import LockInfo
from state.stores.opening import open_store
from tests.conftest import Cli, stack_of, training

ROW = """
[[model_versions]]
origin_name = "A"
name = "{}"
framework = "ONNX"
inference_type = "CLASSIFICATION"
"""
LOCK = LockInfo("ada", "machine", 1, "a test", "2025-03-01T12:00:00.000+00:00", "1")


def test_two_resources_with_one_object_are_reported_and_the_next_apply_corrects_it(
    cli: Cli, sandbox: Sandbox
) -> None:
    config = training(cli.folder / "one", "one", sandbox.registry) / "config.toml"
    text = config.read_text()
    rows = text[text.index("[model_version]") : text.index("# The sandbox")]
    config.write_text(text.replace(rows, ROW.format("v1") + ROW.format("v2")))
    assert cli("apply", "one", "--yes").code == 0
    stack = stack_of(f"{sandbox.registry}/team/training-one")
    with open_store(str(cli.folder.parent / "state.db")) as store:
        state = store.load(stack)
        assert state is not None
        v1, v2 = (state.resources[f"model-version/A/{name}"] for name in ("v1", "v2"))
        with store.lock(stack, LOCK, timeout=0) as lock:
            twins = state.with_resource(replace(v2, id=v1.id))
            store.save(twins, expected_serial=state.serial, lock=lock)

    verified = cli("state", "verify", stack)

    assert (verified.code, "I19 model-version/A/v2: has the id of model-version/A/v1" in verified.err) == (
        1,
        True,
    )
    assert cli("apply", "one", "--yes").code == 0
    assert cli("state", "verify", stack).code == 0
    assert {one["name"]: one["id"] for one in sandbox.platform.versions("A")} == {"v1": v1.id, "v2": v2.id}


def test_objects_of_another_organization_are_not_those_of_a_state_that_was_moved(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Sandbox(Settings(organizations=("north", "south"))) as both:
        monkeypatch.setenv("PICSELLIA_ENV", "CUSTOM")
        monkeypatch.setenv("PICSELLIA_CUSTOM_ENV", both.url)
        monkeypatch.setenv("PICSELLIA_TOKEN", both.token)
        training(cli.folder / "one", "one", both.registry)
        assert cli("apply", "one", "--organization", "north", "--yes").code == 0
        north = both.account("", "north").platform
        before = north.versions("one")
        assert before
        [stack] = cli("state", "list").out.split()
        south = stack.replace("north@", "south@")
        assert cli("state", "move", stack, south).code == 0

        assert cli("drift", "one", "--organization", "south").code == 11
        assert cli("destroy", "one", "--organization", "south", "--yes", "--prune").code == 0

        assert north.versions("one") == before
