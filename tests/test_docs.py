"""The documentation is whole: the site builds with no broken link, and every page is on a shelf."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from reconciler.cli import COMMANDS
from tests.test_readme import PAGES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
GENERATED = "reference/commands.md"
SHELVES = ("tutorial", "how-to", "reference", "explanation")
OUTSIDE = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]


def test_the_site_builds_without_a_broken_link(tmp_path: Path) -> None:
    pytest.importorskip("zensical", reason="zensical is not installed; `make setup` installs it")
    shutil.copytree(DOCS, tmp_path / "docs")
    shutil.copy(ROOT / "zensical.toml", tmp_path)
    page = tmp_path / "docs" / GENERATED
    subprocess.run([sys.executable, ROOT / "scripts" / "command-reference", page], check=True, timeout=60)

    built = subprocess.run(
        [sys.executable, "-m", "zensical", "build", "--strict"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert built.returncode == 0, built.stdout + built.stderr
    found = json.dumps(json.loads((tmp_path / "site" / "search.json").read_text()))
    for command in COMMANDS:
        assert f"reconciler {command}" in found, f"a search for {command} finds nothing"


def test_every_page_is_on_a_shelf_and_in_the_navigation() -> None:
    navigation = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"]
    listed = re.findall(r"[\w/-]+\.md", json.dumps(navigation))

    assert sorted(listed) == sorted({*(str(page.relative_to(DOCS)) for page in PAGES), GENERATED})
    assert {page.partition("/")[0] for page in listed} == {*SHELVES, "index.md"}


@pytest.mark.parametrize("document", OUTSIDE, ids=lambda document: document.stem)
def test_links_from_outside_the_site_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text())
    assert links or document.name == "SECURITY.md"
    for link in links:
        assert link.startswith("https://") or (document.parent / link).exists(), f"{document.name}: {link}"
