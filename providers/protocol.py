"""What a resource kind must offer, and nothing about who asks: no plan, no address, no state.

One verb is one thing done at the far end. Verbs raise the families of `providers.errors` only.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from providers.rules import JSON, FieldRule


@dataclass(frozen=True, slots=True)
class Live:
    """One object as a far end shows it now.

    Attributes:
        id: the far end's own identity of the object (a uuid, an input's name, an image's digest).
        name: the parts of its name, as in its address: ("app",) or ("app", "dataset").
        fields: what was returned. A key that is missing was *not returned*, which is not the same as null.
        outputs: facts beside the managed fields (digest, version number, page in the web application).
    """

    id: str
    name: tuple[str, ...]
    fields: Mapping[str, JSON]
    outputs: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Progress:
    """Something long is moving on.

    Attributes:
        stage: "build", "push", "copy", …: what is being done.
        item: the part of it that moves: a layer's short digest, a build step; "" for the whole stage.
        text: one line for people, as the far end says it.
        done: bytes or steps done so far; None when it cannot be counted.
        total: bytes or steps in all; None when it is not known.
    """

    stage: str
    item: str = ""
    text: str = ""
    done: int | None = None
    total: int | None = None


Report = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """A `Report` for when nobody is watching."""


class ResourceKind(Protocol):
    """One kind of resource at one far end."""

    @property
    def rules(self) -> Mapping[str, FieldRule]:
        """Field knowledge; a managed field without a rule is a bug of ours."""

    def read(
        self, name: Sequence[str], *, id: str | None, parent: Live | None, desired: Mapping[str, JSON]
    ) -> Live | None:
        """The object of exactly this name, or None. `id` (from the record) finds a renamed one.

        Args:
            desired: the fields the files ask for; an image reads the tags that they name.
        """

    def siblings(self, parent: Live) -> Sequence[Live]:
        """All objects of this kind below `parent`, for kinds whose list belongs to the files."""

    def create(
        self, name: Sequence[str], fields: Mapping[str, JSON], *, parent: Live | None, report: Report
    ) -> Live:
        """Make it. Raises ExistsError when one of that name is there."""

    def update(
        self, live: Live, changed: Mapping[str, JSON], fields: Mapping[str, JSON], *, parent: Live | None,
        report: Report,
    ) -> Live:
        """Write `changed`; `fields` is the whole desired object, for verbs that cannot write a part."""

    def delete(self, live: Live, *, parent: Live | None) -> None:
        """Remove it. Raises GoneError when it is not there."""
