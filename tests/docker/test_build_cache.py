"""A cache of layers in a registry, with a real BuildKit on two machines: what the second one pulls."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from providers.docker.builders import buildx
from providers.docker.builders.buildx import BuildxBuilder
from providers.docker.registry.client import RegistryClient
from providers.docker.source.key import ImageSource
from tests.docker.conftest import publish
from tests.services import Registry, buildkit_of, engine_client, run_image, started_new_engine

DOCKERFILE = """
FROM {base}
WORKDIR /experiment
COPY --link requirements.txt /experiment/
RUN cat requirements.txt > /installed
COPY --link . /experiment
"""


@pytest.fixture
def instance(use_buildx: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Lets buildx use the BuildKit at an address."""
    names: list[str] = []

    def use(address: str) -> None:
        names.append(f"cold-{len(names)}")
        command = ["docker", "buildx", "create", "--name", names[-1], "--driver", "remote", address]
        subprocess.run(command, check=True, capture_output=True)
        monkeypatch.setenv("BUILDX_BUILDER", names[-1])

    yield use
    for name in names:
        subprocess.run(["docker", "buildx", "rm", name], check=True, capture_output=True)


@pytest.mark.docker
@pytest.mark.registry
def test_a_changed_line_pulls_no_layer_of_the_base_on_a_new_machine(
    attesting_engine: str,
    new_docker: Path,
    instance: Callable[[str], None],
    registry: Registry,
    push_base: Callable[..., str],
    folder: Path,
) -> None:
    """As in CI: each job has a new machine, and a cache in the registry."""
    base, repository = push_base(registry, "cold/base"), f"{registry.address}/cold/app"
    with RegistryClient(f"{registry.address}/cold/base") as client:
        image = client.image("base")
        assert image is not None
        [layer] = image.layers
    (folder / "requirements.txt").write_text("numpy\n")
    (folder / "Dockerfile").write_text(DOCKERFILE.format(base=base))
    source = ImageSource(folder=folder, cache_to=(f"{registry.address}/cold/cache",))
    builder = BuildxBuilder(source, "configured")

    with buildkit_of(attesting_engine) as address:
        instance(address)
        builder.check()
        publish(builder, source, repository)
    pulls = len(registry.requests("GET", layer.digest))
    assert pulls > 0

    (folder / "pipeline.py").write_text("print('changed')\n")
    with started_new_engine(new_docker) as host, buildkit_of(host) as address:
        instance(address)
        publish(builder, source, repository, "1.0.1")
    assert len(registry.requests("GET", layer.digest)) == pulls

    with RegistryClient(repository) as client:
        image = client.image("1.0.1")
        assert image is not None and layer in image.layers
    client = engine_client(attesting_engine)
    try:
        shown = run_image(client, f"{repository}:1.0.1", "/bin/cat", "/installed", "pipeline.py")
    finally:
        client.close()
    assert shown == "numpy\nprint('changed')\n"


@pytest.mark.parametrize(
    ("cache_to", "cache_from", "options"),
    [
        ((), (), []),
        (
            ("reg.io/team/cache",),
            (),
            [
                *("--cache-to", "type=registry,ref=reg.io/team/cache,mode=max"),
                *("--cache-from", "type=registry,ref=reg.io/team/cache"),
            ],
        ),
        (
            ("reg.io/team/cache:a",),
            ("reg.io/team/cache:a",),
            ["--cache-to", "type=registry,ref=reg.io/team/cache:a,mode=max"],
        ),
        (("type=local,dest=/c",), (), ["--cache-to", "type=local,dest=/c"]),
    ],
)
def test_a_plain_reference_is_a_cache_of_all_layers_that_is_read_too(
    tmp_path: Path, cache_to: tuple[str, ...], cache_from: tuple[str, ...], options: list[str]
) -> None:
    source = ImageSource(folder=tmp_path, cache_to=cache_to, cache_from=cache_from)
    assert buildx._cache_options(source) == options


@pytest.mark.parametrize(
    ("inspected", "options"),
    [
        ("Name: default\nDriver: docker\n", ["--push"]),
        ("Name: ci\nDriver:        docker-container\n", ["--output", "type=image,push=true,store=false"]),
        ("Name: ci\nDriver: remote\n", ["--output", "type=image,push=true,store=false"]),
        (None, ["--push"]),
    ],
)
def test_only_an_engine_keeps_the_image_that_it_pushes(
    monkeypatch: pytest.MonkeyPatch, inspected: str | None, options: list[str]
) -> None:
    monkeypatch.setattr(buildx, "docker_output", lambda *_: inspected)
    assert buildx._push() == options
