"""What a list call answers: its pages, and one collection for everybody who looks for something in it.

A list is only a shortcut: what is in it is there, as it says. What is not in it, or of which it says less
than a read of its own would, is asked for by itself. An input has no read of its own, so the list of inputs
is read to its end.
"""

import threading
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from providers.errors import PermanentError, ProviderError
from providers.picsellia.answer import Answer, Page

_AT_ONCE = 8  # pages
_MOST = 10_000  # pages of a list that does not say how long it is
_STALE = 20  # of its pages in a row with nothing new

PageOfNew = tuple[list[Answer], int | None]
"""The objects of a page that were on none before it, and how many there are in all, where that is known."""


def pages(ask: Callable[[int], Page]) -> Iterator[PageOfNew]:
    """The pages of a list, each with how many objects the platform says there are in all, if it does.

    The first says how many there are, and how many a page may have at most, whatever was requested. The
    others are requested side by side. An object that is on two of them, as pages move while they are read,
    is given once. Without a count see `_until_empty`.

    Args:
        ask: the page from the object of this number on.

    Raises:
        PermanentError: the list repeats what it said already and says that there is more, or it does not end.
    """
    seen: set[str] = set()

    def fresh(page: Page) -> PageOfNew:
        items = {identity: item for identity, item in page.items if identity not in seen}
        seen.update(items)
        return list(items.values()), page.count

    page = ask(0)
    first, count = fresh(page)
    yield first, count
    if count is None:
        yield from _until_empty(ask, page, fresh)
        return
    if first and len(first) < count:
        size, ahead, end = len(first), _AT_ONCE * len(first), count
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="pages") as pool:
            for start in range(size, end, ahead):
                found = list(map(fresh, pool.map(ask, range(start, min(start + ahead, end), size))))
                yield from found
                count = next((latest for _, latest in reversed(found) if latest is not None), count)
                if not all(items for items, _ in found):  # there are fewer than it says, or they moved
                    break
    beginning = _identities(page)
    behind = stale = requests = 0
    moves = False  # whether another offset gives another page
    while len(seen) < count:  # they became more
        page = ask(len(seen))
        if not page.items:
            return
        moves = moves or _identities(page) != beginning
        items, latest = fresh(page)
        if not items:  # some may have come in before those that were read
            page = ask(behind)
            items, latest = fresh(page)
            moves = moves or _identities(page) != beginning
            behind = behind + len(page.items) if page.items else 0
        count = latest if latest is not None else count
        if items:
            yield items, count
        stale = 0 if items else stale + 1
        requests += 1
        if len(seen) < count and stale and (stale > _STALE or not moves):
            raise PermanentError(
                f"the platform's list has {count} objects, but its pages contain only {len(seen)} of them",
                hint="nothing was changed, because the list is incomplete: contact Picsellia's support",
            )
        if requests > _MOST:
            raise PermanentError(f"the platform's list does not end after {len(seen)} objects")


def _identities(page: Page) -> set[str]:
    return {identity for identity, _ in page.items}


def _until_empty(
    ask: Callable[[int], Page], page: Page, fresh: Callable[[Page], PageOfNew]
) -> Iterator[PageOfNew]:
    """The rest of a list that does not say how long it is: it ends with an empty page.

    Neither a short page nor one with nothing new is an end: the platform may have a maximum of its own, and
    more objects than a page has may have come in at the front. A platform that ignores the offset gives the
    whole list again, which ends it, too.

    Raises:
        PermanentError: the list repeats itself, or it does not end.
    """
    whole = _identities(page)
    offset = len(page.items)
    requests = stale = 0
    while page.items:
        page = ask(offset)
        items, count = fresh(page)
        if items:
            stale = 0
            yield items, count
        elif _identities(page) == whole:
            return
        else:
            stale += 1
        offset += len(page.items)
        requests += 1
        if stale > _STALE:
            raise PermanentError(f"the platform's list repeats itself after {offset} objects")
        if requests > _MOST:
            raise PermanentError(f"the platform's list does not end after {offset} objects")


class ListReader(Protocol):
    """What can read a list."""

    def pages(self, collection: str) -> Iterator[PageOfNew]:
        """The pages of a list, each with how many objects there are in all, where that is known."""


class Listing:
    """One collection, read at the first look. Safe for threads.

    Args:
        lists: reads the pages.
        collection: which one.
        looks: how many objects will be looked for; a list of more pages than that is not worth it.
    """

    def __init__(self, lists: ListReader, collection: str, looks: int) -> None:
        self._lists = lists
        self._collection = collection
        self._looks = looks
        self._items: dict[str, Answer] | None = None
        self._told: set[str] | None = None
        self._lock = threading.Lock()

    def get(self, name: str, keys: Collection[str]) -> Answer | None:
        """The object of exactly this name, if the list says as much of it as a read would."""
        with self._lock:
            if self._items is None:
                self._items = self._read()
            item = self._items.get(name)
            if item is None:
                return None
            missing = set(keys) - item.keys()
            if missing and (self._told is None or missing & self._told):
                return None
            return item

    def compare(self, name: str, found: Answer | None) -> None:
        """Learn which keys a read has and the list has not, from an object that was read by itself."""
        with self._lock:
            if found is not None and self._items and (item := self._items.get(name)):
                self._told = (self._told or set()) | (found.keys() - item.keys())

    def _read(self) -> dict[str, Answer]:
        """By name; what could be read, if not all of it: the rest is asked for one by one."""
        items: dict[str, Answer] = {}
        asked = 0
        try:
            for page, count in self._lists.pages(self._collection):
                items.update((item["name"], item) for item in page if isinstance(item.get("name"), str))
                asked += 1
                pages = -(-count // max(len(page), 1)) if count is not None and asked == 1 else asked
                if max(pages, asked) > self._looks:
                    break
        except ProviderError:
            pass
        return items
