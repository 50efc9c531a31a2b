"""The claims of a plan: resources of other stacks are refused, and those that it keeps are claimed.

Connects the register of the session with the rules, which are pure: `core.claims` and `state.register`.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from msgspec.structs import replace

from providers.protocol import Exclusive, KindFacts
from providers.regular_files import real_path
from reconciler.core.claims import OtherClaim, OtherClaims, claims_of_others, is_gone, is_taken, with_claims
from reconciler.core.events import Notice
from reconciler.core.graph import Graph, Origin
from reconciler.core.plan import Action, Plan, Stack, Step
from reconciler.core.remote import RemoteState
from reconciler.core.values import Address
from reconciler.engine.session import Session
from reconciler.engine.sources import source_of
from reconciler.pipeline.load import Pipeline
from state.errors import StateError, UnreadableStateError
from state.register import UNKNOWN_SOURCE, Claim, Register, supports
from state.renaming import RenamingStore
from state.snapshot import Snapshot
from state.state_writer import now


@dataclass(slots=True)
class PlanClaims:
    """The claims of one plan, from planning to the end of its apply.

    Attributes:
        pipeline: the pipeline; None for a stack without a folder.
        desired: the resources that the plan keeps.
        register: as it was before the live objects were read, so that an object which the register has and
            the read did not find is really gone.
        own: the names of the stack in the register.
        take: addresses whose claims move to this stack.
        waived: claims of other stacks that do not stop this plan: void ones, and those that it takes.
    """

    session: Session
    pipeline: Pipeline | None
    stack: Stack
    desired: Graph
    remote_state: RemoteState
    facts: Mapping[str, KindFacts]
    register: Register
    take: Collection[Address]
    apply_command: str
    own: frozenset[str] = frozenset()
    waived: frozenset[OtherClaim] = frozenset()
    _deletes: frozenset[Address] = frozenset()
    _place_of: Callable[[Origin], str] | None = None

    def __post_init__(self) -> None:
        self._place_of = places_of(self.pipeline) if self.pipeline is not None else None
        store, name = self.session.store, str(self.stack)
        # State under an older name is this stack's; the next apply moves it.
        self.own = frozenset((name, store.stored_name(name) if isinstance(store, RenamingStore) else name))

    def review(self, steps: Sequence[Step]) -> tuple[Step, ...]:
        """The steps of a new plan, without writes to resources of other stacks.

        Raises:
            state.errors.StateError: the state of another stack cannot be read.
        """
        if any(map(self._is_unclaimed, steps)):
            self.register = self.session.registers.complete(self.stack.scope)
        valid = cache(self._valid)
        met = claims_of_others(steps, self.register, self.own, self.remote_state, self.facts)
        stopping = {
            address: [
                holding
                for one in claims
                if not self._is_waived(address, one)
                for holding in valid(one)
                if holding.claim.stack not in self.own and not self._is_waived(address, holding)
            ]
            for address, claims in met.items()
        }
        self.waived = frozenset(
            one
            for address, claims in met.items()
            for one in claims
            if self._is_waived(address, one) or one not in valid(one)
        )
        return self._without_writes(steps, stopping)

    def _is_waived(self, address: Address, one: OtherClaim) -> bool:
        """Whether the user takes this claim on the resource of a step, or its object is gone."""
        is_taking = address in self.desired and is_taken(address, one, self.take)
        return is_taking or is_gone(one, self.remote_state)

    def _valid(self, one: OtherClaim) -> Sequence[OtherClaim]:
        found = self.session.registers.valid(one.address, one.claim)
        return [OtherClaim(address, claim) for address, claim in found.items()]

    def claim(self, plan: Plan, settled: Snapshot) -> Plan:
        """Claim each exclusive resource that the plan keeps, in one compare-and-swap, before its first write.

        Args:
            settled: the state that the plan is based on.

        Returns:
            The plan. If another stack was faster, it has a refusal, or removes a resource from state that it
            would have deleted; a refused plan claims nothing.

        Raises:
            state.errors.StateError: the register cannot be read or written.
        """
        result, since = plan, now()
        source = source_of(self.pipeline) if self.pipeline is not None else UNKNOWN_SOURCE

        def change(register: Register) -> Register:
            nonlocal result
            result = replace(plan, steps=self._without_writes_to_others(plan.steps, register))
            if result.refused:
                return register
            register = register.with_claims(self._kept(result, settled, register, since))
            return register.with_source(str(self.stack), source) if len(self.desired) else register

        self._deletes = frozenset(step.address for step in plan.steps if step.action is Action.DELETE)
        registers, scope = self.session.registers, self.stack.scope
        if plan.is_empty and change(registers.read(scope)) == registers.read(scope):
            return result  # nothing is written, so nothing has to be verified
        registers.update(scope, change)
        return result

    def holder(self, address: Address, id: str) -> str:
        """The other stack that claims the object with this id; "" without one."""
        if self.facts[address.kind].exclusive is not Exclusive.ID:
            return ""
        claims = self.session.registers.read(self.stack.scope).matching(str(address), [id]).values()
        return next((one.stack for one in claims if one.id == id and one.stack not in self.own), "")

    def settle(self, saved: Snapshot) -> None:
        """After the last step: add the ids of new objects, and release the claims of resources that are gone.

        One that stays on the platform goes to the stack that has it in its state, too.

        A failure is only a notice: the claims are held, and the next apply completes them.

        Args:
            saved: the state after the run.
        """
        name = str(self.stack)

        heirs: dict[str, Claim] = {}

        def is_released(address: str) -> bool:
            return not supports(saved, address) and Address.parse(address) not in self.desired

        def change(register: Register) -> Register:
            claims, released = {}, []
            for address, claim in register.claims_of(name).items():
                recorded = saved.resources.get(address)
                if recorded is not None and self._is_by_id(Address.parse(address)):
                    claims[address] = replace(claim, id=recorded.id)
                elif is_released(address):
                    released.append(address)
            register = register.with_claims(claims).without_claims(released)
            if not saved.resources and not saved.intents:
                register = register.without_stack(name)
            return register.with_free(heirs)

        registers, scope = self.session.registers, self.stack.scope
        try:
            for address, claim in registers.read(scope).claims_of(name).items():
                if is_released(address) and Address.parse(address) not in self._deletes:
                    # If it cannot be read, its next apply takes its claims, once it can.
                    with suppress(UnreadableStateError):
                        heirs |= registers.others_with(address, claim)
            if change(registers.read(scope)) != registers.read(scope):
                registers.update(scope, change)
        except StateError as problem:
            self.session.emit(Notice(f"the register of claims was not updated: {problem.message}"))

    def _without_writes_to_others(self, steps: Sequence[Step], register: Register) -> tuple[Step, ...]:
        met = claims_of_others(steps, register, self.own, self.remote_state, self.facts)
        stopping = {
            address: [one for one in claims if one not in self.waived] for address, claims in met.items()
        }
        return self._without_writes(steps, stopping)

    def _without_writes(self, steps: Sequence[Step], stopping: OtherClaims) -> tuple[Step, ...]:
        """The steps, without writes to resources with these claims."""
        return with_claims(
            steps,
            stopping,
            self.desired,
            self.facts,
            place=self._place,
            workspace=self._other_workspace,
            apply_command=self.apply_command,
        )

    def _kept(self, plan: Plan, settled: Snapshot, register: Register, since: str) -> dict[str, Claim]:
        """The claims of the resources that the plan keeps.

        A claim that the state does not support yet gets a new time. So a run that takes it for void, because
        an earlier run of this stack ended before its first write, finds another register.
        """
        kept = {}
        for step in plan.steps:
            if step.address not in self.desired or self.facts[step.address.kind].exclusive is None:
                continue
            address, live = str(step.address), self.remote_state.found.get(step.address)
            exists = live is not None and step.action not in (Action.CREATE, Action.REPLACE)
            id = live.id if live is not None and exists and self._is_by_id(step.address) else None
            before = register.claims.get(address)
            is_held = before is not None and before.stack == str(self.stack) and before.id == id
            at = before.since if before is not None and is_held and supports(settled, address) else since
            place = self._place(step.address) or (before.place if before is not None and is_held else "")
            kept[address] = Claim(str(self.stack), id, at, place)
        return kept

    def _is_unclaimed(self, step: Step) -> bool:
        """Whether no stack claims the existing object of a step, as far as the register knows."""
        live = self.remote_state.found.get(step.address)
        if live is None or self.facts[step.address.kind].exclusive is None:
            return False
        return not self.register.matching(str(step.address), [live.id])

    def _is_by_id(self, address: Address) -> bool:
        return self.facts[address.kind].exclusive is Exclusive.ID

    def _other_workspace(self, stack: str) -> str:
        """The workspace that a stack was last applied from; "" if it is this one or unknown."""
        found = self.register.stacks.get(stack, UNKNOWN_SOURCE).workspace
        own = source_of(self.pipeline).workspace if found and self.pipeline is not None else ""
        return "" if found == own else found

    def _place(self, address: Address) -> str:
        """`pipelines/a/config.toml:12`, from the root of the workspace; "" if the files do not declare it."""
        resource = self.desired.get(address)
        if self._place_of is None or resource is None or resource.declared is None:
            return ""
        return self._place_of(resource.declared)


def places_of(pipeline: Pipeline) -> Callable[[Origin], str]:
    """Returns the place of an origin, from the root of the workspace: `pipelines/a/config.toml:12`."""
    top = pipeline.loaded.shared.real_root

    @cache  # thousands of resources may be declared in one file
    def shown(file: Path) -> str:
        if top is None:
            return str(file)
        place = real_path(file.parent) / file.name
        return place.relative_to(top).as_posix() if place.is_relative_to(top) else str(file)

    def place(origin: Origin) -> str:
        file = shown(origin.file)
        return file if origin.line is None else f"{file}:{origin.line}"

    return place
