"""Every key of a config.toml has its line, and every value its bytes, however the file is written."""

import tomllib

import pytest
from hypothesis import given

from reconciler.pipeline.lines import lines_of, sections_of
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
def test_line_ends_of_windows_count_once(newline: str) -> None:
    assert lines_of(newline.join(["[a]", "", "# c", "b = 1", ""])).line[("a", "b")] == 4


def test_a_byte_order_mark_is_not_part_of_the_first_key() -> None:
    assert lines_of("\ufeffa = 1").line == {("a",): 1}


def test_what_is_not_there_has_the_line_of_the_table_around_it() -> None:
    lines = lines_of('\n[docker]\nimage_name = ""\n')
    assert lines.of("docker", "cpu") == 2
    assert lines.of("docker", "image_name", "deeper") == 3
    assert lines.of("metadata", "name") is None


@given(documents())
def test_every_value_is_where_its_span_says(text: str) -> None:
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
def test_a_text_is_cut_at_its_headers_and_nowhere_else(text: str) -> None:
    sections = sections_of("\ufeff" + text)
    assert "".join(section.text for section in sections) == text
    assert [section.start for section in sections] == [
        1 + sum(len(before.text) for before in sections[:count]) for count in range(len(sections))
    ]
    document = tomllib.loads(text)
    for section in sections:
        keys = {str(key) for key in section.table}
        assert keys <= set(at(document, section.path))


def test_rows_of_one_array_can_stand_apart() -> None:
    lines = lines_of("[[r]]\nn = 1\n[t]\nx = [\n[1],\n]\n[[r]]\nn = 2\n[r.s]\nm = 3\n")
    assert (lines.line["r", 0, "n"], lines.line["t", "x", 0]) == (2, 5)
    assert (lines.line["r", 1], lines.line["r", 1, "n"], lines.line["r", 1, "s", "m"]) == (7, 8, 10)
