"""Where the source of an image comes from. Imports no registry client."""

from typing import Self

from msgspec import Struct

from providers.patterns import pattern

_REVISION = pattern(r"([0-9a-f]{7,64})(\+dirty)?")


class Revision(Struct, frozen=True):
    """A commit, and whether a file of the source differed from it. As text: `815a748…`, `815a748…+dirty`."""

    commit: str
    is_dirty: bool

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """The revision in a label; None for other text, which any tool may have written there."""
        found = _REVISION.fullmatch(text)
        return cls(found[1], found[2] is not None) if found else None

    def __str__(self) -> str:
        return f"{self.commit}{'+dirty' if self.is_dirty else ''}"


class Origin(Struct, frozen=True):
    """Where an image is built from, and by what.

    Attributes:
        program: version of reconciler.
        repository: normal form of the git remote, "github.com/org/repository"; "" without one.
        path: the pipeline's folder, relative to the top of the git repository; "" without one.
        environment: the environment whose settings apply; "" for none.
    """

    program: str
    repository: str = ""
    path: str = ""
    environment: str = ""
