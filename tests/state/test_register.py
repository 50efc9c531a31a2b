"""The register: who claims what, as a pure value, and kept by each store with compare-and-swap."""

import json
import sqlite3
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from state.claims import Registers, move_state
from state.copying import copy_states
from state.errors import CorruptStateError, NewerFormatError, RegisterConflictError, StoreUnavailableError
from state.register import (
    Claim,
    Register,
    Source,
    from_document,
    from_text,
    kind_of,
    register_from_states,
    scope_of,
    to_document,
    to_text,
)
from state.snapshot import Snapshot
from state.stores.base import Store
from state.stores.bucket import BucketStore
from state.stores.objects import Objects, PreconditionFailedError, Version
from state.stores.opening import open_store
from state.stores.sqlite import SqliteStore
from tests.state.conftest import AT, MakeStore, intent, resource, snapshot
from tests.state.test_processes import start
from tests.state.test_sqlite import change
from tests.waits import PATIENCE, until

SCOPE = "my-org@STAGING"
A, B, C = (f"{SCOPE}/{name}" for name in "abc")
KINDS = {"processing": True, "model-version": True, "image": False}
BY_ID = [kind for kind, by_id in KINDS.items() if by_id]

addresses = st.builds(lambda kind, name: f"{kind}/{name}", st.sampled_from([*KINDS]), st.sampled_from("xyz"))
stacks = st.sampled_from([A, B, C])


@st.composite
def claim_of(draw: st.DrawFn, address: str) -> Claim:
    id = draw(st.sampled_from([None, "1", "2", "3"])) if KINDS[kind_of(address)] else None
    return Claim(draw(stacks), id, AT, draw(st.sampled_from(["", "a/config.toml:3"])))


claims = addresses.flatmap(lambda address: st.tuples(st.just(address), claim_of(address)))
registers = st.lists(claims, max_size=12).map(
    lambda made: _taken(Register(SCOPE, serial=3, stacks={A: Source("git@x:y", "a")}), made)
)


def _taken(register: Register, made: list[tuple[str, Claim]]) -> Register:
    for address, claim in made:
        register = register.with_claims({address: claim})
    return register


def check_one_holder_each(register: Register) -> None:
    """No object has two claims, under whichever name."""
    named = [(kind_of(address), claim.id) for address, claim in register.claims.items() if claim.id]
    assert len(named) == len({*named})


def state_of(
    stack: str, *resources: tuple[str, str], at: str = AT, intents: tuple[str, ...] = ()
) -> Snapshot:
    made = snapshot(*(replace(resource(address), id=id) for address, id in resources))
    for address in intents:
        made = made.with_intent(intent(address))
    return replace(made, stack=stack, written_at=at, lineage=f"lineage of {stack}")


def put(store: Store, state: Snapshot) -> Snapshot:
    return store.save(state, expected_serial=0, lock=None)


# -- the value


@given(registers)
def test_an_object_has_one_claim_at_most(register: Register) -> None:
    check_one_holder_each(register)


@given(registers, claims)
def test_a_claim_that_is_set_replaces_all_others_on_the_resource_and_nothing_else(
    register: Register, made: tuple[str, Claim]
) -> None:
    address, claim = made
    after = register.with_claims({address: claim})
    assert after.claims[address] == claim
    check_one_holder_each(after)
    replaced = register.matching(address, [claim.id])
    assert {a: c for a, c in after.claims.items() if a != address} == {
        a: c for a, c in register.claims.items() if a not in replaced and a != address
    }


@given(registers, addresses, st.sampled_from([None, "1", "2"]), stacks)
def test_the_claims_of_others_are_those_of_the_address_and_of_the_id(
    register: Register, address: str, id: str | None, stack: str
) -> None:
    expected = {
        other: claim
        for other, claim in register.claims.items()
        if claim.stack != stack
        and (other == address or (id is not None and claim.id == id and kind_of(other) == kind_of(address)))
    }
    assert register.of_others(stack, address, [id]) == expected


@given(registers, stacks)
def test_a_stack_that_leaves_takes_its_claims_and_no_others(register: Register, stack: str) -> None:
    after = register.without_stack(stack)
    assert after.claims_of(stack) == {}
    assert stack not in after.stacks
    assert {**after.claims, **register.claims_of(stack)} == register.claims


@given(registers, registers, stacks, stacks)
def test_a_stack_of_another_register_brings_its_claims_unless_another_stack_holds_them(
    register: Register, other: Register, before: str, after: str
) -> None:
    joined = register.with_stack_of(other, before, after)
    check_one_holder_each(joined)
    for stack in {A, B, C} - {after}:
        assert joined.claims_of(stack) == register.claims_of(stack)
    for address, claim in other.claims_of(before).items():
        if register.of_others(after, address, [claim.id]):
            assert joined.claims.get(address) == register.claims.get(address)
        else:
            assert joined.claims[address] == replace(claim, stack=after)


@given(registers, registers, st.sets(stacks))
def test_copied_stacks_have_the_claims_of_the_source_and_other_stacks_keep_theirs(
    register: Register, other: Register, copied: set[str]
) -> None:
    joined = register.with_copied(other.only(copied), copied)
    check_one_holder_each(joined)
    for stack in {A, B, C} - copied:
        assert joined.claims_of(stack) == register.claims_of(stack)
    for stack in copied:
        kept = {
            address: claim
            for address, claim in other.claims_of(stack).items()
            if not any(one.stack not in copied for one in register.matching(address, [claim.id]).values())
        }
        assert joined.claims_of(stack) == kept
        assert joined.stacks.get(stack) == other.stacks.get(stack)


@given(registers, st.lists(st.tuples(addresses, st.sampled_from([None, "1", "2", "3"])), min_size=1))
def test_a_changed_register_finds_objects_as_one_that_is_read_again(
    register: Register, ids: list[tuple[str, str | None]]
) -> None:
    """An earlier version may have left two claims on one object, too."""
    twice = {address: Claim(A, id, AT) for address, id in ids}
    changed = replace(register, claims={**register.claims, **twice})
    for address, id in ids:
        changed = changed.with_claims({address: Claim(B, id, AT)})
        again = from_document(to_document(changed), SCOPE)
        for other in {*changed.claims, *(kind + "/new" for kind in KINDS)}:
            for sought in (None, "1", "2", "3"):
                assert changed.matching(other, [sought]) == again.matching(other, [sought])


names = st.text(min_size=1) | st.sampled_from(["\ud800", "\x7f", "é", "\u2028", "a/b"])


@given(registers, names, names)
def test_a_register_survives_its_text(register: Register, name: str, other: str) -> None:
    """Any names, also those that have no UTF-8 form. The text is ASCII and sorted."""
    register = register.with_claims({f"processing/{name}": Claim(other, name, AT, other)})
    register = register.with_source(name, Source(name, other))
    text = to_text(register, "w")
    assert from_text(text, SCOPE) == (register, "w")
    assert from_text(to_text(register), SCOPE) == (register, "")
    assert text.isascii()
    assert json.loads(text) == {**to_document(register), "write": "w"}
    assert [*json.loads(text)["claims"]] == sorted(register.claims)


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    """The document of a register, with any JSON at any one place, or without it."""
    document: dict[str, Any] = to_document(draw(registers))
    part = document
    while isinstance(part[key := draw(st.sampled_from(sorted(part)))], dict) and part[key]:
        if draw(st.integers(0, 3)) == 0:
            break
        part = part[key]
    if draw(st.booleans()):
        del part[key]
    else:
        part[key if draw(st.booleans()) else "more"] = draw(any_json)
    return document


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)


@given(damaged())
def test_the_text_of_a_register_is_read_as_its_document(document: dict[str, Any]) -> None:
    """What is refused in the one is refused in the other, with the same words."""

    def outcome(read: Callable[[], Register]) -> object:
        try:
            return read()
        except (CorruptStateError, NewerFormatError) as problem:
            return type(problem), problem.message

    text = json.dumps(document)
    assert outcome(lambda: from_text(text, SCOPE)[0]) == outcome(
        lambda: from_document(json.loads(text), SCOPE)
    )


BROKEN: list[tuple[str, Callable[[dict[str, Any]], object]]] = [
    ('lacks "format"', lambda it: it.update(format="else")),
    ("invalid format version", lambda it: it.update(version=0)),
    ("invalid format version", lambda it: it.update(version=True)),
    ("instead of", lambda it: it.update(more=1)),
    ("instead of", lambda it: it.pop("claims")),
    ("register of 'other'", lambda it: it.update(scope="other")),
    ("serial", lambda it: it.update(serial="1")),
    ("serial", lambda it: it.update(serial=0)),
    ("not an object", lambda it: it.update(claims=[])),
    ("not an object with", lambda it: it["claims"].update({"processing/x": None})),
    ("not an object with", lambda it: it["claims"]["processing/x"].pop("since")),
    ("wrong type", lambda it: it["claims"]["processing/x"].update(id=7)),
    ("wrong type", lambda it: it["claims"]["processing/x"].update(stack=None)),
    ("no time", lambda it: it["claims"]["processing/x"].update(since="yesterday")),
    ("lacks an address or a stack", lambda it: it["claims"]["processing/x"].update(stack="")),
    ("wrong type", lambda it: it["stacks"][A].update(folder=3)),
]


@pytest.mark.parametrize(("detail", "damage"), BROKEN)
def test_a_register_that_is_not_one_is_refused(
    detail: str, damage: Callable[[dict[str, Any]], object]
) -> None:
    document = to_document(
        Register(SCOPE, 1, {A: Source("w", "a")}, {"processing/x": Claim(A, "1", AT)}),
    )
    damage(document)
    with pytest.raises(CorruptStateError, match=detail):
        from_document(document, SCOPE)


def test_a_register_of_a_newer_version_is_refused_with_the_way_out() -> None:
    document = {**to_document(Register(SCOPE, 1)), "version": 9, "more": {}}
    with pytest.raises(NewerFormatError, match="format version 9") as caught:
        from_document(document, SCOPE)
    assert "pip install --upgrade" in caught.value.hint


def test_states_of_earlier_versions_hold_claims_the_one_that_was_saved_last_the_shared_ones() -> None:
    early = state_of(A, ("processing/x", "1"), ("model/m", "2"), at="2025-01-01T00:00:00+00:00")
    late = state_of(B, ("processing/x", "1"), ("image/r/x", "sha256:0"), at="2025-02-01T00:00:00+00:00")
    register = register_from_states(SCOPE, [early, late, Snapshot.new(C, "empty")], KINDS)
    assert register == Register(
        SCOPE,
        0,
        {A: Source("", ""), B: Source("", "")},
        {
            "processing/x": Claim(B, "1", late.written_at),
            "image/r/x": Claim(B, None, late.written_at),
        },
    )


def test_an_open_write_holds_a_claim_and_one_object_has_one_claim_under_two_names() -> None:
    one = state_of(A, ("model-version/m/v", "7"), intents=("processing/new",), at="2025-02-01T00:00:00+00:00")
    other = state_of(B, ("model-version/renamed/v", "7"), at="2025-01-01T00:00:00+00:00")
    register = register_from_states(SCOPE, [one, other], KINDS)
    assert register.claims == {
        "model-version/m/v": Claim(A, "7", one.written_at),
        "processing/new": Claim(A, None, one.written_at),
    }


def test_only_a_stack_has_a_scope() -> None:
    assert scope_of("my-org@STAGING/team/app") == SCOPE
    assert scope_of("aside") == ""


# -- in a store


def test_there_is_no_register_at_first_and_reading_one_makes_none(make_store: MakeStore, url: str) -> None:
    store = make_store()
    assert store.load_register(SCOPE) is None
    assert Registers(store, KINDS).read(SCOPE) == Register(SCOPE)
    assert make_store().load_register(SCOPE) is None
    if "://" not in url:
        assert not Path(url).exists()


def test_a_saved_register_is_loaded_by_others_and_is_no_stack(make_store: MakeStore) -> None:
    made = Register(
        SCOPE, 0, {A: Source("git", "a")}, {"processing/x": Claim(A, None, AT, "a/config.toml:1")}
    )
    saved = make_store().save_register(made, expected_serial=0)
    assert saved == replace(made, serial=1)
    other = make_store()
    assert other.load_register(SCOPE) == saved
    assert other.load_register("my-org@PROD") is None
    assert (other.stacks(), other.names()) == ([], [])


def test_a_stale_register_is_not_saved(make_store: MakeStore) -> None:
    one, other = make_store(), make_store()
    first = one.save_register(Register(SCOPE), expected_serial=0)
    other.save_register(first.with_source(A, Source("", "")), expected_serial=1)
    for expected in (0, 1, 7):
        with pytest.raises(RegisterConflictError):
            one.save_register(first.with_source(B, Source("", "")), expected_serial=expected)
    stored = one.load_register(SCOPE)
    assert stored is not None
    assert (stored.serial, [*stored.stacks]) == (2, [A])


def test_a_store_of_an_earlier_version_gets_its_register_from_the_states_with_the_first_change(
    make_store: MakeStore,
) -> None:
    put(make_store(), state_of(A, ("processing/x", "1")))
    put(make_store(), state_of("my-org@PROD/a", ("processing/x", "1")))
    old = Registers(make_store(), KINDS)
    assert old.read(SCOPE).claims == {"processing/x": Claim(A, "1", AT)}
    assert make_store().load_register(SCOPE) is None
    old.update(SCOPE, lambda register: register.with_claims({"processing/y": Claim(B, None, AT)}))
    stored = make_store().load_register(SCOPE)
    assert stored is not None
    assert {address: claim.stack for address, claim in stored.claims.items()} == {
        "processing/x": A,
        "processing/y": B,
    }


def test_stacks_that_a_reconciler_without_claims_saved_are_completed(make_store: MakeStore) -> None:
    """It can share a bucket. What it saves is in the states, and not in the register."""
    mine = {"processing/x": Claim(A, "1", AT)}
    with make_store() as store:
        put(store, state_of(A, ("processing/x", "1")))
        store.save_register(Register(SCOPE, stacks={A: Source("w", "a")}, claims=mine), expected_serial=0)
        put(store, state_of(B, ("processing/y", "2"), ("processing/z", "1")))
        put(store, state_of("my-org@PROD/c", ("processing/w", "3")))
    registers = Registers(make_store(), KINDS)
    assert registers.read(SCOPE).claims == mine
    complete = {**mine, "processing/y": Claim(B, "2", AT)}
    assert registers.complete(SCOPE).claims == complete, "the object with the id 1 stays with its claim"
    assert make_store().load_register(SCOPE) == Register(SCOPE, 1, {A: Source("w", "a")}, mine), "only read"
    other = make_store()
    other.save_register(Register(SCOPE, claims=mine), expected_serial=1)
    registers.update(SCOPE, lambda register: register.with_source(C, Source("w", "c")))
    stored = make_store().load_register(SCOPE)
    assert stored is not None
    assert (stored.claims, set(stored.stacks)) == (complete, {B, C}), "also after another run wrote it"


def test_an_sqlite_file_of_an_earlier_layout_is_read_as_it_is_and_upgraded_by_the_first_change(
    tmp_path: Path,
) -> None:
    path = tmp_path / "state.db"
    with SqliteStore(path) as store:
        put(store, state_of(A, ("processing/x", "1")))
    change(path, "DROP TABLE registers")
    for name in ("promoted_from", "override"):
        change(path, f"ALTER TABLE saves DROP COLUMN {name}")
    change(path, "PRAGMA user_version = 3")
    before = path.read_bytes()
    with SqliteStore(path) as store:
        assert Registers(store, KINDS).read(SCOPE).claims == {"processing/x": Claim(A, "1", AT)}
    assert path.read_bytes() == before
    with SqliteStore(path) as store:
        Registers(store, KINDS).update(SCOPE, lambda it: it.with_source(A, Source("w", "a")))
        assert store.load(A) is not None
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (6,)


def damage_register(store: Store, body: bytes) -> None:
    if isinstance(store, SqliteStore):
        change(store.path, "UPDATE registers SET body = ?", body.decode("latin-1"))
    else:
        assert isinstance(store, BucketStore)
        store.objects.put("my-org%40STAGING.register.json", body)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b"[]", b"null", b'{"format": "reconciler/register", "write": "x"}', b"[" * 9999],
)
def test_a_damaged_register_is_an_error_that_has_the_command_and_the_command_repairs_it(
    make_store: MakeStore, body: bytes
) -> None:
    store = make_store()
    put(store, state_of(A, ("processing/x", "1")))
    store.save_register(Register(SCOPE), expected_serial=0)
    damage_register(store, body)
    for change_register in (lambda it: it, lambda it: it.without_stack(A)):
        with pytest.raises(CorruptStateError, match=f"the register of {SCOPE} in .* is damaged") as caught:
            Registers(make_store(), KINDS).update(SCOPE, change_register)
        assert f"reconciler state claims --rebuild {SCOPE}" in caught.value.hint
    Registers(make_store(), KINDS).rebuild(SCOPE)
    assert Registers(make_store(), KINDS).read(SCOPE).claims == {"processing/x": Claim(A, "1", AT)}


def test_a_damaged_state_does_not_keep_others_from_their_claims(make_store: MakeStore) -> None:
    put(make_store(), state_of(A, ("processing/x", "1")))
    put(make_store(), state_of(B, ("processing/y", "2")))
    store = make_store()
    if isinstance(store, SqliteStore):
        change(store.path, "UPDATE contents SET body = x'00' WHERE stack = ?", B)
    else:
        assert isinstance(store, BucketStore)
        store.objects.put("my-org%40STAGING%2Fb/head.json", b"{")
    assert [*Registers(store, KINDS).read(SCOPE).claims] == ["processing/x"]


def test_a_register_is_read_once_per_session_and_again_if_another_run_wrote_it(
    make_store: MakeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, reads = make_store(), list[str]()
    load = store.load_register

    def counted(scope: str) -> Register | None:
        reads.append(scope)
        return load(scope)

    monkeypatch.setattr(store, "load_register", counted)
    mine, theirs = Registers(store, KINDS, sleep=lambda _: None), Registers(make_store(), KINDS)
    for _ in range(3):
        mine.read(SCOPE)
    assert reads == [SCOPE]
    mine.update(SCOPE, lambda it: it.with_source(A, Source("", "")))
    assert (reads, [*mine.read(SCOPE).stacks]) == ([SCOPE], [A])
    theirs.update(SCOPE, lambda it: it.with_source(B, Source("", "")))
    mine.update(SCOPE, lambda it: it.with_source(C, Source("", "")))
    assert len(reads) > 1
    assert [*mine.read(SCOPE).stacks] == [A, B, C]


def test_a_change_that_changes_nothing_is_decided_by_the_stored_register_and_writes_nothing(
    make_store: MakeStore,
) -> None:
    mine, theirs = (Registers(make_store(), KINDS) for _ in range(2))
    mine.update(SCOPE, lambda it: it.with_claims({"processing/x": Claim(A, None, AT)}))
    theirs.update(SCOPE, lambda it: it.with_claims({"processing/x": Claim(B, None, AT)}))
    seen: list[str] = []

    def look(register: Register) -> Register:
        seen.append(register.claims["processing/x"].stack)
        return register

    assert mine.update(SCOPE, look).serial == 2
    assert seen[-1] == B


@pytest.mark.parametrize("lost", ["before", "after"])
def test_a_bucket_whose_answer_is_lost_has_the_claims_once(place: str, lost: str) -> None:
    class Lossy(Objects):
        def swap(self, path: str, body: bytes, version: Version | None) -> Version:
            if "register" not in path or answers:
                return super().swap(path, body, version)
            answers.append(path)
            if lost == "after":
                super().swap(path, body, version)
                raise PreconditionFailedError("sent again by a proxy: it is that version already")
            raise PreconditionFailedError("another run was faster, and its write was undone")

    answers: list[str] = []
    with BucketStore(Lossy(place)) as store:
        made = Registers(store, KINDS, sleep=lambda _: None).update(
            SCOPE, lambda it: it.with_claims({"processing/x": Claim(A, None, AT)})
        )
    assert (answers, made.serial) == (["my-org%40STAGING.register.json"], 1)
    with BucketStore(Objects(place)) as store:
        assert store.load_register(SCOPE) == made


def test_a_bucket_that_refuses_every_swap_is_given_up(place: str) -> None:
    class Refusing(Objects):
        def swap(self, path: str, body: bytes, version: Version | None) -> Version:
            raise PreconditionFailedError("no")

    with (
        BucketStore(Refusing(place)) as store,
        pytest.raises(StoreUnavailableError, match="refuses to replace the unchanged register"),
    ):
        Registers(store, KINDS, sleep=lambda _: None).update(
            SCOPE, lambda it: it.with_source(A, Source("", ""))
        )


# -- with many threads


class Slow:
    """A store whose first save of a register waits until the test lets it go on."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.saving, self.go_on = threading.Event(), threading.Event()
        self.saved: list[Register] = []
        self.fails: list[BaseException] = []

    def load_register(self, scope: str) -> Register | None:
        return self.store.load_register(scope)

    def names(self) -> Sequence[str]:
        return self.store.names()

    def save_register(self, register: Register, *, expected_serial: int | None) -> Register:
        if not self.saving.is_set():
            self.saving.set()
            assert self.go_on.wait(PATIENCE)
        elif self.fails:
            raise self.fails.pop()
        saved = self.store.save_register(register, expected_serial=expected_serial)
        self.saved.append(saved)
        return saved


class Crowd:
    """Threads whose changes arrive while the register is saved."""

    def __init__(self, store: Store) -> None:
        self.slow = Slow(store)
        self.registers = Registers(cast(Store, self.slow), KINDS, sleep=lambda _: None)

    def meet(self, *changes: Callable[[Register], Register]) -> list[Future[Register]]:
        """The results of these changes, and first that of one that was being saved when they arrived."""
        with ThreadPoolExecutor(len(changes) + 1) as pool:
            first = pool.submit(self.registers.update, SCOPE, with_stack("first"))
            assert self.slow.saving.wait(PATIENCE)
            others = []
            for change in changes:
                others.append(pool.submit(self.registers.update, SCOPE, change))
                until(lambda: len(self.registers._changes[SCOPE]) == len(others) + 1)
            self.slow.go_on.set()
        return [first, *others]

    @property
    def stacks(self) -> list[set[str]]:
        """The stacks of each saved register."""
        return [set(register.stacks) for register in self.slow.saved]


def with_stack(name: str) -> Callable[[Register], Register]:
    return lambda register: register.with_source(name, Source("", name))


def test_changes_that_arrive_during_a_save_share_the_next_one(make_store: MakeStore) -> None:
    crowd = Crowd(make_store())
    results = crowd.meet(*(with_stack(f"s{number}") for number in range(30)))
    everyone = {"first", *(f"s{number}" for number in range(30))}
    assert crowd.stacks == [{"first"}, everyone]
    assert {future.result().serial for future in results[1:]} == {2}
    assert set(crowd.registers.read(SCOPE).stacks) == everyone
    stored = make_store().load_register(SCOPE)
    assert stored is not None and set(stored.stacks) == everyone


def test_a_change_sees_those_that_arrived_before_it(store: Store) -> None:
    seen: list[set[str]] = []

    def look(register: Register) -> Register:
        seen.append(set(register.stacks))
        return register

    Crowd(store).meet(with_stack("a"), look, with_stack("b"))
    assert seen[-1] == {"first", "a"}


def test_a_change_that_raises_reaches_its_own_thread_only(store: Store) -> None:
    crowd = Crowd(store)

    def refuse(register: Register) -> Register:
        raise ZeroDivisionError

    _, a, refused, b = crowd.meet(with_stack("a"), refuse, with_stack("b"))
    assert crowd.stacks[-1] == {"first", "a", "b"} == set(a.result().stacks) == set(b.result().stacks)
    with pytest.raises(ZeroDivisionError):
        refused.result()


def test_a_save_that_another_run_was_faster_than_is_made_again_with_all_changes(
    make_store: MakeStore,
) -> None:
    crowd, other = Crowd(make_store()), Registers(make_store(), KINDS)

    def race(register: Register) -> Register:
        if "theirs" not in register.stacks:
            other.update(SCOPE, with_stack("theirs"))
        return register.with_source("mine", Source("", "mine"))

    results = crowd.meet(with_stack("a"), race, with_stack("b"))
    everyone = {"first", "theirs", "a", "mine", "b"}
    assert all(set(future.result().stacks) == everyone for future in results[1:])
    assert set(other.update(SCOPE, lambda it: it).stacks) == everyone


def test_a_save_that_fails_fails_all_its_changes_and_no_later_one(store: Store) -> None:
    crowd = Crowd(store)
    crowd.slow.fails = [StoreUnavailableError("no answer")]
    first, *others = crowd.meet(with_stack("a"), with_stack("b"))
    assert set(first.result().stacks) == {"first"}
    for future in others:
        with pytest.raises(StoreUnavailableError, match="no answer"):
            future.result()
    assert set(crowd.registers.update(SCOPE, with_stack("c")).stacks) == {"first", "c"}


def test_a_thread_that_is_interrupted_takes_its_own_change_with_it_and_no_other(store: Store) -> None:
    crowd = Crowd(store)
    crowd.slow.fails = [KeyboardInterrupt()]
    _, *others = crowd.meet(*(with_stack(f"s{number}") for number in range(5)))
    interrupted = [n for n, future in enumerate(others) if isinstance(future.exception(), KeyboardInterrupt)]
    assert len(interrupted) == 1
    names = {f"s{number}" for number in range(5)} - {f"s{interrupted[0]}"}
    assert crowd.stacks[-1] == {"first", *names}


@pytest.mark.parametrize("writers", [1, 2])
def test_many_threads_of_one_or_two_runs_lose_nothing(make_store: MakeStore, writers: int) -> None:
    """Each stack takes the claim of its own processing, and adds its id. All of them want one besides."""
    stacks, durable = [f"{SCOPE}/s{number}" for number in range(60)], set[tuple[str, str | None]]()
    sessions = []
    for _ in range(writers):
        store = make_store()

        def save(
            register: Register,
            *,
            expected_serial: int | None,
            store: Store = store,
            call: Any = store.save_register,
        ) -> Register:
            saved: Register = call(register, expected_serial=expected_serial)
            durable.update((claim.stack, claim.id) for claim in saved.claims.values())
            return saved

        store.save_register = save  # type: ignore[method-assign]
        sessions.append(Registers(store, KINDS))
    winners: list[str] = []

    def apply(number: int) -> None:
        stack, registers = stacks[number], sessions[number % writers]
        won = False

        def take(register: Register) -> Register:
            nonlocal won
            won = "processing/wanted" not in register.claims
            claims = {f"processing/{number}": Claim(stack, None, AT)}
            wanted = {"processing/wanted": Claim(stack, None, AT)} if won else {}
            return register.with_claims({**claims, **wanted}).with_source(stack, Source("w", stack))

        registers.update(SCOPE, take)
        assert (stack, None) in durable
        winners.extend([stack] * won)
        registers.update(
            SCOPE, lambda it: it.with_claims({f"processing/{number}": Claim(stack, f"id of {stack}", AT)})
        )
        assert (stack, f"id of {stack}") in durable

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(apply, range(len(stacks))))
    stored = make_store().load_register(SCOPE)
    assert stored is not None
    assert set(stored.stacks) == set(stacks)
    own = {f"processing/{number}": Claim(stack, f"id of {stack}", AT) for number, stack in enumerate(stacks)}
    assert stored.claims == {**own, "processing/wanted": Claim(winners[0], None, AT)}
    assert len(winners) == 1


def test_changes_that_arrive_while_others_are_refused_share_the_next_save(make_store: MakeStore) -> None:
    """Runs on other machines may win many times; those that wait here do not queue for turns of their own."""
    store, other = make_store(), Registers(make_store(), KINDS)
    registers = Registers(store, KINDS)
    waiting: list[Future[Register]] = []
    saves = []
    save_register = store.save_register

    def claim(number: int) -> Register:
        claims = {f"processing/{number}": Claim(A, None, AT)}
        return registers.update(SCOPE, lambda register: register.with_claims(claims))

    def save(register: Register, *, expected_serial: int | None) -> Register:
        saves.append(len(register.claims))
        if not waiting:  # nine more changes arrive here, and another run is faster
            waiting.extend(pool.submit(claim, number) for number in range(1, 10))
            until(lambda: len(registers._changes[SCOPE]) == 10)
            other.update(SCOPE, lambda it: it.with_claims({"processing/other": Claim(B, None, AT)}))
        return save_register(register, expected_serial=expected_serial)

    store.save_register = save  # type: ignore[method-assign]
    with ThreadPoolExecutor(9) as pool:
        claim(0)
        for future in waiting:
            future.result(PATIENCE)
    assert saves == [1, 11]


# -- with the states


def claimed(store: Store, *stacks: str) -> None:
    """Each stack has a processing of its own name, with a claim and a place."""
    for stack in stacks:
        name = stack.rpartition("/")[2]
        put(store, state_of(stack, (f"processing/{name}", f"id of {name}")))
        Registers(store, KINDS).update(
            scope_of(stack),
            lambda it, stack=stack, name=name: it.with_source(stack, Source("git", name)).with_claims(  # type: ignore[misc]
                {f"processing/{name}": Claim(stack, f"id of {name}", AT, f"{name}/config.toml:3")}
            ),
        )


def test_claims_go_with_a_state_that_is_moved(make_store: MakeStore) -> None:
    store = make_store()
    claimed(store, A, B)
    move_state(store, A, C)
    register = make_store().load_register(SCOPE)
    assert register is not None
    assert {address: claim.stack for address, claim in register.claims.items()} == {
        "processing/a": C,
        "processing/b": B,
    }
    assert register.stacks == {B: Source("git", "b"), C: Source("git", "a")}


@pytest.mark.parametrize("there", [True, False])
def test_claims_go_into_another_scope(make_store: MakeStore, there: bool) -> None:
    """With a register there or not: then it is made from the states, of which the moved one is one."""
    store, moved = make_store(), "my-org@example.com/a"
    claimed(store, A, B, *(["my-org@example.com/b"] if there else []))
    move_state(store, A, moved)
    here = Registers(make_store(), KINDS).read(SCOPE)
    assert ([*here.claims], [*here.stacks]) == (["processing/b"], [B])
    assert Registers(make_store(), KINDS).read("my-org@example.com").claims["processing/a"].stack == moved


def test_a_state_that_is_set_aside_claims_nothing_any_more(make_store: MakeStore) -> None:
    store = make_store()
    claimed(store, A)
    move_state(store, A, "my-org@aside/a")
    assert Registers(make_store(), KINDS).read(SCOPE).claims == {}


def test_a_forgotten_resource_is_free_and_those_of_others_are_not(make_store: MakeStore) -> None:
    store = make_store()
    Registers(store, KINDS).release(A, "processing/a")
    assert store.load_register(SCOPE) is None
    claimed(store, A, B)
    Registers(store, KINDS).release(A, "processing/a")
    Registers(store, KINDS).release(A, "processing/b")
    register = make_store().load_register(SCOPE)
    assert register is not None
    assert [*register.claims] == ["processing/b"]


def test_claims_are_copied_to_another_store_and_back(make_store: MakeStore, tmp_path: Path) -> None:
    source = make_store()
    claimed(source, A, B)
    registers: list[Register] = []
    with SqliteStore(tmp_path / "target.db") as target, SqliteStore(tmp_path / "back.db") as back:
        list(copy_states(source, target, KINDS))
        list(copy_states(target, back, KINDS))
        registers = [Registers(store, KINDS).read(SCOPE) for store in (source, target, back)]
    assert registers[0].claims == registers[1].claims == registers[2].claims
    assert registers[0].stacks == registers[1].stacks == registers[2].stacks


def test_a_copy_leaves_the_claims_of_stacks_that_are_there_already(store: Store, tmp_path: Path) -> None:
    claimed(store, A, B)
    with SqliteStore(tmp_path / "source.db") as source:
        claimed(source, C)
        Registers(source, KINDS).update(
            SCOPE, lambda it: it.with_claims({"processing/b": Claim(C, "id of b", AT)})
        )
        list(copy_states(source, store, KINDS))
    register = Registers(store, KINDS).read(SCOPE)
    assert {address: claim.stack for address, claim in register.claims.items()} == {
        "processing/a": A,
        "processing/b": B,
        "processing/c": C,
    }


def test_a_copy_of_a_store_with_a_damaged_register_makes_it_from_the_states(
    store: Store, tmp_path: Path
) -> None:
    with SqliteStore(tmp_path / "source.db") as source:
        claimed(source, A)
        damage_register(source, b"{")
        list(copy_states(source, store, KINDS))
    assert [*Registers(store, KINDS).read(SCOPE).claims] == ["processing/a"]


# -- at once

CLAIM = """
import sys
from state.claims import Registers
from state.register import Claim
from state.stores.opening import open_store
from tests.state.conftest import AT
from tests.state.test_register import KINDS, SCOPE

with open_store(sys.argv[1]) as store:
    registers = Registers(store, KINDS)
    sys.stdin.readline()  # all begin together
    for number in range(int(sys.argv[3])):
        address = f"processing/{number}"

        def take(register):
            if register.of_others(sys.argv[2], address):
                return register
            return register.with_claims({address: Claim(sys.argv[2], None, AT)})

        print(registers.update(SCOPE, take).claims[address].stack, flush=True)
"""


def test_of_stacks_that_claim_one_resource_at_once_exactly_one_gets_it_and_all_agree_on_it(url: str) -> None:
    rounds = 25
    processes = [start(CLAIM, url, stack, rounds) for stack in (A, B, C)]
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    winners = []
    for process in processes:
        winners.append(process.communicate()[0].splitlines())
        assert process.returncode == 0
    assert winners[0] == winners[1] == winners[2]
    assert len(winners[0]) == rounds
    with open_store(url) as store:
        register = store.load_register(SCOPE)
        assert register is not None
        assert [register.claims[f"processing/{number}"].stack for number in range(rounds)] == winners[0]
        assert register.serial == rounds


# Addresses of earlier versions


def present(address: str) -> str:
    return address.replace("image/docker.io/", "image/")


IMAGES = {"image": False}


@pytest.mark.parametrize("stored", [True, False], ids=["register", "states only"])
def test_claims_under_the_address_of_an_earlier_version_are_found(
    make_store: MakeStore, stored: bool
) -> None:
    store = make_store()
    put(store, state_of(A, ("image/docker.io/x/y", "1")))
    claim = Claim(A, None, AT)
    if stored:
        store.save_register(Register(SCOPE).with_claims({"image/docker.io/x/y": claim}), expected_serial=0)
    registers = Registers(make_store(), IMAGES, present=present)
    assert registers.read(SCOPE).claims == {"image/x/y": claim}
    assert registers.valid("image/x/y", claim) == {"image/x/y": claim}, "its state supports it"
    registers.update(SCOPE, lambda register: register.with_source(A, Source("w", "a")))
    saved = make_store().load_register(SCOPE)
    assert saved is not None
    assert saved.claims == {"image/x/y": claim}


def test_of_two_claims_that_get_one_address_the_later_one_counts() -> None:
    later = Claim(B, None, AT.replace("2025", "2035"))
    assert later.since > AT
    claims = {"image/x/y": Claim(A, None, AT), "image/docker.io/x/y": later}
    for order in (claims, dict(reversed(claims.items()))):
        assert Register(SCOPE, claims=order).with_addresses(present).claims == {"image/x/y": later}
