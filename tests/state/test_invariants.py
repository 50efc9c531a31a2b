"""Each invariant has a snapshot that breaks it and no other."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from state import invariants
from state.invariants import verify
from state.snapshot import Snapshot
from tests.state.conftest import intent, resource, snapshot

GOOD = (
    snapshot(
        resource("image/reg.io/team/app"), resource("processing/app", "image/reg.io/team/app", default_cpu=4)
    )
    .with_resource(resource("input/app/data%20set", "processing/app"))
    .with_intent(intent("model/M"))
    .with_intent(intent("processing/app", verb="update", id="1", fields={"default_gpu": 0}))
)


def app(**changed: Any) -> Snapshot:
    """GOOD, with another `processing/app`."""
    return GOOD.with_resource(replace(GOOD.resources["processing/app"], **changed))


def opened(**changed: Any) -> Snapshot:
    return GOOD.with_intent(intent("model/M", **changed))


BROKEN: list[tuple[str, Snapshot]] = [
    ("I1", replace(GOOD, stack="")),
    ("I2", replace(GOOD, lineage="")),
    ("I3", replace(GOOD, serial=-1)),
    ("I3", replace(GOOD, serial=True)),
    ("I4", replace(GOOD, written_by="")),
    ("I4", replace(GOOD, written_at="")),
    ("I5", replace(GOOD, resources={**GOOD.resources, "model/A": resource("model/B")})),
    ("I5", replace(GOOD, intents={"model/A": intent("model/B")})),
    *(
        ("I6", GOOD.with_resource(resource(bad)))
        for bad in ("model", "model/", "/M", "Model/M", "model/a b", "model//M", "model/100%", "model/M\n")
    ),
    ("I6", GOOD.with_intent(intent("model"))),
    ("I7", app(kind="model")),
    ("I8", app(id="")),
    ("I9", app(depends_on=("image/other",))),
    ("I9", app(depends_on=("image/reg.io/team/app", "image/reg.io/team/app"))),
    ("I9", replace(GOOD, resources={"input/app/data%20set": GOOD.resources["input/app/data%20set"]})),
    ("I10", app(depends_on=("processing/app",))),
    ("I10", app(depends_on=("input/app/data%20set",))),
    ("I10", GOOD.with_resource(resource("model/A", "model/B")).with_resource(resource("model/B", "model/A"))),
    ("I11", opened(verb="rename")),
    ("I12", opened(verb="update")),
    ("I12", opened(verb="delete", id="")),
    ("I13", opened(since="yesterday")),
    ("I13", opened(since="2025-03-01T12:00:00")),
    ("I13", replace(GOOD, written_at="2025-03-01T12:00:00")),
    *(
        ("I14", app(inputs={"value": bad}))
        for bad in (
            float("nan"),
            float("-inf"),
            b"",
            {1: 2},
            [{"a": {1}}],
            object,
        )
    ),
    ("I14", app(outputs={"deep": {"deeper": [float("inf")]}})),
    ("I14", opened(fields={"value": float("nan")})),
    *(
        ("I15", app(inputs={bad: "x"}))
        for bad in ("token", "api_token", "Api-Token", "password", "client_secret", "apikey", "secret-key")
    ),
    ("I15", app(outputs={"token": "x"})),
    ("I15", opened(fields={"token": "x"})),
    ("I16", replace(GOOD, outcome="done")),
    ("I16", replace(GOOD, restores=-1)),
    ("I16", replace(GOOD, restores=GOOD.serial + 1)),
]


def numbers(problems: list[str]) -> set[str]:
    return {problem.split()[0] for problem in problems}


def test_a_valid_snapshot_breaks_no_invariant() -> None:
    assert verify(GOOD) == []
    assert verify(Snapshot.new("org@PROD/p", "lineage-1")) == []


@pytest.mark.parametrize(("number", "broken"), BROKEN)
def test_a_broken_invariant_is_reported_by_its_number_alone(number: str, broken: Snapshot) -> None:
    assert numbers(verify(broken)) == {number}


@pytest.mark.parametrize(("number", "broken"), BROKEN)
def test_verifying_only_changes_finds_the_same_broken_invariants(number: str, broken: Snapshot) -> None:
    assert numbers(verify(broken, since=GOOD)) == {number}


def test_every_invariant_has_a_case_above() -> None:
    listed = {line.split()[0] for line in (invariants.__doc__ or "").splitlines() if line.startswith("    I")}
    assert listed - {"I17", "I18", "I19"} == {number for number, _ in BROKEN}
    assert numbers(invariants.verify_name(["org@PROD/other"])) == {"I17"}
    assert invariants.verify_name([]) == []
    assert numbers(invariants.verify_claims({"processing/x": "org@PROD/other"})) == {"I18"}
    assert invariants.verify_claims({}) == []
    assert invariants.verify_ids(GOOD, ["processing", "model"]) == []


@pytest.mark.parametrize("kind", ["processing", "input", "model"])
def test_two_resources_with_one_id_are_reported_where_an_id_identifies_an_object(kind: str) -> None:
    ids = {"a": "1", "b": "2", "c": "1"}
    twins = snapshot(*(replace(resource(f"{kind}/{name}"), id=id) for name, id in ids.items()))
    expected = [] if kind == "input" else [f"I19 {kind}/c: has the id of {kind}/a"]
    assert invariants.verify_ids(twins, ["processing", "model"]) == expected


def test_a_problem_names_its_address() -> None:
    assert verify(app(id="")) == ["I8 processing/app: has no id"]


def test_a_cycle_is_reported_with_its_path() -> None:
    state = snapshot(resource("model/A", "model/B"), resource("model/B", "model/A"))
    (problem,) = verify(state)
    assert problem in (
        "I10 model/A: depends on itself: model/A -> model/B -> model/A",
        "I10 model/B: depends on itself: model/B -> model/A -> model/B",
    )


def test_parameters_may_have_any_name() -> None:
    assert verify(app(inputs={"default_parameters": {"eos_token": "</s>", "max_tokens": 4}})) == []


NAMES = [f"model/{letter}" for letter in "ABCDE"]
CHANGES = st.lists(
    st.one_of(
        st.builds(
            lambda address, others: lambda s: s.with_resource(resource(address, *others)),
            st.sampled_from(NAMES),
            st.lists(st.sampled_from(NAMES), max_size=3),
        ),
        st.builds(lambda address: lambda s: s.without_resource(address), st.sampled_from(NAMES)),
        st.builds(
            lambda address: (
                lambda s: replace(s, resources={a: r for a, r in s.resources.items() if a != address})
            ),
            st.sampled_from(NAMES),
        ),
        st.builds(
            lambda address, verb: lambda s: s.with_intent(intent(address, verb=verb)),
            st.sampled_from(NAMES),
            st.sampled_from(["create", "update"]),
        ),
    ),
    max_size=6,
)


@given(st.lists(CHANGES, max_size=5))
def test_verifying_changes_finds_what_verifying_everything_finds(
    steps: list[list[Callable[[Snapshot], Snapshot]]],
) -> None:
    good = snapshot()
    for step in steps:
        new = good
        for change in step:
            new = change(new)
        every, some = verify(new), verify(new, since=good)
        assert numbers(some) == numbers(every)
        assert {p for p in some if not p.startswith("I10")} == {p for p in every if not p.startswith("I10")}
        if not every:
            good = new
