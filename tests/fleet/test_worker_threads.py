"""Threads in worker processes: every call has its outcome, whatever happens to the processes."""

import importlib
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.diagnostics import CannotCheckError, error
from reconciler.core.events import Emit, Event, Note, Notice, PipelineEvent, ignore
from reconciler.engine.chunks import Task
from reconciler.engine.fleet import Lane, run
from reconciler.engine.requests import ReadOptions
from reconciler.engine.session import Session
from reconciler.engine.validate import ValidatedPipeline
from reconciler.engine.worker_threads import WorkerThreads
from reconciler.engine.workers import STOP
from reconciler.starting import INTERRUPTIONS
from tests.fleet import made
from tests.fleet.test_run import deadly, fake_session, hanging, is_running, jobs, noisy
from tests.waits import PATIENCE, until

COUNT = 6


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return made.pipelines(tmp_path_factory.mktemp("pipelines"), "localhost:1", COUNT)


def in_threads_of_processes(
    folders: list[Path],
    work: Callable[[Session, ValidatedPipeline, str], Any],
    emit: Emit = ignore,
    stop: threading.Event | None = None,
    *,
    at_once: int = COUNT,
) -> dict[Path, Any]:
    task = Task(ReadOptions(), fake_session, work, sessions=2)
    with WorkerThreads(2, stop or threading.Event()) as executor:
        return dict(run([Lane(jobs(folders), at_once)], task, executor, emit, isolates=True))


def meeting(place: Path, session: Session, validated: ValidatedPipeline, argument: str) -> int:
    """Wait until every pipeline is here."""
    (place / validated.require_valid()[0].name).touch()
    until(lambda: len(list(place.iterdir())) == COUNT)
    return os.getpid()


def test_all_threads_of_all_processes_work_at_once(folders: list[Path], tmp_path: Path) -> None:
    found = in_threads_of_processes(folders, partial(meeting, tmp_path))

    assert found.keys() == set(folders)
    assert sorted(Counter(found.values()).values()) == [COUNT // 2, COUNT // 2]
    assert os.getpid() not in found.values()


def test_events_arrive_as_they_happen(folders: list[Path]) -> None:
    """Also those of the present, in the order of their pipeline, and before its outcome."""
    events = list[Event]()
    task = Task(ReadOptions(), fake_session, noisy, sessions=2, writes=True)
    with WorkerThreads(2, threading.Event()) as executor:
        for folder, _ in run([Lane(jobs(folders), 2)], task, executor, events.append, isolates=True):
            assert [
                one for one in events if isinstance(one, PipelineEvent) and one.folder == str(folder)
            ] == [
                PipelineEvent(str(folder), Note("reading")),
                PipelineEvent(str(folder), Notice(f"look at argument of {folder.name}")),
            ]


def until_stopped(place: Path, session: Session, validated: ValidatedPipeline, argument: str) -> bool:
    (place / validated.require_valid()[0].name).touch()
    return STOP.wait(PATIENCE)


def test_a_stop_reaches_what_runs(folders: list[Path], tmp_path: Path) -> None:
    stop = threading.Event()

    def stop_later() -> None:
        until(lambda: len(list(tmp_path.iterdir())) == COUNT)
        stop.set()

    stopper = threading.Thread(target=stop_later)
    stopper.start()
    found = in_threads_of_processes(folders, partial(until_stopped, tmp_path), stop=stop)
    stopper.join()

    assert list(found.values()) == [True] * COUNT
    assert not STOP.is_set(), "it belongs to the worker processes"


@pytest.mark.parametrize("at_once", [1, 2, COUNT])
def test_a_pipeline_that_kills_its_process_costs_itself_only(folders: list[Path], at_once: int) -> None:
    found = in_threads_of_processes(folders, partial(deadly, "pipeline_0002"), at_once=at_once)

    killed = found.pop(folders[2])
    assert isinstance(killed, CannotCheckError)
    assert killed.diagnostics[0].summary == "the worker process that was working on it was killed"
    assert found == jobs([*folders[:2], *folders[3:]])


def test_a_call_after_a_kill_gets_a_new_process() -> None:
    with WorkerThreads(1, threading.Event()) as executor:
        with pytest.raises(BrokenExecutor):
            executor.submit(os._exit, 3).result(PATIENCE)
        until(lambda: executor.submit(abs, -3).exception(PATIENCE) is None)


def in_a_fork(code: str) -> str:
    """What a program prints that forks its workers, as a command does."""
    program = f"""
import os, threading
from reconciler.engine import worker_threads
from reconciler.engine.worker_threads import WorkerThreads, fork_processes
{code}
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    assert done.stderr == ""
    return done.stdout.strip()


def test_without_room_for_all_forks_the_others_start_in_another_way() -> None:
    code = """
if __name__ == "__main__":
    fork, left = os.fork, [1]
    def limited():
        if not left:
            raise BlockingIOError
        left.pop()
        return fork()
    os.fork = limited
    fork_processes(2)
    os.fork = fork
    with WorkerThreads(2, threading.Event()) as executor:
        calls = [executor.submit(os.getppid) for _ in range(4)]
        print(len({call.result() for call in calls}))
"""
    assert in_a_fork(code) == "2", "one is a child of the program, the other of the process that forks"


def test_a_forked_process_sees_the_end_of_its_connection() -> None:
    """Otherwise a command whose receiver of events failed would wait for it."""
    code = """
from multiprocessing import get_context
if __name__ == "__main__":
    context = get_context("fork")
    first = worker_threads._Process(context)
    second = worker_threads._Process(context, [first.connection])
    for process in (first, second):
        process.connection.close()
        process._process.join()
    print("ended")
"""
    assert in_a_fork(code) == "ended"


def test_workers_that_nobody_needs_end_with_the_command() -> None:
    assert in_a_fork("fork_processes(2)\nprint('ended')") == "ended"


@contextmanager
def refused_in_one_process(place: Path, emit: Emit, sessions: int) -> Iterator[Session]:
    """A session that the first process cannot open."""
    with (place / "refused").open("a+") as file:
        file.seek(0)
        refused = file.read() or str(os.getpid())
        file.truncate(0)
        file.write(refused)
    if refused == str(os.getpid()):
        until((place / "signed in").exists)
        raise CannotCheckError(error("nobody there"))
    (place / "signed in").touch()
    with fake_session(emit, sessions) as session:
        yield session


def test_a_process_that_cannot_sign_in_gets_no_more_than_the_others(
    folders: list[Path], tmp_path: Path
) -> None:
    """It answers at once, so it would take one chunk after the other from those that can."""
    task = Task(ReadOptions(), partial(refused_in_one_process, tmp_path), pid_of, sessions=2)
    with WorkerThreads(2, threading.Event()) as executor:
        found = dict(run([Lane(jobs(folders), 2)], task, executor, ignore, isolates=True))

    assert found.keys() == set(folders)
    assert len(set(found.values())) == 1, found


def pid_of(session: Session, validated: ValidatedPipeline, argument: str) -> int:
    return os.getpid()


def unexpected(session: Session, validated: ValidatedPipeline, argument: str) -> None:
    raise ZeroDivisionError(argument)


def not_portable(session: Session, validated: ValidatedPipeline, argument: str) -> None:
    class LocalError(Exception):
        pass

    raise LocalError(argument)


@pytest.mark.parametrize(("work", "name"), [(unexpected, "ZeroDivisionError"), (not_portable, "LocalError")])
def test_an_error_of_the_program_is_the_outcome_of_each_pipeline(
    folders: list[Path], work: Callable[..., Any], name: str
) -> None:
    found = in_threads_of_processes(folders, work)

    assert found.keys() == set(folders)
    for outcome in found.values():
        assert isinstance(outcome, CannotCheckError)
        assert f"a bug in reconciler: {name}" in str(outcome)


def test_a_receiver_of_events_that_fails_is_raised(folders: list[Path]) -> None:
    def fail(_: Event) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        in_threads_of_processes(folders, noisy, fail)


_PROGRAM = """
import os, signal, sys, threading
from pathlib import Path
from reconciler.engine.worker_threads import fork_processes
from tests.fleet import test_worker_threads as here
if __name__ == "__main__":
    if sys.argv[3] == "forked":
        fork_processes(2)
    for number in signal.SIGINT, signal.SIGTERM, signal.SIGHUP:
        signal.signal(number, lambda *_: None)
    folders = sorted(Path(sys.argv[1]).iterdir())
    print(len(here.in_threads_of_processes(folders, getattr(here, sys.argv[2]))), flush=True)
"""


def until_released(session: Session, validated: ValidatedPipeline, argument: str) -> None:
    folder = validated.require_valid()[0].folder
    os.write(1, f"{os.getpid()}\n".encode())
    until((folder.parents[1] / "release").exists)


@pytest.fixture(params=["forked", "started"])
def how(request: pytest.FixtureRequest) -> str:
    """How worker processes come to be: forked from the command, or started in another way."""
    return str(request.param)


def program(folders: list[Path], work: Callable[..., Any], how: str) -> "subprocess.Popen[str]":
    """A command in a group of its own, whose workers print their numbers."""
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(folders[0].parent), work.__name__, how],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def numbers(command: "subprocess.Popen[str]") -> list[int]:
    assert command.stdout is not None
    return [int(command.stdout.readline()) for _ in range(COUNT)]


@pytest.mark.parametrize("number", INTERRUPTIONS)
def test_a_signal_to_the_group_is_left_to_the_command(
    folders: list[Path], number: signal.Signals, how: str
) -> None:
    """A terminal and a service manager signal every process: what runs must be able to finish."""
    release = folders[0].parents[1] / "release"
    with program(folders, until_released, how) as command:
        numbers(command)
        os.killpg(command.pid, number)
        release.touch()
        out, err = command.communicate()
    release.unlink()

    assert (out.split(), err) == ([str(COUNT)], "")


def test_no_process_outlives_a_command_that_is_killed(folders: list[Path], how: str) -> None:
    with program(folders, hanging, how) as command:
        workers = numbers(command)
        command.kill()

    until(lambda: not any(is_running(pid) for pid in workers))


def test_work_whose_module_cannot_be_imported_says_why_to_every_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads that wait for an import that fails would get a KeyError."""
    monkeypatch.syspath_prepend(tmp_path)
    module = tmp_path / "late_work.py"
    module.write_text("def work(): pass\n")
    work = importlib.import_module("late_work").work
    sent = pickle.dumps(Task(ReadOptions(), fake_session, work))
    del sys.modules["late_work"]
    module.write_text("import time\ntime.sleep(0.05)\nraise OSError(24, 'Too many open files')\n")

    def problem(_: int) -> str:
        try:
            return f"{pickle.loads(sent)} was read"
        except Exception as found:  # noqa: BLE001 - whatever it is
            return str(found)

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(problem, range(8))) == {"[Errno 24] Too many open files"}
