"""The contract of a processing: the inputs that its jobs rely on. Pure.

A job gives values by the names of the inputs. A change of the inputs is breaking if a job that could be
started before is refused afterwards, and compatible otherwise. Default parameters are no part of the
contract: a job may leave out or override any of them, whatever they are.
"""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from providers.json_value import JSON
from providers.reasons import Reason
from providers.rules import FieldRule
from reconciler.core.diff import normalised, same
from reconciler.core.reasons import ContractCode

if TYPE_CHECKING:
    from semver import Version

Contract = Mapping[str, Mapping[str, JSON]]
"""The inputs by name, each with its fields; a field whose value is unknown is missing."""

TYPE, REQUIRED = "input_type", "required"
_BREAKING = frozenset(
    {
        ContractCode.REQUIRED_ADDED,
        ContractCode.REMOVED,
        ContractCode.RENAMED,
        ContractCode.TYPE_CHANGED,
        ContractCode.NOW_REQUIRED,
        ContractCode.CONSTRAINED,
        ContractCode.CONSTRAINT_CHANGED,
    }
)


class ContractChange(Struct, frozen=True):
    """One change of one input.

    Attributes:
        input: its name; the old one if it is renamed.
        reason: the kind of change, with its values.
        place: file and line that declare it; "" if it is removed, or unknown.
    """

    input: str
    reason: Reason
    place: str = ""

    @property
    def is_breaking(self) -> bool:
        """Whether a job that could be started before may be refused now."""
        return self.reason.code in _BREAKING

    @property
    def name_after(self) -> str:
        """The name of the input after the change."""
        return str(self.reason.details.get("to", self.input))


class NamedContract(Struct, frozen=True):
    """A contract, and where it is from.

    Attributes:
        version: the version; "" if it is unknown.
        source: `files`, `state` or `image`.
        reference: the serial, or the digest of the image; "" for the files.
    """

    contract: Contract
    version: str
    source: str
    reference: str = ""


def compare_contracts(before: Contract, after: Contract) -> tuple[ContractChange, ...]:
    """Every change between two contracts, by the names of the inputs."""
    changes = [*_all_changes(before, after)]
    return tuple(sorted(changes, key=lambda change: (change.input, change.reason.code)))


def allows_breaking(before: "Version", after: "Version") -> bool:
    """Whether `after` announces a breaking change: by a higher major number than any release before it.

    Further candidates of a major release are a part of it: 2.0.0-rc.2 may break what 2.0.0-rc has.
    """
    return before < after.replace(minor=0, patch=0, prerelease=None, build=None)


def _all_changes(before: Contract, after: Contract) -> Iterator[ContractChange]:
    removed, added = sorted(before.keys() - after.keys()), sorted(after.keys() - before.keys())
    if len(removed) == len(added) == 1 and dict(before[removed[0]]) == dict(after[added[0]]):
        yield ContractChange(removed[0], Reason(ContractCode.RENAMED, {"to": added[0]}))
        removed, added = [], []
    for name in removed:
        yield ContractChange(name, Reason(ContractCode.REMOVED))
    for name in added:
        required = after[name].get(REQUIRED)
        code = ContractCode.REQUIRED_ADDED if required else ContractCode.OPTIONAL_ADDED
        yield ContractChange(name, Reason(code))
    for name in before.keys() & after.keys():
        for reason in _reasons(before[name], after[name]):
            yield ContractChange(name, reason)


def _reasons(before: Mapping[str, JSON], after: Mapping[str, JSON]) -> Iterator[Reason]:
    """The changes of one input. A field whose value is unknown on one side is not compared."""
    differing = {
        field: (before[field], after[field])
        for field in before.keys() & after.keys()
        if not same(before[field], after[field])
    }
    for field, (old, new) in differing.items():
        details = {"field": field, "before": old, "after": new}
        if field == TYPE:
            yield Reason(ContractCode.TYPE_CHANGED, {"before": old, "after": new})
        elif field == REQUIRED:
            yield Reason(ContractCode.NOW_REQUIRED if new else ContractCode.NOW_OPTIONAL)
        elif TYPE in differing:
            continue  # the limits of another type say nothing about values of the old one
        elif new is None:
            yield Reason(ContractCode.UNCONSTRAINED, details)
        elif old is None:
            yield Reason(ContractCode.CONSTRAINED, details)
        else:
            yield Reason(ContractCode.CONSTRAINT_CHANGED, details)


LONGEST_TEXT = 32_768
"""Characters of a contract in a label. Builders pass labels as arguments, which no system takes endlessly."""


def contract_text(contract: Contract) -> str | None:
    """The contract as JSON for a label, the same for equal contracts; None if it is too long for one."""
    short = {
        name: {field: value for field, value in fields.items() if value is not None}
        for name, fields in contract.items()
    }
    text = json.dumps(short, sort_keys=True, separators=(",", ":"))
    return text if len(text) <= LONGEST_TEXT else None


def contract_from_text(text: str, rules: Mapping[str, FieldRule]) -> Contract | None:
    """The contract in a text of `contract_text`; None if the text is no such contract.

    Args:
        rules: of the fields of an input. A field that is not in the text has no constraint.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not all(isinstance(fields, dict) for fields in found.values()):
        return None
    return contract_of({name: {**dict.fromkeys(rules), **fields} for name, fields in found.items()}, rules)


def contract_of(inputs: Mapping[str, Mapping[str, JSON]], rules: Mapping[str, FieldRule]) -> Contract:
    """The contract with these inputs, their fields in the form that is compared."""
    return {
        name: {key: normalised(value, rules[key]) for key, value in fields.items() if key in rules}
        for name, fields in inputs.items()
    }
