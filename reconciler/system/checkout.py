"""Writes files of a commit into an empty folder, from git objects. Works offline, and changes no repository.

Unlike `git checkout`, it runs no filter and no hook, and needs no index.
"""

import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path, PurePosixPath

from msgspec import Struct

from reconciler.system.git import CommittedFile, GitError, Repository, lfs_oid


class Checkout(Struct, frozen=True):
    """The files that were written.

    Attributes:
        folder: the folder that stands for the top of the repository.
        submodules: paths of submodules whose files are not in this clone; empty folders stand for them.
        pointers: path of a file in Git LFS, whose pointer is written -> place of its content, which may not
            be in this clone.
    """

    folder: Path
    submodules: tuple[str, ...]
    pointers: Mapping[str, Path]


def check_out(repository: Repository, commit: str, below: Iterable[str], folder: Path) -> Checkout:
    """Write the files of a commit into `folder`.

    Args:
        below: files and folders, as paths from the top; "" for everything. Others are left out.

    Raises:
        GitError: git cannot read the repository, or a path in the commit leaves the folder.
        OSError: a file cannot be written.
    """
    entries = repository.entries(commit, below)
    for path in entries:
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise GitError(f"the commit {commit[:12]} has a file outside of its folder: {path}")
    submodules = tuple(path for path, file in entries.items() if file.is_submodule)
    files = {path: file for path, file in entries.items() if not file.is_submodule}
    pointers: dict[str, Path] = {}
    # Links come last, so that no file is written through one.
    for paths in ([p for p, f in files.items() if not f.is_link], [p for p, f in files.items() if f.is_link]):
        for path, pieces in _contents({path: files[path] for path in paths}):
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            if files[path].is_link:
                place.symlink_to(os.fsdecode(b"".join(pieces)))
            elif (oid := _write(place, pieces, files[path].is_executable)) is not None:
                pointers[path] = files[path].repository.lfs_object(oid)
    for path in submodules:
        (folder / path).mkdir(parents=True, exist_ok=True)
    return Checkout(folder, submodules, pointers)


def _contents(files: Mapping[str, CommittedFile]) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Each path with its content, repository by repository."""
    paths = sorted(files, key=lambda path: files[path].repository)
    for repository, group in groupby(paths, key=lambda path: files[path].repository):
        members = list(group)
        blobs = repository.blobs(files[path].id for path in members)
        yield from ((path, pieces) for path, (_, pieces) in zip(members, blobs, strict=True))


def _write(place: Path, pieces: Iterator[bytes], executable: bool) -> str | None:
    """Write a file. Returns the sha256 that it names if it is a pointer of Git LFS."""
    first = next(pieces, b"")
    with place.open("xb") as file:
        file.write(first)
        for piece in pieces:
            file.write(piece)
    place.chmod(0o755 if executable else 0o644)
    return lfs_oid(first)
