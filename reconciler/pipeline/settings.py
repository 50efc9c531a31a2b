"""`[reconciler]`, our own table: strict, because a misspelt `protect` must not pass in silence."""

import re
from collections.abc import Sequence
from typing import Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from reconciler.core.values import Address
from reconciler.pipeline.enums import did_you_mean
from reconciler.pipeline.schema import AcceptedSecret, ImageOptions, Reconciler
from reconciler.pipeline.toml.toml_reader import TomlReader, below, named

_FORMS: Final = {
    "image": "image/REGISTRY/NAME",
    "processing": "processing/NAME",
    "input": "input/PROCESSING/NAME",
    "model": "model/NAME",
    "model-version": "model-version/MODEL/NAME",
}
KINDS: Final = tuple(_FORMS)


def read_settings(reader: TomlReader) -> Reconciler | None:
    """`[reconciler]` with its defaults, or None and the errors."""
    table = reader.document.get("reconciler", {})
    if not isinstance(table, dict):
        reader.error("reconciler must be a table", below("reconciler"), "reconciler")
        return None
    try:
        ours = Reconciler.model_validate({key: table[key] for key in table if key != "env"})
    except ValidationError as problem:
        for details in problem.errors(include_url=False):
            _strict(reader, details)
        return None
    for address, paths in ours.ignore_changes.items():
        where = ("reconciler", "ignore_changes", address)
        if (kind := _address(reader, address, *where)) is not None:
            _ignored(reader, kind, paths, *where)
    for index, address in enumerate(ours.protect):
        _address(reader, address, "reconciler", "protect", index)
    return ours


ACCEPTED: Final = 'path = "tests/key.pem", reason = "a key that opens nothing", until = 2027-01-31'


def _model(table: tuple[str | int, ...]) -> type[BaseModel]:
    """What has the settings of this table of `[reconciler]`."""
    if table[:2] == ("image", "accepted_secrets"):
        return AcceptedSecret
    return ImageOptions if table == ("image",) else Reconciler


def _strict(reader: TomlReader, details: ErrorDetails) -> None:
    where = ("reconciler", *details["loc"])
    name = ".".join(str(part) for part in where)
    value = details["input"]
    match details["type"]:
        case "extra_forbidden":
            table = ".".join(str(part) for part in where[:-1])
            known = _model(where[1:-1]).model_fields
            hint = did_you_mean(str(where[-1]), known)
            reader.error(f"{name} is not a setting", f"[{table}] has {', '.join(known)}.{hint}", *where)
        case "missing":
            given = ", ".join(AcceptedSecret.model_fields)
            reader.error(
                f"{name} is missing",
                f"An accepted secret has {given}, for example {ACCEPTED}.",
                *where[:-1],
            )
        case "value_error" if where[-1] == "until":
            reader.error(
                f"{name} must be a date, not {named(value)}",
                "Write the last day: until = 2027-01-31.",
                *where,
            )
        case "literal_error":
            expected = str(details["ctx"]["expected"])
            hint = did_you_mean(str(value), re.findall(r"'(\w+)'", expected))
            reader.error(f"{name} must be {expected}, not {named(value)}", hint.strip(), *where)
        case "string_type":
            reader.error(f"{name} must be text, not {named(value)}", "Put it between quotes.", *where)
        case "string_too_short":
            reader.error(f"{name} is empty", "Remove the line or give a value.", *where)
        case "string_pattern_mismatch" if "secrets" in where:  # what it is instead may be a secret
            reader.error(
                "reconciler.image.secrets has what is not the name of an environment variable",
                'Write secrets = ["PIP_TOKEN"], or { id = "PIP_TOKEN" } when the build calls it otherwise: '
                "the variable's name, never its value.",
                *where[:3],
            )
        case "string_pattern_mismatch":
            reader.error(
                f"{name} {value!r} is not a platform",
                'Write it as "linux/amd64" or "linux/arm64".',
                *where,
            )
        case "tuple_type" if where[-1] == "accepted_secrets":
            reader.error(
                f"{name} must be a list of tables, not {named(value)}",
                "Write [[reconciler.image.accepted_secrets]] on a line of its own and path, reason and until "
                "below.",
                *where,
            )
        case "tuple_type":
            reader.error(
                f"{name} must be a list of texts, not {named(value)}", 'Write ["...", "..."].', *where
            )
        case "dict_type" if where[-1] == "secrets":
            reader.error(
                f"{name} must be a list of names of environment variables, not {named(value)}",
                'Write secrets = ["PIP_TOKEN"], or { id = "PIP_TOKEN" } when the build calls it otherwise.',
                *where,
            )
        case _:
            reader.error(
                f"{name} must be a table, not {named(value)}",
                below(name),
                *where,
            )


def _address(reader: TomlReader, text: str, *where: str | int) -> str | None:
    """The kind of this address, or None and the error."""
    try:
        kind, name = Address.parse(text)
    except ValueError:
        kind, name = "", ()
    if kind not in KINDS:
        reader.error(
            f"{text!r} is not an address",
            f"Write kind/name with one of {', '.join(KINDS)}, for example processing/my_app."
            f"{did_you_mean(text.partition('/')[0], KINDS)}",
            *where,
        )
        return None
    if kind != "image" and len(name) != _FORMS[kind].count("/"):
        reader.error(
            f"{text!r} is not the address of a resource of the kind {kind}",
            f"Write {_FORMS[kind]}, with %2F for a slash in a name.",
            *where,
        )
        return None
    return kind


def _ignored(reader: TomlReader, kind: str, paths: Sequence[str], *where: str | int) -> None:
    """Note each word of ignore_changes that is no field, and so would protect nothing."""
    if kind == "image":
        reader.error(
            "ignore_changes names an image, of which nothing can be ignored",
            "An image is made from the folder, and published as a whole. Remove the line.",
            *where,
        )
        return
    from providers.picsellia import FACTS  # late: it is not needed where nothing is ignored

    rules = FACTS[kind].rules
    for index, path in enumerate(paths):
        field, dot, key = path.partition(".")
        rule = rules.get(field)
        if rule is None:
            reader.error(
                f"{path!r} is not a field of the kind {kind}",
                f"It has {', '.join(rules)}.{did_you_mean(field, rules)}",
                *where,
                index,
            )
        elif dot and not (rule.keyed and key):
            reader.error(
                f"{path!r} is not a part of {field} that can be ignored",
                f'Write "{field}.NAME" for one of them, or "{field}" for all.'
                if rule.keyed
                else f'It is compared as a whole. Write "{field}".',
                *where,
                index,
            )
