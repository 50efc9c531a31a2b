"""The page of promotions is played, with an example as the pipeline. Only the addresses are replaced."""

import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

from providers.docker.registry.client import RegistryClient
from providers.sandbox import Sandbox
from tests.conftest import copy_example
from tests.stories.test_stories import git
from tests.test_readme import ROOT

PAGE = ROOT / "docs" / "how-to" / "promote.md"
PART = re.compile(r'^```(sh|toml)(?: title="([^"]+)")?\n(.*?)^```$', re.M | re.S)


def test_the_page_promotes_and_then_lets_nothing_else_in(environments: Sandbox, workplace: Path) -> None:
    pipeline = copy_example("dataset_cleanup", workplace, environments.registry).rename(
        workplace / "my_pipeline"
    )
    config = pipeline / "config.toml"
    config.write_text(config.read_text().replace('"dataset_cleanup"', '"my_pipeline"'))
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "Start")
    text = PAGE.read_text()
    for port, name in (("8000", "TEST"), ("8001", "LIVE")):
        assert f"localhost:{port}" in text
        text = text.replace(f"localhost:{port}", urlsplit(environments.account(name).url).netloc)

    played = 0
    for kind, title, block in PART.findall(text):
        if title:
            (workplace / title).write_text(block)
        elif kind == "sh":
            for line in block.splitlines():
                command, _, remark = line.partition("  # ")
                if command.startswith("reconciler sandbox"):
                    continue
                stated = re.match(r"exits with (\d+)", remark)
                output, code = run(command)
                assert code == (int(stated[1]) if stated else 0), f"{command}\n{output}"
                played += 1
    assert played > 10
    assert "promoted from TEST" in output and "override: the camera driver crashes" in output
    with RegistryClient(f"{environments.registry}/examples/dataset_cleanup") as client:
        assert client.digest("1.0.1") == client.digest("1.0.1-rc") == client.digest("test")
        assert client.digest("1.0.2") == client.digest("live") != client.digest("test")


def run(command: str) -> tuple[str, int]:
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        **{f"GIT_{role}_NAME": "Ann" for role in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{role}_EMAIL": "ann@example.com" for role in ("AUTHOR", "COMMITTER")},
        "TERM": "dumb",
    }
    ran = subprocess.run(
        ["bash", "-c", command],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    return ran.stdout, ran.returncode
