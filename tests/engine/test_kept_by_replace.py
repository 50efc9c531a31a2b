"""A replace that is cut: what was to be kept is on the platform in the end, or a conflict is shown."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

import pytest

from providers.errors import RefusedError, TransientError
from reconciler.core.plan import Action
from reconciler.core.reasons import ReasonCode
from state.stores.base import Store
from tests.engine.conftest import APP, Bench, PlanResult, input_of, processing
from tests.engine.test_properties import FragileStore
from tests.failing_kind import Died, Fault, Faults, FaultyKind

FILES = {"default_cpu": 7, "default_parameters": {"a": 2, "b": 1}}
KEPT = {"default_cpu": 9, "default_parameters": {"a": 5, "b": 1}}
DATASET = input_of("app", "dataset").address
EVERYWHERE = None

WAYS: dict[str, tuple[dict[str, Any], dict[str, Any], Mapping[str, Any]]] = {
    # the options that decide, the options that are in the files, and the fields of the new object
    "files": ({"ours": EVERYWHERE}, {}, FILES),
    "theirs": ({"theirs": EVERYWHERE}, {}, KEPT),
    "theirs of the object": ({"theirs": [APP]}, {}, KEPT),
    "ours of another one": ({"ours": [DATASET], "theirs": EVERYWHERE}, {}, KEPT),
    "ours of the object": ({"ours": [APP], "theirs": EVERYWHERE}, {}, FILES),
    "ignored": ({}, {"ignored": {APP: ["default_cpu", "default_parameters"]}}, KEPT),
    "ignored, and theirs": ({"theirs": EVERYWHERE}, {"ignored": {APP: ["default_cpu"]}}, KEPT),
}
REFUSED = RefusedError("not now")
UNANSWERED = TransientError("the connection dropped", outcome_unknown=True)


class Replace:
    """A processing whose files and live values differ, and which is replaced."""

    def __init__(self, way: str) -> None:
        self.decision, self.in_files, expected = WAYS[way]
        self.expected = {**expected, "description": "live text"}
        self.store = FragileStore()
        self.bench = Bench(cast(Store, self.store))
        parameters = {"a": 1, "b": 1}
        first = processing(type="DATA_AUGMENTATION", default_cpu=4, default_parameters=parameters)
        assert self.bench.apply(first, input_of("app", "dataset")).succeeded
        live = {"default_cpu": 9, "default_parameters": {"a": 5, "b": 1}, "description": "live text"}
        self.bench.world.edit("processing", "app", **live)
        self.store.saves = 0

    def plan(self, **options: Any) -> PlanResult:
        resources = processing(type="PRE_ANNOTATION", **FILES), input_of("app", "dataset")
        return self.bench.plan(*resources, replace=[APP], **self.in_files, **options)

    def run(self, faults: Faults) -> None:
        planned, healthy = self.plan(**self.decision), self.bench.kinds
        self.bench.kinds = {name: FaultyKind(kind, faults) for name, kind in healthy.items()}
        with suppress(Died):
            self.bench.walk(planned)
        self.bench.kinds = healthy

    def is_complete(self) -> bool:
        return not self.bench.record.intents and len(self.bench.world.objects) == 2

    def has_kept(self) -> bool:
        live = self.bench.live(APP)
        return {name: live[name] for name in self.expected} == self.expected


def cuts(way: str) -> list[tuple[Fault | None, int, bool]]:
    """Each call and each save of the replace, as a fault, or as the save that is the last one."""
    replaced, faults = Replace(way), Faults()
    replaced.run(faults)
    assert replaced.is_complete() and replaced.has_kept(), way
    of_calls = [
        Fault(number, error, after=after, times=100 if error is UNANSWERED else 1)
        for number in range(1, len(faults.calls) + 1)
        for error, after in ((REFUSED, False), (UNANSWERED, False), (UNANSWERED, True), (Died(), True))
    ]
    of_saves = [(number, after) for number in range(1, replaced.store.saves + 1) for after in (False, True)]
    return [(fault, 0, False) for fault in of_calls] + [(None, *save) for save in of_saves]


@pytest.mark.parametrize("way", WAYS)
def test_the_next_command_keeps_what_was_to_be_kept_or_shows_a_conflict(way: str) -> None:
    conflicts = 0
    for fault, save, after in cuts(way):
        for repeats_decision in (False, True):
            replaced = Replace(way)
            replaced.store.dies_at, replaced.store.dies_after = save, after
            replaced.run(Faults(fault) if fault else Faults())
            replaced.store.dead, replaced.store.dies_at = False, 0
            if replaced.is_complete() and replaced.bench.recorded(APP).inputs["type"] == "PRE_ANNOTATION":
                assert replaced.has_kept()
                continue

            planned = replaced.plan(**(replaced.decision if repeats_decision else {}))

            if not planned.plan.can_apply:
                assert planned.plan.conflicts and not repeats_decision, (fault, save, after)
                conflicts += 1
                planned = replaced.plan(**replaced.decision)
            assert replaced.bench.walk(planned).succeeded
            assert replaced.is_complete() and replaced.has_kept(), (fault, save, after, repeats_decision)
    assert conflicts or "theirs" not in replaced.decision or way == "ours of the object"


def test_a_value_to_be_kept_is_a_conflict_of_the_create_until_it_is_decided() -> None:
    replaced = Replace("theirs")
    creates = Faults(Fault(1, REFUSED), verbs=["create"])
    replaced.run(creates)

    step = replaced.plan().step(APP)

    assert step.action is Action.CREATE
    assert {(c.path, c.desired, c.live) for c in step.conflicts} == {
        ("default_cpu", 7, 9),
        ("default_parameters.a", 2, 5),
    }
    assert {change.reason.code for change in step.conflicts} == {ReasonCode.KEPT_BY_REPLACE}
    assert replaced.bench.walk(replaced.plan(ours=[APP])).succeeded
    assert {name: replaced.bench.live(APP)[name] for name in FILES} == FILES
