"""Options of the user for a plan."""

from collections.abc import Collection, Mapping

from msgspec import Struct, field

from reconciler.core.values import Address


class PlanOptions(Struct, frozen=True):
    """Options of the user for a plan.

    Attributes:
        ours: addresses where the files win a conflict; None for all.
        theirs: addresses where the live value wins a conflict; None for all. An option with the address
            takes precedence over one for all.
        replace: addresses that may be deleted and created again, with their children.
        take: addresses whose claims move from another stack to this one.
        prune: delete resources that left the files. Otherwise they are only removed from state.
        destroy: delete everything that belongs to this pipeline alone.
        overwrites: the plan wins every conflict but one with a value that another stack applied, and no file
            can be changed instead: for a rollback.
        ignored: fields, or keys of keyed fields, whose live values stay on an existing object.
        protected: addresses that are never deleted or replaced, whatever the other options are.
        apply_command: the command that applies this plan; refusals suggest it with one more option.
    """

    ours: Collection[Address] | None = ()
    theirs: Collection[Address] | None = ()
    replace: Collection[Address] = ()
    take: Collection[Address] = ()
    prune: bool = False
    destroy: bool = False
    overwrites: bool = False
    ignored: Mapping[Address, Collection[str]] = field(default_factory=dict)
    protected: Collection[Address] = ()
    apply_command: str = "reconciler apply"
