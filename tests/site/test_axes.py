"""The axes of time in a dashboard: no label twice, none after the latest value, for any number of runs."""

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.site.conftest import Open

DAY = 86_400
NOW = 1_790_000_000 - 1_790_000_000 % DAY + 52_412  # 14:33:32
PATCH = """() => {
  window.texts = {};
  const draw = CanvasRenderingContext2D.prototype.fillText;
  CanvasRenderingContext2D.prototype.fillText = function (text, ...rest) {
    const title = this.canvas.closest('[role="img"]')?.getAttribute("aria-label").split(".")[0] || "detached";
    (window.texts[title] ||= []).push(text);
    return draw.call(this, text, ...rest);
  };
  dispatchEvent(new Event("resize"));
}"""
AGES = {
    "one": [0],
    "the same second": [0, 0],
    "seconds": [40, 31, 0],
    "an hour": [3600, 1800, 0],
    "one day": [30_000, 20_000, 0],
    "weeks": [20 * DAY, 3 * DAY, 0],
    "years": [1500 * DAY, 700 * DAY, 0],
}


def labels(site: Path, page: str, change: Any, opened: Open) -> dict[str, list[str]]:
    """The labels of the axes on a page after `change` of its document: title of a plot -> labels."""
    shown = changed(site, page, change, opened)
    shown.evaluate(PATCH)
    shown.wait_for_timeout(400)  # a page draws again when it has had one size for a moment
    found: dict[str, list[str]] = shown.evaluate("window.texts")
    for title, texts in found.items():
        assert {"Findings over time": "findings", "Runs on each day": "runs"}[title] in texts
    return {
        title: [text for text in texts if re.search(r"[:A-Z]|^\d{4}$", text)]
        for title, texts in found.items()
    }


def changed(site: Path, page: str, change: Any, opened: Open) -> Any:
    """A page after `change` of its document, in the browser."""
    file = site / "data" / f"{page}.js"
    document = json.loads(file.read_text().removeprefix("var DATA = ").removesuffix(";\n"))
    change(document)
    file.write_text(f"var DATA = {json.dumps(document)};\n")
    html = site / f"{page}.html"
    html.write_text(re.sub(r'data-made="\d+"', f'data-made="{NOW}"', html.read_text()))
    return opened(html.as_uri()).page


@pytest.mark.parametrize("ages", AGES.values(), ids=AGES)
def test_labels_of_time_differ_and_end_at_the_latest_value(ages: list[int], site: Path, opened: Open) -> None:
    at = [NOW - age for age in ages]
    days = sorted({one - one % DAY for one in at if NOW - one < 90 * DAY})

    def change(document: Any) -> None:
        document["drift"] = {
            "at": at,
            "stacks": [1] * len(at),
            "series": [{"name": "pending", "tone": "warn", "values": [1] * len(at)}],
        }
        document["activity"] = {
            "days": days,
            "series": [{"name": "applied", "tone": "good", "values": [2] * len(days)}],
        }

    found = labels(site, "index", change, opened)

    assert {"Findings over time", "Runs on each day"} <= {*found}
    for title, texts in found.items():
        assert texts, title
        assert all(one != other for one, other in pairwise(texts)), f"{title}: {texts}"
        assert "2027" not in texts, f"{title}: {texts}"
        if title == "Findings over time" and max(ages) < 50_000:
            assert max(texts) <= "14:33", f"{title}: {texts}"


def test_without_runs_and_reports_there_is_no_plot(site: Path, opened: Open) -> None:
    def change(document: Any) -> None:
        document["drift"] = {"at": [], "stacks": [], "series": []}
        document["activity"] = {"days": [], "series": []}

    assert labels(site, "index", change, opened) == {}


@pytest.mark.parametrize("ages", [[90, 60, 30], [90, 60, 0], [60]], ids=str)
def test_each_check_has_a_dot_and_nothing_else_has_one(ages: list[int], site: Path, opened: Open) -> None:
    """The line goes on until the dashboard was made, which was no check."""

    def change(document: Any) -> None:
        document["drift"] = {
            "at": [NOW - age for age in ages],
            "stacks": [1] * len(ages),
            "series": [{"name": "pending", "tone": "warn", "values": [1] * len(ages)}],
        }
        document["activity"] = {"days": [], "series": []}

    count = """() => {
      window.dots = 0;
      const arc = Path2D.prototype.arc;
      Path2D.prototype.arc = function (...of) { window.dots += 1; return arc.apply(this, of); };
    }"""
    page = changed(site, "index", change, opened)
    page.evaluate(count)
    page.evaluate("dispatchEvent(new Event('resize'))")
    page.wait_for_timeout(400)  # as in `labels`

    assert page.evaluate("window.dots") == len(ages)
