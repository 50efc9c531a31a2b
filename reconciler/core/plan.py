"""The plan: every step with its edges, as data. Each rule about a plan has its one home here.

Pure: made by the planner, walked by apply, drawn by the views, saved as a JSON document.
"""

import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import Any, Self

from reconciler.core.diagnostics import Diagnostic, Severity, in_order
from reconciler.core.diff import Change, ChangeClass, Resolution
from reconciler.core.platforms import place
from reconciler.core.values import JSON, MISSING, Address, NoValue

FORMAT = "reconciler/plan"
VERSION = 1


class Action(Enum):
    """What a step does: (word, symbol, severity for ordering, verb while it runs, verb when done)."""

    CREATE = ("create", "+", 3, "creating", "created")
    UPDATE = ("update", "~", 2, "updating", "updated")
    REPLACE = ("replace", "±", 4, "replacing", "replaced")
    DELETE = ("delete", "-", 5, "deleting", "deleted")
    ADOPT = ("adopt", ">", 1, "adopting", "adopted")
    FORGET = ("forget", ".", 1, "forgetting", "forgotten")
    NOOP = ("noop", " ", 0, "checking", "unchanged")

    def __init__(self, word: str, symbol: str, severity: int, doing: str, done: str) -> None:
        self.word = word
        self.symbol = symbol
        self.severity = severity
        self.doing = doing
        self.done = done


@dataclass(frozen=True, slots=True)
class Stack:
    """One pipeline on one organization of one environment; its text is the name of its state.

    Attributes:
        host: address of the platform, in its one spelling.
    """

    organization: str
    environment: str
    host: str
    pipeline: str

    def __str__(self) -> str:
        # CUSTOM is no place of its own: two of them must not share a record.
        organization = self.organization.replace("%", "%25").replace("/", "%2F")
        return f"{organization}@{place(self.environment, self.host)}/{self.pipeline}"

    def command(self, verb: str, *more: str) -> str:
        """A command line that does something to this stack and no other, whatever is saved; safe to paste."""
        where = ("--organization", self.organization, "--env", self.environment)
        return shlex.join(("reconciler", verb, self.pipeline, *where, *more))


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a step may not run as it stands, and the commands that are the ways out."""

    summary: str
    ways: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Step:
    """One action on one resource.

    Attributes:
        address: the resource.
        action: what is done.
        reason: why, also when nothing is done.
        changes: every managed field with its three values, in-sync ones included.
        depends_on: addresses whose steps must have succeeded before.
        id: the far end's identity of the live object, or None when there is none.
        fingerprint: of the live object that the decision relied on; "" when there was none.
        refusal: why it may not run, or None.
        remark: what the user should know although it runs, and what to do about it; told as a diagnostic.
    """

    address: Address
    action: Action
    reason: str
    changes: tuple[Change, ...] = ()
    depends_on: tuple[Address, ...] = ()
    id: str | None = None
    fingerprint: str = ""
    refusal: Refusal | None = None
    remark: tuple[str, str] = field(default=("", ""), compare=False)

    @property
    def writes(self) -> bool:
        """Whether running it sends a write to a far end."""
        match self.action:
            case Action.NOOP | Action.FORGET:
                return False
            case Action.ADOPT | Action.UPDATE:
                return any(change.write for change in self.changes)
            case _:
                return True

    @property
    def conflicts(self) -> tuple[Change, ...]:
        """Conflicting fields of which nobody has said yet who wins."""
        return tuple(c for c in self.changes if c.cls is ChangeClass.CONFLICT and not c.resolution)

    @property
    def drifts(self) -> tuple[Change, ...]:
        """Fields that somebody else changed, but for those that the user wants ignored."""
        return tuple(c for c in self.changes if c.cls is ChangeClass.DRIFT and not c.resolution)


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done to one stack.

    Attributes:
        stack: which one.
        lineage: of the state document it was made from; "" when there was none.
        serial: of that document; 0 when there was none.
        steps: in an order in which every step comes after what it depends on.
        diagnostics: what the user should know besides.
        sources: what the files said, as one digest, so that a plan saved in a file can be refused when
            they have changed since.
        asked: what the user asked for and allowed, so that a saved plan can be made again and compared.
    """

    stack: Stack
    lineage: str
    serial: int
    steps: tuple[Step, ...]
    diagnostics: tuple[Diagnostic, ...] = ()
    sources: str = ""
    asked: Mapping[str, JSON] = field(default_factory=dict)
    _by_address: dict[Address, Step] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_address", {step.address: step for step in self.steps})

    def step(self, address: Address) -> Step | None:
        return self._by_address.get(address)

    @property
    def conflicts(self) -> tuple[Step, ...]:
        """Steps with a field that was changed in the files and outside."""
        return tuple(step for step in self.steps if step.conflicts)

    @property
    def refused(self) -> tuple[Step, ...]:
        """Steps that may not run as they stand."""
        return tuple(step for step in self.steps if step.refusal)

    @property
    def has_errors(self) -> bool:
        return any(d.severity is Severity.ERROR for d in self.diagnostics)

    @property
    def can_apply(self) -> bool:
        return not (self.conflicts or self.refused or self.has_errors)

    @property
    def is_empty(self) -> bool:
        """Nothing to do at all: no write, and no record to refresh."""
        return all(step.action is Action.NOOP for step in self.steps)

    @property
    def is_destructive(self) -> bool:
        return any(step.action in (Action.DELETE, Action.REPLACE) for step in self.steps)

    @property
    def counts(self) -> dict[str, int]:
        """How many steps of each action, and how many fields drifted or conflict."""
        counts = {action.word: 0 for action in Action}
        for step in self.steps:
            counts[step.action.word] += 1
        counts["drift"] = sum(len(step.drifts) for step in self.steps)
        counts["conflict"] = sum(len(step.conflicts) for step in self.steps)
        return counts

    @property
    def exit_code(self) -> int:
        """0 in sync, 10 changes to apply, 11 drift, 12 conflict or something that is not allowed."""
        if self.conflicts or self.refused:
            return 12
        if any(step.drifts for step in self.steps):
            return 11
        return 10 if any(step.writes or step.action is Action.FORGET for step in self.steps) else 0

    def only(self, targets: Iterable[Address]) -> Self:
        """The plan cut down to `targets` and what they depend on."""
        wanted: set[Address] = set()
        todo = [address for address in targets if address in self._by_address]
        while todo:
            address = todo.pop()
            if address not in wanted:
                wanted.add(address)
                todo.extend(self._by_address[address].depends_on)
                if self._by_address[address].action is Action.REPLACE:  # which takes those below with it
                    todo.extend(s.address for s in self.steps if address in s.depends_on)
        return replace(self, steps=tuple(step for step in self.steps if step.address in wanted))

    @property
    def apply_command(self) -> str:
        """The command that applies this plan, with what was asked for when it was made."""
        bump = self.asked.get("bump")
        more = ["--bump", bump] if bump else []
        for name in ("force_bump", "accept_foreign"):
            more += [f"--{name.replace('_', '-')}"] if self.asked.get(name) else []
        return self.stack.command("apply", *more)

    @property
    def unverified(self) -> int:
        """How many fields are as last applied for all that can be told: the platform does not return them."""
        return sum(c.cls is ChangeClass.UNVERIFIED and not c.write for s in self.steps for c in s.changes)

    def without(self, addresses: Collection[Address]) -> Self:
        """The plan without these steps, and without what depends on them."""
        left_out = set(addresses)
        for step in self.steps:  # in order, so one pass finds all that depends on what is left out
            if left_out.intersection(step.depends_on):
                left_out.add(step.address)
        return replace(self, steps=tuple(step for step in self.steps if step.address not in left_out))

    def to_document(self) -> dict[str, JSON]:
        """The plan as the JSON document of `plan --json` and `plan --out`."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "stack": {
                "organization": self.stack.organization,
                "environment": self.stack.environment,
                "host": self.stack.host,
                "pipeline": self.stack.pipeline,
            },
            "lineage": self.lineage,
            "serial": self.serial,
            "sources": self.sources,
            "asked": dict(self.asked),
            "summary": self.counts,
            "steps": [_step_to_document(step) for step in self.steps],
            "diagnostics": [diagnostic_to_document(d) for d in in_order(self.diagnostics)],
        }

    @classmethod
    def from_document(cls, document: JSON) -> Self:
        """The plan that `to_document` wrote.

        Raises:
            ValueError: not a plan, a newer version, or keys that this version does not know.
        """
        _expect(document, dict, "a plan")
        if document.get("format") != FORMAT:
            raise ValueError(f"not a saved plan: its format is {document.get('format')!r}, not {FORMAT!r}")
        if document.get("version") != VERSION:
            raise ValueError(
                f"a plan of version {document.get('version')}; this reconciler reads version {VERSION}"
            )
        _only_keys(document, _PLAN_KEYS, "the plan")
        _only_keys(document["stack"], _STACK_KEYS, "the plan's stack")
        for name, value in document["stack"].items():
            _expect(value, str, f"a stack: its {name} is {value!r}")
        return cls(
            stack=Stack(**document["stack"]),
            lineage=document["lineage"],
            serial=document["serial"],
            sources=document["sources"],
            asked=document["asked"],
            steps=tuple(_step_from_document(step) for step in document["steps"]),
            diagnostics=tuple(diagnostic_from_document(d) for d in document["diagnostics"]),
        )


def diagnostic_to_document(diagnostic: Diagnostic) -> dict[str, JSON]:
    return {
        "severity": diagnostic.severity.value,
        "summary": diagnostic.summary,
        "detail": diagnostic.detail,
        "address": diagnostic.address,
        "file": str(diagnostic.file) if diagnostic.file is not None else None,
        "line": diagnostic.line,
    }


_PLAN_KEYS = frozenset(
    ["format", "version", "stack", "lineage", "serial", "sources", "asked", "summary", "steps", "diagnostics"]
)
_STACK_KEYS = frozenset(["organization", "environment", "host", "pipeline"])
_STEP_KEYS = frozenset(
    ["address", "kind", "action", "reason", "depends_on", "changes", "id", "fingerprint", "refusal"]
)
_CHANGE_KEYS = frozenset(
    ["path", "class", "desired", "recorded", "live", "reason", "write", "resolution", "place", "absent"]
)
_REFUSAL_KEYS = frozenset(["summary", "ways"])
_DIAGNOSTIC_KEYS = frozenset(["severity", "summary", "detail", "address", "file", "line"])
_ACTIONS = {action.word: action for action in Action}
_VALUES = ("desired", "recorded", "live")


def _step_to_document(step: Step) -> dict[str, JSON]:
    return {
        "address": str(step.address),
        "kind": step.address.kind,
        "action": step.action.word,
        "reason": step.reason,
        "depends_on": [str(address) for address in step.depends_on],
        "id": step.id,
        "fingerprint": step.fingerprint,
        "refusal": None
        if step.refusal is None
        else {"summary": step.refusal.summary, "ways": list(step.refusal.ways)},
        "changes": [_change_to_document(change) for change in step.changes],
    }


def _step_from_document(document: Mapping[str, JSON]) -> Step:
    _only_keys(document, _STEP_KEYS, f"step {document.get('address')}")
    refusal = document["refusal"]
    if refusal is not None:
        _only_keys(refusal, _REFUSAL_KEYS, f"the refusal of {document['address']}")
    if document["action"] not in _ACTIONS:
        raise ValueError(f"step {document['address']} has an action that is not known: {document['action']}")
    return Step(
        address=Address.parse(document["address"]),
        action=_ACTIONS[document["action"]],
        reason=document["reason"],
        changes=tuple(_change_from_document(change) for change in document["changes"]),
        depends_on=tuple(Address.parse(text) for text in document["depends_on"]),
        id=document["id"],
        fingerprint=document["fingerprint"],
        refusal=Refusal(refusal["summary"], tuple(refusal["ways"])) if refusal else None,
    )


def _change_to_document(change: Change) -> dict[str, JSON]:
    """A value that is missing is written as null and named in `absent`, as null is a value of its own."""
    values = {name: getattr(change, name) for name in _VALUES}
    return {
        "path": change.path,
        "class": change.cls.value,
        **{name: None if isinstance(value, NoValue) else value for name, value in values.items()},
        "absent": {name: value.value for name, value in values.items() if isinstance(value, NoValue)},
        "reason": change.reason,
        "write": change.write,
        "resolution": change.resolution.value,
        "place": change.place,
    }


def _change_from_document(document: Mapping[str, JSON]) -> Change:
    _only_keys(document, _CHANGE_KEYS, f"change {document.get('path')}")
    absent = document["absent"]
    values: dict[str, Any] = {
        name: NoValue(absent[name]) if name in absent else document.get(name, MISSING) for name in _VALUES
    }
    return Change(
        path=document["path"],
        cls=ChangeClass(document["class"]),
        reason=document["reason"],
        write=document["write"],
        resolution=Resolution(document["resolution"]),
        place=document["place"],
        **values,
    )


def diagnostic_from_document(document: Mapping[str, JSON]) -> Diagnostic:
    """What `diagnostic_to_document` wrote. Raises ValueError for anything else."""
    _only_keys(document, _DIAGNOSTIC_KEYS, "a diagnostic")
    return Diagnostic(
        Severity(document["severity"]),
        document["summary"],
        document["detail"],
        document["address"],
        Path(document["file"]) if document["file"] else None,
        document["line"],
    )


def _expect(value: JSON, kind: type, what: str) -> None:
    if not isinstance(value, kind):
        raise ValueError(f"not {what}")  # noqa: TRY004 - a bad document, not a bad argument


def _only_keys(document: JSON, known: frozenset[str], what: str) -> None:
    _expect(document, dict, what)
    unknown: Sequence[str] = sorted(set(document) - known)
    if unknown:
        raise ValueError(f"{what} has keys that this version does not know: {', '.join(unknown)}")
    missing = sorted(known - set(document))
    if missing:
        raise ValueError(f"{what} lacks {', '.join(missing)}")
