"""One sandbox for all of these tests, put back to its start before each."""

from collections.abc import Iterator

import pytest

from providers.sandbox import Sandbox
from tests.sandbox.helpers import Http


@pytest.fixture(scope="session")
def _running() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(_running: Sandbox) -> Sandbox:
    _running.reset()
    return _running


@pytest.fixture
def http(sandbox: Sandbox) -> Iterator[Http]:
    http = Http(sandbox, sandbox.token)
    with http.session:
        yield http


@pytest.fixture
def docker(sandbox: Sandbox) -> Iterator[Http]:
    """A registry client: no token."""
    docker = Http(sandbox, None)
    with docker.session:
        yield docker
