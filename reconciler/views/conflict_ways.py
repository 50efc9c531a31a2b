"""The ways out of a conflict: the sides that can win, each with its command. Pure."""

import shlex

from msgspec.structs import replace

from providers.table import FACTS
from reconciler.core.plan import Basis, Plan, Step

_LABELS = {"ours": "keep the files' values", "theirs": "keep the live values"}
_OF_ROLLBACK = {"ours": "restore the values of that state version"}


def conflict_ways(plan: Plan, step: Step, *, alone: bool = False) -> list[tuple[str, str]]:
    """What each side that can win does, and the command for it.

    Leaves out a side that the plan has already, and the live values of an image, which is kept as a whole.

    Args:
        alone: for this step alone; else for all conflicts, unless the plan has a side for all.
    """
    address = str(step.address)
    given = {side: plan.request.get(side, ()) for side in _LABELS}
    kept = {
        side: [one for one in sides if one != address] if isinstance(sides, list) else sides
        for side, sides in given.items()
    }
    command = replace(plan, request={**plan.request, **kept}).apply_command
    is_back = plan.basis is Basis.STATE_VERSION
    where = [address] if alone or None in given.values() else []
    return [
        (
            _OF_ROLLBACK.get(side, label) if is_back else label,
            f"{command} {shlex.join([f'--{side}', *where])}",
        )
        for side, label in _LABELS.items()
        if (side == "ours" or FACTS[step.address.kind].assess is None) and not _is_given(given[side], address)
    ]


def _is_given(sides: object, address: str) -> bool:
    return sides is None or (isinstance(sides, list) and address in sides)
