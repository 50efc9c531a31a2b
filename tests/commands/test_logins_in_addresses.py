"""A login in an address or in the name of an image is in no output and in no record.

The password is a unique text, in every place that takes an address or a reference. The commands run with it,
and then all that they printed, wrote, logged and recorded is searched.
"""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from providers.errors import PermanentError
from providers.sandbox import Sandbox
from providers.text import has_login, without_logins
from reconciler.core.diagnostics import error
from tests.commands.test_secrets import Watched
from tests.conftest import Cli, copy_example

Commands = tuple[tuple[str, ...], ...]
NAME: Final = "dataset_cleanup"
PASSWORD: Final = "marked-canary-3fd1"
IMAGE: Final = f"me:{PASSWORD}@127.0.0.1:1/team/app"
WEB: Final = f"http://me:{PASSWORD}@127.0.0.1:1/x"


@pytest.fixture
def run(cli: Cli, sandbox: Sandbox, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Watched:
    """A pipeline, applied once, and a user whose commands are watched."""
    caplog.set_level(logging.DEBUG)
    copy_example(NAME, cli.folder, sandbox.registry)
    watched = Watched(cli, tmp_path, caplog, PASSWORD)
    watched("apply", NAME, "--yes")
    return watched


def every(run: Watched, *commands: tuple[str, ...]) -> set[int]:
    """The exit codes of these commands, after a search of what they left."""
    codes = {run.any(*command) for command in commands}
    assert run.found() == []
    return codes


COMMANDS: Final = (
    *(("validate", NAME), ("plan", NAME), ("plan", NAME, "--json"), ("plan", NAME, "--out", "plan.json")),
    *(("plan", NAME, "-o", "html=plan.html"), ("apply", NAME, "--yes", "-o", "json=run.json")),
    *(("apply", NAME, "--yes", "-o", "junit=run.xml", "-o", "markdown=run.md", "-o", "html=run.html"),),
    *(("deploy", NAME, "--yes"), ("drift", NAME, "-o", "json=drift.json", "-o", "html=drift.html")),
    *(("status", NAME), ("status", "--all", "--json"), ("image", NAME), ("image", NAME, "--json")),
    *(("list",), ("list", "--json"), ("graph", NAME), ("contract", NAME), ("whoami",), ("state", "list")),
    *(("state", "history", NAME), ("rollback", NAME, "--yes"), ("bump", NAME), ("adopt", NAME)),
    *(("destroy", NAME, "--yes"), ("dashboard", "--out", "pages", "--reports", ".")),
)
"""Every command that reads the files of a pipeline or of the workspace."""
SOME: Final = tuple(
    one for one in COMMANDS if one[0] in ("validate", "plan", "list", "status") or "html=run.html" in one
)
of_commands = pytest.mark.parametrize(
    "commands", [pytest.param(SOME, id="some"), pytest.param(COMMANDS, id="all", marks=pytest.mark.full)]
)

SETTINGS: Final[Mapping[str, tuple[str, str]]] = {
    "image_name": ("image_name = ", f'image_name = "{IMAGE}"  # '),
    "image_name, an address": ("image_name = ", f'image_name = "{WEB}"  # '),
    "image_name, a slash": ("image_name = ", f'image_name = "me:x/{PASSWORD}@reg.io/app"  # '),
    "base": ("base = ", f'base = "{IMAGE}"  # '),
    "builder": ("builder = ", f'builder = "{IMAGE}"  # '),
    "platform": ("[reconciler.image]", f'[reconciler.image]\nplatform = "{IMAGE}"'),
    "dockerfile": ("[reconciler.image]", f'[reconciler.image]\ndockerfile = "{IMAGE}"'),
    "cache_from": ("[reconciler.image]", f'[reconciler.image]\ncache_from = ["type=registry,ref={IMAGE}"]'),
    "cache_to": ("[reconciler.image]", f'[reconciler.image]\ncache_to = ["{IMAGE}"]'),
    "sbom_generator": ("[reconciler.image]", f'[reconciler.image]\nsbom = true\nsbom_generator = "{IMAGE}"'),
    "build_args": ("[reconciler.image]", f'[reconciler.image]\nbuild_args = {{ INDEX = "{WEB}" }}'),
    "env": ("[reconciler.image]", f'[reconciler.image]\nenv = {{ INDEX = "{WEB}" }}'),
    "protect": ("[reconciler.image]", f'[reconciler]\nprotect = ["image/{IMAGE}"]\n[reconciler.image]'),
    "version": ("version = ", f'version = "{IMAGE}"  # '),
    "image_tag": ("image_tag = ", f'image_tag = "{IMAGE}"  # '),
    "type": ("type = ", f'type = "{WEB}"  # '),
    "an unknown key": ("[docker]", f'[docker]\n"{WEB}" = 1'),
    "no TOML": ("[docker]", f"[docker]\nregistry = {WEB}"),
    "a Dockerfile": ("", f"FROM {IMAGE}\nFROM {WEB}\n"),
}
ACCEPTED: Final = ("image_tag", "protect", "an unknown key")
"""Places whose text is not used; all others are refused."""


@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <socket"
)  # docker-py leaves it open without an Engine
@of_commands
@pytest.mark.parametrize("where", SETTINGS)
def test_of_a_pipeline(run: Watched, where: str, commands: Commands, cli: Cli) -> None:
    old, new = SETTINGS[where]
    folder = cli.folder / NAME
    if where == "a Dockerfile":
        (folder / "Dockerfile").write_text(new)
        config = folder / "config.toml"
        config.write_text(config.read_text().replace('builder = "append"', ""))
    else:
        config = folder / "config.toml"
        assert old in config.read_text()
        config.write_text(config.read_text().replace(old, new, 1))
    run.forget_files(folder)
    codes = every(run, *commands)
    assert codes & {1, 12} or where in ACCEPTED


WORKSPACE: Final[Mapping[str, str]] = {
    "state": f'[workspace]\nstate = "s3://me:{PASSWORD}@bucket/x"',
    "state of another kind": f'[workspace]\nstate = "postgres://me:{PASSWORD}@host/x"',
    "name": f'[workspace]\nname = "{WEB}"',
    "a glob": f'[workspace]\npipelines = ["{WEB}"]',
    "host": f'[environments.EU]\norganization = "o"\nhost = "{WEB}"',
    "channel": f'[environments.STAGING]\norganization = "o"\nchannel = "{IMAGE}"',
    "token": f'[environments.STAGING]\norganization = "o"\ntoken = "{WEB}"',
    "follows": f'[environments.STAGING]\norganization = "o"\nfollows = "{WEB}"',
    "a default": f'[defaults.image]\nbase = "{IMAGE}"',
    "an unknown key": f'[workspace]\n"{WEB}" = 1',
}


@of_commands
@pytest.mark.parametrize("where", WORKSPACE)
def test_of_a_workspace(run: Watched, where: str, commands: Commands, cli: Cli) -> None:
    file = cli.folder / "reconciler.toml"
    file.write_text(WORKSPACE[where] + "\n")
    run.forget_files(file)
    every(run, *commands)


ARGUMENTS: Final = (
    ("apply", NAME, "--yes", "-o", "html=a.html", "--dashboard", WEB),
    ("drift", NAME, "-o", "html=a.html", "--dashboard", WEB),
    ("drift", NAME, "-o", "html=a.html", "--dashboard", f"https://reports.example.com/?token={PASSWORD}"),
    ("plan", NAME, "--executor", f"dask://me:{PASSWORD}@127.0.0.1:1"),
    ("apply", "--all", "--yes", "--executor", f"dask://me:{PASSWORD}@127.0.0.1:1"),
    ("login", "--host", WEB, "--organization", "o", "--token-stdin"),
    ("init", "another", "--type", "PRE_ANNOTATION", "--image", IMAGE),
    ("init", "another", "--type", "PRE_ANNOTATION", "--image", "reg.io/app", "--base", IMAGE),
    ("deploy", NAME, "--yes", "--image", IMAGE),
    ("apply", NAME, "--yes", "--target", f"image/{IMAGE}"),
    ("apply", NAME, "--yes", "--override", f"see {WEB}"),
    ("state", "copy", "./state.db", f"s3://me:{PASSWORD}@bucket/x"),
    ("state", "copy", "./state.db", f"postgres://me:{PASSWORD}@bucket/x"),
    *(("plan", WEB), ("plan", NAME, "--env", WEB), ("plan", NAME, "--organization", WEB), (WEB,)),
    *(
        ("show", WEB),
        ("validate", NAME, "-o", WEB),
        ("plan", NAME, f"--{WEB}"),
        ("apply", NAME, "--group", WEB),
    ),
    ("state", "show", WEB),
)


def test_of_an_argument(run: Watched) -> None:
    assert 0 not in every(run, *ARGUMENTS[:5])
    every(run, *ARGUMENTS[5:])


VARIABLES: Final[Mapping[str, str]] = {
    "RECONCILER_STATE": f"s3://me:{PASSWORD}@bucket/x",
    "PICSELLIA_CUSTOM_ENV": WEB,
    "PICSELLIA_ENV": WEB,
    "CI_JOB_URL": WEB,
    "GITHUB_SERVER_URL": f"https://me:{PASSWORD}@github.com",
    "HTTP_PROXY": WEB,
    "HTTPS_PROXY": WEB,
    "DOCKER_HOST": f"tcp://me:{PASSWORD}@127.0.0.1:1",
}


@of_commands
@pytest.mark.parametrize("name", VARIABLES)
def test_of_a_variable(run: Watched, name: str, commands: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, VARIABLES[name])
    for other in ("GITHUB_REPOSITORY", "GITHUB_RUN_ID"):
        monkeypatch.setenv(other, "7")
    every(run, *commands)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("at https://me:pw@host/x?a=1", "at https://…@host/x?a=1"),
        ("at https://token@host", "at https://…@host"),
        ("(http://me:p@w@host)", "(http://…@host)"),
        ("'me:pw@reg.io/app' is", "'…@reg.io/app' is"),
        ("me:p/w@reg.io/app", "…@reg.io/app"),
        ("pkg:pypi/pw@reg.io/app", "…@reg.io/app"),
        ("pkg:p/w@10.0.0.1/app", "…@10.0.0.1/app"),
        ("pkg:p/w@10.0.0.1:5000", "…@10.0.0.1:5000"),
        ("type=registry,ref=me:pw@reg.io/app", "type=registry,ref=…@reg.io/app"),
        ("https://h/x?sig=abc&n=1&access_token=d", "https://h/x?sig=…&n=1&access_token=…"),
        ("https://h/#private_token=zzz", "https://h/#private_token=…"),
        ("https://h/#/x?token=zzz&n=1#sig=a", "https://h/#/x?token=…&n=1#sig=…"),
        ("https://h/?next=%2Fx%3Ftoken%3Dzzz%26n%3D1&n=1", "https://h/?next=%2Fx%3Ftoken%3D…&n=1"),
        ("https://h/?next=%2fx%23api_key%3dzzz", "https://h/?next=%2fx%23api_key%3d…"),
    ],
)
def test_a_message_repeats_no_login(text: str, masked: str) -> None:
    assert without_logins(text) == masked
    assert has_login(text)
    assert not has_login(masked)
    assert error(text, text).detail == masked
    assert PermanentError(text, hint=text).hint == masked


@pytest.mark.parametrize(
    "text",
    [
        f"reg.io:5000/team/app:1.0@sha256:{'0' * 64}",
        f"app:1.0@sha256:{'0' * 64}",
        *("built by pkg:pypi/picsellia-reconciler@0.1.0", "pkg:npm/%40scope/name@1.2.0-rc.1+g1, built"),
        *("http://localhost:8000/model/me@example.com", "git@github.com:org/app.git", "ann@example.com"),
        *(
            "https://example.com/?page=2&sort=name",
            "a = b, 12:30",
            "https://example.com/#token",
            "# token = x",
        ),
    ],
)
def test_other_texts_stay(text: str) -> None:
    assert without_logins(text) == text
