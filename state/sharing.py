"""A read-only mapping whose changed copies share what did not change.

An apply changes one entry per step. Copying 100,000 entries for each of them would make the whole apply
quadratic; here a change copies one bucket in 256, and comparing two copies skips the buckets they share.
"""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

V = TypeVar("V")

_EMPTY: dict[str, Any] = {}  # one for all, so that comparing skips it
_BUCKETS = 256  # 100,000 entries: 400 a bucket, so that copying a bucket costs about as much as the table


class SharedMap(Mapping[str, V]):
    """An immutable mapping from text, iterated in the order of its keys."""

    __slots__ = ("_buckets", "_size")

    _buckets: tuple[dict[str, V], ...]  # never changed once they are in here
    _size: int

    def __init__(self, entries: Mapping[str, V] | None = None) -> None:
        buckets: list[dict[str, V]] = [_EMPTY] * _BUCKETS
        for key, value in (entries or {}).items():
            place = hash(key) % _BUCKETS
            if buckets[place] is _EMPTY:
                buckets[place] = {}
            buckets[place][key] = value
        self._buckets = tuple(buckets)
        self._size = sum(map(len, buckets))

    def __getitem__(self, key: str) -> V:
        return self._buckets[hash(key) % _BUCKETS][key]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(key for bucket in self._buckets for key in bucket))

    def __len__(self) -> int:
        return self._size

    def __repr__(self) -> str:
        return f"SharedMap({dict(self)!r})"

    def put(self, key: str, value: V) -> "SharedMap[V]":
        """A copy in which `key` has this value."""
        place = hash(key) % _BUCKETS
        return self._with_bucket(place, {**self._buckets[place], key: value})

    def drop(self, key: str) -> "SharedMap[V]":
        """A copy without `key`; itself when the key is not there."""
        if key not in self:
            return self
        place = hash(key) % _BUCKETS
        return self._with_bucket(place, {k: v for k, v in self._buckets[place].items() if k != key})

    def touched_since(self, earlier: "SharedMap[V]") -> list[str]:
        """Keys whose value is not the very same object as in `earlier`, in order; gone ones included."""
        if self is earlier:
            return []
        touched = []
        for before, after in zip(earlier._buckets, self._buckets, strict=True):
            if before is not after:
                touched += [key for key, value in after.items() if before.get(key) is not value]
                touched += [key for key in before if key not in after]
        return sorted(touched)

    def _with_bucket(self, place: int, bucket: dict[str, V]) -> "SharedMap[V]":
        copy: SharedMap[V] = SharedMap.__new__(SharedMap)
        copy._buckets = (*self._buckets[:place], bucket, *self._buckets[place + 1 :])
        copy._size = self._size - len(self._buckets[place]) + len(bucket)
        return copy
