"""The two builders with BuildKit, with the real commands, a real Engine and a real registry."""

import base64
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from providers.docker.builders.build_log import build_log
from providers.docker.builders.command_line import run_docker
from providers.docker.builders.select import BuilderName, select
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.reference import UPLOAD_TAG
from providers.docker.source.key import ImageSource
from providers.errors import RefusedError, TransientError, UnauthorizedError
from providers.protocol import Progress, silent
from tests.docker import conftest
from tests.services import BUSYBOX, Registry, run_image
from tests.waits import PATIENCE, until

SECRET = "hush-hush/é\nof two lines"
BUILDKIT_ONLY = """
FROM scratch AS tools
COPY --chmod=755 busybox /bin/sh
COPY --chmod=755 busybox /bin/busybox
FROM tools AS final
ARG GREETING
RUN --mount=type=cache,target=/cache --mount=type=secret,id=pip \\
    echo "token: $(busybox cat /run/secrets/pip)"; \\
    busybox sha256sum /run/secrets/pip > /proof; echo $GREETING > /greeting
FROM scratch AS unwanted
COPY nothing-like-that /
"""


@pytest.fixture(params=["buildx", "buildkit"])
def name(request: pytest.FixtureRequest, engine: Any) -> BuilderName:
    """Each builder with BuildKit, set up on this machine."""
    request.getfixturevalue("use_old_docker" if request.param == "buildkit" else "use_buildx")
    chosen: BuilderName = request.param
    return chosen


@pytest.fixture
def tools(folder: Path) -> Path:
    """A folder with a shell."""
    (folder / "busybox").write_bytes(BUSYBOX.read_bytes())
    (folder / "busybox").chmod(0o755)
    return folder


def publish(name: BuilderName, source: ImageSource, repository: str, report: Any = silent) -> str:
    builder = select(name, source)
    builder.check()
    return conftest.publish(builder, source, repository, "1.0.0", {"who": "us"}, report)


@pytest.mark.docker
@pytest.mark.registry
class TestBuildKit:
    def test_what_only_buildkit_can_do_and_a_secret_that_is_nowhere(
        self,
        name: BuilderName,
        engine: Any,
        registry: Registry,
        tools: Path,
        build_logs: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("PIP_TOKEN", SECRET)
        (tools / "Dockerfile").write_text(BUILDKIT_ONLY)
        source = ImageSource(
            folder=tools,
            target="final",
            build_args={"GREETING": f"hello {name}"},
            secrets={"pip": "PIP_TOKEN"},
        )
        repository = f"{registry.address}/{name}/secret"
        seen: list[Progress] = []
        digest = publish(name, source, repository, seen.append)
        with RegistryClient(repository) as client:
            image = client.image("1.0.0")
        assert image is not None
        assert image.digest == digest
        assert image.labels["who"] == "us"
        output = run_image(engine, f"{repository}:1.0.0", "/bin/busybox", "cat", "/proof", "/greeting")
        assert hashlib.sha256(SECRET.encode()).hexdigest() in output
        assert f"hello {name}" in output.splitlines()
        [log] = build_logs.iterdir()
        assert "token: ***" in log.read_text()
        assert log.stat().st_mode & 0o077 == 0
        told = log.read_text() + "".join(f"{step}" for step in seen) + json.dumps(dict(image.config))
        assert not [line for line in SECRET.splitlines() if line in told]

    def test_progress_names_steps_and_layers(
        self, name: BuilderName, registry: Registry, tools: Path
    ) -> None:
        (tools / "Dockerfile").write_text(f"FROM scratch\nCOPY . /{name}\nWORKDIR /{name}\n")
        seen: list[Progress] = []
        publish(name, ImageSource(folder=tools), f"{registry.address}/{name}/progress", seen.append)
        steps = [(step.text, step.done, step.total) for step in seen if step.unit == "steps" and step.total]
        assert steps == [(f"COPY . /{name}", 1, 2), (f"WORKDIR /{name}", 2, 2)]
        assert any(step.stage == "push" and step.item and step.ended for step in seen)

    def test_a_failing_step_is_named_with_its_output_and_the_log(
        self, name: BuilderName, registry: Registry, tools: Path, build_logs: Path
    ) -> None:
        (tools / "Dockerfile").write_text(
            "FROM scratch\nCOPY busybox /bin/sh\nRUN echo before; echo the reason >&2; exit 3\n"
        )
        repository = f"{registry.address}/{name}/fails"
        with pytest.raises(
            RefusedError, match=r"the build failed at step 2 of 2 \(RUN echo before"
        ) as caught:
            publish(name, ImageSource(folder=tools), repository)
        assert "exit code: 3" in caught.value.message
        assert "\n  the reason" in caught.value.message
        [log] = build_logs.iterdir()
        assert caught.value.hint == f"the complete build log is {log}"
        assert "step 1 of 2 (COPY busybox /bin/sh)" in log.read_text()
        with RegistryClient(repository) as client:
            assert client.digest("1.0.0") is None

    def test_a_dockerfile_that_cannot_be_read(
        self, name: BuilderName, registry: Registry, folder: Path
    ) -> None:
        (folder / "Dockerfile").write_text("FROM scratch\nCOPIE . /\n")
        with pytest.raises(RefusedError, match="unknown instruction: COPIE"):
            publish(name, ImageSource(folder=folder), f"{registry.address}/{name}/broken")

    def test_a_base_image_that_cannot_be_reached(
        self, name: BuilderName, registry: Registry, folder: Path
    ) -> None:
        (folder / "Dockerfile").write_text("FROM 127.0.0.1:9/no/base\nCOPY . /\n")
        with pytest.raises(TransientError, match=r"the build failed at \[internal\] load metadata"):
            publish(name, ImageSource(folder=folder), f"{registry.address}/{name}/base")

    def test_a_push_that_is_not_allowed_is_an_error(
        self, name: BuilderName, secured_registry: Registry, folder: Path, log_in: Callable[..., None]
    ) -> None:
        target = f"{secured_registry.address}/{name}/secured"
        with pytest.raises(UnauthorizedError) as caught:
            publish(name, ImageSource(folder=folder), target)
        assert caught.value.hint == f"run: docker login {secured_registry.address}"
        log_in(secured_registry.address, secured_registry.username, secured_registry.password)
        digest = publish(name, ImageSource(folder=folder), target)
        with RegistryClient(target) as client:
            assert client.digest("1.0.0") == digest

    def test_a_push_to_nowhere_may_be_tried_again(self, name: BuilderName, folder: Path) -> None:
        with pytest.raises(TransientError, match=r"could not push to 127.0.0.1:9/x/y") as caught:
            publish(name, ImageSource(folder=folder), "127.0.0.1:9/x/y")
        assert caught.value.outcome_unknown

    def test_an_ignore_file_of_the_dockerfile_is_applied_once(
        self, name: BuilderName, engine: Any, registry: Registry, tools: Path
    ) -> None:
        (tools / "docker").mkdir()
        (tools / "docker" / "Dockerfile").write_text("FROM scratch\nCOPY busybox /bin/busybox\nCOPY . /x\n")
        (tools / "docker" / "Dockerfile.dockerignore").write_text("utils\n")
        (tools / ".dockerignore").write_text("pipeline.py\n")
        repository = f"{registry.address}/{name}/ignored"
        publish(name, ImageSource(folder=tools, dockerfile="docker/Dockerfile"), repository)
        names = run_image(engine, f"{repository}:1.0.0", "/bin/busybox", "find", "/x").split()
        assert "/x/pipeline.py" in names
        assert "/x/docker/Dockerfile" in names
        assert "/x/utils" not in names


def is_alive(pid: int) -> bool:
    """Whether a process runs. A zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


SLEEPER = """#!/bin/sh
sleep 600 &
echo $! $$
wait
"""


@pytest.fixture
def sleeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `docker` command that starts another process, prints both process ids and never ends."""
    (tmp_path / "docker").write_text(SLEEPER)
    (tmp_path / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


def wait_until_gone(pids: list[int]) -> None:
    until(lambda: not any(map(is_alive, pids)))


@pytest.mark.usefixtures("sleeper")
class TestNothingIsLeftBehind:
    def test_when_we_fail_while_it_runs(self) -> None:
        pids: list[int] = []
        with pytest.raises(ZeroDivisionError), run_docker(["build"], {}) as (lines, _):
            pids += map(int, next(lines).split())
            assert all(map(is_alive, pids))
            raise ZeroDivisionError
        wait_until_gone(pids)

    def test_after_ctrl_c_twice(self) -> None:
        script = """
from providers.docker.builders.command_line import run_docker
from reconciler.cli.execution import interruptible
with interruptible() as stop:
    stop.steps_running = True
    with run_docker(["build"], {}) as (lines, _):
        for line in lines:
            print(line, flush=True)
"""
        command = [sys.executable, "-c", script]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout and process.stderr
            pids = [int(word) for word in process.stdout.readline().split()]
            process.send_signal(signal.SIGINT)
            assert b"interrupted" in process.stderr.readline() + process.stderr.readline()
            assert all(map(is_alive, pids))
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE) == 130
        wait_until_gone(pids)


class TestLog:
    def test_the_last_ones_are_kept(self, build_logs: Path) -> None:
        for number in range(25):
            with build_log(f"reg.io/team/app-1.0.{number}", (), silent) as log:
                log.note("said")
            [path] = build_logs.glob(f"reg.io_team_app-1.0.{number}-*.log")
            os.utime(path, (number, number))
        kept = {re.sub(r"-\d{8}-\d{6}", "", path.stem) for path in build_logs.iterdir()}
        assert kept == {f"reg.io_team_app-1.0.{number}" for number in range(5, 25)}

    def test_a_folder_that_cannot_be_written_stops_no_build(self, build_logs: Path) -> None:
        build_logs.parent.mkdir(parents=True)
        build_logs.write_text("in the way")
        with build_log("app", (), silent) as log:
            log.step("1", "RUN it")
            assert log.step_error("broken", "1").message == "the build failed at RUN it: broken"


PULL = """\
#1 [internal] load build definition from Dockerfile
#1 sha256:7ec42f10226e055147dd185c49e9f1be5e4a9d1ae064aeb9c42294c37b34ec25
#1 transferring dockerfile: 288B done
#1 DONE 0.0s

#4 [build 1/2] FROM reg.io/team/base:1
#4 sha256:aa11 0B / 2.50MB 0.1s
#4 sha256:aa11 1.25MB / 2.50MB 0.4s
#4 sha256:aa11 2.50MB / 2.50MB 0.8s done
#4 ...

#5 [build 2/2] RUN pip install
#5 0.100 Collecting
#5 0.200 Downloading 1.25MB / 2.50MB
#5 DONE 0.6s

#4 [build 1/2] FROM reg.io/team/base:1
#4 DONE 1.0s
"""


def scripted(folder: Path, monkeypatch: pytest.MonkeyPatch, said: str, *more: str) -> None:
    """A `docker` command that prints this for any arguments."""
    (folder / "said").write_text(said)
    (folder / "docker").write_text("\n".join(["#!/bin/sh", f"cat {folder}/said", *more]))
    (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_layers_that_the_old_command_pulls_move(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(tmp_path_factory.mktemp("bin"), monkeypatch, PULL, "exit 1")
    seen: list[Progress] = []
    with pytest.raises(RefusedError, match="the build failed"):
        select("buildkit", ImageSource(folder=folder)).publish(
            ImageSource(folder=folder), "reg.io/team/app", "1.0.0", {}, seen.append
        )
    assert [(step.item, step.done, step.total) for step in seen if step.item == "aa11"] == [
        ("aa11", 0, 2_500_000),
        ("aa11", 1_250_000, 2_500_000),
        ("aa11", 2_500_000, 2_500_000),
    ]
    steps = [(step.item, step.text, step.done, step.total) for step in seen if step.unit == "steps"]
    assert steps[1:] == [("build", "FROM reg.io/team/base:1", 1, 2), ("build", "RUN pip install", 2, 2)]
    words = [step.text for step in seen if step.unit == "bytes" and step.text and step.item != "context"]
    assert words == ["Collecting", "Downloading 1.25MB / 2.50MB"]


@pytest.mark.registry
def test_a_newer_buildx_prints_a_document_per_line_and_a_missing_digest_is_read(
    registry: Registry,
    push_base: Callable[..., str],
    folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    documents = [
        {"vertexes": [{"digest": "sha256:1", "name": "[1/1] RUN it", "started": "2024-01-01T00:00:00Z"}]},
        {"logs": [{"vertex": "sha256:1", "data": base64.b64encode(b"half a li").decode()}]},
        {"logs": [{"vertex": "sha256:1", "data": base64.b64encode("ne, then é".encode()[:-1]).decode()}]},
        {"logs": [{"vertex": "sha256:1", "data": base64.b64encode("é".encode()[1:]).decode()}]},
    ]
    said = "".join(f"{json.dumps(document)}\n" for document in documents)
    scripted(tmp_path_factory.mktemp("bin"), monkeypatch, f"WARNING: odd {{\n{said}")
    push_base(registry, "fallback/app")
    repository = f"{registry.address}/fallback/app"
    with RegistryClient(repository) as client:
        digest = client.digest("base")
        assert digest is not None
        client.tag(digest, UPLOAD_TAG)
    source = ImageSource(folder=folder)
    seen: list[Progress] = []
    assert select("buildx", source).publish(source, repository, "1.0.0", {}, seen.append) == digest
    said_by_build = [step.text for step in seen if step.item != "context"]
    assert said_by_build == ["RUN it", "half a line, then é"]
