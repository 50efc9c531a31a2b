"""Globs for the folders of a workspace: `pipelines/**`, `team/SAM*`. Pure.

`*`, `?` and `[abc]` stay within one name, and `**` matches any number of folders, also none: `team/**`
matches `team`, `team/app` and `team/app/training`. Case counts.
"""

from fnmatch import fnmatchcase

from msgspec import Struct


class Glob(Struct, frozen=True):
    """A glob as a file has it.

    Attributes:
        text: the glob, relative to the workspace.
        line: its line in reconciler.toml.
    """

    text: str
    line: int | None = None

    def __str__(self) -> str:
        return self.text

    def matches(self, folder: str) -> bool:
        """Whether this folder matches: relative to the workspace, with slashes; "." for the workspace."""
        return _matches(_parts(self.text), _parts(folder))

    def may_match_in(self, folder: str) -> bool:
        """Whether this folder matches, or one below it may."""
        return bool(_rests(_parts(self.text), _parts(folder)))

    def matches_all_below(self, folder: str) -> bool:
        """Whether every folder below this one matches."""
        return ("**",) in _rests(_parts(self.text), _parts(folder))


def glob_problem(text: str) -> str | None:
    """Why this text can match no folder of a workspace, or None."""
    if not text.strip():
        return "is empty"
    if "\\" in text:
        return "has a backslash; separate folders by /"
    if text.startswith(("/", "~")) or text[1:2] == ":":
        return "is not relative to the workspace"
    if ".." in text.split("/"):
        return "leads out of the workspace"
    return None


def _parts(path: str) -> tuple[str, ...]:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return tuple(
        part for index, part in enumerate(parts) if part != "**" or parts[index - 1 : index] != ["**"]
    )


def _matches(glob: tuple[str, ...], folder: tuple[str, ...]) -> bool:
    """Tries all places of each `**` at once: one after the other, several of them could take for ever."""
    ends = {0}  # how many parts of the folder the glob can match so far
    for part in glob:
        if part == "**":
            ends = set(range(min(ends, default=len(folder) + 1), len(folder) + 1))
        else:
            ends = {end + 1 for end in ends if end < len(folder) and fnmatchcase(folder[end], part)}
    return len(folder) in ends


def _rests(glob: tuple[str, ...], folder: tuple[str, ...]) -> set[tuple[str, ...]]:
    """What is left of the glob when its beginning has matched this folder, in every way to match it."""
    rests = _without_folders(glob)
    for name in folder:
        rests = {
            after
            for rest in rests
            if rest and (rest[0] == "**" or fnmatchcase(name, rest[0]))
            for after in _without_folders(rest if rest[0] == "**" else rest[1:])
        }
    return rests


def _without_folders(glob: tuple[str, ...]) -> set[tuple[str, ...]]:
    """The glob, and without its first `**`, which also matches no folder."""
    return {glob, glob[1:]} if glob[:1] == ("**",) else {glob}
