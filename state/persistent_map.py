"""A persistent map: an immutable mapping whose changed copies share the unchanged parts.

An apply changes one entry per step. Copying 100,000 entries per step would make the whole apply quadratic;
here a change copies one bucket of 256, and comparing two copies skips shared buckets.
"""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, TypeVar

V = TypeVar("V")

_EMPTY: dict[str, Any] = {}  # shared, so comparisons skip it
_BUCKETS = 256  # for 100,000 entries, 400 per bucket: copying a bucket costs about as much as the table


class PersistentMap(Mapping[str, V]):
    """An immutable mapping with string keys, iterated in sorted order."""

    __slots__ = ("_buckets", "_keys", "_size")

    _buckets: tuple[dict[str, V], ...]  # never mutated
    _size: int
    _keys: tuple[str, ...] | None  # sorted; None until they are needed

    def __init__(self, entries: Mapping[str, V] | None = None) -> None:
        buckets: list[dict[str, V]] = [_EMPTY] * _BUCKETS
        for key, value in (entries or {}).items():
            place = hash(key) % _BUCKETS
            if buckets[place] is _EMPTY:
                buckets[place] = {}
            buckets[place][key] = value
        self._buckets = tuple(buckets)
        self._size = len(entries or ())
        self._keys = None

    def __getitem__(self, key: str) -> V:
        return self._buckets[hash(key) % _BUCKETS][key]

    def __iter__(self) -> Iterator[str]:
        if self._keys is None:  # most maps are iterated many times or never
            self._keys = tuple(sorted(chain.from_iterable(self._buckets)))
        return iter(self._keys)

    def __len__(self) -> int:
        return self._size

    def __repr__(self) -> str:
        return f"PersistentMap({dict(self)!r})"

    def put(self, key: str, value: V) -> "PersistentMap[V]":
        """A copy with `key` set to `value`."""
        place = hash(key) % _BUCKETS
        return self._with_bucket(place, {**self._buckets[place], key: value})

    def drop(self, key: str) -> "PersistentMap[V]":
        """A copy without `key`; the map itself if the key is missing."""
        if key not in self:
            return self
        place = hash(key) % _BUCKETS
        return self._with_bucket(place, {k: v for k, v in self._buckets[place].items() if k != key})

    def keys_changed_since(self, earlier: "PersistentMap[V]") -> list[str]:
        """The keys, sorted, whose value is not the identical object in `earlier`, including removed ones."""
        if self is earlier:
            return []
        changed = []
        for before, after in zip(earlier._buckets, self._buckets, strict=True):
            if before is not after:
                changed += [key for key, value in after.items() if before.get(key) is not value]
                changed += [key for key in before if key not in after]
        return sorted(changed)

    def _with_bucket(self, place: int, bucket: dict[str, V]) -> "PersistentMap[V]":
        copy: PersistentMap[V] = PersistentMap.__new__(PersistentMap)
        copy._buckets = (*self._buckets[:place], bucket, *self._buckets[place + 1 :])
        copy._keys = None
        copy._size = self._size - len(self._buckets[place]) + len(bucket)
        return copy
