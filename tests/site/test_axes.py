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
    file = site / "data" / f"{page}.js"
    document = json.loads(file.read_text().removeprefix("var DATA = ").removesuffix(";\n"))
    change(document)
    file.write_text(f"var DATA = {json.dumps(document)};\n")
    html = site / f"{page}.html"
    html.write_text(re.sub(r'data-made="\d+"', f'data-made="{NOW}"', html.read_text()))
    seen = opened(html.as_uri())
    seen.page.evaluate(PATCH)
    seen.page.wait_for_timeout(400)  # a page draws again when it has had one size for a moment
    assert seen.problems == []
    found: dict[str, list[str]] = seen.page.evaluate("window.texts")
    for title, texts in found.items():
        assert {"Findings over time": "findings", "Runs on each day": "runs"}[title] in texts
    return {
        title: [text for text in texts if re.search(r"[:A-Z]|^\d{4}$", text)]
        for title, texts in found.items()
    }


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
