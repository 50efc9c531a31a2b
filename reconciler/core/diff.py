"""Compares the desired, recorded and live values of one resource, field by field. Pure.

This module contains every rule of the comparison. It ignores fields that the files do not manage, also those
that are recorded because the files managed them earlier. Their live values stay.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple, overload

from providers.json_value import JSON
from providers.reasons import Reason
from providers.rules import FieldRule, equal
from reconciler.core.reasons import IN_SYNC, ReasonCode
from reconciler.core.values import ABSENT, MISSING, NoValue


class ChangeClass(StrEnum):
    IN_SYNC = "in-sync"
    PENDING = "pending"
    DRIFT = "drift"
    CONVERGED = "converged"
    CONFLICT = "conflict"
    UNRECORDED = "unrecorded"
    UNVERIFIED = "unverified"
    ORPHANED = "orphaned"  # of a whole stack: no files declare it


class Resolution(StrEnum):
    """The user's decision about a change."""

    NONE = ""
    OURS = "ours"  # in a conflict, the files win
    THEIRS = "theirs"  # in a conflict, the live value is kept and recorded
    IGNORED = "ignored"  # the live value is kept


class Change(NamedTuple):
    """One field of one resource, with its three normalised values.

    A tuple, because a plan has one for every field of every resource, and most are in sync.

    Attributes:
        path: the field, or `field.key` for one key of a keyed field; "" for the whole object.
        cls: the class that follows from the three values.
        desired, recorded, live: a JSON value, MISSING (unknown) or ABSENT (no such key or object).
        reason: why the change has this class.
        write: whether applying the plan writes this field.
        resolution: the user's decision about it.
        place: where the files set it, such as `config.toml:12`; "" if they do not.
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
    def is_only_recorded(self) -> bool:
        """Whether live changed to a value that the files have by now, so applying the plan records it."""
        return self.cls is ChangeClass.DRIFT and not self.write and same(self.desired, self.live)

    @property
    def is_ignored(self) -> bool:
        """Whether an ignored live value is another one than in the files."""
        return self.resolution is Resolution.IGNORED and self.cls not in _NO_OTHER

    @property
    def field(self) -> str:
        """The field without its key: `default_parameters` of `default_parameters.epochs`."""
        return self.path.partition(".")[0]


def same(left: JSON | NoValue, right: JSON | NoValue) -> bool:
    """Whether two values are equal by `providers.rules.equal`. MISSING and ABSENT equal only themselves."""
    if type(left) is type(right) and not isinstance(left, _NESTED):  # the common case, kept fast
        return bool(left == right)
    if isinstance(left, NoValue) or isinstance(right, NoValue):
        return False
    return left is right or equal(left, right)


def classify(desired: JSON | NoValue, recorded: JSON | NoValue, live: JSON | NoValue) -> ChangeClass:
    """The class of a change, from its three values alone."""
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
    """Every managed field as a Change, sorted by name.

    Args:
        desired: the managed fields.
        recorded: the fields as last applied; None if the resource is not recorded.
        live: the fields that the provider returned; a field that it cannot read is missing.
        rules: the kind's rule for each field.
        places: field -> where the files set it; also `FIELD.KEY` for a key that has a place of its own.

    Raises:
        KeyError: a managed field has no rule (a bug in reconciler).
    """
    changes: list[Change] = []
    for name in sorted(desired):
        rule = rules[name]
        raw_desired, raw_live = desired[name], live.get(name, MISSING)
        raw_recorded = recorded.get(name, MISSING) if recorded else MISSING
        value = normalised(raw_desired, rule)
        is_recorded = _is_identical(raw_recorded, raw_desired)
        recorded_value = value if is_recorded else normalised(raw_recorded, rule)
        if rule.write_only:
            live_value: JSON | NoValue = MISSING
        elif _is_identical(raw_live, raw_desired):
            live_value = value
            if is_recorded:  # most fields of most plans
                place = places.get(name, "")
                changes.append(
                    Change(name, ChangeClass.IN_SYNC, value, value, value, IN_SYNC, write=False, place=place)
                )
                continue
        else:
            live_value = normalised_live(raw_live, rule, recorded_value, value)
        changes += _compare_field(name, value, recorded_value, live_value, rule, places)
    return changes


def _is_identical(value: JSON | NoValue, desired: JSON) -> bool:
    """Whether normalising can be skipped, because both values are the same simple value."""
    kind = type(value)
    return kind is type(desired) and kind in _SIMPLE and bool(value == desired)


def normalised_live(live: JSON | NoValue, rule: FieldRule, *ours: JSON | NoValue) -> JSON | NoValue:
    """The normalised live value; if it is equivalent to one of ours by the rule, that one.

    An exact match comes first: if the files change "4" to 4 while live has "4", that is still a change.
    Otherwise the first equivalent value is used. The recorded value precedes the desired one, so that a new
    but equivalent value in the files is still written.

    Args:
        live: the value that the provider returned.
        ours: the recorded and the desired value, in this order, normalised.
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


@overload
def normalised(value: JSON, rule: FieldRule) -> JSON: ...
@overload
def normalised(value: JSON | NoValue, rule: FieldRule) -> JSON | NoValue: ...
def normalised(value: JSON | NoValue, rule: FieldRule) -> JSON | NoValue:
    """`value` in the form that is compared, recorded and fingerprinted."""
    if isinstance(value, NoValue):
        return value
    value = rule.normalise(value)
    if rule.unordered and isinstance(value, list):
        return sorted(value, key=_canonical)
    return value


def effective_fields(
    desired: Mapping[str, JSON], changes: Iterable[Change], rules: Mapping[str, FieldRule]
) -> dict[str, JSON]:
    """The fields to write and record: the desired values, or the live value where it is kept.

    If the kept value cannot be read, the recorded one stays.
    """
    fields: dict[str, JSON] = {name: normalised(value, rules[name]) for name, value in desired.items()}
    for change in changes:
        kept = change.recorded if change.live is MISSING else change.live
        if change.resolution not in (Resolution.THEIRS, Resolution.IGNORED) or kept is MISSING:
            continue
        name, keyed, key = change.path.partition(".")
        if not keyed:  # a key may be an empty string
            assert not isinstance(kept, NoValue)  # only a key or a whole object can be absent
            fields[name] = kept
            continue
        table = fields[name]
        assert isinstance(table, dict)  # the field has keys
        others = {k: v for k, v in table.items() if k != key}
        fields[name] = others if isinstance(kept, NoValue) else {**others, key: kept}
    return fields


def _compare_field(
    name: str,
    desired: JSON,
    recorded: JSON | NoValue,
    live: JSON | NoValue,
    rule: FieldRule,
    places: Mapping[str, str],
) -> list[Change]:
    place = places.get(name, "")
    if not (rule.keyed and isinstance(desired, dict) and isinstance(live, dict)) or not (desired or live):
        change = _change(name, desired, recorded, live, place)
        if rule.immutable and change.cls is ChangeClass.UNVERIFIED and recorded is MISSING:
            change = change._replace(write=False, reason=_UNREADABLE_IMMUTABLE)
        return [change]
    recorded_keys: dict[str, JSON] | None = recorded if isinstance(recorded, dict) else None
    return [
        _change(
            f"{name}.{key}",
            desired.get(key, ABSENT),
            MISSING if recorded_keys is None else recorded_keys.get(key, ABSENT),
            live.get(key, ABSENT),
            places.get(f"{name}.{key}", place),
        )
        for key in sorted({*desired, *live, *(recorded_keys or ())})
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


_NO_OTHER = (ChangeClass.CONVERGED, ChangeClass.UNVERIFIED)
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
