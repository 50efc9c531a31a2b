"""Reads lists page by page, and shares one read list between many look-ups.

A list is only a shortcut. Listed objects are used as listed; missing or incomplete ones are fetched one by
one. The platform has no read for a single input, so the list of inputs is read to its end.
"""

import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from typing import Protocol

from providers.errors import GoneError, PermanentError, ProviderError
from providers.picsellia.answer import Answer, Page
from providers.threads import Pool, start

_PARALLEL = 8  # pages
_MAX_PAGES = 10_000  # of a list
_MAX_OBJECTS = 100_000  # of a list, however many a page has
_MANY_PAGES = 50  # of a list without a count: from here on, it may be one that never ends
_MAX_STALE = 20  # consecutive pages without a new object
_MAX_LATE = 200  # pages beyond the expected ones: objects are added while a list is read
_NOTHING_CHANGED = "nothing was changed, because the list is incomplete: contact Picsellia's support"

PageOfNew = tuple[list[Answer], int | None]
"""The objects of a page that were on no earlier page, and the count of all objects, None if unknown."""


def pages(read: Callable[[int], Page], path: str) -> Iterator[PageOfNew]:
    """The pages of a list, each with the count of all objects that the platform returned, if any.

    The first page has the count, and its length is the maximum page size, whatever size was requested. The
    others are requested in parallel. Pages move while they are read, so an object may be on two of them; it
    is returned once. For lists without a count, see `_until_empty`.

    Reading always ends, and soon: one request at the offset where reading would be given up shows a list
    that never ends, and a list may not grow as fast as it is read.

    Args:
        read: returns the page that starts at this offset.
        path: of the list, for messages.

    Raises:
        PermanentError: the list repeats its objects although its count is higher, or it does not end.
    """
    seen: set[str] = set()

    def fresh(page: Page) -> PageOfNew:
        items = {identity: item for identity, item in page.items if identity not in seen}
        seen.update(items)
        return list(items.values()), page.count

    page = read(0)
    first, count = fresh(page)
    yield first, count
    if count is None:
        yield from _until_empty(read, path, page, fresh, seen)
        return
    size, announced = max(len(first), 1), count
    most = _most(size)
    if first and count > most:  # it may be wrong
        _check_end(read, path, most, seen)
    if first and size < count:
        ahead, end = _PARALLEL * size, min(count, most)
        with Pool(_PARALLEL, thread_name_prefix="pages") as pool:
            for start in range(size, end, ahead):
                found = list(map(fresh, pool.map(read, range(start, min(start + ahead, end), size))))
                yield from found
                count = next((latest for _, latest in reversed(found) if latest is not None), count)
                if not all(items for items, _ in found):  # the count is too high, or the pages moved
                    break
    beginning = _identities(page)
    behind = stale = requests = 0
    most_requests = -(-(min(count, most) - len(seen)) // size) + _MAX_LATE
    moves = False  # whether another offset gives another page
    while len(seen) < count:  # objects were added
        page = read(len(seen))
        if not page.items:
            return
        moves = moves or _identities(page) != beginning
        items, latest = fresh(page)
        if not items:  # some may have been added on pages that were already read
            page = read(behind)
            items, latest = fresh(page)
            moves = moves or _identities(page) != beginning
            behind = behind + len(page.items) if page.items else 0
        count = latest if latest is not None else count
        if items:
            yield items, count
        stale = 0 if items else stale + 1
        requests += 1
        if len(seen) < count and stale and (stale > _MAX_STALE or not moves):
            raise PermanentError(
                f"the platform's list {path} has {count} objects, but its pages contain only "
                f"{len(seen)} of them",
                hint=_NOTHING_CHANGED,
            )
        if requests > most_requests:
            raise _endless(
                path, f"it had {announced} objects at first, and has {count} after {len(seen)} were read"
            )


def _identities(page: Page) -> set[str]:
    return {identity for identity, _ in page.items}


def _most(size: int) -> int:
    """The number of objects that a list with pages of this size may have."""
    return min(size * _MAX_PAGES, _MAX_OBJECTS)


def _check_end(read: Callable[[int], Page], path: str, most: int, seen: Collection[str]) -> None:
    """Raise PermanentError if a list has other objects at an offset that no list reaches."""
    try:
        page = read(most)
    except (PermanentError, GoneError):  # refused offsets say nothing about the list
        return
    if not _identities(page) <= set(seen):
        count = "" if page.count is None else f"its count is {page.count}, and "
        raise _endless(path, f"{count}at offset {most} there are still objects, {len(page.items)} on a page")


def _endless(path: str, detail: str) -> PermanentError:
    return PermanentError(f"the platform's list {path} does not end: {detail}", hint=_NOTHING_CHANGED)


def _until_empty(
    read: Callable[[int], Page],
    path: str,
    page: Page,
    fresh: Callable[[Page], PageOfNew],
    seen: Collection[str],
) -> Iterator[PageOfNew]:
    """The rest of a list without a count, up to an empty page.

    A short page is not the end, because the platform may have a maximum page size. A page without a new
    object is not the end either, because objects may have been added at the front. A platform that ignores
    the offset returns the whole list again, which is the end, too. Exactly one page of added objects looks
    the same, except at the front.

    Raises:
        PermanentError: the list repeats itself, or it does not end.
    """
    front = _identities(page)
    most = _most(max(len(page.items), 1))
    offset = len(page.items)
    requests = stale = 0
    while page.items:
        page = read(offset)
        offset += len(page.items)
        items, count = fresh(page)
        if not items and _identities(page) == front:
            page = read(0)
            if _identities(page) == front:
                return
            front = _identities(page)
            items, count = fresh(page)
        if items:
            yield items, count
        stale = 0 if items else stale + 1
        requests += 1
        if stale > _MAX_STALE:
            raise PermanentError(f"the platform's list {path} repeats itself after {offset} objects")
        if requests == _MANY_PAGES:
            _check_end(read, path, most, seen)
        if offset > most + _MAX_LATE or requests > _MAX_PAGES + _MAX_LATE:
            raise _endless(path, f"at offset {offset} there are still objects, {len(page.items)} on a page")


class ListReader(Protocol):
    """An object that can read a list."""

    def pages(self, collection: str) -> Iterator[PageOfNew]:
        """The pages of a list, each with the count of all objects; None if unknown."""


class Listing:
    """One collection, read once, at the first look-up or ahead of it. Thread-safe.

    Args:
        reader: reads the pages.
        collection: path of the collection.
        look_ups: number of expected look-ups. A list with more pages than that is not read to its end.
    """

    def __init__(self, reader: ListReader, collection: str, look_ups: int) -> None:
        self._reader = reader
        self._collection = collection
        self._look_ups = look_ups
        self._reading: Future[dict[str, Answer]] | None = None
        self._unlisted: set[str] | None = None  # keys that a read has and the list lacks
        self._lock = threading.Lock()

    def read_ahead(self) -> None:
        """Read the list on a thread of its own, unless that has begun."""
        with self._lock:
            if self._reading is not None:
                return
            self._reading = Future()
        reader = threading.Thread(target=self._read_into, args=[self._reading], name="list", daemon=True)
        try:
            start(reader)
        except OSError:
            self._read_into(self._reading)

    def get(self, name: str, keys: Collection[str]) -> Answer | None:
        """The object with exactly this name, if the list has all keys of it that a read has."""
        self.read_ahead()
        assert self._reading is not None
        items = self._reading.result()
        with self._lock:
            item = items.get(name)
            if item is None:
                return None
            missing = set(keys) - item.keys()
            if missing and (self._unlisted is None or missing & self._unlisted):
                return None
            return item

    def compare(self, name: str, found: Answer | None) -> None:
        """Compare the keys of an object that was read by itself with those in the list."""
        assert self._reading is not None
        items = self._reading.result()
        with self._lock:
            if found is not None and (item := items.get(name)):
                self._unlisted = (self._unlisted or set()) | (found.keys() - item.keys())

    def _read_into(self, reading: "Future[dict[str, Answer]]") -> None:
        try:
            reading.set_result(self._read())
        except BaseException as problem:  # noqa: BLE001 - raised by each look-up
            reading.set_exception(problem)

    def _read(self) -> dict[str, Answer]:
        """The objects by name, as far as the list can be read. The others are read one by one."""
        items: dict[str, Answer] = {}
        read = 0
        try:
            for page, count in self._reader.pages(self._collection):
                items.update((name, item) for item in page if isinstance(name := item.get("name"), str))
                read += 1
                pages = -(-count // max(len(page), 1)) if count is not None and read == 1 else read
                if max(pages, read) > self._look_ups:
                    break
        except ProviderError:
            pass
        return items
