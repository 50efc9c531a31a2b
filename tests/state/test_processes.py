"""Concurrent and killed processes, for each store."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from state.stores.opening import open_store
from tests.state.conftest import STACK, count, counting

ROOT = Path(__file__).parents[2]

INCREMENT = """
import sys
from state.errors import StaleStateError
from state.stores.opening import open_store
from tests.state.conftest import STACK, count, counting

with open_store(sys.argv[1]) as store:
    sys.stdin.readline()  # all start together
    done = 0
    while done < int(sys.argv[2]):
        state = store.load(STACK)
        try:
            store.save(counting(count(state) + 1), expected_serial=state.serial if state else 0, lock=None)
            done += 1
        except StaleStateError:
            pass
"""

SAVE_FOREVER = """
import sys
from state.stores.opening import open_store
from tests.state.conftest import STACK, count, counting, resource

with open_store(sys.argv[1]) as store:
    state = store.load(STACK)
    serial, done = (state.serial, count(state)) if state else (0, 0)
    while True:
        done += 1
        serial = store.save(
            counting(done).with_resource(resource("model/M", echo=done)), expected_serial=serial, lock=None
        ).serial
        print(serial, done, flush=True)
"""


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", script, *map(str, arguments)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_processes_that_save_at_once_lose_nothing(url: str) -> None:
    """Including the first save: they also race to create the store."""
    processes = [start(INCREMENT, url, 25) for _ in range(4)]
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    with open_store(url) as store:
        state = store.load(STACK)
        assert state is not None
        assert (state.serial, count(state)) == (100, 100)
        assert [entry.serial for entry in store.history(STACK, 200)] == list(range(100, 0, -1))
        assert [count(store.load_at(STACK, serial)) for serial in range(1, 101)] == list(range(1, 101))


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
def test_a_killed_process_loses_no_acknowledged_save(url: str) -> None:
    """kill -9 during saves, repeatedly. For power cuts, the store relies on synchronous=FULL."""
    moments = random.Random(7)
    for _ in range(4):
        with start(SAVE_FOREVER, url) as process:
            assert process.stdout
            acknowledged = [process.stdout.readline() for _ in range(moments.randint(1, 20))]
            try:
                process.wait(moments.uniform(0, 0.03))
            except subprocess.TimeoutExpired:
                process.kill()
            acknowledged += process.stdout.readlines()
        whole = [line for line in acknowledged if line.endswith("\n")]  # the kill may cut the last one
        serial, done = map(int, whole[-1].split())
        with open_store(url) as store:
            state = store.load(STACK)
            assert state is not None
            # one more save may have succeeded without its acknowledgement
            assert state.serial - serial in (0, 1)
            assert count(state) - done == state.serial - serial
            assert state.resources["model/M"].inputs["echo"] == count(state)
            saves = store.history(STACK, 1000)
            assert [entry.serial for entry in saves] == list(range(state.serial, 0, -1))


READ = """
import sys
from state.stores.opening import open_store
from tests.state.conftest import STACK, count

with open_store(sys.argv[1]) as store:
    print(count(store.load(STACK)))
"""


def test_a_second_store_of_a_process_costs_no_save_of_the_first(tmp_path: Path) -> None:
    """Closing any descriptor of a file releases all locks that a process has on it."""
    url = str(tmp_path / "state.db")
    with open_store(url) as first, open_store(url) as second:
        serial = first.save(counting(1), expected_serial=0, lock=None).serial
        assert count(second.load(STACK)) == 1
        assert _read_elsewhere(url) == 1  # without the locks, this takes itself for the last user
        for done in range(2, 6):
            serial = first.save(counting(done), expected_serial=serial, lock=None).serial
        assert _read_elsewhere(url) == 5

    assert _read_elsewhere(url) == 5


def _read_elsewhere(url: str) -> int:
    done = subprocess.run(
        [sys.executable, "-c", READ, url], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return int(done.stdout)
