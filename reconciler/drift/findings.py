"""Findings: the changes of a plan that a report shows, one per field that differs from the files. Pure.

A finding is a change of the plan with the data that a person on call needs. The planner decides the class.
"""

import hashlib
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

from msgspec import Struct, field
from msgspec.structs import replace

from providers.hiding import is_hidden
from providers.json_value import JSON
from providers.patterns import pattern
from providers.protocol import KindFacts, LiveObject
from providers.reasons import Reason
from providers.rules import Effect
from providers.table import EXCLUSIVE
from reconciler.core.diagnostics import Diagnostic
from reconciler.core.diff import Change, ChangeClass
from reconciler.core.exit_codes import CONFLICT, DONE, DRIFT, PENDING, UNCHECKED
from reconciler.core.plan import Action, Plan, Stack, Step
from reconciler.core.platforms import scope_label
from reconciler.core.reasons import UNSTATED, ReasonCode
from reconciler.core.remote import RemoteState, parent_of
from reconciler.core.values import ABSENT, IMAGE, MISSING, Address, NoValue
from reconciler.drift.contents import (
    Contents,
    field_contents,
    is_claimed,
    is_one_finding,
    object_contents,
    orphan_contents,
    steps_without_finding,
)
from reconciler.workspace.shards import Shard
from state.snapshot import Snapshot

_QUIET = frozenset({ChangeClass.IN_SYNC, ChangeClass.CONVERGED})
_CODES = {
    ChangeClass.CONFLICT: CONFLICT,
    ChangeClass.DRIFT: DRIFT,
    ChangeClass.ORPHANED: DRIFT,
    ChangeClass.PENDING: PENDING,
    ChangeClass.UNRECORDED: PENDING,
    ChangeClass.UNVERIFIED: PENDING,  # only if the files changed; otherwise an unreadable field is no finding
}
_PENDING = frozenset({ChangeClass.PENDING, ChangeClass.UNVERIFIED})
_ADOPTABLE = frozenset({ChangeClass.DRIFT, ChangeClass.CONFLICT, ChangeClass.UNRECORDED})


class DriftState(StrEnum):
    """The drift of a pipeline in `status`, with the names of the details beside each state."""

    NOT_REQUESTED = "not-requested"
    IN_SYNC = "in-sync"  # `unverified`: number of fields that the platform does not return, if there are any
    IGNORED = "ignored"  # no finding, and the number of `ignored` fields that are not as in the files
    IGNORED_IMAGE = (
        "ignored-image"  # another image runs than the files declare; `fields`: names and live values
    )
    DIFFERENT = "different"  # `counts`: class of change -> number of findings
    FOLLOWS = "follows"  # `environment`, which moved the shared tag
    NOT_RECORDED = "not-recorded"  # as in the files, but not what the state has: `version`, of the same image
    PARTLY_READ = "partly-read"  # `counts`, of the part that could be read
    UNREADABLE = "unreadable"  # `problem`: the summary of the error
    NO_LOGIN = "no-login"
    DAMAGED_STATE = "damaged-state"
    NEWER_STATE = "newer-state"  # a newer reconciler wrote it
    ORPHANED = "orphaned"
    NOT_APPLIED = "not-applied"  # nothing of it exists; `destroyed` or never applied


class LastApply(Struct, frozen=True):
    """The last run that saved the state; texts that are unknown are "".

    Attributes:
        version: of the image that it left.
    """

    at: str
    by: str
    host: str
    git_commit: str
    ci: str
    version: str = ""


class FindingDates(Struct, frozen=True):
    """The first and the last time that a finding was reported, both with their offset from UTC."""

    first: datetime
    last: datetime

    @classmethod
    def of(cls, first: datetime, last: datetime) -> "FindingDates":
        """Never negative: the clock of the machine that reported it first may have been ahead."""
        return cls(min(first, last), last)


class Acknowledgement(Struct, frozen=True):
    """The acknowledgement of a finding.

    Attributes:
        owner: the person to contact.
        reason: why the live value is kept.
        expires: last day of the acknowledgement as an ISO date; "" if it never expires.
    """

    owner: str
    reason: str
    expires: str


class Finding(Struct, frozen=True, kw_only=True):
    """One field, or one whole object, that differs from the files.

    Attributes:
        id: id of the field in its stack, equal in every run.
        stack: the stack.
        address: the resource.
        change: the field with its three values, class, reason and place in the files; its path is "" for
            the whole object.
        effect: how severe it is.
        seen: first and last time that it was reported.
        modified_at, modified_by: as the provider returns them; "" if it does not.
        page: address of the object's web page.
        put_back: command that restores the files' value; for an orphan, that deletes its resources.
        take_over: command that writes the live value to the files; "" if no file can contain it. For an
            orphan, that removes it from state.
        acknowledged: the acknowledgement, or None for a new finding.
        contents: what it stands for beside the values of its change; None for nothing else, and in reports
            of earlier versions.
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
    contents: Contents | None = None

    @property
    def field(self) -> str:
        """`processing/app#default_cpu`, or the address alone."""
        return f"{self.address}#{self.change.path}" if self.change.path else str(self.address)

    @property
    def is_pending(self) -> bool:
        """Whether only the files changed. That is not drift, and cannot be acknowledged."""
        return self.change.cls in _PENDING

    @property
    def expected(self) -> JSON | NoValue:
        """The expected live value: the desired one, or the recorded one if the files have none."""
        return self.change.recorded if self.change.desired is MISSING else self.change.desired

    @property
    def exit_code(self) -> int:
        return DONE if self.acknowledged else _CODES[self.change.cls]


class Cause(Struct, frozen=True):
    """The same change in one or more stacks, which a list shows as one row."""

    findings: tuple[Finding, ...]

    @property
    def first(self) -> Finding:
        return self.findings[0]

    @property
    def where(self) -> str:
        """`processing/app#default_cpu`, or `processing/*#default_cpu` for several pipelines."""
        if len({finding.address for finding in self.findings}) == 1:
            return self.first.field
        pipeline, address, path = self.first.stack.pipeline, self.first.address, self.first.change.path
        name = "/".join("*" if part == pipeline else part for part in address.name)
        return f"{address.kind}/{name}#{path}" if path else f"{address.kind}/{name}"


class StackReport(Struct, frozen=True):
    """The findings of one stack.

    Attributes:
        stack: the stack.
        findings: the findings, worst first.
        plan: outline of their plan: every resource with its action and dependencies.
        unchecked: errors of the resources that could not be read.
        last_apply: the last apply; None if there is no state.
        unverified: number of fields that the platform does not return.
        is_emptied: whether the state has had resources and has none now.
        ignored: the fields that are not as in the files and ignored, as `processing/app#docker_tag`.
    """

    stack: Stack
    findings: tuple[Finding, ...]
    plan: Plan
    unchecked: tuple[Diagnostic, ...] = ()
    last_apply: LastApply | None = None
    unverified: int = 0
    is_emptied: bool = False
    ignored: tuple[str, ...] = ()

    @property
    def is_new(self) -> bool:
        """Whether it was never applied, or is destroyed: each finding is an object to create.

        An image stays in the registry, and may be that of another environment. It only needs this one's tag,
        unless its source is another one: that needs another version.
        """

        def is_missing(finding: Finding) -> bool:
            return finding.change.cls is ChangeClass.PENDING and not finding.change.path

        def needs_tag(finding: Finding) -> bool:
            change = finding.change
            return (
                finding.address.kind == IMAGE
                and change.cls is ChangeClass.UNRECORDED
                and change.path != "source_key"
            )

        def exists(step: Step) -> bool:
            kind = step.address.kind
            return kind in EXCLUSIVE and kind != IMAGE and step.action is not Action.CREATE

        return (
            not (self.last_apply or self.unchecked or any(map(exists, self.plan.steps)))
            and any(is_missing(finding) for finding in self.findings)
            and all(
                (is_missing(finding) or needs_tag(finding)) and not finding.acknowledged
                for finding in self.findings
            )
        )

    def with_relative_paths(self, folder: Path) -> Self:
        """As `Report.with_relative_paths`."""
        return replace(
            self,
            findings=tuple(
                replace(
                    finding,
                    change=finding.change._replace(place=_relative_place(finding.change.place, folder)),
                )
                for finding in self.findings
            ),
            unchecked=tuple(problem.with_relative_paths(folder) for problem in self.unchecked),
        )


class UnmanagedObject(Struct, frozen=True):
    """An object of the organization that no stack in the state has.

    Attributes:
        address: its address, by its present name.
        id: the provider's identity.
        page: address of its web page; "" if it has none.
        modified_at, modified_by: as the provider returns them; "" if it does not.
    """

    address: Address
    id: str
    page: str = ""
    modified_at: str = ""
    modified_by: str = ""


class PartOf(Struct, frozen=True):
    """What a part has in common with the others that together make a whole check.

    Attributes:
        scope: the organization and its platform, `my-org@STAGING`.
        environment: the name of the platform in reconciler.toml; "" if it has none.
        selection: a hash of the paths of all selected pipelines, also those of other parts.
        commit: the commit that is checked out; "" if it is unknown.
        ci: the number of the CI run with its jobs; "" outside of CI.
    """

    scope: str
    environment: str = ""
    selection: str = ""
    commit: str = ""
    ci: str = ""

    @property
    def label(self) -> str:
        """The scope for people; "" if it is unknown."""
        return scope_label(self.scope, self.environment)


ORPHANS: Final = "the stacks without a folder"
UNMANAGED: Final = "the unmanaged objects"
FOLDER: Final = "the folder "
PART: Final = "part "
_OTHER: Final = pattern(rf"{ORPHANS}|{UNMANAGED}|{FOLDER}.+|{PART}\d+/\d+( of .+)?", re.DOTALL)
"""What is in `Report.failed` beside pipelines; a part is that of `drift --shard`."""


class Report(Struct, frozen=True):
    """The findings of all stacks.

    Attributes:
        at: the time, with its offset from UTC.
        stacks: the stacks that could be checked.
        failed: folder or stack -> why it could not be checked.
        remarks: other diagnostics, such as acknowledgements that match nothing.
        shard: the part of the pipelines that was checked; None for all.
        unmanaged: the objects that no stack has; None if they were not requested.
        fails_on_unmanaged: whether they change the exit code.
        part_of: what the shard is a part of; None for all, and in reports of earlier versions.
    """

    at: datetime
    stacks: tuple[StackReport, ...]
    failed: Mapping[str, tuple[Diagnostic, ...]] = field(default_factory=dict)
    remarks: tuple[Diagnostic, ...] = ()
    shard: Shard | None = None
    unmanaged: tuple[UnmanagedObject, ...] | None = None
    fails_on_unmanaged: bool = False
    part_of: PartOf | None = None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The findings of all stacks, worst first."""
        return tuple(sorted((f for stack in self.stacks for f in stack.findings), key=_rank))

    @property
    def new(self) -> tuple[StackReport, ...]:
        """The stacks of which nothing exists: reports show each as one row."""
        return tuple(stack for stack in self.stacks if stack.is_new)

    @property
    def of_applied(self) -> tuple[Finding, ...]:
        """The findings of the other stacks, worst first."""
        new = {stack.stack for stack in self.new}
        return tuple(finding for finding in self.findings if finding.stack not in new)

    @property
    def in_sync(self) -> tuple[StackReport, ...]:
        """The stacks that were checked completely and are as in the files, without ignored differences."""
        return tuple(
            stack for stack in self.stacks if not stack.findings and not stack.unchecked and not stack.ignored
        )

    @property
    def counts(self) -> dict[str, int]:
        """The number of new findings by class, worst first, and of acknowledged ones."""
        counts = {cls.value: 0 for cls in _CODES} | {"acknowledged": 0}
        for finding in self.findings:
            counts["acknowledged" if finding.acknowledged else finding.change.cls.value] += 1
        return counts

    @property
    def unchecked(self) -> tuple[Diagnostic, ...]:
        """The errors of everything that could not be checked."""
        in_stacks = (problem for stack in self.stacks for problem in stack.unchecked)
        return (*in_stacks, *(problem for problems in self.failed.values() for problem in problems))

    @property
    def unchecked_pipelines(self) -> int:
        """The number of pipelines that could not be checked, or not completely."""
        of_stacks = sum(bool(stack.unchecked) for stack in self.stacks)
        return of_stacks + len(self.failed) - len(self.unchecked_others)

    @property
    def unchecked_others(self) -> tuple[str, ...]:
        """The names in `failed` that are not those of pipelines."""
        return tuple(name for name in self.failed if _OTHER.fullmatch(name))

    @property
    def exit_code(self) -> int:
        """0 in sync, 10 changes to apply, 11 drift, 12 conflict, 13 something was not checked."""
        codes = [finding.exit_code for finding in self.findings]
        codes += [DRIFT] if self.unmanaged and self.fails_on_unmanaged else []
        return max([DONE, *codes, *([UNCHECKED] if self.unchecked else [])])

    def with_relative_paths(self, folder: Path) -> Self:
        """The report with paths below `folder` made relative to it, so the same on every machine."""
        return replace(
            self,
            stacks=tuple(stack.with_relative_paths(folder) for stack in self.stacks),
            failed={
                name: tuple(problem.with_relative_paths(folder) for problem in problems)
                for name, problems in self.failed.items()
            },
            remarks=tuple(remark.with_relative_paths(folder) for remark in self.remarks),
        )


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
        adoptable: address -> the fields that `adopt` can write to a file; "" for the whole object.
        first_seen: finding id -> the first time that an earlier run reported it.
    """
    found = []
    tops = steps_without_finding(
        plan, {step.address: parent_of(step.address, facts[step.address.kind]) for step in plan.steps}
    )
    below: dict[Address, list[Step]] = {}
    for step in plan.steps:
        if step.address in tops:
            below.setdefault(tops[step.address], []).append(step)
    for step in plan.steps:
        if step.address in tops:
            continue  # it belongs to another stack with its parent, or comes back with it
        if (
            step.action is Action.FORGET
            and step.address in remote_state.requested
            and step.address not in remote_state.found
        ):
            continue  # gone from the files and the platform; only the state still has it
        for change in _reported_changes(step):
            id, *older_ids = (_id(name, step.address, change.path) for name in plan.stack.names)
            first = next((first_seen[one] for one in (id, *older_ids) if one in first_seen), now)
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
                seen=FindingDates.of(first, now),
                modified_at=str(outputs.get("modified_at") or ""),
                modified_by=str(outputs.get("modified_by") or ""),
                page=str(outputs.get("page") or plan.stack.host),
                put_back=_restore_command(plan.stack, step, change, facts[step.address.kind]),
                take_over=_adopt_command(plan.stack, step.address, change, adoptable.get(step.address, ())),
                contents=_contents(change, step, below.get(step.address, ()), live, facts[step.address.kind]),
            )
            found.append(finding)
    return tuple(sorted(found, key=_rank))


def orphan_finding(
    stack: Stack,
    state: Snapshot,
    declared: str,
    twin: str,
    *,
    first_seen: Mapping[str, datetime],
    now: datetime,
) -> Finding:
    """The finding about a stack that no folder declares. Its address is that of the stack's main resource.

    Args:
        state: the state of the stack, which is not empty.
        declared: the stack that its folder declares now; "" if the folder is gone.
        twin: the stack that has the same history and so the same resources; "" for none.
        first_seen: as for `findings`.
    """

    def rank(address: Address) -> tuple[object, ...]:
        by_id = EXCLUSIVE.get(address.kind)  # None for shared kinds
        return by_id is None, not by_id, len(address.name), address

    addresses = [Address.parse(text) for text in (*state.resources, *state.intents)]
    address = min(addresses, key=rank)
    recorded = state.resources.get(str(address))
    details = {"folder": stack.folder, "resources": len(dict.fromkeys(addresses))}
    names = {name: value for name, value in (("declared", declared), ("twin", twin)) if value}
    reason = Reason(ReasonCode.ORPHANED, {**details, **names})
    forget = f"reconciler state forget --stack {shlex.quote(str(stack))}"
    id = _id(str(stack), address, "")
    return Finding(
        id=id,
        stack=stack,
        address=address,
        change=Change("", ChangeClass.ORPHANED, MISSING, MISSING, MISSING, reason, write=False),
        effect=Effect.EXISTENCE,
        seen=FindingDates.of(first_seen.get(id, now), now),
        page=str((recorded.outputs if recorded else {}).get("page") or stack.host),
        put_back=forget if twin else stack.own_command("destroy"),
        take_over="" if twin else forget,
        contents=orphan_contents(state, declared, twin),
    )


def outline(plan: Plan) -> Plan:
    """The plan without the data that findings have, so that a report of many stacks stays small."""
    steps = (Step(s.address, s.action, UNSTATED, depends_on=s.depends_on) for s in plan.steps)
    return Plan(plan.stack, "", 0, tuple(steps))


def acknowledged(
    found: Iterable[Finding], acknowledgements: Mapping[str, Acknowledgement]
) -> tuple[Finding, ...]:
    """The findings with their acknowledgements, which are given by finding id."""
    return tuple(replace(finding, acknowledged=acknowledgements.get(finding.id)) for finding in found)


def _relative_place(place: str, folder: Path) -> str:
    return place.removeprefix(str(folder / "_").removesuffix("_"))


def causes(found: Iterable[Finding]) -> tuple[Cause, ...]:
    """The findings in order, grouped if they differ only in the name of their pipeline."""
    equivalent: dict[str, list[Finding]] = {}
    for finding in found:
        change = finding.change
        name = tuple(None if part == finding.stack.pipeline else part for part in finding.address.name)
        values = (change.desired, change.recorded, change.live)
        key = (finding.address.kind, name, change.path, change.cls, change.reason, values)
        equivalent.setdefault(repr((*key, finding.acknowledged)), []).append(finding)
    return tuple(Cause(tuple(findings)) for findings in equivalent.values())


def _reported_changes(step: Step) -> Iterator[Change]:
    """The changes that are findings: not those in sync, ignored or decided by the user."""
    if step.refusal is not None and is_claimed(step):
        reason = step.refusal.reason
        yield Change("", ChangeClass.CONFLICT, MISSING, MISSING, MISSING, reason, write=False)
        return
    whole = [change for change in step.changes if not change.path]
    if is_one_finding(step):
        yield (
            whole[0]
            if whole
            else Change("", ChangeClass.PENDING, MISSING, MISSING, MISSING, step.reason, write=step.writes)
        )
        yield from step.conflicts
        if step.action is Action.FORGET:  # the platform runs it until the files are applied
            yield from step.drifts
        return
    for change in step.changes:
        unread = change.cls is ChangeClass.UNVERIFIED and not change.write
        if change.cls in _QUIET or unread or change.resolution or _is_carried_over(change, step):
            continue
        yield change


def _contents(
    change: Change, step: Step, below: Sequence[Step], live: LiveObject | None, facts: KindFacts
) -> Contents | None:
    if not change.path:
        return object_contents(change, step, below)
    return field_contents(change, facts.version_of(live)) if live and facts.version_of else None


def _is_carried_over(change: Change, step: Step) -> bool:
    """Whether the field does not differ, and is only sent because its object is created again."""
    creates = step.action in (Action.CREATE, Action.REPLACE)
    return creates and change.live is ABSENT and change.recorded is MISSING and not change.place


def _rank(finding: Finding) -> tuple[object, ...]:
    """Sort key: new findings before acknowledged ones, then by class and effect, worst first."""
    return (
        finding.acknowledged is not None,
        -_CODES[finding.change.cls],
        -finding.effect,
        str(finding.stack),
        finding.address,
        finding.change.path,
    )


def _id(stack: str, address: Address, path: str) -> str:
    return hashlib.sha256("\0".join((stack, str(address), path)).encode()).hexdigest()[:12]


def _restore_command(stack: Stack, step: Step, change: Change, facts: KindFacts) -> str:
    if is_claimed(step):
        return stack.command("apply", "--take", str(step.address))
    if step.refusal is not None and facts.published_as:
        # The published version stays; the files get a new one.
        return stack.command("apply", "--bump", "patch")
    if step.action is Action.FORGET and facts.published_as:
        return stack.command("apply")  # to forget it alone changes nothing that runs
    options = ["--ours", str(step.address)] if change.cls is ChangeClass.CONFLICT else []
    if step.action in (Action.DELETE, Action.REPLACE):
        options.append("--yes")
    return stack.command("apply", *options, "--target", str(step.address))


def _adopt_command(stack: Stack, address: Address, change: Change, adoptable: Sequence[str]) -> str:
    """The command that adopts the live value; "" if no file can contain it, or only the files changed."""
    if change.field not in adoptable or change.cls not in _ADOPTABLE or is_hidden(change.live, change.path):
        return ""
    return stack.command("adopt", f"{address}#{change.path}" if change.path else str(address))
