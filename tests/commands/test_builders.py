"""Commands select a builder, name it, and refuse settings that it does not support."""

import gc
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from tests.commands import folders
from tests.conftest import Cli, copy_example
from tests.services import BUSYBOX, Registry, engine_client, run_image

SCRIPT = """#!/bin/sh
echo "$*" >> {calls}
case "$*" in
  "buildx version") {buildx} ;;
  "buildx inspect") echo "Driver: docker" ;;
  *Client*) echo 28.2.2 ;;
esac
"""


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    """The calls of the `docker` command, one per line."""
    return tmp_path / "calls"


@pytest.fixture
def docker(tmp_path: Path, calls: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Replace the `docker` command with a script, with or without buildx."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")

    def make(*, buildx: bool) -> None:
        script = SCRIPT.format(calls=calls, buildx="echo buildx 0.13.1" if buildx else "exit 1")
        (folder / "docker").write_text(script)
        (folder / "docker").chmod(0o755)

    return make


def settings(folder: Path, text: str) -> None:
    with (folder / "config.toml").open("a") as config:
        config.write(f"\n[reconciler.image]\n{text}\n")


@pytest.mark.docker
class TestOnAnEngine:
    @pytest.fixture
    def image_name(
        self,
        sandbox: Sandbox,
        docker_engine: str,
        registry: Registry,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> str:
        monkeypatch.setenv("DOCKER_HOST", docker_engine)
        return f"{registry.address}/{tmp_path.name}/app"

    def test_the_builder_is_named_and_only_a_build_needs_one(
        self, cli: Cli, image_name: str, docker: Callable[..., None], calls: Path
    ) -> None:
        folders.processing(cli.folder / "app", image_name, BUSYBOX)
        docker(buildx=True)
        planned = json.loads(cli("plan", "app", "--json", "--out", "saved.json").out)
        [said] = [found for found in planned["diagnostics"] if "built by" in found["summary"]]
        words = 'the image is built by docker buildx (builder = "buildx"): docker buildx 0.13.1 is installed'
        assert said["summary"] == words
        assert (said["severity"], said["address"].partition("/")[0]) == ("info", "image")

        docker(buildx=False)  # the plan is applied on another machine
        applied = cli("apply", "--plan", "saved.json")
        assert applied.code == 0, applied.err
        assert (
            'the image is built by the Docker Engine (builder = "engine"): '
            "a Docker Engine is running (Docker CLI 28.2.2 has no buildx; "
            "Docker CLI 28.2.2 has BuildKit only with buildx)" in " ".join(applied.err.split())
        )

        calls.unlink()
        again = cli("apply", "app")
        assert (again.code, "built by" in again.err) == (0, False)
        assert not calls.exists()

    def test_a_context_above_the_pipeline(
        self, cli: Cli, image_name: str, docker: Callable[..., None], docker_engine: str
    ) -> None:
        docker(buildx=False)
        app = folders.processing(cli.folder / "pipelines" / "app", image_name, BUSYBOX)
        (cli.folder / "shared.py").write_text("SHARED = 1\n")
        (app / "Dockerfile").write_text(
            "FROM scratch\nCOPY pipelines/app/busybox /bin/busybox\nCOPY . /all\n"
        )
        settings(app, 'context = "../.."')
        applied = cli("apply", "app", "--bump", "minor")
        assert applied.code == 0, applied.err
        client = engine_client(docker_engine)
        try:
            files = ("/all/shared.py", "/all/pipelines/app/config.toml")
            text = run_image(client, f"{image_name}:1.1.0", "/bin/busybox", "cat", *files)
        finally:
            client.close()
        assert "SHARED = 1" in text
        assert 'version = "1.1.0"' in text

        bumped = cli("plan", "app", "--bump", "patch", "--force-bump")
        assert "same-source: re-tagged, no build" in bumped.out
        (cli.folder / "shared.py").write_text("SHARED = 2\n")
        assert "source-changed: shared.py changed" in cli("plan", "app").out


BUILDERS = ("", 'builder = "engine"', 'builder = "buildx"', 'builder = "buildkit"')


# docker-py does not close a socket after a failed connection
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("builder", BUILDERS, ids=lambda text: text or "auto")
def test_a_plan_that_this_machine_cannot_build_says_so(
    builder: str, cli: Cli, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is made all the same, as another machine may apply it; here, apply fails for the same reason."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    app = folders.processing(cli.folder / "app", f"{sandbox.registry}/team/app")
    settings(app, builder)
    settings(folders.processing(cli.folder / "other", f"{sandbox.registry}/team/other"), builder)

    planned, many = cli("plan", "app", "--json"), cli("plan", "--all", "--exit-code")
    assert sandbox.writes() == []
    refused = cli("apply", "app")

    assert (planned.code, many.code, refused.code) == (0, 10, 1)
    [found] = [one for one in json.loads(planned.out)["diagnostics"] if one["severity"] == "warning"]
    assert "this machine cannot build the image" in found["summary"]
    assert many.err.count("this machine cannot build the image") == 2
    fleet = cli("apply", "--all", "--yes")
    assert (fleet.code, fleet.err.count("this machine cannot build the image")) == (1, 1)
    cause = found["detail"].splitlines()[0]
    assert cause in refused.err
    assert sandbox.writes(service="platform") == []
    gc.collect()


def test_a_plan_without_a_build_needs_no_builder(
    cli: Cli, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no.sock")
    copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    for _ in range(2):
        assert "cannot be built" not in cli("plan", "dataset_cleanup").err
        assert cli("apply", "dataset_cleanup", "--yes").code == 0


def test_an_unsupported_setting_is_refused_with_its_line(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_TOKEN", raising=False)
    app = folders.processing(cli.folder / "app", f"{sandbox.registry}/team/app")
    settings(app, 'builder = "buildx"\nsecrets = ["PIP_TOKEN"]')
    line = (app / "config.toml").read_text().splitlines().index('secrets = ["PIP_TOKEN"]') + 1
    refused = cli("apply", "app")
    assert refused.code == 1
    assert f"config.toml:{line}" in refused.err
    assert "the environment variable PIP_TOKEN, which is not set" in " ".join(refused.err.split())
    assert sandbox.writes(service="platform") == []


def test_a_secret_value_instead_of_its_name_is_not_shown(cli: Cli, sandbox: Sandbox) -> None:
    app = folders.processing(cli.folder / "app", f"{sandbox.registry}/team/app")
    settings(app, 'secrets = ["hush-hush"]')
    refused = cli("validate", "app")
    assert refused.code == 1
    assert "not the name of an environment variable" in " ".join(refused.err.split())
    assert "hush" not in refused.out + refused.err
