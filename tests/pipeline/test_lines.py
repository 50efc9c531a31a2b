"""Every key of a config.toml has its line and every value its span, in every form of TOML."""

import tomllib
from collections.abc import Callable

import pytest
from hypothesis import given

from reconciler.pipeline.toml.toml_edits import apply_edits
from reconciler.pipeline.toml.toml_positions import MOST_LEVELS, lines_of
from tests.pipeline.toml_documents import at, documents, paths


def test_each_form_of_toml_has_its_lines() -> None:
    text = """\
# a comment
top = 1

[metadata]
name = "x"   # = "y"
description = \"""
[docker]
cpu = 3
\"""
after = true

[[model_versions]]
name = "v1"

[[model_versions]]
name = "v2"
tags = [
    "a",  # "b"

    "c",
]

[docker.sub]
deep = { x = 1, y = { z = 2 } }
dotted.key = 4

[docker]
cpu = "4"
"""
    lines = lines_of(text)
    assert {
        path: lines.line[path]
        for path in [
            ("top",),
            ("metadata",),
            ("metadata", "name"),
            ("metadata", "description"),
            ("metadata", "after"),
            ("model_versions",),
            ("model_versions", 0),
            ("model_versions", 0, "name"),
            ("model_versions", 1),
            ("model_versions", 1, "name"),
            ("model_versions", 1, "tags", 1),
            ("docker", "sub"),
            ("docker", "sub", "deep", "y", "z"),
            ("docker", "sub", "dotted", "key"),
            ("docker", "cpu"),
        ]
    } == {
        ("top",): 2,
        ("metadata",): 4,
        ("metadata", "name"): 5,
        ("metadata", "description"): 6,
        ("metadata", "after"): 10,
        ("model_versions",): 12,
        ("model_versions", 0): 12,
        ("model_versions", 0, "name"): 13,
        ("model_versions", 1): 15,
        ("model_versions", 1, "name"): 16,
        ("model_versions", 1, "tags", 1): 20,
        ("docker", "sub"): 23,
        ("docker", "sub", "deep", "y", "z"): 24,
        ("docker", "sub", "dotted", "key"): 25,
        ("docker", "cpu"): 28,
    }


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_windows_line_ending_counts_once(newline: str) -> None:
    assert lines_of(newline.join(["[a]", "", "# c", "b = 1", ""])).line[("a", "b")] == 4


def test_a_byte_order_mark_is_not_part_of_the_first_key() -> None:
    assert lines_of("\ufeffa = 1").line == {("a",): 1}


def test_a_missing_key_has_the_line_of_its_table() -> None:
    lines = lines_of('\n[docker]\nimage_name = ""\n')
    assert lines.line_of("docker", "cpu") == 2
    assert lines.line_of("docker", "image_name", "deeper") == 3
    assert lines.line_of("metadata", "name") is None


@given(documents())
def test_every_span_contains_its_value(text: str) -> None:
    document = tomllib.loads(text)
    lines = lines_of(text)
    assert set(lines.line) == set(paths(document))
    for path, (start, end) in lines.span.items():
        alone = tomllib.loads(f"v = {text[start:end]}")["v"]
        assert repr(alone) == repr(at(document, path))
        assert lines.line[path] == text.count("\n", 0, start) + 1


@given(documents())
def test_every_table_is_on_the_line_of_its_header(text: str) -> None:
    document = tomllib.loads(text)
    lines = lines_of(text)
    for path in set(paths(document)) - set(lines.span):
        written = text.split("\n")[lines.line[path] - 1]
        dotted = any(key[: len(path)] == path and lines.line[key] == lines.line[path] for key in lines.span)
        assert written.lstrip(" \t").startswith("[") or dotted


@given(documents())
def test_a_text_is_split_at_its_headers_only(text: str) -> None:
    sections = lines_of("\ufeff" + text).sections
    starts, ends = zip(*sections.values(), strict=True)
    assert starts == (1, *ends[:-1])
    assert ends[-1] == 1 + len(text)
    for path, (start, end) in sections.items():
        table = tomllib.loads(text[start - 1 : end - 1])
        for name in path:
            if isinstance(name, str):
                [(only, inner)] = table.items()
                assert only == name
                table = inner[0] if isinstance(inner, list) else inner
        assert table.keys() <= at(tomllib.loads(text), path).keys()


def test_a_section_contains_its_indent_and_the_lines_up_to_the_next_header() -> None:
    parts: dict[tuple[str | int, ...], str] = {
        (): "# a\n\n",
        ("a", "b"): " [a . b]\nx = [\n[1],\n] # [y]\n\n# r\n",
        ("r", 0): "\t[[ r ]] # c\n",
        ("r", 1): "[[r]]\ny = '''\n[z]\n'''\n",
        ("r", 1, "s"): "[r.s]",
    }
    text = "".join(parts.values())
    assert {path: text[start:end] for path, (start, end) in lines_of(text).sections.items()} == parts


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("a.b", ("a", "b")),
        ("a\t. b", ("a", "b")),
        ("3.14", ("3", "14")),
        ('"a.b".c', ("a.b", "c")),
        ("'a = \"b\"'", ('a = "b"',)),
        (r'"a \"b\" = \\"', ('a "b" = \\',)),
        (r"'a\'", ("a\\",)),
        (r'"\u00e9\t\U0001F600"', ("é\t\N{GRINNING FACE}",)),
        ('"" . \'\'."]#"', ("", "", "]#")),
    ],
)
def test_a_key_can_be_written_in_many_ways(key: str, names: tuple[str, ...]) -> None:
    assert [*lines_of(f"{key} = 1").span] == [names]
    assert ("t", 0, *names) in lines_of(f"t = [{{{key}=1}}]").span
    assert [*lines_of(f"[{key}]").sections] == [(), names]
    assert [*lines_of(f"[[ {key}\t]] # c").sections] == [(), (*names, 0)]


@pytest.mark.parametrize(
    "value",
    [
        r'"\\"',
        r'"\" # ] }"',
        r"'\'",
        "''",
        '""',
        '""""""',
        '"""a""""',
        '"""a"""""',
        '""""a"""',
        r'"""\""""""',
        '"""\\\n\n  a \\\\"""',
        "''''''",
        "'''a''''",
        "'''a'''''",
        "'''''a'''",
        "'''\n[x]\ny = \"\"\" # \n'''",
        "1979-05-27",
        "1979-05-27 07:32:00",
        "1979-05-27 07:32:00.5-07:00",
        "1979-05-27T07:32:00Z",
        "07:32:00",
        "+1_000",
        "-nan",
        "6.6e-3",
        "[]",
        "{}",
        "[ # ]\n]",
        "[[{a = [{b.c = []}]}], {}, [\n1, # ,\n\n],]",
        "{ a = [1, 2], b = { c = 'x, }' } }",
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_a_value_ends_where_toml_ends_it(value: str, newline: str, start: str) -> None:
    value = value.replace("\n", newline)
    text = f"{start}a = {value}{newline}b={value}# c{newline}c = [{value},{value} ]{newline}d={{e={value}}}"
    tomllib.loads(text.removeprefix("\ufeff"))
    lines = lines_of(text)
    for path in [("a",), ("b",), ("c", 0), ("c", 1), ("d", "e")]:
        begin, end = lines.span[path]
        assert text[begin:end] == value
        assert lines.line[path] == text.count("\n", 0, begin) + 1


@pytest.mark.parametrize(
    "nested",
    [
        lambda levels: f"a = {'[' * levels}{']' * levels}",
        lambda levels: f"a = {'{a=' * levels}1{'}' * levels}",
        lambda levels: f"{'.'.join('a' * levels)} = 1",
        lambda levels: f"[{'.'.join('a' * levels)}]",
        lambda levels: f"[[{'.'.join('a' * levels)}]]",
    ],
)
def test_too_deep_nesting_is_refused_with_its_line(nested: Callable[[int], str]) -> None:
    fine, deep = (f"\n{nested(levels)}\n" for levels in (MOST_LEVELS - 1, MOST_LEVELS + 1))
    assert {*lines_of(fine).line.values()} == {2}
    assert apply_edits(fine, {("b",): 1})
    assert tomllib.loads(deep)
    with pytest.raises(ValueError, match=r"more than 100 levels deep \(at line 2, column \d+\)$"):
        lines_of(deep)


def test_rows_of_one_array_can_be_separated() -> None:
    lines = lines_of("[[r]]\nn = 1\n[t]\nx = [\n[1],\n]\n[[r]]\nn = 2\n[r.s]\nm = 3\n")
    assert (lines.line["r", 0, "n"], lines.line["t", "x", 0]) == (2, 5)
    assert (lines.line["r", 1], lines.line["r", 1, "n"], lines.line["r", 1, "s", "m"]) == (7, 8, 10)
