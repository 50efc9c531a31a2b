"""Texts for users and contributors are in plain English and use the terms of the glossary."""

import re
from pathlib import Path

import pytest

from tests.test_readme import DOCUMENTS, ROOT

TEXTS = [*DOCUMENTS, *(ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"))]
GONE = {
    r"far ends?": "provider, platform, registry or server",
    r"(?:some|any|no)body(?:'s)?": "the passive, or the component",
    r"whoever|whomever": "the component",
    r"wants? (?:a|an|another|no|--)": "needs",
    r"(?:is|are|was|were|be|been) told": "is reported",
    r"(?:is|are|was|were|be|been) asked (?:for|again)": "is read, is checked",
    r"(?:a|an|any|each|its|no|of|older|that|the|their|this|whole) records?": "state, state version",
    r"anew": "again",
    r"for ever": "permanently",
    r"gone back to": "restored",
    r"so (?:long|many|much) as": "as long as, up to",
    r"(?:in|of|for) what": "a noun",
}
"""Words that the project does not use, and their replacements."""


def prose(text: str) -> str:
    """The text without blocks of code and without `code`, which quote the program."""
    text = re.sub(r"^```.*?^```$|^    [^\n]*$|<!--.*?-->", "", text, flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", "``", text)


def faults(text: str) -> list[str]:
    """Each word that is gone, with its surroundings and its replacement."""
    text = re.sub(r"\s+", " ", prose(text))
    return [
        f"…{text[max(0, found.start() - 40) : found.end() + 20]}…  write: {instead}"
        for words, instead in GONE.items()
        for found in re.finditer(rf"\b{words}(?!\w)", text, re.I)
    ]


@pytest.mark.parametrize("document", TEXTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_a_page_is_in_plain_words(document: Path) -> None:
    assert faults(document.read_text()) == []


def test_faults_are_found_in_prose_and_not_in_quotes() -> None:
    assert len(faults("Somebody loses the\nrecord.")) == 2
    assert faults("It prints `the record`:\n\n```text\nthe record\n```\n") == []
    assert faults("State is recorded. It records nobody-else's.") != []
    assert faults("The last recorded value.") == []
    assert len(faults("    the record\n\nthe record\n")) == 1
