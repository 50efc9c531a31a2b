"""The builders against a real registry and a real Engine: published images, their start, traffic."""

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from providers.docker.builders.append import AppendBuilder
from providers.docker.builders.engine import EngineBuilder
from providers.docker.builders.select import BuilderName, select
from providers.docker.labels import BASE_DIGEST, BASE_NAME, SEAL, SOURCE_KEY
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.manifests import DOCKER_MANIFEST, OCI_MANIFEST, Blob
from providers.docker.source.key import ImageSource
from providers.errors import (
    GoneError,
    RefusedError,
    TransientError,
    UnauthorizedError,
)
from providers.protocol import Progress, silent
from tests.docker.conftest import publish
from tests.docker.proxy import Answer, proxy_to
from tests.services import BUSYBOX, Registry, run_image

LISTING = """
b=/experiment/busybox
find . | $b sort | while read -r path; do $b stat -c "%n %F %a %u" "$path"; done
find . -type f -exec sha256sum {} + | $b sort
find . -type l -exec $b readlink {} +
"""
LABELS = {SOURCE_KEY: "sha256:" + "1" * 64, "org.opencontainers.image.version": "1.0.0"}


def appended(folder: Path, base: str, **settings: Any) -> tuple[AppendBuilder, ImageSource]:
    source = ImageSource(folder=folder, base=base, **settings)
    return AppendBuilder(source, "asked for"), source


@pytest.mark.docker
@pytest.mark.registry
class TestAllStartTheSameFiles:
    @pytest.fixture
    def project(self, folder: Path) -> Path:
        (folder / "Dockerfile").write_text(
            "FROM scratch\nCOPY busybox /bin/sh\nCOPY busybox /bin/find\nCOPY busybox /bin/sha256sum\n"
            "WORKDIR /experiment\nCOPY . /experiment\n"
        )
        (folder / "busybox").write_bytes(BUSYBOX.read_bytes())
        (folder / "busybox").chmod(0o755)
        (folder / ".dockerignore").write_text("*.log\n!keep.log\nDockerfile\n.dockerignore\n")
        (folder / "drop.log").write_text("")
        (folder / "keep.log").write_text("kept")
        (folder / "empty").mkdir()
        (folder / "dangling").symlink_to("nowhere")
        (folder / "utils" / "run.sh").write_text("#!/bin/sh\n")
        (folder / "utils" / "run.sh").chmod(0o775)
        return folder

    @pytest.mark.usefixtures("use_old_docker", "use_buildx")
    def test_files_modes_links_and_replaced_content(
        self, engine: Any, registry: Registry, push_base: Callable[..., str], project: Path
    ) -> None:
        replaced = {"config.toml": b'[metadata]\nversion = "2.0.0"\n'}
        source = ImageSource(
            folder=project, replaced=replaced, base=push_base(registry, "both/base"), workdir="/experiment"
        )
        listings = []
        for name in get_args(BuilderName)[1:]:
            repository = f"{registry.address}/both/{name}"
            builder = select(name, source)
            builder.check()
            digest = publish(builder, source, repository, "1.0.0", LABELS, silent)
            with RegistryClient(repository) as client:
                image = client.image("1.0.0")
            assert image is not None
            assert image.digest == digest
            assert dict(LABELS).items() <= dict(image.labels).items()
            assert image.config["config"]["WorkingDir"] == "/experiment"
            listings.append(run_image(engine, f"{repository}:1.0.0", "/bin/sh", "-c", LISTING))
        assert len(listings) == 4
        assert len(set(listings)) == 1
        text = listings[0]
        assert "nowhere" in text.splitlines()
        assert "keep.log" in text and "drop.log" not in text
        assert "Dockerfile" not in text and ".dockerignore" not in text
        assert "./utils/run.sh regular file 755 0" in text
        assert "./empty directory 755" in text
        assert (project / "config.toml").read_text() == '[metadata]\nversion = "1.0.0"\n'


@pytest.mark.registry
class TestAppend:
    @pytest.mark.parametrize("family", ["docker", "oci"])
    def test_adds_one_layer_in_the_bases_own_format(
        self, registry: Registry, push_base: Callable[..., str], folder: Path, family: str
    ) -> None:
        base = push_base(registry, f"family/{family}", family)
        builder, source = appended(
            folder, base, workdir="/app", entrypoint=("sh", "/app/run"), env={"A": "ours", "B": "2"}
        )
        builder.check()
        digest = publish(builder, source, f"{registry.address}/family/{family}", "1.0.0", LABELS, silent)
        with RegistryClient(f"{registry.address}/family/{family}") as client:
            before, after = client.image("base"), client.image("1.0.0")
        assert before and after
        assert after.digest == digest
        assert after.manifest_media_type == (DOCKER_MANIFEST if family == "docker" else OCI_MANIFEST)
        assert after.layers[:-1] == before.layers
        assert after.layers[-1].media_type == before.layers[-1].media_type
        run_config = after.config["config"]
        assert run_config["Env"] == ["PATH=/bin", "A=ours", "B=2"]
        assert run_config["Entrypoint"] == ["sh", "/app/run"]
        assert "Cmd" not in run_config
        assert run_config["Labels"].pop(SEAL).startswith("sha256:")
        of_base = {BASE_NAME: base, BASE_DIGEST: before.digest}
        assert run_config["Labels"] == {"base": "busybox", **LABELS, **of_base}
        assert len(after.config["rootfs"]["diff_ids"]) == 2

    def test_same_source_gives_the_same_digest_elsewhere(
        self,
        registry: Registry,
        push_base: Callable[..., str],
        folder: Path,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> None:
        base = push_base(registry, "same/base")
        elsewhere = tmp_path_factory.mktemp("elsewhere")
        for path in sorted(folder.rglob("*"), reverse=True):
            copy = elsewhere / path.relative_to(folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if path.is_file():
                copy.write_bytes(path.read_bytes())
                copy.chmod(0o664)
                os.utime(copy, (1, 1))
        digests = set()
        for place in (folder, elsewhere):
            builder, source = appended(place, base)
            digests.add(publish(builder, source, f"{registry.address}/same/app", "1.0.0", LABELS, silent))
        assert len(digests) == 1

    def test_a_base_of_the_same_registry_is_mounted_and_never_read(
        self, registry: Registry, push_base: Callable[..., str], folder: Path
    ) -> None:
        push_base(registry, "mount/base")
        layer = _layers(registry, "mount/base", "base")[0]
        with proxy_to(registry.address) as proxy:
            builder, source = appended(folder, f"{proxy.address}/mount/base:base")
            publish(builder, source, f"{proxy.address}/mount/app", "1.0.0", LABELS, silent)
            assert proxy.requests("GET", layer.digest) == []
            assert [seen.status for seen in proxy.requests("POST", "mount=")] == [201]
            assert max(seen.received for seen in proxy.seen) < layer.size
        assert _layers(registry, "mount/app", "1.0.0")[0] == layer

    def test_a_registry_that_does_not_mount_gets_the_layer_streamed(
        self, registry: Registry, push_base: Callable[..., str], folder: Path
    ) -> None:
        push_base(registry, "nomount/base")
        with proxy_to(registry.address) as proxy:
            proxy.interfere = lambda method, path, body: (
                Answer(403, b'{"errors": [{"code": "DENIED"}]}') if "mount=" in path else None
            )
            builder, source = appended(folder, f"{proxy.address}/nomount/base:base")
            publish(builder, source, f"{proxy.address}/nomount/app", "1.0.0", LABELS, silent)
        assert _layers(registry, "nomount/app", "1.0.0")[0] == _layers(registry, "nomount/base", "base")[0]

    def test_a_base_of_another_registry_is_copied(
        self,
        registry: Registry,
        secured_registry: Registry,
        push_base: Callable[..., str],
        folder: Path,
        log_in: Callable[..., None],
    ) -> None:
        base = push_base(registry, "other/base")
        log_in(secured_registry.address, secured_registry.username, secured_registry.password)
        builder, source = appended(folder, base)
        seen: list[Progress] = []
        publish(builder, source, f"{secured_registry.address}/other/app", "1.0.0", LABELS, seen.append)
        assert (
            _layers(secured_registry, "other/app", "1.0.0")[0] == _layers(registry, "other/base", "base")[0]
        )
        copied = [step for step in seen if step.stage == "copy"]
        assert copied[-1].done == copied[-1].total

    @pytest.mark.docker
    def test_the_image_starts(
        self, engine: Any, registry: Registry, push_base: Callable[..., str], folder: Path
    ) -> None:
        base = push_base(registry, "start/base", "oci")
        builder, source = appended(
            folder, base, workdir="/tmp/deep/app", entrypoint=("sh", "-c"), env={"GREETING": "hi there"}
        )
        publish(builder, source, f"{registry.address}/start/app", "1.0.0", LABELS, silent)
        command = "pwd; cat utils/steps.py; env; busybox stat -c %a /tmp /tmp/deep"
        output = run_image(engine, f"{registry.address}/start/app:1.0.0", command)
        lines = output.splitlines()
        assert lines[:2] == ["/tmp/deep/app", "STEPS = 3"]
        assert "GREETING=hi there" in lines
        assert lines[-2:] == ["1777", "755"]

    def test_refusals_before_any_write(
        self, registry: Registry, push_base: Callable[..., str], folder: Path
    ) -> None:
        base = push_base(registry, "refuse/base")
        with pytest.raises(GoneError, match="absent does not exist"):
            appended(folder, base.replace(":base", ":absent"))[0].check()
        with pytest.raises(RefusedError, match="is for linux/amd64, not for linux/arm64"):
            appended(folder, base, platform="linux/arm64")[0].check()
        with pytest.raises(RefusedError, match="no base image to add"):
            AppendBuilder(ImageSource(folder=folder), "asked for").check()
        with pytest.raises(RefusedError, match="not an absolute path"):
            builder, source = appended(folder, base, workdir="app")
            publish(builder, source, f"{registry.address}/refuse/app", "1.0.0", {}, silent)
        (folder / ".wh.pipeline.py").write_text("")
        with pytest.raises(RefusedError, match=r"\.wh\.pipeline\.py cannot be in an image"):
            appended(folder, base)[0].check()


@pytest.mark.docker
class TestEngine:
    @pytest.fixture(autouse=True)
    def _engine(self, engine: Any) -> None:
        pass

    def test_progress_names_steps_and_layers(self, registry: Registry, folder: Path) -> None:
        source = ImageSource(folder=folder)
        seen: list[Progress] = []
        builder = EngineBuilder(source, "")
        builder.check()
        publish(builder, source, f"{registry.address}/engine/progress", "1.0.0", LABELS, seen.append)
        steps = [(step.text, step.done, step.total) for step in seen if step.stage == "build" and step.total]
        assert steps[0][:2] == ("FROM scratch", 1)
        assert steps[1][:2] == ("COPY . /experiment", 2)
        assert any(step.stage == "push" and step.item and step.ended for step in seen)

    def test_a_failing_step_is_named_with_its_output(self, registry: Registry, folder: Path) -> None:
        (folder / "sh").write_bytes(BUSYBOX.read_bytes())
        (folder / "sh").chmod(0o755)
        (folder / "Dockerfile").write_text(
            "FROM scratch\nCOPY sh /bin/sh\nRUN echo before; echo the reason >&2; exit 3\n"
        )
        source = ImageSource(folder=folder)
        with pytest.raises(RefusedError, match=r"step 3 of 3 \(RUN echo before") as caught:
            publish(
                EngineBuilder(source, ""), source, f"{registry.address}/engine/fails", "1.0.0", {}, silent
            )
        assert "returned a non-zero code: 3" in caught.value.message
        assert "\n  the reason" in caught.value.message
        with RegistryClient(f"{registry.address}/engine/fails") as client:
            assert client.digest("1.0.0") is None

    def test_build_arguments_reach_the_build(self, registry: Registry, folder: Path) -> None:
        (folder / "Dockerfile").write_text("FROM scratch\nARG A\nENV A=$A\nCOPY . /\n")
        source = ImageSource(folder=folder, build_args={"A": "b"})
        repository = f"{registry.address}/engine/arguments"
        publish(EngineBuilder(source, ""), source, repository, "1.0.0", LABELS, silent)
        with RegistryClient(repository) as client:
            image = client.image("1.0.0")
        assert image
        assert "A=b" in image.config["config"]["Env"]

    def test_the_platform_reaches_the_build(self, registry: Registry, folder: Path) -> None:
        (folder / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
        source = ImageSource(folder=folder, platform="linux/arm64")
        repository = f"{registry.address}/engine/platform"
        publish(EngineBuilder(source, ""), source, repository, "1.0.0", {}, silent)
        with RegistryClient(repository) as client:
            image = client.image("1.0.0", "linux/arm64")
        assert image
        assert image.platform.startswith("linux/arm64")

    def test_a_push_that_is_not_allowed_is_an_error(
        self, secured_registry: Registry, folder: Path, log_in: Callable[..., None]
    ) -> None:
        source = ImageSource(folder=folder)
        target = f"{secured_registry.address}/engine/secured"
        with pytest.raises(UnauthorizedError) as caught:
            publish(EngineBuilder(source, ""), source, target, "1.0.0", {}, silent)
        assert caught.value.hint == f"run: docker login {secured_registry.address}"
        log_in(secured_registry.address, secured_registry.username, secured_registry.password)
        digest = publish(EngineBuilder(source, ""), source, target, "1.0.0", {}, silent)
        with RegistryClient(target) as client:
            assert client.digest("1.0.0") == digest

    def test_a_push_to_nowhere_may_be_tried_again(self, folder: Path) -> None:
        source = ImageSource(folder=folder)
        with pytest.raises(TransientError, match=r"could not push to 127.0.0.1:9/x/y") as caught:
            publish(EngineBuilder(source, ""), source, "127.0.0.1:9/x/y", "1.0.0", {}, silent)
        assert caught.value.outcome_unknown

    def test_an_unreadable_context_stops_the_build(self, registry: Registry, folder: Path) -> None:
        os.mkfifo(folder / "pipe")
        source = ImageSource(folder=folder)
        with pytest.raises(RefusedError, match="pipe is a named pipe"):
            publish(EngineBuilder(source, ""), source, f"{registry.address}/engine/pipe", "1.0.0", {}, silent)

    @pytest.mark.parametrize("inside", [True, False])
    def test_an_ignored_dockerfile_builds_and_is_not_copied(
        self, engine: Any, registry: Registry, folder: Path, inside: bool
    ) -> None:
        (folder / ".dockerignore").write_text("Dockerfile\n" + ("" if inside else ".dockerignore\n"))
        (folder / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
        source = ImageSource(folder=folder)
        repository = f"{registry.address}/engine/ignored"
        publish(EngineBuilder(source, ""), source, repository, f"i{inside}", {}, silent)
        names = image_files(engine, f"{repository}:i{inside}")
        assert "Dockerfile" not in names
        assert (".dockerignore" in names) is inside
        assert "pipeline.py" in names


def image_files(engine: Any, image: str) -> set[str]:
    """Paths in an image without a program."""
    container = engine.api.create_container(image, command="none")
    try:
        stream = b"".join(engine.api.export(container["Id"]))
    finally:
        engine.api.remove_container(container["Id"])
    with tarfile.open(fileobj=io.BytesIO(stream)) as tar:
        return set(tar.getnames())


def _layers(registry: Registry, repository: str, tag: str) -> tuple[Blob, ...]:
    login = {"look_up": lambda _: None}
    if registry.username:
        from providers.docker.registry.auth import Login

        login = {"look_up": lambda _: Login(registry.username, registry.password)}
    with RegistryClient(f"{registry.address}/{repository}", **login) as client:
        image = client.image(tag)
    assert image
    return image.layers
