"""The bytes of `append`: how many are sent, and that they are the same on each machine."""

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from providers.docker.builders.append import AppendBuilder
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.manifests import OCI_MANIFEST, Blob
from providers.docker.source.key import ImageSource
from providers.protocol import silent
from tests.docker.line import line_to
from tests.docker.proxy import proxy_to
from tests.services import Registry

pytestmark = pytest.mark.registry

ROOT = Path(__file__).parents[2]
LAYER = 6_000_000  # bytes; two of them exceed the allowed traffic
PUBLISH = """
import os, sys, time
from pathlib import Path
os.umask(int(sys.argv[1], 8))
from providers.docker.builders.append import AppendBuilder
from providers.docker.source.key import ImageSource
from providers.protocol import silent
folder, base, repository = sys.argv[2:]
source = ImageSource(folder=Path(folder), base=base, env={"B": "2", "A": "1"}, workdir="/experiment")
print(AppendBuilder(source, "").publish(source, repository, "1.0.0", {"b": "2", "a": "1"}, silent))
"""


def publish(folder: Path, base: str, repository: str, tag: str) -> None:
    source = ImageSource(folder=folder, base=base, workdir="/experiment")
    builder = AppendBuilder(source, "asked for")
    builder.check()
    digest = builder.publish(source, repository, tag, {}, silent)
    with RegistryClient(repository) as client:
        client.tag(digest, tag)
        client.tag(digest, "latest")


def push_large_base(repository: str) -> tuple[Blob, ...]:
    """A base of two incompressible layers."""
    chance = random.Random(0)
    contents = [chance.randbytes(LAYER) for _ in range(2)]
    config = {
        "os": "linux",
        "architecture": "amd64",
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{number}" * 8 for number in range(2)]},
    }
    blobs = []
    with RegistryClient(repository) as client:
        for content in (json.dumps(config).encode(), *contents):
            digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
            blobs.append(Blob("application/vnd.oci.image.layer.v1.tar+gzip", digest, len(content)))
            client.upload(blobs[-1], lambda start, content=content: [content[start:]])
        described = [blob.descriptor() for blob in blobs]
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {**described[0], "mediaType": "application/vnd.oci.image.config.v1+json"},
            "layers": described[1:],
        }
        client.put_manifest("1", OCI_MANIFEST, json.dumps(manifest).encode())
    return tuple(blobs[1:])


@pytest.mark.parametrize("repository", ["bytes/base", "bytes/app"])
def test_a_changed_line_sends_a_few_kilobytes_and_reads_nothing_of_the_base(
    registry: Registry, folder: Path, repository: str
) -> None:
    """With the base in the image's repository, and in another one of the registry."""
    layers = push_large_base(f"{registry.address}/bytes/base")
    for tag in ("1.0.0", "1.0.1"):
        with (folder / "pipeline.py").open("a") as code:
            code.write(f"# {tag}\n")
        with proxy_to(registry.address) as proxy, line_to(proxy.address) as line:
            publish(folder, f"{line.address}/bytes/base:1", f"{line.address}/{repository}", tag)
            assert 0 < line.sent < 100_000
            assert 0 < line.received < 100_000
            for layer in layers:
                assert proxy.requests("GET", layer.digest) == []
    with RegistryClient(f"{registry.address}/{repository}") as client:
        image = client.image("1.0.1")
        assert image and image.layers[:-1] == layers
        assert client.digest("latest") == image.digest


def test_two_machines_give_one_digest(
    registry: Registry, push_base: Callable[..., str], folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (folder / "é-中.txt").write_text("named in two scripts")
    (folder / "run").write_text("#!/bin/sh\n")
    (folder / "run").chmod(0o755)
    (folder / "link").symlink_to("run")
    base = push_base(registry, "machines/base")
    machines = [
        {"umask": "022", "TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "1"},
        {
            "umask": "077",
            "TZ": "Asia/Kathmandu",
            "LC_ALL": "C",
            "PYTHONHASHSEED": "2",
            "PYTHONUTF8": "0",
            "PYTHONCOERCECLOCALE": "0",
        },
    ]
    digests = set()
    for number, machine in enumerate(machines):
        home = tmp_path_factory.mktemp(f"machine{number}")
        checkout = copy_in_another_order(folder, home / f"of-user-{number}", backwards=bool(number))
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), "DOCKER_CONFIG": str(home), **machine}
        repository = f"{registry.address}/machines/number{number}"
        command = [sys.executable, "-c", PUBLISH, environment.pop("umask"), str(checkout), base, repository]
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        digests.add(done.stdout.strip())
    assert len(digests) == 1
    assert digests.pop().startswith("sha256:")


def copy_in_another_order(folder: Path, to: Path, *, backwards: bool) -> Path:
    """A copy with other times, created in reverse order and group-writable if `backwards`."""
    to.mkdir()
    for path in sorted(folder.rglob("*"), reverse=backwards):
        copy = to / path.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            copy.mkdir(exist_ok=True)
        else:
            shutil.copy(path, copy, follow_symlinks=False)
            os.utime(copy, (1, 1 + backwards), follow_symlinks=False)
        if backwards and not copy.is_symlink():
            copy.chmod(copy.stat().st_mode | 0o020)
    return to
