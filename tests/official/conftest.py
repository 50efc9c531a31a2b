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
    saved = home / ".config" / "picsellia"
    saved.mkdir(parents=True)
    (saved / ".env").write_text(
        f"PICSELLIA_{sandbox.organization}_CUSTOM_API_TOKEN={sandbox.token}\nPICSELLIA_CUSTOM_ENV={sandbox.url}\n"
    )
    (home / ".docker").mkdir()
    login = base64.b64encode(b"anybody:anything").decode()
    environment = {"HOME": str(home), "DOCKER_HOST": docker_engine, "PYTHONPATH": str(cv_engine)}

    def deploy(name: str, bump: str = "patch") -> str:
        image = tomllib.loads((cli.folder / name / "config.toml").read_text())["docker"]["image_name"]
        auths = {image.partition("/")[0]: {"auth": login}}
        (home / ".docker" / "config.json").write_text(json.dumps({"auths": auths}))
        printed = official.cli(
            *("deploy", name, "--bump", bump, "--organization", sandbox.organization, "--env", "CUSTOM"),
            cwd=cli.folder,
            environment=environment,
        )
        assert "rror" not in printed, printed
        return printed

    return deploy
