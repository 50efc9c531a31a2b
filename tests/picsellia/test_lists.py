"""Every list of the platform, with any number of pages: complete, without duplicates, and finite."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count as numbers
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.errors import GoneError, PermanentError, ProviderError, TransientError
from providers.picsellia.answer import Answer, Page
from providers.picsellia.listing import pages
from providers.picsellia.platform import FEW, PAGE, Platform
from providers.protocol import LiveObject, Reference
from providers.sandbox import Sandbox
from tests.conftest import Cli, copy_example
from tests.picsellia.conftest import PROCESSING, Connect, Kinds
from tests.picsellia.odd_host import odd_host

SIZE = 12
LIST = "/api/processing/1/inputs"


@dataclass
class MadeUpList:
    """A list with unusual pages.

    Attributes:
        size: number of objects.
        most: objects per page.
        said: the returned count; None for no count.
        whole: whether it ignores the offset.
        wanders: whether each page has a different order.
    """

    size: int
    most: int
    said: int | None = None
    whole: bool = False
    wanders: bool = False
    requests: int = 0

    def __call__(self, offset: int) -> Page:
        self.requests += 1
        start = 0 if self.whole else offset
        items = [(str(number), Answer(id=str(number))) for number in range(self.size)]
        page = items[start : start + min(self.most, PAGE)]
        return Page(page[::-1] if self.wanders and self.requests % 2 else page, self.said)


def read(made_up: MadeUpList) -> list[int]:
    return [int(item["id"]) for page, _ in pages(made_up, LIST) for item in page]


@given(
    size=st.integers(0, 250),
    most=st.integers(1, 300),
    counts=st.booleans(),
    wanders=st.booleans(),
)
def test_every_object_is_listed_once(size: int, most: int, counts: bool, wanders: bool) -> None:
    made_up = MadeUpList(size, most, size if counts else None, wanders=wanders)
    listed = read(made_up)
    assert sorted(listed) == list(range(size))
    assert made_up.requests <= size // min(most, PAGE) + 3


@given(size=st.integers(0, 100), most=st.integers(1, 100), said=st.none() | st.integers(0, 10**12))
def test_a_list_that_starts_at_the_beginning_each_time_ends(size: int, most: int, said: int | None) -> None:
    made_up = MadeUpList(size, most, said, whole=True)
    there = min(size, most)
    if said is not None and 0 < there < said:
        with pytest.raises(
            PermanentError, match=f"has {said} objects, but its pages contain only {there} of them"
        ):
            read(made_up)
    else:
        assert sorted(read(made_up)) == list(range(there))
    assert made_up.requests <= 12


@given(size=st.integers(0, 100), most=st.integers(1, 100), said=st.integers(0, 10**12))
def test_a_count_may_be_wrong(size: int, most: int, said: int) -> None:
    """A platform may count objects that the token has no access to, or count too early."""
    made_up = MadeUpList(size, most, said)
    listed = read(made_up)
    assert listed == list(range(len(listed)))
    assert len(listed) >= min(size, said)
    assert made_up.requests <= size // most + 11


def test_objects_added_at_the_front_are_read_as_well() -> None:
    names = [str(number) for number in range(10)]

    def growing(offset: int) -> Page:
        if offset:
            names[:0] = [] if "new" in names else ["new"]
        found = [(name, Answer(id=name)) for name in names[offset : offset + 5]]
        return Page(found, len(names))

    listed = [item["id"] for page, _ in pages(growing, LIST) for item in page]
    assert sorted(listed) == sorted([*names[1:], "new"])


@given(
    size=st.integers(0, 60),
    most=st.integers(1, 20),
    came_in=st.dictionaries(st.integers(1, 8), st.integers(1, 30), max_size=3),
    counts=st.booleans(),
)
def test_no_object_is_missed_however_many_are_added_at_the_front(
    size: int, most: int, came_in: dict[int, int], counts: bool
) -> None:
    """A page or more of new objects before some requests: the next page has no new object."""
    names = [str(number) for number in range(size)]
    fresh, requests = numbers(size), numbers()

    def growing(offset: int) -> Page:
        names[:0] = [str(next(fresh)) for _ in range(came_in.get(next(requests), 0))]
        found = [(name, Answer(id=name)) for name in names[offset : offset + most]]
        return Page(found, len(names) if counts else None)

    listed = [item["id"] for page, _ in pages(growing, LIST) for item in page]
    assert len(set(listed)) == len(listed)
    assert set(listed) >= {str(number) for number in range(size)}


@pytest.mark.parametrize("counts", [True, False])
def test_exactly_one_page_of_new_objects_does_not_look_like_the_end(counts: bool) -> None:
    """The second page is the first one again, as of a platform that ignores the offset."""
    names = [str(number) for number in range(12)]

    def growing(offset: int) -> Page:
        if offset and "new-1" not in names:
            names[:0] = ["new-1", "new-2", "new-3"]
        found = [(name, Answer(id=name)) for name in names[offset : offset + 3]]
        return Page(found, len(names) if counts else None)

    assert sorted(item["id"] for page, _ in pages(growing, LIST) for item in page) == sorted(names)


def test_a_list_in_random_order_without_count_and_offset_fails() -> None:
    """It returns random five of its ten objects, so it never shows whether these are all."""
    starts = numbers()

    def wandering(offset: int) -> Page:
        start = 1 + number % 5 if (number := next(starts)) else 0
        return Page([(str(n), Answer(id=str(n))) for n in range(start, start + 5)], None)

    with pytest.raises(PermanentError, match="repeats itself"):
        list(pages(wandering, LIST))
    assert next(starts) < 50


def test_an_empty_list_without_a_count_takes_one_request() -> None:
    made_up = MadeUpList(0, PAGE)
    assert read(made_up) == [] and made_up.requests == 1


PAGE_OF = {"one object": 1, "a few objects": 7, "all requested objects": PAGE}
LARGE = 99_999
COUNTS: dict[str, Callable[[int], int | None]] = {
    "none": lambda _: None,
    "a huge one": lambda _: 10**9,
    "a large one": lambda _: LARGE,
    "one that grows": lambda offset: offset + PAGE + 1,
    "one that grows from a large one": lambda offset: 1_000 + 2 * offset,
}


@dataclass
class EndlessList:
    """A list that has objects at every offset.

    Attributes:
        size: objects per page; of the first page, if the others have fewer.
        count: returns the count for an offset.
        by_offset: whether an offset always has the same objects; otherwise each request has new ones.
        later: objects per later page; None for as many as on the first one.
    """

    size: int
    count: Callable[[int], int | None]
    by_offset: bool
    later: int | None = None
    requests: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, offset: int) -> Page:
        with self._lock:
            self.requests += 1
            start = offset if self.by_offset else self.requests * PAGE
        size = self.size if self.later is None or offset == 0 else self.later
        names = [str(number) for number in range(start, start + size)]
        return Page([(name, Answer(id=name)) for name in names], self.count(offset))


@pytest.mark.parametrize("later", [None, 1])
@pytest.mark.parametrize("by_offset", [True, False])
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("size", PAGE_OF)
def test_a_list_that_never_ends_is_given_up(
    size: str, count: str, by_offset: bool, later: int | None
) -> None:
    endless = EndlessList(PAGE_OF[size], COUNTS[count], by_offset, later)
    if count == "a large one" and PAGE_OF[size] == PAGE and later is None:
        assert sum(len(items) for items, _ in pages(endless, LIST)) == LARGE + 1  # no more than it counts
    else:
        with pytest.raises(PermanentError, match=f"list {LIST} does not end"):
            list(pages(endless, LIST))
    quick = count in ("none", "a huge one")
    assert endless.requests <= (60 if quick else 450 if count == "one that grows" else 3_500)


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("most", [1, 7, 10, 100])
def test_a_long_list_is_read_completely(most: int, counts: bool) -> None:
    """However few objects a page has, and while objects are added and deleted at its end."""
    names = [str(number) for number in range(10_000)]
    requests, lock = numbers(1), threading.Lock()

    def changing(offset: int) -> Page:
        with lock:
            number = next(requests)
            if number % 100 == 0:
                names.append(f"added {number}")
            elif number % 150 == 0 and len(names) > 10_000:
                names.pop()
            found = [(name, Answer(id=name)) for name in names[offset : offset + most]]
            return Page(found, len(names) if counts else None)

    listed = [item["id"] for page, _ in pages(changing, LIST) for item in page]
    assert len(set(listed)) == len(listed)
    assert set(listed) >= {str(number) for number in range(10_000)}


@pytest.mark.parametrize("error", [PermanentError, GoneError])
def test_a_platform_that_refuses_large_offsets_is_read_completely(error: type[ProviderError]) -> None:
    made_up = MadeUpList(300, 1)

    def refusing(offset: int) -> Page:
        if offset > 1_000:
            raise error("the offset is too large")
        return made_up(offset)

    assert len([item for page, _ in pages(refusing, LIST) for item in page]) == 300


# Over HTTP, as the kinds read them


class ListReader:
    """Each list of the platform with `SIZE` objects, and its read."""

    def __init__(self, sandbox: Sandbox, kinds: Kinds) -> None:
        self._kinds = kinds
        self._app = kinds.new_processing("app-00")
        model = sandbox.platform.create_model("model-00")
        for number in range(1, SIZE):
            sandbox.platform.create_processing(f"app-{number:02}")
            sandbox.platform.create_model(f"model-{number:02}")
        for number in range(SIZE):
            sandbox.platform.add_input("app-00", f"input-{number:02}")
            sandbox.platform.create_version("model-00", f"version-{number:02}")
        platform = kinds.model._platform
        self.paths: dict[str, str] = {
            "processings": platform.organization_path("processings"),
            "models": platform.organization_path("models"),
            "versions": f"/api/model/{model['id']}/versions",
            "inputs": f"/api/processing/{self._app.id}/inputs",
        }

    def names(self, which: str) -> list[str]:
        if which == "inputs":
            return [live.id for live in self._kinds.input.siblings(self._app)]
        items: Iterator[Answer] = self._kinds.model._platform.items(self.paths[which])
        return [item.text("name") for item in items]


@pytest.fixture
def lists(sandbox: Sandbox, kinds: Kinds) -> ListReader:
    return ListReader(sandbox, kinds)


@pytest.mark.parametrize("which", ["processings", "models", "versions", "inputs"])
def test_each_list_of_the_platform(sandbox: Sandbox, lists: ListReader, which: str) -> None:
    singular = {"processings": "app", "models": "model", "versions": "version", "inputs": "input"}[which]
    expected = [f"{singular}-{number:02}" for number in range(SIZE)]
    ways: list[dict[str, Any]] = [
        *({"page_cap": size} for size in (1, 2, 5, 11, 12, 13)),
        *({"page_default": 3, "page_cap": None}, {"page_cap": 5, "reorder": True}, {"page_ignored": True}),
    ]
    for way in ways:
        for counts in (True, False):
            sandbox.switch(
                **{"page_cap": None, "page_default": None, "reorder": False, "page_ignored": False, **way},
                counts=counts,
            )
            sandbox.clear_requests()
            assert sorted(lists.names(which)) == expected, (way, counts)
            most = way.get("page_cap") or SIZE
            assert len(sandbox.requests()) <= SIZE // most + 3, (way, counts)


def test_unreadable_inputs_are_not_created(sandbox: Sandbox, lists: ListReader) -> None:
    sandbox.switch(page_cap=5, page_ignored=True)
    with pytest.raises(PermanentError, match="has 12 objects, but its pages contain only 5 of them"):
        lists.names("inputs")


PARENT = LiveObject("1", ("parent",), {}, {})
LIST_REQUESTS: dict[str, Callable[[Kinds], object]] = {
    "processings": lambda kinds: list(kinds.processing.objects(None)),
    "models": lambda kinds: list(kinds.model.objects(None)),
    "versions": lambda kinds: list(kinds.version.objects(PARENT)),
    "inputs": lambda kinds: kinds.input.siblings(PARENT),
    "find": lambda kinds: kinds.read_processing("app"),
}
COUNTS_OF_ENDLESS: dict[str, Callable[[int], dict[str, int]]] = {
    "none": lambda _: {},
    "a huge one": lambda _: {"count": 10**9},
    "one that grows": lambda number: {"count": number + 2},
}


@pytest.mark.parametrize("count", COUNTS_OF_ENDLESS)
@pytest.mark.parametrize("which", LIST_REQUESTS)
def test_no_list_request_reads_a_list_that_never_ends(connect: Connect, which: str, count: str) -> None:
    numbered = numbers()

    def one_more(_: str) -> bytes:
        number = next(numbered)
        item = {"id": str(number), "name": f"object-{number}"}
        return json.dumps({**item, "items": [item], **COUNTS_OF_ENDLESS[count](number)}).encode()

    with odd_host(200, one_more) as (host, asked):
        kinds = Kinds(connect(host))
        with pytest.raises(PermanentError, match=r"list /api/.* does not end"):
            LIST_REQUESTS[which](kinds)
    assert len(asked) <= 250


@pytest.mark.parametrize("counts", [True, False])
def test_a_pipeline_with_more_inputs_than_a_page_has(cli: Cli, sandbox: Sandbox, counts: bool) -> None:
    copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    sandbox.switch(page_cap=1, counts=counts)
    applied = cli("apply", "dataset_cleanup", "--yes")
    assert applied.code == 0, applied.err
    assert len(sandbox.platform.inputs("dataset_cleanup")) > 2
    sandbox.clear_requests()
    again = cli("apply", "dataset_cleanup", "--yes")
    assert (again.code, sandbox.writes()) == (0, []), again.err
    assert cli("plan", "dataset_cleanup", "--exit-code").code == 0


@pytest.mark.parametrize("answered", [True, False])
def test_after_a_write_nothing_is_read_from_an_earlier_list(
    platform: Platform, kinds: Kinds, sandbox: Sandbox, answered: bool
) -> None:
    """One session plans many pipelines from a list, then applies them: a write is read back as it is."""
    for number in range(FEW):
        sandbox.platform.create_processing(f"app-{number}", **PROCESSING)
    platform.expect(FEW)
    live = kinds.read_processing("app-0")
    assert live is not None
    if answered:
        kinds.change_processing(live, default_cpu=8)
    else:
        sandbox.fail("PATCH", "/api/processing/", "drop-after")
        with pytest.raises(TransientError):
            kinds.change_processing(live, default_cpu=8)
    for name, cpu in (("app-0", 8), ("app-1", 4)):
        found = kinds.read_processing(name)
        assert found is not None and found.fields["default_cpu"] == cpu
    kinds.processing.delete(live, parent=None)
    assert kinds.read_processing("app-0") is None


@pytest.mark.parametrize("fails", [False, True])
def test_a_list_that_is_read_ahead_serves_every_look_up(
    platform: Platform, kinds: Kinds, sandbox: Sandbox, fails: bool
) -> None:
    """It is read once for all look-ups. Without it, each object is looked up by itself."""
    for number in range(FEW):
        sandbox.platform.create_processing(f"app-{number}", **PROCESSING)
    kinds.processing.read_ahead()  # many look-ups are not expected yet
    assert not lists_read(sandbox)
    platform.expect(FEW)
    if fails:
        sandbox.fail("GET", "/processings$", 500, times=None)
    for _ in range(2):
        kinds.processing.read_ahead()
    found = [kinds.read_processing(f"app-{number}") for number in range(FEW)]
    assert all(found)
    assert len(lists_read(sandbox)) == 1
    looked_up = [request for request in sandbox.requests() if request["path"].endswith("/processings/find")]
    assert len(looked_up) == (FEW if fails else 0)


def lists_read(sandbox: Sandbox) -> list[Any]:
    return [request for request in sandbox.requests() if request["path"].endswith("/processings")]


@pytest.mark.parametrize("kind", ["processing", "model"])
@pytest.mark.parametrize(
    "answer",
    [{}, {"items": [], "count": 1}, {"items": []}, {"id": "1"}, {"id": "1", "name": None}, {"name": ""}],
    ids=json.dumps,
)
def test_an_answer_without_a_name_does_not_say_that_nothing_is_there(
    connect: Connect, kind: str, answer: dict[str, object]
) -> None:
    """What is not there has status 404. Else the object would count as deleted, and be created again."""
    with odd_host(200, json.dumps(answer).encode()) as (host, _):
        kinds = Kinds(connect(host))
        with pytest.raises(ProviderError):
            getattr(kinds, kind).read(Reference(("app",)))
