"""The kind `model-version`: one deploy target of a training pipeline's image."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from providers import rules
from providers.collection import (
    FRAMEWORK,
    INFERENCE_TYPE,
    RENAME,
    TABLE,
    TEXT,
    TEXTS,
    BodyKey,
    Collection,
)
from providers.config_keys import ConfigTable, Holds, Key
from providers.errors import GoneError, PermanentError, RefusedError
from providers.hiding import HIDDEN
from providers.json_value import JSON
from providers.picsellia.answer import Answer
from providers.picsellia.paths import path
from providers.protocol import Exclusive, KindFacts, LiveObject, Reference, Report
from providers.rules import Effect, FieldRule

if TYPE_CHECKING:
    from providers.picsellia.platform import Platform

RULES = {
    "name": rules.NAME,
    "framework": FieldRule(rules.configured, create_default="NOT_CONFIGURED"),
    "type": FieldRule(rules.configured, create_default="NOT_CONFIGURED"),
    "docker_image": rules.DOCKER_IMAGE,
    "docker_tag": rules.DOCKER_TAG,
    "docker_flags": rules.DOCKER_FLAGS,
    "parameters": FieldRule(rules.table, rules.number_like, keyed=True),
    "description": FieldRule(rules.text, effect=Effect.DESCRIPTION),
    "labels": FieldRule(rules.text_table, keyed=True),
    "docker_env_variables": FieldRule(rules.text_table, keyed=True),
}
CONFIG = ConfigTable(
    "model_version",
    {
        "framework": Key("framework", Holds.FRAMEWORK),
        "type": Key("inference_type", Holds.INFERENCE_TYPE),
        "description": Key("description"),
        "labels": Key("labels", Holds.TABLE),
        "docker_env_variables": Key("env", Holds.VARIABLES),
    },
)
"""The official tool (0.7.6, `commands/training/deployer.py`) reads the first two and ignores the others."""
_CHANGE = {
    "name": RENAME,
    "type": INFERENCE_TYPE,
    "framework": FRAMEWORK,
    "docker_image": TEXT,
    "docker_tag": TEXT,
    "docker_flags": TEXTS,
    "parameters": TABLE,
    "labels": TABLE,
    "docker_env_variables": TABLE,
    "description": TEXT,
    "thumbnail_object_name": TEXT,
    "notebook_link": TEXT,
}
COLLECTION = Collection(
    name="version",
    parent="model",
    path="/api/model/{parent}/versions",
    item="/api/model/version/{id}",
    create={**_CHANGE, "name": BodyKey(empty=False)},
    change=_CHANGE,
    find_by=("name", "version"),
    returned=("id", "origin", "name", "version", "type", "framework", "labels", "tags", "parameters"),
    new={"tags": []},
    instead_of_null={"type": "NOT_CONFIGURED", "framework": "NOT_CONFIGURED"},
    number="version",
    shows_parent="origin",
)
"""As `Model.create_version` and `ModelVersion.update` of the SDK 6.37 send and read it. It is an
assumption that a version without a type or a framework reads NOT_CONFIGURED: the SDK cannot read such one."""


_ENV = "docker_env_variables"


def _summary(live: LiveObject) -> tuple[JSON, ...]:
    return live.fields.get("framework"), live.fields.get("type"), live.fields.get("docker_tag")


class ModelVersionKind:
    """Versions of models, found by name. The platform numbers them."""

    facts = KindFacts(
        RULES,
        parent="model",
        shared=True,
        exclusive=Exclusive.ID,
        config=CONFIG,
        summary=_summary,
        collection=COLLECTION,
    )

    def __init__(self, platform: "Platform") -> None:
        self._platform = platform

    def read(self, reference: Reference) -> LiveObject | None:
        model = reference.parent
        if model is None:
            return None
        found = self._platform.find(path("model", model.id, "versions"), reference.name[-1])
        if found is None and reference.id is not None:
            found = self._of_model(model, reference.id)
        return None if found is None else self._live(model, found)

    def _of_model(self, model: LiveObject, id: str) -> Answer | None:
        """The version with this id; None if it does not exist, or belongs to another model."""
        try:
            found = self._platform.get(path("model", "version", id))
        except GoneError:
            return None
        origin = found["origin"]
        return found if isinstance(origin, Answer) and origin.text("id") == model.id else None

    def objects(self, parent: LiveObject | None) -> Iterator[LiveObject]:
        model = _model(parent)
        for item in self._platform.items(path("model", model.id, "versions")):
            id = item.text("id")
            page = f"{self._platform.host}/model/version/{id}"
            yield LiveObject(id, (*model.name, item.label()), {}, {"page": page, **item.modified()})

    def create(
        self, name: Sequence[str], fields: Mapping[str, JSON], *, parent: LiveObject | None, report: Report
    ) -> LiveObject:
        model = _model(parent)
        body = {**fields, "name": name[-1]}
        if body.get("type") == "NOT_CONFIGURED":
            # The SDK does not send it on a create, so the platform may not accept it.
            del body["type"]
        return self._live(model, self._platform.post(path("model", model.id, "versions"), body))

    def update(
        self,
        live: LiveObject,
        changed: Mapping[str, JSON],
        fields: Mapping[str, JSON],
        *,
        parent: LiveObject | None,
        report: Report,
    ) -> LiveObject:
        address = path("model", "version", live.id)
        variables = _variables(changed)
        if HIDDEN in variables.values():  # secrets that only the platform has are kept
            now = _variables(self._platform.get(address))
            kept = {name: now[name] for name, text in variables.items() if text == HIDDEN and name in now}
            changed = {**changed, _ENV: {n: t for n, t in variables.items() if t != HIDDEN} | kept}
        return self._live(_model(parent), self._platform.patch(address, changed))

    def check(self, name: Sequence[str], live: LiveObject | None, fields: Mapping[str, JSON]) -> None:
        """Refuse to delete a secret: a write replaces the whole table, and files cannot contain secrets."""
        hidden = {key for key, text in _variables(live.fields if live else {}).items() if text == HIDDEN}
        lost = sorted(hidden - _variables(fields).keys()) if _ENV in fields else []
        if lost:
            paths = ", ".join(f'"{_ENV}.{key}"' for key in lost)
            raise RefusedError(
                f"the platform has a secret in the environment variable {lost[0]}, which would be deleted",
                hint=f"to keep it, add {paths} to ignore_changes in [reconciler], or delete it there",
            )

    def delete(self, live: LiveObject, *, parent: LiveObject | None) -> None:
        self._platform.delete(path("model", "version", live.id))

    def _live(self, model: LiveObject, answer: Answer) -> LiveObject:
        id = answer.text("id")
        return LiveObject(
            id=id,
            name=(*model.name, answer.text("name")),
            fields={
                name: _shown(name, value) for name, value in answer.fields(RULES, COLLECTION.create).items()
            },
            outputs={
                "number": answer.get("version"),
                "page": f"{self._platform.host}/model/version/{id}",
                **answer.modified(),
            },
        )


def _shown(field: str, value: JSON) -> JSON:
    """The value of a field, without secrets in environment variables."""
    if field != _ENV or not isinstance(value, dict) or not value:
        return value
    from providers.secret_rules import kind_of_value  # late: it takes long to import

    return {name: HIDDEN if kind_of_value(name, str(text)) else text for name, text in value.items()}


def _variables(fields: Mapping[str, JSON]) -> dict[str, JSON]:
    found = fields.get(_ENV)
    return found if isinstance(found, dict) else {}


def _model(parent: LiveObject | None) -> LiveObject:
    if parent is None:
        raise PermanentError("its model does not exist")
    return parent
