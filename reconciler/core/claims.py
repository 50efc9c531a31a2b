"""Applies the claims of other stacks to a plan: what another stack claims is not written. Pure.

A resource of an exclusive kind belongs to the stack that claims it. Steps that would create, adopt, write or
keep it for this stack are refused, with the ways out. Steps that would delete it only remove it from state.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from providers.protocol import Exclusive, KindFacts
from providers.reasons import Reason, Refusal, WayOut
from reconciler.core.graph import Graph
from reconciler.core.plan import Action, Step
from reconciler.core.reasons import ReasonCode, RefusalCode, Way
from reconciler.core.remote import RemoteState, parent_of
from reconciler.core.values import Address
from state.register import Claim, Register


class OtherClaim(Struct, frozen=True):
    """A claim of another stack on the resource of a step.

    Attributes:
        address: the claimed resource: the step's own, its parent, a child, or the same object's other name.
        claim: the claim.
    """

    address: str
    claim: Claim


OtherClaims = Mapping[Address, Sequence[OtherClaim]]
"""The address of a step -> the claims of other stacks on its resource."""


def claims_of_others(
    steps: Iterable[Step],
    register: Register,
    own: Collection[str],
    remote_state: RemoteState,
    facts: Mapping[str, KindFacts],
) -> OtherClaims:
    """The claims that steps meet.

    Args:
        own: the names of this stack.
    """
    found: dict[Address, list[OtherClaim]] = {}
    for step in steps:
        claims = {
            one.address: one
            for one in (
                *_on_resource(step, register, remote_state, facts),
                *_on_children(step, register, remote_state, facts),
            )
            if one.claim.stack not in own
        }
        if claims:
            found[step.address] = [*claims.values()]
    return found


def _on_resource(
    step: Step, register: Register, remote_state: RemoteState, facts: Mapping[str, KindFacts]
) -> Iterator[OtherClaim]:
    """The claims on the resource itself and on the parents that it belongs to."""
    address: Address | None = step.address
    while address is not None:
        kind = facts[address.kind]
        if kind.exclusive is not None:
            live = remote_state.found.get(address)
            by_id = kind.exclusive is Exclusive.ID
            ids = {live.id if live else None, step.id if address == step.address else None} if by_id else ()
            yield from (OtherClaim(*found) for found in register.matching(str(address), ids).items())
        address = parent_of(address, kind)


def _on_children(
    step: Step, register: Register, remote_state: RemoteState, facts: Mapping[str, KindFacts]
) -> Iterator[OtherClaim]:
    """The claims on objects that a delete would delete as well."""
    if step.action is not Action.DELETE:
        return
    live = remote_state.found.get(step.address)
    names = {step.address.name, *([live.name] if live else [])}
    for name, kind in facts.items():
        if kind.parent == step.address.kind and kind.exclusive is not None:
            for parent in names:
                prefix = str(Address(name, parent)).partition("/")[2]
                yield from (OtherClaim(*found) for found in register.below(name, prefix))


def is_gone(one: OtherClaim, remote_state: RemoteState) -> bool:
    """Whether the claimed object no longer exists.

    Args:
        remote_state: read after the claim: an object that was created after a read is not gone.
    """
    address = Address.parse(one.address)
    if one.claim.id is None or address not in remote_state.requested or address in remote_state.unreadable:
        return False
    ids = (live.id for found, live in remote_state.found.items() if found.kind == address.kind)
    return one.claim.id not in ids


def with_claims(
    steps: Iterable[Step],
    claims: OtherClaims,
    desired: Graph,
    facts: Mapping[str, KindFacts],
    *,
    place: Callable[[Address], str] = lambda _: "",
    workspace: Callable[[str], str] = lambda _: "",
    apply_command: str,
) -> tuple[Step, ...]:
    """The steps, without writes to resources of other stacks.

    Args:
        claims: the claims of other stacks that stop this plan.
        place: the place in the files that declares a resource; "" if unknown.
        workspace: the workspace of a stack; "" if it is this one or unknown.
        apply_command: the command that applies the plan.
    """
    result = []
    for step in steps:
        others = claims.get(step.address, ())
        if not others:
            result.append(step)
        elif step.address not in desired:
            result.append(_let_go(step, others[0].claim))
        elif facts[step.address.kind].exclusive is not None:
            claim = others[0].claim
            details = {
                "stack": claim.stack,
                "since": claim.since,
                "workspace_there": workspace(claim.stack),
                "declared_there": claim.place,
                "declared_here": place(step.address),
            }
            result.append(replace(step, refusal=_refusal(step.address, details, apply_command)))
        else:  # its parent is refused
            result.append(step)
    return tuple(result)


def is_taken(address: Address, claim: OtherClaim, take: Collection[Address]) -> bool:
    """Whether the user takes this claim on the resource of a step: by the address of either."""
    return address in take or claim.address in map(str, take)


def _let_go(step: Step, claim: Claim) -> Step:
    reason = Reason(ReasonCode.CLAIMED_ELSEWHERE, {"stack": claim.stack})
    return replace(step, action=Action.FORGET, reason=reason, changes=(), refusal=None)


def _refusal(address: Address, details: Mapping[str, str], apply_command: str) -> Refusal:
    take = WayOut(Way.TAKE, f"{apply_command} --take {address}")
    return Refusal(Reason(RefusalCode.CLAIMED, details), (take, WayOut(Way.DECLARE_ANOTHER, details=details)))
