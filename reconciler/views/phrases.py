"""The texts that all outputs share: reasons, ways out, counts, facts of a finding, times. No markup.

Reasons are values everywhere else. This module turns them into words, once per audience.
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any

from msgspec.structs import replace

from providers.docker.verdicts import ImageRefusal, ImageVerdict, ImageWay
from providers.json_value import JSON
from providers.reasons import Reason, WayOut
from reconciler.core.contract import ContractChange, NamedContract
from reconciler.core.diagnostics import Diagnostic
from reconciler.core.diff import ChangeClass
from reconciler.core.plan import Action, Basis, Plan, Stack
from reconciler.core.promotion import Promotion, PromotionRefusal, PromotionWay, RunningVersion
from reconciler.core.reasons import ContractCode, ReasonCode, RefusalCode, Way
from reconciler.core.recorded_runs import RunOutcome
from reconciler.core.runs import PipelineRun, RunResult
from reconciler.core.stale import PlanMismatch
from reconciler.core.values import MISSING, NoValue
from reconciler.drift.findings import (
    FOLDER,
    ORPHANS,
    PART,
    UNMANAGED,
    DriftState,
    Finding,
    Report,
    StackReport,
    UnmanagedObject,
)
from reconciler.views.counting import listed, plural, short_commit
from reconciler.views.shown_values import SHORT_DIGEST, format_value

TONES = {
    "in-sync": "good",
    "conflict": "bad",
    "drift": "bad",
    "orphaned": "bad",
    "pending": "warn",
    "unrecorded": "info",
    "unverified": "warn",
    "acknowledged": "muted",
    "not checked": "unknown",
    RunResult.APPLIED.value: "good",
    RunResult.UNCHANGED.value: "muted",
    RunResult.REFUSED.value: "bad",
    RunResult.FAILED.value: "bad",
    RunResult.INTERRUPTED.value: "warn",
    RunResult.NOT_STARTED.value: "warn",
    RunOutcome.PARTIAL.value: "muted",
    RunOutcome.ROLLED_BACK.value: "muted",
    RunOutcome.UNKNOWN.value: "unknown",
    Action.CREATE.word: "good",
    Action.UPDATE.word: "warn",
    Action.REPLACE.word: "bad",
    Action.DELETE.word: "bad",
    Action.ADOPT.word: "info",
    Action.FORGET.word: "muted",
    Action.NOOP.word: "muted",
}
"""Class, action, result or outcome -> tone. Each output with colours has one colour per tone."""


WORLDS = {"desired": "in the files", "recorded": "last applied", "live": "live"}
"""World -> label of its value."""


def pipeline_name(stack: Stack) -> str:
    """A pipeline among others of one environment: its folder, or the name of its stack."""
    return stack.name if stack.folder in ("", ".") else stack.folder


def run_name(run: PipelineRun) -> str:
    """A pipeline among others of one run."""
    return pipeline_name(run.stack) if run.stack else run.folder


def counts(report: Report) -> list[tuple[str, int]]:
    """Each class with its number of findings, worst first: `("drift", 2)`, `("acknowledged", 3)`."""
    return [(word, count) for word, count in report.counts.items() if count]


def headline(report: Report) -> str:
    """The result in a few words. A report with unchecked parts is never called in sync."""
    if report.findings:
        return ", ".join(f"{count:,} {word}" for word, count in counts(report))
    return "No drift found, but not everything was checked" if report.unchecked else "No drift"


def coverage(report: Report) -> str:
    """How many pipelines are in sync, how many were not checked, and what else was not."""
    text = f"{plural(len(report.in_sync), 'pipeline')} in sync."
    text = f"{text} {report.unchecked_pipelines:,} not checked." if report.unchecked_pipelines else text
    names = report.unchecked_others
    parts, folders = (sum(name.startswith(start) for name in names) for start in (PART, FOLDER))
    words: list[str] = [name for name in (ORPHANS, UNMANAGED) if name in names]
    words += [plural(count, noun) for count, noun in ((folders, "folder"), (parts, "part")) if count]
    others = f"Not checked beside pipelines: {listed(words)}." if words else ""
    fields = sum(stack.unverified for stack in report.stacks)
    differing = ignored(sum(len(stack.ignored) for stack in report.stacks))
    return " ".join(filter(None, (text, others, differing, unverified(fields), unmanaged(report))))


def ignored(fields: int) -> str:
    """How many fields are not as in the files, as the user allows; "" for none."""
    return f"{plural(fields, 'field')} ignored (ignore_changes)." if fields else ""


def unverified(fields: int) -> str:
    """How many fields could not be compared; "" for none."""
    return f"{plural(fields, 'field')} not returned by the platform, so not verified." if fields else ""


def unmanaged(report: Report) -> str:
    """How many objects no stack has; "" if they were not requested."""
    if report.unmanaged is None:
        return ""
    return f"{plural(len(report.unmanaged), 'object')} not managed."


def unmanaged_facts(one: UnmanagedObject) -> str:
    """The last change and the page of an unmanaged object, on one line."""
    by = f" by {one.modified_by}" if one.modified_by else ""
    changed = f"changed {one.modified_at[:16].replace('T', ' ')}{by}" if one.modified_at else ""
    return "  ".join(filter(None, (changed, one.page)))


def unchecked(report: Report) -> dict[Diagnostic, list[str]]:
    """Each problem that prevented a check, with the stacks or pipelines that have it."""
    names_by_problem: dict[Diagnostic, list[str]] = {}
    for stack in report.stacks:
        for problem in stack.unchecked:
            names_by_problem.setdefault(problem, []).append(stack.stack.label)
    for name, problems in report.failed.items():
        for problem in problems:
            names_by_problem.setdefault(problem, []).append(name)
    return names_by_problem


def details(problem: Diagnostic) -> list[str]:
    """The lines of a diagnostic's detail, indented below its summary."""
    return [f"  {line}" for line in problem.detail.split("\n")] if problem.detail else []


def state(finding: Finding) -> str:
    """The class of a finding, or "acknowledged"."""
    return "acknowledged" if finding.acknowledged else finding.change.cls.value


def value(finding: Finding, world: str) -> str:
    """The value of a world ("desired", "recorded" or "live") on one line; "" if it is missing."""
    raw = getattr(finding.change, world)
    if not finding.change.path or raw is MISSING:
        return ""
    if finding.change.reason.code is ReasonCode.CHANNEL_NOT_MOVED:
        # What the image that the files declare has as its tag is no value of this environment.
        return "" if world == "live" else f"the tag {format_value(raw, finding.change.path)}"
    return format_value(raw, finding.change.path)


def values(finding: Finding) -> list[tuple[str, str]]:
    """The label and the value of each world, on one line. Empty for a finding about a whole object."""
    return [(label, text) for world, label in WORLDS.items() if (text := value(finding, world))]


def facts(finding: Finding) -> list[tuple[str, str]]:
    """The place, the age, the last modification and the acknowledgement of a finding, with labels."""
    pairs = [("set at", finding.change.place)]
    if finding.seen.first < finding.seen.last:
        pairs.append(("seen since", moment(finding.seen.first)))
    if finding.modified_at or finding.modified_by:
        when = finding.modified_at[:16].replace("T", " ")
        # A pending change was made in the files, not by the last user who wrote the object.
        label = "last written" if finding.change.cls is ChangeClass.PENDING else "changed"
        pairs.append((label, " by ".join(filter(None, (when, finding.modified_by)))))
    if finding.acknowledged is not None:
        acknowledged = finding.acknowledged
        until = f" until {acknowledged.expires}" if acknowledged.expires else ""
        pairs.append(("acknowledged", f"by {acknowledged.owner}{until}: {acknowledged.reason}"))
    return [(label, text) for label, text in pairs if text]


def ways(finding: Finding) -> list[tuple[str, str]]:
    """The commands that resolve a finding, with labels. None for an acknowledged finding."""
    labels = (
        ("delete its resources" if finding.take_over else "forget this name", "or only forget them")
        if finding.change.cls is ChangeClass.ORPHANED
        else ("record it" if finding.change.is_only_recorded else "apply the files", "adopt the change")
    )
    both = zip(labels, (finding.put_back, finding.take_over), strict=True)
    return [] if finding.acknowledged else [(label, command) for label, command in both if command]


def never_applied(stack: StackReport) -> str:
    """What the next apply of a stack creates, of which nothing exists."""
    kinds = Counter(finding.address.kind for finding in stack.findings if not finding.change.path)
    missing = listed([plural(count, kind) for kind, count in kinds.items()])
    return f"{_why_new(stack)}: {missing} to create"


def _why_new(stack: StackReport) -> str:
    return "destroyed" if stack.is_emptied else "never applied"


def last_applied(stack: StackReport) -> str:
    """The time, user, host and commit of the last apply."""
    last = stack.last_apply
    if last is None:
        return _why_new(stack) if stack.is_new else "not in the state, so the origin of a change is unknown"
    who = f" by {last.by}@{last.host}" if last.by else ""
    commit = f" from {short_commit(last.git_commit)}" if last.git_commit else ""
    return f"last applied {last.at[:16].replace('T', ' ')}{who}{commit}"


def promotion(promoted: Promotion) -> str:
    """What both environments of a promotion run, and the version that the image gets, in one line."""
    both = []
    for running in (promoted.source, promoted.target):
        details = " ".join(filter(None, (running.digest[:SHORT_DIGEST], since(running))))
        runs = f"runs {running.version} ({details})" if running.version else NOT_APPLIED
        both.append(f"{running.environment} {runs}")
    return f"{'; '.join(both)}; it gets {promoted.version}"


NOT_APPLIED = "not applied"
"""What an environment of a promotion runs, if the state has no image of the pipeline there."""


def since(running: RunningVersion, *, by: bool = True) -> str:
    """`since 2025-01-31 08:15 by ada@laptop`; "" if the history does not show it."""
    who = f" by {running.by}" if by and running.by else ""
    return f"since {running.since[:16].replace('T', ' ')}{who}" if running.since else ""


def moment(when: datetime) -> str:
    """`2025-01-31 08:15 UTC`."""
    return f"{when:%Y-%m-%d %H:%M} UTC"


def age(finding: Finding) -> str:
    """The time since the finding was first seen: `new`, `5 hours`, `3 days`."""
    hours = int((finding.seen.last - finding.seen.first).total_seconds() // 3600)
    if hours >= 48:
        return plural(hours // 24, "day")
    return plural(hours, "hour") if hours else "new"


class Audience(Enum):
    """The output that a reason is worded for."""

    PLAN = "a plan of the files"
    ROLLBACK = "a plan back to a state version"
    DRIFT = "a drift report"


def audience_of(plan: Plan) -> Audience:
    return Audience.ROLLBACK if plan.basis is Basis.STATE_VERSION else Audience.PLAN


def reason(reason: Reason, audience: Audience = Audience.PLAN) -> str:
    """The words of a reason of a change, a step or a refusal, without a final full stop."""
    if isinstance(reason.code, ImageVerdict):
        details = verdict_details(reason)
        return f"{reason.code.value}: {details}" if details else reason.code.value
    return _made(_OTHER_WORDS[audience].get(reason.code) or _WORDS[reason.code], reason.details)


def contract_reason(change: ContractChange) -> str:
    """The words of a change of the contract, without a final full stop."""
    return _made(_CONTRACT[change.reason.code], change.reason.details)


def effect(change: ContractChange) -> str:
    """`breaking` or `compatible`."""
    return "breaking" if change.is_breaking else "compatible"


def contract_counts(changes: Collection[ContractChange]) -> str:
    """`1 breaking and 2 compatible changes of its inputs`."""
    breaking = sum(change.is_breaking for change in changes)
    parts = [(breaking, "breaking"), (len(changes) - breaking, "compatible")]
    words = listed(f"{count} {word}" for count, word in parts if count)
    return f"{words} {'change' if len(changes) == 1 else 'changes'} of its inputs"


def behind(count: int | None) -> str:
    """`2 behind`; "" for an environment that lacks no version, or an unknown one."""
    return f"{count:,} behind" if count else ""


def contract_source(found: NamedContract) -> str:
    """`1.0.0 (serial 4)`, `1.0.0 (image sha256:0123456789ab)`, `1.1.0 in the files`."""
    version = found.version or "an unknown version"
    match found.source:
        case "files":
            return f"{version} in the files"
        case "state":
            return f"{version} (serial {found.reference})"
        case _:
            return f"{version} (image {found.reference[:SHORT_DIGEST]})"


def verdict_details(verdict: Reason) -> str:
    """The words after the name of a verdict on an image; "" if the name is enough."""
    return _made(_VERDICTS[verdict.code], verdict.details)


def without_differences(refusal: Reason) -> Reason:
    """A refusal of an image without its differing files, for a view that lists them itself."""
    return replace(refusal, details={**refusal.details, "differing": [], "more": 0})


def plan_mismatch(mismatch: Reason) -> str:
    """The words for a saved plan that cannot be applied, without a final full stop."""
    return _made(_MISMATCHES[mismatch.code], mismatch.details)


def saved_or_current(value: JSON | NoValue | Reason, name: str) -> str:
    """A value or a reason of a saved plan or of the present one, see `StaleField`."""
    return reason(value) if isinstance(value, Reason) else format_value(value, name)


def drift_state(state: Reason) -> str:
    """The words for a `DriftState` in the table of `status`; "" if drift was not checked."""
    return _made(_DRIFT_STATES[state.code], state.details)


def way(way: WayOut) -> tuple[str, str]:
    """The label and the command of a way out; "" for no command."""
    return _made(_WAYS[way.label], way.details), way.command


def way_text(out: WayOut) -> str:
    """A way out as one text."""
    label, command = way(out)
    return f"{label}:  {command}" if command else label


Details = Mapping[str, Any]
_Words = str | Callable[[Details], str]


def _made(words: _Words, details: Details) -> str:
    return words if isinstance(words, str) else words(details)


def _ignored_image(details: Details) -> str:
    """Why another image runs than that of the files."""
    fields = [f"{name} {format_value(value, name)}" for name, value in details["fields"]]
    return f"not the image of the files, as {listed(fields)} {'are' if fields[1:] else 'is'} ignored"


def _limit(details: Details) -> str:
    """`framework` for the field `framework_constraint`."""
    return str(details["field"]).removesuffix("_constraint").replace("_", " ")


def _fields(details: Details) -> str:
    return ", ".join(details["fields"])


def _instead(orphan: Details) -> str:
    """What became of the folder of an orphan."""
    return f"now declares {orphan['declared']}" if orphan.get("declared") else "is gone"


def _several(details: Details) -> str:
    return ", ".join(reason(Reason(ReasonCode(code))) for code in details["codes"])


def _several_of_rollback(details: Details) -> str:
    return ", ".join(reason(Reason(ReasonCode(code)), Audience.ROLLBACK) for code in details["codes"])


def _differing(details: Details) -> str:
    """The differing files of a published image and its source; "" if the details are unknown."""
    if "differing" in details:
        more = f" and {details['more']} more" if details["more"] else ""
        return f"{', '.join(details['differing'])}{more}"
    text = f"the state does not say which of its {plural(details['files'], 'file')} differ"
    if not details["revision"]:
        return text
    uncommitted = ", plus uncommitted changes at that time" if details["dirty"] else ""
    return f"{text}; try git diff {details['revision'][:12]}{uncommitted}"


def _tag_moved(details: Details) -> str:
    digest = details["points_to"]
    points = f"points at {digest[:SHORT_DIGEST]}" if digest else "was deleted"
    return f"{details['channel']} {points}; re-tagged, no build"


def _channel_moved(details: Details) -> str:
    if not details["by"]:
        to = f" to {details['version']}" if details["version"] else ""
        return f"{details['tag']} was moved{to}, and no state here shows by whom"
    version = f" of {details['version']}" if details["version"] else ""
    return f"{details['tag']} was moved by {details['by']}'s apply{version}"


def _foreign(details: Details) -> str:
    accepted = "and accepted as this source" if details["accepted"] else "from unknown source"
    return f"published by another tool, {accepted}"


def _published_for(details: Details) -> str:
    published, platform = details["published"], details["platform"]
    if not published:
        return f"published without an image for {platform}"
    return f"published for {published}, not for {platform}"


def _version_taken(details: Details) -> str:
    differing = _differing(details)
    files = f" ({differing})" if differing else ""
    if details.get("deleted"):  # not in documents of earlier versions
        return f"{details['version']} had another source before its tag was deleted{files}"
    return f"{details['version']} is published from another source, and is never overwritten{files}"


def _claimed(details: Details) -> str:
    there, here = details["declared_there"], details["declared_here"]
    workspace = details.get("workspace_there", "")  # not in documents of earlier versions
    since = details["since"][:16].replace("T", " ")
    text = f"{details['stack']} has claimed it since {since}"
    text += f", declared at {there}" if there else ""
    text += f" in the workspace {workspace}" if workspace else ""
    of_this = " of this workspace" if workspace else ""
    return f"{text}; {here}{of_this} declares it, too" if here else text


def _drifted(details: Details) -> str:
    """The objects and fields of another environment that somebody changed."""

    def one(found: Details) -> str:
        if not found["path"]:
            return str(found["address"])
        text = f"{found['address']}#{found['path']}"
        values = [
            format_value(found[world], str(found["path"])) if world in found else "nothing"
            for world in ("recorded", "live")
        ]
        return f"{text} {' -> '.join(values)}"

    more = f", and {details['more']} more" if details["more"] else ""
    return f"is not as its last apply left it: {'; '.join(map(one, details['differing']))}{more}"


def _runs(details: Details) -> str:
    return f"{details['runs']} ({details['digest'][:SHORT_DIGEST]})" if details["digest"] else "nothing"


def _not_run(details: Details) -> str:
    """What the objects of another environment run instead of the image that its last apply published."""

    def one(found: Details) -> str:
        return f"{found['address']} runs {_runs(found) if found['digest'] else 'another image'}"

    if not details["differing"]:
        return f"published {details['version']}, but nothing there runs it"
    more = f", and {details['more']} more" if details["more"] else ""
    return f"published {details['version']}, but {'; '.join(map(one, details['differing']))}{more}"


_OF_SOURCE: Mapping[StrEnum, _Words] = {
    PromotionRefusal.NOT_APPLIED: "was never applied, or not from this state",
    PromotionRefusal.UNFINISHED: "has an apply that did not finish",
    PromotionRefusal.DRIFTED: _drifted,
    PromotionRefusal.RUNS_ANOTHER: lambda it: f"runs {_runs(it)}",
    PromotionRefusal.IGNORES_IMAGE: lambda it: (
        f"runs {_runs(it) if it['digest'] else 'another image'}, not what its last apply published, as "
        f"ignore_changes names {' and '.join(it['fields'])}"
    ),
    PromotionRefusal.NOT_RUN: _not_run,
}
"""The words about the environment that an image comes from, after its name."""


def _about_source(code: StrEnum) -> Callable[[Details], str]:
    return lambda it: f"{it['source']} {_made(_OF_SOURCE[code], it)}"


def _gated(details: Details) -> str:
    source = _made(_OF_SOURCE[PromotionRefusal(details["why"])], details)
    return (
        f"{details['environment']} only gets images that {details['source']} runs in sync (promote_from), "
        f"and {details['source']} {source}"
    )


def _opens_gate(details: Details) -> str:
    return (
        f"it also changes what {details['environment']} runs, which only gets images that "
        f"{details['source']} runs in sync (promote_from)"
    )


def _other_files(details: Details) -> str:
    if details.get("differing"):
        files = f": {_differing(details)}"
    else:
        files = ", and the state does not say which differ"
    commit = details["revision"]
    dirty = f"; it was made from {commit[:12]} with uncommitted changes" if details["dirty"] else ""
    version = f"{details['version']}, which {details['source']} runs"
    return f"these files are not the source of {version}{files}{dirty}"


_WORDS: Mapping[StrEnum, _Words] = {
    ReasonCode.NEW: "new",
    ReasonCode.FILES_CHANGED: "the files changed",
    ReasonCode.CHANGED_OUTSIDE: "changed outside",
    ReasonCode.CHANGED_ON_BOTH_SIDES: "changed in the files and outside",
    ReasonCode.CONVERGED: "live already has this value; only the state is updated",
    ReasonCode.NOT_RECORDED: "not in the state yet",
    ReasonCode.NEVER_WRITTEN: "never applied, and not returned by the platform",
    ReasonCode.UNREADABLE: "not returned by the platform; unchanged since the last apply",
    ReasonCode.UNREADABLE_CHANGED: "not returned by the platform; the files changed",
    ReasonCode.UNREADABLE_IMMUTABLE: "not returned by the platform, and cannot be changed",
    ReasonCode.CONTESTED: "not as sent by an interrupted run",
    ReasonCode.APPLIED_ELSEWHERE: lambda it: f"the last apply of {it['stack']} left this value",
    ReasonCode.KEPT_BY_REPLACE: "kept from the object that an interrupted run was replacing",
    ReasonCode.CARRIED_OVER: "carried over from the old object; not set in the files",
    ReasonCode.CREATE_DEFAULT: "default for new objects; not set in the files",
    ReasonCode.IGNORED: "ignored (ignore_changes)",
    ReasonCode.OURS: "the files win (--ours)",
    ReasonCode.IN_SYNC: "in sync",
    ReasonCode.THEIRS: "live is kept (--theirs)",
    ReasonCode.NOT_CREATED: "does not exist yet",
    ReasonCode.DELETED_OUTSIDE: "deleted outside",
    ReasonCode.RENAMED_OUTSIDE: lambda it: f"renamed outside: it is {it['to']} now",
    ReasonCode.RECREATED_OUTSIDE: "recreated outside",
    ReasonCode.OVERWRITTEN_OUTSIDE: "overwritten outside",
    ReasonCode.CHANNEL_MOVED: _channel_moved,
    ReasonCode.CHANNEL_NOT_MOVED: lambda it: (
        f"the tag {it['tag']} is at {it['version']}, not yet at this image"
        if it["version"]
        else f"the tag {it['tag']} is not yet at this image"
    ),
    ReasonCode.ADDED_OUTSIDE: "added outside",
    ReasonCode.UNDECLARED: "not declared in the files",
    ReasonCode.UNFINISHED_CREATE: "created by an interrupted run; added to the state",
    ReasonCode.UNFINISHED_REPLACE: "deleted by an interrupted run that was replacing it",
    ReasonCode.TAKEN_OVER: "exists already; added to the state",
    ReasonCode.TAKEN_OVER_AND_CHANGED: "exists already; added to the state and changed",
    ReasonCode.SEVERAL: _several,
    ReasonCode.UNMANAGED: lambda it: f"no longer managed, as the files no longer set it: {_fields(it)}",
    ReasonCode.IGNORED_FIELDS: lambda it: f"differs only in ignored fields: {_fields(it)}",
    ReasonCode.UNREADABLE_FIELDS: lambda it: f"unchanged since the last apply; cannot be read: {_fields(it)}",
    ReasonCode.IMMUTABLE: lambda it: f"{_fields(it)} cannot be changed in place",
    ReasonCode.PARENT_REPLACED: lambda it: f"recreated with {it['parent']}, which is replaced",
    ReasonCode.LEFT_FILES: "no longer in the files",
    ReasonCode.LEFT_FILES_KEPT: lambda it: f"no longer in the files; it stays {it['place']}",
    ReasonCode.DESTROYED: "destroyed, as requested",
    ReasonCode.NOT_DESTROYED: lambda it: f"not deleted by destroy; it stays {it['place']}",
    ReasonCode.GONE: "already gone",
    ReasonCode.NOT_OURS: "recreated outside, so it is not deleted",
    ReasonCode.UNKNOWN_ORIGIN: "not as sent by an interrupted run; it is only removed from the state",
    ReasonCode.CLAIMED_ELSEWHERE: lambda it: f"not deleted: {it['stack']} has a claim on it",
    ReasonCode.ORPHANED: lambda it: (
        f"its folder {it['folder']} {_instead(it)}; "
        + (
            f"it is {it['twin']} under another name"
            if it.get("twin")
            else f"{plural(it['resources'], 'resource')} left"
        )
    ),
    ReasonCode.UNSTATED: lambda it: str(it["text"]),
    RefusalCode.REPLACE_LOSES_HISTORY: lambda it: (
        f"{_fields(it)} cannot be changed in place; a replacement has a new id and no history"
    ),
    RefusalCode.OVERWRITES_IGNORED: lambda it: (
        f"writing {_fields(it)} would overwrite {listed(it['ignored'])}, "
        "which ignore_changes names and the platform does not return"
    ),
    RefusalCode.PROTECTED: lambda it: f"apply would {it['action']} it, but it is protected",
    RefusalCode.PROTECTED_PARENT: lambda it: (
        f"apply would delete and recreate it with {it['parent']}, but it is protected"
    ),
    RefusalCode.SECRET: "the image would hold a secret",
    RefusalCode.BREAKS_CALLERS: lambda it: (
        f"a change of {listed(it['inputs'])} breaks jobs, and {it['place']} demands a major version for "
        f"that; {it['after']} follows {it['before']}"
    ),
    RefusalCode.CLAIMED: _claimed,
    RefusalCode.UNSTATED: lambda it: str(it["text"]),
    **{code: _about_source(code) for code in _OF_SOURCE},
    PromotionRefusal.OTHER_FILES: _other_files,
    PromotionRefusal.OTHER_VERSION: lambda it: (
        f"config.toml has version {it['version']}, and {it['source']} runs {it['runs']}"
    ),
    PromotionRefusal.GATED: _gated,
    PromotionRefusal.OPENS_GATE: _opens_gate,
    ImageRefusal.OTHER_IMAGE: lambda it: (
        f"{it['version']} is published as another image ({it['published'][:SHORT_DIGEST]}) than the one that "
        f"{it['environment']} runs, and is never overwritten"
    ),
    ImageRefusal.FOREIGN_VERSION: lambda it: (
        f"{it['version']} was published by another tool, from unknown source"
    ),
    ImageRefusal.WRONG_PLATFORM: lambda it: f"{it['version']} is {_published_for(it)}",
    ImageRefusal.VERSION_TAKEN: _version_taken,
    ImageRefusal.PUBLISHED_AS: lambda it: (
        f"{it['version']} is published from another source; this source is published as {it['published']}"
    ),
}
"""The words of each reason in a plan of the files."""

_CONTRACT: Mapping[StrEnum, _Words] = {
    ContractCode.REQUIRED_ADDED: "new required input, so a job without it is refused",
    ContractCode.OPTIONAL_ADDED: "new optional input",
    ContractCode.REMOVED: "removed, so a job that gives it is refused",
    ContractCode.RENAMED: lambda it: f"renamed to {it['to']}, so a job that gives the old name is refused",
    ContractCode.TYPE_CHANGED: lambda it: f"its type was {it['before']} and is {it['after']}",
    ContractCode.NOW_REQUIRED: "required now, so a job without it is refused",
    ContractCode.NOW_OPTIONAL: "optional now",
    ContractCode.CONSTRAINED: lambda it: f"takes only {it['after']} as {_limit(it)}, where it took any",
    ContractCode.CONSTRAINT_CHANGED: lambda it: (
        f"takes {it['after']} as {_limit(it)}, and no longer {it['before']}"
    ),
    ContractCode.UNCONSTRAINED: lambda it: f"takes any {_limit(it)}, not only {it['before']}",
}
"""The words of each change of an input, for jobs of the processing."""

_MISMATCHES: Mapping[StrEnum, _Words] = {
    PlanMismatch.OTHER_STACK: lambda it: (
        f"it is a plan for {it['saved']} at {it['saved_host']}, "
        f"not for {it['current']} at {it['current_host']}"
    ),
    PlanMismatch.FILES_CHANGED: "config.toml, a class or the image's source changed after it was made",
    PlanMismatch.OTHER_IMAGE: lambda it: (
        f"{it['source']} ran {it['saved']} then, and runs {it['current']} now"
    ),
    PlanMismatch.OTHER_VERSION: lambda it: (
        f"it publishes {it['saved']}, and the next version is {it['current']} now: another run published in "
        "the meantime, or config.toml has another version"
    ),
    PlanMismatch.OTHER_STATE: "it was made from another state, which was lost or replaced",
}

_DRIFT_STATES: Mapping[StrEnum, _Words] = {
    DriftState.NOT_REQUESTED: "",
    DriftState.IN_SYNC: lambda it: (
        f"in sync, {plural(it['unverified'], 'field')} not verified" if "unverified" in it else "in sync"
    ),
    DriftState.IGNORED: lambda it: f"{plural(it['ignored'], 'field')} ignored",
    DriftState.IGNORED_IMAGE: _ignored_image,
    DriftState.FOLLOWS: lambda it: f"follows {it['environment']}",
    DriftState.NOT_RECORDED: lambda it: (
        f"in sync; the next apply records {it['version']}"
        if "version" in it
        else "as in the files, but not in the state"
    ),
    DriftState.DIFFERENT: lambda it: ", ".join(f"{count} {cls}" for cls, count in it["counts"].items()),
    DriftState.PARTLY_READ: lambda it: ", ".join(
        [*(f"{count} {cls}" for cls, count in it["counts"].items()), "not all could be read"]
    ),
    DriftState.UNREADABLE: lambda it: str(it["problem"]),
    DriftState.NO_LOGIN: "no login",
    DriftState.DAMAGED_STATE: "damaged state",
    DriftState.NEWER_STATE: "state of a newer version",
    DriftState.NOT_APPLIED: lambda it: "destroyed" if it["destroyed"] else "never applied",
    DriftState.ORPHANED: lambda it: f"orphaned: its folder {_instead(it)}",
}

_VERDICTS: Mapping[StrEnum, _Words] = {
    ImageVerdict.PUBLISHED: lambda it: f"it is the image of {it['also']}" if "also" in it else "",
    ImageVerdict.NEVER_PUBLISHED: "",
    ImageVerdict.SAME_SOURCE: "re-tagged, no build",
    ImageVerdict.PROMOTED: lambda it: (
        f"the image of {it['environment']}, {'copied' if it['copied'] else 'tagged'} without a build"
    ),
    ImageVerdict.SOURCE_CHANGED: _differing,
    ImageVerdict.TAG_MOVED: _tag_moved,
    ImageVerdict.NEW_TAG: lambda it: f"{it['channel']} does not exist yet; tagged, no build",
    ImageVerdict.FOREIGN: _foreign,
    ImageVerdict.OTHER_PLATFORM: _published_for,
    ImageVerdict.MISSING: "the platform uses a tag that the registry does not have",
}
"""The words after the name of a verdict, for every audience."""

_OTHER_WORDS: Mapping[Audience, Mapping[StrEnum, _Words]] = {
    Audience.PLAN: {},
    Audience.ROLLBACK: {
        ReasonCode.FILES_CHANGED: "differs from that state version",
        ReasonCode.CHANGED_ON_BOTH_SIDES: "changed since that state version, and outside",
        ReasonCode.UNREADABLE_CHANGED: "not returned by the platform; differs from that state version",
        ReasonCode.CARRIED_OVER: "carried over from the old object; not in that state version",
        ReasonCode.CREATE_DEFAULT: "default for new objects; not in that state version",
        ReasonCode.OURS: "differs from that state version, and changed outside since",
        ReasonCode.SEVERAL: _several_of_rollback,
        ReasonCode.UNDECLARED: "not in that state version",
        ReasonCode.UNMANAGED: lambda it: f"no longer managed, as in that state version: {_fields(it)}",
        ReasonCode.LEFT_FILES: "not in that state version",
        ReasonCode.LEFT_FILES_KEPT: lambda it: f"not in that state version; it stays {it['place']}",
    },
    Audience.DRIFT: {
        ReasonCode.FILES_CHANGED: "changed in the files, not applied yet",
        ReasonCode.LEFT_FILES_KEPT: lambda it: f"no longer in the files; still {it['place']}",
    },
}
"""The words that differ for another audience."""

_WAYS: Mapping[StrEnum, _Words] = {
    Way.ALLOW_REPLACE: "allow it",
    Way.RESTORE_VALUE: "or restore the old value in config.toml",
    Way.IGNORE_WHOLE: lambda it: (
        f"add {_fields(it)} to ignore_changes in config.toml, or remove {listed(it['ignored'])} from it"
    ),
    Way.UNPROTECT: lambda it: (
        f'remove "{it["address"]}" from protect in config.toml, or in [defaults] of reconciler.toml'
    ),
    Way.TAKE: "take it over",
    Way.DECLARE_ANOTHER: lambda it: (
        f"or declare another one at {it['declared_here'] or 'its place in the files'}"
    ),
    Way.MAJOR_VERSION: "publish it as a new major version",
    Way.KEEP_INPUTS: 'or keep the inputs compatible, or set contract = "warn" there',
    Way.SEE_ERRORS: "see the errors, which name each file and line and the fix",
    PromotionWay.APPLY_SOURCE: "apply your files there first",
    PromotionWay.MANAGE_IMAGE: "remove these fields from ignore_changes, and apply your files there",
    PromotionWay.CHECK_OUT: "go back to the files that it was made from",
    PromotionWay.FINAL: "give it the final version",
    PromotionWay.PROMOTE: "take over the image that it runs",
    PromotionWay.OVERRIDE: "in an emergency, state why, which the history keeps",
    Way.UNSTATED: lambda it: str(it["text"]),
    ImageWay.NEW_VERSION: "publish it as a new version",
    ImageWay.ACCEPT_FOREIGN: "accept it as made from these files",
    ImageWay.SET_PLATFORM: lambda it: (
        f'or ask for that platform: platform = "{it["platform"]}" in [reconciler.image] of config.toml'
    ),
    ImageWay.REPEAT_BUMP: lambda it: (
        f'run the same apply --bump again, or write version = "{it["version"]}" into config.toml'
    ),
    ImageWay.OTHER_STATE: "roll back to another version with --to VERSION",
}
