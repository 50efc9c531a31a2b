"""Every key of a config.toml has its line, and every value its bytes, however the file is written."""

import tomllib

import pytest
from hypothesis import given

from reconciler.pipeline.lines import lines_of
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
    lines = lines_of(text)
    headers = {path for path in lines.room if path and path not in lines.span}
    for path in headers:
        written = text.split("\n")[lines.line[path] - 1]
        dotted = any(key[: len(path)] == path and lines.line[key] == lines.line[path] for key in lines.span)
        assert written.lstrip(" \t").startswith("[") or dotted
