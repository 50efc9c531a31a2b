"""The owners of a folder by the CODEOWNERS file of its repository, as GitHub and GitLab read it.

The last pattern that matches counts, in each section of GitLab's on its own. A pattern without owners takes
those of its section, or leaves the folder without any.

https://docs.github.com/en/repositories/managing-your-repositorys-settings-and-features/customizing-your-repository/about-code-owners
https://docs.gitlab.com/user/project/codeowners/reference/
"""

import re
from pathlib import Path

from msgspec import Struct

from providers.patterns import pattern
from providers.regular_files import read_regular, real_path
from reconciler.pipeline import FILE_NAME
from reconciler.workspace.globs import Glob

PLACES = (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS", ".gitlab/CODEOWNERS")
"""Where the file is, from the top of the repository. The first one counts."""

_SECTION = pattern(r"\^?\[[^\]]+\](?:\[\d+\])?(.*)")
_WORD = pattern(r"(?:\\.|\S)+")


class Owners(Struct, frozen=True):
    """The rules of a CODEOWNERS file.

    Attributes:
        top: the top of the repository.
        sections: for each section its patterns with their owners, in the order of the file.
    """

    top: Path
    sections: tuple[tuple[tuple[Glob, tuple[str, ...]], ...], ...] = ()

    def of(self, folder: Path) -> tuple[str, ...]:
        """The owners of the pipeline in this folder: `@team`, `ada@example.com`."""
        place = real_path(folder)
        if not place.is_relative_to(self.top):
            return ()
        path = (place / FILE_NAME).relative_to(self.top).as_posix()
        found: dict[str, None] = {}
        for rules in self.sections:
            last = [owners for glob, owners in rules if glob.matches(path)][-1:]
            found |= dict.fromkeys(owner for owners in last for owner in owners)
        return tuple(found)


def find_owners(folder: Path) -> Owners:
    """The rules of the repository around a folder; none without the file, or if it cannot be read."""
    here = real_path(folder)
    for top in (here, *here.parents):
        for place in PLACES:
            try:
                text = read_regular(top / place).decode("utf-8-sig", "replace")
            except (OSError, ValueError):
                continue
            return Owners(top, _sections(text))
        if (top / ".git").exists():
            break
    return Owners(here)


def _sections(text: str) -> tuple[tuple[tuple[Glob, tuple[str, ...]], ...], ...]:
    sections: list[list[tuple[Glob, tuple[str, ...]]]] = [[]]
    default: tuple[str, ...] = ()
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if section := _SECTION.fullmatch(line.strip()):
            sections.append([])
            default = _owners(_WORD.findall(section[1]))
            continue
        pattern, *words = _WORD.findall(line)
        sections[-1].append((_glob(pattern), _owners(words) or default))
    return tuple(map(tuple, sections))


def _owners(words: list[str]) -> tuple[str, ...]:
    """The owners of a line, without its comment."""
    until = next((number for number, word in enumerate(words) if word.startswith("#")), len(words))
    return tuple(words[:until])


def _glob(pattern: str) -> Glob:
    """The glob of a pattern, for paths from the top of the repository, and for what is below them."""
    plain = re.sub(r"\\(.)", r"\1", pattern).replace("[", "[[]")
    body = plain.strip("/")
    is_anchored = "/" in plain.rstrip("/")
    is_one_level = is_anchored and body.endswith("/*") and not plain.endswith("/")
    return Glob(f"{'' if is_anchored else '**/'}{body}{'' if is_one_level else '/**'}")
