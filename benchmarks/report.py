"""What all benchmarks share: docs/reference/benchmarks.md, one marked section each, and the machine that they ran on.

Knows no subject. A benchmark writes its own section and leaves every other one as it is; the table of budgets
at the head of the page is made anew from what the sections say of theirs.
"""

import argparse
import json
import os
import platform
import re
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks.picture import Bar, Comparison, svg

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "benchmarks.md"
HEAD = """# Benchmarks

These are measured figures, not promises. The command that a section names writes it, on the machine that it names.
`make bench` runs all of them.
"""
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or each command that is measured would compile itself anew
PICTURE = "benchmarks.svg"
_COMPARISONS = re.compile(r"<!-- comparisons (\[.*?\]) -->\n")
_BUDGETS = re.compile(r"<!-- budgets (\[.*?\]) -->\n")


@dataclass(frozen=True, slots=True)
class Budget:
    """What one thing may cost, and what it does.

    Attributes:
        what: the thing.
        budget: what it may cost, in words.
        measured: what it costs, in words.
        met: whether that is within the budget.
    """

    what: str
    budget: str
    measured: str
    met: bool


def parser(description: str | None) -> argparse.ArgumentParser:
    """The options that every benchmark has: `smoke`, and the `page` to write into."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument(
        "--smoke", action="store_true", help="tiny sizes: shows that it runs, and measures nothing"
    )
    made.add_argument("--page", type=Path, default=PAGE, help="where the section is written")
    return made


def write_section(
    name: str,
    text: str,
    budgets: Sequence[Budget] = (),
    page: Path = PAGE,
    comparisons: Sequence[Comparison] = (),
) -> None:
    """Put `text` (Markdown, with its heading) into the section `name`; at the end if there is none yet.

    Args:
        comparisons: for the picture of the page, which is beside it.
    """
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    whole = page.read_text(encoding="utf-8") if page.exists() else HEAD
    kept = f"<!-- budgets {json.dumps([asdict(budget) for budget in budgets])} -->\n" if budgets else ""
    if comparisons:
        kept += f"<!-- comparisons {json.dumps([asdict(one) for one in comparisons])} -->\n"
    section = f"{begin}\n{kept}{text.strip()}\n{end}\n"
    there = re.compile(rf"{re.escape(begin)}\n.*?{re.escape(end)}\n", re.DOTALL)
    known = there.search(whole)
    whole = there.sub(lambda _: section, whole) if known else f"{whole.rstrip()}\n\n{section}"
    sections = whole[whole.index("<!-- begin ") :]
    page.write_text(f"{_head(sections)}\n{sections}", encoding="utf-8")
    found = [entry for text in _COMPARISONS.findall(sections) for entry in json.loads(text)]
    if found:
        all_comparisons = [
            Comparison(entry["what"], tuple(Bar(**bar) for bar in entry["bars"])) for entry in found
        ]
        page.with_name(PICTURE).write_text(svg(all_comparisons), encoding="utf-8")


def _head(sections: str) -> str:
    """The title, the picture, and a row for every budget of every section."""
    head = f"{HEAD}\n![Seconds of ours, of other tools, and what cannot be avoided]({PICTURE})\n"
    head = head if _COMPARISONS.search(sections) else HEAD
    budgets = [Budget(**entry) for found in _BUDGETS.findall(sections) for entry in json.loads(found)]
    if not budgets:
        return head
    twice = [name for name, count in Counter(budget.what for budget in budgets).items() if count > 1]
    if twice:
        raise ValueError(f"more than one budget for {twice[0]}")
    rows = [(b.what, b.budget, b.measured, "met" if b.met else "**missed**") for b in budgets]
    return f"{head}\n{table(('', 'budget', 'measured', ''), rows)}\n"


def machine() -> str:
    """Cores, memory, system and Python; no name that tells whose machine it is."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = f"{platform.system()} {platform.machine()}"
    return f"{cores} cores, {memory:.0f} GiB of memory, {system}, Python {platform.python_version()}"


def side_by_side(runs: int, **ways: Callable[[], object]) -> dict[str, float]:
    """The median of the seconds that each way took; they take turns, so that a busy moment hits them all."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - began)
    return {name: median(taken) for name, taken in seconds.items()}


@dataclass(frozen=True, slots=True)
class Taken:
    """What one way took: medians of the seconds on the clock, and of the seconds of processors."""

    seconds: float
    computed: float


def both_times(runs: int, **ways: Callable[[], object]) -> dict[str, Taken]:
    """As `side_by_side`, with the processor time of this process and of the children that it waited for."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, way in ways.items():
            began, computed = time.perf_counter(), computed_so_far()
            way()
            taken[name].append((time.perf_counter() - began, computed_so_far() - computed))
    return {name: Taken(*map(median, zip(*pairs, strict=True))) for name, pairs in taken.items()}


def computed_so_far() -> float:
    """Seconds of processors that this process and its children used."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(each.ru_utime + each.ru_stime for each in used)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first hold figures."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def size(count: int) -> str:
    """Bytes as people read them, in powers of 1000."""
    amount = float(count)
    for unit in ("B", "kB", "MB"):
        if amount < 1000:
            return f"{amount:.3g} {unit}"
        amount /= 1000
    return f"{amount:.2f} GB"
