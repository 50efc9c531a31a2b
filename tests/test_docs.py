"""The documentation is whole: the site builds with no broken link, and every page is on a shelf."""

import email
import html
import json
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from reconciler.cli import COMMANDS
from state.migrations import VERSION
from tests.conftest import Cli, copy_example
from tests.test_readme import PAGES
from tests.test_shape import built

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PICTURES = DOCS / "pictures"
GENERATED = {"reference/commands.md": "command-reference", "reference/python-api.md": "python-reference"}
SHELVES = ("tutorial", "how-to", "reference", "explanation")
RELATIVE = re.compile(r"\]\((?!https?://|#)[^)]*\)")
OUTSIDE = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]


def test_the_site_builds_without_a_broken_link(tmp_path: Path) -> None:
    pytest.importorskip("zensical", reason="zensical is not installed; `make setup` installs it")
    shutil.copytree(DOCS, tmp_path / "docs")
    shutil.copy(ROOT / "zensical.toml", tmp_path)
    for page, script in GENERATED.items():
        command = [sys.executable, ROOT / "scripts" / script, tmp_path / "docs" / page]
        subprocess.run(command, check=True, timeout=60)

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

    assert sorted(listed) == sorted({*(str(page.relative_to(DOCS)) for page in PAGES), *GENERATED})
    assert {page.partition("/")[0] for page in listed} == {*SHELVES, "index.md"}


def test_the_page_about_state_has_its_present_format() -> None:
    page = (DOCS / "reference" / "state.md").read_text()
    assert re.findall(r"The format has a version, which is (\d+) today", page) == [str(VERSION)]


@pytest.mark.parametrize("document", OUTSIDE, ids=lambda document: document.stem)
def test_links_from_outside_the_site_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text())
    assert links or document.name == "SECURITY.md"
    for link in links:
        assert link.startswith("https://") or (document.parent / link).exists(), f"{document.name}: {link}"


@pytest.mark.parametrize("document", [*OUTSIDE, *PAGES], ids=lambda document: document.stem)
def test_paths_of_this_repository_exist(document: Path) -> None:
    text = re.sub(r"\bCreate `[^`]+`", "", document.read_text())  # the file that the reader writes
    for path in re.findall(r"`((?:reconciler|providers|state|tests|scripts|examples|docs)/[\w./*-]+)`", text):
        assert [*ROOT.glob(path.rstrip("/"))], f"{document.name}: {path}"


def test_the_readme_of_a_package_index_has_no_path_into_the_repository(tmp_path: Path) -> None:
    (wheel,) = built(tmp_path, "wheel", ROOT)
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = email.message_from_bytes(archive.read(name))
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert "## Try it" in metadata.get_payload()
    assert RELATIVE.findall(metadata.get_payload()) == []


def test_with_an_address_of_the_repository_every_link_leads_there() -> None:
    hook = runpy.run_path(str(ROOT / "scripts" / "readme_hook.py"))
    readme = (ROOT / "README.md").read_text()

    text = hook["for_an_index"](readme, "https://forge.example.com/team/reconciler")

    assert len(RELATIVE.findall(readme)) > 10
    assert RELATIVE.findall(text) == []
    assert "](https://forge.example.com/team/reconciler/blob/main/docs/how-to/ci.md)" in text
    assert "](https://forge.example.com/team/reconciler/raw/main/docs/pictures/plan.svg)" in text


def test_the_pictures_show_the_output_of_today(cli: Cli, sandbox: Sandbox) -> None:
    """If not, run `scripts/pictures`."""
    script = runpy.run_path(str(ROOT / "scripts" / "pictures"))
    for name in ("dataset_cleanup", "computed_inputs", "multi_training"):
        copy_example(name, cli.folder, sandbox.registry)
    assert cli("apply", "--all", "--yes").code == 0

    script["change"](cli.folder, sandbox)

    printed = script["settled"](cli("plan", "dataset_cleanup").out, sandbox)
    command, *shown = written(PICTURES / "plan.svg")
    assert command == "$reconcilerplandataset_cleanup"
    assert shown == [line for line in map(without_spaces, printed.splitlines()) if line]
    graph = cli("graph", "multi_training", "--format", "svg").out
    assert (PICTURES / "graph.svg").read_text() == script["settled"](graph, sandbox)

    for name in ("single_training", "yolov8_training"):
        copy_example(name, cli.folder, sandbox.registry)
    script["organize"](cli.folder)
    graph = cli("graph", "--all", "--format", "svg").out
    assert (PICTURES / "organization.svg").read_text() == script["settled"](graph, sandbox)


def test_the_transcript_of_a_deploy_is_that_of_today(tmux: str) -> None:
    """If not, run `scripts/record-deploy`."""
    script = runpy.run_path(str(ROOT / "scripts" / "record-deploy"))
    _, _, rest = script["PAGE"].read_text().partition("```text\n")
    assert settled(rest.partition("\n```\n")[0]) == settled(script["transcript"]())


def settled(transcript: str) -> str:
    """The transcript without what differs in each run: durations, keys, line breaks, order of inputs."""
    lines = (line for line in transcript.splitlines() if not line.startswith("+ created input"))
    return without_spaces(re.sub(r"\d+\.\d s$|v2:[0-9a-f]{16}", "", "\n".join(lines), flags=re.M))


def test_the_pictures_are_small() -> None:
    sizes = {picture.name: picture.stat().st_size for picture in PICTURES.iterdir()}
    assert sorted(sizes) == [
        "apply-all.svg",
        "dashboard.png",
        "drift.png",
        "graph.svg",
        "organization.svg",
        "plan.svg",
    ]
    assert max(sizes.values()) < 150_000


def without_spaces(text: str) -> str:
    return "".join(text.split())


def written(picture: Path) -> list[str]:
    """The lines of text in a picture of a terminal, which has no spaces between some words."""
    lines = dict[float, str]()
    for y, text in re.findall(
        r'<text[^>]* y="([\d.]+)" textLength=[^>]*>([^<]*)</text>', picture.read_text()
    ):
        lines[float(y)] = lines.get(float(y), "") + without_spaces(html.unescape(text))
    return [line for _, line in sorted(lines.items()) if line]
