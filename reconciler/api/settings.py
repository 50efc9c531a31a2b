"""The settings of a plan, as keywords."""

from collections.abc import Iterable
from typing import Literal, TypedDict

from reconciler.api.requests import Bump, PlanOptions, PlanRequest
from reconciler.core.values import Address, address_of_option
from reconciler.pipeline.suggestions import did_you_mean

__all__ = ["PlanSettings", "bump_of", "request_of"]

BumpName = Literal["major", "minor", "patch", "rc", "final"]


class PlanSettings(TypedDict, total=False):
    """The settings of a plan, as the options of `reconciler plan` have them.

    Resources have addresses, such as `input/trainer/dataset`.

    Attributes:
        bump: publish as the next version if the published version has another source.
        force_bump: with `bump`: publish even if this source is already published.
        accept_foreign: accept a version that another tool published as made from these files.
        targets: plan only these resources and their dependencies.
        replace: allow these resources to be deleted and created again.
        take: take over these resources, although another stack claims them.
        prune: delete resources that left the files, instead of only removing them from the state.
        ours: resolve conflicts with the values of the files, for these resources; True for all.
        theirs: resolve conflicts with the live values, for these resources; True for all.
    """

    bump: Bump | BumpName | None
    force_bump: bool
    accept_foreign: bool
    targets: Iterable[str]
    replace: Iterable[str]
    take: Iterable[str]
    prune: bool
    ours: Iterable[str] | bool
    theirs: Iterable[str] | bool


def request_of(settings: PlanSettings) -> PlanRequest:
    """The request of these settings.

    Raises:
        ValueError: an address or a bump is invalid, or two settings contradict each other.
        TypeError: there is no such setting.
    """
    known = PlanSettings.__annotations__.keys()
    for unknown in sorted(settings.keys() - known):
        raise TypeError(f"there is no setting {unknown}.{did_you_mean(unknown, known)}")
    bump = settings.get("bump")
    if settings.get("force_bump") and bump is None:
        raise ValueError("force_bump needs bump")
    ours, theirs = _winners(settings.get("ours", ())), _winners(settings.get("theirs", ()))
    if (ours is None and theirs is None) or set(ours or ()) & set(theirs or ()):
        raise ValueError("ours and theirs contradict each other")
    return PlanRequest(
        None if bump is None else bump_of(bump),
        settings.get("force_bump", False),
        settings.get("accept_foreign", False),
        PlanOptions(
            ours=ours,
            theirs=theirs,
            replace=_addresses(settings.get("replace", ())),
            take=_addresses(settings.get("take", ())),
            prune=settings.get("prune", False),
        ),
        _addresses(settings.get("targets", ())),
    )


def bump_of(name: Bump | BumpName) -> Bump:
    """The bump of this name. Raises ValueError if there is none."""
    names = [str(one) for one in Bump]
    if name not in names:
        raise ValueError(
            f"there is no bump {name!r}: use {', '.join(names)}.{did_you_mean(str(name), names)}"
        )
    return Bump(name)


def _winners(value: Iterable[str] | bool) -> tuple[Address, ...] | None:
    """The addresses; None for everywhere."""
    if isinstance(value, bool):
        return None if value else ()
    return _addresses(value)


def _addresses(texts: Iterable[str]) -> tuple[Address, ...]:
    if isinstance(texts, str):
        raise TypeError(f"write a list of addresses: [{texts!r}]")
    return tuple(map(address_of_option, texts))
