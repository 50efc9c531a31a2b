"""What a newer reconciler wrote is named, and hides nothing else, on each store and in each command."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from providers.sandbox import Sandbox
from state import document, register
from state.register import scope_of
from state.stores import bucket_layout
from state.stores.bucket import BucketStore
from state.stores.opening import open_store
from tests.conftest import Cli, copy_example, stack_of

NEWER, OTHER = "dataset_cleanup", "computed_inputs"


def newer_state(url: str, upgraded: pytest.MonkeyPatch) -> None:
    """A save of a newer reconciler."""
    upgraded.setattr(document, "VERSION", document.VERSION + 1)
    save_again(url)


def newer_layout(url: str, upgraded: pytest.MonkeyPatch) -> None:
    """A save of a newer reconciler, with another layout of the objects in a bucket."""
    upgraded.setattr(bucket_layout, "VERSION", bucket_layout.VERSION + 1)
    save_again(url)


def save_again(url: str) -> None:
    with open_store(url) as store:
        stored = store.load(stack_of(NEWER))
        assert stored is not None
        store.save(replace(stored, written_by="9.0.0"), expected_serial=stored.serial, lock=None)


def newer_head(url: str, upgraded: pytest.MonkeyPatch) -> None:
    """Only the head has another layout."""
    with open_store(url) as store:
        assert isinstance(store, BucketStore)
        path = bucket_layout.head_path(stack_of(NEWER))
        found = store.objects.get(path)
        assert found is not None
        body = json.loads(found.body)
        store.objects.put(path, json.dumps(body | {"version": 99}).encode())


def newer_keys(part: str) -> Callable[[str, pytest.MonkeyPatch], None]:
    """An object of this layout with a key that a later version added, for example to the history."""

    def write(url: str, upgraded: pytest.MonkeyPatch) -> None:
        with open_store(url) as store:
            assert isinstance(store, BucketStore)
            path = bucket_layout.head_path(stack_of(NEWER))
            head = store.objects.get(path)
            assert head is not None
            body = json.loads(head.body)
            if part == "entry":
                path = f"{bucket_layout.history_folder(stack_of(NEWER))}/{body['content']}"
                found = store.objects.get(path)
                assert found is not None
                body = json.loads(found.body)
                body["entry"]["approved_by"] = "ada"
            else:
                body["approved_by"] = "ada"
            store.objects.put(path, json.dumps(body).encode())

    return write


def newer_register(url: str, upgraded: pytest.MonkeyPatch) -> None:
    upgraded.setattr(register, "VERSION", register.VERSION + 1)
    with open_store(url) as store:
        stored = store.load_register(scope_of(stack_of(NEWER)))
        assert stored is not None
        store.save_register(stored, expected_serial=stored.serial)


WRITTEN: Mapping[str, Callable[[str, pytest.MonkeyPatch], None]] = {
    "state": newer_state,
    "layout": newer_layout,
    "head": newer_head,
    "register": newer_register,
    "keys of the head": newer_keys("head"),
    "keys of the history": newer_keys("entry"),
}
READING = (
    ("status",),
    ("status", "--offline"),
    ("plan",),
    ("plan", "--json"),
    ("drift",),
    ("drift", "--unmanaged"),
    ("apply", "--yes"),
)


def rows(cli: Cli, *options: str) -> dict[str, dict[str, Any]]:
    ended = cli("status", "--all", "--json", *options)
    return {row["pipeline"]: row for row in json.loads(ended.out)["rows"]}


IN_STORES = [
    *(("state", "sqlite"), ("register", "sqlite"), ("layout", "s3"), ("head", "s3"), ("register", "s3")),
    *(("keys of the head", "s3"), ("keys of the history", "s3")),
    # the other clouds have the same code for buckets
    *(pytest.param(what, cloud, marks=pytest.mark.full) for cloud in ("azure", "gcs") for what in WRITTEN),
]


@pytest.mark.parametrize(("what", "state"), IN_STORES, indirect=["state"])
def test_it_is_named_and_every_other_pipeline_is_shown(
    what: str, state: str, cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (NEWER, OTHER):
        copy_example(name, cli.folder, sandbox.registry)
    (cli.folder / "reconciler.toml").write_text('[workspace]\nname = "repository"\n')
    assert cli("apply", "--all", "--yes").code == 0
    before = {options: rows(cli, *options) for options in ((), ("--offline",))}
    with monkeypatch.context() as upgraded:
        WRITTEN[what](state, upgraded)
    sandbox.clear_requests()

    for command in READING:
        ended = cli(command[0], "--all", *command[1:])
        printed = f"{command}\n{ended.out}{ended.err}"
        assert ended.code == (13 if command[0] == "drift" else 1), printed
        assert "pip install --upgrade picsellia-reconciler" in printed, printed
        assert command[0] != "status" or ended.err.count("error: ") == 1, printed
        for wrong in ("damaged", "there is no state", "not in the state", "a bug in reconciler"):
            assert wrong not in printed, printed
        if what != "register" or command[0] == "status":
            shown = {"drift": "1 pipeline in sync", "apply": "1 in sync"}.get(command[0], OTHER)
            assert shown in ended.out, printed
    for options, expected in before.items():
        found = rows(cli, *options)
        if what != "register":
            assert found[OTHER] == expected[OTHER]
            assert found[NEWER]["drift_code"] == "newer-state"
        for name in (NEWER, OTHER) if what == "register" else ():  # only the live objects need it
            live = {"drift", "drift_code", "checked", "running_version", "running_digest"}
            assert {key: found[name][key] for key in found[name].keys() - live} == {
                key: expected[name][key] for key in found[name].keys() - live
            }
            assert found[name]["drift_code"] == ("not-requested" if options else "unreadable")
    assert sandbox.writes() == []

    names = cli("state", "list")
    assert (names.code, names.out.split()) == (0, [stack_of(OTHER), stack_of(NEWER)])
    assert cli("state", "show", OTHER).code == 0
    moved = cli("state", "move", OTHER, stack_of("moved"))
    forgotten = cli("state", "forget", "--stack", stack_of("moved" if moved.code == 0 else OTHER), "--yes")
    if what != "register":
        assert (moved.code, forgotten.code) == (0, 0), moved.err + forgotten.err
        return
    removed = cli("state", "forget", OTHER, f"processing/{OTHER}", "--yes")
    rebuilt = cli("state", "claims", "--rebuild", stack_of(NEWER).partition("/")[0])
    for ended in (moved, forgotten, removed, rebuilt):
        assert ended.code == 1
        assert "a newer reconciler wrote the register" in ended.err
    assert rows(cli, "--offline") == before["--offline",]  # nothing was half done
