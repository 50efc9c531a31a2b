"""Sources that the build context does not have. Real builders have the last word."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from providers.docker.source.dockerfile_features import missing_sources, needs_buildkit
from tests.services import BUSYBOX

pytestmark = pytest.mark.docker

FILES = ("bin/busybox", "lib/a.py", "top.py")
COPIES = [
    "COPY ../lib /x/",
    "COPY ../shared /x/",
    'COPY "../lib" /x/',
    'COPY "../shared" /x/',
    "COPY ../lib/*.py /x/",
    "COPY ../shared/*.py /x/",
    "COPY .. /x/",
    "COPY lib/*.py /x/",
    "COPY 'lib' /x/",
    "COPY shared/*.py /x/",
    'COPY ["../lib", "/x/"]',
    'COPY ["../shared", "/x/"]',
    'ADD ["../shared/*.py", "/x/"]',
    "COPY lib/../../lib /x/",
    "COPY lib/../../shared /x/",
    "ADD /../lib /x/",
    "COPY /../shared /x/",
    'COPY ../sha"red" /x/',
    "COPY lib/../lib /x/",
    "COPY top.py lib/../missing.py /x/",
]
MOUNTS = [
    f'RUN --mount={mount},target=/x --mount=source=bin,target=/bin ["/bin/busybox", "true"]'
    for mount in (
        "type=bind,source=../lib",
        "type=bind,source=../shared",
        'type=bind,source="../shared"',
        'type=bind,"source=../shared"',
        "src=../lib/",
        "src=shared",
        "type=bind,source=l*",
        "type=tmpfs",
    )
]


@pytest.fixture
def context(tmp_path: Path) -> Path:
    for name in FILES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(BUSYBOX.read_bytes())
        (tmp_path / name).chmod(0o755)
    return tmp_path


@pytest.fixture
def fails(context: Path, docker_config: Path) -> Callable[..., bool]:
    """Whether the build of one instruction fails."""

    def build(instruction: str, host: str, *command: str) -> bool:
        (context / "Dockerfile").write_text(f"FROM scratch\n{instruction}\n")
        environment = {
            **os.environ,
            "DOCKER_HOST": host,
            "DOCKER_CONFIG": str(docker_config),
            "DOCKER_BUILDKIT": "0",
        }
        done = subprocess.run(
            [*command, str(context)], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0 or "failed" in done.stderr, done.stderr
        return done.returncode != 0

    return build


def is_missing(instruction: str) -> bool:
    return bool(missing_sources(f"FROM scratch\n{instruction}\n", FILES, lambda _: False))


def test_buildkit_agrees(fails: Callable[..., bool], attesting_engine: str, use_buildx: None) -> None:
    command = ("docker", "buildx", "build")
    built = {one: fails(one, attesting_engine, *command) for one in COPIES + MOUNTS}
    assert built == {one: is_missing(one) for one in built}


def test_the_builder_of_an_engine_agrees(fails: Callable[..., bool], docker_engine: str) -> None:
    """It refuses what leads out of the context, also where BuildKit finds it inside."""
    built = {one: fails(one, docker_engine, "docker", "build") for one in COPIES}
    assert built == {one: bool(needs_buildkit(one)) or is_missing(one) for one in built}
