"""The page of many pipelines and environments is played by two colleagues, each with a home of their own.

Only the addresses of the sandbox, of the bucket and of the git server are replaced.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from providers.docker.registry.client import RegistryClient
from providers.sandbox import Environment, Sandbox
from tests.conftest import copy_example
from tests.state.servers import Bucket, use
from tests.test_readme import ROOT

PAGE = ROOT / "docs" / "how-to" / "workspace.md"
PART = re.compile(r'^## (\w+)[^\n]*$|^```(sh|toml)(?: title="([^"]+)")?\n(.*?)^```$', re.M | re.S)


@dataclass
class Command:
    """One command of the page, of one of the colleagues."""

    person: str
    line: str
    code: int


def test_two_colleagues_bring_two_environments_in_sync(
    environments: Sandbox, s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(s3, monkeypatch)
    monkeypatch.delenv("RECONCILER_STATE")
    for variable in ("TEST_TOKEN", "LIVE_TOKEN"):
        monkeypatch.delenv(variable)
    server = tmp_path / "my-pipelines.git"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch", "main", server], check=True)
    for name in ("dataset_cleanup", "multi_training"):
        copy_example(name, tmp_path / "Ann" / "picsellia-reconciler" / "examples", environments.registry)
    (tmp_path / "Ben").mkdir()
    places = {
        "http://localhost:8000": environments.account("TEST").url,
        "http://localhost:8001": environments.account("LIVE").url,
        "s3://my-bucket": s3.url,
        "git@example.com:team/my-pipelines.git": str(server),
    }

    commands = list(played(places))
    ended = run(commands, tmp_path)

    assert len(ended) == len(commands) > 30
    for command, (output, code) in zip(commands, ended, strict=True):
        assert code == command.code, f"{command.person}: {command.line}\n{output}"
    with RegistryClient(f"{environments.registry}/examples/dataset_cleanup") as client:
        assert len({client.digest(tag) for tag in ("1.0.1-rc", "1.0.1", "test", "live")}) == 1
    cpus = {
        name: environments.account(name).platform.processing("dataset_cleanup")["default_cpu"]
        for name in ("TEST", "LIVE")
    }
    assert cpus == {"TEST": 4, "LIVE": 16}


def test_the_page_has_the_tokens_that_the_sandbox_prints() -> None:
    text = PAGE.read_text()
    for name, organization in re.findall(r"--env (\w+)=([\w-]+)", text):
        assert f"export {name}_TOKEN={Environment(name).token(organization)}\n" in text


def played(places: dict[str, str]) -> Iterator[Command]:
    """The commands of the page in their order; a file with a title is written where its block is."""
    text = PAGE.read_text()
    for before, after in places.items():
        assert before in text
        text = text.replace(before, after)
    person = "Ann"
    for heading, kind, title, block in PART.findall(text):
        if heading:
            person = heading
        elif title:
            yield Command(person, f"cat > {title} <<'END'\n{block}END", 0)
        elif kind == "sh":
            for line in block.splitlines():
                command, _, remark = line.partition("  # ")
                stated = re.match(r"exits with (\d+)", remark)
                if not command.startswith("reconciler sandbox"):
                    yield Command(person, command, int(stated[1]) if stated else 0)


def run(commands: list[Command], folder: Path) -> list[tuple[str, int]]:
    """The output and the exit code of each command, all run in one shell."""
    script, person = [], ""
    for command in commands:
        if command.person != person:
            script.append(f"here_{person or 'nobody'}=$PWD; person={command.person}")
            script.append(f'export HOME={folder}/{command.person}; cd "${{here_{command.person}:-$HOME}}"')
            person = command.person
        script.append(f"{command.line}\nprintf '\\n@@ %s\\n' $?")
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        **{f"GIT_{role}_NAME": "Ann" for role in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{role}_EMAIL": "ann@example.com" for role in ("AUTHOR", "COMMITTER")},
        "TERM": "dumb",
    }
    ran = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    return [(output, int(code)) for output, code in re.findall(r"(.*?)\n@@ (\d+)\n", ran.stdout, re.S)]
