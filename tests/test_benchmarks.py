"""The benchmarks run, and write their sections; what they measure is of no interest here."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.picture import Bar, Comparison
from benchmarks.report import Budget, write_section
from benchmarks.runs import use

ROOT = Path(__file__).parents[1]
SVG = "{http://www.w3.org/2000/svg}"
SCRIPTS = sorted(path.name for path in (ROOT / "scripts").glob("bench-*"))


def test_make_bench_runs_them_all() -> None:
    makefile = (ROOT / "Makefile").read_text()
    listed = next(line for line in makefile.splitlines() if line.startswith("bench: "))
    assert sorted(listed.split()[1:]) == SCRIPTS


@pytest.mark.docker
@pytest.mark.official
@pytest.mark.parametrize("script", SCRIPTS)
def test_a_benchmark_writes_its_section_and_leaves_the_others(script: str, tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    write_section("another", "## Another\n\nAs it was.", page=page)

    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / script), "--smoke", "--page", str(page)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    written = page.read_text()
    assert "As it was." in written
    assert written.count("<!-- begin ") == written.count("<!-- end ") == 2
    assert f"scripts/{script}`" in written or f"make {script}`" in written
    for head in heads_of_commands(written.partition("<!-- begin ")[2]):
        assert "memory" in head, "processor time and memory are beside the time of each command"
        assert {"processor time", "ours computes"} & {*head}


def heads_of_commands(page: str) -> Iterator[list[str]]:
    """The heads of the tables whose rows are commands."""
    for head, row in re.findall(r"^(\| .*)\n\| --- .*\n(\| .*)", page, re.MULTILINE):
        if row.startswith("| `"):
            yield [cell.strip() for cell in head.strip("|").split("|")]


def test_the_budgets_of_all_sections_are_at_the_head(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    write_section("one", "## One", [Budget("a", "2 s", "1 s", met=True)], page)
    write_section("two", "## Two", [Budget("b", "2 s", "3 s", met=False)], page)
    write_section("one", "## One again", [Budget("a", "2 s", "1.5 s", met=True)], page)

    head, _, sections = page.read_text().partition("<!-- begin ")

    assert [line for line in head.splitlines() if line.startswith(("| a", "| b"))] == [
        "| a | 2 s | 1.5 s | met |",
        "| b | 2 s | 3 s | **missed** |",
    ]
    assert "## One again" in sections
    assert "## One\n" not in sections


def test_a_thing_has_one_budget_on_the_page(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    write_section("one", "## One", [Budget("a", "2 s", "1 s", met=True)], page)
    before = page.read_text()

    with pytest.raises(ValueError, match="more than one budget for a"):
        write_section("two", "## Two", [Budget("a", "3 s", "1 s", met=True)], page)

    assert page.read_text() == before


@pytest.mark.parametrize("megabytes", [0, 200])
def test_the_memory_of_a_command_is_its_own(megabytes: int, tmp_path: Path) -> None:
    """Linux counts what the process that starts a command has in memory as the command's, too."""
    ours = bytearray(300_000_000)

    used = use([sys.executable, "-c", f"bytearray({megabytes} * 1_000_000)"], tmp_path, os.environ)

    assert len(ours) > used.memory
    assert used.memory // 1_000_000 in range(megabytes, megabytes + 50)


def test_the_processor_time_of_a_command_includes_what_it_leaves_behind(tmp_path: Path) -> None:
    busy = "import time; began = time.process_time()\nwhile time.process_time() < began + 0.5: pass"
    leaves = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {busy!r}])"

    assert use([sys.executable, "-c", leaves], tmp_path, os.environ).computed > 0.5


def test_a_command_that_fails_ends_the_benchmark_with_its_output(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"failed:\nno such thing"):
        use([sys.executable, "-c", "import sys; sys.exit('no such thing')"], tmp_path, os.environ)


def test_the_page_opens_with_a_picture_of_all_comparisons(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    bars = (Bar("ours & <fast>", 0.5, "ours"), Bar("theirs", 2.0, "peer"), Bar("waiting", 0.25, "bound"))
    write_section("one", "## One", page=page, comparisons=[Comparison("Do one thing", bars)])
    write_section("two", "## Two", page=page, comparisons=[Comparison("Do another", bars[:2])])

    text = page.read_text()
    assert text.index("](benchmarks.svg)") < text.index("## One")
    drawn = ElementTree.fromstring((tmp_path / "benchmarks.svg").read_text())
    texts = [element.text for element in drawn.iter(f"{SVG}text")]
    assert [text for text in texts if text in ("Do one thing", "Do another")] == [
        "Do one thing",
        "Do another",
    ]
    assert "ours & <fast>" in texts
    widths = [float(element.attrib["width"]) for element in drawn.iter(f"{SVG}rect")][3:6]  # after the legend
    assert [round(width / widths[1], 2) for width in widths] == [0.25, 1, 0.12]
