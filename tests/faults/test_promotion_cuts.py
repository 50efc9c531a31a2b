"""A promotion between two registries is cut off at every request, as when its process is killed there.

The source is the sandbox's registry. The target is a registry of its own that requires a login, behind a
proxy that lets no request through from the k-th on.
"""

import base64
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from providers import retries
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.logins import push_login
from providers.docker.registry.manifests import Blob, referrers_tag
from providers.sandbox import Sandbox
from tests.conftest import CASES, Cli, copy_example
from tests.docker.proxy import Proxy, proxy_to
from tests.quick import skip_waits
from tests.services import Registry

pytestmark = pytest.mark.registry

NAME, REPOSITORY = "dataset_cleanup", "examples/dataset_cleanup"


@dataclass
class Bench:
    """A user whose TEST runs a candidate, which LIVE gets in another registry.

    Attributes:
        target: the proxy before that registry.
        digest: of the candidate.
        requests: what the target registry got in the last promotion.
    """

    cli: Cli
    sandbox: Sandbox
    target: Proxy
    state: Path
    digest: str = ""
    requests: int = 0

    def start(self, number: int) -> None:
        """A new repository for LIVE, and the state and the files before any promotion."""
        for file in self.state.parent.glob(f"{self.state.name}*"):
            file.unlink()
        for file in self.state.parent.glob("before.db*"):
            (self.state.parent / file.name.replace("before.db", self.state.name)).write_bytes(
                file.read_bytes()
            )
        (self.cli.folder / NAME / "config.toml").write_text(
            (self.cli.folder / "before.toml").read_text()
            + f'\n[reconciler.env.LIVE.docker]\nimage_name = "{self.target.address}/live/app-{number}"\n'
        )

    def keep(self) -> None:
        """Remember the state and the files."""
        for file in self.state.parent.glob(f"{self.state.name}*"):
            (self.state.parent / file.name.replace(self.state.name, "before.db")).write_bytes(
                file.read_bytes()
            )
        (self.cli.folder / "before.toml").write_bytes((self.cli.folder / NAME / "config.toml").read_bytes())

    def promote(self, cut_at: int | None = None) -> int:
        """The exit code of a promotion whose target is cut off from a request on."""
        self.requests = 0

        def interfere(method: str, path: str, body: bytes) -> None:
            self.requests += 1
            if cut_at is not None and self.requests >= cut_at:
                raise ConnectionAbortedError

        self.target.interfere = interfere
        arguments = ("--from", "TEST", "--to", "LIVE", "--final", "--yes", "--parallel", "1")
        ended = self.cli("promote", NAME, *arguments)
        assert "Traceback" not in ended.err and "a bug in" not in ended.err, ended.err
        self.target.interfere = lambda method, path, body: None
        return ended.code

    def tags(self, number: int) -> dict[str, str]:
        """The digest of each tag in the repository of LIVE."""
        with RegistryClient(f"{self.target.address}/live/app-{number}", look_up=push_login) as client:
            found = {tag: client.digest(tag) for tag in ("1.0.1", "live")}
        return {tag: digest for tag, digest in found.items() if digest is not None}

    def assert_complete(self, number: int) -> None:
        """The image is there with its blobs and with the attestation that refers to it."""
        with (
            RegistryClient(f"{self.target.address}/live/app-{number}", look_up=push_login) as client,
            RegistryClient(f"{self.sandbox.registry}/{REPOSITORY}") as source,
        ):
            image = client.image(self.digest)
            assert image is not None
            for layer in image.layers:
                assert list(client.read_blob(Blob("", layer.digest, layer.size)))
            (statement,) = source.referrers(self.digest) or ()
            index = client.manifest(referrers_tag(self.digest))
            assert index is not None
            (listed,) = json.loads(index.content)["manifests"]
            assert listed["digest"] == statement["digest"] == client.digest(statement["digest"])


@pytest.fixture
def bench(
    cli: Cli,
    environments: Sandbox,
    secured_registry: Registry,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Bench]:
    monkeypatch.setattr(retries, "FIRST_DELAY", 0.001)
    skip_waits(monkeypatch)
    with proxy_to(secured_registry.address) as proxy:
        docker = tmp_path / "docker"
        docker.mkdir()
        monkeypatch.setenv("DOCKER_CONFIG", str(docker))
        login = f"{secured_registry.username}:{secured_registry.password}".encode()
        auths = {proxy.address: {"auth": base64.b64encode(login).decode()}}
        (docker / "config.json").write_text(json.dumps({"auths": auths}))
        copy_example(NAME, cli.folder, environments.registry)
        config = cli.folder / NAME / "config.toml"
        text = config.read_text()
        assert "[reconciler.image]\n" in text
        config.write_text(text.replace("[reconciler.image]\n", "[reconciler.image]\nprovenance = true\n"))
        made = Bench(cli, environments, proxy, tmp_path / "state.db")
        applied = cli("apply", NAME, "--env", "TEST", "--bump", "rc", "--force-bump", "--yes")
        assert applied.code == 0, applied.err
        with RegistryClient(f"{environments.registry}/{REPOSITORY}") as client:
            made.digest = client.digest("1.0.1-rc") or ""
        made.keep()
        yield made


def play(bench: Bench, numbers: Sequence[int]) -> None:
    """Cut the promotion off at each of these requests, and run it again."""
    for number in numbers:
        bench.start(number)
        CASES["requests of a promotion that were cut off, and a second run that finished"] += 1

        code = bench.promote(cut_at=number)

        assert code != 0, number
        tags = bench.tags(number)
        if tags:  # never a tag without its image, and what belongs to that
            assert set(tags.values()) == {bench.digest}
            bench.assert_complete(number)
        assert bench.promote() == 0, number
        assert bench.tags(number) == {"1.0.1": bench.digest, "live": bench.digest}
        bench.assert_complete(number)
    assert bench.promote() == 0


def undisturbed(bench: Bench) -> int:
    """The number of requests to the target that a promotion needs."""
    bench.start(0)
    assert bench.promote() == 0
    bench.assert_complete(0)
    return bench.requests


def test_a_promotion_that_is_cut_off_is_finished_by_the_next_run(bench: Bench) -> None:
    """Every third request, and the last ones, where the tags are put."""
    needed = undisturbed(bench)
    assert needed > 40
    play(bench, [*range(2, needed - 9, 4), *range(needed - 9, needed + 1)])


@pytest.mark.full
def test_a_promotion_is_finished_whichever_request_it_was_cut_off_at(bench: Bench) -> None:
    play(bench, range(1, undisturbed(bench) + 1))


def test_the_login_of_variables_is_sent_to_the_target_only(
    bench: Bench, secured_registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.start(1)
    with proxy_to(bench.sandbox.registry) as source:
        config = bench.cli.folder / NAME / "config.toml"
        overlay = f'\n[reconciler.env.TEST.docker]\nimage_name = "{source.address}/{REPOSITORY}"\n'
        config.write_text(config.read_text() + overlay)
        applied = bench.cli("apply", NAME, "--env", "TEST", "--yes")
        assert applied.code == 0, applied.err
        source.seen.clear()
        (tmp_path / "docker" / "config.json").unlink()
        monkeypatch.setenv("DOCKER_USERNAME", secured_registry.username)
        monkeypatch.setenv("DOCKER_PASSWORD", secured_registry.password)

        assert bench.promote() == 0

        assert {seen.authorization for seen in source.seen} == {""}
    bench.assert_complete(1)
