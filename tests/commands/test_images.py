"""Published images are not built again: which changes need a build, with a Docker Engine and a registry."""

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from providers.docker.registry.client import RegistryClient
from providers.docker.registry.reference import UPLOAD_TAG
from providers.sandbox import Sandbox
from tests.commands import folders
from tests.conftest import Cli
from tests.docker.proxy import Proxy, proxy_to
from tests.services import Registry, engine_client

pytestmark = pytest.mark.docker


@dataclass
class Costs:
    """Counts builds and uploads since the last call."""

    engine: str
    repository: str
    door: Proxy
    since: float

    def builds(self) -> int:
        """The images that the Engine built: it tags each result as requested."""
        client = engine_client(self.engine)
        try:
            until = time.time()
            filters = {"type": "image", "event": "tag"}
            events = list(client.events(since=self.since, until=until, filters=filters, decode=True))
        finally:
            client.close()
        self.since = until
        names = [event["Actor"]["Attributes"]["name"] for event in events]
        return sum(n.startswith(self.repository) and not n.endswith(f":{UPLOAD_TAG}") for n in names)

    def layer_bytes(self) -> int:
        """Bytes of layers and configurations that went to the registry."""
        sent = sum(seen.received for seen in self.door.seen if "/blobs/" in seen.path)
        self.door.seen.clear()
        return sent


@pytest.fixture
def costs(docker_engine: str, registry: Registry, tmp_path: Path) -> Iterator[Costs]:
    with proxy_to(registry.address) as door:
        yield Costs(docker_engine, f"{door.address}/{tmp_path.name}/app", door, time.time())


@pytest.fixture
def pipeline(
    cli: Cli, sandbox: Sandbox, costs: Costs, docker_engine: str, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A published pipeline with its own repository."""
    monkeypatch.setenv("DOCKER_HOST", docker_engine)
    folder = folders.processing(cli.folder / "app", costs.repository)
    # One step only: the Engine's builder fails if the cache has it for another platform.
    (folder / "Dockerfile").write_text("FROM scratch\nCOPY . /app\n")
    (folder / "run.sh").write_text("cat /app/pipeline.py\n")
    with (folder / "config.toml").open("a") as config:
        config.write('\n[reconciler.image]\nbuilder = "engine"\n')
    applied = cli("apply", "app")
    assert applied.code == 0, applied.err
    assert costs.builds() == 1
    assert costs.layer_bytes() > 0
    return folder


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


def setting(pipeline: Path, line: str) -> None:
    with (pipeline / "config.toml").open("a") as config:
        config.write(f"{line}\n")


def test_a_fresh_clone_on_another_machine_builds_nothing_and_pushes_nothing(
    pipeline: Path, cli: Cli, costs: Costs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(pipeline.parent, "init", "-q")
    git(pipeline.parent, "add", "-A", "--force")
    git(pipeline.parent, "commit", "-q", "-m", "as published")
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    monkeypatch.setenv("RECONCILER_STATE", str(tmp_path / "nobody" / "state.db"))
    elsewhere = tmp_path / "elsewhere"
    subprocess.run(f"umask 077 && git clone -q {pipeline.parent} {elsewhere}", shell=True, check=True)
    monkeypatch.chdir(elsewhere)

    applied = cli("apply", "app")

    assert applied.code == 0, applied.err
    assert (costs.builds(), costs.layer_bytes()) == (0, 0)
    planned = cli("plan", "app", "--exit-code")
    assert planned.code == 0
    assert "Nothing to do" in planned.out


def test_each_change_of_the_source_is_listed_and_costs_one_build(
    pipeline: Path, cli: Cli, costs: Costs
) -> None:
    def edit() -> None:
        (pipeline / "pipeline.py").write_text("print(2)\n")

    def move() -> None:
        (pipeline / "parameters.py").rename(pipeline / "values.py")
        config = pipeline / "config.toml"
        config.write_text(config.read_text().replace("parameters.py:", "values.py:"))

    def chmod() -> None:
        (pipeline / "run.sh").chmod(0o755)

    def build_argument() -> None:
        setting(pipeline, 'build_args = { GREETING = "hello" }')

    def platform() -> None:
        setting(pipeline, 'platform = "linux/arm64"')

    for change, named in (
        (edit, "source-changed: pipeline.py changed  refused"),
        (move, "source-changed: config.toml changed, parameters.py moved to values.py  refused"),
        (chmod, "source-changed: run.sh changed  refused"),
        (build_argument, "source-changed: build argument GREETING added  refused"),
        (platform, "source-changed: platform changed  refused"),
    ):
        change()
        assert named in cli("plan", "app").out
        assert costs.builds() == 0
        applied = cli("apply", "app", "--bump", "patch")
        assert applied.code == 0, applied.err
        assert costs.builds() == 1, change.__name__
    assert cli("plan", "app", "--exit-code").code == 0


def test_only_a_new_version_is_a_new_tag(pipeline: Path, cli: Cli, costs: Costs) -> None:
    config = pipeline / "config.toml"
    config.write_text(config.read_text().replace('version = "1.0"', 'version = "2.0.0"'))
    assert "same-source: re-tagged, no build" in cli("plan", "app").out

    applied = cli("apply", "app")

    assert applied.code == 0, applied.err
    assert (costs.builds(), costs.layer_bytes()) == (0, 0)
    with RegistryClient(costs.repository) as client:
        assert client.digest("2.0.0") == client.digest("1.0.0") == client.digest("latest")


def test_a_channel_tag_moved_by_hand_is_found_and_restored(pipeline: Path, cli: Cli, costs: Costs) -> None:
    (pipeline / "pipeline.py").write_text("print(2)\n")
    assert cli("apply", "app", "--bump", "patch").code == 0
    with RegistryClient(costs.repository) as client:
        client.tag("1.0.0", "latest")
    costs.builds(), costs.layer_bytes()

    planned = cli("plan", "app", "--exit-code")
    assert planned.code == 11
    assert "tag-moved: latest points at sha256:" in planned.out
    assert cli("apply", "app").code == 0

    assert (costs.builds(), costs.layer_bytes()) == (0, 0)
    with RegistryClient(costs.repository) as client:
        assert client.digest("latest") == client.digest("1.0.1")
    assert cli("plan", "app", "--exit-code").code == 0
