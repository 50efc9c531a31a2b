"""Commands that are killed, or refused by the store, at each of their writes: the same on each store.

Whatever was written by then, no other stack overwrites what a state has, and the same command finishes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from providers.table import EXCLUSIVE
from reconciler.api import state_edits
from reconciler.core.graph import Resource
from reconciler.core.plan import Plan
from reconciler.core.values import Address, present_address
from state.claims import Registers, is_moved, move_state
from state.copying import copy_states
from state.errors import StateError, StoreUnavailableError
from state.register import Register, scope_of
from state.renaming import Relation, RenamingStore
from state.snapshot import Snapshot
from state.stores.base import Store
from state.stores.bucket import BucketStore
from state.stores.sqlite import SqliteStore
from tests.conftest import CASES
from tests.engine.conftest import model, processing, version_of
from tests.engine.test_claims import SCOPE, Team, refusals
from tests.memory import MemoryWorld
from tests.state.conftest import bucket_maker, run

A, B, Z, OTHER = (f"{SCOPE}/{name}" for name in ("a", "b", "zz", "other"))
ASIDE = "my-org@aside/a"
X = Address.of("processing", "x")


class Killed(BaseException):
    """The process ends here."""


@contextmanager
def cut(store: Store, moment: int, fault: str) -> Iterator[list[str]]:
    """Ends the run after its `moment`-th write, or has the store refuse this one. Yields the writes."""
    writes: list[str] = []

    def cutting(call: Callable[..., Any]) -> Callable[..., Any]:
        def write(*arguments: Any) -> Any:
            writes.append(str(arguments[0]))
            number = len(writes)
            if fault == "refused":
                if number == moment:
                    raise StoreUnavailableError("403 Forbidden")
                return call(*arguments)
            if number > moment:
                raise Killed
            result = call(*arguments)
            if number == moment:
                raise Killed
            return result

        return write

    place: Any = store.objects if isinstance(store, BucketStore) else store
    with pytest.MonkeyPatch.context() as patch:
        for name in ("put", "swap") if isinstance(store, BucketStore) else ("_transact",):
            patch.setattr(place, name, cutting(getattr(place, name)))
        yield writes


class Cut:
    """The stacks of one organization in a store, of which one command is cut.

    Args:
        url: the place of the store.
        folder: for other stores.
        world: the platform; None for an empty one.
    """

    def __init__(self, url: str, folder: Path, world: MemoryWorld | None = None) -> None:
        self.url, self.folder, self.world = url, folder, world or MemoryWorld()
        self.store = self._open()

    def _open(self) -> Store:
        return bucket_maker(self.url)() if "://" in self.url else SqliteStore(Path(self.url))

    def reopen(self) -> None:
        """Use the store as another process would."""
        self.store.close()
        self.store = self._open()

    def apply(self, stack: str, *resources: Resource, **options: Any) -> Plan:
        return Team(self.store, self.world).apply(stack, *resources, **options)

    def must_apply(self, stack: str, *resources: Resource, **options: Any) -> None:
        assert self.apply(stack, *resources, **options).can_apply

    def move(self, before: str, after: str) -> None:
        with self.store.lock(before, run("move"), timeout=0), self.store.lock(after, run("move"), timeout=0):
            move_state(self.store, before, after, present=present_address)

    def move_again(self, before: str, after: str) -> None:
        """As the command does it, which first looks for a stack of this name."""
        known = self.store.load(before) is not None or is_moved(self.store, before, after)
        assert known or self.store.load(after) is not None
        if known:
            self.move(before, after)

    def state(self) -> Any:
        return SimpleNamespace(store=self.store, folder=self.folder)

    def forget_stack(self, stack: str) -> None:
        state_edits.forget_stack(self.state(), stack, _STATE_RUN, lambda _: True)

    def forget(self, stack: str, address: Address) -> None:
        state_edits.forget_resource(self.state(), stack, address, _STATE_RUN, lambda: True)

    @contextmanager
    def source(self) -> Iterator["Cut"]:
        """Another store, of the same stacks and objects."""
        other = Cut(str(self.folder / "source.db"), self.folder, self.world)
        with other.store:
            yield other

    def copy(self) -> None:
        with self.source() as source:
            list(copy_states(source.store, self.store, EXCLUSIVE, present=present_address))

    # -- what must hold

    def unlock(self) -> None:
        """The time passes until the lock of a killed run ends."""
        for stack in (A, B, Z, OTHER, ASIDE):
            self.store.unlock(stack)

    def states(self) -> list[Snapshot]:
        found = (self.store.load(stack) for stack in self.store.names() if scope_of(stack) == SCOPE)
        return [state for state in found if state is not None]

    def had(self) -> set[str]:
        """The exclusive resources on the platform that a state has, or whose write is open."""
        return {
            address
            for state in self.states()
            if state.stack != B
            for address in (*state.resources, *state.intents)
            if address in WANTED and self.exists(address)
        }

    def exists(self, address: str) -> bool:
        parsed = Address.parse(address)
        return (parsed.kind, parsed.name) in self.world.objects

    def check_protected(self) -> None:
        """The plain apply of another stack of the same objects is refused, which writes nothing."""
        plan, _, _ = Team(self.store, self.world).plan(B, *files(9))
        assert self.had() <= refusals(plan).keys(), self.register().claims

    def check_held(self) -> None:
        """Each resource is claimed in the name of a stack that has it."""
        states = {state.stack: state for state in self.states()}
        claims = self.register().claims
        assert self.had() <= claims.keys()
        for address in self.had():
            state = states[claims[address].stack]
            assert address in {*state.resources, *state.intents}, (address, claims)

    def register(self) -> Register:
        return Registers(self.store, EXCLUSIVE, present=present_address).complete(SCOPE)


_STATE_RUN = state_edits.StateRun(["reconciler"], 0, lambda _: None)


WANTED = {"processing/x", "model-version/m/v"}


def files(value: int = 1) -> list[Resource]:
    return [
        processing("x", owns=(), default_cpu=value),
        model("m"),
        version_of("m", "v", docker_tag=str(value)),
    ]


def with_files(it: Cut) -> None:
    it.must_apply(A, *files())


def with_twin(it: Cut) -> None:
    """A move in a bucket that an earlier version did not finish: both names have the state."""
    it.must_apply(A, *files())
    state = it.store.load(A)
    assert state is not None
    it.store.save(replace(state, stack=Z, serial=0), expected_serial=0, lock=None)


def with_taken(it: Cut) -> None:
    """Another stack took the resources, and the first one has not let go of them."""
    it.must_apply(Z, *files())
    it.must_apply(A, *files(2), take=[resource.address for resource in files()])


def with_aside(it: Cut) -> None:
    """The state is aside, and the register has its former stack: a run was killed before its first write."""
    it.must_apply(A, *files())
    it.move(A, ASIDE)
    Registers(it.store, EXCLUSIVE).update(SCOPE, lambda register: register.with_source(A, _SOMEWHERE))


def with_source(it: Cut) -> None:
    with it.source() as source:
        source.must_apply(A, *files())


def with_older_copy(it: Cut) -> None:
    """The target has an earlier copy, without one of the resources, and another stack of its own."""
    with it.source() as source:
        source.must_apply(A, processing("x", owns=(), default_cpu=1))
        it.copy()
        it.must_apply(f"{SCOPE}/own", processing("own", owns=()))
        source.must_apply(A, *files())


def renamed(it: Cut) -> None:
    """The apply of a pipeline whose stack got another name: it moves the state."""
    found = RenamingStore(
        it.store,
        find_older_names=lambda _: lambda _: (),
        relate=lambda *_: Relation.OTHER,
        belongs=lambda _: False,
        find_former_names=lambda stack: [A] if stack == Z else [],
        notify=lambda _: None,
        present=present_address,
    )
    plan = Team(found, it.world).apply(Z, *files(2))
    assert plan.can_apply, refusals(plan)


_SOMEWHERE = state_edits.Source("git", "somewhere")

COMMANDS: dict[str, tuple[Callable[[Cut], object], Callable[[Cut], object]]] = {
    "apply": (lambda it: None, lambda it: it.must_apply(A, *files(), ours=None)),
    "apply of changes": (with_files, lambda it: it.must_apply(A, *files(2), ours=None)),
    "apply of fewer": (with_files, lambda it: it.must_apply(A, *files()[:1], prune=True)),
    "apply --take": (
        with_taken,
        lambda it: it.must_apply(Z, *files(3), ours=None, take=[resource.address for resource in files()]),
    ),
    "destroy": (with_files, lambda it: it.must_apply(A, destroy=True)),
    "state move": (with_files, lambda it: it.move_again(A, Z)),
    "state move of taken": (with_taken, lambda it: it.move_again(A, OTHER)),
    "state move from aside": (with_aside, lambda it: it.move_again(ASIDE, A)),
    "a renamed pipeline": (with_files, renamed),
    "state forget --stack of a twin": (with_twin, lambda it: it.forget_stack(A)),
    "state forget --stack of taken": (with_taken, lambda it: it.forget_stack(A)),
    "state forget of taken": (with_taken, lambda it: it.forget(A, X)),
    "state copy": (with_source, Cut.copy),
    "state copy again": (with_older_copy, Cut.copy),
}


@pytest.mark.parametrize("url", ["sqlite", "gcs"], indirect=True)
@pytest.mark.parametrize("fault", ["killed", "refused"])
@pytest.mark.parametrize("command", COMMANDS)
def test_no_cut_lets_another_stack_overwrite_anything_and_the_same_command_finishes(
    url: str, tmp_path: Path, command: str, fault: str
) -> None:
    prepare, call = COMMANDS[command]
    moment = 0
    while True:
        moment += 1
        it = Cut(f"{url}/{moment}", tmp_path / str(moment))
        prepare(it)
        with cut(it.store, moment, fault) as writes, suppress(Killed, StateError):
            call(it)
        done = len(writes) < moment
        it.reopen()
        it.unlock()
        it.check_protected()
        if not done:
            call(it)
            it.check_protected()
        it.check_held()
        it.store.close()
        if done:
            break
    assert moment > 1
    CASES["cuts of a command at a write"] += moment
