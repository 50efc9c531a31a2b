"""What a resource kind must offer, and nothing about who asks: no plan, no address, no state.

One verb is one thing done at the far end. Verbs raise the families of `providers.errors` only.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, Protocol, runtime_checkable

from providers.collection import Collection as ApiCollection
from providers.config_keys import ConfigTable
from providers.reasons import Reason, Refusal
from providers.rules import JSON, FieldRule


@dataclass(frozen=True, slots=True)
class LiveObject:
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
class Reference:
    """Which object to read, and everything that helps to find it. A kind uses as much of it as it needs.

    Attributes:
        name: the parts of its name, as in its address.
        id: the identity that is recorded of it; None where nothing is.
        parent: the object that it lives in; None where there is none, or the kind has no parent.
        fields: as the files ask for them, else as recorded; an image reads the tags that they name.
        outputs: what is recorded beside the fields; an image does not read again what is in there.
    """

    name: tuple[str, ...]
    id: str | None = None
    parent: LiveObject | None = None
    fields: Mapping[str, JSON] = field(default_factory=dict)
    outputs: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Progress:
    """Something long is moving on.

    Attributes:
        stage: "build", "push", "copy", …: what is being done.
        item: the part of it that moves: a layer's short digest, a build step; "" for the whole stage.
        text: one line for people, as the far end says it.
        done: how much of it is done; None when it cannot be counted. `done == total` is its end.
        total: how much it is in all; None when it is not known.
        unit: what `done` and `total` count.
    """

    stage: str
    item: str = ""
    text: str = ""
    done: int | None = None
    total: int | None = None
    unit: Literal["bytes", "steps"] = "bytes"

    @property
    def ended(self) -> bool:
        """Whether this part is done."""
        return self.done is not None and self.total is not None and self.done >= self.total


Report = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """A `Report` for when nobody is watching."""


class RequiredAction(StrEnum):
    """What one object needs, as its kind assesses it."""

    CREATE = "create"
    UPDATE = "update"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Assessment:
    """How a kind assesses one of its objects, where comparing field by field is not enough.

    Attributes:
        need: what should be done.
        reason: why.
        refusal: why it cannot be done as asked; None when it can.
    """

    need: RequiredAction
    reason: Reason
    refusal: Refusal | None = None


def _no_summary(_: LiveObject) -> Iterable[JSON]:
    return ()


@dataclass(frozen=True, slots=True)
class KindFacts:
    """All that is known of a kind without a connection: no other module has a branch for one kind.

    Attributes:
        rules: field knowledge; a managed field without a rule is a bug of ours.
        parent: the kind that its objects live in, whose name is all of theirs but the last part; or None.
        disposable: deleting or replacing one loses nothing that the files do not hold.
        prunable: the far end lets us delete one at all (an image is never deleted from a registry).
        place: where one stays when it is forgotten, as a person says it.
        repeatable: a create may be sent again whatever became of the first one: it finds out by itself.
        shared: more than the pipeline hangs on one, so `destroy` leaves it unless told to prune.
        published_as: the field that names one content for good, where the far end would let others be put
            under the same name.
        assess: (desired, recorded inputs, recorded outputs, live, all other live objects) -> Assessment,
            for kinds where that is more than the sum of their fields.
        config: the table and keys of config.toml that give its fields; None where code or a class gives them.
        listed_by: the key of `[execution]` that names a class which declares the whole list of them: those
            that it does not declare are deleted. "" where nothing declares them all.
        summary: a few words on a live object, for the report of a deploy; None and "" are left out.
        written: its name in an address, where that is not the names of its parents and its own.
        collection: its part of the platform's API, which the sandbox serves.
    """

    rules: Mapping[str, FieldRule]
    parent: str | None = None
    disposable: bool = False
    prunable: bool = True
    place: str = "on the platform"
    repeatable: bool = False
    shared: bool = False
    published_as: str = ""
    assess: "Judge | None" = None
    config: ConfigTable | None = None
    listed_by: str = ""
    summary: Callable[[LiveObject], Iterable[JSON]] = _no_summary
    written: str = ""
    collection: ApiCollection | None = None


Judge = Callable[
    [
        Mapping[str, JSON],
        Mapping[str, JSON] | None,
        Mapping[str, JSON],
        LiveObject | None,
        Collection[LiveObject],
    ],
    Assessment,
]


class ResourceKind(Protocol):
    """One kind of resource at one far end."""

    @property
    def facts(self) -> KindFacts:
        """What the planner needs to know of this kind."""

    def read(self, reference: Reference) -> LiveObject | None:
        """The object of exactly this name, or None; where names can change, the id finds a renamed one."""

    def create(
        self, name: Sequence[str], fields: Mapping[str, JSON], *, parent: LiveObject | None, report: Report
    ) -> LiveObject:
        """Make it. Raises ExistsError when one of that name is there."""

    def update(
        self,
        live: LiveObject,
        changed: Mapping[str, JSON],
        fields: Mapping[str, JSON],
        *,
        parent: LiveObject | None,
        report: Report,
    ) -> LiveObject:
        """Write `changed`; `fields` is the whole desired object, for verbs that cannot write a part."""

    def delete(self, live: LiveObject, *, parent: LiveObject | None) -> None:
        """Remove it. Raises GoneError when it is not there."""


class PlatformKind(ResourceKind, Protocol):
    """A kind of the platform: made with the connection, and its facts are there without one."""

    facts: KindFacts

    def __init__(self, platform: Any) -> None: ...


@runtime_checkable
class CheckedKind(ResourceKind, Protocol):
    """A kind whose writes can be checked in advance, before the first write of the whole run."""

    def check(self, name: Sequence[str], live: LiveObject | None, fields: Mapping[str, JSON]) -> None:
        """Raise now what a write of `fields` would raise later, as far as it can be known."""


class Published(StrEnum):
    """What is published under a version."""

    NOTHING = "nothing"
    THIS_SOURCE = "this source"
    OTHER_SOURCE = "other source"


class SelectedBuilder(Protocol):
    """What builds an image, and why it was selected."""

    @property
    def name(self) -> str: ...

    @property
    def reason(self) -> str: ...


@runtime_checkable
class PublishedKind(ResourceKind, Protocol):
    """A kind whose objects are built from source, and published under versions that never change."""

    def published(self, name: Sequence[str], version: str, outputs: Mapping[str, JSON]) -> Published:
        """What this version names. `outputs` are those that are recorded, where any are."""

    def is_foreign(self, live: LiveObject) -> bool:
        """Whether another tool published this version, and nothing says from which source."""

    def needs_build(self, live: LiveObject, fields: Mapping[str, JSON]) -> bool:
        """Whether a write of `fields` has to build."""

    def builder_for(self, live: LiveObject | None, fields: Mapping[str, JSON]) -> SelectedBuilder | None:
        """What a write of `fields` would build with; None where nothing needs to be built."""


@runtime_checkable
class ListedKind(ResourceKind, Protocol):
    """A kind whose objects are read as the whole list of their parent, which the files may own."""

    def siblings(self, parent: LiveObject) -> Sequence[LiveObject]:
        """All objects of this kind below `parent`."""
