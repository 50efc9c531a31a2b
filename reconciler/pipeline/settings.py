"""`[reconciler]`, our own table: strict, because a misspelt `protect` must not pass in silence."""

from collections.abc import Sequence
from typing import Final

from reconciler.core.values import Address
from reconciler.pipeline.enums import did_you_mean
from reconciler.pipeline.schema import Reconciler
from reconciler.pipeline.toml.toml_reader import TomlReader, below

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
    given = {key: table[key] for key in table if key != "env"}
    if not given:
        return Reconciler()
    from reconciler.pipeline.settings_table import validated  # late: pydantic, which few pipelines need

    ours = validated(reader, given)
    if ours is None:
        return None
    for address, paths in ours.ignore_changes.items():
        where = ("reconciler", "ignore_changes", address)
        if (kind := _address(reader, address, *where)) is not None:
            _ignored(reader, kind, paths, *where)
    for index, address in enumerate(ours.protect):
        _address(reader, address, "reconciler", "protect", index)
    return ours


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
