"""What of a plan somebody has to know: one finding per field that is not as the files say. Pure.

Comes after the planner and decides nothing of its own: a finding is a change of the plan with what a person
on call needs beside it. Never writes, and never asks a far end.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from providers.protocol import KindFacts
from providers.rules import HIDDEN, Effect
from reconciler.core.diagnostics import Diagnostic
from reconciler.core.diff import Change, ChangeClass
from reconciler.core.exit_codes import CONFLICT, DONE, DRIFT, PENDING, UNCHECKED
from reconciler.core.plan import Action, Plan, Stack, Step
from reconciler.core.reasons import UNSTATED
from reconciler.core.remote import RemoteState
from reconciler.core.values import ABSENT, JSON, MISSING, Address, NoValue
from reconciler.workspace.shards import Shard

_QUIET = frozenset({ChangeClass.IN_SYNC, ChangeClass.CONVERGED})
_WHOLE = frozenset({Action.CREATE, Action.DELETE, Action.FORGET})
"""Actions on an object as a whole: what its fields would become is no finding of its own."""
_CODES = {
    ChangeClass.CONFLICT: CONFLICT,
    ChangeClass.DRIFT: DRIFT,
    ChangeClass.PENDING: PENDING,
    ChangeClass.UNRECORDED: PENDING,
    ChangeClass.UNVERIFIED: PENDING,  # only where the files changed: an unreadable field is no finding
}
_PENDING = frozenset({ChangeClass.PENDING, ChangeClass.UNVERIFIED})
_TAKEN_OVER = frozenset({ChangeClass.DRIFT, ChangeClass.CONFLICT, ChangeClass.UNRECORDED})


class DriftState(StrEnum):
    """What `status` shows of a pipeline's drift; the details that each carries are named beside it."""

    NOT_REQUESTED = "not-requested"
    IN_SYNC = "in-sync"
    DIFFERENT = "different"  # `counts`: class of change -> number of findings
    PARTLY_READ = "partly-read"  # `counts`, of the part that could be read
    UNREADABLE = "unreadable"  # `problem`: the summary of the error
    NO_LOGIN = "no-login"
    DAMAGED_STATE = "damaged-state"


@dataclass(frozen=True, slots=True)
class LastApply:
    """The last run that saved the state; texts that are unknown are ""."""

    at: str
    by: str
    host: str
    git_commit: str
    ci: str


@dataclass(frozen=True, slots=True)
class FindingDates:
    """When a finding was first and last found, both with their offset from UTC."""

    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Somebody knows of a finding, and when that ends to be an excuse.

    Attributes:
        owner: who.
        reason: why it is left as it is.
        expires: ISO date after which it alarms again; "" for never.
    """

    owner: str
    reason: str
    expires: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One field, or one object as a whole, that is not as the files say.

    Attributes:
        id: the same in every run as long as it is the same field of the same stack.
        stack: where.
        address: which resource.
        change: the field with its three values, class, reason and place in the files; its path is "" for
            the object as a whole.
        effect: how bad it is.
        seen: first and last time.
        modified_at, modified_by: as the far end says it; "" when it does not.
        page: where a person can look at it.
        put_back: command that makes it what the files say.
        take_over: command that writes it into the files; "" where no file can say it.
        acknowledged: by whom and until when; None when it is news.
    """

    id: str
    stack: Stack
    address: Address
    change: Change
    effect: Effect
    seen: FindingDates
    modified_at: str = ""
    modified_by: str = ""
    page: str
    put_back: str
    take_over: str = ""
    acknowledged: Acknowledgement | None = None

    @property
    def field(self) -> str:
        """`processing/app#default_cpu`, or the address alone."""
        return f"{self.address}#{self.change.path}" if self.change.path else str(self.address)

    @property
    def is_pending(self) -> bool:
        """Whether only the files changed: apply it. It is no drift, and cannot be acknowledged."""
        return self.change.cls in _PENDING

    @property
    def expected(self) -> JSON | NoValue:
        """What live should be: what the files say, or for an object as a whole what is recorded."""
        return self.change.recorded if self.change.desired is MISSING else self.change.desired

    @property
    def exit_code(self) -> int:
        return DONE if self.acknowledged else _CODES[self.change.cls]


@dataclass(frozen=True, slots=True)
class Cause:
    """The same change, found once or in many stacks: what a list shows as one row."""

    findings: tuple[Finding, ...]

    @property
    def first(self) -> Finding:
        return self.findings[0]

    @property
    def where(self) -> str:
        """`processing/app#default_cpu`, or `processing/*#default_cpu` where it is so in several pipelines."""
        if len({finding.address for finding in self.findings}) == 1:
            return self.first.field
        pipeline, address, path = self.first.stack.pipeline, self.first.address, self.first.change.path
        name = "/".join("*" if part == pipeline else part for part in address.name)
        return f"{address.kind}/{name}#{path}" if path else f"{address.kind}/{name}"


@dataclass(frozen=True, slots=True)
class StackReport:
    """What was found of one stack.

    Attributes:
        stack: which one.
        findings: worst first.
        plan: that they are from, in outline: every resource, what would be done, and what it depends on.
        unchecked: what could not be asked about, and why.
        last_apply: None when nothing is recorded.
        unverified: how many fields the platform does not return.
    """

    stack: Stack
    findings: tuple[Finding, ...]
    plan: Plan
    unchecked: tuple[Diagnostic, ...] = ()
    last_apply: LastApply | None = None
    unverified: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """What was found of all of them.

    Attributes:
        at: when, with its offset from UTC.
        stacks: those that could be looked at.
        failed: folder or stack -> why it could not be.
        remarks: what else should be known, such as acknowledgements that match nothing.
        shard: the part of all pipelines that was looked at; None for all.
    """

    at: datetime
    stacks: tuple[StackReport, ...]
    failed: Mapping[str, tuple[Diagnostic, ...]] = field(default_factory=dict)
    remarks: tuple[Diagnostic, ...] = ()
    shard: Shard | None = None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Of all stacks, worst first."""
        return tuple(sorted((f for stack in self.stacks for f in stack.findings), key=_rank))

    @property
    def in_sync(self) -> tuple[StackReport, ...]:
        """The stacks of which everything was looked at and nothing was found."""
        return tuple(stack for stack in self.stacks if not stack.findings and not stack.unchecked)

    @property
    def counts(self) -> dict[str, int]:
        """How many findings of each class are news, worst first, then how many are acknowledged."""
        counts = {cls.value: 0 for cls in _CODES} | {"acknowledged": 0}
        for finding in self.findings:
            counts["acknowledged" if finding.acknowledged else finding.change.cls.value] += 1
        return counts

    @property
    def unchecked(self) -> tuple[Diagnostic, ...]:
        """Everything that was not looked at, so that nobody takes it for in sync."""
        asked = (problem for stack in self.stacks for problem in stack.unchecked)
        return (*asked, *(problem for problems in self.failed.values() for problem in problems))

    @property
    def exit_code(self) -> int:
        """0 in sync, 10 changes to apply, 11 drift, 12 conflict, 13 something was not checked."""
        codes = [finding.exit_code for finding in self.findings]
        return max([DONE, *codes, *([UNCHECKED] if self.unchecked else [])])


def findings(
    plan: Plan,
    remote_state: RemoteState,
    facts: Mapping[str, KindFacts],
    *,
    adoptable: Mapping[Address, Sequence[str]],
    first_seen: Mapping[str, datetime],
    now: datetime,
) -> tuple[Finding, ...]:
    """Every finding of a plan, worst first.

    Args:
        adoptable: per resource the fields that some file can say; "" for the object as a whole.
        first_seen: finding id -> when an earlier run saw it first.
    """
    found = []
    for step in plan.steps:
        if (
            step.action is Action.FORGET
            and step.address in remote_state.requested
            and step.address not in remote_state.found
        ):
            continue  # it left the files and the platform; only the record has to let go of it
        for change in _changes(step):
            id = _id(plan.stack, step.address, change.path)
            live = remote_state.found.get(step.address)
            outputs = live.outputs if live else {}
            finding = Finding(
                id=id,
                stack=plan.stack,
                address=step.address,
                change=change,
                effect=Effect.EXISTENCE
                if not change.path
                else facts[step.address.kind].rules[change.field].effect,
                seen=FindingDates(first_seen.get(id, now), now),
                modified_at=str(outputs.get("modified_at") or ""),
                modified_by=str(outputs.get("modified_by") or ""),
                page=str(outputs.get("page") or plan.stack.host),
                put_back=_restore_command(plan.stack, step, change, facts[step.address.kind]),
                take_over=_take_over(plan.stack, step.address, change, adoptable.get(step.address, ())),
            )
            found.append(finding)
    return tuple(sorted(found, key=_rank))


def outline(plan: Plan) -> Plan:
    """The plan without what the findings say already, so that a thousand of them are not much."""
    steps = (Step(s.address, s.action, UNSTATED, depends_on=s.depends_on) for s in plan.steps)
    return Plan(plan.stack, "", 0, tuple(steps))


def acknowledged(found: Iterable[Finding], known: Mapping[str, Acknowledgement]) -> tuple[Finding, ...]:
    """The findings with what somebody said of them, by their id."""
    return tuple(replace(finding, acknowledged=known.get(finding.id)) for finding in found)


def seen_from(report: Report, folder: Path) -> Report:
    """The report with the files below `folder` named from there, so that it reads the same on any machine."""
    return replace(
        report,
        stacks=tuple(
            replace(
                stack,
                findings=tuple(
                    replace(
                        finding, change=finding.change._replace(place=_from(finding.change.place, folder))
                    )
                    for finding in stack.findings
                ),
                unchecked=tuple(problem.seen_from(folder) for problem in stack.unchecked),
            )
            for stack in report.stacks
        ),
        failed={
            name: tuple(problem.seen_from(folder) for problem in problems)
            for name, problems in report.failed.items()
        },
        remarks=tuple(remark.seen_from(folder) for remark in report.remarks),
    )


def _from(place: str, folder: Path) -> str:
    return place.removeprefix(str(folder / "_").removesuffix("_"))


def causes(found: Iterable[Finding]) -> tuple[Cause, ...]:
    """The findings, in their order, with those as one that differ in nothing but their pipeline's name."""
    equivalent: dict[str, list[Finding]] = {}
    for finding in found:
        change = finding.change
        name = tuple(None if part == finding.stack.pipeline else part for part in finding.address.name)
        values = (change.desired, change.recorded, change.live)
        what = (finding.address.kind, name, change.path, change.cls, change.reason, values)
        equivalent.setdefault(repr((*what, finding.acknowledged)), []).append(finding)
    return tuple(Cause(tuple(findings)) for findings in equivalent.values())


def _changes(step: Step) -> Iterator[Change]:
    """What of a step is worth a finding; ignored fields and settled conflicts are not."""
    whole = [change for change in step.changes if not change.path]
    with_its_parent = (
        step.action is Action.CREATE and step.id is not None
    )  # it is there, and goes for a while
    if step.action in _WHOLE and not with_its_parent:
        yield (
            whole[0]
            if whole
            else Change("", ChangeClass.PENDING, MISSING, MISSING, MISSING, step.reason, write=step.writes)
        )
        return
    for change in step.changes:
        unread = change.cls is ChangeClass.UNVERIFIED and not change.write
        if change.cls in _QUIET or unread or change.resolution or _is_kept(change, step):
            continue
        yield change


def _is_kept(change: Change, step: Step) -> bool:
    """Whether the field is only sent again because its object is made anew, and nothing is wrong with it."""
    anew = step.action in (Action.CREATE, Action.REPLACE)
    return anew and change.live is ABSENT and change.recorded is MISSING and not change.place


def _rank(finding: Finding) -> tuple[object, ...]:
    """Alarms before what is acknowledged, worse classes and effects before others."""
    return (
        finding.acknowledged is not None,
        -_CODES[finding.change.cls],
        -finding.effect,
        str(finding.stack),
        finding.address,
        finding.change.path,
    )


def _id(stack: Stack, address: Address, path: str) -> str:
    return hashlib.sha256("\0".join((str(stack), str(address), path)).encode()).hexdigest()[:12]


def _restore_command(stack: Stack, step: Step, change: Change, facts: KindFacts) -> str:
    if step.refusal is not None and facts.published_as:
        return stack.command(
            "apply", "--bump", "patch"
        )  # what is published stays; the files get a new version
    more = ["--ours", str(step.address)] if change.cls is ChangeClass.CONFLICT else []
    if step.action in (Action.DELETE, Action.REPLACE):
        more.append("--yes")
    return stack.command("apply", *more, "--target", str(step.address))


def _take_over(stack: Stack, address: Address, change: Change, adoptable: Sequence[str]) -> str:
    """The command, where a file can say what is live; what the files ask for anew is no reason to."""
    if change.field not in adoptable or change.cls not in _TAKEN_OVER or change.live == HIDDEN:
        return ""
    return stack.command("adopt", f"{address}#{change.path}" if change.path else str(address))
