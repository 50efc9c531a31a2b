"""A team's repository with two pipelines, its sandbox, its bucket, and the services that run workflows."""

import subprocess
from pathlib import Path
from uuid import uuid4

import pytest

from providers.sandbox import Sandbox
from tests.ci.github import GitHub
from tests.ci.gitlab import GitLab
from tests.ci.machine import Machine, commit
from tests.conftest import Cli, copy_example
from tests.state.servers import Bucket, use

PIPELINES = ("dataset_cleanup", "single_training")
LOGIN = {"REGISTRY_USERNAME": "robot", "REGISTRY_PASSWORD": "password-of-the-registry"}


@pytest.fixture
def machine(
    cli: Cli, sandbox: Sandbox, s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Machine:
    """Runs scripts in clones of what the user, who is in `cli.folder`, has pushed."""
    use(s3, monkeypatch)
    monkeypatch.setenv("RECONCILER_STATE", f"{s3.url}/{uuid4()}")
    remote = tmp_path / "remote.git"
    for words in (["init", "-q", "--bare", "-b", "main", remote], ["init", "-q", "-b", "main", cli.folder]):
        subprocess.run(["git", *words], check=True)
    subprocess.run(["git", "remote", "add", "origin", remote], cwd=cli.folder, check=True)
    for name in PIPELINES:
        copy_example(name, cli.folder, sandbox.registry)
    commit(cli.folder, "Our pipelines")
    variables = {"PICSELLIA_CUSTOM_ENV": sandbox.url, "AWS_ENDPOINT_URL": s3.variables["AWS_ENDPOINT_URL"]}
    secrets = {sandbox.token, sandbox.read_only_token, LOGIN["REGISTRY_PASSWORD"]}
    return Machine(tmp_path / "machine", remote, variables, secrets)


@pytest.fixture
def settings(
    sandbox: Sandbox, s3: Bucket, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """What docs/how-to/ci.md tells to set that is no secret."""
    import os

    return {
        "PICSELLIA_ORGANIZATION": sandbox.organization,
        "PICSELLIA_ENV": "CUSTOM",
        "RECONCILER_STATE": os.environ["RECONCILER_STATE"],
        "AWS_REGION": s3.variables["AWS_REGION"],
        "REGISTRY": sandbox.registry,
    }


@pytest.fixture
def secrets(sandbox: Sandbox, s3: Bucket) -> dict[str, str]:
    """What docs/how-to/ci.md tells to keep secret, as everything but a deploy sees it."""
    return {
        "PICSELLIA_TOKEN": sandbox.read_only_token,
        **{
            name: value
            for name, value in s3.variables.items()
            if name.startswith(("AWS_ACCESS", "AWS_SECRET"))
        },
        **LOGIN,
    }


@pytest.fixture
def github(machine: Machine, settings: dict[str, str], secrets: dict[str, str], sandbox: Sandbox) -> GitHub:
    return GitHub(machine, settings, secrets, {"production": {"PICSELLIA_TOKEN": sandbox.token}})


@pytest.fixture
def gitlab(machine: Machine, settings: dict[str, str], secrets: dict[str, str], sandbox: Sandbox) -> GitLab:
    return GitLab(machine, settings | secrets, {"production": {"PICSELLIA_TOKEN": sandbox.token}})
