"""Plans, events and the report of a run over 300 pipelines, seven of which fail in different ways."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from providers.docker.verdicts import ImageRefusal, ImageVerdict, ImageWay
from providers.errors import ProviderError, RefusedError, TransientError
from providers.json_value import JSON
from providers.protocol import Progress
from providers.reasons import Reason, Refusal, WayOut
from reconciler.core.diagnostics import error
from reconciler.core.diff import Change, ChangeClass
from reconciler.core.events import Outcome, PipelineEvent, Status, StepFinished, StepProgress, StepStarted
from reconciler.core.exit_codes import CONFLICT, DONE, FAILED
from reconciler.core.plan import Action, Plan, Stack, Step
from reconciler.core.reasons import ReasonCode, RefusalCode, Way
from reconciler.core.runs import (
    PipelineFinished,
    PipelineRun,
    PipelineStarted,
    RunEnded,
    RunEvent,
    RunReport,
    RunResult,
    RunStarted,
    WaveStarted,
)
from reconciler.core.values import Address

STARTED = datetime(2025, 3, 3, 8, 0, tzinfo=UTC)
FILES_CHANGED = Reason(ReasonCode.FILES_CHANGED)


def stack(number: int) -> Stack:
    """A processing, or every tenth one a training, whose folder and stack have different names."""
    if number % 10 == 9:
        name = f"picsellia/training-{number:03}"
        return Stack(
            "my-org",
            "STAGING",
            "https://staging.picsellia.com",
            "training",
            name,
            f"clip_{number:03}/training",
        )
    name = f"pipeline_{number:03}"
    return Stack("my-org", "STAGING", "https://staging.picsellia.com", name, name, name)


def field(
    path: str,
    live: JSON,
    desired: JSON,
    cls: ChangeClass = ChangeClass.PENDING,
    reason: Reason = FILES_CHANGED,
    **given: Any,
) -> Change:
    return Change(path, cls, desired, given.pop("recorded", live), live, reason, write=True, **given)


def step(kind: str, name: Sequence[str], action: Action, *changes: Change, **given: Any) -> Step:
    reason = given.pop("reason", FILES_CHANGED)
    return Step(Address.of(kind, *name), action, reason, changes, **given)


def image(number: int, action: Action = Action.UPDATE, **given: Any) -> Step:
    changes = (
        field("source_key", f"v2:{number:04}{'0' * 60}", f"v2:{number:04}{'1' * 60}"),
        field("version", "1.0.0", "1.0.1"),
    )
    given.setdefault(
        "reason", Reason(ImageVerdict.SOURCE_CHANGED, {"differing": ["pipeline.py changed"], "more": 0})
    )
    return step("image", ("reg.io", f"app_{number:03}"), action, *changes, **given)


def processing(number: int, *changes: Change, **given: Any) -> Step:
    return step("processing", (stack(number).name,), Action.UPDATE, *changes, **given)


def plan(number: int, *steps: Step, **given: Any) -> Plan:
    return Plan(stack(number), "lineage", 3, steps, **given)


def applicable(number: int) -> Plan:
    """A plan that publishes an image, or every third one a plan that changes one field."""
    if number % 3 == 0:
        return plan(number, processing(number, field("default_cpu", 4, 8)))
    return plan(number, image(number), processing(number, field("docker_tag", "1.0.0", "1.0.1")))


IN_SYNC = range(280, 299)
CONFLICTING, CLAIMED, FOREIGN = 40, 41, 42
UNPROCESSABLE, REGISTRY_DOWN, BUILD_FAILS, KILLED = 50, 52, 53, 55
BAD_FILE = "broken"


def plans() -> list[Plan]:
    """The plans of 299 pipelines: 277 to change, 19 in sync, 3 refused."""
    return [plan_of(number) for number in range(299)]


def plan_of(number: int) -> Plan:
    if number in IN_SYNC:
        return plan(
            number,
            processing(number, reason=Reason(ReasonCode.IN_SYNC)),
            step("input", ("a", "b"), Action.NOOP),
        ).only(())
    if number == CONFLICTING:
        conflict = field(
            "default_cpu", 64, 8, ChangeClass.CONFLICT, Reason(ReasonCode.CHANGED_ON_BOTH_SIDES), recorded=4
        )
        return plan(number, processing(number, conflict))
    if number == CLAIMED:
        claimed = Reason(
            RefusalCode.CLAIMED,
            {
                "stack": "my-org@STAGING/other",
                "since": "2025-03-01T12:00:00",
                "declared_there": "other/config.toml:2",
                "declared_here": "",
            },
        )
        take = WayOut(Way.TAKE, stack(number).command("apply", "--take", f"processing/{stack(number).name}"))
        return plan(number, processing(number, refusal=Refusal(claimed, (take,))))
    if number == FOREIGN:
        return foreign(number)
    return applicable(number)


def foreign(number: int) -> Plan:
    """The refused plan of a version that another tool published."""
    accept = WayOut(ImageWay.ACCEPT_FOREIGN, stack(number).command("apply", "--accept-foreign"))
    bump = WayOut(ImageWay.NEW_VERSION, stack(number).command("apply", "--bump", "patch"))
    refusal = Refusal(Reason(ImageRefusal.FOREIGN_VERSION, {"version": "1.0.0"}), (bump, accept))
    return plan(
        number, image(number, refusal=refusal), processing(number, field("docker_tag", "1.0.0", "1.0.1"))
    )


BAD_FILES = {
    BAD_FILE: (
        error(
            "metadata.version cannot be read",
            "'v2' is not a version: write X.Y.Z, for example 1.0.0, or 1.0.0-rc.",
            file=Path("broken/config.toml"),
            line=3,
        ),
    )
}

_FAILURES: dict[int, tuple[int, ProviderError]] = {
    UNPROCESSABLE: (1, RefusedError("the platform refuses it (422): default_cpu must be at most 16")),
    REGISTRY_DOWN: (
        0,
        TransientError("reg.io: the connection was refused", hint="Check that the registry runs."),
    ),
    BUILD_FAILS: (
        0,
        RefusedError("the build failed: RUN pip install: exit code 1", hint="Run docker build ."),
    ),
}


def problem(number: int) -> ProviderError:
    """The error of a pipeline that fails."""
    return _FAILURES[number][1]


def failed(made: Plan, like: int) -> tuple[Outcome, ...]:
    """The outcomes of a plan that fails as the pipeline of this number does; of a success for any other."""
    failing = _FAILURES[like][0] if like in _FAILURES else len(made.steps)
    found = []
    for index, one in enumerate(made.steps):
        if index < failing:
            found.append(Outcome(one, Status.DONE, seconds=1.5))
        elif index == failing:
            found.append(Outcome(one, Status.FAILED, error=problem(like), seconds=1.5))
        else:
            found.append(Outcome(one, Status.BLOCKED, blocked_by=made.steps[failing].address))
    return tuple(found)


def run_of(number: int) -> PipelineRun:
    """The result of a pipeline."""
    made = plan_of(number)
    run = PipelineRun(stack(number).folder, stack(number), RunResult.APPLIED, DONE, made, seconds=3.2, wave=1)
    if number in IN_SYNC:
        return replace(run, result=RunResult.UNCHANGED, wave=0, seconds=0.0)
    if number in (CONFLICTING, CLAIMED, FOREIGN):
        return replace(run, result=RunResult.REFUSED, exit_code=CONFLICT, wave=0, seconds=0.0)
    if number == KILLED:
        died = error("the worker process that was applying it was killed")
        return replace(run, result=RunResult.FAILED, exit_code=FAILED, diagnostics=(died,))
    run = replace(run, outcomes=failed(made, number), version="1.0.1" if number % 3 else "1.0.0")
    if number in _FAILURES:
        return replace(run, result=RunResult.FAILED, exit_code=FAILED)
    return run


def bad_file() -> PipelineRun:
    return PipelineRun(BAD_FILE, None, RunResult.FAILED, FAILED, diagnostics=BAD_FILES[BAD_FILE])


def report() -> RunReport:
    """300 pipelines: 273 applied, 19 unchanged, 3 refused, and 5 failed, of which one has a bad file."""
    runs = (*map(run_of, range(299)), bad_file())
    where = ("--organization", "my-org", "--env", "STAGING")
    ended = STARTED + timedelta(seconds=252)
    return RunReport("apply", STARTED, ended, "0123456789abcdef" * 4, runs, plan_options=where)


def in_waves(*sizes: int) -> list[list[int]]:
    """The numbers of the pipelines that are applied, in waves of these sizes and one for the rest."""
    todo = [number for number in range(299) if run_of(number).wave]
    waves = []
    for size in sizes:
        waves.append(todo[:size])
        todo = todo[size:]
    return [*waves, todo]


def started(waves: Sequence[Sequence[int]]) -> RunStarted:
    return RunStarted(
        "apply",
        [[stack(number).folder for number in wave] for wave in waves],
        {stack(number).folder: plan_of(number) for wave in waves for number in wave},
        report().digest,
    )


def events_of(number: int) -> Iterator[RunEvent]:
    """The events of one pipeline, with a build of two parts for those that publish an image."""
    run, folder = run_of(number), stack(number).folder
    yield PipelineStarted(folder)
    for outcome in run.outcomes:
        if outcome.status is Status.BLOCKED:
            continue
        yield PipelineEvent(folder, StepStarted(outcome.step))
        if outcome.step.address.kind == "image":
            for progress in (
                Progress("build", "", "FROM python:3.12", 1, 3, "steps"),
                Progress("build", "", "RUN pip install -r requirements.txt", 2, 3, "steps"),
                Progress("push", "0123456789ab", "sending", 12_500_000, 40_000_000),
            ):
                yield PipelineEvent(folder, StepProgress(outcome.step.address, progress))
        yield PipelineEvent(folder, StepFinished(outcome))
    yield PipelineFinished(run)


def events(at_once: int = 8) -> Iterator[RunEvent]:
    """The events of the whole run: waves of 1 and 30 pipelines and of the rest, each with some at once."""
    waves = in_waves(1, 30)
    yield started(waves)
    for index, wave in enumerate(waves, 1):
        yield WaveStarted(index, [stack(number).folder for number in wave])
        todo, in_hand = iter(wave), list[Iterator[RunEvent]]()
        while True:
            while len(in_hand) < at_once and (number := next(todo, None)) is not None:
                in_hand.append(events_of(number))
            if not in_hand:
                break
            for one in list(in_hand):
                event = next(one, None)
                if event is None:
                    in_hand.remove(one)
                else:
                    yield event
    yield RunEnded(report())
