"""A malformed response is an error that names the bucket, and is never read as an empty bucket."""

from collections.abc import Callable
from itertools import count

import pytest

from state.errors import StateError, StoreUnavailableError
from state.stores import objects
from state.stores.base import Store
from state.stores.opening import open_store
from tests.conftest import Cli
from tests.picsellia.odd_host import odd_host
from tests.state.conftest import BUCKETS, STACK, bucket_url, counting, run
from tests.state.odd_bucket import BODIES, IsOdd, absence, everything, lists, odd_bucket
from tests.state.servers import Bucket, use
from tests.state.test_store import save

OTHER = "my-org@STAGING/other"
READS: dict[str, Callable[[Store], object]] = {
    "load": lambda store: store.load(STACK),
    "load another": lambda store: store.load(OTHER),
    "load_at": lambda store: store.load_at(STACK, 1),
    "history": lambda store: store.history(STACK, 10),
    "stacks": lambda store: store.stacks(),
    "names": lambda store: store.names(),
    "holder": lambda store: store.holder(OTHER),
    "dead_holder": lambda store: store.dead_holder(OTHER),
}
WRITES: dict[str, Callable[[Store], object]] = {
    "save": lambda store: save(store, counting(2), expected=1),
    "lock": lambda store: store.lock(OTHER, run("ada"), timeout=0).__enter__(),
}

REFUSED: dict[IsOdd, set[str]] = {
    everything: set(READS),
    lists: {"history", "stacks", "names"},
    absence: {"load another", "holder", "dead_holder"},
}


@pytest.fixture(params=BUCKETS)
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """A bucket with the state of one stack."""
    url = bucket_url(request.param, request, monkeypatch)
    with open_store(url) as store:
        save(store, counting(1), expected=0)
    return Bucket(url, request.getfixturevalue(request.param).variables)


@pytest.mark.parametrize("what", BODIES)
@pytest.mark.parametrize("is_odd", [everything, lists, absence])
def test_no_malformed_response_hides_state(
    is_odd: IsOdd, what: str, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_store(bucket.url) as store:
        expected = {name: read(store) for name, read in READS.items()}
    assert expected["stacks"] == [STACK]
    refused = set()
    with odd_bucket(bucket, is_odd, BODIES[what], monkeypatch):
        for name, read in READS.items():
            with open_store(bucket.url, patience=5) as store:
                try:
                    found = read(store)
                except StateError as problem:
                    assert bucket.url in problem.message, name
                    refused.add(name)
                else:
                    assert found == expected[name], name
    assert refused >= REFUSED[is_odd]


def test_a_web_page_instead_of_a_list_is_reported(
    s3: Bucket, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{s3.url}/team"
    use(s3, monkeypatch)
    monkeypatch.setenv("RECONCILER_STATE", url)
    with open_store(url) as store:
        save(store, counting(1), expected=0)
    with odd_bucket(Bucket(url, s3.variables), lists, BODIES["a page"], monkeypatch):
        ended = cli("state", "list")
    assert ended.code == 1
    assert f"the state store {url} does not respond like an S3 bucket" in ended.err
    assert "AWS_ENDPOINT_URL" in ended.err


@pytest.mark.parametrize("what", BODIES)
@pytest.mark.parametrize("name", WRITES)
def test_nothing_is_written_to_a_server_that_is_not_a_bucket(
    name: str, what: str, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        odd_bucket(bucket, everything, BODIES[what], monkeypatch),
        open_store(bucket.url, patience=5) as store,
        pytest.raises(StateError) as caught,
    ):
        WRITES[name](store)
    assert bucket.url in caught.value.message


# Lists that never end

NAMES = (f"stack-{number:09}" for number in count())
PAGE = """<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><IsTruncated>true</IsTruncated>
<NextContinuationToken>{token}</NextContinuationToken>{entries}</ListBucketResult>"""
OBJECT = """<Contents><Key>{name}</Key><LastModified>2025-01-01T00:00:00.000Z</LastModified><ETag>"1"</ETag>
<Size>1</Size></Contents>"""
FOLDER = "<CommonPrefixes><Prefix>{name}/</Prefix></CommonPrefixes>"
ENDLESS: dict[str, Callable[[], tuple[str, list[str]]]] = {  # the next token, and the names on a page
    "the same page": lambda: ("same", ["history/one"]),
    "empty pages": lambda: (next(NAMES), []),
    "new names": lambda: (next(NAMES), [f"history/{next(NAMES)}" for _ in range(100)]),
}


@pytest.mark.parametrize("watched", [True, False], ids=["watched", "unwatched"])
@pytest.mark.parametrize("pages", ENDLESS)
@pytest.mark.parametrize("which", ["objects", "folders"])
def test_a_list_that_never_ends_is_given_up(
    which: str, pages: str, watched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "_MAX_OBJECTS", 5000)
    keys = {"ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "REGION": "us-east-1"}
    for name, value in keys.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    watcher = objects.Watcher(lambda _: None, 0.1) if watched else None

    def page(path: str) -> bytes:
        token, names = ENDLESS[pages]()
        entry = FOLDER if "delimiter" in path else OBJECT
        return PAGE.format(token=token, entries="".join(entry.format(name=name) for name in names)).encode()

    with odd_host(200, page, signs_in=False) as (address, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        bucket = objects.Objects("s3://b", patience=0.2, watcher=watcher)
        with pytest.raises(StoreUnavailableError, match="a list of the state store s3://b does not end"):
            bucket.names("history") if which == "objects" else bucket.folders()
