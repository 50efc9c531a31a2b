"""Valid TOML documents of every shape, for the property tests."""

import tomllib
from typing import Any

from hypothesis import strategies as st

BARE = st.sampled_from(["a", "b", "c", "key-1", "_x", "42"])
QUOTED = st.sampled_from(['"a b"', "'c.d'", '"e\\"f"', '""', '"\\u00e9#="', "'#'", r'"\\"', '"]"', "'[x]'"])
KEY = st.one_of(BARE, BARE, QUOTED)
SPACE = st.sampled_from(["", " ", "  ", "\t"])
COMMENT = st.sampled_from(["", "", " # plain", ' # with "quotes" [and] = {brackets}', "\t#'''"])

SCALAR = st.one_of(
    st.integers(-1000, 1000).map(str),
    st.sampled_from(["true", "false", "1.5", "-0.0", "1e3", "inf", "nan", "0xFF", "1_000", "07:32:00"]),
    st.sampled_from(["1979-05-27", "1979-05-27T07:32:00Z", "1979-05-27 07:32:00"]),
    st.sampled_from(['""', "''", '"x # y"', "'it, ]}'", r'"tail\\"', r'"say \"hi\""', '"é"', r'"\\\""']),
)
LONG_STRING = st.sampled_from(
    [
        '"""one line"""',
        '"""\nfirst\n[not.a.table]\nkey = 1 # no comment\n"""',
        "'''\na\n'quoted' ''\n'''",
        '"""ends in quotes"""""',
        '"""ends in a quote""""',
        '"""\\\\"""',
        "''''''",
        '"""\\\n   folded \\""" still\n"""',
        "'''''two at both ends'''''",
    ]
)


@st.composite
def arrays(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    items = draw(st.lists(inner, max_size=3))
    if not draw(st.booleans()):
        return (
            "[" + ", ".join(items) + draw(st.sampled_from(["", ",", " , "]) if items else st.just("")) + "]"
        )
    lines = [f"\n  {item},{draw(COMMENT)}" for item in items]
    return "[" + draw(COMMENT) + "".join(lines) + draw(st.sampled_from(["\n", "\n\n# end ]\n"])) + "]"


@st.composite
def inline_tables(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    keys = draw(st.lists(st.one_of(KEY, st.just("p.q"), st.just("p.r")), max_size=3, unique=True))
    pairs = [f"{key}{draw(SPACE)}={draw(SPACE)}{draw(inner)}" for key in keys]
    return "{" + draw(SPACE) + ", ".join(pairs) + draw(SPACE) + "}"


VALUE = st.recursive(
    st.one_of(SCALAR, LONG_STRING), lambda inner: st.one_of(arrays(inner), inline_tables(inner)), max_leaves=6
)
DOTTED = st.lists(KEY, min_size=1, max_size=3).flatmap(
    lambda keys: st.sampled_from([".", " . ", ".", "\t."]).map(lambda dot: dot.join(keys))
)


@st.composite
def statements(draw: st.DrawFn) -> str:
    indent = draw(SPACE)
    match draw(st.sampled_from(["pair", "pair", "pair", "table", "rows", "blank", "comment"])):
        case "pair":
            return f"{indent}{draw(DOTTED)}{draw(SPACE)}={draw(SPACE)}{draw(VALUE)}{draw(COMMENT)}\n"
        case "table":
            return f"{indent}[{draw(SPACE)}{draw(DOTTED)}{draw(SPACE)}]{draw(COMMENT)}\n"
        case "rows":
            return f"{indent}[[{draw(SPACE)}{draw(DOTTED)}{draw(SPACE)}]]{draw(COMMENT)}\n"
        case "comment":
            return f"{indent}# key = 1 [table]\n"
    return f"{indent}\n"


@st.composite
def documents(draw: st.DrawFn) -> str:
    """A valid document: statements that would make it invalid are left out."""
    text = ""
    for statement in draw(st.lists(statements(), max_size=12)):
        if parses(text + statement):
            text += statement
    if draw(st.booleans()):
        text = text.removesuffix("\n")
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    return text if parses(text) else ""


def parses(text: str) -> bool:
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return False
    return True


def paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Every path of a document: tables, keys, rows, elements."""
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += paths(item, (*path, key))
    return found


def at(document: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        document = document[step]
    return document
