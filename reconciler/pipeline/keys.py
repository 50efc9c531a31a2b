"""Values of the keys that kinds have in config.toml: one reader for each thing that a key may hold.

Which keys there are is a fact of each kind (`providers.config_keys`). A key that the file does not have gives
nothing. No problem stops the reading.
"""

from collections.abc import Callable, Mapping
from typing import Any

from providers import enums
from providers.ascii_case import ascii_upper
from providers.collection import BodyKey
from providers.config_keys import Holds, Key
from providers.json_value import JSON
from providers.patterns import pattern
from providers.protocol import KindFacts
from providers.rules import UNSET
from reconciler.pipeline.suggestions import did_you_mean
from reconciler.pipeline.toml.toml_reader import TomlReader, described, table_advice

Reader = Callable[[TomlReader, Any, tuple[str | int, ...]], JSON]
"""(reader, value, its path) -> the value as JSON; None and an error for an invalid one."""

_LONGEST_WORD = 131_071  # bytes before the NUL: MAX_ARG_STRLEN, execve(2)
VARIABLE = pattern(r"[A-Za-z_][A-Za-z0-9_]*")


def read_keys(
    reader: TomlReader, table: Mapping[str, Any], where: tuple[str | int, ...], facts: KindFacts
) -> dict[str, JSON]:
    """The fields that this table gives, by their names.

    Args:
        where: the path of the table.
        facts: of the kind whose keys the table has. Values that its API refuses are errors.
    """
    found: dict[str, JSON] = {}
    for field, key in facts.config.keys.items() if facts.config else ():
        path = (*where, *key.path)
        body = facts.collection.create[field] if facts.collection else BodyKey()
        value = _at(reader, table, where, key)
        if value is None:
            if body.required and facts.rules[field].create_default is UNSET:
                reader.error(f"{dotted(path)} is missing", "The platform requires a value.", *where)
            continue
        read = READERS[key.holds](reader, value, path)
        if read == "" and not body.empty:
            reader.error(f"{dotted(path)} is empty", "The platform requires a value.", *path)
        elif isinstance(read, str) and body.one_of:
            name = str(facts.rules[field].normalise(read))
            read = _enum(reader, name, read, body.one_of, (), path)
        if read is not None:
            found[field] = read
    return found


def _at(reader: TomlReader, table: Mapping[str, Any], where: tuple[str | int, ...], key: Key) -> Any:
    value: Any = table
    for depth, name in enumerate(key.path):
        if not isinstance(value, Mapping):
            path = (*where, *key.path[:depth])
            reader.error(
                f"{dotted(path)} must be a table, not {described(value)}", table_advice(dotted(path)), *path
            )
            return None
        value = value.get(name)
        if value is None:
            return None
    return value


def dotted(where: tuple[str | int, ...]) -> str:
    """A path as a person writes it: `model_versions[0].framework`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).removeprefix(".")


def _text(reader: TomlReader, value: Any, where: tuple[str | int, ...]) -> JSON:
    if not isinstance(value, str):
        reader.error(
            f"{dotted(where)} must be text, not {described(value)}", "Put it between quotes.", *where
        )
        return None
    return None if _is_secret(reader, value, where) else value


def _is_secret(reader: TomlReader, value: str, where: tuple[str | int, ...]) -> bool:
    """Whether a text looks like a secret, which is an error. The error does not show it."""
    from providers.secret_rules import kind_of_value  # late: its expressions take a while

    key = next(name for name in reversed(where) if isinstance(name, str))
    kind = kind_of_value(key, value)
    if kind is not None:
        reader.error(
            f"{dotted(where)} looks like a secret: {kind}",
            "Everyone who can read config.toml or a plan could read it. Take it out and set it on the "
            "platform; ignore_changes in [reconciler] leaves it alone there.",
            *where,
        )
    return kind is not None


def _count(reader: TomlReader, value: Any, where: tuple[str | int, ...]) -> JSON:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    reader.error(
        f"{dotted(where)} must be a whole number from 0, not {described(value)}", "Write a number.", *where
    )
    return None


def _flag(reader: TomlReader, value: Any, where: tuple[str | int, ...]) -> JSON:
    if isinstance(value, bool):
        return value
    reader.error(
        f"{dotted(where)} must be true or false, not {described(value)}", "Write it without quotes.", *where
    )
    return None


def _texts(reader: TomlReader, value: Any, where: tuple[str | int, ...]) -> JSON:
    if not isinstance(value, list):
        reader.error(
            f"{dotted(where)} must be a list of texts, not {described(value)}",
            'Write ["...", "..."].',
            *where,
        )
        return None
    found = [_text(reader, text, (*where, index)) for index, text in enumerate(value)]
    return None if None in found else found


def _table(reader: TomlReader, value: Any, where: tuple[str | int, ...]) -> dict[str, JSON] | None:
    if not isinstance(value, Mapping):
        reader.error(
            f"{dotted(where)} must be a table, not {described(value)}", table_advice(dotted(where)), *where
        )
        return None
    found = {name: _text(reader, text, (*where, name)) for name, text in value.items()}
    return None if None in found.values() else found


def check_word(reader: TomlReader, what: str, text: str, *where: str | int) -> None:
    """Report an argument, or a variable with its name, that no process can get."""
    if (size := len(text.encode())) > _LONGEST_WORD:
        reader.error(
            f"{what} has {size} bytes, and Linux starts no program with more than {_LONGEST_WORD}",
            "Put the value into a file, and give its path.",
            *where,
        )


def _variables(reader: TomlReader, value: Any, where: tuple[str | int, ...]) -> JSON:
    found = _table(reader, value, where)
    for name, text in (found or {}).items():
        check_word(reader, dotted((*where, name)), f"{name}={text}", *where, name)
    odd = [name for name in found or () if not VARIABLE.fullmatch(name)]
    for name in odd:
        reader.error(
            f"{dotted((*where, name))} is not the name of an environment variable",
            "A name has letters, digits and underscores, and does not begin with a digit.",
            *where,
            name,
        )
    return None if odd else found


def _framework(reader: TomlReader, value: Any, where: tuple[str | int, ...]) -> JSON:
    if not isinstance(value, str):
        return _text(reader, value, where)
    name = ascii_upper(value) or enums.NOT_CONFIGURED
    if name in enums.DOCUMENTED_FRAMEWORKS:
        reader.warn(
            f"{dotted(where[:-1])}: framework {value} is not in the installed SDK's list",
            "It is sent as written, because the official documentation uses it; the platform may refuse it. "
            f"Listed: {', '.join(enums.FRAMEWORKS)}.",
            *where,
        )
        return name
    return _enum(reader, name, value, enums.FRAMEWORKS, enums.DOCUMENTED_FRAMEWORKS, where)


def _inference_type(reader: TomlReader, value: Any, where: tuple[str | int, ...]) -> JSON:
    if not isinstance(value, str):
        return _text(reader, value, where)
    name = ascii_upper(value) or enums.NOT_CONFIGURED
    return _enum(reader, name, value, enums.INFERENCE_TYPES, (), where)


def _enum(
    reader: TomlReader,
    name: str,
    value: str,
    allowed: tuple[str, ...],
    also: tuple[str, ...],
    where: tuple[str | int, ...],
) -> str | None:
    if name in allowed:
        return name
    what = f"{dotted(where[:-1])}: {where[-1]} {value!r}"
    hint = did_you_mean(name, (*allowed, *also))
    unlisted = f" {', '.join(also)}, which no SDK lists, is sent as written, with a warning." if also else ""
    reader.error(f"{what} is not known", f"Allowed: {', '.join(allowed)}.{unlisted}{hint}", *where)
    return None


READERS: Mapping[Holds, Reader] = {
    Holds.TEXT: _text,
    Holds.COUNT: _count,
    Holds.FLAG: _flag,
    Holds.TEXTS: _texts,
    Holds.TABLE: _table,
    Holds.VARIABLES: _variables,
    Holds.FRAMEWORK: _framework,
    Holds.INFERENCE_TYPE: _inference_type,
}
