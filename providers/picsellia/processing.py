"""The kind `processing`: a Docker image that the platform runs on datasets, models or a datalake."""

from collections.abc import Mapping, Sequence

from providers import rules
from providers.picsellia.answer import Answer
from providers.picsellia.platform import Platform, modified, path
from providers.protocol import KindFacts, LiveObject, Reference, Report
from providers.rules import JSON, Effect, FieldRule

RULES = {
    "type": FieldRule(rules.enum_name, immutable=True),
    "target": FieldRule(rules.enum_name, immutable=True),
    "description": FieldRule(rules.text, effect=Effect.DESCRIPTION),
    # 4 and 0 are what the official deploy suggests; the platform wants both on create.
    "default_cpu": FieldRule(rules.integer, create_default=4, effect=Effect.RESOURCES),
    "default_gpu": FieldRule(rules.integer, create_default=0, effect=Effect.RESOURCES),
    "default_parameters": FieldRule(rules.mapping, rules.number_like, keyed=True, create_default={}),
    "docker_image": FieldRule(effect=Effect.IMAGE),
    "docker_tag": FieldRule(effect=Effect.IMAGE),
    "docker_flags": FieldRule(rules.flags, unordered=True, effect=Effect.IMAGE),
}


class ProcessingKind:
    """Processings of one organization; names are unique there (the platform answers 409)."""

    facts = KindFacts(RULES)

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def read(self, reference: Reference) -> LiveObject | None:
        found = self._platform.find_listed(self._collection, reference.name[0], RULES)
        return None if found is None else _live(found)

    def create(
        self,
        name: Sequence[str],
        fields: Mapping[str, JSON],
        *,
        parent: LiveObject | None,
        report: Report,
    ) -> LiveObject:
        # The SDK sends every key, null where nothing is set.
        body = {"name": name[0], **dict.fromkeys(RULES), **fields}
        return _live(self._platform.post(self._collection, body))

    def update(
        self,
        live: LiveObject,
        changed: Mapping[str, JSON],
        fields: Mapping[str, JSON],
        *,
        parent: LiveObject | None,
        report: Report,
    ) -> LiveObject:
        return _live(self._platform.patch(path("processing", live.id), changed))

    def delete(self, live: LiveObject, *, parent: LiveObject | None) -> None:
        self._platform.delete(path("processing", live.id))

    @property
    def _collection(self) -> str:
        return self._platform.organization_path("processings")


def _live(answer: Answer) -> LiveObject:
    fields = {name: answer[name] for name in RULES if name in answer}
    return LiveObject(answer.text("id"), (answer.text("name"),), fields, modified(answer))
