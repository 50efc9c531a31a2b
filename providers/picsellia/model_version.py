"""The kind `model-version`: what a training pipeline's image is deployed to, one per deploy target."""

from collections.abc import Mapping, Sequence

from providers import rules
from providers.errors import GoneError, PermanentError
from providers.picsellia.answer import Answer
from providers.picsellia.platform import Platform, modified, path
from providers.protocol import KindFacts, LiveObject, Reference, Report
from providers.rules import JSON, Effect, FieldRule

RULES = {
    "name": FieldRule(effect=Effect.DESCRIPTION),
    "framework": FieldRule(rules.configured, create_default="NOT_CONFIGURED"),
    "type": FieldRule(rules.configured, create_default="NOT_CONFIGURED"),
    "docker_image": FieldRule(effect=Effect.IMAGE),
    "docker_tag": FieldRule(effect=Effect.IMAGE),
    "docker_flags": FieldRule(rules.flags, unordered=True, effect=Effect.IMAGE),
    "parameters": FieldRule(rules.mapping, rules.number_like, keyed=True),
}


class ModelVersionKind:
    """Versions of models, found by name; their numbers are given by the platform."""

    facts = KindFacts(RULES, parent="model", shared=True)

    def __init__(self, platform: Platform) -> None:
        self._platform = platform

    def read(self, reference: Reference) -> LiveObject | None:
        model = reference.parent
        if model is None:
            return None
        found = self._platform.find(path("model", model.id, "versions"), reference.name[-1])
        if found is None and reference.id is not None:
            try:
                found = self._platform.get(path("model", "version", reference.id))
            except GoneError:
                return None
        return None if found is None else self._live(model, found)

    def create(
        self, name: Sequence[str], fields: Mapping[str, JSON], *, parent: LiveObject | None, report: Report
    ) -> LiveObject:
        model = _model(parent)
        body = {**fields, "name": name[-1]}
        if body.get("type") == "NOT_CONFIGURED":
            # The SDK refuses to send it on a create, so nobody knows whether the platform takes it.
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
        answer = self._platform.patch(path("model", "version", live.id), changed)
        return self._live(_model(parent), answer)

    def delete(self, live: LiveObject, *, parent: LiveObject | None) -> None:
        self._platform.delete(path("model", "version", live.id))

    def _live(self, model: LiveObject, answer: Answer) -> LiveObject:
        id = answer.text("id")
        return LiveObject(
            id=id,
            name=(*model.name, answer.text("name")),
            fields={name: answer[name] for name in RULES if name in answer},
            outputs={
                "number": answer.get("version"),
                "page": f"{self._platform.host}/model/version/{id}",
                **modified(answer),
            },
        )


def _model(parent: LiveObject | None) -> LiveObject:
    if parent is None:
        raise PermanentError("its model does not exist")
    return parent
