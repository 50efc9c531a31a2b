"""A stack is renamed between two copies of its state: the copy has one name of it, and none is destroyed."""

import shlex
from pathlib import Path

import pytest
from msgspec.structs import replace

from providers.sandbox import Sandbox
from providers.table import EXCLUSIVE
from state import copying
from state.stores.sqlite import SqliteStore
from tests.conftest import Cli, copy_example, stack_of


def names() -> tuple[str, str]:
    """The former name of the stack, and its new one."""
    return stack_of("dataset_cleanup"), stack_of("shop/cleanup")


@pytest.fixture
def renamed(cli: Cli, sandbox: Sandbox) -> tuple[str, str]:
    """Two stores: the stack was copied to the second one, and then got another name in the first one."""
    _, new = names()
    (cli.folder / "reconciler.toml").write_text('[workspace]\nname = "shop"\n')
    config = copy_example("dataset_cleanup", cli.folder, sandbox.registry) / "config.toml"
    copy_example("computed_inputs", cli.folder, sandbox.registry)
    assert cli("apply", "--all", "--yes").code == 0
    first, second = (str(cli.folder.parent / name) for name in ("state.db", "second.db"))
    assert cli("state", "copy", first, second).code == 0
    config.write_text(config.read_text() + '\n[reconciler]\nstack = "shop/cleanup"\n')
    assert cli("apply", "dataset_cleanup", "--yes").code == 0
    assert new in cli("state", "list").out
    sandbox.clear_requests()
    return first, second


def test_the_second_copy_names_the_command_that_renames_it(
    cli: Cli, renamed: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = names()
    first, second = renamed
    refused = cli("state", "copy", first, second)
    assert refused.code == 1, refused
    command = f"RECONCILER_STATE={second} reconciler state move {old} {new}"
    assert command in refused.err
    monkeypatch.setenv("RECONCILER_STATE", second)
    assert cli(*shlex.split(command)[2:]).code == 0
    copied = cli("state", "copy", first, second)
    assert copied.code == 0, copied.err
    assert old not in cli("state", "list").out
    assert cli("drift", "--all").code == 0
    assert cli("plan", "--all", "--exit-code").code == 0


@pytest.fixture
def doubled(cli: Cli, renamed: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The copy of an earlier version, which made a second stack."""
    old, new = names()
    first, second = renamed
    with monkeypatch.context() as patched, SqliteStore(Path(first)) as a, SqliteStore(Path(second)) as b:
        patched.setattr(copying, "_copied_names", lambda source, _: list(source.stacks()))
        list(copying.copy_states(a, b, EXCLUSIVE))
        assert {old, new} <= {*b.stacks()}
    monkeypatch.setenv("RECONCILER_STATE", second)


@pytest.mark.usefixtures("doubled")
def test_of_two_names_of_one_stack_none_is_destroyed(cli: Cli, sandbox: Sandbox) -> None:
    old, _ = names()
    for name in ("dataset_cleanup", old):
        refused = cli("destroy", "--stack", name, "--yes")
        assert (refused.code, sandbox.writes()) == (12, []), refused
        assert f"state forget --stack {old}" in refused.err
    for name in names():
        verified = cli("state", "verify", name)
        assert (verified.code, "I17" in verified.err) == (1, True), verified


@pytest.mark.usefixtures("doubled")
def test_drift_only_offers_to_forget_the_name(cli: Cli, sandbox: Sandbox) -> None:
    old, new = names()
    found = cli("drift", "--all")
    assert "reconciler destroy" not in found.out
    assert f"forget this name  reconciler state forget --stack {old}" in " ".join(found.out.split(" ")), found
    forgotten = cli("state", "forget", "--stack", old, "--yes")
    assert forgotten.code == 0, forgotten.err
    clean = cli("drift", "--all")
    assert clean.code == 0, clean
    assert cli("plan", "--all", "--exit-code").code == 0
    assert cli("state", "verify", new).code == 0
    assert sandbox.writes() == []


def test_what_another_stack_has_in_its_state_is_not_destroyed(
    cli: Cli, sandbox: Sandbox, renamed: tuple[str, str]
) -> None:
    """Not even if it has no claim, as after a store was put together by hand."""
    _, new = names()
    with SqliteStore(Path(renamed[0])) as store:
        state = store.load(new)
        assert state is not None
        other = stack_of("by_hand")
        store.save(replace(state, stack=other, lineage="by-hand", serial=0), expected_serial=0, lock=None)
    sandbox.clear_requests()
    (cli.folder / "dataset_cleanup").rename(cli.folder.parent / "away")
    refused = cli("destroy", "--stack", new, "--yes")
    assert (refused.code, sandbox.writes()) == (12, []), refused
    assert f"reconciler state forget {other}" in refused.err
