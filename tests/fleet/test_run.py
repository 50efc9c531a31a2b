"""One task for many pipelines: what starts, what is waited for, and what comes back."""

import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, closing, contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from reconciler.core.diagnostics import CannotCheckError, UserError, error
from reconciler.core.events import Emit, Event, Note, Notice, PipelineEvent, ignore
from reconciler.engine.chunks import Task
from reconciler.engine.fleet import Lane, run
from reconciler.engine.requests import ReadOptions
from reconciler.engine.session import Session
from reconciler.engine.validate import ValidatedPipeline
from reconciler.engine.worker_threads import WorkerThreads
from state.claims import Registers
from tests.fleet import made
from tests.waits import until


@contextmanager
def fake_session(emit: Emit, sessions: int) -> Iterator[Session]:
    """A session that can reach nothing."""
    platform = SimpleNamespace(expect=lambda look_ups: None)
    yield Session(cast(Any, None), cast(Any, platform), cast(Any, None), emit, cast(Registers, None))


def name_of(session: Session, validated: ValidatedPipeline, argument: str) -> str:
    return f"{validated.require_valid()[0].name} {argument}"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return made.pipelines(tmp_path_factory.mktemp("pipelines"), "localhost:1", 6)


def jobs(folders: list[Path]) -> dict[Path, str]:
    return {folder: f"argument of {folder.name}" for folder in folders}


class Counting(Executor):
    """A pool of threads that records the number of calls in hand at each submission."""

    def __init__(self, threads: int) -> None:
        self.pool = ThreadPoolExecutor(threads)
        self.futures: list[Future[Any]] = []
        self.in_hand: list[int] = []

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.futures.append(self.pool.submit(call, *args, **kwargs))
        self.in_hand.append(sum(not future.done() for future in self.futures))
        return self.futures[-1]

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.pool.shutdown(wait, cancel_futures=cancel_futures)


@pytest.mark.parametrize("chunk", [1, 2, 4, 6, 7])
@pytest.mark.parametrize("at_once", [1, 2, 8])
def test_every_pipeline_has_its_outcome_and_no_chunk_waits_in_the_executor(
    folders: list[Path], chunk: int, at_once: int
) -> None:
    task = Task(ReadOptions(), fake_session, name_of, threads=2)
    with Counting(2) as executor:
        found = dict(run([Lane(jobs(folders), at_once)], task, executor, ignore, chunk=chunk))

    assert found == {folder: f"{folder.name} argument of {folder.name}" for folder in folders}
    assert len(executor.futures) == -(-len(folders) // chunk)
    assert max(executor.in_hand) <= at_once


def test_a_task_goes_to_a_process_with_each_chunk_but_is_unpickled_there_once() -> None:
    task = Task(ReadOptions(), fake_session, name_of, threads=2)
    first, second = (pickle.loads(pickle.dumps((name_of, task, number)))[1] for number in range(2))
    assert first is second
    assert (first, first.key) == (task, task.key)
    assert pickle.loads(pickle.dumps(Task(ReadOptions(), fake_session, name_of))).key != task.key


def test_a_lane_that_is_full_holds_up_no_other(folders: list[Path]) -> None:
    """Builds take minutes; pipelines that build nothing overtake them."""
    slow, *fast = folders
    release = threading.Event()

    def work(session: Session, validated: ValidatedPipeline, argument: str) -> str:
        name = validated.require_valid()[0].name
        if name == slow.name:
            release.wait()
        return name

    lanes = [Lane(jobs([slow]), 1), Lane(jobs(fast), 1)]
    with ThreadPoolExecutor(2) as executor:
        outcomes = run(lanes, Task(ReadOptions(), fake_session, work), executor, ignore)
        first = [next(outcomes)[0] for _ in fast]
        release.set()
        assert (first, [folder for folder, _ in outcomes]) == (fast, [slow])


def test_no_pipelines_need_no_session() -> None:
    task = Task(ReadOptions(), refused, name_of)
    with ThreadPoolExecutor(1) as executor:
        assert list(run([Lane({}, 1)], task, executor, ignore)) == []


class Recorded:
    """Sessions that record what happens; jobs that wait for `release`, except for the first one."""

    def __init__(self, free: Path) -> None:
        self.free = free
        self.release = threading.Event()
        self.log: list[str] = []

    @contextmanager
    def sign_in(self, emit: Emit, sessions: int) -> Iterator[Session]:
        self.log.append("signed in")
        with fake_session(emit, sessions) as opened:
            yield opened
        self.log.append("closed")

    def work(self, session: Session, validated: ValidatedPipeline, argument: str) -> str:
        name = validated.require_valid()[0].name
        self.log.append(f"{name} started")
        if name != self.free.name:
            self.release.wait()
        self.log.append(f"{name} ended")
        return name


def test_closing_starts_nothing_new_and_waits_for_what_is_in_hand(folders: list[Path]) -> None:
    recorded = Recorded(folders[0])
    task = Task(ReadOptions(), recorded.sign_in, recorded.work)
    with Counting(2) as executor:
        outcomes = run([Lane(jobs(folders), 2)], task, executor, ignore)
        assert next(outcomes) == (folders[0], "pipeline_0000")
        until(lambda: "pipeline_0001 started" in recorded.log)
        closer = threading.Thread(target=outcomes.close)
        closer.start()
        recorded.release.set()
        closer.join()

        assert all(future.done() for future in executor.futures)
    assert recorded.log.count("signed in") == 1
    assert recorded.log[-2:] == ["pipeline_0001 ended", "closed"]
    assert len(executor.futures) == 2


def test_an_error_in_the_loop_waits_too(folders: list[Path]) -> None:
    recorded = Recorded(folders[0])
    recorded.release.set()
    task = Task(ReadOptions(), recorded.sign_in, recorded.work)

    with (
        Counting(2) as executor,
        pytest.raises(ZeroDivisionError),
        closing(run([Lane(jobs(folders), 2)], task, executor, ignore)) as outcomes,
    ):
        for _ in outcomes:
            raise ZeroDivisionError

    assert recorded.log[-1] == "closed"
    assert sum("started" in line for line in recorded.log) == sum("ended" in line for line in recorded.log)
    assert len(executor.futures) <= 3


def test_a_stop_starts_nothing_new_and_yields_what_was_in_hand(folders: list[Path]) -> None:
    recorded, stop = Recorded(folders[0]), threading.Event()
    task = Task(ReadOptions(), recorded.sign_in, recorded.work)
    with Counting(2) as executor:
        outcomes = run([Lane(jobs(folders), 2)], task, executor, ignore, stop=stop)
        first = next(outcomes)
        stop.set()
        recorded.release.set()
        rest = list(outcomes)

    assert [first, *rest] == [(folder, folder.name) for folder in folders[:2]]
    assert recorded.log[-1] == "closed"


def broken_for(name: str, session: Session, validated: ValidatedPipeline, argument: str) -> str:
    if validated.require_valid()[0].name == name:
        raise ZeroDivisionError
    return argument


def test_a_bug_in_one_pipeline_is_the_outcome_of_that_one(folders: list[Path]) -> None:
    task = Task(ReadOptions(), fake_session, partial(broken_for, "pipeline_0001"))
    with Counting(2) as executor:
        found = dict(run([Lane(jobs(folders), 2)], task, executor, ignore))

    assert found.keys() == set(folders)
    (bug,) = [outcome for outcome in found.values() if isinstance(outcome, CannotCheckError)]
    assert "a bug in reconciler: ZeroDivisionError" in str(bug)


def refused(emit: Emit, sessions: int) -> AbstractContextManager[Session]:
    raise UserError(error("no such token"))


def unreachable(emit: Emit, sessions: int) -> AbstractContextManager[Session]:
    raise CannotCheckError(error("nobody there"))


def test_a_refused_token_is_one_error_after_those_of_the_files(folders: list[Path], tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[metadata]\nname = 3\n")
    found: dict[Path, object] = {}
    task = Task(ReadOptions(), refused, name_of)
    with Counting(2) as executor, pytest.raises(UserError, match="no such token"):
        for folder, outcome in run([Lane(jobs([tmp_path, *folders]), 4)], task, executor, ignore):
            found[folder] = outcome

    assert list(found) == [tmp_path]
    assert len(executor.futures) <= 4 + 1, "nothing else starts without a session"


def test_a_platform_that_cannot_be_reached_is_the_outcome_of_each_pipeline(folders: list[Path]) -> None:
    task = Task(ReadOptions(), unreachable, name_of)
    with ThreadPoolExecutor(2) as executor:
        found = dict(run([Lane(jobs(folders), 2)], task, executor, ignore))

    assert {str(outcome) for outcome in found.values()} == {"nobody there"}
    assert found.keys() == set(folders)


def noisy(session: Session, validated: ValidatedPipeline, argument: str) -> int:
    session.emit(Note("reading"))
    session.emit(Notice(f"look at {argument}"))
    return os.getpid()


def in_processes(
    folders: list[Path], work: Callable[[Session, ValidatedPipeline, str], Any], emit: Emit, chunk: int
) -> Mapping[Path, Any]:
    task = Task(ReadOptions(), fake_session, work, sessions=2, threads=2)
    with WorkerThreads(2, threading.Event()) as executor:
        return dict(run([Lane(jobs(folders), 2)], task, executor, emit, chunk=chunk, isolates=True))


def test_events_carry_their_pipeline(folders: list[Path]) -> None:
    here, there = list[Event](), list[Event]()
    task = Task(ReadOptions(), fake_session, noisy)
    with ThreadPoolExecutor(2) as executor:
        pids = set(dict(run([Lane(jobs(folders), 2)], task, executor, here.append)).values())
    others = set(in_processes(folders, noisy, there.append, chunk=2).values())

    notices = [PipelineEvent(str(folder), Notice(f"look at argument of {folder.name}")) for folder in folders]
    assert sorted(here, key=repr) == sorted(
        [*(PipelineEvent(str(folder), Note("reading")) for folder in folders), *notices], key=repr
    )
    assert sorted(there, key=repr) == notices, "the present of another process is over when it arrives"
    assert (pids, others & pids, len(others)) == ({os.getpid()}, set(), 2)


def deadly(doomed: str, session: Session, validated: ValidatedPipeline, argument: str) -> str:
    if validated.require_valid()[0].name == doomed:
        os.kill(os.getpid(), signal.SIGKILL)
    return argument


@pytest.mark.parametrize("chunk", [1, 3, 6])
def test_a_pipeline_that_kills_its_worker_costs_itself_only(folders: list[Path], chunk: int) -> None:
    found = in_processes(folders, partial(deadly, "pipeline_0002"), ignore, chunk)

    killed = found.pop(folders[2])
    assert isinstance(killed, CannotCheckError)
    assert killed.diagnostics[0].summary == "the worker process that was working on it was killed"
    assert found == jobs([*folders[:2], *folders[3:]])


def hanging(session: Session, validated: ValidatedPipeline, argument: str) -> None:
    os.write(1, f"{os.getpid()}\n".encode())  # at once, as others print, too
    threading.Event().wait()


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
