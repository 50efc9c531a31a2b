"""The plan: every step with its edges, as data. Each rule about a plan has its one home here.

Pure: made by the planner, walked by apply, drawn and saved by the views.
"""

import shlex
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Self

from providers.reasons import Reason, Refusal
from reconciler.core.diagnostics import Diagnostic, Severity
from reconciler.core.diff import Change, ChangeClass
from reconciler.core.exit_codes import CONFLICT, DONE, DRIFT, PENDING
from reconciler.core.platforms import place
from reconciler.core.values import JSON, Address


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


class Basis(Enum):
    """What a plan makes the platform and the registry equal to."""

    FILES = "files"
    STATE_VERSION = "state version"


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
    """

    address: Address
    action: Action
    reason: Reason
    changes: tuple[Change, ...] = ()
    depends_on: tuple[Address, ...] = ()
    id: str | None = None
    fingerprint: str = ""
    refusal: Refusal | None = None

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
        basis: the files, but for a rollback.
    """

    stack: Stack
    lineage: str
    serial: int
    steps: tuple[Step, ...]
    diagnostics: tuple[Diagnostic, ...] = ()
    sources: str = ""
    asked: Mapping[str, JSON] = field(default_factory=dict)
    basis: Basis = Basis.FILES
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
            return CONFLICT
        if any(step.drifts for step in self.steps):
            return DRIFT
        return PENDING if any(s.writes or s.action is Action.FORGET for s in self.steps) else DONE

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
