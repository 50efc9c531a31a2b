"""Split all pipelines into shards, one for each of several parallel jobs."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct


class Shard(Struct, frozen=True):
    """One of `of` shards, written `3/16`; `index` counts from 1."""

    index: int
    of: int

    def __str__(self) -> str:
        return f"{self.index}/{self.of}"

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """The shard written as `3/16`. Raises ValueError."""
        index, _, of = text.partition("/")
        if not (index.isdecimal() and of.isdecimal() and 1 <= int(index) <= int(of)):
            raise ValueError(f"{text!r} is not a shard: write INDEX/COUNT, for example 3/16")
        return cls(int(index), int(of))


def part_of(folders: Sequence[Path], root: Path, shard: Shard | None) -> list[Path]:
    """The folders in this shard. A folder's shard depends on its path only, on every machine."""
    return [
        folder for folder in folders if shard is None or _number(folder, root) % shard.of == shard.index - 1
    ]


def selection_hash(folders: Sequence[Path], root: Path) -> str:
    """A hash of the folders that are split into shards, equal on every machine."""
    return hashlib.sha256(b"\0".join(sorted(_path(folder, root) for folder in folders))).hexdigest()[:12]


def _number(folder: Path, root: Path) -> int:
    return int.from_bytes(hashlib.sha256(_path(folder, root)).digest()[:8], "big")


def _path(folder: Path, root: Path) -> bytes:
    return Path(os.path.relpath(folder, root)).as_posix().encode("utf-8", "surrogateescape")
