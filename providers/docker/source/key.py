"""The source of an image: the filtered folder, and the key that identifies it.

The first of the image's three steps (source, build, registry). `fingerprint` computes the key. Nothing here
writes, follows a link or sends anything.
"""

import functools
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

from msgspec import Struct, field

from providers.docker.source.ignore import IgnoreRules
from providers.docker.source.key_parts import masked, short
from providers.docker.source.reading import ChangedError, unreadable, unreadable_folder
from providers.errors import RefusedError, SettingError
from providers.leftovers import is_own_file, is_temporary
from providers.regular_files import NO_DESCRIPTORS, RAISE_LIMIT, kind_of, read_regular, real_path
from providers.waits import SLOW, Hashing

_MAX_IGNORE_FILE = 1 << 20  # bytes
RECIPE = "v2:"
"""The prefix of keys of the current recipe. Keys of the first recipe start with "sha256:"."""
LEFT_OUT = (
    *("**/.git", "**/.venv", "venv"),  # differ after each commit, or on each machine
    *("**/__pycache__", "**/*.pyc", "**/*.pyo", "**/.DS_Store"),
)
"""The ignore rules of a folder without an ignore file: the repository, and the rules of the file that
`pxl-pipeline deploy` adds, applied at any depth. Nothing is written here."""


def is_folder_in_image(path: str) -> bool:
    """Whether this is an absolute path that leads nowhere else, as a working directory has to be."""
    folder = PurePosixPath(path)
    return folder.is_absolute() and ".." not in folder.parts


MAX_COUNTED = 1 << 22
"""Bytes of a file above which all of its content counts. A config.toml is smaller; it is held in memory."""


class ImageSource(Struct, frozen=True, kw_only=True, dict=True):
    """A folder and the settings to build an image of it.

    Not every builder supports all settings. A builder refuses a setting that it does not support.

    Attributes:
        folder: the build context.
        dockerfile: path of the Dockerfile, relative to the folder.
        platform: "os/architecture" or "os/architecture/variant".
        build_args: values for the Dockerfile's ARG lines; they may be secret and are never shown.
        keyed: relative path -> bytes for the key, instead of the file's content.
        keyed_first: the same for the first recipe, if it differs.
        counted: name of a file -> returns the part of its content for the key, in whichever folder the file
            is. Only for files of at most `MAX_COUNTED` bytes, and not for `keyed` ones.
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
    counted: Mapping[str, Callable[[bytes], bytes]] = field(default_factory=dict)
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

    @functools.cached_property
    def real_folder(self) -> Path:
        """The build context without links."""
        return real_path(self.folder)

    def counted_part(self, path: str, size: int) -> Callable[[bytes], bytes] | None:
        """Returns the part for the key of a file's content; None if all of it counts."""
        if path in self.keyed or size > MAX_COUNTED:
            return None
        return self.counted.get(path.rpartition("/")[2])


class SourceKey(Struct, frozen=True):
    """The identity of a source.

    Attributes:
        key: "v2:<64 hex digits>", a sha256 over everything below.
        files: path -> short digest of its kind, mode and content, for `source_diff.differences`.
        arguments: the settings in the key by their shown names; values that may be secret as short digests.
        size: number of content bytes.
        recipe: short digest of the Dockerfile's content; "" without a Dockerfile.
        first: the key by the first recipe, "sha256:<64 hex digits>"; "" if unknown.
        first_files: the entries of `files` that differ in the first recipe.
        suspects: paths of files that may be or contain a secret; None if they were not searched.
        dockerfile: the content of the Dockerfile; None without one.
    """

    key: str
    files: Mapping[str, str]
    arguments: Mapping[str, str]
    size: int
    recipe: str = ""
    first: str = ""
    first_files: Mapping[str, str] = field(default_factory=dict)
    suspects: tuple[str, ...] | None = None
    dockerfile: bytes | None = None

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
    return [entry_of(item, path) for path, item in _members(source, reading) if not is_own_file(item.name)]


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


def announce_nothing(_: Hashing) -> None:
    """Announces nothing."""


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
    if source.expected and source.expected.recipe != ("" if content is None else short(content)):
        raise ChangedError(source.dockerfile)
    return content


def _dockerfile(source: ImageSource) -> bytes | None:
    path = PurePosixPath(source.dockerfile)
    if path.is_absolute() or ".." in path.parts:
        raise SettingError(
            f"the Dockerfile {source.dockerfile} is not inside {source.folder}",
            setting="dockerfile",
            hint="give its path relative to the pipeline's folder",
        )
    try:
        return read_regular(source.folder / path)
    except FileNotFoundError:
        if source.base is not None:
            return None
        raise SettingError(
            f"there is no {source.dockerfile} in {source.folder}",
            setting="dockerfile",
            hint='write one, or name the image to build on in [reconciler.image]: base = "python:3.12"',
        ) from None
    except OSError as error:
        raise unreadable(source.dockerfile, error, is_needed=True) from error


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
    return paths - ignore_rules(source)[0].excluded(paths)


def ignore_rules(source: ImageSource) -> tuple[IgnoreRules, str]:
    """The ignore rules in use, and their text.

    Raises:
        RefusedError: the ignore file cannot be read, or has an invalid line.
    """
    name = ignore_file(source)
    if name is None:
        text = "\n".join(LEFT_OUT)
        return _rules(text, "the rules for a folder without .dockerignore"), text
    try:
        content = read_regular(source.folder / name, _MAX_IGNORE_FILE)
    except OSError as error:
        is_limit = error.errno in NO_DESCRIPTORS
        hint = RAISE_LIMIT if is_limit else f"make {name} a readable file, or remove it"
        raise RefusedError(f"{name} cannot be read: {error.strerror}", hint=hint) from error
    text = content.decode("utf-8", "surrogateescape")
    return _rules(text, name), text


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
    rules = ignore_rules(source)[0]
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
                    entry_of(item, path)  # refuses special files
        if len(excluded) < len(found):
            filled.add(parent)
    filled = with_parents(filled)
    members.extend((path, item) for path, item in folders if f"{path}/" not in filled)
    members.sort(key=itemgetter(0))  # by path; comparing whole tuples takes three times as long
    return members


def _scan(root: str, parent: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(f"{root}/{parent}") as found:
            return list(found)
    except OSError as error:
        raise unreadable_folder(parent.rstrip("/"), root, error) from error


def entry_of(item: os.DirEntry[str], path: str) -> Entry:
    """The entry of a member of the context.

    Raises:
        RefusedError: it cannot be read, or is of a special type.
    """
    try:
        status = item.stat(follow_symlinks=False)
    except OSError as error:
        raise unreadable(path, error) from error
    mode = status.st_mode
    if stat.S_ISREG(mode):
        return Entry(path, "file", masked(mode), status.st_size)
    if stat.S_ISLNK(mode):
        return Entry(path, "link", 0o777)
    if stat.S_ISDIR(mode):
        # A folder inherits setgid from the folder that it was checked out in.
        return Entry(path, "folder", mode & 0o755)
    raise RefusedError(
        f"{path} is {kind_of(mode)}, which cannot be part of an image",
        hint=f"remove it, or add {path} to .dockerignore",
    )


def with_parents(folders: set[str]) -> set[str]:
    """The folders and all folders above them, as "some/folder/"; "" is the top one."""
    every: set[str] = set()
    for each in folders:
        folder = each
        while folder not in every:
            every.add(folder)
            folder = folder[: folder.rfind("/", 0, -1) + 1]
    return every
