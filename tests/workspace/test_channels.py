"""`[environments.NAME] channel`: each environment moves a tag of its own."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from providers.docker.registry.client import RegistryClient
from providers.sandbox import Sandbox
from tests.conftest import Cli, copy_example

NAME = "dataset_cleanup"


@pytest.fixture
def us() -> Iterator[Sandbox]:
    """A second platform; the pipelines publish to the registry of the first."""
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def file(cli: Cli, sandbox: Sandbox, us: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A reconciler.toml with EU and US, and a pipeline."""
    for name in [name for name in os.environ if name.startswith("PICSELLIA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PICSELLIA_TOKEN", sandbox.token)
    copy_example(NAME, cli.folder, sandbox.registry)
    file = cli.folder / "reconciler.toml"
    file.write_text(
        "".join(
            f'[environments.{name}]\nhost = "{platform.url}"\norganization = "{platform.organization}"\n'
            f'channel = "{name.lower()}"\n'
            for name, platform in (("EU", sandbox), ("US", us))
        )
    )
    return file


def tags(sandbox: Sandbox) -> dict[str, str | None]:
    with RegistryClient(f"{sandbox.registry}/examples/{NAME}") as registry:
        names = ("1.0.0", "1.0.1", "1.0.2-rc", "eu", "us", "latest", "test")
        return {name: digest for name in names if (digest := registry.digest(name))}


def registered(sandbox: Sandbox) -> object:
    processing = sandbox.platform.processing(NAME)
    assert processing is not None
    return processing["docker_tag"]


def test_each_environment_runs_its_own_tag(cli: Cli, file: Path, sandbox: Sandbox, us: Sandbox) -> None:
    for name in ("EU", "US"):
        assert cli("apply", NAME, "--env", name, "--yes").code == 0
    first = tags(sandbox)
    assert set(first) == {"1.0.0", "eu", "us"}, "latest is not touched"
    assert len(set(first.values())) == 1
    assert (registered(sandbox), registered(us)) == ("eu", "us")

    (cli.folder / NAME / "pipeline.py").write_text("print('other')\n")
    assert cli("deploy", NAME, "--env", "EU", "--bump", "patch", "--yes").code == 0

    second = tags(sandbox)
    assert second["eu"] == second["1.0.1"] != second["1.0.0"] == second["us"]
    assert cli("drift", NAME, "--env", "EU").code == 0
    assert "sync" in cli("drift", NAME, "--env", "US").out

    built = cli("apply", NAME, "--env", "US", "--yes")
    assert built.code == 0
    assert tags(sandbox)["us"] == second["1.0.1"]
    assert "tag us -> 1.0.1" in built.err
    assert "push" not in built.err, "the image is there already"
    for name in ("EU", "US"):
        assert cli("plan", NAME, "--env", name, "--exit-code").code == 0


def test_a_candidate_moves_the_same_tag(cli: Cli, file: Path, sandbox: Sandbox) -> None:
    config = cli.folder / NAME / "config.toml"
    config.write_text(config.read_text().replace('version = "1.0"', 'version = "1.0.2-rc"'))
    assert cli("apply", NAME, "--env", "EU", "--yes").code == 0
    assert set(tags(sandbox)) == {"1.0.2-rc", "eu"}


def test_a_tag_that_was_moved_outside_is_put_back(cli: Cli, file: Path, sandbox: Sandbox) -> None:
    assert cli("apply", NAME, "--env", "EU", "--yes").code == 0
    (cli.folder / NAME / "pipeline.py").write_text("print('other')\n")
    assert cli("apply", NAME, "--env", "EU", "--bump", "patch", "--yes").code == 0
    moved = tags(sandbox)
    with RegistryClient(f"{sandbox.registry}/examples/{NAME}") as registry:
        registry.tag(str(moved["1.0.0"]), "eu")

    assert cli("drift", NAME, "--env", "EU").code == 11
    assert cli("apply", NAME, "--env", "EU", "--yes").code == 0
    assert tags(sandbox) == moved


def test_an_environment_gets_a_channel_later(cli: Cli, file: Path, sandbox: Sandbox) -> None:
    text = file.read_text()
    file.write_text(text.replace('channel = "eu"\n', ""))
    assert cli("apply", NAME, "--env", "EU", "--yes").code == 0
    assert set(tags(sandbox)) == {"1.0.0", "latest"}

    file.write_text(text)
    plan = cli("plan", NAME, "--env", "EU", "--json")
    changes = {
        (step["address"].partition("/")[0], change["path"]): change
        for step in json.loads(plan.out)["steps"]
        for change in step["changes"]
        if change["desired"] != change["live"]
    }
    assert set(changes) == {("image", "channel"), ("processing", "docker_tag")}
    assert (changes["image", "channel"]["live"], changes["image", "channel"]["desired"]) == ("latest", "eu")
    assert cli("apply", NAME, "--env", "EU", "--yes").code == 0
    assert set(tags(sandbox)) == {"1.0.0", "eu", "latest"}
    assert registered(sandbox) == "eu"


def test_a_report_names_the_line_of_the_channel(cli: Cli, file: Path, sandbox: Sandbox) -> None:
    assert cli("apply", NAME, "--env", "EU", "--yes").code == 0
    sandbox.platform.edit_processing(NAME, docker_tag="latest")
    ended = cli("drift", NAME, "--env", "EU")
    assert ended.code == 11
    assert f"set at           {file}:4" in ended.out


def test_image_shows_the_channel(cli: Cli, file: Path, sandbox: Sandbox) -> None:
    assert cli("apply", NAME, "--env", "EU", "--yes").code == 0
    shown = json.loads(cli("image", NAME, "--env", "EU", "--json").out)
    assert (shown["verdict"], shown["source"]["channel"]) == ("published", "eu")
    assert set(shown["tags"]) == {"1.0.0", "eu"}


@pytest.mark.parametrize("others", ["us", "latest", "test", "staging"])
def test_a_renamed_channel_is_pending_whatever_else_points_there(
    cli: Cli, file: Path, sandbox: Sandbox, others: str
) -> None:
    file.write_text(file.read_text().replace('channel = "us"', f'channel = "{others}"'))
    for name in ("EU", "US"):
        assert cli("apply", NAME, "--env", name, "--yes").code == 0
    file.write_text(file.read_text().replace('channel = "eu"', 'channel = "europe"'))

    ended = cli("drift", NAME, "--env", "EU", "--json", str(cli.folder / "drift.json"))

    assert ended.code == 10
    stacks = json.loads((cli.folder / "drift.json").read_text())["stacks"]
    assert {found["class"] for stack in stacks for found in stack["findings"]} == {"pending"}
    assert cli("apply", NAME, "--env", "EU", "--yes").code == 0
    assert registered(sandbox) == "europe"
