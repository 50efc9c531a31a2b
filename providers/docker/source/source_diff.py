"""The differences between two sources: compares the files and arguments of two source keys. Pure."""

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath


def differences(
    old_files: Mapping[str, str],
    new_files: Mapping[str, str],
    old_arguments: Mapping[str, str],
    new_arguments: Mapping[str, str],
) -> list[str]:
    """The differences between two sources, a line each: "a.py moved to b.py", "build argument A changed".

    The mode of a file is part of its digest, so after a chmod the line is "run.sh changed".
    """
    moved = _moves(old_files, new_files)
    lines = [f"{old} moved to {new}" for old, new in moved.items()]
    lines += _changes(_without(old_files, moved.keys()), _without(new_files, moved.values()))
    return sorted(lines) + _changes(old_arguments, new_arguments)


def _moves(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """The old path -> new path of unchanged files. Prefers a new path with the same file name."""
    arrived = sorted(new.keys() - old.keys())
    moves: dict[str, str] = {}
    for path in sorted(old.keys() - new.keys()):
        same = [other for other in arrived if new[other] == old[path]]
        if same:
            name = PurePosixPath(path).name
            moves[path] = next((other for other in same if PurePosixPath(other).name == name), same[0])
            arrived.remove(moves[path])
    return moves


def _without(files: Mapping[str, str], paths: Iterable[str]) -> dict[str, str]:
    gone = set(paths)
    return {path: digest for path, digest in files.items() if path not in gone}


def _changes(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    lines = []
    for name in sorted(old.keys() | new.keys()):
        if name not in old:
            lines.append(f"{name} added")
        elif name not in new:
            lines.append(f"{name} removed")
        elif old[name] != new[name]:
            lines.append(f"{name} changed")
    return lines
