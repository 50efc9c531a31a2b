"""A stack has one name in a store, whatever is renamed, applied and copied, and its claims have that name."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest
from msgspec.structs import replace

from providers.table import EXCLUSIVE
from state.claims import Registers, move_state
from state.copying import copy_states
from state.errors import ExistingStateError, RenamedStateError, SharedLineageError, StaleStateError
from state.invariants import verify_name
from state.lineages import names_by_lineage, other_names
from state.register import Source, recorded_claims
from state.snapshot import Snapshot
from state.stores.base import Store
from state.stores.sqlite import SqliteStore
from tests.state.conftest import AT, MakeStore, resource, snapshot

SCOPE = "my-org@STAGING"
NAMES = [f"{SCOPE}/{name}" for name in "abcd"]
LINEAGES = ("lineage-1", "lineage-2")
GIVEN = "processing/given"
SOURCE = Source("git@example.com:shop", "app")


class Pair:
    """Two stores that are copied to each other, and two stacks in them."""

    def __init__(self, stores: Sequence[Store], random: Random) -> None:
        self.stores, self.random, self.giver = stores, random, 0
        self.renamed = 0

    def apply(self) -> None:
        """A run in the store that has the newest state, so that neither store has a history of its own."""
        store = max(self.stores, key=lambda one: sum(self.state(one, it).serial for it in LINEAGES))
        self.giver = 1 - self.giver
        for number, lineage in enumerate(LINEAGES):
            state = self.state(store, lineage)
            given = [resource(GIVEN, cpu=state.serial)] if number == self.giver else []
            made = snapshot(resource(f"processing/{lineage}", cpu=state.serial), *given)
            save(store, replace(made, stack=state.stack, lineage=lineage, serial=state.serial))

    def rename(self) -> None:
        store = self.random.choice(self.stores)
        state = self.state(store, self.random.choice(LINEAGES))
        free = [name for name in NAMES if name not in store.stacks()]
        if state.serial:
            move_state(store, state.stack, self.random.choice(free))

    def copy(self) -> None:
        """A copy in one direction. A refused one is mended as the message says."""
        source, target = self.random.sample(self.stores, 2)
        for _ in range(9):
            try:
                list(copy_states(source, target, EXCLUSIVE))
            except RenamedStateError as problem:
                self.renamed += 1
                try:
                    move_state(target, problem.other, problem.stack)
                except ExistingStateError:  # the names are exchanged
                    move_state(target, problem.stack, f"{SCOPE}/aside")
            except StaleStateError:
                return
            else:
                for lineage in LINEAGES:
                    if (state := self.state(source, lineage)).serial:
                        assert self.state(target, lineage) == state
                return
        raise AssertionError("the ways out of a refused copy lead nowhere")

    def state(self, store: Store, lineage: str) -> Snapshot:
        states = [store.load(stack) for stack in store.stacks()]
        found = [state for state in states if state is not None and state.lineage == lineage]
        number = LINEAGES.index(lineage)
        return found[0] if found else replace(Snapshot.new(NAMES[number], lineage), serial=0)

    def check(self) -> None:
        for store in self.stores:
            stacks = store.stacks()
            for names in names_by_lineage(store, stacks).values():
                assert len(names) == 1
            register = store.load_register(SCOPE)
            for stack in stacks:
                state = store.load(stack)
                assert state is not None
                assert register is not None
                assert register.claims_of(stack).keys() == recorded_claims(state, EXCLUSIVE, since=AT).keys()
                assert other_names(store, stack, store.names()) == []
            assert register is None or {claim.stack for claim in register.claims.values()} <= {*stacks}


def save(store: Store, state: Snapshot) -> None:
    """A save with claims, as a run makes it."""
    store.save(state, expected_serial=state.serial, lock=None)
    claims = recorded_claims(state, EXCLUSIVE, since=AT)
    registers = Registers(store, EXCLUSIVE)
    dropped = registers.read(SCOPE).claims_of(state.stack).keys() - claims.keys()
    registers.update(
        SCOPE, lambda it: it.without_claims(dropped).with_claims(claims).with_source(state.stack, SOURCE)
    )


@pytest.mark.parametrize("seed", range(6))
def test_no_store_has_a_lineage_under_two_names_and_claims_match(
    make_store: MakeStore, tmp_path: Path, seed: int
) -> None:
    random = Random(seed)
    with SqliteStore(tmp_path / "other.db") as other:
        pair = Pair([make_store(), other], random)
        pair.apply()
        for _ in range(14):
            random.choice([pair.apply, pair.rename, pair.copy])()
            pair.check()
        for _ in range(9):  # until a copy meets another name
            if not pair.renamed:
                pair.rename()
                pair.copy()
                pair.check()
        assert pair.renamed, "no stack had two names, so this shows nothing"


@pytest.mark.parametrize("is_back", [False, True])
def test_a_copy_of_a_renamed_stack_is_refused_with_both_ways_out(
    make_store: MakeStore, tmp_path: Path, is_back: bool
) -> None:
    a, b, _, _ = NAMES
    source = make_store()
    save(source, replace(snapshot(resource("processing/a"), serial=0), stack=a))
    with SqliteStore(tmp_path / "target.db") as target:
        list(copy_states(source, target, EXCLUSIVE))
        move_state(target if is_back else source, a, b)
        with pytest.raises(RenamedStateError, match="one history") as caught:
            list(copy_states(source, target, EXCLUSIVE))
        here, there = (a, b) if is_back else (b, a)
        assert f"RECONCILER_STATE=TARGET reconciler state move {there} {here}" in caught.value.hint
        assert f"RECONCILER_STATE=SOURCE reconciler state move {here} {there}" in caught.value.hint
        assert target.stacks() == [there]


def twice(store: Store) -> Snapshot:
    """A stack under two names, as a move that is killed leaves it: the earlier one has the claims."""
    a, b, _, _ = NAMES
    save(store, replace(snapshot(resource("processing/a"), serial=0), stack=a))
    state = store.load(a)
    assert state is not None
    store.save(replace(state, stack=b, serial=0), expected_serial=0, lock=None)
    return state


def test_a_store_with_two_names_of_a_stack_is_not_copied(make_store: MakeStore, tmp_path: Path) -> None:
    a = NAMES[0]
    source = make_store()
    state = twice(source)
    assert [line.split()[0] for line in verify_name(other_names(source, a, source.names()))] == ["I17"]
    with SqliteStore(tmp_path / "target.db") as target:
        for places in ((source, target), (target, source)):
            if places[0] is target:
                save(target, replace(state, serial=0))
            with pytest.raises(SharedLineageError) as caught:
                list(copy_states(*places, EXCLUSIVE))
            assert f"reconciler state forget --stack {a}" in caught.value.hint
        assert target.stacks() == [a]


def test_the_stack_gets_the_claims_of_its_name_that_is_forgotten(
    make_store: MakeStore, tmp_path: Path
) -> None:
    a, b, _, _ = NAMES
    store = make_store()
    state = twice(store)
    store.save(replace(state, resources={}), expected_serial=1, lock=None)
    Registers(store, EXCLUSIVE).release_stack(a)
    register = store.load_register(SCOPE)
    assert register is not None
    assert {claim.stack for claim in register.claims.values()} == {b}
    assert other_names(store, b, store.names()) == []
    with SqliteStore(tmp_path / "target.db") as target:
        list(copy_states(store, target, EXCLUSIVE))
        assert target.stacks() == [b], "a name without resources is not copied"
