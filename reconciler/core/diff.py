"""Desired, recorded and live values of one resource, compared field by field. Pure, and all of it is here.

Left out on purpose: fields that the files do not manage (the live value stays), and fields that the record
knows and the files dropped (no longer managed, so the live value stays).
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from providers.reasons import Reason
from providers.rules import FieldRule, equal
from reconciler.core.reasons import IN_SYNC, ReasonCode
from reconciler.core.values import ABSENT, JSON, MISSING, NoValue


class ChangeClass(StrEnum):
    IN_SYNC = "in-sync"
    PENDING = "pending"
    DRIFT = "drift"
    CONVERGED = "converged"
    CONFLICT = "conflict"
    UNRECORDED = "unrecorded"
    UNVERIFIED = "unverified"


class Resolution(StrEnum):
    """What the user said of a change."""

    NONE = ""
    OURS = "ours"  # the files win a conflict
    THEIRS = "theirs"  # live is kept in a conflict, and recorded
    IGNORED = "ignored"  # left alone, whatever it is


class Change(NamedTuple):
    """One field of one resource, with its three values after normalising.

    A tuple, because a plan has one for each field of each resource, and most of them say nothing.

    Attributes:
        path: the field, or `field.key` for one key of a keyed field; "" for the object as a whole.
        cls: the class that follows from the three values.
        desired, recorded, live: a JSON value, MISSING (not known) or ABSENT (known to have no such key).
        reason: why this class.
        write: whether applying the plan writes this field.
        resolution: what the user said of it.
        place: where the files say it, `config.toml:12`; "" where they do not.
    """

    path: str
    cls: ChangeClass
    desired: JSON | NoValue
    recorded: JSON | NoValue
    live: JSON | NoValue
    reason: Reason
    write: bool
    resolution: Resolution = Resolution.NONE
    place: str = ""

    @property
    def field(self) -> str:
        """The field that the platform knows: `default_parameters` of `default_parameters.epochs`."""
        return self.path.partition(".")[0]


def same(left: JSON | NoValue, right: JSON | NoValue) -> bool:
    """Equal as JSON, as `providers.rules` has it; nothing is equal to the same nothing only."""
    if type(left) is type(right) and not isinstance(left, _NESTED):  # most are, and this is asked often
        return bool(left == right)
    if isinstance(left, NoValue) or isinstance(right, NoValue):
        return False
    return left is right or equal(left, right)


def classify(desired: JSON | NoValue, recorded: JSON | NoValue, live: JSON | NoValue) -> ChangeClass:
    """The class of a change from its three values: the table, and nothing else."""
    if live is MISSING:
        return ChangeClass.UNVERIFIED
    if recorded is MISSING:
        return ChangeClass.CONVERGED if same(desired, live) else ChangeClass.UNRECORDED
    match same(recorded, desired), same(recorded, live):
        case True, True:
            return ChangeClass.IN_SYNC
        case False, True:
            return ChangeClass.PENDING
        case True, False:
            return ChangeClass.DRIFT
        case _:
            return ChangeClass.CONVERGED if same(desired, live) else ChangeClass.CONFLICT


def compare(
    desired: Mapping[str, JSON],
    recorded: Mapping[str, JSON] | None,
    live: Mapping[str, JSON],
    rules: Mapping[str, FieldRule],
    places: Mapping[str, str] = MappingProxyType({}),
) -> list[Change]:
    """Every managed field as a Change, in the order of the fields' names.

    Args:
        desired: the managed fields.
        recorded: the fields as last applied, or None when nothing is recorded of this resource.
        live: the fields that the far end returned; a missing key could not be read.
        rules: the kind's field knowledge.
        places: field -> where the files say it.

    Raises:
        KeyError: a managed field has no rule (a bug of ours).
    """
    changes: list[Change] = []
    for name in sorted(desired):
        rule = rules[name]
        wanted, found = desired[name], live.get(name, MISSING)
        applied = recorded.get(name, MISSING) if recorded else MISSING
        ours = normalised(wanted, rule)
        known = ours if _is_written_as(applied, wanted) else normalised(applied, rule)
        if rule.write_only:
            theirs: JSON | NoValue = MISSING
        else:
            theirs = ours if _is_written_as(found, wanted) else normalised_live(found, rule, known, ours)
        changes += _compare_field(name, ours, known, theirs, rule, places.get(name, ""))
    return changes


def _is_written_as(value: JSON | NoValue, wanted: JSON) -> bool:
    """Whether it need not be normalised, because it will be what the wanted value is then."""
    kind = type(value)
    return kind is type(wanted) and kind in _SIMPLE and bool(value == wanted)


def normalised_live(live: JSON | NoValue, rule: FieldRule, *ours: JSON | NoValue) -> JSON | NoValue:
    """The live value, normalised; where the rule says that it is only another way to write one of ours, ours.

    An exact match comes first, so a change of ours from "4" to 4 is still one where live has "4". Then the
    first of ours comes first: with the record there, what live means is what was applied, and a new value of
    the files that means the same is still written.

    Args:
        live: as the far end returned it.
        ours: what the record and the files have, in this order, normalised.
    """
    live = normalised(live, rule)
    if rule.equivalent is None or isinstance(live, NoValue):
        return live
    if not isinstance(live, dict):
        return _equivalent_live(live, rule.equivalent, ours)
    tables = [value for value in ours if isinstance(value, dict)]
    return {
        key: _equivalent_live(value, rule.equivalent, [table[key] for table in tables if key in table])
        for key, value in live.items()
    }


def _equivalent_live(
    live: JSON, equivalent: Callable[[JSON, JSON], bool], ours: Sequence[JSON | NoValue]
) -> JSON:
    if any(same(live, value) for value in ours):
        return live
    return next((value for value in ours if not isinstance(value, NoValue) and equivalent(live, value)), live)


def normalised(value: JSON | NoValue, rule: FieldRule) -> JSON | NoValue:
    """`value` in the one shape in which it is compared, recorded and fingerprinted."""
    if isinstance(value, NoValue):
        return value
    value = rule.normalise(value)
    if rule.unordered and isinstance(value, list):
        return sorted(value, key=_canonical)
    return value


def effective_fields(
    desired: Mapping[str, JSON], changes: Iterable[Change], rules: Mapping[str, FieldRule]
) -> dict[str, JSON]:
    """The fields to write and to record: as the files say, but for those where live is kept."""
    fields: dict[str, JSON] = {name: normalised(value, rules[name]) for name, value in desired.items()}
    for change in changes:
        if change.resolution not in (Resolution.THEIRS, Resolution.IGNORED) or change.live is MISSING:
            continue
        name, keyed, key = change.path.partition(".")
        if not keyed:  # a key may be the empty text
            fields[name] = change.live
            continue
        fields[name] = {k: v for k, v in fields[name].items() if k != key}
        if change.live is not ABSENT:
            fields[name][key] = change.live
    return fields


def _compare_field(
    name: str, desired: JSON, recorded: JSON | NoValue, live: JSON | NoValue, rule: FieldRule, place: str
) -> list[Change]:
    if not (rule.keyed and isinstance(desired, dict) and isinstance(live, dict)) or not (desired or live):
        change = _change(name, desired, recorded, live, place)
        if rule.immutable and change.cls is ChangeClass.UNVERIFIED and recorded is MISSING:
            change = change._replace(write=False, reason=_UNREADABLE_IMMUTABLE)
        return [change]
    known: dict[str, JSON] | None = recorded if isinstance(recorded, dict) else None
    return [
        _change(
            f"{name}.{key}",
            desired.get(key, ABSENT),
            MISSING if known is None else known.get(key, ABSENT),
            live.get(key, ABSENT),
            place,
        )
        for key in sorted({*desired, *live, *(known or ())})
    ]


def _change(
    path: str, desired: JSON | NoValue, recorded: JSON | NoValue, live: JSON | NoValue, place: str
) -> Change:
    cls = classify(desired, recorded, live)
    if cls is not ChangeClass.UNVERIFIED:
        reason, write = _REASON[cls], cls in _WRITTEN
    elif recorded is MISSING:
        reason, write = _NEVER_WRITTEN, True
    elif same(recorded, desired):
        reason, write = _UNREADABLE, False
    else:
        reason, write = _UNREADABLE_CHANGED, True
    return Change(path, cls, desired, recorded, live, reason, write, place=place)


_NESTED = (dict, list)
_SIMPLE = frozenset([str, int, bool, type(None)])
_REASON = {
    ChangeClass.IN_SYNC: IN_SYNC,
    ChangeClass.PENDING: Reason(ReasonCode.FILES_CHANGED),
    ChangeClass.DRIFT: Reason(ReasonCode.CHANGED_OUTSIDE),
    ChangeClass.CONVERGED: Reason(ReasonCode.CONVERGED),
    ChangeClass.CONFLICT: Reason(ReasonCode.CHANGED_ON_BOTH_SIDES),
    ChangeClass.UNRECORDED: Reason(ReasonCode.NOT_RECORDED),
}
_NEVER_WRITTEN = Reason(ReasonCode.NEVER_WRITTEN)
_UNREADABLE = Reason(ReasonCode.UNREADABLE)
_UNREADABLE_CHANGED = Reason(ReasonCode.UNREADABLE_CHANGED)
_UNREADABLE_IMMUTABLE = Reason(ReasonCode.UNREADABLE_IMMUTABLE)
_WRITTEN = frozenset({ChangeClass.PENDING, ChangeClass.DRIFT, ChangeClass.CONFLICT, ChangeClass.UNRECORDED})


_canonical: Callable[[JSON], str] = json.JSONEncoder(
    sort_keys=True, ensure_ascii=False, separators=(",", ":")
).encode
