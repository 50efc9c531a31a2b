"""What a plan changes for jobs of its processing, and whether its version says so. Reads only.

The history is read only if a pipeline demands a major version for breaking changes, and the plan has one.
"""

from collections.abc import Collection, Iterator, Mapping
from itertools import chain

from msgspec import Struct
from msgspec.structs import replace
from semver import Version

from providers.json_value import JSON
from providers.protocol import KindFacts, ResourceKind, is_published
from providers.reasons import Reason, Refusal, WayOut
from reconciler.core.contract import Contract, allows_breaking, compare_contracts, contract_of
from reconciler.core.diagnostics import warning
from reconciler.core.diff import effective_fields
from reconciler.core.graph import Graph, Origin
from reconciler.core.plan import Action, Plan, Step
from reconciler.core.reasons import RefusalCode, Way
from reconciler.core.remote import RemoteState
from reconciler.core.values import Address
from reconciler.engine.channels import RunningImage
from reconciler.engine.claims import places_of
from reconciler.engine.earlier_states import EarlierState, finished_states
from reconciler.engine.session import Session
from reconciler.pipeline.load import Pipeline
from reconciler.pipeline.version import parse
from state.snapshot import RecordedResource


class _PlannedContract(Struct, frozen=True):
    """The contract of a processing that exists, before and after the plan.

    Attributes:
        processing: its step.
        kind, facts: the kind of its inputs.
        before: the live inputs.
        declared: input -> where the files declare it.
    """

    processing: Step
    kind: str
    facts: KindFacts
    before: Contract
    after: Contract
    declared: Mapping[str, Origin]


def with_contract(
    plan: Plan,
    pipeline: Pipeline,
    desired: Graph,
    recorded: Mapping[Address, RecordedResource],
    remote_state: RemoteState,
    kinds: Mapping[str, ResourceKind],
) -> Plan:
    """The plan with its changes of the contract, breaking ones first. Callers see the live inputs."""

    if all(step.action is Action.NOOP for step in plan.steps):
        return plan

    place_of = places_of(pipeline)

    def place(name: str, contract: _PlannedContract) -> str:
        return place_of(contract.declared[name]) if name in contract.declared else ""

    changes = [
        replace(change, place=place(change.name_after, contract))
        for contract in _contracts(plan, desired, recorded, remote_state, kinds)
        for change in compare_contracts(contract.before, contract.after)
    ]
    return replace(plan, contract=tuple(sorted(changes, key=lambda change: not change.is_breaking)))


def demand_major_version(
    plan: Plan,
    released: Plan,
    session: Session,
    pipeline: Pipeline,
    desired: Graph,
    recorded: Mapping[Address, RecordedResource],
    remote_state: RemoteState,
    kinds: Mapping[str, ResourceKind],
    running: Collection[RunningImage],
) -> Plan:
    """The plan, refused if it breaks callers of an earlier version and its major number does not say so.

    A change made outside is no part of any version, so undoing it needs no new one. A first run that did not
    finish left no version either.

    Args:
        released: all that the plan gives to callers, see `PlanResult`.
    """
    if not plan.breaking:
        return plan
    last = next(finished_states(session.store, str(plan.stack)), None)
    if last is None and plan.serial:
        return plan
    before, after = _version_before(last, running), pipeline.config.metadata.version
    broken: dict[Address, list[str]] = {}
    for contract in _contracts(released, desired, recorded, remote_state, kinds):
        applied = _applied(last, contract) if last is not None else {}
        changes = compare_contracts(applied or contract.before, contract.after)
        if inputs := sorted({change.input for change in changes if change.is_breaking}):
            broken[contract.processing.address] = inputs
    if not broken or (before is not None and allows_breaking(before, after)):
        return plan
    if before is None:
        summary = "the version before this one is unknown, so it may break jobs without a major version"
        note = warning(summary, "See the changes of the contract, and use --bump major if in doubt.")
        return replace(plan, diagnostics=(*plan.diagnostics, note))
    place = places_of(pipeline)(Origin(*pipeline.loaded.place_of("reconciler", "contract")))
    force = ["--force-bump"] if _is_published(desired, remote_state, kinds) else []
    verb = "deploy" if session.verb == "deploy" else "apply"  # no other command bumps a version
    command = plan.stack.command(verb, "--bump", "major", *force)

    # Targets may leave out the processing, and not the image that it then runs.
    images = [step.address for step in plan.steps if is_published(kinds[step.address.kind])]
    left_out = [] if any(plan.step(address) for address in broken) else images
    broken |= dict.fromkeys(left_out, sorted({*chain(*broken.values())}))

    def refused(step: Step) -> Step:
        if step.refusal is not None or step.address not in broken:
            return step
        details = {
            "inputs": broken[step.address],
            "before": str(before),
            "after": str(after),
            "place": place,
        }
        ways = (WayOut(Way.MAJOR_VERSION, command), WayOut(Way.KEEP_INPUTS))
        return replace(step, refusal=Refusal(Reason(RefusalCode.BREAKS_CALLERS, details), ways))

    return replace(plan, steps=tuple(map(refused, plan.steps)))


def _contracts(
    plan: Plan,
    desired: Graph,
    recorded: Mapping[Address, RecordedResource],
    remote_state: RemoteState,
    kinds: Mapping[str, ResourceKind],
) -> Iterator[_PlannedContract]:
    """The contract of each processing of the plan that exists before and after it."""
    for name, kind in kinds.items():
        facts = kind.facts
        for step in plan.steps if facts.is_contract else ():
            exists = step.address in remote_state.found and step.action is not Action.DELETE
            if step.address.kind == facts.parent and exists:
                yield _contract(step, name, facts, plan, desired, recorded, remote_state)


def _contract(
    processing: Step,
    kind: str,
    facts: KindFacts,
    plan: Plan,
    desired: Graph,
    recorded: Mapping[Address, RecordedResource],
    remote_state: RemoteState,
) -> _PlannedContract:
    before: dict[str, Mapping[str, JSON]] = {}
    after: dict[str, Mapping[str, JSON]] = {}
    declared: dict[str, Origin] = {}
    for address in {*remote_state.found, *(step.address for step in plan.steps)}:
        if not _is_child(address, kind, processing.address):
            continue
        name, step, resource = address.name[-1], plan.step(address), desired.get(address)
        if (live := remote_state.found.get(address)) is not None:
            # A field that the platform does not return counts as the last apply left it.
            before[name] = {**(recorded[address].inputs if address in recorded else {}), **live.fields}
        if step is not None and resource is not None:
            changed = effective_fields(resource.fields, step.changes, facts.rules)
            after[name] = {**before.get(name, {}), **changed}
            if resource.origins:
                declared[name] = next(iter(resource.origins.values()))
        elif live is not None and not _is_deleted(step, processing):
            after[name] = before[name]
    return _PlannedContract(
        processing, kind, facts, contract_of(before, facts.rules), contract_of(after, facts.rules), declared
    )


def _is_child(address: Address, kind: str, parent: Address) -> bool:
    return address.kind == kind and address.name[:-1] == parent.name


def _is_deleted(step: Step | None, parent: Step) -> bool:
    """Whether an input that the files do not declare is deleted, by itself or with its processing."""
    return parent.action is Action.REPLACE or (step is not None and step.action is Action.DELETE)


def _applied(last: EarlierState, contract: _PlannedContract) -> Contract:
    """The inputs that the last finished run left; empty if it did not manage them."""
    recorded = {Address.parse(text): resource.inputs for text, resource in last.snapshot.resources.items()}
    parent = contract.processing.address
    inputs = {
        address.name[-1]: fields
        for address, fields in recorded.items()
        if _is_child(address, contract.kind, parent)
    }
    return contract_of(inputs, contract.facts.rules)


def _version_before(last: EarlierState | None, running: Collection[RunningImage]) -> Version | None:
    """The version that callers know: of the last run that finished, otherwise of the image that runs."""
    for text in (last.version if last is not None else "", *(image.version for image in running)):
        try:
            return parse(text)
        except ValueError:
            continue
    return None


def _is_published(desired: Graph, remote_state: RemoteState, kinds: Mapping[str, ResourceKind]) -> bool:
    """Whether this source is published already, so that a bump has to be forced."""
    for address, live in remote_state.found.items():
        kind, resource = kinds[address.kind], desired.get(address)
        if is_published(kind) and resource is not None:
            return not kind.needs_build(live, resource.fields)
    return False
