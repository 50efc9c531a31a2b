"""Results look good where they are shown: with print, with Rich, and as a part of a page of a notebook."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from providers.sandbox import Sandbox
from reconciler import api
from reconciler.api.displays import Displayed
from tests.conftest import Cli, copy_example
from tests.reports.conftest import everything
from tests.reports.runs import every_result, refused
from tests.services import _unavailable

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ANSI = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(scope="module")
def chromium(chromium_program: str) -> Iterator["Browser"]:
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _unavailable("no playwright; `make setup` installs it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def results(cli: Cli, sandbox: Sandbox) -> dict[str, Displayed]:
    """One of each kind of result."""
    copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    workspace = api.Workspace.open()
    pipelines, environment = workspace.select(all=True), workspace.environment()
    plans = pipelines.plan(environment)
    return {
        "plan": plans["dataset_cleanup"],
        "plans": plans,
        "a refused plan": api.Plan.of(refused("one")),
        "report": plans.apply(),
        "a report with every result": api.RunReport.of(every_result()),
        "drift": pipelines.drift(environment),
        "drift of every kind": api.DriftReport.of(everything()),
        "status": pipelines.status([environment]),
    }


def test_print_shows_what_the_command_prints(cli: Cli, results: dict[str, Displayed]) -> None:
    printed = cli("plan", "dataset_cleanup")
    workspace = api.Workspace.open()
    assert f"{workspace.select('dataset_cleanup').plan(workspace.environment())}\n".startswith(printed.out)
    assert f"{results['drift']}\n".startswith(cli("drift", "--all").out)
    assert f"{results['status']}\n".startswith(cli("status", "--all").out)


def test_each_way_of_showing_a_result(results: dict[str, Displayed]) -> None:
    for kind, result in results.items():
        text = str(result)
        assert text.strip(), kind
        assert not ANSI.search(text), kind
        assert re.fullmatch(r"<\w+ [^\n]{4,120}>", repr(result)), kind

        rich = Console(file=StringIO(), width=4000, force_terminal=True, _environ={})
        rich.print(result)
        assert isinstance(rich.file, StringIO)
        shown = rich.file.getvalue()
        assert ANSI.search(shown), kind
        assert ANSI.sub("", shown).split() == text.split(), kind

        fragment = result._repr_html_()
        assert not re.search(r"<(html|body|head|script|link|iframe|meta)\b", fragment), kind
        assert "://" not in re.sub(r'href="[^"]*"|<code>.*?</code>|<pre[^>]*>.*?</pre>', "", _style(fragment))
        _Balanced().feed(fragment)
        assert result.to_html().startswith("<!doctype html>"), kind


def _style(fragment: str) -> str:
    return re.findall(r"<style>(.*?)</style>", fragment, re.S)[0]


class _Balanced(HTMLParser):
    """Fails unless each element that is opened is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("br", "input", "path", "rect", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("path", "rect"):
            assert self.open.pop() == tag


AROUND = """<!doctype html><style>
body { background: rgb(255, 0, 0); font-size: 9px } h1 { color: rgb(0, 0, 255) }
</style>
<h1 class="state">around</h1><table class="counts"><tr><td>cell</td></tr></table>"""
LOOK = """() => {
  const style = (css) => {
    const of = getComputedStyle(document.querySelector(css));
    return [of.backgroundColor, of.color, of.fontSize, of.display, of.margin, of.borderTopWidth, of.padding];
  };
  return ["body", "body > h1", "body > table", "body > table td"].map(style);
}"""


def test_a_part_of_a_page_brings_its_style_and_leaves_the_rest_alone(
    results: dict[str, Displayed], chromium: "Browser"
) -> None:
    parts = "".join(result._repr_html_() for result in results.values())
    page = chromium.new_page(viewport={"width": 1000, "height": 800}, java_script_enabled=True)
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("request", lambda request: problems.append(request.url))
    page.set_content(AROUND)
    alone = page.evaluate(LOOK)
    page.set_content(AROUND + parts)

    assert page.evaluate(LOOK) == alone
    assert problems == []
    part = page.locator(".reconciler-view").first
    assert part.evaluate("e => getComputedStyle(e).backgroundColor") == "rgb(244, 245, 247)"
    assert part.locator("h1").first.evaluate("e => getComputedStyle(e).fontSize") == "28px"
    assert part.locator(".badge").first.evaluate("e => getComputedStyle(e).borderRadius") == "999px"
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
