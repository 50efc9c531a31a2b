"""The bucket store: its objects, lost responses, races for the head, clocks and refusals."""

import socket
import sys
import threading
import time as real_time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from msgspec import Struct, structs
from msgspec.structs import FieldInfo, replace

from state import newer_keys
from state.errors import CorruptStateError, LostLockError, NewerFormatError, StoreUnavailableError
from state.register import Register
from state.stores import bucket
from state.stores.base import HistoryEntry
from state.stores.bucket import BucketStore
from state.stores.bucket_layout import Head, HistoryObject
from state.stores.objects import WITNESS, Objects, PreconditionFailedError, StoredObject, Version
from state.stores.opening import open_store
from tests.docker.proxy import Answer, proxy_to
from tests.services import free_port
from tests.state.conftest import BUCKETS, STACK, bucket_url, count, counting, run
from tests.state.gcs import Gcs
from tests.state.servers import ACCOUNT_KEY, Bucket, use
from tests.state.test_store import NEVER, save
from tests.waits import PATIENCE

FOLDER = "my-org%40STAGING%2Fmy_pipeline"


@pytest.fixture
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A prefix in the fastest bucket, as these tests are about the store above it."""
    return bucket_url("gcs", request, monkeypatch)


class Disturbed(Objects):
    """A bucket that runs code of a test around a swap."""

    before: Callable[[], None] = staticmethod(lambda: None)
    after: Callable[[], None] = staticmethod(lambda: None)

    def swap(self, path: str, body: bytes, version: Version | None) -> Version:
        self.before()
        written = super().swap(path, body, version)
        self.after()
        return written


def once(call: Callable[[], Any]) -> Callable[[], None]:
    calls = [call]

    def first() -> None:
        if calls:
            calls.pop()()

    return first


def no_answer() -> None:
    raise StoreUnavailableError("no answer")


def swapped() -> None:
    raise PreconditionFailedError("that was this very write, sent again as its answer was lost")


def test_a_save_is_a_history_object_and_a_head_that_names_it(place: str) -> None:
    objects = Objects(place)
    with BucketStore(objects) as store:
        save(store, counting(1), expected=0)
        save(store, counting(2), expected=1)
        names = objects.names(FOLDER)
        assert [name[:18] for name in names] == ["head.json", "history/0000000001", "history/0000000002"]
        head = objects.get(f"{FOLDER}/head.json")
        assert head is not None
        assert names[2].removeprefix("history/").encode() in head.body


def test_annotations_are_evaluated_once_for_all_objects(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluated = list[type]()

    def fields(kind: type[Struct]) -> tuple[FieldInfo, ...]:
        evaluated.append(kind)
        return structs.fields(kind)

    monkeypatch.setattr(newer_keys, "fields", fields)
    newer_keys._required.cache_clear()
    with BucketStore(Objects(place)) as store:
        for number in range(3):
            save(store, counting(number), expected=number)
        assert len(store.history(STACK, 10)) == 3

    assert {Head, HistoryObject, HistoryEntry} <= set(evaluated)
    assert len(evaluated) == len(set(evaluated))


def test_a_bucket_that_refuses_every_swap_fails_at_once(place: str) -> None:
    objects, naps = Disturbed(place), list[float]()
    objects.before = swapped
    with BucketStore(objects, sleep=naps.append) as store:
        with pytest.raises(StoreUnavailableError, match="refuses to replace the unchanged head"):
            save(store, counting(1), expected=0)
        assert sum(naps) < 1
        with (
            pytest.raises(StoreUnavailableError, match="refuses to replace the unchanged head"),
            store.lock(STACK, run("ann"), timeout=0),
        ):
            pass


def test_reading_writes_nothing(place: str) -> None:
    objects = Objects(place)
    with BucketStore(objects) as store:
        assert store.load(STACK) is None
        assert store.holder(STACK) is None
        assert store.unlock(STACK) is None
        assert objects.folders() == []


def test_state_that_appears_while_an_empty_list_is_verified_is_found(place: str) -> None:
    """Another run saves the first state after this run's list and before its read of the witness."""

    class Overtaken(Objects):
        def get(self, path: str) -> StoredObject | None:
            if path == WITNESS and not overtaken:
                overtaken.append(True)
                with BucketStore(Objects(place)) as other:
                    save(other, counting(1), expected=0)
            return super().get(path)

    overtaken: list[bool] = []
    assert Overtaken(place).folders() != []
    assert overtaken


def test_a_stack_that_was_only_locked_has_no_state(place: str) -> None:
    with BucketStore(Objects(place)) as store:
        with store.lock(STACK, run("ada"), timeout=0):
            assert store.stacks() == []
        assert store.load(STACK) is None


def test_leftovers_of_a_killed_run_are_ignored(place: str) -> None:
    """Killed between the history object and the head, at the latest and at earlier serials."""
    objects = Disturbed(place)
    with BucketStore(objects) as store:
        with store.lock(STACK, run("ada"), timeout=0):
            pass  # creates a head, so the next swap is the save
        for serial in range(3):
            objects.before = once(no_answer)
            with pytest.raises(StoreUnavailableError):
                save(store, counting(90 + serial), expected=serial)
            save(store, counting(serial + 1), expected=serial)
        objects.before = once(no_answer)
        with pytest.raises(StoreUnavailableError):
            save(store, counting(99), expected=3)
    assert len(objects.names(f"{FOLDER}/history")) == 7
    for serial in (1, 2, 3):
        with BucketStore(Objects(place)) as store:
            assert count(store.load_at(STACK, serial)) == serial
    with BucketStore(Objects(place)) as store:
        assert count(store.load(STACK)) == 3
        assert store.load_at(STACK, 4) is None
        assert [entry.serial for entry in store.history(STACK, 10)] == [3, 2, 1]
        assert [entry.serial for entry in store.history(STACK, 2)] == [3, 2]


@pytest.mark.parametrize("lost", [no_answer, swapped])
def test_a_save_with_a_lost_response_counts_as_saved(place: str, lost: Callable[[], None]) -> None:
    objects = Disturbed(place)
    with BucketStore(objects) as store:
        save(store, counting(1), expected=0)
        objects.after = once(lost)
        assert save(store, counting(2), expected=1).serial == 2
        assert save(store, counting(3), expected=2).serial == 3
        assert count(store.load(STACK)) == 3


@pytest.mark.parametrize("lost", [no_answer, swapped])
def test_a_save_with_a_lost_response_counts_as_saved_if_another_run_continued_from_it(
    place: str, lost: Callable[[], None]
) -> None:
    objects = Disturbed(place)
    with BucketStore(objects) as store, BucketStore(Objects(place)) as other:

        def overtaken() -> None:
            save(other, counting(2), expected=1)
            lost()

        with store.lock(STACK, run("ada"), timeout=0):
            pass  # creates a head, so the next swap is the save
        objects.after = once(overtaken)
        assert save(store, counting(1), expected=0).serial == 1
        assert [count(store.load_at(STACK, serial)) for serial in (1, 2)] == [1, 2]


@pytest.mark.parametrize("lost", [no_answer, swapped])
def test_a_lock_with_a_lost_response_is_held(place: str, lost: Callable[[], None]) -> None:
    objects = Disturbed(place)
    with BucketStore(objects) as store:
        objects.after = once(lost)
        with store.lock(STACK, run("ada"), timeout=0, every=NEVER) as lock:
            assert (lock.fence, lock.previous_holder) == (1, None)
            assert save(store, counting(1), expected=0, lock=lock).serial == 1
        assert store.holder(STACK) is None


def test_a_lock_that_is_taken_away_while_its_holder_saves_stops_the_save(place: str) -> None:
    """After the check of the lock and before the write. They are one object, so one of the two wins."""
    objects = Disturbed(place)
    with BucketStore(objects) as store, BucketStore(Objects(place)) as other:
        with store.lock(STACK, run("ada"), timeout=0, every=NEVER) as lock:
            objects.before = once(lambda: other.unlock(STACK))
            with pytest.raises(LostLockError):
                save(store, counting(1), expected=0, lock=lock)
        assert other.load(STACK) is None


def test_a_save_without_a_lock_does_not_wait_for_others(place: str) -> None:
    """A write that relies on the serial alone succeeds while the head changes for other reasons."""
    objects = Disturbed(place)
    with (
        BucketStore(objects) as store,
        BucketStore(Objects(place)) as other,
        other.lock(STACK, run("bob"), timeout=0, every=NEVER) as lock,
    ):
        save(store, counting(1), expected=0)
        objects.before = once(lambda: other._renew(lock))
        assert save(store, counting(2), expected=1).serial == 2
        assert other.holder(STACK) == run("bob")


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_wrong_clock_does_not_take_over_the_lock_of_a_live_run(
    place: str, hours: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = real_time.time
    with BucketStore(Objects(place)) as store, store.lock(STACK, run("ada"), timeout=0, every=NEVER):
        monkeypatch.setattr(real_time, "time", lambda: now() + hours * 3600)
        with BucketStore(Objects(place)) as other:
            assert other.holder(STACK) == run("ada")


def test_a_store_keeps_a_few_saves_in_memory_however_many_it_reads(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "_MOST_SAVES", 4)
    objects = Objects(place)
    with BucketStore(objects) as store:
        for serial in range(12):
            save(store, counting(serial + 1), expected=serial)
    with BucketStore(objects) as store:
        for _ in range(2):
            assert [entry.serial for entry in store.history(STACK, 20)] == [*range(12, 0, -1)]
            assert [count(store.load_at(STACK, serial)) for serial in range(1, 13)] == [*range(1, 13)]
            assert len(store._saves) <= 4


def test_damage_is_reported_and_earlier_saves_stay(place: str) -> None:
    objects = Objects(place)
    with BucketStore(objects) as store:
        for serial in range(3):
            save(store, counting(serial + 1), expected=serial)
        (name,) = objects.names(f"{FOLDER}/history", since="0000000003")
    objects.put(f"{FOLDER}/history/{name}", b"{")
    with BucketStore(objects) as store:
        with pytest.raises(CorruptStateError):
            store.load(STACK)
        assert [entry.serial for entry in store.history(STACK, 10)] == [2, 1]
        assert count(store.load_at(STACK, 2)) == 2


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", CorruptStateError),
        (b"\xff", CorruptStateError),
        (b'{"format":"reconciler/state"}', CorruptStateError),
        (b'{"format":"reconciler/bucket","version":1}', CorruptStateError),
        (b'{"format":"reconciler/bucket","version":2}', NewerFormatError),
    ],
)
def test_an_unreadable_head_is_never_read_as_missing(place: str, body: bytes, kind: type[Exception]) -> None:
    objects = Objects(place)
    objects.put(f"{FOLDER}/head.json", body)
    with BucketStore(objects) as store:
        assert kind is NewerFormatError or store.stacks() == [STACK]
        with pytest.raises(kind):
            store.load(STACK)
        with pytest.raises(kind):
            save(store, counting(1), expected=0)
    found = objects.get(f"{FOLDER}/head.json")
    assert found is not None
    assert found.body == body


# -- refusals


@pytest.mark.parametrize("code", [429, 503])
def test_a_request_to_slow_down_is_retried(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Google Cloud Storage allows one write per second and object, and each save writes the head."""
    with Gcs("records") as server:
        use(Bucket("", {"GOOGLE_BASE_URL": server.url, "GOOGLE_BEARER_TOKEN": "not-a-secret"}), monkeypatch)
        server.refusals = [code] * 3
        with open_store("gs://records/team") as store:
            assert save(store, counting(1), expected=0).serial == 1
        assert server.refusals == []


def test_many_writes_of_one_object_wait_as_long_as_the_bucket_requires(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """More refusals than one request is repeated for: several runs write one register."""
    naps: list[float] = []
    with Gcs("records") as server:
        use(Bucket("", {"GOOGLE_BASE_URL": server.url, "GOOGLE_BEARER_TOKEN": "not-a-secret"}), monkeypatch)
        with BucketStore(Objects("gs://records/team", sleep=naps.append)) as store:
            for serial in range(2):
                server.refusals = [429] * 20
                assert save(store, counting(serial), expected=serial).serial == serial + 1
                assert server.refusals == []
    assert naps


def test_a_bucket_that_refuses_every_write_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with Gcs("records") as server:
        use(Bucket("", {"GOOGLE_BASE_URL": server.url, "GOOGLE_BEARER_TOKEN": "not-a-secret"}), monkeypatch)
        server.refusals = [429] * 10_000
        with (
            open_store("gs://records/team", patience=0.3) as store,
            pytest.raises(StoreUnavailableError, match="refuses requests at the moment"),
        ):
            save(store, counting(1), expected=0)


def test_one_stack_does_not_wait_for_the_save_of_another(place: str) -> None:
    saving, go_on = threading.Event(), threading.Event()

    class Held(Objects):
        def swap(self, path: str, body: bytes, version: Version | None) -> Version:
            if path.startswith(FOLDER):
                saving.set()
                assert go_on.wait(PATIENCE)
            return super().swap(path, body, version)

    other = replace(counting(7), stack="my-org@STAGING/other")
    with BucketStore(Held(place)) as store, ThreadPoolExecutor(1) as pool:
        held = pool.submit(save, store, counting(1), expected=0)
        try:
            assert saving.wait(PATIENCE)
            assert store.save(other, expected_serial=0, lock=None).serial == 1
            assert store.save_register(Register("my-org@STAGING"), expected_serial=0).serial == 1
        finally:
            go_on.set()
        assert held.result().serial == 1


def test_an_endpoint_without_a_response_fails(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = bucket_url("s3", request, monkeypatch)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with (
            open_store(url, patience=0.3) as store,
            pytest.raises(StoreUnavailableError, match="does not respond"),
        ):
            store.load(STACK)


@pytest.mark.parametrize("name", ["s3", "azure", "gcs"])
def test_a_missing_bucket_is_not_an_empty_one(
    name: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = bucket_url(name, request, monkeypatch).replace("//records", "//elsewhere")
    with open_store(url) as store:
        attempts = (
            lambda: store.load(STACK),
            store.stacks,
            lambda: save(store, counting(1), expected=0),
            lambda: store.lock(STACK, run("ada"), timeout=0).__enter__(),
        )
        for attempt in attempts:
            with pytest.raises(StoreUnavailableError, match="does not exist"):
                attempt()


def test_wrong_credentials_are_reported_but_not_shown(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = bucket_url("azure", request, monkeypatch)
    wrong = ACCOUNT_KEY.replace("E", "F")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", wrong)
    with open_store(url) as store, pytest.raises(StoreUnavailableError) as caught:
        store.load(STACK)
    assert "credentials are wrong" in caught.value.message
    assert "AZURE_STORAGE_ACCOUNT_KEY" in caught.value.hint
    assert wrong not in caught.value.message + caught.value.hint


def test_an_unreachable_endpoint_is_reported(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = bucket_url("s3", request, monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with open_store(url) as store, pytest.raises(StoreUnavailableError, match="does not respond"):
        store.load(STACK)


@pytest.mark.parametrize(
    ("kind", "text", "says"),
    [
        ("PermissionDeniedError", "403 Forbidden: <Code>AccessDenied</Code>", "lack permission"),
        (
            "PermissionDeniedError",
            "403 Forbidden: <Code>AccessDenied</Code><Details>Object 'head.json' is subject to bucket's "
            "retention policy or object retention and cannot be deleted or overwritten</Details>",
            "forbids to replace objects",
        ),
        ("GenericError", "409 Conflict: <Code>BlobImmutableDueToPolicy</Code>", "forbids to replace objects"),
        ("PermissionDeniedError", "403: <Code>SignatureDoesNotMatch</Code>", "credentials are wrong"),
        ("UnauthenticatedError", "401", "credentials are wrong"),
        ("GenericError", "status code: 503 Service Unavailable: <Code>SlowDown</Code>", "refuses requests"),
        ("GenericError", "non-2xx status code: 429 Too Many Requests: ", "refuses requests at the moment"),
        ("GenericError", "Error getting list response body: response body error", "does not respond"),
        (
            "GenericError",
            "GET https://h/x?a=b in 1ms - Server returned non-2xx status code: 404",
            "returned 404",
        ),
        ("GenericError", "Error performing GET http://169.254.169.254/latest/api", "no credentials"),
        ("GenericError", "400 <Code>Odd</Code> https://a.example/?sig=s3cret", "Odd"),
        ("GenericError", "bad answer from https://a.example/?sig=s3cret", "bad answer from its endpoint"),
    ],
)
def test_the_message_of_a_service_is_shown_without_its_url(kind: str, text: str, says: str) -> None:
    problem = Objects("az://records")._unavailable_error(text, kind)
    assert says in problem.message
    assert problem.hint
    assert "s3cret" not in problem.message + problem.hint


def test_without_the_extra_the_error_has_the_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(StoreUnavailableError) as caught:
        open_store("s3://records/team").load(STACK)
    assert "picsellia-reconciler[buckets]" in caught.value.hint


@pytest.mark.parametrize("url", ["s3://key:hush@bucket/team", "az://records/team?sas=hush", "gs://b/#hush"])
def test_a_key_in_a_url_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(StoreUnavailableError) as caught:
        open_store(url)
    assert "hush" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize("name", BUCKETS)
@pytest.mark.parametrize("excluded", ["", "other.example.com"])
def test_no_request_to_a_bucket_on_this_machine_uses_a_proxy(
    name: str, excluded: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy is usually another machine, and would read the state."""
    url = bucket_url(name, request, monkeypatch)
    with proxy_to("") as proxy:
        proxy.answering = lambda method, path, body, who: Answer(403)
        for variable in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(variable, f"http://{proxy.address}")
        for variable in ("no_proxy", "NO_PROXY"):
            monkeypatch.setenv(variable, excluded)
        objects = Objects(url)
        objects.put("a", b"state")
        found = objects.get("a")
        assert found is not None and found.body == b"state"
        objects.close()
    assert proxy.seen == []


@pytest.mark.parametrize("proxy", ["", "http://proxy.internal:3128", "not an address", "proxy.internal:3128"])
@pytest.mark.parametrize("variable", ["http_proxy", "https_proxy", "all_proxy"])
def test_a_proxy_stays_in_use_for_a_bucket_elsewhere(
    variable: str, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for other in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(other, raising=False)
        monkeypatch.delenv(other.upper(), raising=False)
    use(Bucket("s3://bucket", {"AWS_ENDPOINT_URL": "https://storage.internal"}), monkeypatch)
    monkeypatch.setenv(variable, proxy)
    assert Objects("s3://bucket")._proxy_options() == {}
    for here in ("http://localhost:9000", "http://127.0.0.1:9000", "http://[::1]:9000"):
        monkeypatch.setenv("AWS_ENDPOINT_URL", here)
        options = Objects("s3://bucket")._proxy_options()
        usable = proxy != "" and " " not in proxy
        assert options == (
            {"proxy_url": proxy, "proxy_excludes": "localhost,127.0.0.0/8,::1"} if usable else {}
        )
