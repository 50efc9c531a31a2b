"""The benchmarks run, and write their sections; what they measure is of no interest here."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.report import Budget, write_section

ROOT = Path(__file__).parents[1]
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
