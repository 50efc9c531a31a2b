"""The source of an image: the filtered folder, and the key that identifies it.

The first of the image's three steps (source, build, registry). Every plan computes the key, so this module
reads each file once, serially (threads are slower for small files), with the least work per file. It never
writes, follows a link or sends anything. The key covers exactly what builders put into the image, so not the
times and owners of files.
"""

import functools
import hashlib
import os
import stat
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal, NamedTuple

from providers.docker.source.ignore import IgnoreRules
from providers.errors import RefusedError
from providers.leftovers import is_own_file, is_temporary
from providers.regular_files import READ_ONLY, kind_of, open_regular, read_regular, refuse_irregular
from providers.waits import SLOW, Hashing

if TYPE_CHECKING:
    from providers.secret_rules import Sieve

CHUNK = 64 << 10  # bytes read at a time; larger pieces make many small files slower
_MAX_IGNORE_FILE = 1 << 20  # bytes
RECIPE = "v2:"
"""The prefix of keys of the current recipe. Keys of the first recipe start with "sha256:"."""
_FORMAT = b"picsellia-reconciler source key 2"
_FIRST_FORMAT = b"picsellia-reconciler source key 1"
LEFT_OUT = (
    *("**/.git", "**/.venv", "venv"),  # differ after each commit, or on each machine
    *("**/__pycache__", "**/*.pyc", "**/*.pyo", "**/.DS_Store"),
)
"""The ignore rules of a folder without an ignore file: the repository, and the rules of the file that
`pxl-pipeline deploy` adds, applied at any depth. Nothing is written here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageSource:
    """A folder and the settings to build an image of it.

    Not every builder supports all settings. A builder refuses a setting that it does not support.

    Attributes:
        folder: the build context.
        dockerfile: path of the Dockerfile, relative to the folder.
        platform: "os/architecture" or "os/architecture/variant".
        build_args: values for the Dockerfile's ARG lines; they may be secret and are never shown.
        keyed: relative path -> bytes for the key, instead of the file's content.
        keyed_first: the same for the first recipe, if it differs.
        replaced: relative path -> bytes for the image, instead of the file's content.
        target: the stage of the Dockerfile to build; None for the last one.
        secrets: name in `RUN --mount=type=secret,id=NAME` -> environment variable with the value. Only the
            names are part of the key.
        cache_from, cache_to: caches of layers, in the format of `docker build`. They do not change the
            image, so they are not part of the key.
        base: image that the `append` builder adds the folder to.
        workdir: path of the folder in the image, for the `append` builder; also the image's WorkingDir.
        entrypoint: the image's Entrypoint, for the `append` builder.
        env: environment variables that the `append` builder adds.
        provenance: whether to state how the image was built; part of the image's index, not of the key.
        sbom: whether to list the packages of the image, with buildx only; not part of the key either.
        sbom_generator: image of the program that lists them; None for BuildKit's own one.
        accepted_secrets: path of a file in the context -> last day on which the image may contain it
            although it has a secret.
        pushed_to: the repository of the image. A base image in the same registry is read with its login.
        expected: the key for the image's label; a packed file that does not match it is refused.
    """

    folder: Path
    dockerfile: str = "Dockerfile"
    platform: str = "linux/amd64"
    build_args: Mapping[str, str] = field(default_factory=dict)
    keyed: Mapping[str, bytes] = field(default_factory=dict)
    keyed_first: Mapping[str, bytes] = field(default_factory=dict)
    replaced: Mapping[str, bytes] = field(default_factory=dict)
    target: str | None = None
    secrets: Mapping[str, str] = field(default_factory=dict)
    cache_from: tuple[str, ...] = ()
    cache_to: tuple[str, ...] = ()
    base: str | None = None
    workdir: str | None = None
    entrypoint: tuple[str, ...] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    provenance: bool = False
    sbom: bool = False
    sbom_generator: str | None = None
    accepted_secrets: Mapping[str, date] = field(default_factory=dict)
    pushed_to: str = ""
    expected: "SourceKey | None" = None


@dataclass(frozen=True, slots=True)
class SourceKey:
    """The identity of a source.

    Attributes:
        key: "v2:<64 hex digits>", a sha256 over everything below.
        files: path -> short digest of its kind, mode and content, for `source_diff.differences`.
        arguments: the settings in the key by their shown names; values that may be secret as short digests.
        bytes: number of content bytes.
        recipe: short digest of the Dockerfile's content; "" without a Dockerfile.
        first: the key by the first recipe, "sha256:<64 hex digits>"; "" if unknown.
        first_files: the entries of `files` that differ in the first recipe.
        suspects: paths of files that may be or contain a secret; None if they were not searched.
    """

    key: str
    files: Mapping[str, str]
    arguments: Mapping[str, str]
    bytes: int
    recipe: str = ""
    first: str = ""
    first_files: Mapping[str, str] = field(default_factory=dict)
    suspects: tuple[str, ...] | None = field(default=None, compare=False)

    def is_same(self, key: str | None) -> bool:
        """Whether a key of either recipe belongs to this source."""
        return key is not None and key in (self.key, self.first)

    def files_as_of(self, key: str | None) -> Mapping[str, str]:
        """`files` by the recipe of another key."""
        is_first = key is not None and not key.startswith(RECIPE)
        return {**self.files, **self.first_files} if is_first else self.files


class Entry(NamedTuple):
    """One member of the filtered context, with a posix, relative path and a masked mode.

    `size` is the number of bytes of a file when it was listed.
    """

    path: str
    kind: Literal["file", "link", "folder"]
    mode: int
    size: int = 0


def context(source: ImageSource, reading: Callable[[str], None] = lambda _: None) -> list[Entry]:
    """The files, links and empty folders that a build of `source` gets, sorted by path.

    Folders with content are not listed. Their mode depends on the umask of the check-out, so it is not part
    of the key or the image.

    Args:
        reading: called with the path of each folder.

    Raises:
        RefusedError: a file or folder cannot be read, or is of a special type (socket, device, pipe).
    """
    return [_entry(item, path) for path, item in _members(source, reading) if not is_own_file(item.name)]


def file_paths(source: ImageSource) -> list[str]:
    """The paths of the files in `context`. Three times as fast, as it does not read their modes.

    Raises:
        RefusedError: as for `context`.
    """
    return [path for path, item in _members(source) if item.is_file(follow_symlinks=False)]


Announce = Callable[[Hashing], None]


class Announcer:
    """Announces the files of a source that are being read, once that takes longer than `SLOW` seconds."""

    def __init__(self, source: ImageSource, announce: Announce) -> None:
        self._folder = os.fspath(source.folder)
        self._announce = announce
        self._next = time.monotonic() + SLOW
        self.size = 0

    def __call__(self, path: str, more: int = 0) -> None:
        """Count `more` bytes of content, and announce the file `path` if it is time to."""
        self.size += more
        now = time.monotonic()
        if now >= self._next:
            self._next = now + SLOW
            self._announce(Hashing(self._folder, shown_path(path), self.size))


def fingerprint(source: ImageSource, *, search: bool = False, announce: Announce | None = None) -> SourceKey:
    """The source key: sha256 over the Dockerfile, the settings and every file of the filtered context.

    Covers paths, modes (only whether a file is executable, as the rest depends on the umask), link targets
    and contents; not times, owners and our own files (`providers.leftovers`). Every part is length-prefixed
    or has a fixed length, so two sources never have the same encoding. Also computes the key by the first
    recipe, from the same read, for images with such a label.

    Args:
        search: search each file for secrets while it is in memory: `suspects` of the key.
        announce: called every `SLOW` seconds while it takes longer than that.

    Raises:
        RefusedError: as for `context`, or the source has neither a Dockerfile nor a `base`.
    """
    sieve = _sieve() if search else None
    parts: list[bytes] = []
    first_parts: dict[int, bytes] = {}
    files: dict[str, str] = {}
    first_files: dict[str, str] = {}
    reading = Announcer(source, announce or announce_nothing)
    root = f"{os.fspath(source.folder)}/"
    for path, item in _members(source, reading):
        before = reading.size
        digest = _digest(root, path, item, source.keyed, reading, sieve)
        if sieve is not None and path in source.keyed and item.is_file(follow_symlinks=False):
            sieve.suspects.append(path)
        raw = path.encode("utf-8", "surrogateescape")
        name = shown_path(path)
        if path in source.keyed_first or is_own_file(item.name):
            first = _digest(root, path, item, source.keyed_first, Announcer(source, announce_nothing))
            first_parts[len(parts)] = b"%d:%s%s" % (len(raw), raw, first)
            first_files[name] = first[:8].hex()
        if is_own_file(item.name):  # only part of the first recipe
            parts.append(b"")
            reading.size = before
            continue
        parts.append(b"%d:%s%s" % (len(raw), raw, digest))
        files[name] = digest[:8].hex()
    if sieve is not None:
        sieve.end()
    recipe = dockerfile(source)
    parts.append(b"-" if recipe is None else b"+")
    if recipe is not None:
        # The Dockerfile changes the image even if .dockerignore excludes it from the context.
        parts.append(hashlib.sha256(recipe).digest())
        files.setdefault(source.dockerfile, _short(recipe))
    arguments = _arguments(source)
    for name, value in sorted(_hidden(source).items() | arguments.items()):
        parts.append(b"%d:%s" % (len(name.encode()), name.encode()))
        parts.append(b"%d:%s" % (len(value.encode()), value.encode()))
    shown = arguments | {name: _short(value.encode()) for name, value in _hidden(source).items()}
    key = hashlib.sha256(b"".join((_FORMAT, *parts))).hexdigest()
    for index, part in first_parts.items():
        parts[index] = part
    first_key = hashlib.sha256(b"".join((_FIRST_FORMAT, *parts))).hexdigest()
    return SourceKey(
        f"{RECIPE}{key}",
        files,
        dict(sorted(shown.items())),
        reading.size,
        recipe="" if recipe is None else _short(recipe),
        first=f"sha256:{first_key}",
        first_files=first_files,
        suspects=None if sieve is None else tuple(sorted(sieve.suspects)),
    )


def announce_nothing(_: Hashing) -> None:
    """Announces nothing."""


def _sieve() -> "Sieve":
    from providers.secret_rules import Sieve  # its expressions take a while

    return Sieve()


class SourceCheck:
    """Compares the packed files with the expected key, so that an image matches its label.

    A folder may be edited after it was hashed and before it is packed. Does nothing for a source without an
    expected key. Every method raises RefusedError with the name of the file.
    """

    def __init__(self, source: ImageSource) -> None:
        self._keyed = source.keyed
        self._missing: dict[str, str] | None = None
        if source.expected is not None:
            self._missing = dict(source.expected.files)
            if self._missing.get(source.dockerfile) == source.expected.recipe:
                del self._missing[source.dockerfile]  # not in the context; compared when it is read

    def pieces(self, entry: Entry, content: Iterable[bytes]) -> Iterator[bytes]:
        """Pass on the content of a file, and compare it at its end."""
        if self._missing is None:
            yield from content
            return
        digest = _beginning(entry.mode).copy()
        for piece in content:
            digest.update(piece)
            yield piece
        self._compare(entry, digest.digest())

    def whole(self, entry: Entry, target: bytes) -> None:
        """Compare a link with its target, or an empty folder."""
        begins = b"d%04o" % entry.mode if entry.kind == "folder" else b"l"
        self._compare(entry, hashlib.sha256(begins + target).digest())

    def replaced(self, entry: Entry) -> None:
        """Compare a file whose packed bytes are replaced. Only its mode can differ."""
        if entry.path in self._keyed:
            self._compare(entry, hashlib.sha256(b"f%04o" % entry.mode + self._keyed[entry.path]).digest())
        elif self._missing is not None:
            self._missing.pop(shown_path(entry.path), None)

    def end(self) -> None:
        """Check that every hashed file was packed."""
        for path in self._missing or ():
            raise changed(path)

    def _compare(self, entry: Entry, digest: bytes) -> None:
        if self._missing is not None and self._missing.pop(shown_path(entry.path), "") != digest[:8].hex():
            raise changed(entry.path)


def changed(path: str) -> RefusedError:
    """The error for a file that is not as it was when it was hashed or packed."""
    return RefusedError(
        f"{path} changed during the build, so nothing was published",
        hint="run again when no process writes to the folder",
    )


def shown_path(path: str) -> str:
    """A path for state: bytes that are not UTF-8 are escaped."""
    if path.isascii():
        return path
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def dockerfile(source: ImageSource) -> bytes | None:
    """The content of the Dockerfile; None if it does not exist and the source has a base image.

    Raises:
        RefusedError: it is missing, unreadable, outside of the folder, or not the expected one.
    """
    content = _dockerfile(source)
    if source.expected and source.expected.recipe != ("" if content is None else _short(content)):
        raise changed(source.dockerfile)
    return content


def _dockerfile(source: ImageSource) -> bytes | None:
    path = PurePosixPath(source.dockerfile)
    if path.is_absolute() or ".." in path.parts:
        raise RefusedError(
            f"the Dockerfile {source.dockerfile} is not inside {source.folder}",
            hint="give its path relative to the pipeline's folder",
        )
    try:
        return read_regular(source.folder / path)
    except FileNotFoundError:
        if source.base is not None:
            return None
        raise RefusedError(
            f"there is no {source.dockerfile} in {source.folder}",
            hint="write one, or set the base image to add the folder to",
        ) from None
    except OSError as error:
        raise _unreadable(source.dockerfile, error) from error


def ignore_file(source: ImageSource) -> str | None:
    """The ignore file in use: "<Dockerfile>.dockerignore", or else ".dockerignore", as in BuildKit."""
    folder = os.fspath(source.folder)
    for name in (f"{source.dockerfile}.dockerignore", ".dockerignore"):
        if os.path.exists(f"{folder}/{name}"):  # noqa: PTH110 - `Path.exists` raises below an unreadable folder
            return name  # a folder of this name is refused when it is read, not silently ignored
    return None


def whiteouts(paths: Iterable[str]) -> Iterator[str]:
    """Those of the paths that a layer cannot contain: there, names that start with .wh. delete files.

    https://github.com/opencontainers/image-spec/blob/main/layer.md#whiteouts
    """
    return (path for path in paths if path.startswith(".wh.") or "/.wh." in path)


def seen(source: ImageSource, paths: Iterable[str]) -> set[str]:
    """The `paths`, relative to the folder, that a build would get if they existed.

    Raises:
        RefusedError: the ignore file cannot be read, or has an invalid line.
    """
    paths = {path for path in paths if not is_own_file(path.rpartition("/")[2])}
    return paths - _ignore_rules(source).excluded(paths)


def read_file(root: str, path: str) -> Iterator[bytes]:
    """The content of the file `root` + `path`, in pieces of at most `CHUNK` bytes.

    Raises:
        RefusedError: it cannot be read.
    """
    try:
        descriptor = open_regular(root + path)
        try:
            while piece := os.read(descriptor, CHUNK):
                yield piece
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _unreadable(path, error) from error


def read_blocks(root: str, path: str, size: int) -> Iterator[bytes]:
    """The content of the file `root` + `path`, in pieces of exactly `size` bytes but for the last one.

    Raises:
        RefusedError: it cannot be read.
    """
    try:
        with os.fdopen(open_regular(root + path), "rb") as file:  # its buffer is not used for large reads
            while piece := file.read(size):
                yield piece
    except OSError as error:
        raise _unreadable(path, error) from error


def read_block(root: str, path: str, offset: int, size: int) -> bytes:
    """A part of the file `root` + `path`; fewer bytes at its end.

    Raises:
        RefusedError: it cannot be read.
    """
    try:
        with os.fdopen(open_regular(root + path), "rb") as file:
            file.seek(offset)
            return file.read(size)
    except OSError as error:
        raise _unreadable(path, error) from error


def first_piece(root: str, path: str) -> tuple[bytes, bool]:
    """The first `CHUNK` bytes of a file, and whether the file has no more. Avoids a generator per file.

    Raises:
        RefusedError: it cannot be read.
    """
    try:
        descriptor = os.open(root + path, READ_ONLY)
        try:
            status = os.fstat(descriptor)
            refuse_irregular(status.st_mode, path)
            piece = os.read(descriptor, CHUNK)
            return piece, len(piece) == status.st_size
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _unreadable(path, error) from error


def link_target(root: str, path: str) -> str:
    """The target of a symbolic link, unresolved.

    Raises:
        RefusedError: it cannot be read.
    """
    try:
        return os.fspath(Path(root + path).readlink())
    except OSError as error:
        raise _unreadable(path, error) from error


def _digest(
    root: str,
    path: str,
    item: os.DirEntry[str],
    keyed: Mapping[str, bytes],
    reading: Announcer,
    sieve: "Sieve | None" = None,
) -> bytes:
    """sha256 of kind, mode and content. Counts the bytes of the content."""
    if not item.is_file(follow_symlinks=False) or path in keyed:
        digest_unread, size = _digest_unread(root, _entry(item, path), keyed)
        reading(path, size)
        return digest_unread
    try:
        # Not `read_file`: a generator per file costs a tenth of the time for many small files.
        descriptor = os.open(root + path, READ_ONLY)
        try:
            status = os.fstat(descriptor)  # half the time of a stat by path
            refuse_irregular(status.st_mode, path)
            digest = _beginning(status.st_mode).copy()
            piece = os.read(descriptor, CHUNK)
            digest.update(piece)
            reading(path, len(piece))
            if len(piece) == status.st_size:
                if sieve is not None:
                    sieve.add(path, piece)
                return digest.digest()

            def pieces() -> Iterator[bytes]:
                yield piece
                while more := os.read(descriptor, CHUNK):
                    digest.update(more)
                    reading(path, len(more))
                    yield more

            if sieve is not None:
                sieve.add_pieces(path, pieces())
            else:
                deque(pieces(), maxlen=0)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _unreadable(path, error) from error
    return digest.digest()


def _digest_unread(root: str, entry: Entry, keyed: Mapping[str, bytes]) -> tuple[bytes, int]:
    """`_digest` of a link, an empty folder, or a file with `keyed` bytes."""
    if entry.kind == "folder":
        return hashlib.sha256(b"d%04o" % entry.mode).digest(), 0
    if entry.kind == "link":
        return hashlib.sha256(b"l" + os.fsencode(link_target(root, entry.path))).digest(), 0
    content = keyed[entry.path]
    return hashlib.sha256(b"f%04o" % entry.mode + content).digest(), len(content)


def member_digest(kind: Literal["file", "link", "folder"], mode: int, content: Iterable[bytes]) -> str:
    """The short digest of a member of the context in `SourceKey.files`, from its bytes or its link target."""
    begins = {"link": b"l", "folder": b"d%04o" % (mode & 0o755)}
    digest = _beginning(mode).copy() if kind == "file" else hashlib.sha256(begins[kind])
    for piece in content:
        digest.update(piece)
    return digest.digest()[:8].hex()


@functools.cache
def _beginning(mode: int) -> "hashlib._Hash":
    """The digest state of a file with that mode before its content. A copy costs less than a new one."""
    return hashlib.sha256(b"f%04o" % _masked(mode))


def _arguments(source: ImageSource) -> dict[str, str]:
    """The settings in the key that may be shown."""
    named = {"dockerfile name": source.dockerfile, "platform": source.platform}
    if source.target is not None:
        named["target"] = source.target
    if source.secrets:
        named["secrets"] = ", ".join(sorted(source.secrets))
    if source.base is not None:
        named["base image"] = source.base
    if source.workdir is not None:
        named["working directory"] = source.workdir
    if source.entrypoint is not None:
        named["entrypoint"] = repr(list(source.entrypoint))
    return named


def _hidden(source: ImageSource) -> dict[str, str]:
    """The settings in the key whose values may be secret."""
    build = {f"build argument {name}": value for name, value in source.build_args.items()}
    return build | {f"environment variable {name}": value for name, value in source.env.items()}


def _short(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _ignore_rules(source: ImageSource) -> IgnoreRules:
    name = ignore_file(source)
    if name is None:
        return _rules("\n".join(LEFT_OUT), "the rules for a folder without .dockerignore")
    try:
        content = read_regular(source.folder / name, _MAX_IGNORE_FILE)
    except OSError as error:
        raise RefusedError(
            f"{name} cannot be read: {error.strerror}", hint=f"make {name} a readable file, or remove it"
        ) from error
    return _rules(content.decode("utf-8", "surrogateescape"), name)


_rules = functools.lru_cache(IgnoreRules)  # most pipelines of a workspace have the same lines


def _members(
    source: ImageSource, reading: Callable[[str], None] = lambda _: None
) -> list[tuple[str, os.DirEntry[str]]]:
    """Path and directory entry of each member of the context, sorted by path. Opens no file.

    Args:
        reading: called with the path of each folder.

    Raises:
        RefusedError: as for `context`.
    """
    rules = _ignore_rules(source)
    root = os.fspath(source.folder)
    members: list[tuple[str, os.DirEntry[str]]] = []
    folders: list[tuple[str, os.DirEntry[str]]] = []
    filled: set[str] = set()
    pending = [""]
    while pending:
        parent = pending.pop()
        reading(parent)
        found = {parent + item.name: item for item in _scan(root, parent) if not is_temporary(item.name)}
        excluded = rules.excluded(found)
        for path, item in found.items():
            if item.is_dir(follow_symlinks=False):
                if path not in excluded:
                    folders.append((path, item))
                if path not in excluded or rules.may_keep_below(path):
                    pending.append(path + "/")
            elif path not in excluded:
                members.append((path, item))
                if not item.is_file(follow_symlinks=False):
                    _entry(item, path)  # refuses special files
        if len(excluded) < len(found):
            filled.add(parent)
    filled = _with_parents(filled)
    members.extend((path, item) for path, item in folders if f"{path}/" not in filled)
    members.sort(key=itemgetter(0))  # by path; comparing whole tuples takes three times as long
    return members


def _scan(root: str, parent: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(f"{root}/{parent}") as found:
            return list(found)
    except OSError as error:
        raise _unreadable(parent.rstrip("/") or root, error) from error


def _entry(item: os.DirEntry[str], path: str) -> Entry:
    try:
        status = item.stat(follow_symlinks=False)
    except OSError as error:
        raise _unreadable(path, error) from error
    mode = status.st_mode
    if stat.S_ISREG(mode):
        return Entry(path, "file", _masked(mode), status.st_size)
    if stat.S_ISLNK(mode):
        return Entry(path, "link", 0o777)
    if stat.S_ISDIR(mode):
        # A folder inherits setgid from the folder that it was checked out in.
        return Entry(path, "folder", mode & 0o755)
    raise RefusedError(
        f"{path} is {kind_of(mode)}, which cannot be part of an image",
        hint=f"remove it, or add {path} to .dockerignore",
    )


def _masked(mode: int) -> int:
    """The mode of a file as in git, as other bits depend on the umask of the check-out."""
    return mode & 0o7000 | (0o755 if mode & 0o100 else 0o644)


def _with_parents(folders: set[str]) -> set[str]:
    """The folders and all folders above them, as "some/folder/"; "" is the top one."""
    every: set[str] = set()
    for each in folders:
        folder = each
        while folder not in every:
            every.add(folder)
            folder = folder[: folder.rfind("/", 0, -1) + 1]
    return every


def _unreadable(path: str, error: OSError) -> RefusedError:
    if isinstance(error, PermissionError):
        hint = f"chmod u+r {path}, or add it to .dockerignore"
    elif isinstance(error, FileNotFoundError):
        hint = "it disappeared during the run: is another process changing the folder?"
    else:
        hint = f"add {path} to .dockerignore if the image does not need it"
    return RefusedError(f"{path} cannot be read: {error.strerror}", hint=hint)
