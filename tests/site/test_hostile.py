"""Texts of servers, files and users on a dashboard: no markup and no hidden characters, from anywhere."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.core.recorded_runs import RecordedRun, RunOutcome
from reconciler.core.values import Address
from reconciler.drift.dashboard import Deployment, PipelineRecord, drift_history
from reconciler.drift.findings import LastApply, UnmanagedObject
from reconciler.drift.matrix import Cell, Column
from reconciler.drift.status import Row
from reconciler.views.reports.image_json import ImageVersion, Layer
from reconciler.views.site.site import Site
from state.register import Source
from state.snapshot import RecordedResource, Snapshot
from state.stores.base import HistoryEntry
from tests.reports.conftest import AT, NASTY, STACK, everything
from tests.reports.test_hostile import PAYLOAD, all_spoiled, bad_characters, spoiled
from tests.site.conftest import Open

AT_TEXT = AT.isoformat()
ENTRY = HistoryEntry(
    3,
    "lineage",
    AT_TEXT,
    "0.1.0",
    "ada",
    "laptop",
    "reconciler apply app",
    "c0ffee",
    "https://ci",
    "run",
    "TEST",
    "why",
)


def site(text: str = "") -> Site:
    """A site whose texts are all this one, as far as a server, a file or a user can choose them."""

    def of(usual: str) -> str:
        return text or usual

    state = Snapshot(
        str(STACK),
        "lineage",
        3,
        {
            address: RecordedResource(
                address,
                kind,
                of("id"),
                {"version": of("1.0.0"), "channel": of("latest"), "repository": of("reg.io/app")},
                {"page": of("https://example.com"), "digest": of("sha256:1")},
            )
            for kind in ("image", "model", "processing")
            for address in [str(Address.of(kind, "reg.io" if kind == "image" else of("app"), of("app")))]
        },
        written_by="0.1.0",
        written_at=AT_TEXT,
        outcome="failed",
    )
    report = everything()
    if text:
        report = replace(
            report,
            stacks=tuple(
                replace(
                    stack,
                    findings=tuple(replace(all_spoiled(f, text), stack=f.stack) for f in stack.findings),
                )
                for stack in report.stacks
            ),
            failed={text: ()},
            unmanaged=(UnmanagedObject(Address.of("model", text), text, text, text, text),),
        )
    drift = drift_history([report])
    entry = replace(
        ENTRY,
        **{
            n: of(getattr(ENTRY, n))
            for n in ("owner", "host", "command", "git_commit", "ci", "promoted_from", "override")
        },
    )
    run = RecordedRun((entry,), RunOutcome.FAILED, of("1.0.0"), 2)
    applied = LastApply(AT_TEXT, of("ada"), of("laptop"), of("c0ffee"), of("https://ci"))
    scopes = (STACK.scope, of("other@PROD"))
    records = [
        PipelineRecord(
            name,
            of("folder"),
            {
                scope: Deployment(
                    f"{scope}/{name}",
                    Cell(Row(name, name, of("folder"), scope, of("1.0.0"), of("sha256:1"), applied), 2),
                    Source(of("workspace"), of("folder")),
                    state,
                    (run,),
                    drift.checks.get(f"{scope}/{name}"),
                )
                for scope in scopes
            },
        )
        for name in ("app", of("other"))
    ]
    columns = [Column(of("TEST"), scopes[0]), Column(f"{of('PROD')} 2", scopes[1], of("TEST"))]
    layer = Layer(of("sha256:2"), 5, of("RUN x"), None)
    images = [ImageVersion(f"reg.io/{of('app')}", of("1.0.0"), of("sha256:1"), 5, 1_700_000_000, (layer,))]
    return Site(records, columns, drift, images, AT)


class Elements(HTMLParser):
    """The elements of a page, and their attributes that run code."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.scripts: list[str | None] = []
        self.foreign: list[str] = []
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "script":
            self.scripts.append(given.get("src"))
        if tag in ("img", "iframe", "object", "style"):
            self.foreign.append(tag)
        self.foreign += [name for name in given if name.startswith("on") or name == "style"]
        self.links += [value or "" for name, value in attrs if name == "href"]


def check(files: dict[str, bytes]) -> None:
    for name, content in files.items():
        if name.startswith("assets/"):
            continue
        text = content.decode()
        assert re.fullmatch(r"[a-z0-9._/-]+", name), name
        assert bad_characters(text) == set(), name
        if name.endswith(".js"):
            assert "<" not in text, name
            # once read, no text of the document has a hidden character or a second line
            document = json.loads(text.removeprefix("var DATA = ").removesuffix(";\n"))
            for found in texts(document):
                assert bad_characters(found) == set(), (name, ascii(found))
                assert "\n" not in found
        else:
            elements = Elements(text)
            assert len(elements.scripts) == 3
            assert all(
                re.fullmatch(r"(\.\./)?(assets|data)/[\w./-]+\.js", src or "") for src in elements.scripts
            )
            assert elements.foreign == [], name
            assert not [link for link in elements.links if not re.match(r"https?://|#|[\w./-]+$", link)]


def texts(document: Any) -> Iterator[str]:
    if isinstance(document, str):
        yield document
    elif isinstance(document, dict):
        for key, value in document.items():
            yield key
            yield from texts(value)
    elif isinstance(document, list):
        for value in document:
            yield from texts(value)


@pytest.mark.parametrize(
    "text", [PAYLOAD, NASTY, "javascript:alert(1)", "", "\ud800", "</script><script>hacked = 1"]
)
def test_no_text_adds_markup_or_hidden_characters_to_any_file(text: str) -> None:
    check(dict(site(text).files()))


def test_nor_does_any_single_text_of_a_report() -> None:
    base, count = everything(), 0
    for report in spoiled(base, PAYLOAD):
        try:
            drift = drift_history([report])
        except (ValueError, TypeError):
            continue
        count += 1
        check(dict(replace(site(), drift=drift, records=[]).files()))
    assert count > 50


def test_in_a_browser_hostile_texts_stay_texts(tmp_path: Path, opened: Open) -> None:
    for name, content in site(NASTY).files():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    pages = [*tmp_path.rglob("*.html")]
    assert len(pages) > 6
    for file in pages:
        page = opened(file.as_uri()).page
        page.locator("#view > *").first.wait_for()
        assert page.evaluate("'hacked' in window") is False
        assert page.locator("main img, main script, main iframe").count() == 0
        links = page.locator("a[href]").evaluate_all(
            "(links) => links.map((link) => new URL(link.getAttribute('href'), location).protocol)"
        )
        assert {*links} <= {"file:", "https:", "http:"}
    assert "<script>hacked" in opened((tmp_path / "index.html").as_uri()).page.inner_text("main")
