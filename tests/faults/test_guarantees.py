"""docs/reference/guarantees.md names a test for each promise; each exists and runs in `make test`."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROW = re.compile(
    r"^\| (?P<promise>.+) \| `(?P<file>tests/\S+\.py)::(?:\w+::)?(?P<test>\w+)` \|$", re.MULTILINE
)
PROMISES = ROW.findall((ROOT / "docs" / "reference" / "guarantees.md").read_text())


def test_the_page_is_read_whole() -> None:
    rows = [
        line
        for line in (ROOT / "docs" / "reference" / "guarantees.md").read_text().splitlines()
        if "::" in line
    ]
    assert [line for line in rows if not ROW.search(line)] == []
    assert len(rows) == len(PROMISES) > 20
    assert all(promise.endswith(".") for promise, _, _ in PROMISES)


@pytest.mark.parametrize(("file", "test"), sorted({(file, test) for _, file, test in PROMISES}))
def test_a_promise_is_held_by_a_test_that_exists(file: str, test: str) -> None:
    found = [
        node
        for node in ast.walk(ast.parse((ROOT / file).read_text()))
        if isinstance(node, ast.FunctionDef) and node.name == test
    ]
    assert len(found) == 1, f"{file} has no {test}"
    assert "mark.full" not in "".join(map(ast.unparse, found[0].decorator_list))
