"""State is where `RECONCILER_STATE` says, else `[workspace] state`, else in the user's own folder."""

from itertools import product
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from tests.conftest import Cli, copy_example, stack_of

NAME = "dataset_cleanup"


@pytest.mark.parametrize(("variable", "file"), [*product([True, False], repeat=2)])
def test_the_first_that_is_set(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: bool, file: bool
) -> None:
    places = {"variable": tmp_path / "variable.db", "file": cli.folder / "file.db"}
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "own"))
    monkeypatch.delenv("RECONCILER_STATE")
    if variable:
        monkeypatch.setenv("RECONCILER_STATE", str(places["variable"]))
    if file:
        (cli.folder / "reconciler.toml").write_text('[workspace]\nstate = "file.db"\n')
    copy_example(NAME, cli.folder, sandbox.registry)

    assert cli("apply", NAME, "--yes").code == 0

    places["own"] = tmp_path / "own" / "reconciler" / "state.db"
    expected = "variable" if variable else "file" if file else "own"
    assert [name for name, place in places.items() if place.exists()] == [expected]
    below = cli.folder / NAME
    monkeypatch.chdir(below)
    assert cli("state", "list").out == f"{stack_of(NAME)}\n", "the same in every folder of the workspace"


def test_a_broken_file_is_not_read_for_state_that_a_variable_names(cli: Cli, home: Path) -> None:
    (cli.folder / "reconciler.toml").write_text("nonsense")
    assert cli("state", "list").code == 0


def test_a_broken_file_is_no_reason_to_use_other_state(
    cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RECONCILER_STATE")
    (cli.folder / "reconciler.toml").write_text('[workspace]\nstat = "s3://bucket"')
    ended = cli("state", "list")
    assert (ended.code, "workspace.stat is not a setting" in ended.err) == (1, True)
