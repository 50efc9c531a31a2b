"""The pages of several environments are played in one shell, with the addresses of a sandbox for theirs."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from providers.docker.registry.client import RegistryClient
from providers.sandbox import Environment, Sandbox
from tests.conftest import copy_example
from tests.test_docs_commands import play
from tests.test_readme import ROOT

PAGE = ROOT / "docs" / "how-to" / "workspace.md"
TUTORIALS = ROOT / "docs" / "tutorial"
TUTORIAL = TUTORIALS / "two-environments.md"
PART = re.compile(r'^```(sh|toml|text)(?: title="([^"]+)")?\n(.*?)^```$', re.M | re.S)


@dataclass
class Command:
    """One command of a page, the exit code that the page states, and the lines of output that it shows."""

    line: str
    code: int = 0
    shown: list[str] = field(default_factory=list)


@pytest.fixture
def clone(environments: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone of this repository, of a user who has no token and no state yet."""
    for variable in ("RECONCILER_STATE", "TEST_TOKEN", "LIVE_TOKEN"):
        monkeypatch.delenv(variable)
    for name in ("dataset_cleanup", "multi_training"):
        copy_example(name, tmp_path / "clone" / "examples", environments.registry)
    return tmp_path / "clone"


def test_two_colleagues_bring_two_environments_in_sync(environments: Sandbox, clone: Path) -> None:
    assert len(played(PAGE, clone, environments)) > 30

    with RegistryClient(f"{environments.registry}/examples/dataset_cleanup") as client:
        assert len({client.digest(tag) for tag in ("1.0.1-rc", "1.0.1", "test", "live")}) == 1
    cpus = {
        name: environments.account(name).platform.processing("dataset_cleanup")["default_cpu"]
        for name in ("TEST", "LIVE")
    }
    assert cpus == {"TEST": 4, "LIVE": 16}


def test_the_tutorial_of_two_environments_goes_on_from_the_first_ones(
    sandbox: Sandbox, environments: Sandbox, clone: Path, home: Path, tmp_path: Path
) -> None:
    first = tmp_path / "first"
    copy_example("dataset_cleanup", first / "examples", sandbox.registry)
    play([TUTORIALS / "first-pipeline.md", TUTORIALS / "first-drift.md"], first, sandbox)

    outputs = played(TUTORIAL, clone, environments)

    (listed,) = (output for line, output in outputs if line == "reconciler status --all --env TEST")
    assert "sandbox@" not in listed, listed
    (listed,) = (output for line, output in outputs if line == "reconciler status --all --env LIVE")
    rows = [line for line in listed.splitlines() if " my-" in line]
    assert len(rows) == 2 and all(re.search(r" 1\.0\.0 .* in sync ", row) for row in rows), listed
    assert {"TEST", "LIVE"} <= {
        *re.findall(r"\w+", (home / "environments/dashboard/data/index.js").read_text())
    }
    assert [environments.account(name).platform.processings() for name in ("TEST", "LIVE")] == [[], []]


@pytest.mark.parametrize("page", [PAGE, TUTORIAL], ids=lambda page: page.stem)
def test_the_page_has_the_tokens_that_the_sandbox_prints(page: Path) -> None:
    text = page.read_text()
    found = re.findall(r"--env (\w+)=([\w-]+)", text)
    assert len(found) == 2
    for name, organization in found:
        assert f"export {name}_TOKEN={Environment(name).token(organization)}\n" in text


def commands(page: Path, sandbox: Sandbox) -> list[Command]:
    """The commands of a page in their order; a file with a title is written where its block is."""
    text = page.read_text()
    for port, name in (("8000", "TEST"), ("8001", "LIVE")):
        assert f"http://localhost:{port}" in text
        text = text.replace(f"http://localhost:{port}", sandbox.account(name).url)
    found: list[Command] = []
    for kind, title, block in PART.findall(text):
        if title:
            found.append(Command(f"cat > {title} <<'END'\n{block}END"))
        elif kind == "text":
            found[-1].shown += block.splitlines()
        elif kind == "sh":
            for line in block.splitlines():
                command, _, remark = line.partition("  # ")
                stated = re.match(r"exits with (\d+)", remark)
                if not command.startswith("reconciler sandbox"):
                    found.append(Command(command, int(stated[1]) if stated else 0))
    return found


def played(page: Path, folder: Path, sandbox: Sandbox) -> list[tuple[str, str]]:
    """Run the commands of a page in one shell, compare codes and output; each line with its output."""
    todo = commands(page, sandbox)
    script = "\n".join(f"{command.line}\nprintf '\\n@@ %s\\n' $?" for command in todo)
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        **{f"GIT_{role}_NAME": "Ann" for role in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{role}_EMAIL": "ann@example.com" for role in ("AUTHOR", "COMMITTER")},
        "TERM": "dumb",
    }
    ran = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
        check=False,
    )
    ended = re.findall(r"(.*?)\n@@ (\d+)\n", ran.stdout, re.S)
    assert len(ended) == len(todo), ran.stdout
    for command, (output, code) in zip(todo, ended, strict=True):
        assert int(code) == command.code, f"{command.line}\n{output}"
        assert {*command.shown} <= {*output.splitlines()}, f"{command.line}\n{output}"
    return [(command.line, output) for command, (output, _) in zip(todo, ended, strict=True)]
