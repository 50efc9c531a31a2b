"""The protocol of a resource kind. It does not depend on the engine: no plans, no addresses, no state.

Each method performs one operation at the provider and raises only the errors of `providers.errors`.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Literal, Protocol, TypeGuard, TypeVar, runtime_checkable

from msgspec import Struct, field
from msgspec.structs import force_setattr

from providers.collection import Collection as ApiCollection
from providers.config_keys import ConfigTable
from providers.hiding import safe_message
from providers.json_value import JSON
from providers.reasons import Reason, Refusal
from providers.rules import FieldRule

K = TypeVar("K")


class LiveObject(Struct, frozen=True):
    """The current version of one object at its provider.

    Attributes:
        id: the provider's identity of the object (a uuid, an input's name, an image's digest).
        name: the parts of its name, as in its address: ("app",) or ("app", "dataset").
        fields: the returned fields. A missing key was *not returned*, which differs from null.
        outputs: facts beside the managed fields (digest, version number, page in the web application).
    """

    id: str
    name: tuple[str, ...]
    fields: Mapping[str, JSON]
    outputs: Mapping[str, JSON] = field(default_factory=dict)


class Reference(Struct, frozen=True):
    """Identifies an object to read, with everything that helps to find it. A kind uses the parts it needs.

    Attributes:
        name: the parts of its name, as in its address.
        id: its recorded identity; None without one.
        parent: the object it belongs to; None if it does not exist or the kind has no parent.
        fields: the desired fields, or else the recorded ones; an image reads the tags that they name.
        outputs: the recorded outputs; an image does not read these again.
        recorded: the recorded fields; an image reads the tag that they name, too.
    """

    name: tuple[str, ...]
    id: str | None = None
    parent: LiveObject | None = None
    fields: Mapping[str, JSON] = field(default_factory=dict)
    outputs: Mapping[str, JSON] = field(default_factory=dict)
    recorded: Mapping[str, JSON] = field(default_factory=dict)


class Progress(Struct, frozen=True):
    """The progress of a long operation.

    Attributes:
        stage: the operation: "build", "push", "copy", …
        item: the part of the operation: a layer's short digest, a build step; "" for the whole stage.
        text: one line for people, as received from the provider.
        done: amount done; None if it cannot be counted. The item ends when `done == total`.
        total: total amount; None if unknown.
        unit: unit of `done` and `total`.
    """

    stage: str
    item: str = ""
    text: str = ""
    done: int | None = None
    total: int | None = None
    unit: Literal["bytes", "steps"] = "bytes"

    def __post_init__(self) -> None:
        if self.text:
            force_setattr(self, "text", safe_message(self.text))

    @property
    def ended(self) -> bool:
        """Whether the item is complete."""
        return self.done is not None and self.total is not None and self.done >= self.total


Report = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """A `Report` that discards progress."""


class RequiredAction(StrEnum):
    """The action that a kind's own assessment requires."""

    CREATE = "create"
    UPDATE = "update"
    NOTHING = "nothing"


class Assessment(Struct, frozen=True):
    """A kind's own assessment of an object, for kinds where comparing field by field is not enough.

    Attributes:
        need: the required action.
        reason: the reason for the action.
        refusal: why the action is not possible; None if it is.
    """

    need: RequiredAction
    reason: Reason
    refusal: Refusal | None = None


class Exclusive(StrEnum):
    """What identifies an object that belongs to one pipeline at a time."""

    NAME = "name"
    ID = "id"  # or the name; the provider's ids are unique, and stay when an object is renamed


def _no_summary(_: LiveObject) -> Iterable[JSON]:
    return ()


class KindFacts(Struct, frozen=True):
    """The facts about a kind that need no connection. No other module has a branch for one kind.

    Attributes:
        rules: one rule per managed field; a managed field without a rule is a bug in reconciler.
        parent: the kind of the parent object, or None. An object's name is its parent's name plus one part.
        disposable: deleting or replacing an object loses nothing that the files do not contain.
        prunable: the provider can delete an object (images are never deleted from a registry).
        place: where a forgotten object stays, as a phrase for messages.
        repeatable: a create may be repeated whatever the outcome of the first: it detects an earlier one.
        shared: other pipelines may use an object, so `destroy` keeps it without an explicit prune.
        exclusive: one stack at a time may write an object, and claims it by its name, or also by its id; None
            if any number of stacks may.
        published_as: the field that permanently names one content, although the provider would accept other
            content under the same name.
        moves: the field with the tag that moves to each published content.
        content: the name of the content behind that tag, in reports of a moved tag.
        assess: (desired, recorded inputs, recorded outputs, live, all other live objects) -> Assessment,
            for kinds where comparing field by field is not enough.
        config: the table and keys of config.toml with its fields; None if code or a class provides them.
        listed_by: the key of `[execution]` for the class that declares the complete list of objects;
            undeclared ones are deleted. "" without such a class.
        is_contract: whether jobs rely on the objects, so that a change of them may break a job.
        summary: a few words on a live object, for the report of a deploy; None and "" are left out.
        written: its name in an address, if it differs from the names of its parents and its own.
        collection: its part of the platform's API, which the sandbox serves.
        version_of: tells two versions of a live object apart whose fields may be equal; None if the fields
            alone do.
    """

    rules: Mapping[str, FieldRule]
    parent: str | None = None
    disposable: bool = False
    prunable: bool = True
    place: str = "on the platform"
    repeatable: bool = False
    shared: bool = False
    exclusive: Exclusive | None = None
    published_as: str = ""
    moves: str = ""
    content: str = ""
    assess: "Assess | None" = None
    config: ConfigTable | None = None
    listed_by: str = ""
    is_contract: bool = False
    summary: Callable[[LiveObject], Iterable[JSON]] = _no_summary
    written: str = ""
    collection: ApiCollection | None = None
    version_of: Callable[[LiveObject], JSON] | None = None

    @property
    def written_together(self) -> Collection[str]:
        """The fields that a change sends all of: the platform clears those that the request lacks."""
        collection = self.collection
        return collection.change.keys() if collection and collection.change_method == "PUT" else ()


Assess = Callable[
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
    """One kind of resource at one provider."""

    @property
    def facts(self) -> KindFacts:
        """The facts about this kind that the planner uses."""

    def read(self, reference: Reference) -> LiveObject | None:
        """The object of exactly this name, or None. Where names can change, the id finds a renamed object.

        An object of another parent, or of another organization, is never found by its id.
        """

    def create(
        self, name: Sequence[str], fields: Mapping[str, JSON], *, parent: LiveObject | None, report: Report
    ) -> LiveObject:
        """Create the object. Raises ExistsError if the name is taken."""

    def update(
        self,
        live: LiveObject,
        changed: Mapping[str, JSON],
        fields: Mapping[str, JSON],
        *,
        parent: LiveObject | None,
        report: Report,
    ) -> LiveObject:
        """Write `changed`; `fields` is the complete desired object, for APIs without partial updates."""

    def delete(self, live: LiveObject, *, parent: LiveObject | None) -> None:
        """Delete the object. Raises GoneError if it does not exist."""


class PlatformKind(ResourceKind, Protocol):
    """A kind of the platform. It is created with a connection; its facts need none."""

    facts: KindFacts

    def __init__(self, platform: Any) -> None: ...


def is_a(kind: ResourceKind, protocol: type[K]) -> TypeGuard[K]:
    """As `isinstance`, which takes long for a protocol. Asked once for each class of kinds."""
    asked = type(kind), protocol
    if asked not in _is_a:
        _is_a[asked] = isinstance(kind, protocol)
    return _is_a[asked]


_is_a: dict[tuple[type, type], bool] = {}


@runtime_checkable
class CheckedKind(ResourceKind, Protocol):
    """A kind whose writes can be checked before the first write of the run."""

    def check(self, name: Sequence[str], live: LiveObject | None, fields: Mapping[str, JSON]) -> None:
        """Raise the errors that a write of `fields` would raise later, as far as they are predictable."""


@runtime_checkable
class AttestedKind(ResourceKind, Protocol):
    """A kind that states which plan its objects were written by."""

    def carry_out(self, plan: str) -> None:
        """The digest of the plan that the next writes belong to."""


@runtime_checkable
class SharedListKind(ResourceKind, Protocol):
    """A kind whose objects are looked up in one list, if many are."""

    def read_ahead(self) -> None:
        """Begin to read that list, while other objects are read."""


class Published(StrEnum):
    """The published content of a version."""

    NOTHING = "nothing"
    THIS_SOURCE = "this source"
    OTHER_SOURCE = "other source"


class SelectedBuilder(Protocol):
    """The builder of an image, and the reason for its selection."""

    @property
    def name(self) -> str: ...

    @property
    def label(self) -> str: ...

    @property
    def reason(self) -> str: ...

    def check(self) -> None:
        """Check everything that a build needs. Writes nothing. Raises ProviderError."""


def builder_text(builder: SelectedBuilder) -> str:
    """The builder in words, its name in the settings, and the reason for it."""
    return f'{builder.label} (builder = "{builder.name}"): {builder.reason}'


@runtime_checkable
class PublishedKind(ResourceKind, Protocol):
    """A kind whose objects are built from source and published under immutable versions."""

    def published(self, name: Sequence[str], version: str, outputs: Mapping[str, JSON]) -> Published:
        """The content of this version. `outputs` are the recorded ones, if any."""

    def is_foreign(self, live: LiveObject) -> bool:
        """Whether another tool published this version, from unknown source."""

    def needs_build(self, live: LiveObject, fields: Mapping[str, JSON]) -> bool:
        """Whether a write of `fields` requires a build."""

    def is_other_content(self, live: LiveObject, fields: Mapping[str, JSON]) -> bool:
        """Whether a write of `fields` publishes other content than the live one: built, or copied."""

    def builder_for(self, live: LiveObject | None, fields: Mapping[str, JSON]) -> SelectedBuilder | None:
        """The builder for a write of `fields`; None if no build is needed."""

    def moves_tag(self, live: LiveObject, fields: Mapping[str, JSON]) -> bool:
        """Whether a write of `fields` lets an existing tag point to other content."""

    def running(
        self, live: LiveObject, fields: Mapping[str, JSON], users: Iterable[Mapping[str, JSON]]
    ) -> Mapping[str, str | None]:
        """The tags that objects with these fields use, with the digest behind each; None for a missing tag.

        Sends a request for each tag that the desired `fields` do not name.
        """

    def version_behind(self, name: Sequence[str], digest: str) -> str:
        """The version that the content with this digest was published as; "" if it does not say."""


def is_published(kind: ResourceKind) -> TypeGuard[PublishedKind]:
    """Whether this is a PublishedKind, by its facts: checking a protocol for each resource is slow."""
    return bool(kind.facts.published_as)


@runtime_checkable
class BrowsableKind(ResourceKind, Protocol):
    """A kind whose objects can all be listed, including those of other tools."""

    def objects(self, parent: LiveObject | None) -> Iterator[LiveObject]:
        """Every object of the organization, or below `parent` for a kind with a parent.

        They may have no fields, as a list returns fewer than a read. One without a name has its id as name.
        """


@runtime_checkable
class ListedKind(ResourceKind, Protocol):
    """A kind whose objects are read as their parent's complete list, which the files may own."""

    def siblings(self, parent: LiveObject) -> Sequence[LiveObject]:
        """All objects of this kind below `parent`."""
