"""The page on adding a kind is true: its file and its line pass the tests of every kind, in a copy of all."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from providers.config_keys import Holds
from reconciler.pipeline.keys import READERS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "adding-a-kind.md"
COPIED = ("reconciler", "providers", "state", "tests", "examples")


FIELDS = {
    Holds.TEXT: ("rules.text", "TEXT"),
    Holds.COUNT: ("rules.integer", "BodyKey(int)"),
    Holds.FLAG: ("create_default=True", "BodyKey(bool)"),
    Holds.TEXTS: ("rules.texts, unordered=True", "TEXTS"),
    Holds.TABLE: ("rules.text_table, keyed=True", "TABLE"),
    Holds.VARIABLES: ("rules.text_table, keyed=True", "TABLE"),
    Holds.FRAMEWORK: ("rules.enum_name", "FRAMEWORK"),
    Holds.INFERENCE_TYPE: ("rules.enum_name", "INFERENCE_TYPE"),
}
"""For each type of value in config.toml, the rule and the body key of a field."""
CHOICE = 'BodyKey(required=True, one_of=("TEAM", "COMPANY"))'


def with_every_type(file: str) -> str:
    """The same kind with a field of every type of value, and two that every object has.

    One of these is a choice that cannot be changed in place.
    """
    fields = {f"a_{holds.name.lower()}": (holds, *facts) for holds, facts in FIELDS.items()}
    keys = "".join(f'"{field}": Key("{field}", Holds.{one[0].name}), ' for field, one in fields.items())
    bodies = "".join(f'"{field}": {one[2]}, ' for field, one in fields.items())
    added = "".join(f'"{field}": FieldRule({one[1]}), ' for field, one in fields.items())
    for old, new in (
        (
            'RULES = {"name": rules.NAME, ',
            'RULES = {"name": rules.NAME, "scope": FieldRule(immutable=True), "place": FieldRule(), ' + added,
        ),
        (
            '{"description": Key("description")}',
            f'{{"scope": Key("scope"), "place": Key("place"), {keys}"description": Key("description")}}',
        ),
        ("import NAME,", "import FRAMEWORK, INFERENCE_TYPE, NAME,"),
        ("TEXT, Collection", "TABLE, TEXT, TEXTS, BodyKey, Collection"),
        ("import ConfigTable, Key", "import ConfigTable, Holds, Key"),
        ('create={"name": NAME, ', f'create={{"name": NAME, "scope": {CHOICE}, "place": NAME, {bodies}'),
        ('change={"name": RENAME, ', f'change={{"name": RENAME, "place": RENAME, {bodies}'),
    ):
        assert file.count(old) == 1, old
        file = file.replace(old, new)
    return formatted(file)


def formatted(file: str) -> str:
    commands = (["check", "-q", "--select", "I", "--fix"], ["format", "-q"])
    for command in commands:
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", "kind.py", "-"],
            cwd=ROOT,
            input=file,
            capture_output=True,
            text=True,
            check=True,
        )
        file = done.stdout
    return file


def as_written(file: str) -> str:
    return file


def test_the_fields_have_every_type_that_a_row_can_hold() -> None:
    assert set(FIELDS) == set(READERS)


@pytest.mark.parametrize("variant", [as_written, with_every_type])
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
