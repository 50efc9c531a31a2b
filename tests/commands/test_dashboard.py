"""`reconciler dashboard`: what it is made from, and what it leaves alone in its folder."""

import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from providers.sandbox import Sandbox
from tests.conftest import Cli, copy_example
from tests.readonly import unlisted

NAME = "dataset_cleanup"


def data(site: Path, page: str) -> Any:
    """The document of a page."""
    return json.loads(
        (site / "data" / f"{page}.js").read_text().removeprefix("var DATA = ").removesuffix(";\n")
    )


@pytest.fixture
def applied(cli: Cli, sandbox: Sandbox) -> Cli:
    """A user with two applied pipelines."""
    for name in (NAME, "single_training"):
        copy_example(name, cli.folder, sandbox.registry)
    assert cli("apply", "--all", "--yes").code == 0
    return cli


def test_the_pages_show_what_runs_with_its_runs_drift_and_image(
    applied: Cli, sandbox: Sandbox, tmp_path: Path
) -> None:
    cli, site, reports = applied, tmp_path / "site", tmp_path / "reports"
    reports.mkdir()
    sandbox.platform.edit_processing(NAME, default_cpu=64)
    assert cli("drift", "--all", "--unmanaged", "--json", str(reports / "drift.json")).code == 11
    (reports / "images.json").write_text(cli("image", "--all", "--json").out)
    sandbox.clear_requests()

    ended = cli("dashboard", "--out", str(site), "--reports", str(reports))

    assert ended.code == 0, ended.err
    assert sandbox.requests() == []
    overview, page = data(site, "index"), data(site, f"pipelines/{NAME}")
    by_name = {line["name"]: line["cells"][0] for line in overview["pipelines"]}
    assert len(by_name) == 2
    assert (by_name[NAME]["version"], by_name[NAME]["states"]) == ("1.0.0", ["drift"])
    assert {tile["state"]: tile["count"] for tile in overview["tiles"]} == {
        **dict.fromkeys(("failed", "orphaned", "pending", "behind", "not checked", "ignored"), 0),
        "drift": 1,
        "in sync": 1,
    }
    (found,) = page["findings"]
    assert (found["where"], found["live"], found["desired"]) == (f"processing/{NAME}#default_cpu", "64", "4")
    words = page["runs"]["words"]
    (row,) = page["runs"]["rows"]
    assert [words[place] for place in row[3:6]] == ["apply", "1.0.0", "applied"]
    (image,) = page["image"]
    assert image["version"] == "1.0.0"
    assert image["size"] == sum(layer["size"] for layer in image["layers"]) > 0
    assert {address for address, _ in page["resources"]} >= {f"processing/{NAME}"}
    assert "<h1>1 drifted</h1>" in (site / "index.html").read_text()


def test_a_stack_without_a_folder_is_an_orphan_without_any_report(
    applied: Cli, sandbox: Sandbox, tmp_path: Path
) -> None:
    (applied.folder / "reconciler.toml").write_text('[workspace]\nname = "team/pipelines"\n')
    config = applied.folder / NAME / "config.toml"
    config.write_text(config.read_text().replace("Copies a dataset", "Copies the dataset"))
    assert applied("apply", NAME, "--yes", "--bump", "patch").code == 0
    (applied.folder / NAME).rename(tmp_path / "elsewhere")

    assert applied("dashboard", "--out", str(tmp_path / "site")).code == 0

    assert data(tmp_path / "site", "organization")["orphans"] == [
        [NAME, NAME, data(tmp_path / "site", "index")["environments"][0]["name"], NAME]
    ]


def test_other_files_of_the_folder_stay_and_pages_of_gone_pipelines_go(
    applied: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "CNAME").write_text("pipelines.example.com\n")
    assert applied("dashboard", "--out", str(site)).code == 0
    assert len([*(site / "pipelines").iterdir()]) == 2

    monkeypatch.setenv("RECONCILER_STATE", str(tmp_path / "empty.db"))
    assert applied("dashboard", "--out", str(site)).code == 0

    assert (site / "CNAME").read_text() == "pipelines.example.com\n"
    assert [*(site / "pipelines").iterdir()] == [*(site / "data" / "pipelines").iterdir()] == []


def test_a_file_of_somebody_else_is_not_replaced(applied: Cli, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("ours")

    ended = applied("dashboard", "--out", str(site))

    assert ended.code == 1
    assert "the folder has another file of that name" in ended.err
    assert (site / "index.html").read_text() == "ours"


def test_a_dashboard_that_was_cut_off_is_made_again(
    applied: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, written = tmp_path / "site", 0
    write = Path.write_bytes

    def full(path: Path, content: bytes) -> int:
        nonlocal written
        written += 1
        if written == 8:
            raise OSError(28, "No space left on device", str(path))
        return write(path, content)

    with monkeypatch.context() as cut:
        cut.setattr(Path, "write_bytes", full)
        ended = applied("dashboard", "--out", str(site))
    assert ended.code == 1
    assert "No space left on device" in ended.err
    assert "Run the same command again" in ended.err

    assert applied("dashboard", "--out", str(site)).code == 0


def test_a_damaged_report_is_named_and_the_rest_is_shown(applied: Cli, tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    reports.mkdir()
    assert applied("drift", "--all", "--json", str(reports / "whole.json")).code == 0
    (reports / "cut.json").write_text((reports / "whole.json").read_text()[:400])
    (reports / "plan.json").write_text('{"format": "reconciler/plan"}')

    ended = applied("dashboard", "--out", str(tmp_path / "site"), "--reports", str(reports))

    assert ended.code == 1
    assert "cut.json" in ended.err
    assert "the file is not a drift report" in ended.err
    assert "plan.json" not in ended.err, "a folder may have other documents"
    tiles = {tile["state"]: tile["count"] for tile in data(tmp_path / "site", "index")["tiles"]}
    assert tiles["in sync"] == 2


def test_what_cannot_be_read_is_named_and_the_rest_is_shown(applied: Cli, tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    (reports / "hidden").mkdir(parents=True)
    for name in ("seen.json", "unreadable.json", "hidden/third.json"):
        assert applied("drift", "--all", "--json", str(reports / name)).code == 0

    with unlisted(reports / "hidden"), unlisted(reports / "unreadable.json"):
        ended = applied("dashboard", "--out", str(tmp_path / "site"), "--reports", str(reports))

    assert ended.code == 1
    assert "the folder cannot be searched for reports" in ended.err
    assert f"{reports / 'hidden'}" in ended.err
    assert f"{reports / 'unreadable.json'}" in ended.err
    assert (tmp_path / "site" / "index.html").exists()


def test_a_file_that_is_given_must_be_a_report(applied: Cli, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"format": "reconciler/plan"}')
    ended = applied("dashboard", "--out", str(tmp_path / "site"), "--reports", str(other))
    assert ended.code == 1
    assert "the file is not a report for a dashboard" in ended.err


def test_a_list_that_was_edited_removes_nothing_outside_of_the_folder(applied: Cli, tmp_path: Path) -> None:
    site, mine = tmp_path / "site", tmp_path / "mine.txt"
    mine.write_text("mine")
    assert applied("dashboard", "--out", str(site)).code == 0
    manifest = site / "reconciler-dashboard.json"
    document = json.loads(manifest.read_text())
    document["files"] += ["../mine.txt", str(mine), "pipelines/gone.html"]
    manifest.write_text(json.dumps(document))
    (site / "pipelines" / "gone.html").write_text("")

    assert applied("dashboard", "--out", str(site)).code == 0

    assert mine.read_text() == "mine"
    assert not (site / "pipelines" / "gone.html").exists()


def test_reports_link_to_the_pages_of_the_dashboard(applied: Cli, tmp_path: Path) -> None:
    page, site = tmp_path / "drift.html", tmp_path / "site"
    assert applied("dashboard", "--out", str(site)).code == 0
    assert applied("drift", "--all", "--html", str(page), "--dashboard", "site").code == 0
    links = re.findall(r'<a href="(site/[^"]+)">in the dashboard', page.read_text())
    assert len(links) == 2
    assert all((tmp_path / link).is_file() for link in links)


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "//elsewhere.example.com", "file:///etc", "/site"]
)
def test_only_web_addresses_and_relative_paths_are_linked(applied: Cli, address: str) -> None:
    ended = applied("plan", "--all", "--html", "plan.html", "--dashboard", address)
    assert ended.code == 2
    assert "use an address that begins with https:// or http://, or a relative path" in ended.err


def test_files_that_did_not_change_stay(applied: Cli, tmp_path: Path) -> None:
    site = tmp_path / "site"
    assert applied("dashboard", "--out", str(site)).code == 0
    for file in site.rglob("*.*"):
        os.utime(file, (1, 1))
    (site / "assets/site.css").write_text("damaged")
    assert applied("dashboard", "--out", str(site)).code == 0
    stayed = {file.relative_to(site).as_posix() for file in site.rglob("*.*") if file.stat().st_mtime == 1}
    assert "assets/site.js" in stayed
    assert any(name.startswith("data/pipelines/") for name in stayed)
    assert "assets/site.css" not in stayed
    assert (site / "assets/site.css").read_text() != "damaged"


def test_a_tile_shows_no_zero_for_what_was_not_looked_for(applied: Cli, tmp_path: Path) -> None:
    cli, site, reports = applied, tmp_path / "site", tmp_path / "reports"
    reports.mkdir()

    def unknown() -> tuple[dict[str, str], object]:
        assert cli("dashboard", "--out", str(site), "--reports", str(reports)).code == 0
        overview = data(site, "index")
        return {one["state"]: one["unknown"] for one in overview["tiles"] if one["unknown"]}, overview[
            "unmanaged"
        ]

    without, unmanaged = unknown()
    assert {*without} == {"drift", "pending", "ignored", "in sync", "orphaned"}
    assert without["drift"] == "no report of drift was given" and "no name" in without["orphaned"]
    assert unmanaged is None

    (cli.folder / "reconciler.toml").write_text('[workspace]\nname = "shop"\n')
    assert cli("drift", "--all", "--json", str(reports / "drift.json")).code == 0
    assert unknown() == ({}, None)
    assert cli("drift", "--all", "--unmanaged", "--json", str(reports / "drift.json")).code == 0
    assert unknown() == ({}, 0)


def test_an_environment_that_is_forgotten_does_not_stay(
    cli: Cli, environments: Sandbox, tmp_path: Path
) -> None:
    """It is neither in reconciler.toml nor in the state, only in reports of earlier days."""
    copy_example(NAME, cli.folder, environments.registry)
    reports = tmp_path / "reports"
    reports.mkdir()
    for name in ("TEST", "LIVE"):
        assert cli("apply", NAME, "--env", name, "--yes").code == 0
        assert cli("drift", "--all", "--env", name, "--json", str(reports / f"{name}.json")).code == 0
    workspace = cli.folder / "reconciler.toml"

    def columns() -> list[str]:
        site = tmp_path / "site"
        assert cli("dashboard", "--out", str(site), "--reports", str(reports)).code == 0
        return [one["name"] for one in data(site, "index")["environments"]]

    assert columns() == ["TEST", "LIVE"]
    stack = f"my-test-org@{urlsplit(environments.account('TEST').url).netloc}/{NAME}"
    workspace.write_text(f"[environments.LIVE]{workspace.read_text().partition('[environments.LIVE]')[2]}")
    assert len(columns()) == 2, "its stacks are in the state"
    assert cli("state", "forget", "--stack", stack, "--yes").code == 0
    assert columns() == ["LIVE"]
