"""The pages about reconciler.toml: each example is valid, and each documented key has an effect."""

import re
from pathlib import Path

import pytest

from reconciler.workspace.reader import read
from tests.test_readme import DOCUMENTS, ROOT, Text

REFERENCE = ROOT / "docs" / "reference" / "workspace.md"
EXAMPLES = [
    pytest.param(block, id=f"{page.stem}-{number}")
    for page in DOCUMENTS
    for number, block in enumerate(re.findall(r"^```toml\n(.*?)^```$", page.read_text(), re.M | re.S))
    if re.match(r"\[(workspace|environments|defaults|groups)\b", block)
]


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_a_valid_file(example: str) -> None:
    workspace, problems = read(example, Path("/repo/reconciler.toml"))
    assert workspace is not None and problems == ()


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 2


@pytest.mark.parametrize(
    ("section", "text"),
    [
        ("[workspace]", "[workspace]\nx = 1"),
        ("[environments.NAME]", '[environments.PROD]\norganization = "o"\nx = 1'),
    ],
)
def test_the_tables_have_the_keys_of_the_code(section: str, text: str) -> None:
    _, (problem,) = read(text, Path("/repo/reconciler.toml"))
    known = set(re.findall(r"\w+", problem.detail.partition(" has ")[2].partition(".")[0]))
    part = Text(REFERENCE).content.partition(f"## {section}\n")[2].partition("\n## ")[0]
    documented = set(re.findall(r"^\| `(\w+)` \|", part, re.M))
    assert documented and documented == known
