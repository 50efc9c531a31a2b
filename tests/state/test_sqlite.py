"""The SQLite store: its files on disk, and its behaviour after damage, full disks and contention."""

import os
import re
import sqlite3
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from state.errors import CorruptStateError, LockedError, NewerFormatError, StoreUnavailableError
from state.lock import Lock
from state.register import Register
from state.snapshot import Snapshot
from state.stores import sqlite as sqlite_module
from state.stores.sqlite import SqliteStore, retry_while_busy
from tests.state.conftest import STACK, FakeTime, count, counting, resource, run, snapshot

NEVER = 3600.0  # seconds between heartbeats, for tests without any


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "made" / "here" / "state.db"


def change(path: Path, sql: str, *values: object) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(sql, values)


def test_reading_a_missing_file_creates_nothing(path: Path) -> None:
    with SqliteStore(path) as store:
        assert store.load(STACK) is None
        assert store.load_at(STACK, 1) is None
        assert store.history(STACK, 5) == []
        assert store.stacks() == []
        assert store.holder(STACK) is None
        assert store.unlock(STACK) is None
    assert not path.parent.parent.exists()


def test_reading_changes_no_byte_and_leaves_no_file(path: Path) -> None:
    with SqliteStore(path) as store:
        store.save(counting(1), expected_serial=0, lock=None)
    before = path.read_bytes()
    with SqliteStore(path) as store:
        assert count(store.load(STACK)) == 1
        assert store.stacks() == [STACK]
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_writer_does_not_block_a_reader(path: Path) -> None:
    with SqliteStore(path) as store, SqliteStore(path) as reader:
        store.save(counting(1), expected_serial=0, lock=None)
        assert store._transact(lambda _: count(reader.load(STACK))) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_only_sqlite_opens_the_file(path: Path, tmp_path: Path) -> None:
    """To close it anywhere else would release the locks that other connections of the process have on it."""
    other_file = tmp_path / "other.db"
    other_file.write_bytes(b"not a database" * 1000)
    opened: list[object] = []
    sys.addaudithook(lambda event, values: opened.append(values[0]) if event == "open" else None)

    with SqliteStore(path) as store, SqliteStore(path) as other:
        store.save(counting(1), expected_serial=0, lock=None)
        with other.lock(STACK, run("another"), timeout=0) as lock:
            other.save(counting(2), expected_serial=1, lock=lock)
        assert count(store.load(STACK)) == 2
        assert count(store.load_at(STACK, 1)) == 1
        assert len(store.history(STACK, 5)) == 2
        other.save_register(Register("my-org@STAGING"), expected_serial=None)
        assert store.load_register("my-org@STAGING") is not None
        with SqliteStore(path) as reader:  # as on a full disk
            assert reader._read_only(lambda connection: list(connection.execute("SELECT 1"))) == [(1,)]
    with SqliteStore(other_file) as damaged, pytest.raises(CorruptStateError):
        damaged.load(STACK)

    assert not {str(path), str(other_file)}.intersection(map(str, opened))


def test_only_this_user_can_read_file_and_folder(path: Path) -> None:
    before = os.umask(0)
    try:
        with SqliteStore(path) as store:
            store.save(counting(1), expected_serial=0, lock=None)
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert modes == {"state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600}


def test_a_save_is_synchronous_and_goes_to_the_write_ahead_log(path: Path) -> None:
    def pragmas(connection: sqlite3.Connection) -> list[object]:
        return [
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode")
        ]

    with SqliteStore(path) as store:
        assert store._transact(pragmas) == [2, "wal"]  # 2 is FULL


@pytest.mark.parametrize("content", [b"", b"S", b"SQLite format 3", b"this is no database " * 100])
def test_another_file_is_a_damaged_database_not_an_empty_one(tmp_path: Path, content: bytes) -> None:
    """A state file is created completely or not at all, so an empty one is not an interrupted first save."""
    path = tmp_path / "state.db"
    path.write_bytes(content)
    with SqliteStore(path) as store:
        for use in (
            lambda: store.load(STACK),
            store.stacks,
            lambda: store.save(counting(1), expected_serial=0, lock=None),
        ):
            with pytest.raises(CorruptStateError, match=r"state\.db is damaged") as caught:
                use()
            assert "backup" in caught.value.hint
    assert path.read_bytes() == content


def test_concurrent_creation_leaves_one_intact_file(path: Path) -> None:
    stores = [SqliteStore(path) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        locks = pool.map(lambda store: store._acquire(STACK, run("ada"), 30.0), stores)
        assert sum(isinstance(lock, Lock) for lock in locks) == 1
    for store in stores:
        store.close()
    assert list(path.parent.iterdir()) == [path]


def test_a_dangling_link_is_not_an_empty_store(tmp_path: Path) -> None:
    """For example, the disk with the file is not mounted."""
    path = tmp_path / "state.db"
    path.symlink_to(tmp_path / "disk" / "state.db")
    with SqliteStore(path) as store, pytest.raises(StoreUnavailableError, match="which does not exist"):
        store.load(STACK)


def test_a_folder_or_a_pipe_is_not_a_state_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with SqliteStore(path) as store, pytest.raises(StoreUnavailableError, match="not a file"):
            store.load(STACK)


@example(cut=0.15234375, fill=0xA5)  # SQLite's message is not UTF-8
@given(cut=st.floats(0, 1), fill=st.sampled_from([None, 0x00, 0xA5, 0xFF]))
@settings(max_examples=40)
def test_a_cut_or_overwritten_file_is_read_or_reported_as_damaged(cut: float, fill: int | None) -> None:
    """The end of the file is missing or overwritten: a read returns saved state or an error."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "state.db"
        with SqliteStore(path) as store:
            state = grown(store, 3)
        whole = path.read_bytes()
        kept = int(len(whole) * cut)
        path.write_bytes(whole[:kept] + (b"" if fill is None else bytes([fill]) * (len(whole) - kept)))
        with SqliteStore(path) as store:
            try:
                assert store.load(STACK) == state
            except CorruptStateError as problem:
                assert "damaged" in problem.message


@pytest.mark.parametrize(
    "damage",
    [
        "ALTER TABLE saves ADD COLUMN more TEXT",
        "UPDATE saves SET owner = x'ff00'",
    ],
)
def test_damaged_columns_of_the_history_are_reported(path: Path, damage: str) -> None:
    with SqliteStore(path) as store:
        grown(store, 3)
    change(path, damage)
    with SqliteStore(path) as store, pytest.raises(CorruptStateError, match="damaged"):
        store.history(STACK, 5)


def test_an_unwritable_place_is_reported_with_its_path(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        SqliteStore(tmp_path / "file" / "state.db") as store,
        pytest.raises(StoreUnavailableError, match=r"state\.db cannot be (used|written)"),
    ):
        store.save(counting(1), expected_serial=0, lock=None)


def test_the_next_save_upgrades_an_older_layout(path: Path) -> None:
    with SqliteStore(path) as store:
        store.save(counting(1), expected_serial=0, lock=None)
    for name in ("ci", "run", "promoted_from", "override"):
        change(path, f"ALTER TABLE saves DROP COLUMN {name}")
    change(path, "PRAGMA user_version = 1")
    before = path.read_bytes()
    with SqliteStore(path) as store:
        (entry,) = store.history(STACK, 5)
        assert (entry.serial, entry.ci, entry.run) == (1, "", "")
        assert (entry.promoted_from, entry.override) == ("", "")
    assert path.read_bytes() == before
    with SqliteStore(path) as store:
        with store.lock(STACK, run("ada", ci="job 7"), timeout=0) as lock:
            store.save(counting(2), expected_serial=1, lock=lock)
        assert [entry.ci for entry in store.history(STACK, 5)] == ["job 7", ""]
        assert count(store.load(STACK)) == 2


def test_a_file_of_a_newer_layout_is_neither_read_nor_written(path: Path) -> None:
    with SqliteStore(path) as store:
        store.save(counting(1), expected_serial=0, lock=None)
    change(path, "PRAGMA user_version = 99")
    with SqliteStore(path) as store:
        with pytest.raises(NewerFormatError, match="layout 99"):
            store.load(STACK)
        with pytest.raises(NewerFormatError, match="layout 99"):
            store.save(counting(2), expected_serial=1, lock=None)


def grown(store: SqliteStore, saves: int, *, entries: int = 40) -> Snapshot:
    """Large state, and small changes to it: the first is stored whole, the others as changes."""
    state = store.save(
        snapshot(*(resource(f"model/{n}", text=os.urandom(20).hex()) for n in range(entries))),
        expected_serial=0,
        lock=None,
    )
    for serial in range(1, saves):
        state = store.save(
            state.with_resource(resource("model/changing", n=serial)), expected_serial=serial, lock=None
        )
    return state


def stored(path: Path) -> list[tuple[int, int, int]]:
    sql = "SELECT serial, whole, length(body) FROM contents ORDER BY serial"
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def test_small_changes_of_large_state_are_stored_as_changes(path: Path) -> None:
    with SqliteStore(path) as store:
        state = grown(store, 60)
        assert store.load(STACK) == state
    rows = stored(path)
    whole = [(serial, size) for serial, is_whole, size in rows if is_whole]
    assert whole[0][0] == 1
    assert 1 < len(whole) < 20
    assert sum(size for _, _, size in rows) <= 2 * sum(size for _, size in whole)


def test_a_run_begins_with_a_whole_document(path: Path) -> None:
    """So a change always has the format version of its document."""
    with SqliteStore(path) as store:
        state = grown(store, 3)
    with SqliteStore(path) as store:
        store.save(state, expected_serial=3, lock=None)
    assert [is_whole for _, is_whole, _ in stored(path)] == [1, 0, 0, 1]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        ("DELETE FROM contents WHERE serial = 4", "content is missing"),
        ("DELETE FROM contents WHERE serial = 2", "an earlier change is missing"),
        ("UPDATE contents SET body = x'00' WHERE serial = 3", "damaged"),
        ("UPDATE contents SET body = substr(body, 1, length(body) - 9) WHERE serial = 1", "damaged"),
        (
            "UPDATE contents SET body = (SELECT body FROM contents WHERE serial = 1) WHERE serial = 3",
            "does not apply",
        ),
    ],
)
def test_damage_is_reported_and_never_read_as_empty_state(path: Path, damage: str, says: str) -> None:
    with SqliteStore(path) as store:
        grown(store, 4)
    change(path, damage)
    with SqliteStore(path) as store, pytest.raises(CorruptStateError) as caught:
        store.load(STACK)
    assert says in caught.value.message
    assert STACK in caught.value.message


def test_a_save_that_fails_half_way_leaves_nothing(path: Path) -> None:
    with SqliteStore(path) as store:
        store.save(counting(1), expected_serial=0, lock=None)
        change(
            path, "CREATE TRIGGER full BEFORE INSERT ON contents BEGIN SELECT raise(ABORT, 'disk full'); END"
        )
        with pytest.raises(StoreUnavailableError, match="disk full"):
            store.save(counting(2), expected_serial=1, lock=None)
        change(path, "DROP TRIGGER full")
        assert [entry.serial for entry in store.history(STACK, 5)] == [1]
        assert store.save(counting(3), expected_serial=1, lock=None).serial == 2
        assert count(store.load(STACK)) == 3


def test_a_failed_release_does_not_hide_the_result_of_the_run(path: Path) -> None:
    with SqliteStore(path) as store:
        with store.lock(STACK, run("ada"), timeout=0) as lock:
            store.save(counting(1), expected_serial=0, lock=lock)
            change(path, "CREATE TRIGGER ro BEFORE UPDATE ON locks BEGIN SELECT raise(ABORT, 'no'); END")
        assert count(store.load(STACK)) == 1
        assert store.holder(STACK) == run("ada")


def test_a_busy_file_is_retried(tmp_path: Path) -> None:
    """SQLite reports "locked" at once while another process changes the journal or cleans up."""
    path = tmp_path / "busy.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE one (x)")
        other.execute("BEGIN EXCLUSIVE")
        answers: list[str] = []

        def attempt() -> str:
            if len(answers) == 2:
                other.execute("COMMIT")
            try:
                with closing(sqlite3.connect(path, timeout=0)) as impatient:
                    return str(impatient.execute("SELECT count(*) FROM one").fetchone())
            except sqlite3.OperationalError as problem:
                answers.append(str(problem))
                raise

        assert retry_while_busy(attempt) == "(0,)"
    assert answers == ["database is locked"] * 2


def test_a_permanent_error_is_not_retried(tmp_path: Path) -> None:
    tries = 0

    def attempt() -> None:
        nonlocal tries
        tries += 1
        with closing(sqlite3.connect(tmp_path / "x.db")) as connection:
            connection.execute("SELECT * FROM nowhere")

    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        retry_while_busy(attempt)
    assert tries == 1


@pytest.mark.parametrize("hours", [1, 5, 24 * 365])
def test_a_clock_that_is_set_back_delays_a_take_over_by_one_lifetime_only(
    path: Path, time: FakeTime, hours: int
) -> None:
    """A run dies while the clock is ahead, for example by a power failure; the clock is then corrected."""

    def opened() -> SqliteStore:
        return SqliteStore(path, clock=time.clock, monotonic=time.clock, sleep=time.sleep)

    time.now += hours * 3600
    with opened() as dead, dead.lock(STACK, run("ada"), timeout=0, ttl=30, every=NEVER):
        time.now -= hours * 3600
        began = time.now
        with opened() as other, other.lock(STACK, run("bob"), timeout=60, ttl=30, every=NEVER) as lock:
            assert lock.previous_holder == run("ada")
            assert time.now - began == pytest.approx(30, abs=1)


def test_a_clock_that_is_set_back_takes_no_lock_from_a_live_run(path: Path, time: FakeTime) -> None:
    def opened() -> SqliteStore:
        return SqliteStore(path, clock=time.clock, monotonic=time.clock, sleep=time.sleep)

    time.now += 5 * 3600
    with opened() as live, live.lock(STACK, run("ada"), timeout=0, ttl=30, every=NEVER) as lock:
        time.now -= 5 * 3600
        with opened() as other:
            for _ in range(10):
                with pytest.raises(LockedError):
                    other.lock(STACK, run("bob"), timeout=10, ttl=30, every=NEVER).__enter__()
                live._renew(lock, 30)  # its heartbeat
            assert other.holder(STACK) == run("ada")


def test_no_statement_numbers_its_values() -> None:
    """Python 3.12 warns about a sequence for `?1`, and 3.14 refuses it."""
    assert re.findall(r"\?\d", Path(sqlite_module.__file__).read_text()) == []


@pytest.mark.parametrize("content", [b"SQLite format 3\0", b"SQLite format 3\0" + b"\xa5" * 4096])
def test_a_connection_to_a_damaged_file_is_closed(
    path: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python 3.13 warns about one that is not."""
    opened: list[sqlite3.Connection] = []

    def connect(*given: object, **named: object) -> sqlite3.Connection:
        opened.append(made := real(*given, **named))  # type: ignore[call-overload]
        return made

    real = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", connect)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with SqliteStore(path) as store, pytest.raises(CorruptStateError):
        store.load(STACK)
    assert opened
    for connection in opened:
        with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
            connection.execute("SELECT 1")
