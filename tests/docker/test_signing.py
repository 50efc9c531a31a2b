"""cosign and oras with images and statements of reconciler, in registries with and without referrers."""

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from providers.docker.provenance import statements
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.copying import copy_image
from providers.docker.source.key import ImageSource
from providers.sandbox import Sandbox
from tests.docker.test_statements import Machine
from tests.services import Registry

pytestmark = pytest.mark.registry

Run = Callable[..., str]


@pytest.fixture
def run(signing_tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs cosign and oras in a folder with a key."""
    folder = tmp_path_factory.mktemp("keys")
    environment: Mapping[str, str] = {**os.environ, "COSIGN_PASSWORD": "", "HOME": str(folder)}

    def command(program: str, *arguments: str) -> str:
        done = subprocess.run(
            [signing_tools / program, *arguments],
            cwd=folder,
            env={**environment, "COSIGN_EXPERIMENTAL": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    command("cosign", "generate-key-pair")
    return command


@pytest.mark.parametrize("mode", ["legacy", "oci-1-1"])
@pytest.mark.parametrize("place", ["sandbox", "debian"])
def test_a_signature_stays_beside_the_statement_and_is_copied_with_the_image(
    place: str,
    mode: str,
    run: Run,
    registry: Registry,
    sandbox: Sandbox,
    push_base: Callable[..., str],
    folder: Path,
) -> None:
    address = registry.address if place == "debian" else sandbox.registry
    name = f"{address}/{folder.name}/{mode}"
    Machine(name, ImageSource(folder=folder, base=push_base(address, f"{folder.name}/base"))).publish()
    options = ("--allow-http-registry", "--tlog-upload=false", "--yes", "--key", "cosign.key")
    with RegistryClient(name) as client, RegistryClient(f"{registry.address}/{folder.name}/copy") as copy:
        digest = client.digest("1.0.0")
        assert digest is not None
        run("cosign", "sign", *options, f"--registry-referrers-mode={mode}", f"{name}@{digest}")
        assert client.digest("1.0.0") == digest
        copy_image(client, copy, digest)
        for one in (client, copy):
            image = f"{one.repository}@{digest}"
            if mode == "legacy":  # cosign 2.5 does not verify what it stores as a referrer
                checks = ("--allow-http-registry", "--insecure-ignore-tlog", "--key", "cosign.pub")
                [signed] = json.loads(run("cosign", "verify", *checks, image))
                assert signed["critical"]["image"]["docker-manifest-digest"] == digest
            [statement] = statements(one, digest)
            assert statement.subject == digest
            listed = json.loads(run("oras", "discover", "--plain-http", "--format", "json", image))
            types = sorted(entry["artifactType"] for entry in listed["manifests"])
            signature = ["application/vnd.dev.cosign.artifact.sig.v1+json"] if mode == "oci-1-1" else []
            assert types == [*signature, "application/vnd.in-toto+json"]
