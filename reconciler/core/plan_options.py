"""What the user allows a plan to do."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from reconciler.core.values import Address


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What the user allows.

    Attributes:
        ours: addresses where the files win a conflict; None for everywhere.
        theirs: addresses where the live value is kept in a conflict; None for everywhere. Of the two the one
            that names an address comes first.
        replace: addresses that may be deleted and made anew, with all that hangs on them.
        prune: delete what left the files, where it would be forgotten otherwise.
        destroy: nothing is desired any more; delete what is this pipeline's own.
        ignored: fields, or keys of keyed fields, that are left as they are on an existing object.
        protected: addresses that are neither deleted nor replaced, whatever else is said.
        again: the command that would apply this plan, which refusals suggest with one more option.
    """

    ours: Collection[Address] | None = ()
    theirs: Collection[Address] | None = ()
    replace: Collection[Address] = ()
    prune: bool = False
    destroy: bool = False
    ignored: Mapping[Address, Collection[str]] = field(default_factory=dict)
    protected: Collection[Address] = ()
    again: str = "reconciler apply"
