"""What a newer reconciler wrote is named, and hides nothing else, on each store and in each command."""

import json
import sqlite3
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest
from msgspec.structs import asdict, replace

from providers.sandbox import Sandbox
from state import document, register
from state.lock_info import LockInfo
from state.register import scope_of
from state.stores import bucket_layout
from state.stores.bucket import BucketStore
from state.stores.opening import open_store
from tests.conftest import Cli, copy_example, stack_of

NEWER, OTHER = "dataset_cleanup", "computed_inputs"


def newer_state(url: str, stack: str, upgraded: pytest.MonkeyPatch) -> None:
    """A save of a newer reconciler."""
    upgraded.setattr(document, "VERSION", document.VERSION + 1)
    save_again(url, stack)


def newer_layout(url: str, stack: str, upgraded: pytest.MonkeyPatch) -> None:
    """A save of a newer reconciler, with another layout of the objects in a bucket."""
    upgraded.setattr(bucket_layout, "VERSION", bucket_layout.VERSION + 1)
    save_again(url, stack)


def save_again(url: str, stack: str) -> None:
    with open_store(url) as store:
        stored = store.load(stack)
        assert stored is not None
        store.save(replace(stored, written_by="9.0.0"), expected_serial=stored.serial, lock=None)


def newer_head(url: str, stack: str, upgraded: pytest.MonkeyPatch) -> None:
    """Only the head has another layout."""
    with open_store(url) as store:
        assert isinstance(store, BucketStore)
        path = bucket_layout.head_path(stack)
        found = store.objects.get(path)
        assert found is not None
        body = json.loads(found.body)
        store.objects.put(path, json.dumps(body | {"version": 99}).encode())


def newer_keys(part: str) -> Callable[[str, str, pytest.MonkeyPatch], None]:
    """An object of this layout with a key that a later version added, for example to the history."""

    def write(url: str, stack: str, upgraded: pytest.MonkeyPatch) -> None:
        with open_store(url) as store:
            assert isinstance(store, BucketStore)
            path = bucket_layout.head_path(stack)
            head = store.objects.get(path)
            assert head is not None
            body = json.loads(head.body)
            if part == "entry":
                path = f"{bucket_layout.history_folder(stack)}/{body['content']}"
                found = store.objects.get(path)
                assert found is not None
                body = json.loads(found.body)
                body["entry"]["approved_by"] = "ada"
            else:
                body["approved_by"] = "ada"
            store.objects.put(path, json.dumps(body).encode())

    return write


def newer_register(url: str, stack: str, upgraded: pytest.MonkeyPatch) -> None:
    upgraded.setattr(register, "VERSION", register.VERSION + 1)
    with open_store(url) as store:
        stored = store.load_register(scope_of(stack))
        assert stored is not None
        store.save_register(stored, expected_serial=stored.serial)


def newer_lock(url: str, stack: str, upgraded: pytest.MonkeyPatch) -> None:
    """A run of a newer reconciler has the lock. Its description has one more key."""
    with sqlite3.connect(url) as connection:
        info = LockInfo("ada", "host", 1, "reconciler apply", "2025-03-01T12:00:00.000+00:00", "run-9")
        text = json.dumps({**asdict(info), "approved_by": "grace"})
        connection.execute(
            "UPDATE locks SET holder = ?, expires = ? WHERE stack = ?", (text, time.time() + 3600, stack)
        )
    connection.close()


WRITTEN: Mapping[str, Callable[[str, str, pytest.MonkeyPatch], None]] = {
    "state": newer_state,
    "layout": newer_layout,
    "head": newer_head,
    "register": newer_register,
    "lock": newer_lock,
    "keys of the head": newer_keys("head"),
    "keys of the history": newer_keys("entry"),
}
IN_BUCKETS = [what for what in WRITTEN if what != "lock"]  # there, the head has the lock
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
    *(pytest.param(what, cloud, marks=pytest.mark.full) for cloud in ("azure", "gcs") for what in IN_BUCKETS),
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
        WRITTEN[what](state, stack_of(NEWER), upgraded)
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


STACK, SCOPE, STORE = "STACK", "SCOPE", "STORE"
COMMANDS = (
    *(("state", verb, STACK) for verb in ("show", "history", "verify", "unlock")),
    ("state", "diff", STACK, "1", "2"),
    ("state", "forget", STACK, f"processing/{NEWER}", "--yes"),
    ("state", "forget", "--stack", STACK, "--yes"),
    ("state", "move", STACK, f"{STACK}-moved"),
    ("state", "claims"),
    ("state", "claims", "--rebuild", SCOPE),
    ("state", "copy", STORE, "elsewhere.db"),
    ("promote", NEWER, "--from", "TEST", "--to", "LIVE", "--yes"),
    ("promote", NEWER, "--from", "LIVE", "--to", "TEST", "--yes"),
    *(
        (verb, NEWER, "--env", "TEST", "--yes")
        for verb in ("apply", "deploy", "adopt", "rollback", "destroy")
    ),
    *((verb, NEWER, "--env", "TEST") for verb in ("plan", "drift", "status")),
)
WITHOUT_LOCK = (
    ("state", "claims", "--rebuild", SCOPE),
    ("promote", NEWER, "--from", "TEST", "--to", "LIVE", "--yes"),
)
NEEDED: Mapping[str, tuple[str, ...]] = {
    "register": ("claims", "move", "forget", "apply", "promote"),
    "lock": ("unlock", "forget", "move", "apply", "deploy", "rollback", "destroy"),
    "keys of the history": ("show", "verify", "forget", "apply", "promote"),
}
"""The commands that need one of these parts; all of `OF_A_STATE` need each other part."""
OF_A_STATE = ("show", "verify", "forget", "move", "plan", "apply", "deploy", "rollback", "destroy", "promote")


def kept(url: str, stack: str) -> object:
    """All that a store has of a stack, and its register, without the traces of a lock that is free again."""
    scope = scope_of(stack)
    if "://" not in url:
        with sqlite3.connect(url) as connection:
            rows = [row for row in connection.iterdump() if f"'{stack}'" in row or f"'{scope}'" in row]
        connection.close()
        return [row for row in rows if not (row.startswith('INSERT INTO "locks"') and ",NULL," in row)]
    with open_store(url) as store:
        assert isinstance(store, BucketStore)
        folder = bucket_layout.history_folder(stack)
        paths = [f"{folder}/{name}" for name in store.objects.names(folder)]
        paths += [bucket_layout.head_path(stack), bucket_layout.register_path(scope)]
        found = {path: store.objects.get(path) for path in paths}
        return {path: without_lock(one.body) for path, one in found.items() if one is not None}


def without_lock(body: bytes) -> object:
    content = json.loads(body)
    return {key: value for key, value in content.items() if key not in ("fence", "write", "ttl")}


@pytest.mark.parametrize(("what", "state"), [*IN_STORES, ("lock", "sqlite")], indirect=["state"])
def test_no_command_changes_it(
    what: str, state: str, cli: Cli, environments: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECONCILER_STATE", state)
    copy_example(NEWER, cli.folder, environments.registry)
    for bump in ((), ("--bump", "patch", "--force-bump")):
        assert cli("apply", NEWER, "--env", "TEST", "--yes", *bump).code == 0
    scope = f"my-test-org@{urlsplit(environments.account('TEST').url).netloc}"
    replaced = {STACK: f"{scope}/{NEWER}", SCOPE: scope, STORE: state}
    with monkeypatch.context() as upgraded:
        WRITTEN[what](state, replaced[STACK], upgraded)
    before = kept(state, replaced[STACK])
    environments.clear_requests()
    wrong = []
    for command in COMMANDS:
        if what == "lock" and command in WITHOUT_LOCK:
            continue
        arguments = command
        for name, value in replaced.items():
            arguments = tuple(one.replace(name, value) for one in arguments)
        ended = cli(*arguments)
        printed = f"{' '.join(command)}: {ended.code}\n{ended.out}{ended.err}"
        said = "a newer reconciler wrote" in printed or "reconciler 9.0.0 wrote" in printed
        must = {*command}.intersection(NEEDED.get(what, OF_A_STATE))
        is_named = said and ended.code in (1, 13) if ended.code or must else True
        misread = [text for text in ("damaged", "a bug in reconciler", "Traceback") if text in printed]
        if not is_named or misread or kept(state, replaced[STACK]) != before:
            wrong.append(printed)
            before = kept(state, replaced[STACK])
    assert not wrong, f"{len(wrong)} commands\n\n" + "\n\n".join(wrong)
    assert environments.writes() == []
