"""Fields that the platform never returns: every output has their number, and that they were not verified."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from providers.sandbox import Sandbox
from tests.conftest import Cli, copy_example

NAME = "dataset_cleanup"


@pytest.fixture
def silent(cli: Cli, sandbox: Sandbox) -> int:
    """A pipeline on a platform that returns only what the SDK reads; the number of the other fields."""
    copy_example(NAME, cli.folder, sandbox.registry)
    sandbox.switch(echo="certain")
    assert cli("apply", NAME, "--yes").code == 0
    report = cli.folder.parent / "report.json"
    assert cli("drift", NAME, "--json", str(report)).code == 0
    (stack,) = json.loads(report.read_text())["stacks"]
    assert stack["unverified"] > 5
    return int(stack["unverified"])


@pytest.mark.parametrize("command", [("plan", NAME), ("drift", NAME), ("drift", "--all")], ids=" ".join)
def test_on_a_terminal(command: tuple[str, ...], silent: int, cli: Cli) -> None:
    ended = cli(*command)
    assert ended.code == 0
    assert f"{silent} fields not returned by the platform, so not verified" in ended.out


def test_in_the_table_of_status(silent: int, cli: Cli) -> None:
    ended = cli("status", "--all")
    assert f"in sync, {silent} fields not verified" in ended.out
    document = json.loads(cli("status", "--all", "--json").out)
    assert [row["drift"] for row in document["rows"]] == [f"in sync, {silent} fields not verified"]
    assert [row["drift_code"] for row in document["rows"]] == ["in-sync"]


@pytest.mark.parametrize("form", ["markdown", "html", "junit"])
def test_in_each_report(form: str, silent: int, cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / form
    assert cli("drift", NAME, f"--{form}", str(file)).code == 0
    text = file.read_text()
    if form == "junit":
        properties = {one.get("name"): one.get("value") for one in ET.fromstring(text).iter("property")}
        assert properties["unverified"] == str(silent)
    else:
        assert "not verified" in text or "unverified" in text
        assert str(silent) in text


def test_nothing_is_said_without_such_fields(cli: Cli, sandbox: Sandbox) -> None:
    copy_example(NAME, cli.folder, sandbox.registry)
    assert cli("apply", NAME, "--yes").code == 0
    assert "verified" not in cli("drift", NAME).out + cli("status", "--all").out + cli("plan", NAME).out
