"""The data of each page of a dashboard, as one compact JSON document per page.

Rows of runs are lists of numbers: times, and places in a list of words. `shown` makes hidden characters of
texts visible, and the script of the site puts each text into its page as text, never as markup. No document
has values of parameters, labels or variables, which may be secret.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from heapq import heappush, heappushpop
from typing import Final

from msgspec import Struct

from providers.json_value import JSON
from providers.rules import Effect
from reconciler.core.diff import ChangeClass
from reconciler.core.reasons import ReasonCode
from reconciler.core.recorded_runs import RecordedRun, RunOutcome
from reconciler.core.values import Address, image_address
from reconciler.drift.dashboard import Deployment, DriftHistory, PipelineRecord
from reconciler.drift.findings import Cause, DriftState, Finding, causes
from reconciler.drift.matrix import Column
from reconciler.engine.recorded import image_in
from reconciler.views import phrases
from reconciler.views.counting import short_commit
from reconciler.views.reports.image_json import ImageVersion
from reconciler.views.safe import is_web, one_line
from reconciler.views.site_links import key_of
from state.register import kind_of

MOST_RUNS: Final = 3_000
"""Runs on the page of all runs, the latest ones. The page of a pipeline has all of its own that were read."""
MOST_ATTENTION: Final = 8
"""Rows of what needs attention, on the first page."""
DAYS: Final = 90
"""Days in the plot of runs."""

STATES: Final[Mapping[str, str]] = {
    "drift": "bad",
    "failed": "bad",
    "orphaned": "bad",
    "pending": "warn",
    "behind": "info",
    "not checked": "unknown",
    "ignored": "muted",
    "in sync": "good",
}
"""The states that the tiles count and that the table is filtered by, worst first -> tone."""

_SHOWN_EFFECTS = (Effect.RESOURCES, Effect.IMAGE)
"""The effects of fields whose values are shown. Others, such as parameters, may be secret."""
_ALARMING = frozenset({ChangeClass.DRIFT, ChangeClass.CONFLICT, ChangeClass.ORPHANED})
_UNFINISHED = frozenset({RunOutcome.FAILED, RunOutcome.INTERRUPTED})
_OF_REPORTS = ("drift", "pending", "ignored", "in sync")
"""The states that only reports of drift show."""
_DAY = 86_400  # seconds


def shown(document: JSON) -> JSON:
    """The document with all hidden characters in its texts visible, and each text on one line."""
    if isinstance(document, str):
        return one_line(document)
    if isinstance(document, list):
        if document and type(document[0]) is int:  # a row of a table, whose words are shown already
            return document
        return [shown(item) for item in document]
    if isinstance(document, dict):
        return {one_line(key): shown(item) for key, item in document.items()}
    return document


class Words:
    """A list of different texts; documents have their places in it instead."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def place(self, text: str) -> int:
        return self._places.setdefault(text, len(self._places))

    @property
    def texts(self) -> list[JSON]:
        return [one_line(text) for text in self._places]


@dataclass(frozen=True, slots=True, order=True)
class PlacedRun:
    """One run, with the pipeline and the environment that it changed."""

    at: int
    name: str = field(compare=False)
    environment: str = field(compare=False)
    run: RecordedRun = field(compare=False)


def runs_document(runs: Iterable[PlacedRun]) -> JSON:
    """A table of runs. Its columns are those of `_row`; the pipelines are places in `pipelines`."""
    words, names = Words(), Words()
    rows: list[JSON] = [_row(one, words, names) for one in runs]
    pipelines: list[JSON] = [[name, key_of(name)] for name in names._places]
    return {"words": words.texts, "pipelines": pipelines, "rows": rows}


def _row(placed: PlacedRun, words: Words, names: Words) -> JSON:
    run = placed.run
    entry = run.saves[0]
    notes = (
        f"from {entry.promoted_from}" if entry.promoted_from else "",
        f"back to serial {run.restored}" if run.restored else "",
        f"override: {entry.override}" if entry.override else "",
    )
    return [
        placed.at,
        names.place(placed.name),
        words.place(placed.environment),
        words.place(run.verb or "unknown"),
        words.place(run.version),
        words.place(run.outcome.value),
        words.place(entry.owner),
        words.place(", ".join(filter(None, notes))),
        words.place(entry.ci if is_web(entry.ci) else ""),
        words.place(short_commit(entry.git_commit)),
        run.serial,
    ]


def seconds(at: str) -> int:
    """Seconds since 1970 of a time with its offset from UTC."""
    return int(datetime.fromisoformat(at).timestamp())


class Counted(Struct, frozen=True):
    """A deployment in the table of the first page.

    Attributes:
        states: those of `STATES` that it has, the one to show first.
        words: the state for people.
    """

    states: tuple[str, ...]
    words: str
    tone: str


def counted(deployment: Deployment) -> Counted:
    """The states of a deployment."""
    row = deployment.cell.row
    code, words = row.drift.code, phrases.drift_state(row.drift)
    found = set(row.drift.details.get("counts", ())) - {"acknowledged"}
    state = ""
    if code is DriftState.ORPHANED:
        state = "orphaned"
    elif found & {cls.value for cls in _ALARMING}:
        state = "drift"
    elif code is DriftState.PARTLY_READ or not row.state_is_readable:
        state = "not checked"
    elif found:
        state = "pending"
    elif code is DriftState.IGNORED:
        state = "ignored"
    elif code in (DriftState.IN_SYNC, DriftState.DIFFERENT):
        state = "in sync"
    elif row.applied is None and deployment.check is None:
        return Counted((), "nothing applied", "muted")
    else:
        state = "not checked"
        words = "applied since the last check" if deployment.is_outdated else "not checked"
    tone = STATES[state]
    states = [state]
    if deployment.runs and deployment.runs[0].outcome in _UNFINISHED:
        states.append("failed")
    if deployment.cell.behind:
        states.append("behind")
    return Counted(tuple(states), words, tone)


def cell_document(deployment: Deployment) -> dict[str, JSON]:
    """A deployment as a cell of the first page's table."""
    cell, applied = deployment.cell, deployment.cell.row.applied
    state = counted(deployment)
    last = deployment.runs[0].outcome if deployment.runs else None
    return {
        "version": cell.version,
        "behind": cell.behind or 0,
        "states": list(state.states),
        "words": state.words,
        "tone": state.tone,
        "at": seconds(applied.at) if applied else 0,
        "by": applied.by if applied else "",
        "outcome": last.value if last in _UNFINISHED else "",
    }


def finding_document(cause: Cause, names: Mapping[str, str]) -> JSON:
    """One change in one or more pipelines.

    Args:
        names: scope -> the name of its environment.
    """
    first = cause.first
    state = phrases.state(first)
    places = [
        [one.stack.name, key_of(one.stack.name), names.get(one.stack.scope, one.stack.scope)]
        for one in cause.findings
    ]
    # A tag that has to move is said in the reason; it is no value that is one thing and should be another.
    is_shown = first.effect in _SHOWN_EFFECTS and first.change.reason.code is not ReasonCode.CHANNEL_NOT_MOVED
    return {
        "where": cause.where,
        "pipelines": [list(place) for place in places],
        "state": state,
        "tone": phrases.TONES[state],
        "effect": first.effect.name.lower(),
        "reason": phrases.reason(first.change.reason, phrases.Audience.DRIFT),
        "since": int(min(one.seen.first for one in cause.findings).timestamp()),
        "live": phrases.value(first, "live") if is_shown else "",
        "desired": phrases.value(first, "desired") if is_shown else "",
        "facts": [
            [label, text]
            for label, text in phrases.facts(first)
            if label != "seen since" and (len(places) == 1 or label == "acknowledged")
        ],
        "ways": [
            [f"{label} in {place}" if len(places) > 1 else label, command]  # the environments differ
            for one, (_, _, place) in zip(cause.findings, places, strict=True)
            for label, command in phrases.ways(one)
            if len({finding.stack.name for finding in cause.findings}) == 1
        ],
        "page": first.page if len(places) == 1 and is_web(first.page) else "",
    }


def oldest_first(found: Iterable[Finding]) -> list[Cause]:
    """The findings, equal ones of several pipelines together; acknowledged ones last."""

    def rank(cause: Cause) -> tuple[object, ...]:
        return cause.first.acknowledged is not None, min(one.seen.first for one in cause.findings)

    return sorted(causes(found), key=rank)


def drift_points(drift: DriftHistory) -> JSON:
    """The number of findings over time, by class; classes that never had any are left out."""
    classes = dict.fromkeys(cls for point in drift.points for cls, count in point.counts.items() if count)
    return {
        "at": [int(point.at.timestamp()) for point in drift.points],
        "stacks": [point.stacks for point in drift.points],
        "series": [
            {
                "name": cls,
                "tone": phrases.TONES[cls],
                "values": [point.counts.get(cls, 0) for point in drift.points],
            }
            for cls in classes
        ],
    }


def image_document(versions: Sequence[ImageVersion]) -> JSON:
    """The versions of one image, oldest first, the last one with its layers, lowest first."""
    return [
        {
            "version": one.version,
            "digest": one.digest,
            "size": one.size,
            "own": sum(layer.size for layer in one.layers if layer.of_base is not True),
            "count": len(one.layers),
            "created": one.created,
            "layers": [
                {"size": layer.size, "instruction": layer.instruction, "base": layer.of_base is True}
                for layer in (one.layers if one is versions[-1] else ())
            ],
        }
        for one in versions
    ]


def pipeline_document(
    record: PipelineRecord, columns: Sequence[Column], versions: Sequence[ImageVersion]
) -> JSON:
    """The page of one pipeline."""
    names = {column.scope: column.name for column in columns}
    placed = [(column.name, record.deployments.get(column.scope)) for column in columns]
    current = [finding for _, one in placed if one for finding in current_findings(one)]
    resources: dict[str, list[JSON]] = {}
    for environment, one in placed:
        for recorded in one.state.resources.values() if one and one.state else ():
            page = str(recorded.outputs.get("page") or "")
            where: JSON = [environment, page if is_web(page) else ""]
            resources.setdefault(recorded.address, []).append(where)
    return {
        "name": record.name,
        "folder": record.folder,
        "workspace": next((one.source.workspace for _, one in placed if one and one.source.workspace), ""),
        "environments": [_environment(name, one) for name, one in placed],
        "findings": [finding_document(cause, names) for cause in oldest_first(current)],
        "runs": runs_document(placed_runs(record, columns)),
        "image": image_document(versions),
        "resources": [[address, places] for address, places in resources.items()],
    }


def _environment(name: str, deployment: Deployment | None) -> JSON:
    if deployment is None:
        return {"name": name}
    row, applied = deployment.cell.row, deployment.cell.row.applied
    image = image_in(deployment.state) if deployment.state else None
    repository = "/".join(Address.parse(image.address).name) if image else ""
    facts = {
        "image": repository,
        "digest": row.digest,
        "channel": str(image.inputs.get("channel") or "") if image else "",
        "commit": short_commit(applied.git_commit) if applied else "",
        "host": applied.host if applied else "",
    }
    return {
        "name": name,
        "stack": deployment.stack,
        "checked": int(deployment.check.at.timestamp()) if deployment.check else 0,
        "ci": applied.ci if applied and is_web(applied.ci) else "",
        "facts": [[label, text] for label, text in facts.items() if text],
        **cell_document(deployment),
    }


def current_findings(deployment: Deployment) -> Sequence[Finding]:
    """The findings of its newest report, unless it was applied since."""
    if deployment.check is None or deployment.is_outdated:
        return ()
    return deployment.check.report.findings


def placed_runs(record: PipelineRecord, columns: Sequence[Column]) -> list[PlacedRun]:
    """The runs of a pipeline in all environments, latest first."""
    return sorted(
        (
            PlacedRun(seconds(run.saves[0].written_at), record.name, column.name, run)
            for column in columns
            if (one := record.deployments.get(column.scope))
            for run in one.runs
        ),
        reverse=True,
    )


class UsedBy(Struct, frozen=True):
    """A resource with the pipelines that have it, and the environments where they do."""

    address: str
    pipelines: tuple[str, ...]
    environments: tuple[str, ...]


class Summary:
    """What the pages of the whole organization have of each pipeline, collected one by one.

    Args:
        columns: the environments, in the order of promotion.
    """

    def __init__(self, columns: Sequence[Column], drift: DriftHistory, now: datetime) -> None:
        self.columns = columns
        self.names = {column.scope: column.name for column in columns}
        self.drift = drift
        self.now = now
        self.lines: list[JSON] = []
        self.counts: Counter[str] = Counter()
        self.deployed: Counter[str] = Counter()
        self.findings: list[Finding] = []
        self.alarms: list[dict[str, JSON]] = []
        self.orphans: list[tuple[str, str, str]] = []
        self._latest: list[PlacedRun] = []
        self._days: dict[int, Counter[str]] = {}
        self._users: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
        self.channels: Counter[tuple[str, str]] = Counter()
        self.image_users: dict[str, dict[str, None]] = {}

    def add(self, record: PipelineRecord) -> None:
        cells: list[JSON] = []
        tags: dict[tuple[str, str], str] = {}
        for column in self.columns:
            one = record.deployments.get(column.scope)
            cells.append(cell_document(one) if one else None)
            if one is None:
                continue
            self._count(record, column, one)
            for recorded in one.state.resources.values() if one.state else ():
                kind = kind_of(recorded.address)
                if kind == "image":
                    self.image_users.setdefault(recorded.address, {})[record.name] = None
                    tag = (recorded.address, str(recorded.inputs.get("channel") or ""))
                    if tag in tags:
                        self.channels[(tags[tag], column.name)] += 1
                    tags.setdefault(tag, column.name)
                if kind in ("image", "model"):
                    users, places = self._users.setdefault(recorded.address, ({}, {}))
                    users[record.name] = None
                    places[column.name] = None
        workspace = next((one.source.workspace for one in record.deployments.values()), "")
        self.lines.append(
            {
                "name": record.name,
                "key": key_of(record.name),
                "folder": record.folder if record.folder != record.name else "",
                "workspace": workspace,
                "cells": cells,
            }
        )
        self._add_runs(placed_runs(record, self.columns))

    def _add_runs(self, runs: Sequence[PlacedRun]) -> None:
        """Count the runs of the last days, and keep those that are among the latest of all."""
        first = int(self.now.timestamp()) // _DAY - DAYS + 1
        for placed in runs:
            if placed.at // _DAY >= first:
                self._days.setdefault(placed.at // _DAY, Counter())[placed.run.outcome.value] += 1
            if len(self._latest) < MOST_RUNS:
                heappush(self._latest, placed)
            elif placed > self._latest[0]:
                heappushpop(self._latest, placed)
            elif placed.at // _DAY < first:
                break  # so are the others of this pipeline

    def _count(self, record: PipelineRecord, column: Column, one: Deployment) -> None:
        state = counted(one)
        self.counts.update(state.states)
        if one.cell.row.applied:
            self.deployed[column.name] += 1
        self.findings += current_findings(one)
        if state.states and state.states[0] == "orphaned":
            self.orphans.append((record.name, column.name, one.source.folder))
        alarm = {"name": record.name, "key": key_of(record.name), "environment": column.name}
        last = one.runs[0] if one.runs else None
        if last and last.outcome in _UNFINISHED:
            entry = last.saves[0]
            ended = "failed" if last.outcome is RunOutcome.FAILED else "was interrupted"
            what = f"{last.verb or 'the last run'} by {entry.owner or 'an unknown user'} {ended}"
            self.alarms.append(
                {
                    **alarm,
                    "word": last.outcome.value,
                    "tone": "bad",
                    "what": what,
                    "since": seconds(entry.written_at),
                }
            )
        if not one.cell.row.state_is_readable or (
            one.is_orphan and not any(f.change.cls is ChangeClass.ORPHANED for f in current_findings(one))
        ):
            word = "orphaned" if one.is_orphan else "not checked"
            applied = one.cell.row.applied
            since = seconds(applied.at) if applied else 0
            self.alarms.append(
                {**alarm, "word": word, "tone": STATES[word], "what": state.words, "since": since}
            )

    @property
    def shared(self) -> list[UsedBy]:
        """The models and images that several pipelines have, those with the most pipelines first."""
        found = [
            UsedBy(address, tuple(users), tuple(places))
            for address, (users, places) in self._users.items()
            if len(users) > 1
        ]
        return sorted(found, key=lambda one: (-len(one.pipelines), one.address))

    @property
    def unmanaged(self) -> int:
        return sum(map(len, self.drift.unmanaged.values()))

    def runs(self) -> JSON:
        """The page of all runs."""
        return {
            "runs": runs_document(sorted(self._latest, reverse=True)),
            "activity": self.activity(),
            "most": MOST_RUNS,
        }

    def activity(self) -> JSON:
        """The number of runs on each of the last days, by outcome."""
        today = int(self.now.timestamp()) // _DAY
        days = range(max(min(self._days, default=today), today - DAYS + 1), today + 1)
        outcomes = [
            one.value for one in RunOutcome if any(one.value in count for count in self._days.values())
        ]
        return {
            "days": [day * _DAY for day in days],
            "series": [
                {
                    "name": outcome,
                    "tone": phrases.TONES[outcome],
                    "values": [self._days.get(day, Counter())[outcome] for day in days],
                }
                for outcome in outcomes
            ],
        }

    def _unknown(self, orphans_unknown: str) -> dict[str, str]:
        """State -> why no pipeline was checked for it. A zero there would be a guess."""
        unknown = {"orphaned": orphans_unknown} if orphans_unknown else {}
        if not self.drift.checks:
            unknown |= dict.fromkeys(_OF_REPORTS, "no report of drift was given")
        return {state: why for state, why in unknown.items() if not self.counts[state]}

    def overview(self, orphans_unknown: str = "") -> JSON:
        """The first page.

        Args:
            orphans_unknown: as for `organization`.
        """
        attention, unknown = self._attention(), self._unknown(orphans_unknown)
        return {
            "environments": [
                {
                    "name": column.name,
                    "scope": column.scope,
                    "from": column.promote_from,
                    "deployed": self.deployed[column.name],
                }
                for column in self.columns
            ],
            "tiles": [
                {
                    "state": state,
                    "count": self.counts[state],
                    "tone": tone,
                    "unknown": unknown.get(state, ""),
                }
                for state, tone in STATES.items()
            ],
            "unmanaged": self.unmanaged if self.drift.unmanaged else None,
            "attention": attention[:MOST_ATTENTION],
            "more": max(0, len(attention) - MOST_ATTENTION),
            "drift": drift_points(self.drift),
            "activity": self.activity(),
            "pipelines": self.lines,
        }

    def _attention(self) -> list[JSON]:
        """Failed runs, then findings, each with the oldest first."""
        alarms: list[JSON] = [*self._grouped_alarms()]
        found = [f for f in self.findings if not f.acknowledged and f.change.cls in _ALARMING]
        for cause in oldest_first(found):
            first = cause.first
            state = phrases.state(first)
            environments = dict.fromkeys(
                self.names.get(one.stack.scope, one.stack.scope) for one in cause.findings
            )
            alarms.append(
                {
                    "name": first.stack.name,
                    "key": key_of(first.stack.name),
                    "environment": ", ".join(environments),
                    "more": len(cause.findings) - 1,
                    "word": state,
                    "tone": phrases.TONES[state],
                    "what": f"{cause.where}: {phrases.reason(first.change.reason, phrases.Audience.DRIFT)}",
                    "since": int(min(one.seen.first for one in cause.findings).timestamp()),
                }
            )
        return alarms

    def _grouped_alarms(self) -> list[JSON]:
        """The alarms, one for all environments where a pipeline has the same one; failed runs first."""
        groups: dict[tuple[JSON, ...], list[dict[str, JSON]]] = {}
        for one in self.alarms:
            groups.setdefault((one["name"], one["word"], one["what"]), []).append(one)
        first = ("failed", "interrupted")
        return [
            {
                **found[0],
                "environment": ", ".join(str(one["environment"]) for one in found),
                "since": min(one["since"] for one in found),  # type: ignore[type-var]
            }
            for found in sorted(
                groups.values(), key=lambda found: (found[0]["word"] not in first, found[0]["since"])
            )
        ]

    def drift_document(self) -> JSON:
        """The page of drift."""
        return {
            "drift": drift_points(self.drift),
            "findings": [finding_document(cause, self.names) for cause in oldest_first(self.findings)],
            "failed": [
                [name, [problem.summary for problem in problems]]
                for name, problems in self.drift.failed.items()
            ],
        }

    def images(self, versions: Mapping[str, Sequence[ImageVersion]]) -> JSON:
        """The page of images.

        Args:
            versions: address -> its versions, oldest first.
        """
        return {
            "images": [
                {
                    "address": address.partition("/")[2],
                    "pipelines": [[name, key_of(name)] for name in self.image_users.get(address, ())],
                    "versions": image_document(found),
                }
                for address, found in versions.items()
            ],
        }

    def organization(self, orphans_unknown: str = "") -> JSON:
        """The page of what pipelines share, and of what is left over.

        Args:
            orphans_unknown: why no orphans were looked for; "" if they were.
        """
        return {
            "shared": [
                {
                    "address": one.address,
                    "kind": kind_of(one.address),
                    "pipelines": [[name, key_of(name)] for name in one.pipelines],
                    "environments": list(one.environments),
                }
                for one in self.shared
            ],
            "orphans": [[name, key_of(name), *rest] for name, *rest in self.orphans],
            "orphans_unknown": orphans_unknown,
            "unmanaged_unknown": not self.drift.unmanaged,
            "unmanaged": [
                {
                    "address": str(one.address),
                    "environment": self.names.get(scope, scope),
                    "page": one.page if is_web(one.page) else "",
                    "at": seconds(one.modified_at) if _is_time(one.modified_at) else 0,
                    "by": one.modified_by,
                }
                for scope, objects in self.drift.unmanaged.items()
                for one in objects
            ],
        }


def versions_by_address(found: Iterable[ImageVersion]) -> dict[str, list[ImageVersion]]:
    """Address of an image -> its different versions, oldest first."""
    by_digest: dict[tuple[str, str], ImageVersion] = {}
    for one in found:
        by_digest[(str(image_address(one.repository)), one.digest)] = one
    versions: dict[str, list[ImageVersion]] = {}
    for (address, _), one in sorted(by_digest.items(), key=lambda item: (item[1].created, item[0])):
        versions.setdefault(address, []).append(one)
    return dict(sorted(versions.items()))


def _is_time(text: str) -> bool:
    """Whether this is a time as servers send it, with its offset from UTC."""
    try:
        datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return False
    return True
