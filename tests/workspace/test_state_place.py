"""State is where `RECONCILER_STATE` says, else `[workspace] state`, else in the user's own folder."""

import json
from itertools import product
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from state.errors import StoreUnavailableError
from state.stores.opening import check_url
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


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
@pytest.mark.parametrize(
    ("place", "problem"),
    [
        *(
            (place, "has an empty part")
            for place in ("records//old1//", "records//", "records/a//b", "records/a//")
        ),
        *((place, "has an empty part, . or ..") for place in ("records/../x", "records/.")),
        *((place, "needs the name of a bucket") for place in ("a b/c", "%20/c", "récords/x", "a:1/x")),
        *(
            (place, None)
            for place in ("records", "records/", "records/a", "records/a/b/", "my.records_1/a b/é")
        ),
    ],
)
def test_an_address_that_no_bucket_can_have_is_refused_as_such(
    scheme: str, place: str, problem: str | None, monkeypatch: pytest.MonkeyPatch, cli: Cli, sandbox: Sandbox
) -> None:
    """Before any request, wherever it is written, and the address itself is in no message."""
    url = f"{scheme}://{place}"
    if problem is None:
        return check_url(url)
    copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    (cli.folder / "reconciler.toml").write_text(f"[workspace]\nstate = {json.dumps(url)}\n")
    monkeypatch.delenv("RECONCILER_STATE")
    in_file = cli("plan", "dataset_cleanup")
    (cli.folder / "reconciler.toml").write_text("")
    monkeypatch.setenv("RECONCILER_STATE", url)
    in_variable = cli("plan", "dataset_cleanup")

    for ended in (in_file, in_variable):
        text = " ".join(ended.err.split())
        assert (ended.code, problem in text) == (1, True), ended
        assert f"{scheme}://bucket/prefix" in text
        assert "endpoint" not in text and place not in text
    return None


@pytest.mark.parametrize("character", ["\t", "\n", "\0", "\x7f"])
def test_a_prefix_has_no_control_characters(character: str) -> None:
    """Which the parsers of addresses leave out, so that two addresses would be one place."""
    with pytest.raises(StoreUnavailableError, match="a control character"):
        check_url(f"s3://records/a{character}b")
