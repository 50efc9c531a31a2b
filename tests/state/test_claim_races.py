"""Two pipelines that want one resource at once, and runs that are killed: the same on each store."""

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from providers.table import EXCLUSIVE
from reconciler.core.graph import Resource
from reconciler.core.plan import Plan
from state.claims import Registers
from state.stores.base import Store
from tests.conftest import CASES
from tests.engine.conftest import model, processing, version_of
from tests.engine.test_claims import SCOPE, Team, refusals
from tests.memory import MemoryWorld
from tests.state.conftest import MakeStore

RACES = 50
STACKS = 40  # applied by 32 threads


def test_of_two_pipelines_that_race_for_one_resource_one_wins_and_the_other_is_refused_with_its_name(
    make_store: MakeStore,
) -> None:
    jitter, world = random.Random(11), MemoryWorld()
    teams = [Team(make_store(), world) for _ in range(2)]
    with ThreadPoolExecutor(2) as pool:
        for number in range(RACES):
            name = f"x{number}"
            stacks = [f"{SCOPE}/{side}{number}" for side in "ab"]
            start = threading.Barrier(2)
            naps = [jitter.random() * 0.01 for _ in range(4)]

            def race(side: int) -> Plan:
                stack, team = stacks[side], teams[side]  # noqa: B023 - the threads end with this round
                start.wait()  # noqa: B023
                time.sleep(naps[side])  # noqa: B023
                planned = team.plan(stack, processing(name, default_cpu=side))  # noqa: B023
                time.sleep(naps[2 + side])  # noqa: B023
                return team.carry_out(stack, *planned)

            plans = list(pool.map(race, range(2)))
            (winner,) = [side for side in range(2) if plans[side].can_apply]
            assert refusals(plans[1 - winner]) == {f"processing/{name}": stacks[winner]}
            assert world.writes == [("create", "processing", (name,))]
            world.writes.clear()
            live = world.objects["processing", (name,)]
            assert live.fields["default_cpu"] == winner
            claim = teams[1 - winner].register.claims[f"processing/{name}"]
            assert (claim.stack, claim.id) == (stacks[winner], live.id)
            assert teams[1 - winner].state(stacks[1 - winner]).serial == 0
    CASES["races of two pipelines for one resource"] += RACES


def test_many_threads_of_one_session_apply_one_stack_each_and_of_those_that_want_one_resource_one_gets_it(
    make_store: MakeStore,
) -> None:
    """Every stack has a processing of its own, and wants that of its neighbour, too."""
    store, world = make_store(), MemoryWorld()
    registers, teams = Registers(store, EXCLUSIVE), Team(store, world)
    stacks = {f"{SCOPE}/s{number}": number for number in range(STACKS)}

    def apply(stack: str) -> Plan:
        pair = processing(f"pair{stacks[stack] // 2}", owns=(), default_cpu=stacks[stack])
        own = processing(f"own{stacks[stack]}", owns=(), default_cpu=stacks[stack])
        plan = teams.apply(stack, own, registers=registers)
        assert plan.can_apply
        return teams.apply(stack, own, pair, registers=registers)

    with ThreadPoolExecutor(32) as pool:
        plans = dict(zip(stacks, pool.map(apply, stacks), strict=True))
    held = Team(make_store(), world).register.claims
    for stack, number in stacks.items():
        own, pair = f"processing/own{number}", f"processing/pair{number // 2}"
        assert held[own].stack == stack
        assert held[own].id == world.objects["processing", (f"own{number}",)].id
        if plans[stack].can_apply:
            assert held[pair].stack == stack
            assert world.objects["processing", (f"pair{number // 2}",)].fields["default_cpu"] == number
        else:
            assert refusals(plans[stack]) == {pair: held[pair].stack}
    assert sum(plan.can_apply for plan in plans.values()) == STACKS // 2
    assert len(held) == STACKS + STACKS // 2
    assert teams.notices == []
    CASES["stacks applied side by side by one session"] += STACKS


class Killed(BaseException):
    """The process ends here."""


def kill_at(store: Store, moment: int, *, before: bool, patch: pytest.MonkeyPatch) -> Callable[[], int]:
    """End the run at its `moment`-th save of state or register. Returns a count of the saves so far."""
    saves = 0

    def killing(call: Callable[..., Any]) -> Callable[..., Any]:
        def save(*arguments: Any, **options: Any) -> Any:
            nonlocal saves
            saves += 1
            if saves == moment and before:
                raise Killed
            result = call(*arguments, **options)
            if saves == moment:
                raise Killed
            return result

        return save

    patch.setattr(store, "save", killing(store.save))
    patch.setattr(store, "save_register", killing(store.save_register))
    return lambda: saves


FILES: dict[str, Callable[[int], list[Resource]]] = {
    "a new processing": lambda value: [processing("x", owns=(), default_cpu=value)],
    "a model version": lambda value: [model("m"), version_of("m", "v", docker_tag=str(value))],
    "two processings": lambda value: [
        processing("x", owns=(), default_cpu=value),
        processing("y", owns=(), default_cpu=value),
    ],
}


@pytest.mark.parametrize("files", FILES)
@pytest.mark.parametrize("before", [True, False])
def test_a_run_that_is_killed_at_any_save_locks_nobody_out_and_nothing_is_overwritten(
    make_store: MakeStore, files: str, before: bool
) -> None:
    made, ended, moment, held_after = FILES[files], False, 0, set[bool]()
    while not ended:
        moment += 1
        scope_stacks = [f"{SCOPE}/{side}{moment}{before}" for side in "ab"]
        world, store = MemoryWorld(), make_store()
        a, b = scope_stacks
        # Each moment has its own scope of claims: the objects are new, and their claims are not.
        Team(store, world).apply(a, destroy=True)
        with pytest.MonkeyPatch.context() as patch:
            kill_at(store, moment, before=before, patch=patch)
            try:
                Team(store, world).apply(a, *made(1))
                ended = True
            except Killed:
                pass
        mine, theirs = Team(make_store(), world), Team(make_store(), world)
        held = {address for address, stack in mine.holders.items() if stack == a}
        world.writes.clear()
        supported = {*mine.state(a).resources, *mine.state(a).intents} & held
        held_after.add(bool(supported))
        plan = theirs.apply(b, *made(2))
        if supported:
            assert {*refusals(plan).values()} == {a}, "the killed run may have written it"
            assert world.writes == []
        else:
            assert plan.can_apply, "the killed run wrote nothing, so its claim is void"
            world.writes.clear()
        # The first one goes on, or is refused; both agree, and nothing is open.
        plan = mine.apply(a, *made(1), ours=None)
        assert plan.can_apply == bool(supported)
        owner, value = (a, 1) if supported else (b, 2)
        declared = [r for r in made(value) if r.address.kind != "model"]
        for resource in declared:
            assert theirs.holders[str(resource.address)] == owner
            live = world.objects[resource.address.kind, resource.address.name]
            assert resource.fields.items() <= live.fields.items()
        for team, stack in ((mine, a), (theirs, b)):
            team.apply(stack, destroy=True, prune=True)
        assert theirs.holders == {}
    assert (moment > 3, held_after) == (True, {True, False})
    CASES["kills at a save of state or register"] += moment
