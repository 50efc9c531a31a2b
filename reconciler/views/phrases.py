"""What all drift outputs say in the same words: counts, facts of a finding, times. Text only, no markup."""

from datetime import datetime

from reconciler.core.diagnostics import Diagnostic
from reconciler.core.plan import Action
from reconciler.core.values import MISSING
from reconciler.drift.findings import Finding, Report, StackReport
from reconciler.views.counting import plural, short_commit
from reconciler.views.shown_values import shown

TONES = {
    "in-sync": "good",
    "conflict": "bad",
    "drift": "bad",
    "pending": "warn",
    "unrecorded": "info",
    "unverified": "warn",
    "acknowledged": "muted",
    "not checked": "unknown",
    Action.CREATE.word: "good",
    Action.UPDATE.word: "warn",
    Action.REPLACE.word: "bad",
    Action.DELETE.word: "bad",
    Action.ADOPT.word: "info",
    Action.FORGET.word: "muted",
    Action.NOOP.word: "muted",
}
"""Class or action -> how it looks, wherever there are colours that say how bad it is."""


def counted(report: Report) -> list[str]:
    """`2 drift`, `1 pending`, `3 acknowledged`: what there is, worst first."""
    return [f"{count:,} {word}" for word, count in report.counts.items() if count]


def headline(report: Report) -> str:
    """The whole of it in a few words; what could not be asked is never called in sync."""
    if report.findings:
        return ", ".join(counted(report))
    return "No drift in what could be checked" if report.unchecked else "No drift"


def coverage(report: Report) -> str:
    """How much of it is in sync, and how much was not looked at."""
    text = f"{plural(len(report.in_sync), 'pipeline')} in sync."
    return f"{text} {len(report.unchecked):,} not checked." if report.unchecked else text


def unchecked(report: Report) -> dict[Diagnostic, list[str]]:
    """Each reason why something was not checked, with the stacks or pipelines that it is one for."""
    told: dict[Diagnostic, list[str]] = {}
    for stack in report.stacks:
        for problem in stack.unchecked:
            told.setdefault(problem, []).append(str(stack.stack))
    for name, problems in report.failed.items():
        for problem in problems:
            told.setdefault(problem, []).append(name)
    return told


def details(problem: Diagnostic) -> list[str]:
    """The lines of its detail, indented, so that none looks like one of what it belongs to."""
    return [f"  {line}" for line in problem.detail.split("\n")] if problem.detail else []


def state(finding: Finding) -> str:
    """The word that a list shows before it."""
    return "acknowledged" if finding.acknowledged else finding.change.cls.value


def value(finding: Finding, world: str) -> str:
    """The value of a world ("desired", "recorded" or "live") on one line; "" where it is missing."""
    found = getattr(finding.change, world)
    return shown(found) if finding.change.path and found is not MISSING else ""


def values(finding: Finding) -> list[tuple[str, str]]:
    """The label and the value of each world that has one, on one line; empty for an object as a whole."""
    worlds = (("the files say", "desired"), ("it was", "recorded"), ("it is now", "live"))
    return [(label, found) for label, world in worlds if (found := value(finding, world))]


def facts(finding: Finding) -> list[tuple[str, str]]:
    """What is known beside the values: where, since when, by whom."""
    told = [("in the files", finding.change.place)]
    if finding.seen.first < finding.seen.last:
        told.append(("seen since", moment(finding.seen.first)))
    if finding.modified_at or finding.modified_by:
        when = finding.modified_at[:16].replace("T", " ")
        told.append(("changed", " by ".join(filter(None, (when, finding.modified_by)))))
    if finding.acknowledged is not None:
        known = finding.acknowledged
        until = f" until {known.expires}" if known.expires else ""
        told.append(("acknowledged", f"by {known.owner}{until}: {known.reason}"))
    return [(word, value) for word, value in told if value]


def ways(finding: Finding) -> list[tuple[str, str]]:
    """The commands that end it; what somebody acknowledged needs none."""
    both = (("put it back", finding.put_back), ("take it over", finding.take_over))
    return [] if finding.acknowledged else [(word, command) for word, command in both if command]


def way(text: str) -> tuple[str, str]:
    """What a way out of a refusal is, and its command; "" where there is none to run."""
    label, colon, command = text.partition(":  ")
    return (label, command) if colon else (text, "")


def last_applied(stack: StackReport) -> str:
    """When, by whom and from which commit the record was left as it is."""
    last = stack.last_apply
    if last is None:
        return "nothing is recorded, so nobody knows who changed what"
    who = f" by {last.by}@{last.host}" if last.by else ""
    commit = f" from {short_commit(last.git_commit)}" if last.git_commit else ""
    return f"last applied {last.at[:16].replace('T', ' ')}{who}{commit}"


def moment(when: datetime) -> str:
    """`2025-01-31 08:15 UTC`."""
    return f"{when:%Y-%m-%d %H:%M} UTC"


def age(finding: Finding) -> str:
    """`new`, `5 hours`, `3 days`: how long it has been found."""
    hours = int((finding.seen.last - finding.seen.first).total_seconds() // 3600)
    if hours >= 48:
        return plural(hours // 24, "day")
    return plural(hours, "hour") if hours else "new"
