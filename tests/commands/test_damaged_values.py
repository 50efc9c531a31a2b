"""Any value in any column of the state file, and any bytes in it: reported as damaged, never a bug."""

import random
import re
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import cycle, islice
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from tests.conftest import CASES, Cli, copy_example, stack_of

APP = "dataset_cleanup"
COLUMNS = {
    "saves": (
        *("stack", "serial", "lineage", "written_at", "written_by", "owner", "host", "command"),
        *("git_commit", "ci", "run", "promoted_from", "override"),
    ),
    "contents": ("stack", "serial", "whole", "body"),
    "locks": ("stack", "fence", "holder", "expires"),
    "registers": ("scope", "serial", "body"),
}
VALUES = (
    *("CAST(x'41ff42' AS TEXT)", "x'fffe'", "''", "x''", "NULL", "0", "-1", "7", "1.5", "9e999"),
    *("9223372036854775807", "'null'", "'[]'", "'{}'", "'text'", "'0001-01-01T00:00:00+14:00'"),
    *("""'{"owner":1,"host":2,"pid":"3","command":4,"since":5,"id":6}'""", "CAST(zeroblob(9) AS TEXT)"),
)
NEWEST = "WHERE serial = (SELECT max(serial) FROM contents)"
COMMANDS = (
    *(("state", "history", APP), ("state", "history", APP, "--saves"), ("state", "history", APP, "--json")),
    *(("plan", APP), ("apply", APP, "--yes"), ("drift", "--all"), ("status", "--all")),
    *(("rollback", APP, "--dry-run"), ("destroy", APP, "--yes"), ("adopt", APP), ("image", APP)),
    *(("state", "show", APP), ("state", "list"), ("state", "claims"), ("state", "diff", APP, "1", "2")),
    *(("list", "--all", "--stale"), ("state", "forget", APP, f"processing/{APP}", "--yes")),
    *(("state", "unlock", APP), ("state", "claims", "--rebuild", "SCOPE"), ("dashboard", "--out", "SITE")),
    ("state", "copy", "STATE", "COPY"),
)
"""Each reads or writes state."""

VERIFY = ("state", "verify", APP)


class File:
    """A state file that is damaged again and again, and the commands that use it."""

    def __init__(self, path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        self._cli = cli
        self._places = {
            "STATE": str(path),
            "COPY": str(path.with_name("copy.db")),
            "SITE": str(path.with_name("site")),
            "SCOPE": stack_of(APP).partition("/")[0],
        }
        monkeypatch.setenv("RECONCILER_STATE", str(path))

    def become(self, damaged: Path) -> None:
        for leftover in (self.path, *(self.path.with_name(self.path.name + end) for end in ("-wal", "-shm"))):
            leftover.unlink(missing_ok=True)
        shutil.copyfile(damaged, self.path)

    def runs(self, command: tuple[str, ...]) -> tuple[int, str]:
        """The code of a command and what it says. Checks that it is no bug."""
        Path(self._places["COPY"]).unlink(missing_ok=True)
        shutil.rmtree(self._places["SITE"], ignore_errors=True)
        ended = self._cli(*(self._places.get(word, word) for word in command))
        said = " ".join((ended.out + ended.err).split())
        assert "a bug in reconciler" not in said and "Traceback" not in said, f"{command}\n{said}"
        assert ended.code in (0, 1, 10, 11, 12, 13), f"{command}: {ended.code}\n{said}"
        if ended.code in (1, 13) and "damaged" in said:
            assert re.search("reconciler state|backup|RECONCILER_STATE|not copied|were copied", said), (
                f"{command}\n{said}"
            )
        CASES["commands on a state file with a damaged value"] += 1
        return ended.code, said


@pytest.fixture
def file(cli: Cli, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[File, Path]:
    """The file under test, and an intact one: applied twice, and with a released lock."""
    copy_example(APP, cli.folder, sandbox.registry)
    assert cli("apply", APP, "--yes").code == 0
    intact = tmp_path / "intact.db"
    with closing(sqlite3.connect(tmp_path / "state.db")) as source, closing(sqlite3.connect(intact)) as copy:
        source.backup(copy)
    with closing(sqlite3.connect(intact)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    cli.checks_documents = False
    return File(tmp_path / "damaged.db", cli, monkeypatch), intact


def damages(intact: Path, made: Path) -> Iterator[str]:
    """Damages the file in each way after the other."""
    for value in VALUES:
        for table, columns in COLUMNS.items():
            for column in columns:
                where = NEWEST if table in ("saves", "contents") else ""
                shutil.copyfile(intact, made)
                with closing(sqlite3.connect(made)) as connection:
                    try:
                        connection.execute(f"UPDATE {table} SET {column} = {value} {where}")
                    except sqlite3.IntegrityError:
                        continue  # the file cannot have it
                    connection.commit()
                yield f"{table}.{column} = {value}"


def wrong(file: File, made: Path, what: str, commands: tuple[tuple[str, ...], ...]) -> Iterator[str]:
    """What is wrong with how these commands, and `state verify`, tell of a damage."""
    verified = None
    for command in (VERIFY, *commands):
        file.become(made)
        try:
            code, said = file.runs(command)
        except AssertionError as problem:
            yield f"{what}: {problem}"
            continue
        verified = code if command == VERIFY else verified
        if verified == 0 and code and "damaged" in said:
            yield f"{what}: {command} ends with {code}, but the state is intact to verify\n{said}"


def test_any_value_in_any_column(file: tuple[File, Path], tmp_path: Path) -> None:
    """A sample: each column with a value that is not UTF-8, and some others."""
    under_test, intact = file
    made, commands = tmp_path / "made.db", cycle(COMMANDS)
    found: list[str] = []
    for number, what in enumerate(damages(intact, made)):
        if number < 26 or number % 9 == 0:
            found += wrong(under_test, made, what, tuple(islice(commands, 2)))
    assert not found, "\n".join(found)


@pytest.mark.full
def test_every_value_in_every_column(file: tuple[File, Path], tmp_path: Path) -> None:
    under_test, intact = file
    found: list[str] = []
    for what in damages(intact, tmp_path / "made.db"):
        found += wrong(under_test, tmp_path / "made.db", what, COMMANDS)
    assert not found, "\n".join(found)


def changed(intact: bytes, chance: random.Random) -> bytes:
    size = chance.choice((1, 8, 16, 512))
    at = chance.randrange(len(intact) - size)
    return intact[:at] + chance.randbytes(size) + intact[at + size :]


def check_bytes(file: File, intact: Path, made: Path, seconds: float, seed: int) -> None:
    chance, end = random.Random(seed), time.monotonic() + seconds
    whole, commands = intact.read_bytes(), cycle(COMMANDS)
    found: list[str] = []
    number = 0
    while time.monotonic() < end:
        made.write_bytes(changed(whole, chance))
        found += wrong(file, made, f"change {number} of seed {seed}", tuple(islice(commands, 3)))
        number += 1
    assert not found, "\n".join(found)


def test_any_bytes_at_any_place(file: tuple[File, Path], tmp_path: Path) -> None:
    check_bytes(*file, tmp_path / "made.db", 6, 1)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(5))
def test_many_bytes_at_any_place(file: tuple[File, Path], tmp_path: Path, seed: int) -> None:
    check_bytes(*file, tmp_path / "made.db", 60, seed)


NOT_UTF8 = "CAST(x'41ff42' AS TEXT)"


def change(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(sql)


def test_one_byte_in_the_newest_save_of_a_pipeline_hides_no_other(cli: Cli, sandbox: Sandbox) -> None:
    other = "computed_inputs"
    for name in (APP, other):
        copy_example(name, cli.folder, sandbox.registry)
    assert cli("apply", "--all", "--yes").code == 0
    newest = f"(SELECT max(serial) FROM saves WHERE stack = '{stack_of(APP)}')"
    where = f"WHERE stack = '{stack_of(APP)}' AND serial = {newest}"
    change(cli.folder.parent / "state.db", f"UPDATE saves SET owner = {NOT_UTF8} {where}")
    for command, code, shown in (
        ("plan", 1, other),
        ("drift", 13, "1 pipeline in sync"),
        ("status", 1, other),
        ("apply", 1, "1 in sync"),
    ):
        ended = cli(command, "--all")
        assert ended.code == code, f"{command}\n{ended.err}"
        assert f"the state of {stack_of(APP)}" in ended.err and "is damaged" in ended.err, ended.err
        assert shown in ended.out, f"{command}\n{ended.out}"
    assert cli("state", "verify", other).code == 0
    assert "Intact serials" in cli("state", "verify", APP).err


@pytest.mark.parametrize("damage", [f"holder = {NOT_UTF8}", "fence = x'00'", "expires = 'soon'"])
def test_state_verify_reports_a_damaged_lock_and_unlock_repairs_it(
    cli: Cli, sandbox: Sandbox, damage: str
) -> None:
    copy_example(APP, cli.folder, sandbox.registry)
    assert cli("apply", APP, "--yes").code == 0
    change(cli.folder.parent / "state.db", f"UPDATE locks SET {damage}")
    for command in (("state", "verify", APP), ("apply", APP, "--yes"), ("rollback", APP, "--dry-run")):
        ended = cli(*command)
        assert ended.code == 1, command
        assert f"the lock of {stack_of(APP)}" in ended.err and "is damaged" in ended.err, ended.err
        assert "reconciler state unlock" in ended.err
    for command in (("state", "unlock", APP), ("state", "verify", APP), ("apply", APP, "--yes")):
        assert cli(*command).code == 0, command


def test_state_verify_reports_damage_of_an_earlier_state_and_of_the_register(
    cli: Cli, sandbox: Sandbox
) -> None:
    copy_example(APP, cli.folder, sandbox.registry)
    assert cli("apply", APP, "--yes").code == 0
    path = cli.folder.parent / "state.db"
    change(path, "UPDATE registers SET serial = 9223372036854775807")
    ended = cli("state", "verify", APP)
    assert (ended.code, "reconciler state claims --rebuild" in ended.err) == (1, True), ended.err
    assert cli("state", "claims", "--rebuild", stack_of(APP).partition("/")[0]).code == 0
    assert cli("state", "verify", APP).code == 0
    change(path, "UPDATE contents SET body = x'00' WHERE serial = 1")
    with closing(sqlite3.connect(path)) as connection:
        is_whole = connection.execute("SELECT count(*) FROM contents WHERE whole").fetchone() == (1,)
    ended = cli("state", "verify", APP)
    assert (ended.code, "serial 1" in ended.err or is_whole) == (1, True), ended.err
