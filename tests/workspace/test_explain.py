"""`whoami --explain` shows each value with its source, and contacts nothing."""

import json
from pathlib import Path

import pytest

from tests.conftest import Cli

TOKEN = "a-token-0123456789"

FILE = """\
[workspace]
pipelines = ["pipelines/**"]
exclude = ["pipelines/legacy/**"]
state = "s3://bucket/prefix"

[environments.EU]
host = "https://eu.example"
organization = "eu-team"
channel = "eu"
token = "EU_TOKEN"
"""


@pytest.fixture
def file(cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("RECONCILER_STATE")
    monkeypatch.setenv("EU_TOKEN", TOKEN)
    path = cli.folder / "reconciler.toml"
    path.write_text(FILE)
    return path


def test_each_value_has_its_line(cli: Cli, file: Path) -> None:
    ended = cli("whoami", "--explain", "--env", "EU", "--json")
    assert (ended.code, ended.err) == (0, "")
    assert TOKEN not in ended.out
    shown = {name: (one["value"], one["from"]) for name, one in json.loads(ended.out).items()}
    assert shown == {
        "workspace": (str(cli.folder), str(file)),
        "pipelines": ("pipelines/**, without pipelines/legacy/**", f"{file}:2"),
        "environment": ("EU", "--env"),
        "organization": ("eu-team", f"{file}:8"),
        "host": ("https://eu.example", f"{file}:7"),
        "token": ("set", f"EU_TOKEN, named in {file}:10"),
        "channel": ("eu", f"{file}:9"),
        "state": ("s3://bucket/prefix", f"{file}:4"),
    }


def test_variables_come_first(cli: Cli, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("PICSELLIA_ENV", "EU"),
        ("PICSELLIA_ORGANIZATION", "mine"),
        ("PICSELLIA_TOKEN", TOKEN),
        ("PICSELLIA_EU_ENV", "https://other.example"),
        ("RECONCILER_STATE", "gs://other"),
    ):
        monkeypatch.setenv(name, value)
    shown = json.loads(cli("whoami", "--explain", "--json").out)
    assert [shown[name]["from"] for name in ("environment", "organization", "token", "host", "state")] == [
        "PICSELLIA_ENV",
        "PICSELLIA_ORGANIZATION",
        "PICSELLIA_TOKEN",
        "PICSELLIA_EU_ENV",
        "RECONCILER_STATE",
    ]


def test_without_a_file_and_a_login_it_shows_defaults_and_what_is_missing(
    cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RECONCILER_STATE")
    ended = cli("whoami", "--explain")
    assert ended.code == 1
    for line in (
        f"workspace     {cli.folder}  (no reconciler.toml)",
        "pipelines     everything below the workspace  (default)",
        "environment   PROD  (default)",
        "organization  missing",
        "host          https://app.picsellia.com  (fixed)",
        "token         missing",
        "channel       latest, or test for an rc  (default)",
    ):
        assert f"{line}\n" in ended.out, ended.out
    assert ended.err.count("no organization is selected") == 1


def test_a_url_with_a_key_is_not_repeated(cli: Cli, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECONCILER_STATE", f"s3://me:{TOKEN}@bucket")
    ended = cli("whoami", "--explain", "--env", "EU")
    assert ended.code == 1
    assert "state         missing\n" in ended.out
    assert TOKEN not in ended.out + ended.err


def test_without_a_selected_environment_it_names_those_of_the_file(cli: Cli, file: Path) -> None:
    ended = cli("whoami", "--explain")
    assert ended.code == 1
    assert "reconciler.toml has EU. Use --env EU" in ended.err
