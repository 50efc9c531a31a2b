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


def pages(ask: Callable[[int], Page]) -> Iterator[tuple[list[Answer], int | None]]:
    """The pages of a list, each with how many objects the platform says there are in all, if it does.

    The first says how many there are, and how many a page may have at most, whatever was requested. The
    others are requested side by side. An object that is on two of them, as pages move while they are read,
    is given once. A list without a count ends with the first page that has nothing new: a short page is no
    end, as the platform may have a maximum of its own.

    Args:
        ask: the page from the object of this number on.

    Raises:
        FinalError: the list repeats what it said already and says that there is more, or it does not end.
    """
    seen: set[str] = set()

    def fresh(page: Page) -> tuple[list[Answer], int | None]:
        items = {identity: item for identity, item in page.items if identity not in seen}
        seen.update(items)
        return list(items.values()), page.count

    first, count = fresh(ask(0))
    yield first, count
    if first and count is not None and len(first) < count:
        size, ahead = len(first), _AT_ONCE * len(first)
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="pages") as pool:
            for start in range(size, count, ahead):
                found = list(map(fresh, pool.map(ask, range(start, min(start + ahead, count), size))))
                yield from found
                if not all(items for items, _ in found):  # there are fewer than it says
                    break
    asked = 0
    while count is None or len(seen) < count:  # it does not say how many, or they became more
        page = ask(len(seen))
        items, count = fresh(page)
        if not items and page.items and count is not None and len(seen) < count:
            items, count = fresh(ask(0))  # some may have come in before those that were read
            if not items and count is not None and len(seen) < count:
                raise PermanentError(
                    f"the platform's list has {count} objects, and gives only {len(seen)} of them, whatever "
                    "page is asked for",
                    hint="nothing is known of the others, so nothing is done: ask Picsellia's support",
                )
        if not items:
            return
        yield items, count
        asked += 1
        if asked > _MOST:
            raise PermanentError(f"the platform's list does not end after {len(seen)} objects")


class ListReader(Protocol):
    """What can read a list."""

    def pages(self, collection: str) -> Iterator[tuple[list[Answer], int | None]]:
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
