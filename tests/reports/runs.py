"""Reports of runs that write, without a server: one with every result, and generated ones."""

import dataclasses
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from providers.docker.verdicts import ImageVerdict
from providers.errors import RefusedError
from providers.protocol import LiveObject
from providers.reasons import Reason, Refusal, WayOut
from reconciler.core.contract import ContractChange
from reconciler.core.diagnostics import Diagnostic, error, warning
from reconciler.core.diff import Change, ChangeClass
from reconciler.core.events import Outcome, Status
from reconciler.core.exit_codes import CONFLICT, DONE, FAILED, INTERRUPTED
from reconciler.core.plan import Action, Plan, Stack, Step
from reconciler.core.reasons import IN_SYNC, ContractCode, ReasonCode, RefusalCode, Way
from reconciler.core.runs import PipelineRun, RunReport, RunResult
from reconciler.core.stale import PlanMismatch, StaleField, StaleStep
from reconciler.core.values import ABSENT, MISSING, Address
from tests.reports.conftest import AT, NASTY, STACK

DIGEST = "0123456789abcdef" * 4
IMAGE_DIGEST = f"sha256:{DIGEST}"
FILES_CHANGED = Reason(ReasonCode.FILES_CHANGED)
CODES = {
    RunResult.APPLIED: DONE,
    RunResult.UNCHANGED: DONE,
    RunResult.REFUSED: CONFLICT,
    RunResult.FAILED: FAILED,
    RunResult.INTERRUPTED: INTERRUPTED,
    RunResult.NOT_STARTED: FAILED,
}


def stack(name: str) -> Stack:
    return dataclasses.replace(STACK, pipeline=name, name=name, folder=f"pipelines/{name}")


def change(path: str = "docker_tag", old: Any = "1.0.0", new: Any = "1.0.1", **given: Any) -> Change:
    cls = given.pop("cls", ChangeClass.PENDING)
    return Change(path, cls, new, old, old, FILES_CHANGED, write=True, place="config.toml:3", **given)


def plan(name: str, *changes: Change, **given: Any) -> Plan:
    """A plan that publishes an image and updates a processing, whose input is in sync."""
    image = Step(Address.of("image", "reg.io", name), Action.CREATE, Reason(ImageVerdict.NEVER_PUBLISHED))
    processing = Step(
        Address.of("processing", name),
        Action.UPDATE,
        FILES_CHANGED,
        changes or (change(),),
        depends_on=(image.address,),
        id="17",
    )
    below = Step(Address.of("input", name, "data"), Action.NOOP, IN_SYNC, depends_on=(processing.address,))
    contract = (
        ContractChange("mask", Reason(ContractCode.REQUIRED_ADDED), "utils/inputs.py:12"),
        ContractChange("label", Reason(ContractCode.OPTIONAL_ADDED)),
    )
    return replace(Plan(stack(name), "", 0, (image, processing, below), contract=contract), **given)


def nothing(name: str) -> Plan:
    """A plan with nothing to do."""
    return replace(
        plan(name), contract=(), steps=(Step(Address.of("processing", name), Action.NOOP, IN_SYNC),)
    )


def refused(name: str) -> Plan:
    """A plan with a refused step and a conflict."""
    conflict = change("default_cpu", 8, 4, cls=ChangeClass.CONFLICT)
    found = plan(name, conflict)
    image = found.steps[0]
    command = found.stack.command("apply", "--take", str(image.address))
    claimed = Reason(
        RefusalCode.CLAIMED,
        {"stack": "other", "since": "2025-03-01T12:00:00", "declared_there": "", "declared_here": ""},
    )
    refusal = Refusal(claimed, (WayOut(Way.TAKE, command), WayOut(Way.SEE_ERRORS)))
    return replace(found, steps=(replace(image, refusal=refusal), *found.steps[1:]))


def outcomes(
    of: Plan, status: Status = Status.DONE, message: str = "422: no such image"
) -> tuple[Outcome, ...]:
    """The outcomes of these steps. Unless they are done, the second one has this status."""
    first, *others = of.steps
    live = LiveObject(f"1.0.1@{IMAGE_DIGEST}", first.address.name, {}, {"digest": IMAGE_DIGEST})
    if status is Status.DONE:
        return (Outcome(first, status, live=live, seconds=2.5), *(Outcome(step, status) for step in others))
    problem = RefusedError(message, hint="Try another one.") if status is Status.FAILED else None
    second, *rest = others
    return (
        Outcome(first, Status.DONE, live=live, seconds=2.5),
        Outcome(second, status, error=problem, seconds=0.25),
        *(Outcome(step, Status.BLOCKED, blocked_by=second.address) for step in rest),
    )


def pipeline(name: str, result: RunResult = RunResult.APPLIED, **given: Any) -> PipelineRun:
    """The result of one pipeline, with the plan and the outcomes that fit it."""
    planned = {RunResult.UNCHANGED: nothing, RunResult.REFUSED: refused}.get(result, plan)(name)
    status = {
        RunResult.APPLIED: Status.DONE,
        RunResult.UNCHANGED: Status.DONE,
        RunResult.FAILED: Status.FAILED,
        RunResult.INTERRUPTED: Status.SKIPPED,
    }.get(result)
    run = PipelineRun(
        f"pipelines/{name}",
        planned.stack,
        result,
        CODES[result],
        planned,
        outcomes(planned, status) if status else (),
        version="1.0.1",
        seconds=3.25,
        wave=1,
    )
    return replace(run, **given)


def report(*runs: PipelineRun, **given: Any) -> RunReport:
    return replace(RunReport("apply", AT, AT + timedelta(seconds=125), DIGEST, runs), **given)


def unreadable(name: str, *problems: Diagnostic) -> PipelineRun:
    """The result of a pipeline whose files have errors."""
    return PipelineRun(f"pipelines/{name}", None, RunResult.FAILED, FAILED, diagnostics=problems)


def every_result() -> RunReport:
    """A report with every result, every kind of reason, and hostile names and messages."""
    bad = error("the version is not valid", f"Write X.Y.Z, not {NASTY}.", file=Path("a/config.toml"), line=3)
    remark = warning("a remark", NASTY, file=Path("a/config.toml"))
    broken = ContractChange(NASTY, Reason(ContractCode.RENAMED, {"to": NASTY}), NASTY)
    nasty = plan("nasty", change(f"default_parameters.{NASTY}", NASTY, None), contract=(broken,))
    stale = StaleStep(
        Address.of("processing", "stale"),
        (
            StaleField("default_cpu", 4, 8),
            StaleField("", ABSENT, FILES_CHANGED),
            StaleField(NASTY, MISSING, {"k": [NASTY]}),
        ),
    )
    return report(
        pipeline("app", diagnostics=(remark,)),
        pipeline("quiet", RunResult.UNCHANGED),
        pipeline("nasty", plan=nasty, outcomes=outcomes(nasty)),
        pipeline("broken", RunResult.FAILED),
        pipeline("refused", RunResult.REFUSED),
        pipeline("stale", RunResult.REFUSED, plan=plan("stale"), stale_steps=(stale,)),
        pipeline(
            "other-files",
            RunResult.REFUSED,
            plan=None,
            mismatch=Reason(PlanMismatch.FILES_CHANGED),
        ),
        unreadable(NASTY.replace("/", ""), bad),
        pipeline("half", RunResult.INTERRUPTED),
        pipeline("late", RunResult.NOT_STARTED, version="", wave=2, seconds=0.0),
        problems=(error("no pipeline has this name", NASTY),),
        refusal=error("this is not the plan with the digest 0123", NASTY, file=Path("a/plan.json")),
        stopped_by_failures=True,
    )


NAMES = st.text(st.characters(min_codepoint=33, exclude_characters="/"), min_size=1, max_size=12)
MESSAGES = st.sampled_from(["422: no such image", "the registry does not answer", NASTY])


@st.composite
def pipelines(draw: st.DrawFn, name: str) -> PipelineRun:
    """The result of a pipeline of this name, with a random reason."""
    result = draw(st.sampled_from(RunResult))
    run = pipeline(
        name, result, seconds=draw(st.sampled_from([0.0, 0.5, 61.0])), wave=draw(st.integers(0, 3))
    )
    if result is RunResult.FAILED:
        message = draw(MESSAGES)
        if draw(st.booleans()):
            return unreadable(name, error(message, draw(MESSAGES), file=Path("a.toml"), line=3))
        assert run.plan is not None
        return replace(run, outcomes=outcomes(run.plan, Status.FAILED, message))
    if result is RunResult.REFUSED and draw(st.booleans()):
        return replace(run, plan=None, mismatch=Reason(PlanMismatch.OTHER_STATE))
    return run


@st.composite
def reports(draw: st.DrawFn, most: int = 12) -> RunReport:
    """A report of pipelines with different names, and perhaps with problems of the run itself."""
    names: Sequence[str] = draw(st.lists(NAMES, max_size=most, unique=True))
    found = report(
        *(draw(pipelines(name)) for name in names),
        problems=tuple(map(error, draw(st.lists(MESSAGES, max_size=2)))),
        command=draw(st.sampled_from(["apply", "deploy", "destroy"])),
    )
    ends = {
        RunResult.NOT_STARTED: ["", "stopped_by_failures", "declined"],
        RunResult.INTERRUPTED: ["interrupted"],
    }
    left = [end for result, names in ends.items() if found.counts[result] for end in names]
    end = draw(st.sampled_from(left or [""]))
    return replace(found, **{end: True}) if end else found
