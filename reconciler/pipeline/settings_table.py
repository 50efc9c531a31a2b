"""Validate `[reconciler]` with pydantic; unknown keys are errors.

Imported only if a config.toml has the table, because pydantic is slow to import. The rest of the code uses
`schema`, which has the same fields and defaults.
"""

import posixpath
import re
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
)
from pydantic_core import ErrorDetails

from reconciler.pipeline.schema import (
    AcceptedSecret,
    Builder,
    ConfigRole,
    ContractPolicy,
    ImageOptions,
    Pin,
    Reconciler,
)
from reconciler.pipeline.suggestions import did_you_mean
from reconciler.pipeline.toml.toml_reader import TomlReader, described, table_advice


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


_Text = Annotated[str, Field(min_length=1)]

_SecretId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$")]
_Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


def _by_name(secrets: object) -> object:
    """`["TOKEN"]` as `{"TOKEN": "TOKEN"}`."""
    if isinstance(secrets, list) and all(isinstance(name, str) for name in secrets):
        return {str(name): str(name) for name in secrets}
    return secrets


def _day(value: object) -> object:
    """A TOML date, or a date as text; raises ValueError for a date with a time."""
    if isinstance(value, str):
        return date.fromisoformat(value)
    if isinstance(value, datetime) or not isinstance(value, date):
        raise ValueError("not a date")  # noqa: TRY004 - pydantic expects ValueError
    return value


class AcceptedSecretTable(_Table):
    """`[[reconciler.image.accepted_secrets]]`."""

    path: Annotated[_Text, AfterValidator(posixpath.normpath)]  # "./key.pem" is "key.pem"
    reason: _Text
    until: Annotated[date, BeforeValidator(_day, json_schema_input_type=date)]


class ImageTable(_Table):
    """`[reconciler.image]`."""

    builder: Builder = "auto"
    base: _Text | None = None
    workdir: _Text | None = None
    entrypoint: tuple[str, ...] | None = None
    env: dict[str, str] = Field(default_factory=dict)
    platform: Annotated[str, Field(pattern=r"^[a-z0-9]+/[a-z0-9]+(/[a-z0-9.]+)?$")] = "linux/amd64"
    build_args: dict[str, str] = Field(default_factory=dict)
    dockerfile: _Text = "Dockerfile"
    context: _Text = "."
    target: _Text | None = None
    secrets: Annotated[
        dict[_SecretId, _Name],
        BeforeValidator(_by_name, json_schema_input_type=dict[_SecretId, _Name] | list[_Name]),
    ] = Field(default_factory=dict)
    cache_from: tuple[_Text, ...] = ()
    cache_to: tuple[_Text, ...] = ()
    accepted_secrets: tuple[AcceptedSecretTable, ...] = ()
    config: ConfigRole = "deployment"
    provenance: StrictBool = False
    sbom: StrictBool = False
    sbom_generator: _Text | None = None


class ReconcilerTable(_Table):
    """`[reconciler]`."""

    pin: Pin = "channel"
    contract: ContractPolicy = "warn"
    stack: _Text | None = None
    ignore_changes: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    protect: tuple[str, ...] = ()
    image: ImageTable = ImageTable()


def validated(
    reader: TomlReader, table: Mapping[str, Any], section: str, also: Iterable[str] = ()
) -> Reconciler | None:
    """The settings with their defaults, or None and the errors.

    Args:
        section: the name of the table.
        also: other keys of it, which are read elsewhere.
    """
    try:
        settings = ReconcilerTable.model_validate(table)
    except ValidationError as problem:
        for details in problem.errors(include_url=False):
            _add_error(reader, details, section, also)
        return None
    accepted = tuple(AcceptedSecret(**dict(secret)) for secret in settings.image.accepted_secrets)
    image = ImageOptions(**{**dict(settings.image), "accepted_secrets": accepted})
    return Reconciler(**{**dict(settings), "image": image})


ACCEPTED: Final = 'path = "tests/key.pem", reason = "a key for tests only", until = 2027-01-31'


def _model(table: tuple[str | int, ...]) -> type[BaseModel]:
    """The model of this table of `[reconciler]`."""
    if table[:2] == ("image", "accepted_secrets"):
        return AcceptedSecretTable
    return ImageTable if table == ("image",) else ReconcilerTable


def _add_error(reader: TomlReader, details: ErrorDetails, section: str, also: Iterable[str]) -> None:
    """Add the diagnostic for one error of pydantic."""
    where = (section, *details["loc"])
    name = ".".join(str(part) for part in where)
    match details["type"]:
        case "extra_forbidden":
            table = ".".join(str(part) for part in where[:-1])
            known = [*_model(where[1:-1]).model_fields, *(also if len(where) == 2 else ())]
            hint = did_you_mean(str(where[-1]), known)
            reader.error(f"{name} is not a setting", f"[{table}] has {', '.join(known)}.{hint}", *where)
        case "missing":
            fields = ", ".join(AcceptedSecretTable.model_fields)
            advice = f"An accepted secret has {fields}, for example {ACCEPTED}."
            reader.error(f"{name} is missing", advice, *where[:-1])
        case "string_too_short":
            reader.error(f"{name} is empty", "Remove the line or give a value.", *where)
        case "string_pattern_mismatch" if "secrets" in where:  # the invalid value may be a secret
            reader.error(
                f"{section}.image.secrets has an entry that is not the name of an environment variable",
                'Write secrets = ["PIP_TOKEN"], or { id = "PIP_TOKEN" } if the build uses another name: '
                "the name of the variable, never its value.",
                *where[:3],
            )
        case "string_pattern_mismatch":
            advice = 'Write it as "linux/amd64" or "linux/arm64".'
            reader.error(f"{name} {details['input']!r} is not a platform", advice, *where)
        case _:
            expected, advice = _expected(details, section, where)
            reader.error(f"{name} must be {expected}, not {described(details['input'])}", advice, *where)


def _expected(details: ErrorDetails, section: str, where: tuple[str | int, ...]) -> tuple[str, str]:
    """What a value of the wrong type must be, and how to write it."""
    match details["type"], where[-1]:
        case "value_error", "until":
            return "a date", "Write the last day: until = 2027-01-31."
        case "literal_error", _:
            words = str(details["ctx"]["expected"])
            return words, did_you_mean(str(details["input"]), re.findall(r"'(\w+)'", words)).strip()
        case "bool_type", _:
            return "true or false", "Write true or false, without quotes."
        case "string_type", _:
            return "text", "Put it between quotes."
        case "tuple_type", "accepted_secrets":
            table = f"[[{section}.image.accepted_secrets]]"
            return (
                "a list of tables",
                f"Write {table} on a line of its own, with path, reason and until below.",
            )
        case "tuple_type", _:
            return "a list of texts", 'Write ["...", "..."].'
        case "dict_type", "secrets":
            names = 'secrets = ["PIP_TOKEN"], or { id = "PIP_TOKEN" } if the build uses another name'
            return "a list of names of environment variables", f"Write {names}."
        case _:
            return "a table", table_advice(".".join(str(part) for part in where))
