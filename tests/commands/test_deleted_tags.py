"""Version tags that were deleted outside, while the channel tag still has the image."""

import shutil

import pytest
import requests
from msgspec import Struct

from providers.docker.registry.client import RegistryClient
from providers.sandbox import Sandbox
from tests.conftest import Cli, copy_example

APP = "dataset_cleanup"


class Published(Struct, frozen=True):
    """An applied pipeline. Its 1.0.0 is published, but has lost its tag.

    Attributes:
        repository: of its image.
        digest: of its image.
    """

    repository: str
    digest: str


@pytest.fixture
def published(cli: Cli, sandbox: Sandbox) -> Published:
    folder = copy_example(APP, cli.folder, sandbox.registry)
    assert cli("apply", APP, "--yes").code == 0
    (folder / "pipeline.py").write_text("print('edited')\n")
    repository = f"{sandbox.registry}/examples/{APP}"
    with RegistryClient(repository) as client:
        digest = client.digest("1.0.0")
        assert digest
        deleted = requests.delete(f"http://{sandbox.registry}/v2/examples/{APP}/manifests/1.0.0", timeout=60)
        assert deleted.status_code == 202
        assert (client.digest("1.0.0"), client.digest("latest")) == (None, digest)
    sandbox.clear_requests()
    return Published(repository, digest)


@pytest.mark.parametrize("has_state", [True, False])
@pytest.mark.parametrize(
    "command", [("apply", APP, "--yes"), ("apply", "--all", "--yes"), ("deploy", APP, "--yes")]
)
def test_an_edit_is_not_published_under_a_version_whose_tag_was_deleted(
    command: tuple[str, ...], has_state: bool, published: Published, cli: Cli, sandbox: Sandbox
) -> None:
    if not has_state:
        (cli.folder.parent / "state.db").unlink()

    ended = cli(*command)

    assert ended.code == 12
    assert "1.0.0 had another source before its tag was deleted" in ended.out + ended.err
    assert sandbox.writes() == []


def test_the_edit_gets_a_version_of_its_own(published: Published, cli: Cli) -> None:
    assert cli("apply", APP, "--bump", "patch", "--yes").code == 0

    with RegistryClient(published.repository) as client:
        assert client.digest("1.0.0") is None
        assert client.digest("1.0.1") == client.digest("latest") != published.digest


def test_the_same_source_gets_its_tag_back(published: Published, cli: Cli, sandbox: Sandbox) -> None:
    shutil.rmtree(cli.folder / APP)
    copy_example(APP, cli.folder, sandbox.registry)

    assert cli("apply", APP, "--yes").code == 0

    with RegistryClient(published.repository) as client:
        assert client.digest("1.0.0") == client.digest("latest") == published.digest
