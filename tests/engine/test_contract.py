"""A change of the inputs is breaking exactly if it refuses a job that could be started before."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from semver import Version

from providers.json_value import JSON
from providers.picsellia.kinds.input import RULES
from reconciler.core.contract import (
    Contract,
    allows_breaking,
    compare_contracts,
    contract_from_text,
    contract_of,
    contract_text,
)
from reconciler.core.reasons import ContractCode
from reconciler.views.phrases import contract_reason

TYPES = ("DATASET_VERSION", "MODEL_VERSION")
INFERENCES = ("CLASSIFICATION", "SEGMENTATION")
FRAMEWORKS = ("ONNX", "PYTORCH")
VALUES = tuple(product(TYPES, INFERENCES, FRAMEWORKS))


@dataclass(frozen=True)
class Job:
    """The values of a job by input: the type, inference type and framework of each."""

    values: Mapping[str, tuple[str, str, str]]


def takes(fields: Mapping[str, JSON], value: tuple[str, str, str]) -> bool:
    limits = (fields["inference_type_constraint"], fields["framework_constraint"])
    return fields["input_type"] == value[0] and all(
        limit in (None, own) for limit, own in zip(limits, value[1:], strict=True)
    )


def accepts(contract: Contract, job: Job) -> bool:
    """What the platform does: every required input is given, and every given one exists and fits."""
    missing = {name for name, fields in contract.items() if fields["required"]} - job.values.keys()
    known = job.values.keys() <= contract.keys()
    return not missing and known and all(takes(contract[name], value) for name, value in job.values.items())


def jobs(contract: Contract) -> list[Job]:
    """Every job that can be started."""
    choices = [
        [
            *([] if fields["required"] else [None]),
            *(value for value in VALUES if takes(fields, value)),
        ]
        for fields in contract.values()
    ]
    return [
        Job({name: value for name, value in zip(contract, chosen, strict=True) if value is not None})
        for chosen in product(*choices)
    ]


inputs = st.fixed_dictionaries(
    {
        "input_type": st.sampled_from(TYPES),
        "required": st.booleans(),
        "inference_type_constraint": st.sampled_from([None, *INFERENCES]),
        "framework_constraint": st.sampled_from([None, *FRAMEWORKS]),
    }
)
contracts = st.dictionaries(st.sampled_from(["a", "b", "c"]), inputs, max_size=2)


@given(contracts, contracts)
def test_a_change_is_breaking_exactly_if_a_job_is_refused_that_was_not(
    before: Contract, after: Contract
) -> None:
    refused = [job for job in jobs(before) if not accepts(after, job)]

    changes = compare_contracts(before, after)

    assert any(change.is_breaking for change in changes) == bool(refused)
    assert bool(changes) == (before != after)


@given(contracts, contracts)
def test_the_names_of_the_changes_are_those_of_inputs_that_differ(before: Contract, after: Contract) -> None:
    differing = {name for name in {*before, *after} if before.get(name) != after.get(name)}

    changes = compare_contracts(before, after)

    assert {change.input for change in changes} | {change.name_after for change in changes} == differing


INPUT: dict[str, JSON] = {
    "input_type": "MODEL_VERSION",
    "required": False,
    "inference_type_constraint": None,
    "framework_constraint": "ONNX",
}
CHANGES: dict[str, tuple[Contract, Contract, set[ContractCode]]] = {
    "a new optional input": ({}, {"a": INPUT}, {ContractCode.OPTIONAL_ADDED}),
    "a new required input": ({}, {"a": {**INPUT, "required": True}}, {ContractCode.REQUIRED_ADDED}),
    "a removed input": ({"a": INPUT}, {}, {ContractCode.REMOVED}),
    "another name for the same": ({"a": INPUT}, {"b": INPUT}, {ContractCode.RENAMED}),
    "another name and another limit": (
        {"a": INPUT},
        {"b": {**INPUT, "framework_constraint": None}},
        {ContractCode.REMOVED, ContractCode.OPTIONAL_ADDED},
    ),
    "one removed and two alike added": (
        {"a": INPUT},
        {"b": INPUT, "c": INPUT},
        {ContractCode.REMOVED, ContractCode.OPTIONAL_ADDED},
    ),
    "another type": (
        {"a": INPUT},
        {"a": {**INPUT, "input_type": "DATASET_VERSION", "framework_constraint": None}},
        {ContractCode.TYPE_CHANGED},
    ),
    "required now": ({"a": INPUT}, {"a": {**INPUT, "required": True}}, {ContractCode.NOW_REQUIRED}),
    "optional now": ({"a": {**INPUT, "required": True}}, {"a": INPUT}, {ContractCode.NOW_OPTIONAL}),
    "a limit where there was none": (
        {"a": INPUT},
        {"a": {**INPUT, "inference_type_constraint": "CLASSIFICATION"}},
        {ContractCode.CONSTRAINED},
    ),
    "another limit": (
        {"a": INPUT},
        {"a": {**INPUT, "framework_constraint": "PYTORCH"}},
        {ContractCode.CONSTRAINT_CHANGED},
    ),
    "no limit any more": (
        {"a": INPUT},
        {"a": {**INPUT, "framework_constraint": None}},
        {ContractCode.UNCONSTRAINED},
    ),
    "a value that the platform does not return": (
        {"a": {"input_type": "MODEL_VERSION"}},
        {"a": INPUT},
        set(),
    ),
}


@pytest.mark.parametrize(("before", "after", "expected"), CHANGES.values(), ids=CHANGES.keys())
def test_each_change_has_a_code_of_its_own(
    before: Contract, after: Contract, expected: set[ContractCode]
) -> None:
    assert {change.reason.code for change in compare_contracts(before, after)} == expected


def test_every_code_is_the_one_of_a_change() -> None:
    assert {code for _, _, codes in CHANGES.values() for code in codes} == set(ContractCode)


def test_spellings_of_one_value_are_no_change() -> None:
    live = {"a": {**INPUT, "framework_constraint": "onnx", "inference_type_constraint": "NOT_CONFIGURED"}}

    assert compare_contracts(contract_of(live, RULES), contract_of({"a": INPUT}, RULES)) == ()


@given(contracts)
def test_the_text_of_a_label_gives_the_same_contract(found: Contract) -> None:
    text = contract_text(found)

    assert text is not None and contract_from_text(text, RULES) == found
    assert contract_text(dict(reversed(found.items()))) == text


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"a": 1}', "[" * 100_000])
def test_another_text_is_no_contract(text: str) -> None:
    assert contract_from_text(text, RULES) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)
odd_fields = st.dictionaries(st.sampled_from([*RULES, "other"]), json_values, max_size=4)


@given(st.dictionaries(st.sampled_from(["a", "b"]), odd_fields, max_size=2), contracts)
def test_whatever_a_label_has_is_no_contract_or_one_that_can_be_compared(
    found: Mapping[str, Mapping[str, JSON]], other: Contract
) -> None:
    """Anybody who can push an image writes its labels."""
    contract = contract_from_text(json.dumps(found), RULES)

    if contract is not None:
        for change in (*compare_contracts(contract, other), *compare_contracts(other, contract)):
            assert contract_reason(change)


def test_a_contract_that_no_label_takes_has_no_text() -> None:
    assert contract_text({f"input_{number}": INPUT for number in range(2_000)}) is None


@pytest.mark.parametrize(
    ("before", "after", "allowed"),
    [
        ("1.4.0", "2.0.0", True),
        ("1.4.0", "2.0.1-rc", True),
        ("1.4.0", "1.5.0", False),
        ("1.4.0", "1.4.1-rc", False),
        ("0.1.0", "0.2.0", False),
        ("0.9.0", "1.0.0", True),
        ("2.0.0-rc", "2.0.0-rc.2", True),  # a candidate of a major release is a part of it
        ("2.0.0-rc.2", "2.0.0", True),
        ("2.0.0", "2.0.1-rc", False),
        ("2.0.1-rc", "2.0.1-rc.2", False),
        ("2.0.0", "1.9.0", False),
    ],
)
def test_a_breaking_change_needs_a_higher_major_number(before: str, after: str, allowed: bool) -> None:
    assert allows_breaking(Version.parse(before), Version.parse(after)) is allowed
