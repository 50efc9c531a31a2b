"""Times that other machines wrote: their clocks may be hours off, and their documents may be damaged."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from providers.sandbox import Sandbox
from tests.conftest import Cli, copy_example

NAME = "dataset_cleanup"
VALID = [
    "2999-01-01T00:00:00+00:00",  # a clock that is ahead
    "1970-01-01T00:00:00+00:00",
    "0001-01-02T00:00:00+14:00",
    "9999-12-30T23:59:59-12:00",
    "2025-03-01T23:30:00+14:00",
    "20250301T120000Z",
]
INVALID = [
    "2025-03-01T12:00:00",  # no offset from UTC
    "2025-03-01",
    "0001-01-01T00:00:00+14:00",  # no year in UTC
    "9999-12-31T23:59:59-12:00",
    "yesterday\n::error::",
    "",
    None,
    7,
    {},
]


@pytest.fixture
def report(cli: Cli, sandbox: Sandbox) -> Path:
    """A report with findings, written by a run on this machine."""
    copy_example(NAME, cli.folder, sandbox.registry)
    assert cli("apply", NAME, "--yes").code == 0
    sandbox.platform.edit_processing(NAME, description="theirs")
    assert cli("drift", NAME, "--json", "drift.json").code == 11
    return cli.folder / "drift.json"


def with_time(document: dict[str, Any], key: str, time: object) -> str:
    document = json.loads(json.dumps(document))
    if key == "at":
        document["at"] = time
    else:
        for stack in document["stacks"]:
            for finding in stack["findings"]:
                finding[key] = time
    return json.dumps(document)


def ages(file: Path) -> list[int]:
    return [
        finding["age_seconds"]
        for stack in json.loads(file.read_text())["stacks"]
        for finding in stack["findings"]
    ]


def test_the_age_of_a_finding_is_never_negative_and_an_odd_time_is_an_error(report: Path, cli: Cli) -> None:
    document = json.loads(report.read_text())
    for time in (*VALID, *INVALID):
        report.write_text(with_time(document, "first_seen", time))
        ended = cli("drift", NAME, "--json", "drift.json", "--markdown", "drift.md")
        if time in INVALID:
            assert (ended.code, "is not the report of an earlier run" in ended.err) == (1, True), time
        else:
            assert ended.code == 11, time
            assert min(ages(report)) >= 0, time
            assert not re.search(r"-\d+ (hour|day)", (cli.folder / "drift.md").read_text()), time


def test_nor_is_that_of_a_stack_without_a_folder(report: Path, cli: Cli) -> None:
    (cli.folder / "reconciler.toml").write_text('[workspace]\nname = "shop"\n')
    cli("apply", NAME, "--ours", "--yes")
    shutil.rmtree(cli.folder / NAME)
    for _ in range(2):
        ended = cli("drift", "--all", "--json", "drift.json")
        assert (ended.code, "orphaned" in ended.out) == (11, True)
        assert min(ages(report)) >= 0
        report.write_text(with_time(json.loads(report.read_text()), "first_seen", VALID[0]))


@pytest.mark.parametrize("key", ["at", "first_seen", "last_seen"])
def test_reports_of_machines_with_other_clocks_can_be_merged(report: Path, cli: Cli, key: str) -> None:
    document = json.loads(report.read_text())
    for time in (*VALID, *INVALID):
        (cli.folder / "other.json").write_text(with_time(document, key, time))
        ended = cli("drift", "merge", "drift.json", "other.json", "--json", "all.json", "--html", "all.html")
        if time in INVALID:
            assert (ended.code, "is not a drift report" in ended.err) == (1, True), time
        else:
            assert ended.code in (11, 13), (time, ended.err)
            assert min([0, *ages(cli.folder / "all.json")]) == 0, time


def test_the_time_of_a_merged_report_is_shown_in_utc(report: Path, cli: Cli) -> None:
    report.write_text(with_time(json.loads(report.read_text()), "at", "2025-03-01T23:30:00+14:00"))
    assert cli("drift", "merge", "drift.json", "--markdown", "all.md").code == 11
    assert "2025-03-01 09:30 UTC" in (cli.folder / "all.md").read_text()
