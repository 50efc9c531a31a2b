"""The bodies of the platform's write calls, and their validation.

The keys are facts of each kind (`providers.collection`): those that the public SDK sends. Its required
arguments are required here; that the server requires them too is an assumption. Two more assumptions: names
are not empty, and text is not converted to numbers.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, NoReturn

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    create_model,
)

from providers.collection import BodyKey


def read_json(content: bytes) -> Any:
    """The value of a JSON text. Raises ValueError if it is no JSON, or cannot be sent back as JSON."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not JSON")

    try:
        value = json.loads(content, parse_constant=refuse)
        json.dumps(value, ensure_ascii=False).encode()  # fails for half a surrogate pair
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return value


class BadBodyError(Exception):
    """An invalid body.

    Args:
        detail: one entry per problem, each with `loc`, `msg` and `type`.
    """

    def __init__(self, detail: list[dict[str, Any]]) -> None:
        super().__init__(f"{len(detail)} problem(s) in the body")
        self.detail = detail


def _one_of(values: tuple[str, ...]) -> AfterValidator:
    def check(value: str, info: ValidationInfo) -> str:
        if value not in values and not (info.context or {}).get("unknown_enums"):
            raise ValueError(f"must be one of {', '.join(values)}")
        return value

    return AfterValidator(check)


class Body(BaseModel):
    """A JSON object without type conversion: `"4"` is not a number."""

    model_config = ConfigDict(strict=True)


def body(keys: Mapping[str, BodyKey]) -> type[Body]:
    """The form of a body with these keys."""
    fields: dict[str, Any] = {}
    for name, key in keys.items():
        form = key.type
        if key.one_of:
            form = Annotated[form, _one_of(key.one_of)]
        if not key.empty:
            form = Annotated[form, Field(min_length=1)]
        fields[name] = (form | None if key.nullable else form, ... if key.required else None)
    return create_model("Body", __base__=Body, **fields)


def parse(body: type[Body], content: object, *, strict: bool, unknown_enums: bool) -> Body:
    """Validate a decoded body.

    Args:
        body: the expected form.
        content: the decoded JSON.
        strict: whether unknown keys are refused instead of ignored.
        unknown_enums: whether any text is accepted as an enum value.

    Raises:
        BadBodyError: the body is invalid; it has all problems.
    """
    problems: list[dict[str, Any]] = []
    if strict and isinstance(content, dict):
        unknown = content.keys() - body.model_fields.keys()
        problems += [
            {"loc": ["body", key], "msg": "unknown key", "type": "extra_forbidden"} for key in sorted(unknown)
        ]
    try:
        parsed = body.model_validate(content, context={"unknown_enums": unknown_enums})
    except ValidationError as error:
        problems += [
            {"loc": ["body", *problem["loc"]], "msg": problem["msg"], "type": problem["type"]}
            for problem in error.errors(include_url=False, include_context=False)
        ]
    if problems:
        raise BadBodyError(problems)
    return parsed
