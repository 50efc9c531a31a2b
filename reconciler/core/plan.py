"""The plan: all steps with their dependencies, as data, and every rule about a plan.

Pure. The planner makes plans, apply runs them, views show and save them.
"""

import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property, lru_cache
from typing import Self

from msgspec import Struct
from msgspec.structs import replace

from providers.json_value import JSON
from providers.reasons import Reason, Refusal
from reconciler.core.contract import ContractChange
from reconciler.core.diagnostics import Diagnostic, Severity
from reconciler.core.diff import Change, ChangeClass
from reconciler.core.exit_codes import CONFLICT, DONE, DRIFT, PENDING
from reconciler.core.platforms import scope, scope_label
from reconciler.core.promotion import Promotion
from reconciler.core.reasons import ReasonCode, RefusalCode
from reconciler.core.values import Address


class Action(Enum):
    """The effect of a step: (word, symbol, severity for sorting, verb while it runs, verb when done)."""

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
    """One pipeline in one organization of one environment. Its text is the name of its state.

    Attributes:
        host: canonical address of the platform.
        pipeline: metadata.name. Several trainings may share it.
        name: the name of the stack in its organization and environment; metadata.name if it is not given.
        folder: the pipeline's folder, relative to the current one if it is below it; "" if it is unknown.
            It only helps people, and is no part of the identity.
    """

    organization: str
    environment: str
    host: str
    pipeline: str = field(compare=False)
    name: str = ""
    folder: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.name or self.pipeline)

    def __str__(self) -> str:
        # Two CUSTOM platforms must not share a state, so the name contains the host.
        return f"{self.scope}/{self.name}"

    @property
    def label(self) -> str:
        """The stack with its folder, for people: `my-org@STAGING/team/clip (clip/training)`."""
        return with_folder(f"{self.scope_label}/{self.name}", self.name, self.folder)

    @property
    def scope_label(self) -> str:
        """The scope for people: with the name that reconciler.toml has for the platform."""
        return scope_label(self.scope, self.environment)

    @property
    def scope(self) -> str:
        """The organization and its platform: `my-org@STAGING`."""
        return scope(self.organization, self.environment, self.host)

    @property
    def names(self) -> tuple[str, ...]:
        """The name of its state, and the one in files of earlier versions, which used metadata.name."""
        return tuple(dict.fromkeys((str(self), f"{self.scope}/{self.pipeline}")))

    def command(self, verb: str, *more: str) -> str:
        """A command line for exactly this stack, whichever login is in use. Quoted for shells."""
        return command_for((self,), verb, *more)

    def own_command(self, verb: str, *more: str) -> str:
        """As `command`, for a command that works without the pipeline's files."""
        where = ("--organization", self.organization, "--env", self.environment)
        return shlex.join(("reconciler", verb, "--stack", self.name, *where, *more))


def command_for(stacks: Sequence[Stack], verb: str, *more: str) -> str:
    """A command line for exactly these stacks of one organization and environment. Quoted for shells."""
    where = target_options(verb, stacks[0].organization, stacks[0].environment)
    return " ".join(map(_quoted, ("reconciler", verb, *(stack.name for stack in stacks), *where, *more)))


def target_options(verb: str, organization: str | None, environment: str | None) -> tuple[str, ...]:
    """The options of a command that select its organization and environment; None for one that is unknown."""
    named = (("--organization", organization), ("--to" if verb == "promote" else "--env", environment))
    return tuple(word for option, name in named if name for word in (option, name))


def request_options(request: Mapping[str, JSON]) -> list[str]:
    """The options of a plan for a command line, from their document."""
    bump, promote, rollback = (request.get(name) for name in ("bump", "promote", "rollback"))
    options = ["--bump", str(bump)] if bump else []
    if isinstance(promote, Mapping):
        options += ["--from", str(promote["from"]), *(["--final"] if promote["final"] else [])]
    if isinstance(rollback, Mapping):
        options += ["--to", str(rollback["to"])] if rollback["to"] is not None else []
        options += ["--write"] if rollback["write"] else []
    for name in ("force_bump", "accept_foreign", "prune"):
        options += [f"--{name.replace('_', '-')}"] if request.get(name) else []
    for name in ("target", "replace", "take", "ours", "theirs"):
        addresses = request.get("targets" if name == "target" else name, [])
        # None means everywhere. It stands last, as the option would take an argument after it.
        options += [f"--{name}"] if addresses is None else []
        for address in addresses if isinstance(addresses, Sequence) else ():
            options += [f"--{name}", str(address)]
    return options


_quoted = lru_cache(maxsize=1000)(shlex.quote)  # each plan has several of almost the same words


def with_folder(text: str, name: str, folder: str) -> str:
    """A text about a stack with its folder, unless that is unknown, the current one, or the stack's name."""
    return text if folder in ("", ".", name) else f"{text} ({folder})"


class Basis(Enum):
    """The source of the desired values of a plan."""

    FILES = "files"
    STATE_VERSION = "state version"


class Step(Struct, frozen=True):
    """One action on one resource.

    Attributes:
        address: the resource.
        action: the effect of the step.
        reason: why, also for a noop.
        changes: every managed field with its three values, including those in sync.
        depends_on: addresses whose steps must succeed first.
        id: the provider's id of the live object; None if there is none.
        fingerprint: of the live object that the decision is based on; "" if there is none.
        refusal: why the step must not run, or None.
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
        """Whether the step sends a write to a provider."""
        match self.action:
            case Action.NOOP | Action.FORGET:
                return False
            case Action.ADOPT | Action.UPDATE:
                return any(change.write for change in self.changes)
            case _:
                return True

    @property
    def conflicts(self) -> tuple[Change, ...]:
        """Conflicts without a decision of the user."""
        return tuple(c for c in self.changes if c.cls is ChangeClass.CONFLICT and not c.resolution)

    @property
    def drifts(self) -> tuple[Change, ...]:
        """Fields that were changed outside, except ignored ones."""
        return tuple(c for c in self.changes if c.cls is ChangeClass.DRIFT and not c.resolution)


class Plan(Struct, frozen=True, dict=True):
    """All steps for one stack.

    Attributes:
        stack: the stack.
        lineage: of the state that the plan was made from; "" if there was none.
        serial: of that state; 0 if there was none.
        steps: sorted so that dependencies come first.
        diagnostics: other messages for the user.
        sources: digest of the desired graph; a saved plan is refused if it changed.
        request: the options of the plan as a document, so that a saved plan can be made again and compared.
        basis: the files, except for a rollback.
        contract: what changes for jobs of a processing, breaking changes first.
        promotion: both environments, if the plan takes the image over from another one.
        writes_config: whether config.toml gets values, also if the plan is empty. Not in documents.
        changes_state: whether the state has another name or open writes, which the apply changes, also if the
            plan is empty. Not in documents.
    """

    stack: Stack
    lineage: str
    serial: int
    steps: tuple[Step, ...]
    diagnostics: tuple[Diagnostic, ...] = ()
    sources: str = ""
    request: Mapping[str, JSON] = {}
    basis: Basis = Basis.FILES
    contract: tuple[ContractChange, ...] = ()
    promotion: Promotion | None = None
    writes_config: bool = False
    changes_state: bool = False

    @cached_property
    def _by_address(self) -> dict[Address, Step]:
        return {step.address: step for step in self.steps}

    def step(self, address: Address) -> Step | None:
        return self._by_address.get(address)

    @cached_property
    def lost_with_parent(self) -> Mapping[Address, Address]:
        """Objects that went with their parent, which was deleted outside or created anew -> that parent."""
        deleted = {s.address for s in self.steps if _is_deleted_outside(s)}
        gone = deleted | {s.address for s in self.steps if _is_another_object(s)}
        return {
            step.address: parent
            for step in self.steps
            if step.address in deleted
            for parent in step.depends_on
            if parent in gone and parent.name == step.address.name[:-1]
        }

    @property
    def conflicts(self) -> tuple[Step, ...]:
        """Steps with a conflict that the user has not decided."""
        return tuple(step for step in self.steps if step.conflicts)

    @property
    def refused(self) -> tuple[Step, ...]:
        """Steps that must not run."""
        return tuple(step for step in self.steps if step.refusal)

    @property
    def claimed(self) -> tuple[Step, ...]:
        """Steps that are refused because another stack claims the resource."""
        return tuple(
            step for step in self.refused if step.refusal and step.refusal.reason.code is RefusalCode.CLAIMED
        )

    @property
    def has_errors(self) -> bool:
        return any(d.severity is Severity.ERROR for d in self.diagnostics)

    @property
    def can_apply(self) -> bool:
        return not (self.conflicts or self.refused or self.has_errors)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do: no write, and no change of state."""
        return all(step.action is Action.NOOP for step in self.steps)

    @property
    def is_promotion(self) -> bool:
        """Whether it takes the image over from another environment; `promotion` is not in every document."""
        return bool(self.request.get("promote"))

    @property
    def is_destructive(self) -> bool:
        return any(step.action in (Action.DELETE, Action.REPLACE) for step in self.steps)

    @property
    def counts(self) -> dict[str, int]:
        """The number of steps by action, and of fields with drift or a conflict."""
        counts = {action.word: 0 for action in Action}
        for step in self.steps:
            counts[step.action.word] += 1
        counts["drift"] = sum(len(step.drifts) for step in self.steps)
        counts["conflict"] = sum(len(step.conflicts) for step in self.steps)
        return counts

    @property
    def exit_code(self) -> int:
        """0 in sync, 10 changes to apply, 11 drift, 12 a conflict or a refused step."""
        if self.conflicts or self.refused:
            return CONFLICT
        if any(step.drifts for step in self.steps):
            return DRIFT
        return PENDING if any(s.writes or s.action is Action.FORGET for s in self.steps) else DONE

    def only(self, targets: Iterable[Address]) -> Self:
        """The plan reduced to `targets`, the steps that they depend on, and objects that went with them."""
        selected: set[Address] = set()
        todo = [address for address in targets if address in self._by_address]
        while todo:
            address = todo.pop()
            if address not in selected:
                selected.add(address)
                todo.extend(self._by_address[address].depends_on)
                if self._by_address[address].action is Action.REPLACE:  # also replaces its children
                    todo.extend(s.address for s in self.steps if address in s.depends_on)
                todo.extend(child for child, parent in self.lost_with_parent.items() if parent == address)
        return replace(self, steps=tuple(step for step in self.steps if step.address in selected))

    @property
    def breaking(self) -> tuple[ContractChange, ...]:
        """The changes of the contract that may break a job."""
        return tuple(change for change in self.contract if change.is_breaking)

    @property
    def options(self) -> list[str]:
        """The options that it was made with, for a command line."""
        return request_options(self.request)

    @property
    def apply_command(self) -> str:
        """The command that applies this plan, with the options that it was made with."""
        verb = "promote" if self.is_promotion else "rollback" if self.request.get("rollback") else "apply"
        return self.stack.command(verb, *self.options)

    @property
    def unverified(self) -> int:
        """The number of fields that the platform does not return and the files have not changed."""
        return sum(c.cls is ChangeClass.UNVERIFIED and not c.write for s in self.steps for c in s.changes)

    @property
    def ignored(self) -> tuple[str, ...]:
        """The ignored fields that are not as in the files: `processing/app#docker_tag`."""
        return tuple(f"{s.address}#{c.path}" for s in self.steps for c in s.changes if c.is_ignored)

    def without(self, addresses: Collection[Address]) -> Self:
        """The plan without these steps and the steps that depend on them."""
        excluded = set(addresses)
        for step in self.steps:  # dependencies come first, so one pass is enough
            if excluded.intersection(step.depends_on):
                excluded.add(step.address)
        return replace(self, steps=tuple(step for step in self.steps if step.address not in excluded))


def _is_another_object(step: Step) -> bool:
    """Whether the live object is not the one that was applied last, so has none of its children."""
    return any(change.reason.code is ReasonCode.RECREATED_OUTSIDE for change in step.changes)


def _is_deleted_outside(step: Step) -> bool:
    lost = (ReasonCode.DELETED_OUTSIDE, ReasonCode.RENAMED_OUTSIDE)
    return step.action is Action.CREATE and step.reason.code in lost
