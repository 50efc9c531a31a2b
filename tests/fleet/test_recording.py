"""The recording of `apply --all` in the documentation shows what the views print today."""

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

from msgspec.structs import replace
from rich.console import Console

from reconciler.core.exit_codes import CONFLICT, FAILED
from reconciler.core.runs import RunResult
from reconciler.views.terminal.console import console
from reconciler.views.terminal.fleet_plan import print_fleet_plan
from reconciler.views.terminal.recap import print_recap
from tests.fleet import runs

PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "apply-all.svg"
PLANS = [
    *(runs.plan(number, runs.processing(number, runs.field("default_cpu", 4, 8))) for number in range(39)),
    runs.plan_of(runs.CONFLICTING),
]


def without_spaces(text: str) -> str:
    return "".join(text.split())


def shown() -> str:
    return without_spaces("".join(ET.fromstring(PICTURE.read_text()).itertext()))


def first_line(start: str, show: Callable[[Console], object]) -> str:
    log = io.StringIO()
    show(console(log))
    return next(line for line in log.getvalue().splitlines() if line.startswith(start))


def results() -> Iterator[tuple[RunResult, int]]:
    yield RunResult.FAILED, FAILED
    yield RunResult.REFUSED, CONFLICT
    yield from [(RunResult.APPLIED, 0)] * 38


def test_it_shows_the_output_of_today() -> None:
    """If not, run `scripts/record-fleet`."""
    ended = [
        replace(runs.run_of(number), result=result, exit_code=code)
        for number, (result, code) in enumerate(results(), 1)
    ]
    report = replace(runs.report(), runs=tuple(ended))
    plan = first_line("Plan for", lambda log: print_fleet_plan(PLANS, {}, log, log))
    recap = first_line("Not finished", lambda log: print_recap(report, log, log))
    last = first_line("2 pipelines left", lambda log: print_recap(report, log, log))

    assert without_spaces(plan) in shown()
    assert without_spaces(recap.partition(".")[0]) in shown()
    assert without_spaces(last) in shown()


def test_it_needs_no_network_and_no_script() -> None:
    assert re.findall(r"""(?:href|src)=["'][^#]|url\(|@import|<script""", PICTURE.read_text()) == []
