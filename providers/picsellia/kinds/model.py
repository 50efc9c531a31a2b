"""The kind `model`: the parent of a training pipeline's model versions."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from providers import rules
from providers.collection import NAME, RENAME, TEXT, Collection
from providers.config_keys import ConfigTable, Key
from providers.errors import PermanentError
from providers.json_value import JSON
from providers.picsellia.answer import Answer
from providers.picsellia.paths import path
from providers.protocol import KindFacts, LiveObject, Reference, Report
from providers.rules import Effect, FieldRule

if TYPE_CHECKING:
    from providers.picsellia.platform import Platform

RULES = {"name": rules.NAME, "description": FieldRule(rules.text, effect=Effect.DESCRIPTION)}
CONFIG = ConfigTable("model_version", {"description": Key("origin_description")})
COLLECTION = Collection(
    name="model",
    parent="organization",
    path="/api/organization/{parent}/models",
    item="/api/model/{id}",
    create={"name": NAME, "description": TEXT},
    change={"name": RENAME, "description": TEXT},
    find_by=("name", "id"),
    returned=("id", "name", "private"),
    new={"private": True, "tags": []},
)
"""As `Client.create_model` and `picsellia.sdk.model.Model` of the SDK 6.37 send and read it."""


class ModelKind:
    """Models of one organization; names are unique there (the platform returns 409)."""

    facts = KindFacts(RULES, shared=True, config=CONFIG, collection=COLLECTION)

    def __init__(self, platform: "Platform") -> None:
        self._platform = platform

    def read_ahead(self) -> None:
        self._platform.read_ahead(self._collection)

    def read(self, reference: Reference) -> LiveObject | None:
        keys = {"name"} | reference.fields.keys()  # a list needs no other keys
        found = self._platform.find_listed(self._collection, reference.name[0], keys)
        if found is None and reference.id is not None:
            found = self._platform.find_id(self._collection, reference.id)
        return None if found is None else self._live(found)

    def objects(self, parent: LiveObject | None) -> Iterator[LiveObject]:
        for item in self._platform.items(self._collection):
            id = item.text("id")
            page = f"{self._platform.host}/model/{id}"
            yield LiveObject(id, (item.label(),), {}, {"page": page, **item.modified()})

    def create(
        self, name: Sequence[str], fields: Mapping[str, JSON], *, parent: LiveObject | None, report: Report
    ) -> LiveObject:
        # The SDK never leaves the description out, so neither do we.
        return self._live(
            self._platform.post(self._collection, {"name": name[0], "description": "", **fields})
        )

    def update(
        self,
        live: LiveObject,
        changed: Mapping[str, JSON],
        fields: Mapping[str, JSON],
        *,
        parent: LiveObject | None,
        report: Report,
    ) -> LiveObject:
        return self._live(self._platform.patch(path("model", live.id), changed))

    def delete(self, live: LiveObject, *, parent: LiveObject | None) -> None:
        """Delete the model. Raises PermanentError if it still has versions."""
        items = self._platform.items(path("model", live.id, "versions"))
        versions = [str(item.get("name") or item.text("id")) for item in items]
        if versions:
            raise PermanentError(
                f"it has versions that are not of this pipeline: {', '.join(versions)}",
                hint="delete them on the platform, or leave out --prune, so the model is kept",
            )
        self._platform.delete(path("model", live.id))

    @property
    def _collection(self) -> str:
        return self._platform.organization_path("models")

    def _live(self, answer: Answer) -> LiveObject:
        id, name = answer.text("id"), answer.text("name")
        return LiveObject(
            id=id,
            name=(name,),
            fields={**answer.fields(RULES, COLLECTION.create), "name": name},
            outputs={"page": f"{self._platform.host}/model/{id}", **answer.modified()},
        )
