"""Fixtures of the image tests: real services, an empty Docker configuration, a base image."""

import base64
import gzip
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from providers.docker.builders.select import Builder
from providers.docker.registry.auth import Login
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.logins import PASSWORDS, USERNAMES, push_login
from providers.docker.registry.manifests import DOCKER_MANIFEST, OCI_MANIFEST, Blob
from providers.docker.source.key import ImageSource
from providers.protocol import Report, silent
from tests.services import BUSYBOX, Registry, engine_client

BASE_TYPES = {
    "docker": (
        DOCKER_MANIFEST,
        "application/vnd.docker.container.image.v1+json",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
    ),
    "oci": (
        OCI_MANIFEST,
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.oci.image.layer.v1.tar+gzip",
    ),
}


@pytest.fixture(autouse=True)
def docker_config(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty DOCKER_CONFIG, so no test uses the logins of this user."""
    folder = tmp_path_factory.mktemp("docker-config")
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    for name in ("DOCKER_CONTEXT", *USERNAMES, *PASSWORDS):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture(autouse=True)
def build_logs(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder for the logs of builds."""
    folder = tmp_path_factory.mktemp("state")
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    return folder / "picsellia-reconciler" / "log" / "builds"


@pytest.fixture
def engine(docker_engine: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client of the Engine of these tests."""
    monkeypatch.setenv("DOCKER_HOST", docker_engine)
    client = engine_client(docker_engine)
    yield client
    client.close()


@pytest.fixture
def use_buildx(docker_config: Path, buildx_plugins: Path) -> None:
    """Give the `docker` command its plugin."""
    (docker_config / "cli-plugins").symlink_to(buildx_plugins)


@pytest.fixture
def use_old_docker(
    old_docker: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Put a `docker` command that has BuildKit built in first on the PATH."""
    folder = tmp_path_factory.mktemp("bin")
    (folder / "docker").symlink_to(old_docker / "docker")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def log_in(docker_config: Path) -> Callable[..., None]:
    """Store a login as `docker login` does."""

    def store(address: str, username: str, password: str) -> None:
        path = docker_config / "config.json"
        config = json.loads(path.read_text()) if path.exists() else {"auths": {}}
        auth = base64.b64encode(f"{username}:{password}".encode()).decode()
        config["auths"][address] = {"auth": auth}
        path.write_text(json.dumps(config))

    return store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A small pipeline folder."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY . /experiment\n")
    (tmp_path / "config.toml").write_text('[metadata]\nversion = "1.0.0"\n')
    (tmp_path / "pipeline.py").write_text("print('hello')\n")
    (tmp_path / "utils").mkdir()
    (tmp_path / "utils" / "steps.py").write_text("STEPS = 3\n")
    return tmp_path


@pytest.fixture
def push_base() -> Callable[..., str]:
    """Publish busybox as an image, through the registry alone. Returns its name."""

    def push(
        at: Registry | str, repository: str, family: str = "docker", platform: str = "linux/amd64"
    ) -> str:
        address = at if isinstance(at, str) else at.address
        manifest_type, config_type, layer_type = BASE_TYPES[family]
        layer, diff_id = busybox_layer()
        system, architecture = platform.split("/")
        config = json.dumps(
            {
                "os": system,
                "architecture": architecture,
                "config": {
                    "Env": ["PATH=/bin", "A=base"],
                    "Cmd": ["sh"],
                    "Labels": {"base": "busybox"},
                    "WorkingDir": "",
                },
                "rootfs": {"type": "layers", "diff_ids": [diff_id]},
            }
        ).encode()
        blobs = [(config_type, config), (layer_type, layer)]
        with RegistryClient(f"{address}/{repository}", look_up=push_login) as client:
            described = []
            for media_type, content in blobs:
                digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
                blob = Blob(media_type, digest, len(content))
                client.upload(blob, lambda start, content=content: [content[start:]])
                described.append(blob.descriptor())
            manifest = {
                "schemaVersion": 2,
                "mediaType": manifest_type,
                "config": described[0],
                "layers": described[1:],
            }
            client.put_manifest("base", manifest_type, json.dumps(manifest).encode())
        return f"{address}/{repository}:base"

    return push


def busybox_layer() -> tuple[bytes, str]:
    """busybox with the tools that tests run: the compressed layer, and the digest of its content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        program = tarfile.TarInfo("bin/busybox")
        content = BUSYBOX.read_bytes()
        program.size, program.mode = len(content), 0o755
        tar.addfile(program, io.BytesIO(content))
        for name in ("sh", "cat", "ls", "find", "sha256sum", "pwd", "env"):
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    diff_id = f"sha256:{hashlib.sha256(buffer.getvalue()).hexdigest()}"
    return gzip.compress(buffer.getvalue(), mtime=0), diff_id


def publish(
    builder: Builder,
    source: ImageSource,
    repository: str,
    tag: str = "1.0.0",
    labels: Mapping[str, str] = MappingProxyType({}),
    report: Report = silent,
) -> str:
    """Build and push an image, and put its tag. Returns its digest."""
    digest = builder.publish(source, repository, tag, labels, report)
    with RegistryClient(repository, look_up=push_login) as client:
        return client.tag(digest, tag)


def blob_of(content: bytes) -> Blob:
    """The descriptor of this content."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return Blob("application/octet-stream", digest, len(content))


def nobody(_: str) -> Login | None:
    """A look-up without a login."""
    return None
