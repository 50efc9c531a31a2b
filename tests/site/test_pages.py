"""The pages of a dashboard in a browser: on a phone and a desk, light and dark, by keyboard, axe's rules."""

import functools
import json
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from reconciler.views.site.documents import STATES
from reconciler.views.site.site import NAVIGATION
from tests.site import made
from tests.site.conftest import Open

PIPELINE = "pipelines/cells-cleanup"
PAGES = (*NAVIGATION, PIPELINE)
WIDTHS = (390, 1280)
RUN = {"preload": False, "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@pytest.fixture
def served(site: Path) -> Iterator[str]:
    """The address of the dashboard on a web server, below a path as on GitHub Pages."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    (site.parent / "team").symlink_to(site)
    with ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(site.parent))
    ) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/team"
        server.shutdown()
        thread.join()


def test_every_page_fits_and_passes_axe_on_a_phone_and_a_desk_light_and_dark(
    site: Path, opened: Open, axe: str
) -> None:
    for name in PAGES:
        for width in WIDTHS:
            for dark in (False, True):
                seen = opened((site / f"{name}.html").as_uri(), width=width, dark=dark)
                page = seen.page
                for details in page.locator("details").all():
                    details.evaluate("(element) => { element.open = true }")
                where = f"{name} at {width}, {'dark' if dark else 'light'}"
                assert page.evaluate("document.documentElement.scrollWidth") <= width, where
                bright = page.evaluate(
                    "parseInt(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])"
                )
                assert bright < 60 if dark else bright > 200
                found = page.evaluate(f"{axe}; axe.run({json.dumps(RUN)})")
                broken = [
                    (one["id"], [node["html"][:200] for node in one["nodes"][:3]])
                    for one in found["violations"]
                ]
                assert broken == [], where
                assert all(url.startswith("file:") for url in seen.requests), seen.requests


def test_every_link_leads_to_a_page(site: Path, opened: Open) -> None:
    linked = set()
    for file in site.rglob("*.html"):
        page = opened(file.as_uri()).page
        while (more := page.get_by_role("button", name="Show").first).is_visible():
            more.click()
        for link in page.locator("a[href]").all():
            href = link.get_attribute("href") or ""
            if href.startswith(("http", "#")):
                continue
            target = (file.parent / unquote(urlsplit(href).path)).resolve()
            assert target.is_file(), f"{file.name} links to {href}"
            linked.add(target)
        page.context.close()
    pages = {file.resolve() for file in site.rglob("*.html")}
    assert linked == pages


def test_a_web_server_needs_nothing_but_the_files(served: str, opened: Open) -> None:
    seen = opened(f"{served}/{PIPELINE}.html")
    seen.page.get_by_role("link", name="Overview").first.click()
    seen.page.get_by_role("heading", name="Needs attention").wait_for()
    assert {urlsplit(url).netloc for url in seen.requests} == {urlsplit(served).netloc}


def rows(page: object) -> int:
    return page.locator("#pipelines tbody tr").count()  # type: ignore[attr-defined,no-any-return]


def test_filters_narrow_the_table_and_stay_in_the_address(site: Path, opened: Open) -> None:
    page = opened((site / "index.html").as_uri()).page
    document = data(site / "data" / "index.js")
    total = len(document["pipelines"])
    assert rows(page) == total == 24

    page.get_by_role("searchbox").fill("CELLS cleanup")
    assert rows(page) == 1
    assert page.locator("#pipelines output").inner_text() == f"1 of {total} pipelines"

    page.get_by_role("searchbox").fill("")
    drift = page.get_by_role("button", name="drift", exact=False).first
    drift.click()
    assert drift.get_attribute("aria-pressed") == "true"
    drifted = {
        line["name"] for line in document["pipelines"] if any("drift" in c["states"] for c in line["cells"])
    }
    assert rows(page) == len(drifted)
    assert 0 < len(drifted) < total

    page.get_by_label("All environments").select_option("PROD")
    in_prod = {line["name"] for line in document["pipelines"] if "drift" in line["cells"][2]["states"]}
    assert rows(page) == len(in_prod) < len(drifted)

    again = opened(page.url).page
    assert rows(again) == len(in_prod)
    again.get_by_role("searchbox").fill("no such pipeline")
    assert again.get_by_text("Nothing fits these filters.").is_visible()


@pytest.mark.parametrize("name", ["index", "drift"])
def test_each_word_for_a_state_is_explained(name: str, site: Path, opened: Open) -> None:
    page = opened((site / f"{name}.html").as_uri()).page
    page.locator("details.words summary").click()
    words = page.locator("details.words dt").all_inner_texts()
    assert {*STATES, "acknowledged", "not managed"} == {*words}
    assert all(page.locator("details.words dd").all_inner_texts())


def test_the_runs_are_filtered_by_user_command_and_outcome(site: Path, opened: Open) -> None:
    page = opened((site / "runs.html").as_uri()).page
    page.get_by_label("All commands").select_option("promote")
    page.get_by_label("All outcomes").select_option("failed")
    page.get_by_label("Everybody").select_option("github-actions")
    cells = page.locator("tbody[role=rowgroup] tr").all_inner_texts()
    assert cells
    assert all("promote" in text and "failed" in text and "github-actions" in text for text in cells)


def test_the_keyboard_reaches_everything(site: Path, opened: Open) -> None:
    page = opened((site / "index.html").as_uri()).page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    tile = page.evaluate("document.activeElement.className")
    assert tile.startswith("tile")
    page.keyboard.press("Space")
    assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.type") == "search":
            break
    page.keyboard.type("welds")
    assert 0 < rows(page) < 24


def test_without_scripts_a_page_has_its_headline_and_says_what_is_missing(site: Path) -> None:
    page = (site / "index.html").read_text()
    assert "<h1>" in page
    assert "need JavaScript" in page


def test_a_dashboard_of_nothing_has_pages_that_say_so(
    home: Path, cli: object, tmp_path: Path, opened: Open
) -> None:
    ended = cli("dashboard", "--out", str(tmp_path / "site"))  # type: ignore[operator]
    assert ended.code == 0, ended.err
    for name in NAVIGATION:
        page = opened((tmp_path / "site" / f"{name}.html").as_uri()).page
        assert page.locator("h1").is_visible()
    first = opened((tmp_path / "site" / "index.html").as_uri()).page
    assert first.get_by_role("heading", name="Nothing is applied yet").is_visible()
    tile = first.get_by_title("Not looked for: no report of drift was given.").first
    assert tile.inner_text().split() == ["–", "drift"]


def test_no_page_has_the_value_of_a_parameter(organization: made.Made, site: Path) -> None:
    reports = "".join(file.read_text() for file in organization.reports.glob("*.json"))
    assert made.SECRET_LIKE in reports
    for file in site.rglob("*"):
        if file.is_file():
            assert made.SECRET_LIKE not in file.read_text()


def data(file: Path) -> dict[str, list[dict[str, object]]]:
    """The document of a page."""
    text = file.read_text().removeprefix("var DATA = ").removesuffix(";\n")
    return json.loads(text)  # type: ignore[no-any-return]
