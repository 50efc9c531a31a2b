"""What `destroy` says about a stack whose state is empty: nothing of it exists, or something does."""

from collections.abc import Mapping

from providers.protocol import ResourceKind, is_published
from reconciler.core.diagnostics import Diagnostic, UserError, error, info
from reconciler.core.plan import Stack
from reconciler.core.remote import RemoteState
from reconciler.engine.missing_state import OTHER_STORE
from state.register import Register


def nothing_left(
    stack: Stack,
    is_emptied: bool,
    register: Register,
    remote_state: RemoteState,
    kinds: Mapping[str, ResourceKind],
) -> Diagnostic:
    """The note that nothing of the stack is left to destroy.

    Args:
        is_emptied: whether the state, which is empty, has had resources.
        remote_state: the live objects that the files name.

    Raises:
        UserError: one of them exists and is of no other stack. It may have been applied elsewhere.
    """
    found = [
        address
        for address, live in remote_state.found.items()
        if not is_published(kinds[address.kind])
        and not register.of_others(str(stack), str(address), [live.id])
    ]
    own = sorted(str(address) for address in found if not kinds[address.kind].facts.shared)
    if own:
        raise UserError(_left(stack, is_emptied, own))
    shared = sorted(str(address) for address in found if kinds[address.kind].facts.shared)
    stays = f"These stay on the platform: {', '.join(shared)}." if shared else ""
    if is_emptied:
        return already_destroyed(stays)
    return info("it was never applied, and nothing of it exists", f"{stays}\n{OTHER_STORE}".strip())


def already_destroyed(stays: str = "") -> Diagnostic:
    """The note about a stack whose state is empty, and of which nothing exists. The same for all stacks.

    Args:
        stays: what exists nevertheless.
    """
    history = "`reconciler state history STACK` shows when, and what it had."
    return info("it is already destroyed, so there is nothing to do", f"{stays}\n{history}".strip())


def _left(stack: Stack, is_emptied: bool, addresses: list[str]) -> Diagnostic:
    exist = f"{', '.join(addresses)} {'exist' if addresses[1:] else 'exists'} on the platform."
    add = f"This adds what exists to the state, so that it can be destroyed: {stack.command('apply')}"
    if not is_emptied:
        return error(
            f"{stack} has no state, so there is nothing to destroy", f"{exist} {OTHER_STORE} Otherwise: {add}"
        )
    why = "It was removed from the state, or created again by something else."
    return error(
        f"the state of {stack} is empty, so there is nothing to destroy",
        f"{exist} {why} {add}",
    )
