"""Each command that ends a conflict is one that the command line takes, and it ends that conflict."""

import shlex
from itertools import product

import pytest
from msgspec.structs import replace

from providers.table import FACTS
from reconciler.core.plan import Action, Step
from reconciler.core.plan_options import PlanOptions
from reconciler.core.planner import _winner
from reconciler.core.reasons import IN_SYNC
from reconciler.core.values import Address
from reconciler.views.conflict_ways import conflict_ways
from tests.fleet.runs import plan

STEPS = {kind: Step(Address.of(kind, "a b"), Action.UPDATE, IN_SYNC) for kind in FACTS}
OTHER = "processing/other"
GIVEN = [[], None, ["own"], [OTHER], ["own", OTHER]]


@pytest.mark.parametrize(
    ("kind", "ours", "theirs", "alone"), list(product(FACTS, GIVEN, GIVEN, [False, True])), ids=repr
)
def test_each_command_ends_the_conflict(
    kind: str, ours: list[str] | None, theirs: list[str] | None, alone: bool
) -> None:
    step = STEPS[kind]
    given = {
        side: None if sides is None else [str(step.address) if one == "own" else one for one in sides]
        for side, sides in (("ours", ours), ("theirs", theirs))
    }
    if (ours is not None is not theirs and {*ours} & {*theirs}) or (ours is None and theirs is None):
        return  # the command line refuses it

    ways = conflict_ways(replace(plan(1), request=given), step, alone=alone)

    for _, command in ways:
        words = shlex.split(command)
        sides: dict[str, list[str | None]] = {"--ours": [], "--theirs": []}
        for word, after in zip(words, [*words[1:], "--"], strict=True):
            if word in sides:
                sides[word].append(None if after.startswith("--") else after)
        assert not {*sides["--ours"]} & {*sides["--theirs"]}, command
        assert all(len({*addresses}) == len(addresses) for addresses in sides.values()), command
        ours_now, theirs_now = (
            None if None in found else [Address.parse(one) for one in found if one is not None]
            for found in sides.values()
        )
        winner = _winner(step.address, PlanOptions(ours=ours_now, theirs=theirs_now))
        assert winner.value in ("ours", "theirs"), command
    if FACTS[kind].assess is not None:
        assert not any(f"--theirs {shlex.quote(str(step.address))}" in command for _, command in ways)


def test_an_image_is_no_value_to_keep() -> None:
    """It said `--theirs --ours` and `--theirs --theirs`."""
    [(label, command)] = conflict_ways(replace(plan(1), request={"theirs": None}), STEPS["image"])
    assert label == "keep the files' values"
    assert command.endswith(" --theirs --ours image/a%20b")
