"""The files of other projects are exactly those of their pinned packages, with their licences."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.services import _unavailable

ROOT = Path(__file__).parents[2]
UPLOT = ROOT / "reconciler" / "views" / "site" / "assets" / "uplot"


def vendor(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, ROOT / "scripts" / "vendor", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)


def test_the_files_are_those_of_the_packages() -> None:
    checked = vendor("--check")
    if "URLError" in checked.stderr or "TimeoutError" in checked.stderr:
        _unavailable("npm does not answer")
    assert checked.returncode == 0, checked.stderr
    assert "MIT License" in (UPLOT / "LICENSE").read_text()
    assert "uPlot" in (UPLOT / "uPlot.iife.min.js").read_text()[:500]


def test_a_file_that_was_edited_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """On the copy of a package that a stand-in for npm has."""
    import runpy

    script = runpy.run_path(str(ROOT / "scripts" / "vendor"))
    package = script["PACKAGES"][0]
    contents = {name: (UPLOT / Path(name).name).read_bytes() for name in package.files}
    main = script["main"]
    monkeypatch.setitem(main.__globals__, "files_of", lambda _: contents)
    monkeypatch.setitem(main.__globals__, "ASSETS", tmp_path)
    assert main([]) == 0
    assert main(["--check"]) == 0
    edited = tmp_path / "uplot" / "uPlot.iife.min.js"
    edited.write_bytes(edited.read_bytes() + b"\n")
    assert main(["--check"]) == 1


def test_another_package_under_the_same_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import io
    import runpy
    import urllib.request

    script = runpy.run_path(str(ROOT / "scripts" / "vendor"))
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: io.BytesIO(b"another tarball"))
    with pytest.raises(SystemExit, match="has the digest"):
        script["files_of"](script["PACKAGES"][0])
