"""The files of a dashboard: a page and a document of data for each view, and what they share.

The pages work from a folder and from any web server. They send no requests to others, which their
Content-Security-Policy forbids. Data are scripts, because a browser lets a page that was opened from a folder
read no other files.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from markupsafe import Markup
from msgspec import Struct

from providers.json_value import JSON
from reconciler.drift.dashboard import DriftHistory, PipelineRecord
from reconciler.drift.matrix import Column
from reconciler.views.counting import listed
from reconciler.views.reports.html import page_template
from reconciler.views.reports.image_json import ImageVersion
from reconciler.views.reports.svg import style, svg
from reconciler.views.safe import json_script
from reconciler.views.site import documents
from reconciler.views.site.documents import STATES, Summary, shown
from reconciler.views.site.graph import of_organization
from reconciler.views.site_links import PIPELINES, key_of
from state.register import scope_of

if TYPE_CHECKING:
    from jinja2 import Template

NAVIGATION: Final = {
    "index": "Overview",
    "runs": "Runs",
    "drift": "Drift",
    "images": "Images",
    "organization": "Organization",
}
"""Page -> its title. The file of a page is `PAGE.html`, that of its data `data/PAGE.js`."""

_ASSETS = ("site.css", "site.js", "uplot/uPlot.iife.min.js", "uplot/uPlot.min.css", "uplot/LICENSE")


class Site(Struct, frozen=True):
    """What a dashboard is made from.

    Attributes:
        records: the pipelines, which are read once, one after the other.
        columns: the environments, in the order of promotion.
        drift: what the reports say.
        images: the published images that reports show.
        made: now, in UTC.
        orphans_unknown: why no orphans were looked for; "" if they were.
    """

    records: Iterable[PipelineRecord]
    columns: Sequence[Column]
    drift: DriftHistory
    images: Sequence[ImageVersion]
    made: datetime
    orphans_unknown: str = ""

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Each file with its path from the top of the dashboard. Pages come after their data."""
        versions = documents.versions_by_address(self.images)
        summary = Summary(self.columns, self.drift, self.made)
        for asset in _ASSETS:
            yield f"assets/{asset}", files(__package__).joinpath("assets", asset).read_bytes()
        yield "assets/tones.css", style().encode()
        for record in self.records:
            summary.add(record)
            yield from self._pipeline(record, versions)
        yield from self._page(
            "organization",
            summary.organization(self.orphans_unknown),
            drawing=svg(of_organization(summary), alone=False),
        )
        yield from self._page("images", summary.images(versions))
        yield from self._page("drift", summary.drift_document())
        yield from self._page("runs", summary.runs())
        yield from self._page(
            "index", summary.overview(self.orphans_unknown), headline=headline(summary), tone=tone(summary)
        )

    def _page(self, page: str, document: JSON, **more: str) -> Iterator[tuple[str, bytes]]:
        yield f"data/{page}.js", _script(document)
        head = {"title": NAVIGATION[page], "headline": NAVIGATION[page], "tone": "", **more}
        yield f"{page}.html", self._html(page, f"data/{page}.js", "", head)

    def _pipeline(
        self, record: PipelineRecord, versions: Mapping[str, Sequence[ImageVersion]]
    ) -> Iterator[tuple[str, bytes]]:
        key = key_of(record.name)
        addresses = (
            address
            for one in record.deployments.values()
            if one.state
            for address in one.state.resources
            if address in versions
        )
        image = versions.get(next(addresses, ""), ())
        data = f"data/{PIPELINES}/{key}.js"
        yield data, _script(documents.pipeline_document(record, self.columns, image))
        head = {"title": record.name, "headline": record.name, "tone": ""}
        yield f"{PIPELINES}/{key}.html", self._html("pipeline", data, "../", head)

    def _html(self, page: str, data: str, top: str, head: Mapping[str, str]) -> bytes:
        organizations = [*dict.fromkeys(column.scope.rpartition("@")[0] for column in self.columns)]
        text = _template().render(
            page=page,
            data=data,
            top=top,
            navigation=NAVIGATION,
            organization=listed(organizations) if organizations else "no organization yet",
            made=self.made,
            drawing=Markup(head["drawing"]) if "drawing" in head else "",
            **{name: text for name, text in head.items() if name != "drawing"},
        )
        return text.encode("utf-8", "backslashreplace")


_WAITING = ("pending", "not checked", "ignored")
"""The states of `STATES` that are no alarm, and not in sync either."""


def headline(summary: Summary) -> str:
    """What needs attention this morning, in a few words."""
    counts = [
        (summary.counts["drift"], "drifted"),
        (summary.counts["failed"], "failed"),
        (summary.counts["orphaned"], "orphaned"),
    ]
    if words := [f"{count:,} {word}" for count, word in counts if count]:
        return listed(words)
    if waiting := [f"{summary.counts[state]:,} {state}" for state in _WAITING if summary.counts[state]]:
        return f"No drift found; {listed(waiting)}"
    return "Everything is in sync" if summary.counts["in sync"] else "Nothing is applied yet"


def tone(summary: Summary) -> str:
    """The tone of the headline: that of the worst state that some pipeline has."""
    return next((tone for state, tone in STATES.items() if summary.counts[state]), "muted")


def columns_of(stacks: Iterable[str], declared: Sequence[Column]) -> list[Column]:
    """The declared environments that are in order, and one for each other scope of these stacks."""
    known = {column.scope for column in declared}
    others = sorted({scope_of(stack) for stack in stacks} - known)
    return [*declared, *(Column(scope, scope) for scope in others)]


def _script(document: JSON) -> bytes:
    return f"var DATA = {json_script(shown(document))};\n".encode()


@cache
def _template() -> "Template":
    return page_template("site.html")
