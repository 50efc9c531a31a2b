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
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest
import requests

PACKAGES = ("docker.io", "docker-registry", "busybox-static", "iptables", "apache2-utils")
BUSYBOX = Path("/bin/busybox")


@dataclass(frozen=True, slots=True)
class Registry:
    """A running registry.

    Attributes:
        address: "127.0.0.1:PORT", as it stands in an image's name.
        username, password: of the one login that it takes; empty when it takes everybody.
    """

    address: str
    username: str = ""
    password: str = ""


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[str]:
    """DOCKER_HOST of a Docker Engine: our own where we may start one, else the one that is there."""
    if _binary("dockerd") and os.geteuid() == 0:
        with _folder() as folder:
            host = f"unix://{folder}/docker.sock"
            command = [
                *(
                    "dockerd",
                    "--host",
                    host,
                    "--data-root",
                    f"{folder}/data",
                    "--exec-root",
                    f"{folder}/exec",
                ),
                *("--pidfile", f"{folder}/pid", "--iptables=false", "--bridge=none"),
            ]
            with _running(command, folder / "log", lambda: _engine_answers(host)):
                yield host
        return
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not _engine_answers(host):
        _unavailable(f"no Docker Engine: {host} does not answer, and starting one takes root and docker.io")
    yield host


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
            yield Registry(address)


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


@contextlib.contextmanager
def _running(command: list[str], log: Path, ready: Callable[[], bool]) -> Iterator[None]:
    """A program of ours, from the moment it is ready; stopped by its own process id."""
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            deadline = time.monotonic() + 60
            while not ready():
                if process.poll() is not None or time.monotonic() > deadline:
                    _unavailable(f"{command[0]} did not start:\n{log.read_text(errors='replace')[-2000:]}")
                time.sleep(0.1)
            yield
        finally:
            process.terminate()
            try:
                process.wait(20)
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
    environment: Mapping[str, str] = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with log.open("wb") as output:
        for command in (
            ["apt-get", "update", "-qq"],
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *PACKAGES],
        ):
            done = subprocess.run(command, stdout=output, stderr=output, env=environment, check=False)
            if done.returncode:
                return False
    return True


def _htpasswd(username: str, password: str) -> str:
    if not shutil.which("htpasswd"):
        _unavailable("no htpasswd to write a registry's password file (Debian: apt install apache2-utils)")
    command = ["htpasswd", "-niB", username]
    return subprocess.run(command, input=password, capture_output=True, text=True, check=True).stdout


def _unavailable(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
