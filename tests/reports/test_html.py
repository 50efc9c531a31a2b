"""The HTML pages in a browser: two widths, light and dark, with hostile names."""

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from providers.reasons import Refusal, WayOut
from reconciler.core.diagnostics import error
from reconciler.core.diff import Change, ChangeClass
from reconciler.core.plan import Action, Plan, Step
from reconciler.core.reasons import Way
from reconciler.core.values import Address
from reconciler.views.reports.document_parts import unstated
from reconciler.views.reports.html import drift_html, plan_html, run_html
from reconciler.views.reports.markdown_parts import code
from reconciler.views.reports.plan_markdown import plan_markdown
from tests.reports.conftest import NASTY, STACK, everything, finding, report, stack_report
from tests.reports.runs import every_result

WIDTHS = (400, 1280)
# Each page is in its own frame, as browser windows cannot be 400 pixels wide. All details are open.
LOOK = """<!doctype html><meta charset="utf-8">
<script>
const seen = [];
addEventListener("load", () => {
  for (const frame of document.querySelectorAll("iframe")) {
    const page = frame.contentDocument, all = (css) => [...page.querySelectorAll(css)];
    for (const details of all("details")) details.open = true;
    const search = page.querySelector("input[type=search]");
    const shown = () => all(".card[data-state]").filter((card) => !card.hidden).length;
    const cards = shown();
    const found = {
      width: frame.clientWidth,
      needs: page.documentElement.scrollWidth,
      wide: all("body *").filter((element) => !element.closest(".scroll, pre")
        && element.getBoundingClientRect().right > frame.clientWidth + 1)
        .map((element) => element.outerHTML.slice(0, 200)),
      title: page.querySelector("h1").textContent,
      counts: all(".counts li").map((item) => item.textContent),
      cards,
      copies: all("pre.command + button").length,
      commands: all("pre.command").length,
      nodes: all("svg.graph g").map((node) => node.getAttribute("class")),
      hacked: "hacked" in frame.contentWindow || all("img, script").length - 1,
      bright: parseInt(frame.contentWindow.getComputedStyle(page.body).backgroundColor.match(/\\d+/)[0]),
    };
    if (search) {
      search.value = "DEFAULT_CPU 64";
      search.dispatchEvent(new Event("input"));
      found.searched = shown();
      search.value = "";
      search.dispatchEvent(new Event("input"));
      page.querySelector("button[value=pending]")?.click();
      found.pending = shown();
      found.said = page.querySelector("output").textContent;
    }
    seen.push(found);
  }
  document.body.textContent = "SEEN" + JSON.stringify(seen) + "SEEN";
});
</script><body>"""


Look = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def look(browser: Callable[..., str], tmp_path: Path) -> Look:
    """The pages as a browser renders them, each at both widths."""

    def looked(*pages: str, dark: bool = False) -> list[dict[str, Any]]:
        frames = [
            f'<iframe style="border:0" width={width} height=900 srcdoc="{html.escape(page)}"></iframe>'
            for page in pages
            for width in WIDTHS
        ]
        file = tmp_path / "look.html"
        file.write_text(LOOK + "".join(frames))
        scheme = f"--blink-settings=preferredColorScheme={0 if dark else 1}"
        dom = browser(file, scheme, "--window-size=1700,1200")
        seen: list[dict[str, Any]] = json.loads(html.unescape(dom.split("SEEN")[-2]))
        return seen

    return looked


def plan() -> Plan:
    refused = Step(
        Address.of("input", "app", NASTY),
        Action.DELETE,
        unstated(NASTY),
        refusal=Refusal(
            unstated(NASTY),
            (
                WayOut(Way.ALLOW_REPLACE, "reconciler apply app"),
                WayOut(Way.UNSTATED, details={"text": NASTY}),
            ),
        ),
    )
    return Plan(STACK, "", 0, (refused,), (error(NASTY, NASTY),))


def test_the_pages_fit_show_the_counts_and_run_no_foreign_code(look: Look) -> None:
    long = finding(path="x" * 300, live="y" * 3000, desired={"z" * 300: ["w" * 300]})
    seen = look(drift_html(everything()), drift_html(report(stack_report(long))), plan_html([plan()], []))
    assert [page["width"] for page in seen] == [*WIDTHS] * 3
    for page in seen:
        assert page["wide"] == []
        assert page["needs"] <= page["width"]
        assert not page["hacked"]
        assert page["commands"] == page["copies"] > 0
        assert page["bright"] > 200
    for page in seen[:2]:
        assert page["title"] == "3 drift, 1 pending, 1 acknowledged"
        assert page["counts"] == ["3drift", "1pending", "1acknowledged", "2not checked", "1pipeline in sync"]
        assert page["cards"] == 5
        assert page["searched"] == 1
        assert (page["pending"], page["said"]) == (1, "1 of 5")
        assert page["nodes"] == ["good", "bad", "bad", "unknown", "good", "good", "good"]


def test_the_pages_have_a_dark_scheme(look: Look) -> None:
    assert all(page["bright"] < 60 for page in look(drift_html(everything()), dark=True))


@pytest.mark.parametrize("page", [drift_html(everything()), plan_html([plan()], [error(NASTY)])])
def test_a_page_is_self_contained_and_loads_nothing(page: str) -> None:
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
    assert not re.search(r"<(?:link|img|iframe|object|embed)\b|<script [^>]*src|@import|url\(", page)
    assert NASTY not in page
    assert html.escape(NASTY, quote=False).partition(" ")[0] in page


def test_without_scripts_a_page_is_complete_except_for_the_filter() -> None:
    page = drift_html(everything())
    static = page.partition("<script>\n")[0]
    assert '<form class="filter" role="search" hidden>' in static
    for told in ("processing/app#default_cpu", "reconciler adopt app", "ada until 2025-04-01: while we move"):
        assert told in html.unescape(static)


def test_only_web_addresses_are_links() -> None:
    page = drift_html(report(stack_report(finding(page="javascript:alert(1)"))))
    assert "javascript:" not in page


def test_the_same_change_in_many_pipelines_is_one_card() -> None:
    names = [f"app{n}" for n in range(40)]
    page = drift_html(report(*(stack_report(finding(pipeline=name), pipeline=name) for name in names)))
    assert page.count('data-state="drift"') == 1
    assert page.count("reconciler apply app") == 40
    assert "processing/*#default_cpu" in page


def test_a_report_in_sync_is_green() -> None:
    page = drift_html(report(stack_report()))
    assert '<header class="state good">' in page
    assert "<h1>No drift</h1>" in page
    unread = drift_html(report(stack_report(unchecked=(error("the platform does not answer"),))))
    assert '<header class="state unknown">' in unread


def test_a_page_of_plans_has_the_totals_first_and_the_versions() -> None:
    version = Change("version", ChangeClass.PENDING, "1.0.1", "1.0.0", "1.0.0", unstated("new"), True)
    image = Step(Address.of("image", "reg.io", "app"), Action.UPDATE, unstated("new"), (version,))
    page = plan_html([plan(), Plan(STACK, "", 0, (image,)), Plan(STACK, "", 0, ())], [])

    totals = re.findall(r'<li class="(\w+)"><b>(\d+)</b>([^<]*)</li>', page.partition("<section>")[0])
    assert totals == [
        ("bad", "1", "cannot be applied"),
        ("warn", "1", "to change"),
        ("good", "1", "unchanged"),
        ("bad", "1", "to delete"),
        ("warn", "1", "to update"),
    ]
    assert "1.0.0 → 1.0.1" in page


def test_a_drift_page_has_the_version_and_user_of_the_last_apply() -> None:
    stack = stack_report(finding())
    assert stack.last_apply is not None
    page = drift_html(report(replace(stack, last_apply=replace(stack.last_apply, version="1.2.3"))))
    assert "1.2.3 · last applied 2025-03-01 12:00 by ada@laptop" in page


@pytest.mark.parametrize("dashboard", ["https://team.example.com/d/", "../site"])
def test_pages_link_to_the_dashboard_if_it_is_given(dashboard: str) -> None:
    link = f'<a href="{dashboard.rstrip("/")}/pipelines/app.html">'
    assert link in drift_html(everything(), dashboard)
    assert link in plan_html([plan()], [], dashboard)
    assert f'<a href="{dashboard.rstrip("/")}/pipelines/' in run_html(every_result(), dashboard)
    for page in (drift_html(everything()), plan_html([plan()], []), run_html(every_result())):
        assert "in the dashboard" not in page


def test_owners_are_named_in_pages_and_comments_without_a_mention() -> None:
    owners = {STACK: ("@vision/cleaning", f"@{NASTY}")}
    page = plan_html([plan()], [], owners=owners)
    assert "owned by <code>@vision/cleaning</code>, <code>@&lt;script&gt;" in page
    text = plan_markdown([plan()], [], owners=owners)
    assert f", owned by {code('@vision/cleaning')}, <code>" in text
    assert "owned by" not in plan_html([plan()], []) + plan_markdown([plan()], [])
