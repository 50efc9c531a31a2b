"""What all benchmarks share: docs/benchmarks.md, one marked section each, and the machine that they ran on.

Measures nothing. A benchmark writes its own section and leaves every other one as it is.
"""

import os
import platform
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
HEAD = """# Benchmarks

Measured figures, not promises: each section is written by the command that it names, on the machine that it names.
"""


def write_section(name: str, text: str, page: Path = PAGE) -> None:
    """Put `text` (Markdown, with its heading) into the section `name`; at the end if there is none yet."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    whole = page.read_text(encoding="utf-8") if page.exists() else HEAD
    section = f"{begin}\n{text.strip()}\n{end}\n"
    there = re.compile(rf"{re.escape(begin)}\n.*?{re.escape(end)}\n", re.DOTALL)
    if there.search(whole):
        whole = there.sub(lambda _: section, whole)
    else:
        whole = f"{whole.rstrip()}\n\n{section}"
    page.write_text(whole, encoding="utf-8")


def machine() -> str:
    """Cores, memory, system and Python; no name that tells whose machine it is."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = f"{platform.system()} {platform.machine()}"
    return f"{cores} cores, {memory:.0f} GiB of memory, {system}, Python {platform.python_version()}"


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
