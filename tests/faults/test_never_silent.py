"""Whatever a command waits for, it says so: at a terminal at once, in a log by a line now and then."""

import io
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from providers.protocol import Progress
from providers.sandbox import Sandbox
from providers.sandbox.settings import Fault
from providers.waits import (
    LONGEST_SILENCE,
    SLOW,
    Backoff,
    Hashing,
    Repeat,
    Silence,
    SilenceEnd,
    pending,
)
from reconciler.core.events import (
    Event,
    FleetProgress,
    Note,
    Outcome,
    PipelineEvent,
    Status,
    StepFinished,
    StepProgress,
    StepStarted,
)
from reconciler.core.plan import Action, Step
from reconciler.core.reasons import IN_SYNC
from reconciler.core.values import Address
from reconciler.views.terminal import event_renderer, progress
from reconciler.views.terminal.console import console
from reconciler.views.terminal.progress import ProgressView, paused
from state.stores.objects import Objects
from tests.faults.far_ends import BUCKET, COMMANDS, User

APP = Address.parse("processing/app")
STEP = Step(APP, Action.UPDATE, IN_SYNC)
EVENTS: tuple[Event, ...] = (
    Note("reading app"),
    Backoff("h", 429, 40.0),
    Silence("h", 10.0, 60.0),
    Repeat("h", 60.0, 2, 3),
    SilenceEnd("h"),
    Hashing("app", "a/b", 1 << 20),
    FleetProgress(3, 12),
    PipelineEvent("app", Note("reading app")),
    StepStarted(STEP),
    StepProgress(APP, Progress("push", "abc", "", 1, 40, "bytes")),
    StepProgress(APP, Progress("push", "abc", "", 40, 40, "bytes")),
    StepFinished(Outcome(STEP, Status.DONE, seconds=1.0)),
)
TICK = 0.25
RUNS = st.lists(st.tuples(st.sampled_from(EVENTS), st.floats(0, 40)), max_size=8)
"""Events, each with the seconds until the next one."""


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def played(view: ProgressView, clock: Clock, run: list[tuple[Event, float]]) -> Iterator[float]:
    """Plays a run, with a tick now and then; gives the time after each one."""
    for event, seconds in [(Note("start"), 15.0), *run, (SilenceEnd("h"), 60.0)]:
        view(event)
        end = clock.now + seconds
        while clock.now < end:
            clock.now += TICK
            view.tick()
            yield clock.now


@given(RUNS)
def test_a_log_is_never_silent_for_long(run: list[tuple[Event, float]]) -> None:
    log, clock = io.StringIO(), Clock()
    lines, written_at = 0, [0.0]
    for now in played(ProgressView(console(log), clock), clock, run):
        if log.getvalue().count("\n") > lines:
            lines = log.getvalue().count("\n")
            written_at.append(now)
    assert all(later - earlier <= LONGEST_SILENCE + TICK for earlier, later in pairwise(written_at))
    assert clock.now - written_at[-1] <= LONGEST_SILENCE + TICK


@given(RUNS)
def test_a_terminal_shows_at_once_that_the_run_goes_on(run: list[tuple[Event, float]]) -> None:
    clock = Clock()
    view = ProgressView(Console(file=io.StringIO(), force_terminal=True, width=100), clock)
    try:
        still_since = 0.0
        for now in played(view, clock, run):
            if view._loaded()._area.is_started:
                still_since = now
            assert now - still_since <= SLOW + TICK
    finally:
        view.pause()


@pytest.mark.parametrize("is_terminal", [False, True])
def test_nothing_is_shown_while_the_user_is_asked(is_terminal: bool) -> None:
    screen, clock = io.StringIO(), Clock()
    view = ProgressView(Console(file=screen, force_terminal=is_terminal, width=100), clock)
    view(Note("reading app"))
    view.pause()
    before = screen.getvalue()
    clock.now = 3600.0
    view.tick()
    assert screen.getvalue() == before
    view.resume()
    clock.now += LONGEST_SILENCE
    view.tick()
    view.pause()
    assert "still running" in screen.getvalue()


def test_a_question_pauses_and_other_output_clears() -> None:
    screen, clock = io.StringIO(), Clock()
    terminal = Console(file=screen, force_terminal=True, width=100)
    with ProgressView(terminal, clock) as view:
        view(Note("reading app"))
        console(io.StringIO()).print("a result")
        assert not view._loaded()._area.is_started
        view(Note("reading app"))
        with paused():
            before = screen.getvalue()
            clock.now = 3600.0
            view.tick()
            assert screen.getvalue() == before
        clock.now += SLOW
        view.tick()
        assert view._loaded()._area.is_started


def test_it_says_what_the_run_waits_for() -> None:
    log, clock = io.StringIO(), Clock()
    view = ProgressView(console(log), clock)
    view(FleetProgress(3, 12))
    for servers in (["e:5", "d:4", "a:1", "c:3", "b:2", "a:1"], ["b:2", "a:1"]):
        clock.now += LONGEST_SILENCE
        with ExitStack() as requests:
            for server in servers:
                requests.enter_context(pending(server))
            view.tick()
    clock.now += LONGEST_SILENCE
    view.tick()
    assert log.getvalue().splitlines() == [
        "3 of 12 pipelines; waiting for a:1, b:2, c:3 and 2 more",
        "3 of 12 pipelines; waiting for a:1, b:2",
        "3 of 12 pipelines",
    ]


SLOW_ANSWER = 0.3  # seconds


@contextmanager
def slow_answer(far_end: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The first answer of a far end takes long."""
    if far_end != BUCKET:
        sandbox.switch(faults=[Fault(far_end, "hang", seconds=SLOW_ANSWER)])
        yield
        sandbox.switch(faults=[])
        return
    request, slow = Objects._request, [SLOW_ANSWER]

    def once(self: Objects, call: Callable[[], object], *patience: float) -> object:
        return request(self, lambda: (time.sleep(slow.pop() if slow else 0), call())[1], *patience)

    with monkeypatch.context() as patched:
        patched.setattr(Objects, "_request", once)
        yield


def test_each_command_says_which_far_end_it_waits_for(
    far_user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (progress, event_renderer):
        monkeypatch.setattr(module, "LONGEST_SILENCE", SLOW_ANSWER / 5)
    monkeypatch.setattr(progress, "_TICK", SLOW_ANSWER / 50)
    silent = []
    for command, far_ends in COMMANDS.items():
        for far_end in far_ends:
            monkeypatch.setattr("sys.stdin", io.StringIO(f"{far_user.token}\n"))
            with slow_answer(far_end, far_user.sandbox, monkeypatch):
                ended = far_user.cli(*far_user.arguments(command))
            if not any(f"waiting for {name}" in ended.err for name in far_user.names(far_end)):
                silent.append(f"{' '.join(command)}: {far_end}\n{ended.code} {ended.err}")
    assert not silent, "\n\n".join(silent)
