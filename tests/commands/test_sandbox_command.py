"""`reconciler sandbox --env` prints what a user needs to work with each of its environments."""

import os
import re
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from providers.sandbox import Sandbox
from tests.conftest import Cli, copy_example
from tests.waits import PATIENCE

NAME = "dataset_cleanup"


def test_the_lines_that_it_prints_are_a_reconciler_toml_that_works(
    home: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-u", "-m", "reconciler", "sandbox", "--port", "0"]
    command += ["--env", "TEST=my-test-org", "--env", 'LIVE=my "big" org', "--env", "LIVE=my-second-org"]
    with subprocess.Popen(
        command, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None and server.stderr is not None
        printed = ""
        while "LIVE_2_TOKEN=" not in printed.rpartition("export")[2]:
            line = server.stdout.readline()
            assert line, printed + server.stderr.read()
            printed += line
        tables = printed.partition("reconciler.toml:\n")[2].partition("To use it from")[0]
        (cli.folder / "reconciler.toml").write_text(textwrap.dedent(tables))
        for name, token in re.findall(r"export (\w+)=(\S+)", printed):
            monkeypatch.setenv(name, token)
        registry = re.search(r"registry +(\S+)", printed)
        assert registry is not None
        copy_example(NAME, cli.folder, registry[1])

        for name in ("TEST", "LIVE", "LIVE-2"):
            ended = cli("apply", NAME, "--env", name, "--yes")
            assert ended.code == 0, ended
            assert cli("plan", NAME, "--env", name, "--exit-code").code == 0

        server.send_signal(signal.SIGINT)
        assert server.wait(PATIENCE) == 0
        assert server.stderr.read() == ""


def test_one_image_serves_both_environments(cli: Cli, environments: Sandbox) -> None:
    copy_example(NAME, cli.folder, environments.registry)
    for name in ("TEST", "LIVE"):
        assert cli("apply", NAME, "--env", name, "--yes").code == 0
        assert cli("plan", NAME, "--env", name, "--exit-code").code == 0
    assert cli("state", "list").out.splitlines() == sorted(
        f"{account.organization}@{urlsplit(account.url).netloc}/{NAME}"
        for account in map(environments.account, ("TEST", "LIVE"))
    )
    tags = [
        one["path"].rpartition("/")[2]
        for one in environments.writes(service="registry")
        if "/manifests/" in one["path"]
    ]
    assert sorted(tag for tag in tags if tag in ("1.0.0", "test", "live")) == ["1.0.0", "live", "test"]


@pytest.mark.parametrize("place", ["a folder", "a pipe", "no place to write"])
def test_a_folder_that_cannot_be_used_is_an_error(tmp_path: Path, place: str, cli: Cli) -> None:
    folder = tmp_path / "data"
    if place == "a folder":
        (folder / "sandbox.sqlite").mkdir(parents=True)
    elif place == "a pipe":
        folder.mkdir()
        os.mkfifo(folder / "sandbox.sqlite")
    else:
        folder = Path("/proc")
    ended = cli("sandbox", "--port", "0", "--folder", str(folder))
    assert ended.code == 1
    assert "the sandbox cannot start" in ended.err, ended.err
    assert "--folder" in ended.err


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
from reconciler.cli import run
sys.exit(run(sys.argv[2:]))
"""


@pytest.mark.parametrize("command", [("demo",), ("sandbox", "--port", "0", "--folder", "data")])
@pytest.mark.parametrize("size", [0, 1_000, 20_000, 60_000])
def test_no_room_for_files_is_an_error(
    tmp_path: Path, home: Path, command: tuple[str, ...], size: int
) -> None:
    """As on a full disk: no file can be larger."""
    ended = subprocess.run(
        [sys.executable, "-c", LIMITED, str(size), *command],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(home), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 1, said
    assert "Traceback" not in said and "a bug in reconciler" not in said, said
