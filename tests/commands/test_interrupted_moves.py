"""A `state move` that stops between state and claims: it says what is done, and the same command finishes."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from providers.sandbox import Sandbox
from state.errors import StoreUnavailableError
from state.stores.sqlite import SqliteStore
from tests.conftest import Cli, copy_example, stack_of


@pytest.fixture
def moved(cli: Cli, sandbox: Sandbox) -> Path:
    """The config.toml of a pipeline whose state has its new name already, and whose claims do not."""
    config = copy_example("dataset_cleanup", cli.folder, sandbox.registry) / "config.toml"
    assert cli("apply", "dataset_cleanup", "--yes").code == 0

    def refuse(*_: Any, **__: Any) -> None:
        raise StoreUnavailableError("403 Forbidden")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SqliteStore, "save_register", refuse)
        ended = cli("state", "move", "dataset_cleanup", stack_of("zz"))
    assert ended.code == 1
    old, new = stack_of("dataset_cleanup"), stack_of("zz")
    message = f"the state of {old} was renamed to {new}, but its claims have the old name: 403 Forbidden"
    assert message in " ".join(ended.err.split()), ended.err
    assert "run the same command again to finish" in ended.err
    config.write_text(config.read_text() + '\n[reconciler]\nstack = "zz"\n')
    return config


@pytest.mark.usefixtures("moved")
@pytest.mark.parametrize("name", [True, False], ids=["full name", "short name"])
def test_it_is_reported_and_finished_by_the_same_command(cli: Cli, name: bool) -> None:
    verified = cli("state", "verify", stack_of("zz"))
    assert (verified.code, "I18 processing/dataset_cleanup" in verified.err) == (1, True), verified.err
    old = stack_of("dataset_cleanup") if name else "dataset_cleanup"
    again = cli("state", "move", old, stack_of("zz"))
    assert again.code == 0, again.err
    (scope,) = json.loads(cli("state", "claims", "--json").out)["scopes"]
    assert {claim["stack"] for claim in scope["claims"].values()} == {stack_of("zz")}
    assert [*scope["stacks"]] == [stack_of("zz")]
    assert cli("state", "verify", stack_of("zz")).code == 0
    assert cli("state", "move", old, stack_of("zz")).code in (1, 2), "there is nothing left to move"


@pytest.mark.usefixtures("moved")
def test_it_is_finished_by_an_apply(cli: Cli) -> None:
    assert cli("apply", "dataset_cleanup", "--yes").code == 0
    assert cli("state", "verify", stack_of("zz")).code == 0


def test_no_other_stack_gets_the_resources(cli: Cli, sandbox: Sandbox, moved: Path) -> None:
    other = cli.folder / "other"
    shutil.copytree(moved.parent, other)
    (other / "config.toml").write_text(moved.read_text().replace('stack = "zz"', 'stack = "other"'))
    sandbox.clear_requests()
    refused = cli("apply", str(other), "--yes")
    assert (refused.code, sandbox.writes()) == (12, []), refused
    assert f"{stack_of('zz')} has claimed it" in refused.err + refused.out
