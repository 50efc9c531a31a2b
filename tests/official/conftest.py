"""`pxl-pipeline deploy` as a user of the sandbox runs it, with a real Docker Engine."""

import base64
import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from tests.conftest import Cli
from tests.official.installed import Official

Deploy = Callable[..., str]


@pytest.fixture
def official_deploy(
    cli: Cli,
    home: Path,
    sandbox: Sandbox,
    docker_engine: str,
    official: Official,
    cv_engine: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Deploy:
    """`pxl-pipeline deploy`, signed in to the sandbox and to the image's registry; gives what it printed."""
    monkeypatch.setenv("DOCKER_HOST", docker_engine)
    sign_in(home, sandbox)
    environment = {"HOME": str(home), "DOCKER_HOST": docker_engine, "PYTHONPATH": str(cv_engine)}

    def deploy(name: str, bump: str = "patch") -> str:
        image = tomllib.loads((cli.folder / name / "config.toml").read_text())["docker"]["image_name"]
        sign_in_to_registry(home, image.partition("/")[0])
        printed = official.cli(
            *("deploy", name, "--bump", bump, "--organization", sandbox.organization, "--env", "CUSTOM"),
            cwd=cli.folder,
            environment=environment,
        )
        assert "rror" not in printed, printed
        return printed

    return deploy


def sign_in(home: Path, sandbox: Sandbox) -> None:
    """As `pxl-pipeline login` leaves it."""
    saved = home / ".config" / "picsellia"
    saved.mkdir(parents=True)
    (saved / ".env").write_text(
        f"PICSELLIA_{sandbox.organization}_CUSTOM_API_TOKEN={sandbox.token}\nPICSELLIA_CUSTOM_ENV={sandbox.url}\n"
    )


def sign_in_to_registry(home: Path, registry: str) -> None:
    """As `docker login` leaves it, at a registry that takes everybody."""
    login = base64.b64encode(b"anybody:anything").decode()
    (home / ".docker").mkdir(exist_ok=True)
    (home / ".docker" / "config.json").write_text(json.dumps({"auths": {registry: {"auth": login}}}))
