"""What the official CLI does to a user's files, beside what ours does to the same ones."""

import io
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from reconciler.credentials import saved
from tests.conftest import Cli, copy_example
from tests.official.installed import Official

pytestmark = pytest.mark.official

NAME = "dataset_cleanup"
THEIR_BUMP = f"""
from picsellia_pipelines_cli.utils.deployer import bump_pipeline_version
from picsellia_pipelines_cli.utils.pipeline_config import PipelineConfig

config = PipelineConfig("{NAME}")
config.config["metadata"]["version"] = bump_pipeline_version(config, "patch")
config.save()
"""


@pytest.fixture
def config(cli: Cli, sandbox: Sandbox) -> Path:
    return copy_example(NAME, cli.folder, sandbox.registry) / "config.toml"


@pytest.fixture
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_official_failure_07_a_bump_that_loses_the_comments(
    cli: Cli, config: Path, home: Path, official: Official
) -> None:
    before = config.read_text()
    assert "\n# " in before

    official.code(THEIR_BUMP, cwd=cli.folder, environment={"HOME": str(home)})
    assert "#" not in config.read_text()

    config.write_text(before)
    assert cli("bump", "patch", NAME).code == 0
    assert config.read_text() == before.replace('version = "1.0"', 'version = "1.0.1"').replace(
        'image_tag = ""', 'image_tag = "latest"'
    )


@pytest.mark.parametrize(("version", "theirs"), [("v1.2", "0.1.1"), ("abc", "0.1.1")])
def test_official_failure_14_a_version_that_is_none_becomes_another_one(
    cli: Cli, config: Path, home: Path, official: Official, version: str, theirs: str
) -> None:
    config.write_text(config.read_text().replace('version = "1.0"', f'version = "{version}"'))
    before = config.read_text()

    refused = cli("bump", "patch", NAME)
    assert refused.code == 1
    assert f"{NAME}/config.toml:3" in refused.err
    assert f"'{version}' is not a version" in refused.err
    assert config.read_text() == before

    official.code(THEIR_BUMP, cwd=cli.folder, environment={"HOME": str(home)})
    assert f'version = "{theirs}"' in config.read_text()


def test_official_failure_16_a_token_that_everybody_on_the_machine_can_read(
    cli: Cli,
    sandbox: Sandbox,
    home: Path,
    official: Official,
    usual_umask: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    where = ("--organization", sandbox.organization, "--env", "CUSTOM")
    environment = {"HOME": str(home)}
    official.cli(
        "login", *where, "--token", sandbox.token, cwd=home, environment=environment, answers=sandbox.url
    )
    files = (saved.credentials_file(), saved.context_file())
    assert [mode(file) & 0o044 for file in files] == [0o044, 0o044]

    monkeypatch.setattr(sys, "stdin", io.StringIO(sandbox.token))
    assert cli("login", *where, "--token-stdin").code == 0
    assert [mode(file) for file in files] == [0o600, 0o600]
