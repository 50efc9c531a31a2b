"""The selection of a builder with its reason, and the refusals of each builder before a build.

The `docker` commands here are scripts with fixed output: versions that this machine does not have, and some
that never existed. The tests of the builders use the real commands.
"""

import gc
import shlex
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

import pytest

from providers.docker.builders.select import BuilderName, Probes, select
from providers.docker.source.key import ImageSource
from providers.errors import PermanentError, RefusedError, SettingError, TransientError
from providers.protocol import builder_text

UNREACHABLE = "Cannot connect to the Docker daemon at tcp://10.0.0.1:2375. Is the docker daemon running?"


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Make the only `docker` command one of these versions; no Engine answers the API."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/absent.sock")

    def make(
        client: str, *, buildx: str = "", engine: str = "20.10.24", inspect: str = "Driver: docker"
    ) -> None:
        plugin = f"github.com/docker/buildx {buildx} abc"
        script = f"""#!/bin/sh
            case "$*" in
              "buildx version") test -n "{buildx}" && echo {plugin} ;;
              "buildx inspect") echo {shlex.quote(inspect)} ;;
              *Client*) echo {client} ;;
              *Server*) test -n "{engine}" && echo {engine} ;;
            esac"""
        (folder / "docker").write_text(script)
        (folder / "docker").chmod(0o755)

    yield make
    gc.collect()


# docker-py does not close a socket after a failed connection
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
class TestAuto:
    @pytest.mark.parametrize(
        ("client", "others", "name", "reason"),
        [
            ("28.2.2", {"buildx": "0.13.1"}, "buildx", "docker buildx 0.13.1 is installed"),
            ("20.10.24", {"buildx": "v0.24.0"}, "buildx", "docker buildx 0.24.0 is installed"),
            (
                "20.10.24+dfsg1",
                {},
                "buildkit",
                "Docker CLI 20.10.24 builds with BuildKit (Docker CLI 20.10.24 has no buildx)",
            ),
            (
                "20.10.24",
                {"buildx": "0.12.1"},
                "buildkit",
                "Docker CLI 20.10.24 builds with BuildKit (docker buildx 0.12.1 is older than 0.13)",
            ),
        ],
    )
    def test_the_first_that_is_there(
        self,
        docker: Callable[..., None],
        folder: Path,
        client: str,
        others: dict[str, str],
        name: str,
        reason: str,
    ) -> None:
        docker(client, **others)
        builder = select("auto", ImageSource(folder=folder, base="busybox"))
        assert (builder.name, builder.reason) == (name, reason)

    @pytest.mark.parametrize(
        ("client", "others", "passed_over"),
        [
            # with and without DOCKER_BUILDKIT=1, these build with the old builder or fail
            (
                "28.2.2",
                {},
                "Docker CLI 28.2.2 has no buildx; Docker CLI 28.2.2 has BuildKit only with buildx",
            ),
            (
                "23.0.0",
                {},
                "Docker CLI 23.0.0 has no buildx; Docker CLI 23.0.0 has BuildKit only with buildx",
            ),
            ("19.03.1", {}, "Docker CLI 19.03.1 has no buildx; Docker CLI 19.03.1 is older than 20.10"),
            (
                "20.10.24",
                {"engine": ""},
                "Docker CLI 20.10.24 has no buildx; Docker CLI 20.10.24 cannot reach a Docker Engine",
            ),
            (
                "28.2.2",
                {"buildx": "0.13.1", "inspect": f"Driver:\nError:         {UNREACHABLE}"},
                f"docker buildx 0.13.1: {UNREACHABLE}; Docker CLI 28.2.2 has BuildKit only with buildx",
            ),
            ("Podman", {}, "there is no docker command"),
        ],
    )
    def test_what_is_passed_over_is_said(
        self,
        docker: Callable[..., None],
        folder: Path,
        client: str,
        others: dict[str, str],
        passed_over: str,
    ) -> None:
        docker(client, **others)
        builder = select("auto", ImageSource(folder=folder, base="busybox"))
        assert builder.name == "append"
        assert builder.reason == f"a base image is set ({passed_over}; no Docker Engine is running)"

    def test_nothing_is_there(self, docker: Callable[..., None], folder: Path) -> None:
        builder = select("auto", ImageSource(folder=folder))
        with pytest.raises(TransientError, match="no Docker Engine is running") as caught:
            builder.check()
        assert 'builder = "append"' in caught.value.hint
        del caught

    def test_a_folder_without_a_dockerfile(self, docker: Callable[..., None], folder: Path) -> None:
        docker("28.2.2", buildx="0.13.1")
        (folder / "Dockerfile").unlink()
        builder = select("auto", ImageSource(folder=folder, base="busybox"))
        assert (builder.name, builder.reason) == (
            "append",
            "there is no Dockerfile, and a base image is set",
        )


@pytest.mark.parametrize("name", ["buildx", "buildkit", "engine", "append"])
def test_the_configured_builder_is_used(folder: Path, name: BuilderName) -> None:
    builder = select(name, ImageSource(folder=folder, base="busybox"))
    assert (builder.name, builder.reason) == (name, "set in the settings")


@pytest.mark.parametrize("name", [name for name in get_args(BuilderName) if name != "auto"])
def test_each_builder_is_named_in_words_and_as_in_the_settings(folder: Path, name: BuilderName) -> None:
    words, _, rest = builder_text(select(name, ImageSource(folder=folder, base="busybox"))).partition(" (")
    assert rest == f'builder = "{name}"): set in the settings'
    assert words != name


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("buildx", "cannot build with buildx: Docker CLI 28.2.2 has no buildx"),
        ("buildkit", "cannot build with BuildKit: Docker CLI 28.2.2 has BuildKit only with buildx"),
    ],
)
def test_a_configured_builder_that_is_not_available(
    docker: Callable[..., None], folder: Path, name: BuilderName, why: str
) -> None:
    docker("28.2.2")
    with pytest.raises(PermanentError, match=why):
        select(name, ImageSource(folder=folder)).check()


@pytest.mark.parametrize(
    "line", ["RUN --mount=type=cache,target=/x true", "COPY --chmod=755 . /x", "RUN <<END\nid\nEND"]
)
def test_lines_for_buildkit_are_refused_by_name(folder: Path, line: str) -> None:
    (folder / "Dockerfile").write_text(f"FROM scratch\n{line}\n")
    with pytest.raises(
        RefusedError, match=f"line 2: {line.partition('=')[0].partition('<')[0].strip()}"
    ) as caught:
        select("engine", ImageSource(folder=folder)).check()
    assert "docker buildx" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "setting", "value"),
    [
        ("buildkit", "cache_to", ("type=inline",)),
        ("engine", "cache_to", ("type=inline",)),
        ("engine", "secrets", {"TOKEN": "TOKEN"}),
        ("append", "secrets", {"TOKEN": "TOKEN"}),
        ("append", "target", "final"),
        ("append", "build_args", {"A": "b"}),
        ("append", "cache_from", ("busybox",)),
        ("append", "cache_to", ("type=inline",)),
    ],
)
def test_settings_that_a_builder_does_not_support(
    folder: Path, name: BuilderName, setting: str, value: object
) -> None:
    source = ImageSource(folder=folder, base="busybox", **{setting: value})  # type: ignore[arg-type]
    with pytest.raises(SettingError, match=f"does not support {setting}") as caught:
        select(name, source).check()
    assert caught.value.setting == setting


@pytest.mark.parametrize("name", ["buildx", "buildkit"])
def test_a_secret_that_is_not_set(folder: Path, name: BuilderName, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIP_TOKEN", raising=False)
    with pytest.raises(SettingError, match="the environment variable PIP_TOKEN, which is not set") as caught:
        select(name, ImageSource(folder=folder, secrets={"pip": "PIP_TOKEN"})).check()
    assert caught.value.setting == "secrets"


class TestOneLookForManyPipelines:
    """Each program is started once, however many pipelines a run has."""

    @pytest.fixture
    def started(self, docker: Callable[..., None], tmp_path: Path) -> Callable[[], list[str]]:
        """The `docker` commands so far."""
        docker("28.2.2", buildx="0.13.1")
        script, log = tmp_path / "bin" / "docker", tmp_path / "log"
        script.write_text(
            script.read_text().replace("#!/bin/sh", f'#!/bin/sh\n            echo "$*" >> {log}', 1)
        )
        return lambda: log.read_text().splitlines() if log.exists() else []

    @pytest.mark.parametrize("name", ["auto", "buildx"])
    def test_with_threads(self, started: Callable[[], list[str]], folder: Path, name: BuilderName) -> None:
        probes = Probes()

        def build(_: int) -> str:
            builder = select(name, ImageSource(folder=folder), probes=probes)
            builder.check()
            return builder.name

        with ThreadPoolExecutor(8) as pool:
            assert {*pool.map(build, range(20))} == {"buildx"}
        assert started() == ["buildx version", "buildx inspect"]

    def test_each_run_looks_anew(self, started: Callable[[], list[str]], folder: Path) -> None:
        for _ in range(2):
            select("auto", ImageSource(folder=folder))
        assert started().count("buildx version") == 2
