"""Objects of the organization that no stack in the state has."""

import json
from xml.etree import ElementTree as ET

import pytest

from providers.sandbox import Sandbox
from tests.conftest import Cli, copy_example, training


@pytest.fixture
def applied(cli: Cli, sandbox: Sandbox) -> None:
    copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    training(cli.folder / "clip", "clip", sandbox.registry)
    ended = cli("apply", "--all", "--yes")
    assert ended.code == 0, ended.err
    sandbox.clear_requests()


def listed(cli: Cli, *arguments: str) -> list[str]:
    document = json.loads(cli("drift", "--all", "--unmanaged", "--json", "-", *arguments).out)
    return [one["address"] for one in document["unmanaged"]]


@pytest.mark.usefixtures("applied")
def test_exactly_the_objects_that_no_stack_has_are_listed_in_every_output(cli: Cli, sandbox: Sandbox) -> None:
    assert listed(cli) == []
    by_hand = [f"app-{number:03}" for number in range(230)]  # three pages
    for name in by_hand:
        sandbox.platform.create_processing(name)
    sandbox.platform.create_model("old")
    sandbox.platform.create_version("old", "v1")
    sandbox.platform.create_version("clip", "tried")
    expected = [
        "model-version/clip/tried",
        "model-version/old/v1",
        "model/old",
        *(f"processing/{name}" for name in by_hand),
    ]
    assert sorted(listed(cli)) == expected

    files = [cli.folder.parent / f"report.{name}" for name in ("json", "junit", "markdown", "html")]
    ended = cli("drift", "--all", "--unmanaged", *(w for f in files for w in (f"--{f.suffix[1:]}", str(f))))
    assert (ended.code, "233 objects not managed" in ended.out) == (0, True), ended.out[-500:]
    for text in (ended.out, *(file.read_text() for file in files)):
        assert "model-version/clip/tried" in text
    suite = ET.fromstring(files[1].read_text()).find("testsuite[@name='unmanaged']")
    assert suite is not None
    assert (suite.get("skipped"), suite.get("failures")) == ("233", "0")
    merged = cli("drift", "merge", str(files[0]), "--json", "-")
    assert (merged.code, len(json.loads(merged.out)["unmanaged"])) == (0, 233)
    assert sandbox.writes() == []


@pytest.mark.usefixtures("applied")
def test_only_fail_on_changes_the_exit_code(cli: Cli, sandbox: Sandbox) -> None:
    junit = cli.folder.parent / "report.junit"
    strict = ("drift", "--all", "--unmanaged", "--fail-on", "unmanaged", "--junit", str(junit))
    assert cli(*strict).code == 0
    sandbox.platform.create_processing("by_hand")
    assert cli("drift", "--all", "--unmanaged").code == 0
    assert cli(*strict).code == 11
    assert ET.fromstring(junit.read_text()).get("failures") == "1"


@pytest.mark.usefixtures("applied")
def test_what_is_renamed_outside_is_managed_and_what_is_forgotten_is_not(cli: Cli, sandbox: Sandbox) -> None:
    sandbox.platform.edit_model("clip", name="renamed")
    assert listed(cli) == []
    assert cli("state", "forget", "dataset_cleanup", "processing/dataset_cleanup", "--yes").code == 0
    assert listed(cli) == ["processing/dataset_cleanup"]


@pytest.mark.usefixtures("applied")
def test_one_shard_lists_and_the_merged_report_has_it(cli: Cli, sandbox: Sandbox) -> None:
    sandbox.platform.create_processing("by_hand")
    parts = [cli.folder.parent / f"{k}.json" for k in (1, 2)]
    for k, part in enumerate(parts, 1):
        cli("drift", "--all", "--unmanaged", "--shard", f"{k}/2", "--json", str(part))
    assert [json.loads(part.read_text())["unmanaged"] is None for part in parts] == [False, True]
    merged = json.loads(cli("drift", "merge", *map(str, parts), "--json", "-").out)
    assert [one["address"] for one in merged["unmanaged"]] == ["processing/by_hand"]


@pytest.mark.usefixtures("applied")
def test_a_list_that_cannot_be_read_is_not_checked(cli: Cli, sandbox: Sandbox) -> None:
    sandbox.fail("GET", "/api/model/[^/]*/versions$", 403)
    ended = cli("drift", "dataset_cleanup", "--json", "-")
    assert ended.code == 0
    ended = cli("drift", "--all", "--unmanaged")
    assert (ended.code, "could not be listed" in ended.err) == (13, True), ended.err


@pytest.mark.parametrize(
    "arguments", [("dataset_cleanup", "--unmanaged"), ("--all", "--fail-on", "unmanaged"), ("--unmanaged",)]
)
def test_it_needs_all_and_fail_on_needs_it(cli: Cli, sandbox: Sandbox, arguments: tuple[str, ...]) -> None:
    assert cli("drift", *arguments).code == 2
