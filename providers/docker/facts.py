"""The facts of the kind `image`, as data, for the planner and the files. Imports no registry client."""

from collections.abc import Iterator

from providers.protocol import Exclusive, KindFacts, LiveObject
from providers.rules import JSON, Effect, FieldRule


def _summary(live: LiveObject) -> Iterator[JSON]:
    yield f"{'/'.join(live.name)}:{live.fields.get('version')}"
    yield live.fields.get("channel")


FACTS = KindFacts(
    {
        "version": FieldRule(effect=Effect.IMAGE),
        "channel": FieldRule(effect=Effect.IMAGE),
        "source_key": FieldRule(effect=Effect.IMAGE),
        "platform": FieldRule(effect=Effect.IMAGE),
    },
    prunable=False,
    place="in the registry",
    repeatable=True,
    exclusive=Exclusive.NAME,
    published_as="version",
    written="REGISTRY/NAME",
    summary=_summary,
)
