"""Every command on every store reports damaged state with a repair, and never as missing."""

import json
import re
import shutil
import sqlite3
import zlib
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from providers.sandbox import Sandbox
from state import document
from state.document import to_document
from state.stores.bucket import BucketStore
from state.stores.objects import Objects
from state.stores.opening import open_store
from state.stores.sqlite import SqliteStore
from tests.commands.untouched import snapshot
from tests.conftest import Cli, copy_example, stack_of
from tests.state.servers import Bucket, use

APP = "dataset_cleanup"
COMMANDS = (
    ("plan", APP),
    ("plan", APP, "--exit-code"),
    ("apply", APP, "--yes"),
    ("deploy", APP, "--yes", "--organization", "sandbox"),
    ("drift", APP),
    ("drift", "--all"),
    ("adopt", APP),
    ("status", APP),
    ("image", APP),
    ("rollback", APP, "--yes"),
    ("destroy", APP, "--yes"),
    ("state", "show", APP),
    ("state", "verify", APP),
    ("state", "forget", APP, "processing/dataset_cleanup", "--yes"),
)


def sql(*statements: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with closing(sqlite3.connect(path)) as connection, connection:
            for statement in statements:
                connection.execute(statement)

    return damage


def cut(size: int) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(path.read_bytes()[:size])


def anothers(path: Path) -> None:
    path.unlink()
    sql("CREATE TABLE songs (title)")(path)


LATEST = "(SELECT max(serial) FROM contents)"
FILES: Mapping[str, Callable[[Path], None]] = {
    "empty": cut(0),
    "one byte": cut(1),
    "its header alone": cut(100),
    "one page": cut(4096),
    "half of it": lambda path: cut(path.stat().st_size // 2)(path),
    "text": lambda path: path.write_text("this is no database " * 1000) and None,
    "garbage after the header": lambda path: (
        path.write_bytes(path.read_bytes()[:100] + b"\xa5" * 20_000) and None
    ),
    "another database": anothers,
    "a table is gone": sql("DROP TABLE contents"),
    "the history is gone": sql("DELETE FROM saves"),
    "the latest history is gone": sql(f"DELETE FROM saves WHERE serial = {LATEST}"),
    "the latest content is gone": sql(f"DELETE FROM contents WHERE serial = {LATEST}"),
    "the latest content is garbage": sql(f"UPDATE contents SET body = x'a5' WHERE serial = {LATEST}"),
    "the latest content is no blob": sql(f"UPDATE contents SET body = 7 WHERE serial = {LATEST}"),
}


def check(cli: Cli, sandbox: Sandbox, stack: str, commands: tuple[tuple[str, ...], ...] = COMMANDS) -> None:
    sandbox.clear_requests()
    files = snapshot(cli.folder)
    for command in commands:
        ended = cli(*command)
        told = f"{command}\n{ended.out}{ended.err}"
        assert ended.code in (1, 13), told
        assert "damaged" in ended.err + ended.out, told
        assert "a bug in reconciler" not in ended.err, told
        assert re.search("reconciler state|backup|RECONCILER_STATE", ended.err + ended.out), told
    listed = cli("state", "list")
    assert stack in listed.out or (listed.code, "damaged" in listed.err) == (1, True)
    assert sandbox.writes() == []
    assert snapshot(cli.folder) == files


@pytest.fixture
def applied(cli: Cli, sandbox: Sandbox) -> Path:
    """The state file of an applied pipeline."""
    copy_example(APP, cli.folder, sandbox.registry)
    assert cli("apply", APP, "--yes").code == 0
    return cli.folder.parent / "state.db"


def test_a_damaged_file(
    applied: Path, cli: Cli, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, (name, damage) in enumerate(FILES.items()):
        path = tmp_path / f"damaged {number}.db"
        shutil.copyfile(applied, path)
        damage(path)
        monkeypatch.setenv("RECONCILER_STATE", str(path))
        before = path.read_bytes()
        try:
            check(cli, sandbox, stack_of(APP), (*COMMANDS, *(HISTORY if "history" in name else ())))
            assert cli("state", "copy", str(path), str(tmp_path / f"copy {number}.db")).code == 1
        except AssertionError as problem:
            raise AssertionError(f"{name}: {problem}") from None
        if not ("latest" in name or "is gone" in name):  # a lock was taken and released there
            assert (path.read_bytes() == before) is True, name


class Damaged:
    """The objects of one stack in a bucket, with methods to damage and repair them."""

    def __init__(self, url: str, stack: str) -> None:
        self.objects = Objects(url)
        self._folder = BucketStore(self.objects).objects.folders()[0]
        self._stack = stack

    @property
    def head(self) -> str:
        return f"{self._folder}/head.json"

    @property
    def latest(self) -> str:
        return f"{self._folder}/history/{self.objects.names(f'{self._folder}/history')[-1]}"

    def body(self, path: str) -> bytes:
        found = self.objects.get(path)
        assert found is not None
        return found.body

    def delete(self, path: str) -> None:
        self.objects._open_client().delete(path)

    def all(self) -> dict[str, bytes]:
        names = self.objects.names(f"{self._folder}/history")
        paths = [self.head, *(f"{self._folder}/history/{name}" for name in names)]
        return {path: found.body for path in paths if (found := self.objects.get(path))}


OBJECTS: Mapping[str, Callable[[Damaged], Any]] = {
    "the head is gone": lambda d: d.delete(d.head),
    "the head is empty": lambda d: d.objects.put(d.head, b""),
    "the head is one byte": lambda d: d.objects.put(d.head, b"{"),
    "half of the head": lambda d: d.objects.put(d.head, d.body(d.head)[:60]),
    "the head is garbage": lambda d: d.objects.put(d.head, b"\xa5" * 500),
    "the head is another document": lambda d: d.objects.put(d.head, b"{}"),
    "the latest save is gone": lambda d: d.delete(d.latest),
    "the latest save is empty": lambda d: d.objects.put(d.latest, b""),
    "half of the latest save": lambda d: d.objects.put(d.latest, d.body(d.latest)[:300]),
    "the latest save is garbage": lambda d: d.objects.put(d.latest, b"\xa5" * 500),
    "every save is gone": lambda d: [d.delete(path) for path in d.all() if path != d.head],
    "every object is empty": lambda d: [d.objects.put(path, b"") for path in d.all()],
}
HISTORY = (
    ("state", "history", APP),
    ("state", "history", APP, "--saves"),
    ("state", "history", APP, "--json"),
)


def test_a_damaged_bucket(
    s3: Bucket,
    applied: Path,
    cli: Cli,
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    check_bucket(s3, applied, cli, sandbox, tmp_path, monkeypatch)


@pytest.mark.full
@pytest.mark.parametrize("name", ["azure", "gcs"])
def test_a_damaged_bucket_of_another_cloud(
    name: str,
    applied: Path,
    cli: Cli,
    sandbox: Sandbox,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    check_bucket(request.getfixturevalue(name), applied, cli, sandbox, tmp_path, monkeypatch)


def check_bucket(
    bucket: Bucket,
    applied: Path,
    cli: Cli,
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use(bucket, monkeypatch)
    for number, (damage, make) in enumerate(OBJECTS.items()):
        url = f"{bucket.url}/damage-{tmp_path.name}-{number}"
        assert cli("state", "copy", str(applied), url).code == 0
        place = Damaged(url, stack_of(APP))
        make(place)
        monkeypatch.setenv("RECONCILER_STATE", url)
        before = place.all()
        try:
            check(cli, sandbox, stack_of(APP), (*COMMANDS, *HISTORY))
            copied = cli("state", "copy", url, str(tmp_path / f"copy {number}.db"))
            assert copied.code == 1
        except AssertionError as problem:
            raise AssertionError(f"{damage}: {problem}") from None
        after = place.all()
        assert {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)} <= (
            {place.head} if "save" in damage else set()
        ), damage
        if "head" in damage:  # the remaining state is complete
            monkeypatch.setenv("RECONCILER_STATE", str(tmp_path / f"copy {number}.db"))
            assert cli("plan", APP, "--exit-code").code == 0
            assert SqliteStore(tmp_path / f"copy {number}.db").load(stack_of(APP)) == SqliteStore(
                applied
            ).load(stack_of(APP))


def test_a_head_that_is_older_than_its_history(
    s3: Bucket, applied: Path, cli: Cli, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(s3, monkeypatch)
    url, copy = f"{s3.url}/older-{tmp_path.name}", str(tmp_path / "copy.db")
    copy_example("multi_training", cli.folder, sandbox.registry)
    assert cli("apply", "multi_training", "--yes").code == 0
    assert cli("state", "copy", str(applied), url).code == 0
    monkeypatch.setenv("RECONCILER_STATE", url)
    place = Damaged(url, stack_of(APP))
    newest = place.body(place.head)
    *_, save, _, _ = (path for path in place.all() if path != place.head)
    name = save.rpartition("/")[2]
    older = {**json.loads(newest), "serial": int(name.partition("-")[0]), "content": name}
    place.objects.put(place.head, json.dumps(older).encode())
    before = place.all()
    sandbox.clear_requests()
    for command in (
        *(("apply", APP, "--yes"), ("rollback", APP, "--yes"), ("destroy", APP, "--yes")),
        *(("state", "verify", APP), ("state", "forget", "--stack", stack_of(APP), "--yes"), *HISTORY),
        *(("drift", APP), ("state", "copy", url, copy)),
    ):
        ended = cli(*command)
        told = f"{command}\n{ended.out}{ended.err}"
        assert ended.code == (13 if command[0] == "drift" else 1), told
        assert "is damaged: its head is an older one" in " ".join(ended.err.split()), told
        assert "state copy FROM TO" in ended.err or command[1] == "copy", told
    assert (sandbox.writes(), place.all()) == ([], before)

    def dashboard(name: str) -> str:
        folder = tmp_path / name
        assert cli("dashboard", "--out", str(folder)).code == 0
        return " ".join(path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file())

    pages = dashboard("damaged site")
    assert "damaged state" in pages
    assert stack_of("multi_training").partition("/")[2] in pages

    monkeypatch.setenv("RECONCILER_STATE", copy)  # the two ways out
    assert cli("plan", APP, "--exit-code").code == 0
    place.objects.put(place.head, newest)
    monkeypatch.setenv("RECONCILER_STATE", url)
    for command in (("state", "verify", APP), ("apply", APP, "--yes"), *HISTORY):
        assert cli(*command).code == 0
    assert "damaged state" not in dashboard("site")


def test_status_shows_other_stacks_beside_a_damaged_one(applied: Path, cli: Cli, sandbox: Sandbox) -> None:
    copy_example("multi_training", cli.folder, sandbox.registry)
    assert cli("apply", "multi_training", "--yes").code == 0
    sql(f"UPDATE contents SET body = x'00' WHERE stack = '{stack_of(APP)}'")(applied)
    for options in ((), ("--offline",)):
        ended = cli("status", "--all", *options)
        assert ended.code == 1
        assert "damaged" in ended.err
        rows = {line.split()[0]: line for line in ended.out.splitlines() if line.strip()}
        assert "damaged state" in rows[APP]
        assert "1.0.0" in rows[stack_of("multi_training").partition("/")[2]]


def of_a_newer_kind(where: str) -> Callable[[Path], None]:
    """Add a resource or an intent of an unknown kind, as a newer release would."""
    resource = {"address": "dream/one", "kind": "dream", "id": "1", "inputs": {}, "outputs": {}}
    intent: dict[str, Any] = {
        "address": "dream/one",
        "verb": "create",
        "id": None,
        "fields": {},
        "kept": {},
        "run": "r",
    }
    entry = {
        "resources": resource | {"depends_on": []},
        "intents": intent | {"since": "2026-01-01T00:00:00+00:00"},
    }[where]

    def add(path: Path) -> None:
        with SqliteStore(path) as store:
            found = store.load(stack_of(APP))
        assert found is not None
        document = to_document(found)
        document[where].append(entry)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(
                f"UPDATE contents SET whole = 1, body = ? WHERE serial = {LATEST}",
                (zlib.compress(json.dumps(document).encode()),),
            )

    return add


@pytest.mark.parametrize("where", ["resources", "intents"])
def test_state_of_a_newer_kind_is_refused_by_every_command(
    where: str, applied: Path, cli: Cli, sandbox: Sandbox
) -> None:
    of_a_newer_kind(where)(applied)
    sandbox.clear_requests()
    reading = {"image", "state", "rollback", "status"}  # the damage does not affect some of these
    for command in COMMANDS:
        ended = cli(*command)
        told = f"{command}\n{ended.out}{ended.err}"
        assert "a bug in reconciler" not in ended.err, told
        if command[0] not in reading:
            assert ended.code == (13 if command[0] == "drift" else 1), told
            assert "dream/one" in ended.err, told
            assert "pip install --upgrade picsellia-reconciler" in ended.err, told
    assert sandbox.writes() == []


def test_a_state_of_a_newer_version_hides_no_other_pipeline(
    cli: Cli, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upgraded colleague applied one of the pipelines."""
    newer, other = "dataset_cleanup", "single_training"
    for name in (newer, other):
        copy_example(name, cli.folder, sandbox.registry)
    assert cli("apply", "--all", "--yes").code == 0
    with open_store(str(tmp_path / "state.db")) as store:
        stored = store.load(stack_of(newer))
        assert stored is not None
        with monkeypatch.context() as upgraded:
            upgraded.setattr(document, "VERSION", document.VERSION + 1)
            store.save(replace(stored, written_by="9.0.0"), expected_serial=stored.serial, lock=None)

    for command, code in (("plan", 1), ("drift", 13), ("status", 1), ("apply", 1)):
        ended = cli(command, "--all")
        assert ended.code == code, ended.err
        assert f"reconciler 9.0.0 wrote the state of {stack_of(newer)} in format version" in ended.err
        shown = {"drift": "1 pipeline in sync", "apply": "1 in sync"}.get(command, other)
        assert shown in ended.out, f"{command} hides the other pipeline:\n{ended.out}{ended.err}"
    rows = json.loads(cli("status", "--all", "--json").out)["rows"]
    assert len(rows) == 2
