"""Hashes the members of a build context, folder by folder, with as little work for each file as possible.

Files that the index of the context knows as unchanged are not read. Others are read once, serially: threads
are slower for small files. A folder that is unchanged as a whole costs one look at each of its entries.
"""

import contextlib
import os
import stat
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING

from providers.docker.source.key import (
    Announcer,
    ImageSource,
    entry_of,
    ignore_rules,
    shown_path,
    with_parents,
)
from providers.docker.source.key_parts import (
    file_digest,
    folder_digest,
    members_of,
    part,
    short,
)
from providers.docker.source.member_hashing import MemberHashing
from providers.docker.source.reading import unreadable, unreadable_folder
from providers.docker.source.source_index import (
    FOLDER,
    FOLDERS,
    IN_CONTEXT,
    LEFT_OUT,
    LEFT_OUT_FOLDER,
    MARGIN,
    MEMBER,
    MIN_BYTES,
    MIN_FILES,
    RESOLUTION,
    SEARCHED_FOLDER,
    SPECIAL,
    FolderRecord,
    SourceIndex,
    encoded_path,
    packed_status,
    status_of,
)
from providers.leftovers import OWN_NAME_PARTS, is_own_file, is_temporary
from providers.regular_files import READ_ONLY, read_regular

if TYPE_CHECKING:
    from providers.secret_rules import Sieve

_Item = os.DirEntry[str]
_Known = dict[str, tuple[bytes, int, bytes, bool]]
"""Name of a member -> its packed status, when it was read, its digest, and whether it is suspect."""

_BY_DESCRIPTOR = os.scandir in os.supports_fd and {os.open, os.readlink} <= os.supports_dir_fd
_AS_FOLDER = getattr(os, "O_DIRECTORY", 0)
_STATUS_SIZE = len(packed_status(range(6)))


class ContextHashing:
    """The hashing of one context.

    Args:
        sieve: searches each file for secrets while it is in memory; None to search none.
        index: what is known of its files; None to read all of them.

    Attributes:
        runs: the parts of the key, each with the path of its first member. Sort them by path.
        first: path -> the part of the first recipe, where that is another one.
        first_files: shown path -> its short digest.
    """

    def __init__(
        self, source: ImageSource, reading: Announcer, sieve: "Sieve | None", index: SourceIndex | None
    ) -> None:
        self._source = source
        self._root = f"{os.fspath(source.folder)}/"
        self._rules, text = ignore_rules(source)
        self._rules_digest = short(encoded_path(text)).encode()
        self._reading = reading
        self._hashing = MemberHashing(self._root, reading)
        self._sieve = sieve
        self._index = index if _BY_DESCRIPTOR else None
        self._taken = time.time_ns()
        self._named: defaultdict[str, set[str]] = defaultdict(set)  # keyed files of each folder
        for path in (*source.keyed, *source.keyed_first):
            folder, slash, name = path.rpartition("/")
            self._named[folder + slash].add(name)
        self._counted = frozenset(source.counted)
        self.runs: list[tuple[str, bytes]] = []
        self.first: dict[str, bytes] = {}
        self.first_files: dict[str, str] = {}
        self._suspects: list[str] = []
        self._folders: list[str] = []
        self._filled: set[str] = set()
        self._members = 0
        self._records: dict[str, FolderRecord | None] = {}

    def run(self) -> None:
        """Hash all members.

        Raises:
            RefusedError: as for `key.context`.
        """
        pending = [""]
        while pending:
            parent = pending.pop()
            self._reading(parent)
            with self._scanned(parent) as (at, items):
                searched = self._unchanged(parent, at, items)
                pending += self._hashed(parent, at, items) if searched is None else searched
        filled = with_parents(self._filled)
        for path in self._folders:
            if f"{path}/" not in filled:
                self._empty_folder(path)
        self.runs.sort(key=itemgetter(0))
        if self._sieve is not None:
            self._sieve.end()
            self._suspects += self._sieve.suspects

    @property
    def size(self) -> int:
        """Bytes of the content."""
        return self._reading.size

    @property
    def suspects(self) -> tuple[str, ...] | None:
        """The paths of files that may be or contain a secret; None if they were not searched."""
        return None if self._sieve is None else tuple(sorted(self._suspects))

    def save(self) -> None:
        """Replace the index if it is out of date, and if it saves time."""
        if self._index is None or not any(self._records.values()):
            return
        if self._members < MIN_FILES and self._reading.size < MIN_BYTES:
            return
        suspects: defaultdict[str, set[str]] = defaultdict(set)
        for path in self._suspects:
            folder, slash, name = path.rpartition("/")
            suspects[folder + slash].add(name)
        records = {
            folder: record and record._replace(suspects=tuple(sorted(suspects[folder])))
            for folder, record in self._records.items()
        }
        self._index.save(self._rules_digest, records)

    @contextlib.contextmanager
    def _scanned(self, parent: str) -> Iterator[tuple[int | None, list[_Item]]]:
        """The entries of a folder, and its descriptor where the system can use that instead of a path."""
        path, at = f"{self._root}{parent}", None
        try:
            if _BY_DESCRIPTOR:
                at = os.open(path, READ_ONLY | _AS_FOLDER)
            try:
                with os.scandir(path if at is None else at) as found:
                    items = list(found)
            except BaseException:
                if at is not None:
                    os.close(at)
                raise
        except OSError as error:
            folder = os.fspath(self._source.folder)
            raise unreadable_folder(parent.rstrip("/"), folder, error) from error
        try:
            yield at, items
        finally:
            if at is not None:
                os.close(at)

    def _unchanged(self, parent: str, at: int | None, items: Sequence[_Item]) -> list[str] | None:
        """Take a folder over from the index: the folders below to search. None if something changed."""
        record = self._index.record(parent) if self._index is not None else None
        if record is None or self._index is None or self._index.rules != self._rules_digest:
            return None
        if record.newest >= record.taken - MARGIN:  # a file may have been written again at that moment
            return None
        if "\0".join([item.name for item in items]) != record.names or len(items) != len(record.kinds):
            return None
        members, special, folders = self._sorted_by_kind(items, record.kinds)
        if not self._are_special(parent, special, record.names, items, record.kinds):
            return None
        try:
            if any(
                item.is_dir(follow_symlinks=False) != (kind in FOLDERS)
                for item, kind in zip(items, record.kinds, strict=True)
                if kind != MEMBER
            ):
                return None
            status = packed_status(
                chain.from_iterable([status_of(item.stat(follow_symlinks=False)) for item in members])
            )
        except OSError:
            return None  # reported where it is read
        if status != record.status:
            return None
        self.runs += record.runs
        named = self._special_names(parent)
        self._suspects += [parent + name for name in record.suspects if name not in named]
        self._reading(parent, record.size)
        for item in special:
            self._special(parent + item.name, item, at)
        self._count(parent, record.kinds, [parent + item.name for item in folders])
        self._records[parent] = None
        searched = FOLDER, SEARCHED_FOLDER
        return [
            f"{parent}{item.name}/"
            for item, kind in zip(items, record.kinds, strict=True)
            if kind in searched
        ]

    @staticmethod
    def _sorted_by_kind(
        items: Sequence[_Item], kinds: bytes
    ) -> tuple[Sequence[_Item], list[_Item], list[_Item]]:
        """The members, the special ones, and the folders in the context."""
        if kinds.count(MEMBER) == len(kinds):
            return items, [], []
        found: dict[int, list[_Item]] = {MEMBER: [], SPECIAL: [], FOLDER: []}
        for item, kind in zip(items, kinds, strict=True):
            if kind in found:
                found[kind].append(item)
        return found[MEMBER], found[SPECIAL], found[FOLDER]

    def _special_names(self, parent: str) -> Set[str]:
        """The names of files in a folder with other bytes in the key, if they are there."""
        return self._named.get(parent, frozenset()) | self._counted

    def _are_special(
        self, parent: str, special: Sequence[_Item], names: str, items: Sequence[_Item], kinds: bytes
    ) -> bool:
        """Whether the recorded special entries are those of today. `names` are those of all items."""
        named = self._special_names(parent)
        if not all(is_own_file(item.name) or item.name in named for item in special):
            return False
        return not any(name in names for name in named) or not any(
            item.name in named and kind == MEMBER for item, kind in zip(items, kinds, strict=True)
        )

    def _count(self, parent: str, kinds: bytes, folders: list[str]) -> None:
        self._members += len(kinds)
        self._folders += folders
        if any(kind in kinds for kind in IN_CONTEXT):
            self._filled.add(parent)

    def _hashed(self, parent: str, at: int | None, items: Sequence[_Item]) -> list[str]:
        """Hash a folder, except for the files that the index knows: the folders below to search."""
        names = "\0".join([item.name for item in items])
        found = {item.name: item for item in items}
        special = self._special_names(parent) & found.keys()
        if any(part in names for part in OWN_NAME_PARTS):  # one search for all names
            special = special | {name for name in found if is_own_file(name)}
            found = {name: item for name, item in found.items() if not is_temporary(name)}
        excluded = self._rules.excluded([parent + name for name in found])
        is_plain = not excluded and not special
        kinds = {
            name: MEMBER
            if is_plain and item.is_file(follow_symlinks=False)
            else self._kind(parent + name, item, excluded, special)
            for name, item in found.items()
        }
        folders = [name for name, kind in kinds.items() if kind in FOLDERS]
        order = sorted([*found, *(f"{name}/" for name in folders)]) if folders else sorted(found)
        known = self._known(parent)
        statuses: dict[str, os.stat_result] = {}
        runs: list[tuple[str, bytes]] = []
        parts: list[bytes] = []
        start, before = "", self._reading.size
        unrecorded = 0
        for name in order:
            kind = kinds.get(name)
            if kind == MEMBER:
                path = parent + name
                digest, status = self._member(path, found[name], at, known)
                statuses[name] = status
                if not parts:
                    start = path
                parts.append(part(path.encode("utf-8", "surrogateescape"), digest))
                continue
            if parts and kind != LEFT_OUT:  # a folder, or what is below it, or a special member
                runs.append((start, b"".join(parts)))
                parts = []
            if kind == SPECIAL:
                size = self._reading.size
                self._special(parent + name, found[name], at)
                unrecorded += self._reading.size - size
        if parts:
            runs.append((start, b"".join(parts)))
        self.runs += runs
        as_bytes = bytes([kinds.get(item.name, LEFT_OUT) for item in items])
        in_context = [f"{parent}{name}" for name in folders if kinds[name] == FOLDER]
        self._count(parent, bytes(kinds.values()), in_context)
        if self._index is not None:
            members = [status_of(statuses[item.name]) for item in items if item.name in statuses]
            self._records[parent] = FolderRecord(
                names,
                as_bytes,
                packed_status(chain.from_iterable(members)),
                max((_changed_at(*status[4:]) for status in members), default=0),
                self._taken,
                self._reading.size - before - unrecorded,
                (),
                tuple(runs),
            )
        return [f"{parent}{name}/" for name in folders if kinds[name] != LEFT_OUT_FOLDER]

    def _kind(self, path: str, item: _Item, excluded: Set[str], special: Set[str]) -> int:
        if path in excluded:
            if not item.is_dir(follow_symlinks=False):
                return LEFT_OUT
            return SEARCHED_FOLDER if self._rules.may_keep_below(path) else LEFT_OUT_FOLDER
        if not item.is_file(follow_symlinks=False):
            if item.is_dir(follow_symlinks=False):
                return FOLDER
            entry_of(item, path)  # refuses special files
        return SPECIAL if item.name in special else MEMBER

    def _known(self, parent: str) -> _Known:
        """What the index knows of the members of a folder."""
        record = self._index.record(parent) if self._index is not None else None
        if record is None:
            return {}
        names = zip(record.names.split("\0"), record.kinds, strict=False)
        members = [name for name, kind in names if kind == MEMBER]
        digests = {path: digest for _, parts in record.runs for path, digest in members_of(parts)}
        suspects = set(record.suspects)
        found: _Known = {}
        for number, name in enumerate(members):
            status = record.status[number * _STATUS_SIZE : (number + 1) * _STATUS_SIZE]
            if digest := digests.get(encoded_path(parent + name)):
                found[name] = status, record.taken, digest, name in suspects
        return found

    def _member(self, path: str, item: _Item, at: int | None, known: _Known) -> tuple[bytes, os.stat_result]:
        """The digest of a member, and its status."""
        if known and item.name in known:
            recorded, taken, digest, is_suspect = known[item.name]
            try:
                found = item.stat(follow_symlinks=False)
            except OSError as error:
                raise unreadable(path, error) from error
            status = status_of(found)
            if packed_status(status) == recorded and _changed_at(*status[4:]) < taken - MARGIN:
                self._reading(path, 0 if stat.S_ISLNK(found.st_mode) else found.st_size)
                if is_suspect:
                    self._suspects.append(path)
                return digest, found
        if item.is_file(follow_symlinks=False):
            return self._hashing.file(path, item.name, at, self._sieve)
        return self._hashing.link(path, item)

    def _special(self, path: str, item: _Item, at: int | None) -> None:
        """Hash a member that has other bytes in the key, or is in the key of the first recipe only."""
        is_own, is_counted = is_own_file(item.name), item.name in self._counted
        if path in self._source.keyed_first or is_own or is_counted:
            before = self._reading.size
            digest = self._keyed(path, item, at, self._source.keyed_first, None)
            self._reading.size = before
            self.first[path] = part(encoded_path(path), digest)
            self.first_files[shown_path(path)] = digest[:8].hex()
        if is_own:
            self.runs.append((path, b""))
            return
        digest = self._keyed(path, item, at, self._source.keyed, self._sieve)
        if is_counted:
            digest = self._counted_digest(path, item) or digest
        if path in self._source.keyed and item.is_file(follow_symlinks=False):
            self._suspects.append(path)
        self.runs.append((path, part(encoded_path(path), digest)))

    def _keyed(
        self, path: str, item: _Item, at: int | None, keyed: Mapping[str, bytes], sieve: "Sieve | None"
    ) -> bytes:
        """The digest of a member, with its `keyed` bytes if it is a file that has some."""
        if not item.is_file(follow_symlinks=False):
            return self._hashing.link(path, item)[0]
        if path not in keyed:
            return self._hashing.file(path, item.name, at, sieve)[0]
        self._reading(path, len(keyed[path]))
        return file_digest(entry_of(item, path).mode, keyed[path])

    def _counted_digest(self, path: str, item: _Item) -> bytes | None:
        """The digest of the part of a file that counts; None if all of it does."""
        if not item.is_file(follow_symlinks=False):
            return None
        entry = entry_of(item, path)
        if (part_of := self._source.counted_part(path, entry.size)) is None:
            return None
        try:
            return file_digest(entry.mode, part_of(read_regular(Path(self._root, path))))
        except OSError as error:
            raise unreadable(path, error) from error

    def _empty_folder(self, path: str) -> None:
        try:
            mode = os.lstat(self._root + path).st_mode
        except OSError as error:
            raise unreadable(path, error) from error
        one = part(encoded_path(path), folder_digest(mode))
        if is_own_file(path.rpartition("/")[2]):
            self.first[path] = one
            self.first_files[shown_path(path)] = folder_digest(mode)[:8].hex()
            one = b""
        self.runs.append((path, one))


def _changed_at(written: int, changed: int) -> int:
    """When a file was changed, to compare with `MARGIN`; all in nanoseconds since 1970.

    Writes through a mapping set the time of the last write. The time of the last change is later for files
    that a program copied or unpacked with their times, and needs the resolution of the clock only.
    """
    return max(written, changed - max(0, MARGIN - RESOLUTION))
