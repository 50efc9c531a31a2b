"""One stack on a provider in memory, for the tests of the engine."""

import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from providers.picsellia.kinds.input import InputKind
from providers.picsellia.kinds.model import ModelKind
from providers.picsellia.kinds.model_version import ModelVersionKind
from providers.picsellia.kinds.processing import ProcessingKind
from providers.protocol import KindFacts, ResourceKind
from providers.rules import FieldRule
from reconciler.core.events import Emit, ignore
from reconciler.core.graph import Graph, Resource
from reconciler.core.plan import Action, Plan, Stack, Step
from reconciler.core.plan_options import PlanOptions
from reconciler.core.planner import plan_steps
from reconciler.core.recovery import contested, settle, unfinished_replaces
from reconciler.core.values import Address
from reconciler.engine import refresh
from reconciler.engine.executor import ExecutionResult, Executor
from reconciler.engine.refresh import RemoteState
from state.snapshot import RecordedResource, Snapshot
from state.state_writer import StateWriter
from state.stores.base import Store
from state.stores.sqlite import SqliteStore
from tests.memory import MemoryKind, MemoryWorld

STACK = Stack("my-org", "STAGING", "https://staging.picsellia.com", "app")
AT = "2025-03-01T12:00:00.000+00:00"

# The platform's own kinds, and an image that is only a field: its verdicts have a room of their own.
FACTS: dict[str, KindFacts] = {
    "image": KindFacts({"version": FieldRule()}, prunable=False),
    "processing": ProcessingKind.facts,
    "input": InputKind.facts,
    "model": ModelKind.facts,
    "model-version": ModelVersionKind.facts,
}

IMAGE = Address.of("image", "reg.io", "app")
APP = Address.of("processing", "app")


def image(version: str = "1.0.0") -> Resource:
    return Resource(IMAGE, {"version": version})


def processing(name: str = "app", *, owns: tuple[str, ...] = ("input",), **fields: Any) -> Resource:
    """A processing with these fields, whose list of inputs the files own."""
    return Resource(Address.of("processing", name), fields, owns=owns)


def input_of(processing: str, name: str, **fields: Any) -> Resource:
    values = {
        "input_type": "DATASET_VERSION",
        "required": True,
        "inference_type_constraint": None,
        "framework_constraint": None,
        **fields,
    }
    parent = Address.of("processing", processing)
    return Resource(Address.of("input", processing, name), values, depends_on=(parent,))


def model(name: str) -> Resource:
    return Resource(Address.of("model", name), {"name": name})


def version_of(model: str, name: str, **fields: Any) -> Resource:
    parent = Address.of("model", model)
    values = {"name": name, **fields}
    return Resource(Address.of("model-version", model, name), values, depends_on=(parent,))


def after(resource: Resource, *others: Resource) -> Resource:
    """The same resource, which also depends on the others."""
    return replace(resource, depends_on=(*resource.depends_on, *(other.address for other in others)))


def record(resource: Resource, id: str | None = None, **inputs: Any) -> RecordedResource:
    """The recorded resource after an apply of `resource`; `inputs` replaces its fields if given."""
    address = str(resource.address)
    edges = tuple(str(other) for other in resource.depends_on)
    fields = inputs or dict(resource.fields)
    return RecordedResource(address, resource.address.kind, id or f"id of {address}", fields, {}, edges)


class Impatient(threading.Event):
    """A stop event whose waits return at once; `waited` has the seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.append(timeout or 0.0)
        return self.is_set()


@dataclass(frozen=True)
class PlanResult:
    """A plan with its inputs."""

    plan: Plan
    desired: Graph
    world: RemoteState
    snapshot: Snapshot

    def step(self, address: Address) -> Step:
        step = self.plan.step(address)
        assert step is not None, f"no step for {address}"
        return step

    @property
    def actions(self) -> dict[str, Action]:
        return {str(step.address): step.action for step in self.plan.steps}


class Bench:
    """One stack with its provider in memory and its state, with methods for the commands.

    Attributes:
        world: the objects of the provider.
        kinds: the kinds of the provider.
        stop: stops a running apply; waiting for a retry takes no time.
    """

    def __init__(self, store: Store, world: MemoryWorld | None = None) -> None:
        self.store = store
        self.world = world if world is not None else MemoryWorld()
        self.kinds: dict[str, ResourceKind] = {
            name: MemoryKind(name, facts, self.world) for name, facts in FACTS.items()
        }
        self.stop = Impatient()

    @property
    def record(self) -> Snapshot:
        """The stored state."""
        return self.store.load(str(STACK)) or Snapshot.new(str(STACK), "lineage-1")

    def recorded(self, address: Address) -> RecordedResource:
        return self.record.resources[str(address)]

    def live(self, address: Address) -> Mapping[str, Any]:
        return self.world.objects[address.kind, address.name].fields

    def plan(self, *resources: Resource, **options: Any) -> PlanResult:
        """As `plan`: read, settle open writes, compare."""
        desired, snapshot, request = Graph(resources), self.record, PlanOptions(**options)
        facts = {name: kind.facts for name, kind in self.kinds.items()}
        recorded = {Address.parse(text): entry for text, entry in snapshot.resources.items()}
        also = {Address.parse(text) for text in snapshot.intents} | (
            set(recorded) if request.prune or request.destroy else set()
        )
        world = refresh.read(desired, recorded, self.kinds, also=also, threads=2)
        assert not world.unreadable
        settled = settle(snapshot, world, facts)
        recorded = {Address.parse(text): entry for text, entry in settled.resources.items()}
        open_creates = contested(settled, world)
        deleted = unfinished_replaces(settled, world)
        steps, remarks = plan_steps(desired, recorded, world, facts, request, open_creates, deleted)
        return PlanResult(
            Plan(STACK, snapshot.lineage, snapshot.serial, steps, remarks), desired, world, settled
        )

    def apply(self, *resources: Resource, **options: Any) -> ExecutionResult:
        """As `apply`: plan, and execute the plan."""
        return self.walk(self.plan(*resources, **options))

    def walk(self, planned: PlanResult, *, parallel: int = 1, emit: Emit = ignore) -> ExecutionResult:
        assert planned.plan.can_apply
        writer = StateWriter(self.store, self.record, lock=None, written_by="0.1.0", clock=lambda: AT)
        writer.update(lambda _: planned.snapshot)
        return Executor(
            planned.plan,
            planned.desired,
            planned.world.found,
            self.kinds,
            writer,
            emit=emit,
            stop=self.stop,
            parallel=parallel,
            now=lambda: AT,
            run="run-1",
            holder=lambda _, __: "",
        )()

    def writes(self) -> list[tuple[str, str]]:
        """(verb, address) of each write since the last call of this method."""
        done = [(verb, str(Address(kind, name))) for verb, kind, name in self.world.writes]
        self.world.writes.clear()
        return done


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(tmp_path / "state.db") as opened:
        yield opened


@pytest.fixture
def bench(store: SqliteStore) -> Bench:
    return Bench(store)


def addresses(steps: Collection[Step]) -> list[str]:
    return [str(step.address) for step in steps]
