"""The facts of the kind `image`, as data, for the planner and the files. Imports no registry client."""

from collections.abc import Iterator, Mapping

from providers.docker.outputs import ImageOutputs
from providers.json_value import JSON
from providers.protocol import Exclusive, KindFacts, LiveObject
from providers.rules import Effect, FieldRule


def text(fields: Mapping[str, JSON], name: str) -> str:
    """The field of an image with this name. All fields of an image are text."""
    value = fields[name]
    assert isinstance(value, str)
    return value


def _summary(live: LiveObject) -> Iterator[JSON]:
    yield f"{'/'.join(live.name)}:{live.fields.get('version')}"
    yield live.fields.get("channel")


def _version_of(live: LiveObject) -> JSON:
    """A tag that is gone, and one that points at any other image, are the same null in the fields."""
    return [live.id, ImageOutputs.of(live.outputs).channel_points_to]


FACTS = KindFacts(
    {
        "version": FieldRule(effect=Effect.IMAGE),
        "channel": FieldRule(effect=Effect.IMAGE),
        "source_key": FieldRule(effect=Effect.IMAGE),
        "platform": FieldRule(effect=Effect.IMAGE),
        "digest": FieldRule(effect=Effect.IMAGE),
    },
    prunable=False,
    place="in the registry",
    repeatable=True,
    exclusive=Exclusive.NAME,
    published_as="version",
    moves="channel",
    content="digest",
    written="REGISTRY/NAME",
    summary=_summary,
    version_of=_version_of,
)
