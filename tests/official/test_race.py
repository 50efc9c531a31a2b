"""`apply` beside `pxl-pipeline deploy` of the same pipeline from another clone, at one moment.

The official CLI overwrites tags without a check. It runs from start to end right before or after a request of
ours that puts a tag.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from providers.docker.labels import SOURCE_KEY
from providers.docker.registry.client import RegistryClient
from providers.sandbox import Sandbox
from tests.commands import folders
from tests.conftest import Cli
from tests.docker.proxy import proxy_to
from tests.official.conftest import Deploy
from tests.services import BUSYBOX, Registry

pytestmark = [pytest.mark.docker, pytest.mark.official]


@pytest.fixture
def race(
    cli: Cli, sandbox: Sandbox, registry: Registry, official_deploy: Deploy, tmp_path: Path
) -> Callable[[str, str], None]:
    """Ours never reports a version as its own that holds other source, and a plan shows what runs.

    Called with the moment of the official deploy: "before" or "after" the request that puts this tag.
    """

    def play(moment: str, tag: str) -> None:
        with proxy_to(registry.address) as door:
            repository = f"{door.address}/{tmp_path.name}/app"
            ours = folders.processing(cli.folder / "app", repository, BUSYBOX)
            assert cli("apply", "app", "--yes").code == 0
            shutil.copytree(ours, tmp_path / "clone")
            (ours / "pipeline.py").write_text("print('ours')\n")
            (tmp_path / "clone" / "pipeline.py").write_text("print('theirs')\n")
            deployed: list[str] = []

            def other(method: str, path: str) -> None:
                if method == "PUT" and path.endswith(f"/manifests/{tag}") and not deployed:
                    deployed.append("")
                    deployed[0] = official_deploy("../clone")

            def race_after(method: str, path: str) -> float:
                other(method, path)
                return 0.0

            if moment == "before":
                door.interfere = lambda method, path, body: other(method, path)
            else:
                door.lag = race_after

            ended = cli("apply", "app", "--yes", "--bump", "patch")

            assert deployed and deployed[0], "the official CLI ran to its end"
            assert ended.code in (0, 1, 12) and "Traceback" not in ended.err, ended.err
            planned = cli("plan", "app", "--exit-code")
            with RegistryClient(repository) as client:
                image = client.image("latest")
                assert image is not None
                is_ours = SOURCE_KEY in image.labels
            assert (planned.code == 0) == is_ours, planned.out + planned.err
            assert is_ours or "another tool" in planned.out + planned.err

            assert cli("apply", "app", "--yes", "--bump", "patch").code == 0
            assert cli("plan", "app", "--exit-code").code == 0
            assert cli("drift", "app").code == 0

    return play


def test_whatever_is_last_is_named(race: Callable[[str, str], None]) -> None:
    race("after", "1.0.1")


@pytest.mark.full
@pytest.mark.parametrize(("moment", "tag"), [("before", "1.0.1"), ("before", "latest"), ("after", "latest")])
def test_whatever_is_last_is_named_at_each_moment(
    moment: str, tag: str, race: Callable[[str, str], None]
) -> None:
    race(moment, tag)
