"""The kind `input`: one typed input of a processing. Its name is its identity on the platform."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from providers import enums, rules
from providers.collection import FRAMEWORK, INFERENCE_TYPE, NAME, BodyKey, Collection
from providers.errors import PermanentError
from providers.json_value import JSON
from providers.picsellia.answer import Answer
from providers.picsellia.paths import path
from providers.protocol import KindFacts, LiveObject, Reference, Report
from providers.rules import FieldRule

if TYPE_CHECKING:
    from providers.picsellia.platform import Platform

RULES = {
    "input_type": FieldRule(rules.enum_name, immutable=True),
    "required": FieldRule(),
    "inference_type_constraint": FieldRule(rules.constraint),
    "framework_constraint": FieldRule(rules.constraint),
}
# The keys of PUT, which clears a missing constraint.
_CHANGEABLE = ("required", "inference_type_constraint", "framework_constraint")
_CHANGE = {
    "required": BodyKey(bool, required=True, nullable=False),
    "inference_type_constraint": INFERENCE_TYPE,
    "framework_constraint": FRAMEWORK,
}
COLLECTION = Collection(
    name="input",
    parent="processing",
    path="/api/processing/{parent}/inputs",
    item="/api/processing/{parent}/inputs/{name}",
    create={
        "name": NAME,
        "input_type": BodyKey(
            required=True,
            nullable=False,
            one_of=enums.INPUT_TYPES,
        ),
        **_CHANGE,
    },
    change=_CHANGE,
    change_method="PUT",
    find_by=(),
    returned=("name",),
)
"""As the SDK 6.37 (`picsellia.sdk.processing.Processing`) sends and reads it."""


def _summary(live: LiveObject) -> tuple[JSON, ...]:
    required = live.fields.get("required")
    return live.fields.get("input_type"), None if required is None else "required" if required else "optional"


class InputKind:
    """Inputs of processings, read as a list."""

    facts = KindFacts(
        RULES,
        parent="processing",
        disposable=True,
        listed_by="inputs_class",
        is_contract=True,
        summary=_summary,
        collection=COLLECTION,
    )

    def __init__(self, platform: "Platform") -> None:
        self._platform = platform

    def read(self, reference: Reference) -> LiveObject | None:
        if reference.parent is None:
            return None
        return next((live for live in self.siblings(reference.parent) if live.id == reference.name[-1]), None)

    def siblings(self, parent: LiveObject) -> Sequence[LiveObject]:
        inputs = self._platform.items(path("processing", parent.id, "inputs"), "name")
        return [_live(parent, item) for item in inputs]

    def create(
        self, name: Sequence[str], fields: Mapping[str, JSON], *, parent: LiveObject | None, report: Report
    ) -> LiveObject:
        body = {"name": name[-1], **fields}
        processing = _processing(parent)
        return _live(processing, self._platform.post(path("processing", processing.id, "inputs"), body))

    def update(
        self,
        live: LiveObject,
        changed: Mapping[str, JSON],
        fields: Mapping[str, JSON],
        *,
        parent: LiveObject | None,
        report: Report,
    ) -> LiveObject:
        body = {name: fields[name] for name in _CHANGEABLE}
        processing = _processing(parent)
        return _live(
            processing, self._platform.put(path("processing", processing.id, "inputs", live.id), body)
        )

    def delete(self, live: LiveObject, *, parent: LiveObject | None) -> None:
        self._platform.delete(path("processing", _processing(parent).id, "inputs", live.id))


def _processing(parent: LiveObject | None) -> LiveObject:
    if parent is None:
        raise PermanentError("its processing does not exist")
    return parent


def _live(processing: LiveObject, answer: Answer) -> LiveObject:
    fields = answer.fields(RULES, COLLECTION.create)
    name = answer.text("name")
    return LiveObject(name, (*processing.name, name), fields, answer.modified())
