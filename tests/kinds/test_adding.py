"""The page on adding a kind is true: its file and its line pass the tests of every kind, in a copy of all."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from providers.config_keys import Holds
from reconciler.pipeline.keys import READERS

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "adding-a-kind.md"
COPIED = ("reconciler", "providers", "state", "tests", "examples")


def types_of_values() -> list[list[list[str]]]:
    """The table of the page: for each type of value the code in the columns RULES, CONFIG and COLLECTION."""
    table = PAGE.read_text().partition("| value | in `RULES`")[2].partition("\n\n")[0]
    rows = [line.split("|")[2:5] for line in table.splitlines()[2:]]
    return [[re.findall(r"`(.*?)`", cell) for cell in row] for row in rows]


def with_every_type(file: str) -> str:
    """The same kind with a field of each type on the page, and a required choice that cannot be changed."""
    rules = ['"scope": FieldRule(immutable=True)']
    keys = ['"scope": Key("scope")']
    create = ['"scope": BodyKey(required=True, one_of=("TEAM", "COMPANY"))']
    change = []
    for number, ((rule,), (key,), (created, *changed)) in enumerate(types_of_values()):
        field = f'"field_{number}"'
        rules.append(f"{field}: {rule}")
        keys.append(f"{field}: " + key.replace('"field"', field))
        create.append(f"{field}: {created}")
        change.append(f"{field}: {changed[0] if changed else created}")
    edits = {
        'RULES = {"name": rules.NAME, ': rules,
        'CONFIG = ConfigTable("reconciler.projects", {': keys,
        'create={"name": NAME, ': create,
        'change={"name": RENAME, ': change,
    }
    names = ("FRAMEWORK", "INFERENCE_TYPE", "TABLE", "TEXTS", "BodyKey")
    edits |= {"from providers.collection import ": names, "from providers.config_keys import ": ("Holds",)}
    return edited(file, {old: f"{old}{', '.join(new)}, " for old, new in edits.items()})


def in_a_processing(file: str) -> str:
    """The same kind with a parent, as the page describes it, and each object for one stack only."""
    return edited(
        file,
        {
            'parent="organization"': 'parent="processing"',
            "/api/organization/{parent}": "/api/processing/{parent}",
            "(RULES, shared=True, ": '(RULES, parent="processing", exclusive=Exclusive.ID, ',
            "protocol import ": "protocol import Exclusive, ",
            "from providers.json_value": (
                "from providers.errors import PermanentError\nfrom providers.json_value"
            ),
            "        found = self._platform.find(self._collection, reference.name[0])": (
                "        parent = reference.parent\n"
                "        if parent is None:\n"
                "            return None\n"
                "        found = self._platform.find(self._collection(parent), reference.name[-1])"
            ),
            "find_id(self._collection,": "find_id(self._collection(parent),",
            "self._live(found)": "self._live(parent, found)",
            "self._live(self._platform.post(self._collection,": (
                "self._live(parent, self._platform.post(self._collection(parent),"
            ),
            "name[0]}": "name[-1]}",
            "self._live(self._platform.patch": "self._live(parent, self._platform.patch",
            "    @property\n    def _collection(self) -> str:": (
                "    def _collection(self, parent: LiveObject | None) -> str:\n"
                "        if parent is None:\n"
                '            raise PermanentError("its processing does not exist")'
            ),
            'self._platform.organization_path("projects")': 'path("processing", parent.id, "projects")',
            "def _live(self, answer: Answer)": "def _live(self, parent: LiveObject | None, answer: Answer)",
            "(name,),": "(*(parent.name if parent else ()), name),",
        },
    )


def edited(file: str, edits: Mapping[str, str]) -> str:
    """The file with each text, which it has once, replaced, in the format of ruff."""
    for old, new in edits.items():
        assert file.count(old) == 1, old
        file = file.replace(old, new)
    for command in (["check", "-q", "--select", "I", "--fix"], ["format", "-q"]):
        file = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", "kind.py", "-"],
            cwd=ROOT,
            input=file,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    return file


def as_written(file: str) -> str:
    return file


def test_the_page_has_every_type_that_a_row_can_hold() -> None:
    keys = " ".join(key for _, (key,), _ in types_of_values())
    assert {Holds.TEXT, *(Holds[name] for name in re.findall(r"Holds\.(\w+)", keys))} == set(READERS)


@pytest.mark.parametrize("variant", [as_written, with_every_type, in_a_processing])
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
