"""Buckets for tests: an S3, an Azure Blob and a Google Cloud Storage, on loopback only.

S3 is moto's server and Azure is Azurite, both the real protocol. Of Google Cloud Storage no local server that
can be installed knows generations, so `gcs` speaks as much of the protocol as obstore uses.
"""

import base64
import contextlib
import hashlib
import hmac
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

import pytest
import requests

from tests.services import _folder, _http_answers, _running, _unavailable, free_port
from tests.state.gcs import Gcs

ROOT = Path(__file__).parents[2]
AZURITE = ROOT / ".azurite" / "node_modules" / ".bin" / "azurite-blob"
ACCOUNT = "devstoreaccount1"
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
BUCKET = "records"

MOTO = """
import sys
from threading import Lock
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

application, turn = DomainDispatcherApplication(create_backend_app), Lock()

def one_at_a_time(environ, start_response):
    with turn:  # moto does not check If-Match and write atomically; S3 does
        return application(environ, start_response)

make_server("127.0.0.1", int(sys.argv[1]), one_at_a_time, threaded=True).serve_forever()
"""


@dataclass(frozen=True, slots=True)
class Bucket:
    """An existing bucket.

    Attributes:
        url: without a prefix.
        variables: the environment in which it can be used.
    """

    url: str
    variables: dict[str, str]


@pytest.fixture(scope="session")
def s3() -> Iterator[Bucket]:
    with started_s3() as bucket:
        yield bucket


@pytest.fixture(scope="session")
def azure() -> Iterator[Bucket]:
    with started_azure() as bucket:
        yield bucket


@pytest.fixture(scope="session")
def gcs() -> Iterator[Bucket]:
    with started_gcs() as bucket:
        yield bucket


@contextlib.contextmanager
def started_s3() -> Iterator[Bucket]:
    """For the fixture `s3`."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with (
        _folder() as folder,
        _running(
            [sys.executable, "-c", MOTO, str(port)],
            folder / "log",
            lambda: _http_answers(f"{url}/moto-api/data.json"),
        ),
    ):
        assert _session().put(f"{url}/{BUCKET}", timeout=30).ok
        yield Bucket(
            f"s3://{BUCKET}",
            {
                "AWS_ENDPOINT_URL": url,
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "not-a-secret",
                "AWS_REGION": "us-east-1",
            },
        )


@contextlib.contextmanager
def started_azure() -> Iterator[Bucket]:
    """For the fixture `azure`."""
    if not AZURITE.exists():
        _unavailable("no Azurite: make .azurite/.ready installs it, and takes npm (Debian: apt install npm)")
    port = free_port()
    url = f"http://127.0.0.1:{port}/{ACCOUNT}"
    command = [str(AZURITE), "--inMemoryPersistence", "--blobHost", "127.0.0.1", "--blobPort", str(port)]
    command += ["--silent", "--disableTelemetry", "--skipApiVersionCheck"]
    with _folder() as folder, _running(command, folder / "log", lambda: _speaks(f"{url}/?comp=list")):
        _make_container(url)
        yield Bucket(
            f"az://{BUCKET}",
            {
                "AZURE_STORAGE_ENDPOINT": url,
                "AZURE_STORAGE_ACCOUNT_NAME": ACCOUNT,
                "AZURE_STORAGE_ACCOUNT_KEY": ACCOUNT_KEY,
            },
        )


@contextlib.contextmanager
def started_gcs() -> Iterator[Bucket]:
    """For the fixture `gcs`."""
    with Gcs(BUCKET) as server:
        yield Bucket(f"gs://{BUCKET}", {"GOOGLE_BASE_URL": server.url, "GOOGLE_BEARER_TOKEN": "not-a-secret"})


def use(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets the bucket's variables, and removes others that could select another one."""
    for name in list(os.environ):
        if name.startswith(("AWS_", "AZURE_", "GOOGLE_")):
            monkeypatch.delenv(name)
    for name, value in bucket.variables.items():
        monkeypatch.setenv(name, value)


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    return session


def _speaks(url: str) -> bool:
    """Whether the address responds."""
    try:
        _session().get(url, timeout=5)
    except requests.RequestException:
        return False
    return True


def _make_container(url: str) -> None:
    """https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key"""
    headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": "2021-08-06"}
    signed = "".join(f"{name}:{value}\n" for name, value in headers.items())
    text = "PUT" + "\n" * 12 + signed + f"/{ACCOUNT}/{ACCOUNT}/{BUCKET}\nrestype:container"
    digest = hmac.new(base64.b64decode(ACCOUNT_KEY), text.encode(), hashlib.sha256).digest()
    headers["Authorization"] = f"SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}"
    answer = _session().put(f"{url}/{BUCKET}", params={"restype": "container"}, headers=headers, timeout=30)
    assert answer.status_code == 201, answer.text
