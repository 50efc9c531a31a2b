"""The kind `processing`: a Docker image that the platform runs on datasets, models or a datalake."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from providers import enums, rules
from providers.collection import NAME, RENAME, TABLE, TEXT, TEXTS, BodyKey, Collection
from providers.config_keys import ConfigTable, Holds, Key
from providers.json_value import JSON
from providers.picsellia.answer import Answer
from providers.picsellia.paths import path
from providers.protocol import Exclusive, KindFacts, LiveObject, Reference, Report
from providers.rules import Effect, FieldRule

if TYPE_CHECKING:
    from providers.picsellia.platform import Platform

RULES = {
    "type": FieldRule(rules.enum_name, immutable=True),
    "target": FieldRule(rules.enum_name, immutable=True, follows="It follows from metadata.type."),
    "description": FieldRule(rules.text, effect=Effect.DESCRIPTION),
    # 4 and 0 are the defaults of the official deploy; the platform requires both on create.
    "default_cpu": FieldRule(rules.integer, create_default=4, effect=Effect.RESOURCES),
    "default_gpu": FieldRule(rules.integer, create_default=0, effect=Effect.RESOURCES),
    "default_parameters": FieldRule(rules.table, rules.number_like, keyed=True, create_default={}),
    "docker_image": rules.DOCKER_IMAGE,
    "docker_tag": rules.DOCKER_TAG,
    "docker_flags": rules.DOCKER_FLAGS,
}
CONFIG = ConfigTable(
    "",
    {
        "type": Key("metadata.type", Holds.PIPELINE_TYPE),
        "description": Key("metadata.description"),
        "default_cpu": Key("docker.cpu", Holds.COUNT),
        "default_gpu": Key("docker.gpu", Holds.COUNT),
    },
)
_NUMBER = BodyKey(int)
COLLECTION = Collection(
    name="processing",
    parent="organization",
    path="/api/organization/{parent}/processings",
    item="/api/processing/{id}",
    create={
        "name": NAME,
        "target": BodyKey(
            required=True, nullable=False, one_of=("DATASET_VERSION", "MODEL_VERSION", "DATALAKE")
        ),
        "default_cpu": BodyKey(int, required=True, nullable=False),
        "default_gpu": BodyKey(int, required=True, nullable=False),
        "default_parameters": BodyKey(dict[str, Any], required=True, nullable=False),
        "docker_image": NAME,
        "docker_tag": NAME,
        "docker_flags": TEXTS,
        "type": BodyKey(one_of=enums.PROCESSING_TYPES),
        "description": TEXT,
    },
    change={
        "docker_image": RENAME,
        "docker_tag": RENAME,
        "docker_flags": TEXTS,
        "description": TEXT,
        "default_parameters": TABLE,
        "default_cpu": _NUMBER,
        "default_gpu": _NUMBER,
    },
    returned=("id", "name", "target", "type", "docker_image", "docker_tag"),
)
"""As `Client.create_processing` and `picsellia.sdk.processing.Processing` of the SDK 6.37 send and read it.
It is an assumption that docker_flags can be changed."""


def _summary(live: LiveObject) -> tuple[JSON, ...]:
    def counted(field: str, unit: str) -> str | None:
        return None if live.fields.get(field) is None else f"{live.fields[field]} {unit}"

    return counted("default_cpu", "CPU"), counted("default_gpu", "GPU"), live.fields.get("docker_tag")


class ProcessingKind:
    """Processings of one organization; names are unique there (the platform returns 409)."""

    facts = KindFacts(RULES, exclusive=Exclusive.ID, config=CONFIG, summary=_summary, collection=COLLECTION)

    def __init__(self, platform: "Platform") -> None:
        self._platform = platform

    def read_ahead(self) -> None:
        self._platform.read_ahead(self._collection)

    def read(self, reference: Reference) -> LiveObject | None:
        found = self._platform.find_listed(self._collection, reference.name[0], RULES)
        return None if found is None else _live(found)

    def objects(self, parent: LiveObject | None) -> Iterator[LiveObject]:
        for item in self._platform.items(self._collection):
            yield LiveObject(item.text("id"), (item.label(),), {}, item.modified())

    def create(
        self,
        name: Sequence[str],
        fields: Mapping[str, JSON],
        *,
        parent: LiveObject | None,
        report: Report,
    ) -> LiveObject:
        # The SDK sends every key, with null for unset ones.
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
    fields = answer.fields(RULES, COLLECTION.create)
    return LiveObject(answer.text("id"), (answer.text("name"),), fields, answer.modified())
