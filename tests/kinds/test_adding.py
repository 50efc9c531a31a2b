"""The page on adding a kind is true: its file and its line pass the tests of every kind, in a copy of all."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "adding-a-kind.md"
COPIED = ("reconciler", "providers", "state", "tests", "examples")


def with_a_choice(file: str) -> str:
    """The same kind with one more field: one of two texts, which cannot be changed in place."""
    for old, changed in (
        (
            'RULES = {"name": rules.NAME, ',
            'RULES = {\n    "name": rules.NAME,\n    "scope": FieldRule(immutable=True),\n    ',
        ),
        ("effect=Effect.DESCRIPTION)}", "effect=Effect.DESCRIPTION),\n}"),
        (
            '{"description": Key("description")})',
            '{"description": Key("description"), "scope": Key("scope")})',
        ),
        ("TEXT, Collection", "TEXT, BodyKey, Collection"),
        ('create={"name": NAME, ', 'create={"name": NAME, "scope": BodyKey(one_of=("TEAM", "COMPANY")), '),
    ):
        assert file.count(old) == 1, old
        file = file.replace(old, changed)
    return file


def as_written(file: str) -> str:
    return file


@pytest.mark.parametrize("variant", [as_written, with_a_choice])
def test_the_page_leads_from_nothing_to_a_kind_that_passes_every_test(
    variant: Callable[[str], str], tmp_path: Path
) -> None:
    file, line = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    file = variant(file)
    for folder in COPIED:
        ignored = shutil.ignore_patterns("__pycache__", "*.story")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    folder = tmp_path / "providers" / "picsellia" / "kinds"
    (folder / "project.py").write_text(file)
    table = folder / "__init__.py"
    text = table.read_text()
    imported = "from providers.picsellia.kinds.processing import ProcessingKind\n"
    last = '    "model-version": ModelVersionKind,\n'
    assert imported in text and last in text
    text = text.replace(imported, f"{imported}from providers.picsellia.kinds.project import ProjectKind\n")
    table.write_text(text.replace(last, last + line))

    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-rA",
            "tests/kinds",
            "-k",
            "project",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    passed = set(re.findall(r"^PASSED tests/kinds/test_(\w+)\.py::", done.stdout, re.M))
    assert {"conformance", "rows"} <= passed, done.stdout

    for check in (["ruff", "check", "providers"], ["ruff", "format", "--check", "providers"]):
        held = subprocess.run(
            [sys.executable, "-m", *check], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert held.returncode == 0, held.stdout + held.stderr
    contracts = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert contracts.returncode == 0, contracts.stdout
