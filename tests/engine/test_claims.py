"""Claims in plans and applies: what one stack claims is never written, kept or deleted by another one."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from providers.protocol import Exclusive, LiveObject, Reference
from providers.table import EXCLUSIVE
from reconciler.core.events import ignore
from reconciler.core.graph import Graph, Origin, Resource
from reconciler.core.plan import Action, Plan, Stack, Step
from reconciler.core.plan_options import PlanOptions
from reconciler.core.planner import plan_steps
from reconciler.core.reasons import ReasonCode, RefusalCode, Way
from reconciler.core.recovery import contested, settle, unfinished_replaces
from reconciler.core.values import Address
from reconciler.engine import refresh
from reconciler.engine.claims import PlanClaims
from reconciler.engine.executor import Executor
from reconciler.pipeline.shared import SharedSettings
from reconciler.views import phrases
from state.claims import Registers
from state.errors import StoreUnavailableError
from state.register import Claim, Register, Source
from state.snapshot import Snapshot
from state.state_writer import StateWriter
from state.stores.base import Store
from state.stores.sqlite import SqliteStore
from tests.engine.conftest import AT, FACTS, input_of, model, processing, version_of
from tests.memory import MemoryKind, MemoryWorld
from tests.state.conftest import intent, run
from tests.state.test_sqlite import change

SCOPE = "my-org@STAGING"
A, B, C = (f"{SCOPE}/{name}" for name in "abc")
KINDS = {**FACTS, "image": replace(FACTS["image"], exclusive=Exclusive.NAME)}
X, M, V = Address.of("processing", "x"), Address.of("model", "m"), Address.of("model-version", "m", "v")


class Team:
    """Several stacks on one platform and one store, each with a session of its own per command."""

    def __init__(self, store: Store, world: MemoryWorld | None = None) -> None:
        self.store = store
        self.world = world or MemoryWorld()
        self.kinds = {name: MemoryKind(name, facts, self.world) for name, facts in KINDS.items()}
        self.notices: list[object] = []

    @property
    def register(self) -> Register:
        return Registers(self.store, EXCLUSIVE).read(SCOPE)

    @property
    def holders(self) -> dict[str, str]:
        return {address: claim.stack for address, claim in self.register.claims.items()}

    def state(self, stack: str) -> Snapshot:
        return self.store.load(stack) or Snapshot.new(stack, f"lineage of {stack}")

    def plan(
        self, stack: str, *resources: Resource, registers: Registers | None = None, **options: Any
    ) -> tuple[Plan, PlanClaims, Snapshot]:
        desired, request, stored = Graph(resources), PlanOptions(**options), self.state(stack)
        name = stack.rpartition("/")[2]
        registers = registers or Registers(self.store, EXCLUSIVE, sleep=lambda _: None)
        session: Any = SimpleNamespace(store=self.store, registers=registers, emit=self.notices.append)
        shared = SharedSettings(root=Path("/team"), name="team")
        folder = Path(f"/team/{name}")
        loaded = SimpleNamespace(shared=shared)
        pipeline: Any = SimpleNamespace(folder=folder, real_folder=folder, loaded=loaded)
        recorded = {Address.parse(text): entry for text, entry in stored.resources.items()}
        register = registers.read(SCOPE)
        also = {Address.parse(text) for text in stored.intents}
        also |= set(recorded) if request.prune or request.destroy else set()
        remote = refresh.read(desired, recorded, self.kinds, also=also, threads=1)
        settled = settle(stored, remote, KINDS)
        recorded = {Address.parse(text): entry for text, entry in settled.resources.items()}
        unknown, deleted = contested(settled, remote), unfinished_replaces(settled, remote)
        steps, _ = plan_steps(desired, recorded, remote, KINDS, request, unknown, deleted)
        claims = PlanClaims(
            session,
            pipeline,
            Stack("my-org", "STAGING", "https://staging.picsellia.com", name),
            desired,
            remote,
            KINDS,
            register,
            request.take,
            "reconciler apply",
        )
        return Plan(claims.stack, stored.lineage, stored.serial, claims.review(steps)), claims, settled

    def carry_out(self, stack: str, plan: Plan, claims: PlanClaims, settled: Snapshot) -> Plan:
        """Apply a plan that `plan` made, under the lock of its stack."""
        with self.store.lock(stack, run(stack), timeout=0) as lock:
            if plan.can_apply:
                plan = claims.claim(plan, settled)
            if plan.can_apply:
                before = self.state(stack)
                writer = StateWriter(self.store, before, lock=lock, written_by="0.1.0", clock=lambda: AT)
                writer.update(lambda _: settled)
                Executor(
                    plan,
                    claims.desired,
                    claims.remote_state.found,
                    self.kinds,
                    writer,
                    emit=ignore,
                    stop=threading.Event(),
                    parallel=1,
                    now=lambda: AT,
                    run="run-1",
                    holder=claims.holder,
                )()
                claims.settle(writer.snapshot)
        return plan

    def apply(self, stack: str, *resources: Resource, **options: Any) -> Plan:
        return self.carry_out(stack, *self.plan(stack, *resources, **options))

    def writes(self) -> list[tuple[str, Address]]:
        """(verb, address) of each write since the last call."""
        done = [(verb, Address(kind, name)) for verb, kind, name in self.world.writes]
        self.world.writes.clear()
        return done


@pytest.fixture
def team(store: SqliteStore) -> Team:
    return Team(store)


@dataclass
class Mistaken:
    """A kind whose creates are answered with another object, as is every read of what was created."""

    kind: MemoryKind
    other: LiveObject

    def __getattr__(self, name: str) -> Any:
        return getattr(self.kind, name)

    def create(self, name: Sequence[str], *arguments: Any, **options: Any) -> LiveObject:
        return replace(self.kind.create(name, *arguments, **options), id=self.other.id)

    def read(self, reference: Reference) -> LiveObject | None:
        live = self.kind.read(reference)
        return live and replace(live, id=self.other.id)


@pytest.mark.parametrize(
    ("there", "new", "stack"),
    [
        pytest.param(processing("x"), processing("y"), A, id="processing, own stack"),
        pytest.param(processing("x"), processing("y"), B, id="processing, another stack"),
        pytest.param(version_of("m", "v"), version_of("m", "w"), A, id="version, own stack"),
        pytest.param(version_of("m", "v"), version_of("m", "w"), B, id="version, another stack"),
        pytest.param(model("m"), model("n"), A, id="model, own stack"),  # others may share it
    ],
)
def test_a_create_that_is_answered_with_the_object_of_another_resource(
    there: Resource, new: Resource, stack: str, team: Team
) -> None:
    kind, parents = there.address.kind, [model("m")] if there.depends_on else []
    team.apply(A, *parents, there)
    team.writes()
    before, claims = dict(team.world.objects), team.holders
    theirs = [there] if stack == A else []
    team.kinds[kind] = Mistaken(team.kinds[kind], before[kind, there.address.name])  # type: ignore[assignment]

    team.apply(stack, *parents, *theirs, new)

    assert team.writes() in ([("create", new.address)], [])
    assert str(new.address) not in team.state(stack).resources
    assert {key: team.world.objects[key] for key in before} == before
    assert {address: team.holders[address] for address in claims} == claims


def declared(resource: Resource, file: str = "/team/b/config.toml", line: int = 4) -> Resource:
    return replace(resource, declared=Origin(Path(file), line))


def refusals(plan: Plan) -> dict[str, str]:
    """Address of each refused step -> the stack that claims it."""
    for step in plan.refused:
        assert step.refusal is not None
        assert step.refusal.reason.code is RefusalCode.CLAIMED
    return {str(step.address): step.refusal.reason.details["stack"] for step in plan.refused if step.refusal}


def step_of(plan: Plan, address: Address) -> Step:
    step = plan.step(address)
    assert step is not None
    return step


# -- whatever happens

RESOURCES: Mapping[str, Callable[[int], Resource]] = {
    "x": lambda value: processing("x", owns=(), default_cpu=value),
    "y": lambda value: processing("y", owns=(), default_cpu=value),
    "v": lambda value: version_of("m", "v", docker_tag=str(value)),
    "w": lambda value: version_of("m", "w", docker_tag=str(value)),
    "r": lambda value: Resource(Address.of("image", "r"), {"version": str(value)}),
}


@st.composite
def commands(draw: st.DrawFn) -> tuple[str, list[Resource], dict[str, Any]]:
    """A stack, the resources in its files, and options."""
    names: set[str] = draw(st.sets(st.sampled_from([*RESOURCES])))
    resources = [RESOURCES[name](draw(st.integers(1, 2))) for name in sorted(names)]
    has_model = draw(st.booleans())
    if has_model or names & {"v", "w"}:
        resources.insert(0, model("m"))
    options: dict[str, Any] = {"prune": draw(st.booleans()), "ours": None}
    if draw(st.integers(0, 5)) == 0:
        options["take"] = [draw(st.sampled_from([r.address for r in resources] or [X]))]
    if draw(st.integers(0, 7)) == 0:
        resources, options["destroy"] = [], True
    return draw(st.sampled_from([A, B, C])), resources, options


@settings(max_examples=60)
@given(st.lists(commands(), min_size=2, max_size=9))
def test_no_stack_writes_what_another_one_claims_and_every_apply_ends_in_claims_of_its_own(
    history: list[tuple[str, list[Resource], dict[str, Any]]],
) -> None:
    with TemporaryDirectory() as folder, SqliteStore(Path(folder) / "state.db") as store:
        team = Team(store)
        for stack, resources, options in history:
            before = team.register
            states = {other: team.state(other) for other in (A, B, C)}
            plan = team.apply(stack, *resources, **options)
            for verb, address in team.writes():
                for claimed, claim in before.claims.items():
                    held = claim.stack != stack and claimed in states[claim.stack].resources
                    below = claimed.startswith(f"model-version/{'/'.join(address.name)}/")
                    if held and (claimed == str(address) or (verb == "delete" and below)):
                        assert address in options.get("take", ()), f"{stack} must not {verb} {claimed}"
                        assert verb != "delete"
            if not plan.can_apply:
                assert team.register == before
                continue
            kept = [r.address for r in resources if KINDS[r.address.kind].exclusive]
            assert {str(a): stack for a in kept}.items() <= team.holders.items()
            recorded = team.state(stack).resources
            for address in kept:
                id = recorded[str(address)].id if address.kind != "image" else None
                assert team.register.claims[str(address)].id == id
            # An apply of the same again does nothing.
            serial = team.register.serial
            assert team.apply(stack, *resources, **{**options, "take": ()}).is_empty
            assert (team.writes(), team.register.serial) == ([], serial)


# -- one by one


def test_a_resource_of_another_stack_is_refused_with_both_places_and_the_ways_out(team: Team) -> None:
    team.apply(A, declared(processing("x", default_cpu=1), "/team/a/config.toml", 3))
    team.writes()
    plan = team.apply(B, declared(processing("x", default_cpu=2)))
    refusal = step_of(plan, X).refusal
    assert refusal is not None
    assert refusal.reason.code is RefusalCode.CLAIMED
    claim = team.register.claims["processing/x"]
    assert refusal.reason.details == {
        "stack": A,
        "since": claim.since,
        "workspace_there": "",
        "declared_there": "a/config.toml:3",
        "declared_here": "b/config.toml:4",
    }
    assert [way.label for way in refusal.ways] == [Way.TAKE, Way.DECLARE_ANOTHER]
    assert refusal.ways[0].command == "reconciler apply --take processing/x"
    assert (plan.exit_code, team.writes()) == (12, [])
    assert B not in team.register.stacks


def test_a_resource_that_is_in_sync_is_refused_too(team: Team) -> None:
    team.apply(A, processing("x", default_cpu=1))
    assert refusals(team.apply(B, processing("x", default_cpu=1))) == {"processing/x": A}


def test_a_model_is_shared(team: Team) -> None:
    team.apply(A, model("m"), version_of("m", "v"))
    plan = team.apply(B, model("m"), version_of("m", "w"))
    assert plan.can_apply
    assert team.holders == {"model-version/m/v": A, "model-version/m/w": B}


def test_a_model_with_a_version_of_another_stack_is_not_deleted(team: Team) -> None:
    team.apply(A, model("m"), version_of("m", "v"))
    team.apply(B, model("m"), version_of("m", "w"))
    team.writes()
    plan = team.apply(A, prune=True)
    assert step_of(plan, M).reason.code is ReasonCode.CLAIMED_ELSEWHERE
    assert team.writes() == [("delete", V)]
    assert not team.state(A).resources
    assert team.holders == {"model-version/m/w": B}
    assert step_of(team.apply(B, destroy=True, prune=True), M).action is Action.DELETE


@pytest.mark.parametrize(
    "options", [{}, {"prune": True}, {"destroy": True}, {"destroy": True, "prune": True}]
)
def test_a_stack_that_lost_a_resource_lets_go_of_it_and_of_all_in_it(
    team: Team, options: dict[str, bool]
) -> None:
    mine = processing("x", default_cpu=1), input_of("x", "dataset")
    team.apply(A, *mine)
    team.apply(B, *mine, take=[X])
    team.writes()
    plan = team.apply(A, **options)
    steps = {str(step.address): (step.action, step.reason.code) for step in plan.steps}
    assert steps == {
        "processing/x": (Action.FORGET, ReasonCode.CLAIMED_ELSEWHERE),
        "input/x/dataset": (Action.FORGET, ReasonCode.CLAIMED_ELSEWHERE),
    }
    assert (team.writes(), dict(team.state(A).resources), team.holders) == ([], {}, {"processing/x": B})
    assert team.apply(B, *mine).is_empty


def test_take_moves_the_claim_without_the_other_stack_which_is_refused_then(team: Team) -> None:
    team.apply(A, processing("x", default_cpu=1))
    team.writes()
    with team.store.lock(A, run("its own run"), timeout=0):
        assert team.apply(B, processing("x", default_cpu=2), take=[X]).can_apply
    assert team.writes() == [("update", X)]
    assert refusals(team.apply(A, processing("x", default_cpu=1))) == {"processing/x": B}
    assert team.apply(A, processing("x", default_cpu=1), take=[X]).can_apply
    assert team.holders == {"processing/x": A}


def test_take_of_one_resource_takes_no_other(team: Team) -> None:
    team.apply(A, processing("x"), processing("y"))
    assert refusals(team.apply(B, processing("x"), processing("y"), take=[X])) == {"processing/y": A}
    assert team.holders == {"processing/x": A, "processing/y": A}


def test_take_does_not_delete_what_another_stack_claims(team: Team) -> None:
    team.apply(A, processing("x"))
    team.apply(B, processing("x"), take=[X])
    team.writes()
    team.apply(A, prune=True, take=[X])
    assert (team.writes(), team.holders) == ([], {"processing/x": B})


def test_one_object_by_two_names_belongs_to_the_stack_that_has_its_id(team: Team) -> None:
    """A model that was renamed on the platform: both names lead to one model version."""
    team.apply(A, model("m"), version_of("m", "v"))
    live = team.world.objects["model-version", ("m", "v")]
    fields = {"name": "renamed"}
    shared = replace(team.world.objects["model", ("m",)], name=("renamed",), fields=fields)
    team.world.objects["model", ("renamed",)] = shared
    team.world.objects["model-version", ("renamed", "v")] = replace(live, name=("renamed", "v"))
    plan = team.apply(B, model("renamed"), version_of("renamed", "v"))
    assert refusals(plan) == {"model-version/renamed/v": A}
    by_its_other_name = [V]
    assert team.apply(B, model("renamed"), version_of("renamed", "v"), take=by_its_other_name).can_apply
    assert team.holders == {"model-version/renamed/v": B}
    plan = team.apply(A, model("m"), version_of("m", "v"))
    assert refusals(plan) == {"model-version/m/v": B}


def test_two_images_with_the_same_content_are_two_images(team: Team) -> None:
    one, other = (Resource(Address.of("image", name), {"version": "1"}) for name in "rs")
    team.apply(A, one)
    team.world.objects["image", ("s",)] = replace(team.world.objects["image", ("r",)], name=("s",))
    assert team.apply(B, other).can_apply
    assert team.holders == {"image/r": A, "image/s": B}


# -- void claims


def test_the_claim_of_an_object_that_is_gone_is_void(team: Team) -> None:
    team.apply(A, processing("x", default_cpu=1))
    team.world.remove(("processing", ("x",)))
    assert team.apply(B, processing("x", default_cpu=2)).can_apply
    assert team.holders == {"processing/x": B}
    assert refusals(team.apply(A, processing("x", default_cpu=1))) == {"processing/x": B}


def test_the_claim_of_an_object_that_was_created_after_the_read_is_not_void(team: Team) -> None:
    planned = team.plan(B, processing("x", default_cpu=2))  # reads that x does not exist
    team.apply(A, processing("x", default_cpu=1))
    team.writes()
    plan = team.carry_out(B, *planned)
    assert refusals(plan) == {"processing/x": A}
    assert team.writes() == []


def claim_by(team: Team, stack: str, *, id: str | None = None) -> None:
    """A run of this stack was killed after it took its claims."""
    claims = {"processing/x": Claim(stack, id, AT)}
    Registers(team.store, EXCLUSIVE).update(SCOPE, lambda it: it.with_claims(claims))


def test_the_claim_of_a_run_that_was_killed_before_its_first_write_is_void(team: Team) -> None:
    claim_by(team, A)
    assert team.apply(B, processing("x")).can_apply
    assert team.holders == {"processing/x": B}


def test_the_claim_of_a_run_in_progress_holds_without_any_state(team: Team) -> None:
    claim_by(team, A)
    with team.store.lock(A, run("a run"), timeout=0):
        assert refusals(team.apply(B, processing("x"))) == {"processing/x": A}


def test_a_claim_that_an_unfinished_write_supports_is_not_void(team: Team) -> None:
    claim_by(team, A)
    state = replace(team.state(A), written_by="0.1.0", written_at=AT).with_intent(intent("processing/x"))
    team.store.save(state, expected_serial=0, lock=None)
    assert refusals(team.apply(B, processing("x"))) == {"processing/x": A}


def test_a_void_claim_that_its_stack_uses_again_in_the_meantime_is_not_overridden(team: Team) -> None:
    """A run of A was killed; B plans and finds its claim void; A runs again; then B applies its plan."""
    claim_by(team, A)
    planned = team.plan(B, processing("x", default_cpu=2))
    assert planned[0].can_apply
    mine = team.plan(A, processing("x", default_cpu=1))
    assert mine[1].claim(mine[0], mine[2]).can_apply  # and its first write comes later
    with team.store.lock(A, run("the second run of a"), timeout=0):
        assert refusals(team.carry_out(B, *planned)) == {"processing/x": A}


def test_a_void_claim_that_another_stack_took_is_lost_for_the_first_one(team: Team) -> None:
    claim_by(team, A)
    planned = team.plan(A, processing("x", default_cpu=1))
    team.apply(B, processing("x", default_cpu=2))
    team.writes()
    assert refusals(team.carry_out(A, *planned)) == {"processing/x": B}
    assert team.writes() == []


# -- between plan and write


def test_a_delete_becomes_a_forget_if_another_stack_took_the_resource_after_the_plan(team: Team) -> None:
    team.apply(A, processing("x"))
    planned = team.plan(A, prune=True)
    assert step_of(planned[0], X).action is Action.DELETE
    team.apply(B, processing("x"), take=[X])
    team.writes()
    plan = team.carry_out(A, *planned)
    assert step_of(plan, X).action is Action.FORGET
    assert (team.writes(), team.holders) == ([], {"processing/x": B})


def test_an_update_is_refused_if_another_stack_took_the_resource_after_the_plan(team: Team) -> None:
    """Although the register that this session read has the claim, so that nothing would be written."""
    team.apply(A, processing("x", default_cpu=1))
    planned = team.plan(A, processing("x", default_cpu=5))
    team.apply(B, processing("x", default_cpu=2), take=[X])
    team.writes()
    assert refusals(team.carry_out(A, *planned)) == {"processing/x": B}
    assert team.writes() == []


def test_one_session_applies_a_stack_that_lets_go_and_then_one_that_takes_over(team: Team) -> None:
    team.apply(A, processing("x"))
    registers = Registers(team.store, EXCLUSIVE)
    plans = [team.plan(A, registers=registers)]
    assert team.carry_out(A, *plans[0]).can_apply
    assert team.apply(B, processing("x"), registers=registers).can_apply


def test_a_register_that_cannot_be_completed_is_a_notice_and_the_next_apply_completes_it(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, calls = team.store.save_register, list[int]()

    def second_fails(register: Register, *, expected_serial: int | None) -> Register:
        calls.append(1)
        if len(calls) == 2:
            raise StoreUnavailableError("no answer")
        return save(register, expected_serial=expected_serial)

    monkeypatch.setattr(team.store, "save_register", second_fails)
    assert team.apply(A, processing("x")).can_apply
    assert team.register.claims["processing/x"].id is None
    assert "the register of claims was not updated: no answer" in str(team.notices)
    assert team.apply(A, processing("x")).is_empty
    assert team.register.claims["processing/x"].id is not None


def test_the_register_has_the_workspace_and_the_folder_of_each_stack_that_has_resources(team: Team) -> None:
    team.apply(A, processing("x"))
    assert team.register.stacks == {A: Source("team", "a")}
    team.apply(A, destroy=True)
    assert team.register == Register(SCOPE, team.register.serial)


def test_state_of_an_earlier_version_holds_its_claims(team: Team) -> None:
    team.apply(A, processing("x"))
    assert isinstance(team.store, SqliteStore)
    change(team.store.path, "DROP TABLE registers")
    for name in ("promoted_from", "override"):
        change(team.store.path, f"ALTER TABLE saves DROP COLUMN {name}")
    change(team.store.path, "PRAGMA user_version = 3")
    assert refusals(team.apply(B, processing("x"))) == {"processing/x": A}


@pytest.mark.parametrize("keeps", [True, False])
def test_a_resource_that_is_let_go_goes_to_the_stack_that_has_it_too(team: Team, keeps: bool) -> None:
    """B took it from A, whose files still declare it, and then leaves it on the platform."""
    team.apply(A, processing("x"))
    team.apply(B, processing("x"), processing("y"), take=[X])
    team.apply(B, *([processing("y")] if keeps else []))
    assert team.holders == {"processing/x": A, **({"processing/y": B} if keeps else {})}
    assert refusals(team.apply(C, processing("x"))) == {"processing/x": A}


def test_a_stale_claim_hides_no_stack_that_has_the_resource(team: Team) -> None:
    """The state was moved from A to B, and the run was killed before the claims were."""
    team.apply(A, processing("x"))
    team.store.move(A, B)
    assert team.holders == {"processing/x": A}
    assert refusals(team.apply(C, processing("x"))) == {"processing/x": B}
    assert team.apply(B, processing("x")).can_apply
    assert team.holders == {"processing/x": B}


def test_a_stale_claim_of_a_taken_resource_is_that_of_the_stack_that_was_saved_last(team: Team) -> None:
    team.apply(A, processing("x"))
    team.apply(B, processing("x", default_cpu=7), take=[X])
    state = replace(team.state(B), written_at="2030-01-01T00:00:00.000+00:00")
    team.store.save(state, expected_serial=state.serial, lock=None)
    team.store.move(B, C)
    assert refusals(team.apply(A, processing("x"))) == {"processing/x": C}
    assert team.apply(C, processing("x", default_cpu=7)).can_apply


def test_a_refusal_names_the_other_workspace(team: Team) -> None:
    """Both may have the same path."""
    team.apply(A, declared(processing("x"), "/team/b/config.toml"))
    Registers(team.store, EXCLUSIVE).update(SCOPE, lambda it: it.with_source(A, Source("git/other", "b")))
    refusal = step_of(team.apply(B, declared(processing("x"))), X).refusal
    assert refusal is not None
    since = team.register.claims["processing/x"].since[:16].replace("T", " ")
    assert phrases.reason(refusal.reason) == (
        f"{A} has claimed it since {since}, declared at b/config.toml:4 in the workspace git/other; "
        "b/config.toml:4 of this workspace declares it, too"
    )
