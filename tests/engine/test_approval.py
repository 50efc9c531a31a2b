"""The digest of an approval: equal exactly if the same would be done."""

import dataclasses

import pytest
from msgspec.structs import replace

from providers.reasons import Reason, Refusal
from reconciler.core.approval import SHORT, digest, is_approved
from reconciler.core.diff import Change, ChangeClass
from reconciler.core.plan import Action, Plan, Step
from reconciler.core.reasons import RefusalCode
from reconciler.core.values import ABSENT, MISSING
from tests.engine.conftest import APP, IMAGE, STACK

WHY = Reason("pending")
TAG = Change("docker_tag", ChangeClass.PENDING, "1.0.1", "1.0.0", "1.0.0", WHY, write=True)
CPU = Change("default_cpu", ChangeClass.IN_SYNC, 4, 4, 4, WHY, write=False)
STEP = Step(APP, Action.UPDATE, WHY, (TAG, CPU), id="17")
PLAN = Plan(STACK, "lineage", 7, (STEP,), sources="abc", request={"bump": "patch"})
OTHER = replace(PLAN, stack=dataclasses.replace(STACK, pipeline="other", name="other"))
NOTHING = replace(PLAN, steps=(Step(APP, Action.NOOP, WHY),))


def with_change(**fields: object) -> Plan:
    return replace(PLAN, steps=(replace(STEP, changes=(TAG._replace(**fields), CPU)),))


@pytest.mark.parametrize(
    "other",
    [
        [replace(PLAN, serial=8)],
        [replace(PLAN, lineage="another")],
        [replace(PLAN, stack=dataclasses.replace(STACK, folder="elsewhere"))],
        [replace(PLAN, steps=(replace(STEP, fingerprint="newer"),))],
        [replace(PLAN, steps=(replace(STEP, changes=(CPU, TAG)),))],
        [replace(PLAN, steps=(replace(STEP, changes=(TAG, CPU._replace(desired=5, live=5))),))],
        [PLAN, NOTHING],
    ],
    ids=["serial", "lineage", "folder", "fingerprint", "order", "in sync", "nothing to do"],
)
def test_what_does_not_change_the_work_does_not_change_the_digest(other: list[Plan]) -> None:
    assert digest(other) == digest([PLAN])


@pytest.mark.parametrize(
    "other",
    [
        [],
        [PLAN, OTHER],
        [OTHER],
        [replace(PLAN, stack=dataclasses.replace(STACK, host="https://elsewhere"))],
        [replace(PLAN, sources="abd")],
        [replace(PLAN, request={"bump": None})],
        [replace(PLAN, steps=(replace(STEP, action=Action.REPLACE),))],
        [replace(PLAN, steps=(replace(STEP, id="18"),))],
        [replace(PLAN, steps=(replace(STEP, address=IMAGE),))],
        [replace(PLAN, steps=(replace(STEP, refusal=Refusal(Reason(RefusalCode.CLAIMED), ())),))],
        [with_change(desired="1.0.2")],
        [with_change(live="0.9.0")],
        [with_change(live=ABSENT)],
        [with_change(live="absent")],
        [with_change(live=None)],
        [with_change(live=MISSING)],
        [with_change(desired=1)],
        [with_change(desired="1")],
        [with_change(desired=True)],
        [with_change(write=False)],
    ],
)
def test_any_other_work_has_another_digest(other: list[Plan]) -> None:
    assert digest(other) != digest([PLAN])


def test_each_value_has_a_digest_of_its_own() -> None:
    values = [ABSENT, MISSING, None, "absent", "null", 1, "1", True, "true", [], {}, "[]", "\ud800"]
    assert len({digest([with_change(live=value)]) for value in values}) == len(values)


def test_the_order_of_the_pipelines_does_not_matter() -> None:
    assert digest([PLAN, OTHER]) == digest([OTHER, PLAN])


def test_an_approval_names_the_digest_or_its_first_sixteen_digits() -> None:
    whole = digest([PLAN])
    assert is_approved(whole, whole)
    assert is_approved(whole[:SHORT].upper(), whole)
    assert not is_approved(whole[: SHORT - 1], whole)
    assert not is_approved("", whole)
    assert not is_approved(digest([OTHER]), whole)
    assert not is_approved(whole + "0", whole)
