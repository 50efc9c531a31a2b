"""What is known of the kind `image`, as data: the planner and the files need no registry for it."""

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
)
