"""Real far ends for tests: a Docker Engine and container registries, on this machine and on loopback only.

Session-scoped fixtures. Import them by name in the conftest of the folder that uses them. What cannot be had
is skipped with the reason, and fails where CI=true, so that a pipeline never passes by not looking.
"""

import contextlib
import functools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest
import requests
from filelock import FileLock

from tests.waits import PATIENCE

PACKAGES = (
    *("docker.io", "docker-registry", "busybox-static", "iptables", "apache2-utils"),
    *("chromium", "fonts-dejavu-core", "graphviz", "tmux"),
    *("zsh", "fish", "groff", "mandoc", "man-db"),
)
BUSYBOX = Path("/bin/busybox")


@dataclass(frozen=True, slots=True)
class Registry:
    """A running registry.

    Attributes:
        address: "127.0.0.1:PORT", as it stands in an image's name.
        username, password: of the one login that it takes; empty when it takes everybody.
        log: what it writes, with a line for each request.
    """

    address: str
    username: str = ""
    password: str = ""
    log: Path = Path(os.devnull)

    def requests(self, method: str, part: str) -> list[str]:
        """The lines of its log for requests with this method, and this part in their path."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line for line in lines if f'"{method} ' in line and part in line]


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[str]:
    """DOCKER_HOST of a Docker Engine: our own where we may start one, else the one that is there."""
    with started_engine() as host:
        yield host


@contextlib.contextmanager
def started_engine() -> Iterator[str]:
    """As the fixture `docker_engine`."""
    if _binary("dockerd") and os.geteuid() == 0:
        with _own_engine() as host:
            yield host
        return
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not _engine_answers(host):
        _unavailable(f"no Docker Engine: {host} does not answer, and starting one takes root and docker.io")
    yield host


@contextlib.contextmanager
def _own_engine(*flags: str, programs: Path | None = None) -> Iterator[str]:
    """A Docker Engine of this machine's package, or of the one that is unpacked in `programs`."""
    with _folder() as folder:
        host = f"unix://{folder}/docker.sock"
        command = [
            *("dockerd", "--host", host, "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec"),
            *("--pidfile", f"{folder}/pid", "--iptables=false", *flags),
        ]
        path = os.environ["PATH"]
        if programs is not None:
            path = f"{programs}/usr/bin{os.pathsep}{programs}/usr/sbin{os.pathsep}{path}"
        with _running(["env", f"PATH={path}", *command], folder / "log", lambda: _engine_answers(host)):
            yield host


@pytest.fixture(scope="session")
def new_docker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the programs and the settings of an Engine with the image store of containerd."""
    if not _binary("dockerd") or os.geteuid() != 0:
        _unavailable(
            "no Docker Engine with an image store for attestations: starting one takes root and Debian"
        )
    programs = tmp_path_factory.mktemp("engine")
    _unpack(programs, "trixie", "docker.io", "containerd")
    (programs / "daemon.json").write_text('{"features": {"containerd-snapshotter": true}}')
    return programs


@pytest.fixture(scope="session")
def attesting_engine(new_docker: Path) -> Iterator[str]:
    """DOCKER_HOST of an Engine with the image store of containerd, for attestations: Debian trixie's."""
    with started_new_engine(new_docker) as host:
        yield host


@contextlib.contextmanager
def started_new_engine(new_docker: Path) -> Iterator[str]:
    """DOCKER_HOST of a further Engine like that, which has no image and no cache yet."""
    with _own_engine("--config-file", str(new_docker / "daemon.json"), programs=new_docker) as host:
        yield host


@contextlib.contextmanager
def buildkit_of(host: str) -> Iterator[str]:
    """The address of the BuildKit in an Engine, for the driver `remote` of buildx.

    It is the real one, without what buildx does differently for an Engine: it pushes by itself.
    """
    upgrade = b"POST /grpc HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"

    def pass_on(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        with contextlib.ExitStack() as connections:
            while True:
                near = connections.enter_context(server.accept()[0])
                if stopping.is_set():
                    return
                far = connections.enter_context(socket.socket(socket.AF_UNIX))
                far.connect(host.removeprefix("unix://"))
                far.sendall(upgrade)
                answer = b""
                while not answer.endswith(b"\r\n\r\n"):
                    answer += far.recv(1)
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=pass_on, args=ends, daemon=True).start()

    stopping = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        finally:
            stopping.set()
            with socket.create_connection(server.getsockname()):
                thread.join()


@pytest.fixture(scope="session")
def old_docker() -> Path:
    """Where a `docker` command of before version 23 is, which builds with BuildKit by itself: Debian's."""
    for folder in dict.fromkeys([*os.get_exec_path(), "/usr/bin"]):
        if (Path(folder) / "docker").is_file() and _client(Path(folder) / "docker") < 23:
            return Path(folder)
    return _unavailable("no docker command of before version 23 (Debian bookworm: apt install docker.io)")


@pytest.fixture(scope="session")
def buildx_plugins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of Docker plugins with buildx: the one of this machine, else Debian's package, unpacked."""
    for root in ("/usr/libexec", "/usr/lib", "/usr/local/lib", "/usr/local/libexec"):
        if (Path(root) / "docker/cli-plugins/docker-buildx").is_file():
            return Path(root) / "docker/cli-plugins"
    folder = tmp_path_factory.mktemp("buildx")
    _unpack(folder, "trixie", "docker-buildx")
    return folder / "usr/libexec/docker/cli-plugins"


@pytest.fixture(scope="session")
def signing_tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with cosign and oras, of Debian trixie."""
    folder = tmp_path_factory.mktemp("signing")
    _unpack(folder, "trixie", "cosign", "oras")
    return folder / "usr/bin"


@pytest.fixture(scope="session")
def registry() -> Iterator[Registry]:
    """A registry that takes everybody."""
    with started_registry() as started:
        yield started


@pytest.fixture(scope="session")
def secured_registry() -> Iterator[Registry]:
    """A registry that wants a user name and a password."""
    login = Registry("", "robot", "pass:word/é")
    with _folder() as folder:
        passwords = folder / "htpasswd"
        passwords.write_text(_htpasswd(login.username, login.password))
        auth = f"auth:\n  htpasswd:\n    realm: test\n    path: {passwords}\n"
        with started_registry(auth) as started:
            yield Registry(started.address, login.username, login.password)


@contextlib.contextmanager
def started_registry(auth: str = "") -> Iterator[Registry]:
    """A registry with this `auth:` section in its configuration."""
    if not _binary("docker-registry"):
        _unavailable(
            "no registry: the program docker-registry is missing (Debian: apt install docker-registry)"
        )
    with _folder() as folder:
        address = f"127.0.0.1:{free_port()}"
        config = folder / "config.yml"
        config.write_text(
            f"version: 0.1\nlog:\n  level: warn\nstorage:\n  filesystem:\n    rootdirectory: {folder}/data\n"
            f"http:\n  addr: {address}\n{auth}"
        )
        command = ["docker-registry", "serve", str(config)]
        with _running(command, folder / "log", lambda: _http_answers(f"http://{address}/v2/")):
            yield Registry(address, log=folder / "log")


@pytest.fixture(scope="session")
def chromium_program() -> str:
    """The program `chromium`."""
    return _binary("chromium") or _unavailable(
        "no browser to look at a page with (Debian: apt install chromium)"
    )


@pytest.fixture(scope="session")
def browser(chromium_program: str) -> Callable[..., str]:
    """Opens a file or an address in headless Chromium; the page as it stands once its scripts have run.

    Called with a path or an http address, and more of Chromium's flags. It asks no network, and leaves no
    profile behind.
    """

    def opened(page: Path | str, *flags: str) -> str:
        address = page if isinstance(page, str) else page.as_uri()
        with _folder() as profile:
            command = [
                *(
                    chromium_program,
                    "--headless",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--disable-quic",
                    "--no-first-run",
                ),
                *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
                *(f"--user-data-dir={profile}", "--dump-dom", *flags, address),
            ]
            return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout

    return opened


@pytest.fixture(scope="session")
def graphviz() -> str:
    """The program `dot`."""
    return _binary("dot") or _unavailable("no Graphviz to draw with (Debian: apt install graphviz)")


@pytest.fixture(scope="session")
def tmux() -> str:
    """The program `tmux`."""
    return _binary("tmux") or _unavailable("no tmux to record a terminal with (Debian: apt install tmux)")


def program(name: str) -> str:
    """A program of the Debian package of its name."""
    return _binary(name) or _unavailable(f"no {name} (Debian: apt install {name})")


def free_port() -> int:
    """A TCP port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def engine_client(host: str) -> Any:
    """docker-py's client for one Engine, whatever the environment says."""
    import docker

    return docker.DockerClient(base_url=host, timeout=120)


def run_image(engine: Any, image: str, *command: str) -> str:
    """What a command in an image of a registry says.

    Args:
        engine: docker-py's client.
    """
    engine.api.pull(image)
    output: bytes = engine.containers.run(image, list(command), network_mode="none", remove=True)
    return output.decode()


@contextlib.contextmanager
def _running(command: list[str], log: Path, ready: Callable[[], bool]) -> Iterator[None]:
    """A program of ours, from the moment it is ready; stopped by its own process id."""
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            deadline = time.monotonic() + PATIENCE
            while not ready():
                if process.poll() is not None or time.monotonic() > deadline:
                    _unavailable(f"{command[0]} did not start:\n{log.read_text(errors='replace')[-2000:]}")
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A folder with a short name (a socket's path holds 107 characters), gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="svc-", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _engine_answers(host: str) -> bool:
    path = host.removeprefix("unix://")
    if path == host:
        return _http_answers(host.replace("tcp://", "http://") + "/_ping")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(5)
        try:
            probe.connect(path)
            probe.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in probe.recv(64)
        except OSError:
            return False


def _http_answers(url: str) -> bool:
    with requests.Session() as session:
        session.trust_env = False
        try:
            return session.get(url, timeout=5).status_code in (200, 401)
        except requests.RequestException:
            return False


def _binary(name: str) -> str | None:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    return shutil.which(name, path=path) or (shutil.which(name, path=path) if _installed() else None)


@functools.cache
def _installed() -> bool:
    """Install Debian's packages, once, where that is ours to do: as root, on Debian."""
    if os.geteuid() != 0 or not Path("/etc/debian_version").exists():
        return False
    log = Path(tempfile.gettempdir()) / "services-apt.log"
    alone = FileLock(log.with_suffix(".lock"))  # several of pytest's processes may want it at once
    environment: Mapping[str, str] = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with alone, log.open("wb") as output:
        for command in (
            ["apt-get", "update", "-qq"],
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES],
        ):
            done = subprocess.run(command, stdout=output, stderr=output, env=environment, check=False)
            if done.returncode:
                return False
    return True


def _unpack(folder: Path, suite: str, *names: str) -> None:
    """Unpack packages of another suite of Debian, from where this machine has its packages, into a folder."""
    script = f"""
        set -e
        mkdir -p state/lists/partial cache/archives/partial
        places=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages')
        place=$(echo "$places" | grep '/debian/*$' | head -n 1)
        keys=/usr/share/keyrings/debian-archive-keyring.gpg
        echo "deb [signed-by=$keys] $place {suite} main" > sources.list
        options="-o Dir::Etc::sourcelist=$PWD/sources.list -o Dir::Etc::sourceparts=- -o Dir::State=$PWD/state
            -o Dir::Cache=$PWD/cache -o Acquire::Languages=none -o APT::Sandbox::User="
        apt-get $options update -qq
        apt-get $options download -qq {" ".join(names)}
        for package in *.deb; do dpkg-deb -x "$package" .; done
    """
    done = subprocess.run(["sh", "-c", script], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        _unavailable(f"no {', '.join(names)} (Debian {suite}): {done.stderr[-500:]}")


def _client(docker: Path) -> int:
    """The major version of a docker command; a large number when it does not say one."""
    command = [str(docker), "version", "--format", "{{.Client.Version}}"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    number = said.partition(".")[0].strip()
    return int(number) if number.isdecimal() else sys.maxsize


def _htpasswd(username: str, password: str) -> str:
    if not shutil.which("htpasswd"):
        _unavailable("no htpasswd to write a registry's password file (Debian: apt install apache2-utils)")
    command = ["htpasswd", "-niB", username]
    return subprocess.run(command, input=password, capture_output=True, text=True, check=True).stdout


def _unavailable(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
