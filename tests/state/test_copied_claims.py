"""After a copy of state, each resource has the same holder in both stores, whatever happened before."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.table import EXCLUSIVE
from reconciler.core.graph import Resource
from reconciler.core.values import Address
from state.copying import copy_states
from state.errors import StateError
from state.stores.base import Store
from state.stores.sqlite import SqliteStore
from tests.engine.conftest import processing
from tests.engine.test_claims import SCOPE, Team, refusals
from tests.memory import MemoryWorld
from tests.state.conftest import MakeStore
from tests.state.test_cut_commands import Killed, cut

A, B, OWN = (f"{SCOPE}/{name}" for name in ("a", "b", "own"))
X, Y = Address.of("processing", "x"), Address.of("processing", "y")

_applies = st.tuples(
    st.sampled_from([A, B]),
    st.sets(st.sampled_from([X, Y])),
    st.integers(1, 2),
    st.booleans(),  # takes what another stack claims
)
_copies = st.sampled_from(["copy", "killed", "refused"])
_steps = st.lists(st.one_of(_applies, st.tuples(_copies, st.integers(1, 6))), max_size=9)


def files(addresses: set[Address], value: int) -> list[Resource]:
    return [processing(*address.name, owns=(), default_cpu=value) for address in sorted(addresses, key=str)]


class Pair:
    """A store and the one that it is copied to, with the stacks of one organization."""

    def __init__(self, source: Store, target: Store) -> None:
        world = MemoryWorld()
        self.source, self.target = Team(source, world), Team(target, world)

    def apply(self, stack: str, addresses: set[Address], value: int = 1, *, takes: bool = False) -> None:
        options: dict[str, Any] = {"take": sorted(addresses, key=str)} if takes else {}
        self.source.apply(stack, *files(addresses, value), ours=None, **options)

    def copy(self) -> None:
        list(copy_states(self.source.store, self.target.store, EXCLUSIVE))

    def cut_copy(self, fault: str, moment: int) -> None:
        with cut(self.target.store, moment, fault), suppress(Killed, StateError):
            self.copy()

    def check(self) -> None:
        """Each resource has its holder of the source, and the other stack is refused there."""
        held = {address: stack for address, stack in self.target.holders.items() if stack != OWN}
        assert held == self.source.holders
        for stack in (A, B):
            plan, _, _ = self.target.plan(stack, *files({X, Y}, 7), ours=None)
            others = {address: holder for address, holder in held.items() if holder != stack}
            assert others.items() <= refusals(plan).items()


@given(_steps)
@settings(max_examples=15)
def test_after_a_copy_each_resource_has_the_holder_of_the_source(steps: Sequence[tuple[Any, ...]]) -> None:
    with (
        TemporaryDirectory() as folder,
        SqliteStore(Path(folder) / "source.db") as source,
        SqliteStore(Path(folder) / "target.db") as target,
    ):
        pair = Pair(source, target)
        pair.target.apply(OWN, processing("own", owns=()))
        for step in [*steps, ("copy", 0)]:
            match step:
                case ("copy", _):
                    pair.copy()
                    pair.check()
                case ("killed" | "refused" as fault, moment):
                    pair.cut_copy(fault, moment)
                case (stack, addresses, value, takes):
                    pair.apply(stack, addresses, value, takes=takes)
        assert pair.target.holders["processing/own"] == OWN


@pytest.mark.parametrize("value", [1, 2])
def test_a_resource_that_is_taken_back_is_taken_back_in_the_copy_too(
    make_store: MakeStore, tmp_path: Path, value: int
) -> None:
    """Even if it is in sync, so that no state has a new serial."""
    with SqliteStore(tmp_path / "source.db") as source:
        pair = Pair(source, make_store())
        pair.apply(A, {X})
        pair.apply(B, {X}, takes=True)
        pair.copy()
        pair.apply(A, {X}, value, takes=True)
        pair.copy()
        assert pair.target.holders == {"processing/x": A}
        pair.check()


def test_a_copy_whose_claims_were_refused_is_finished_by_the_next_one(
    make_store: MakeStore, tmp_path: Path
) -> None:
    with SqliteStore(tmp_path / "source.db") as source:
        pair = Pair(source, make_store())
        pair.apply(A, {X})
        pair.copy()
        pair.apply(B, {X}, takes=True)
        save = pair.target.store.save_register
        with pytest.MonkeyPatch.context() as patch:

            def refuse(*_: Any, **__: Any) -> None:
                raise StateError("403 Forbidden", hint="check the permissions")

            patch.setattr(pair.target.store, "save_register", refuse)
            with pytest.raises(StateError) as caught:
                pair.copy()
        assert pair.target.store.save_register == save
        assert str(caught.value) == (
            "the states were copied, but their claims were not: 403 Forbidden\n"
            "  check the permissions; then run the same command again to finish"
        )
        pair.copy()
        pair.check()
