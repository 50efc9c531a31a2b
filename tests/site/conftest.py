"""A browser for the pages of a dashboard, the checks of axe, and a dashboard of a made-up organization."""

import runpy
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError

import pytest

from tests.conftest import Cli
from tests.services import _unavailable
from tests.site import made

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).parents[2]
AXE = (
    "axe-core",
    "4.14.1",
    "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
    ("axe.min.js",),
)


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


@pytest.fixture(scope="session")
def axe() -> str:
    """The script of axe-core, which checks the rules of WCAG."""
    file = ROOT / ".cache" / f"{AXE[0]}-{AXE[1]}.js"
    if not file.is_file():
        vendor = runpy.run_path(str(ROOT / "scripts" / "vendor"))
        try:
            content = vendor["files_of"](vendor["Package"](*AXE))[AXE[3][0]]
        except (URLError, TimeoutError) as problem:
            return _unavailable(f"no axe-core to check pages with: npm does not answer ({problem})")
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(content)
    return file.read_text()


@dataclass
class Seen:
    """A page in the browser, with everything that must not happen on it."""

    page: "Page"
    problems: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def opened(chromium: "Browser") -> Iterator["Open"]:
    yield (found := Open(chromium))
    found.close()


class Open:
    """Opens pages, each in a window of its own."""

    def __init__(self, browser: "Browser") -> None:
        self._browser = browser
        self._seen: list[Seen] = []

    def __call__(self, address: str, *, width: int = 1280, dark: bool = False) -> Seen:
        context = self._browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light"
        )
        context.set_default_timeout(120_000)
        seen = Seen(context.new_page())
        self._seen.append(seen)
        seen.page.on("console", lambda message: seen.problems.append(f"{message.type}: {message.text}"))
        seen.page.on("pageerror", lambda problem: seen.problems.append(str(problem)))
        seen.page.on("request", lambda request: seen.requests.append(request.url))
        seen.page.goto(address)
        return seen

    def close(self) -> None:
        """Close all windows; no page of any of them may have had a problem."""
        problems = [problem for seen in self._seen for problem in seen.problems]
        for seen in self._seen:
            seen.page.context.close()
        assert problems == []


@pytest.fixture
def organization(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> made.Made:
    """A made-up organization; the current folder is its workspace."""
    found = made.organization(tmp_path / "made", nights=12, now=datetime.now(UTC).replace(microsecond=0))
    monkeypatch.chdir(found.workspace)
    monkeypatch.setenv("RECONCILER_STATE", str(found.state))
    return found


@pytest.fixture
def site(
    home: Path, organization: made.Made, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The dashboard of that organization."""
    monkeypatch.chdir(organization.workspace)
    monkeypatch.setenv("RECONCILER_STATE", str(organization.state))
    ended = cli("dashboard", "--out", str(tmp_path / "site"), "--reports", str(organization.reports))
    assert ended.code == 0, ended.err
    return tmp_path / "site"
