"""Each `*.story` beside this file is a test that reads as a terminal session.

    # a remark
    $ reconciler plan app          run in-process, against a fresh sandbox
    output                         stdout, then stderr after "| "
    [11]                           the exit code, if it is not 0
    $ platform edit-processing app default_cpu=64      another user, see `Platform` of the sandbox
    $ registry tag team/app 1.0.0 latest           another user moves a tag
    $ training clip                                    clip/training, with an image and a model of its own
    $ vendor                                           the vendor's repository, with its faults
    $ vendor mended                                    the same without them, with images in the registry
    $ copy app other                                   the user copies a folder
    $ edit app/config.toml 'old' 'new'                 the user edits a file
    $ write reconciler.toml 'text'                     the user writes a file
    $ move app other                                   the user moves a file or folder
    $ remove app                                       the user deletes a file or folder
    $ git add .                                        git, in the current folder
    $ cd shop                                          the user changes to another folder
    $ writes                                           the write requests since the last such line

A story with `--env TEST` has two environments beside one registry, TEST and LIVE, each with a channel.

Digests, ports, sizes and durations become `…`. `pytest --update` writes the output into the story.
"""

import json
import math
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from providers.docker.registry.client import RegistryClient
from providers.sandbox import Sandbox
from reconciler.engine.run_identity import CI_ADDRESSES, CI_NUMBERS
from reconciler.views.terminal import event_renderer, fleet_progress
from tests.conftest import Cli, copy_example, training
from tests.vendor.repository import write_mended, write_repository

STORIES = sorted(Path(__file__).parent.glob("*.story"))


@pytest.mark.parametrize("story", STORIES, ids=lambda path: path.stem)
def test_story(
    story: Path,
    cli: Cli,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in (*CI_ADDRESSES, *CI_NUMBERS):  # the history would show the CI job of the tests
        monkeypatch.delenv(name, raising=False)
    for view in (event_renderer, fleet_progress):  # a slow machine shows more lines
        monkeypatch.setattr(view, "SILENCE", math.inf)  # seconds
    text = story.read_text()
    names = ("TEST", "LIVE") if "--env TEST" in text else ()
    sandbox: Sandbox = request.getfixturevalue("environments" if names else "sandbox")
    played = Player(cli, sandbox, names).play(text)
    if request.config.getoption("--update"):
        story.write_text(played)
    assert played == story.read_text()


class Player:
    """Plays a story and adds the output."""

    def __init__(self, cli: Cli, sandbox: Sandbox, environments: Sequence[str] = ()) -> None:
        self._cli = cli
        self._sandbox = sandbox
        self._hosts = {sandbox.account(name).url.partition("://")[2]: name.lower() for name in environments}

    def play(self, story: str) -> str:
        played: list[str] = []
        for line in story.splitlines():
            if line.startswith("#") or not line:
                if not line and played and played[-1] == "":
                    continue
                played.append(line)
            elif line.startswith("$ "):
                played.append(line)
                played.extend(self._run(shlex.split(line[2:])))
                played.append("")
        return "\n".join(played).rstrip("\n") + "\n"

    def _run(self, words: list[str]) -> list[str]:
        match words:
            case ["reconciler", *arguments]:
                registry = f"{self._sandbox.registry}/"
                arguments = [re.sub("^registry/", registry, argument) for argument in arguments]
                for host, name in self._hosts.items():
                    arguments = [argument.replace(f"@{name}/", f"@{host}/") for argument in arguments]
                scope = f"sandbox@127.0.0.1:{self._sandbox.port}/"
                ended = self._cli(*(re.sub("^sandbox@sandbox/", scope, argument) for argument in arguments))
                lines = [self._settled(line) for line in ended.out.splitlines() if line]
                lines += [f"| {self._settled(line)}" for line in ended.err.splitlines() if line]
                return [*lines, f"[{ended.code}]"] if ended.code else lines
            case ["example", name]:
                copy_example(name, self._cli.folder, self._sandbox.registry)
            case ["training", model]:
                training(self._cli.folder / model / "training", model, self._sandbox.registry)
            case ["vendor"]:
                write_repository(self._cli.folder)
            case ["vendor", "mended"]:
                shutil.rmtree(self._cli.folder / "pipelines")
                write_mended(self._cli.folder, self._sandbox.registry)
            case ["copy", folder, other]:
                shutil.copytree(self._cli.folder / folder, self._cli.folder / other)
            case ["edit", file, old, new]:
                path = self._cli.folder / file
                text = path.read_text()
                assert old in text, f"{file} has no {old!r}"
                path.write_text(text.replace(old, new.replace("\\n", "\n")))
            case ["write", file, text]:
                (self._cli.folder / file).parent.mkdir(exist_ok=True, parents=True)
                (self._cli.folder / file).write_text(text.replace("\\n", "\n") + "\n")
            case ["move", file, other]:
                (self._cli.folder / other).parent.mkdir(exist_ok=True, parents=True)
                (self._cli.folder / file).rename(self._cli.folder / other)
            case ["remove", name]:
                path = self._cli.folder / name
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            case ["git", *arguments]:
                git(*arguments)
            case ["cd", folder]:
                os.chdir(self._cli.folder / folder)  # `workplace` goes back at the end
            case ["touch", file]:
                (self._cli.folder / file).touch()
            case ["show", file, pattern]:
                text = (self._cli.folder / file).read_text()
                return [line for line in text.splitlines() if re.search(pattern, line)]
            case ["platform", verb, *arguments]:
                names = [argument for argument in arguments if "=" not in argument]
                fields = dict(argument.split("=", 1) for argument in arguments if "=" in argument)
                getattr(self._sandbox.platform, verb.replace("-", "_"))(
                    *names, **{name: _value(text) for name, text in fields.items()}
                )
            case ["registry", "tag", repository, version, tag]:
                with RegistryClient(f"{self._sandbox.registry}/{repository}") as client:
                    client.tag(version, tag)
            case ["fail", method, path, action]:
                self._sandbox.fail(method, path, int(action) if action.isdigit() else action)  # type: ignore[arg-type]
            case ["writes"]:
                writes = [
                    f"{w['method']} {self._settled(w['path'])} {w['status']}" for w in self._sandbox.writes()
                ]
                self._sandbox.clear_requests()
                return writes or ["none"]
            case _:
                raise AssertionError(f"no such command in a story: {words}")
        return []

    def _settled(self, line: str) -> str:
        line = line.replace(str(self._cli.folder) + "/", "")
        for host, name in self._hosts.items():
            line = line.replace(host, name)
        line = line.replace(f"127.0.0.1:{self._sandbox.port}", "sandbox")
        line = line.replace(self._sandbox.registry, "registry")
        line = re.sub(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "…", line)
        line = re.sub(r"sha256:[0-9a-f]+", "sha256:…", line)
        line = re.sub(r"\bv2:[0-9a-f]+", "v2:…", line)
        line = re.sub(r"\b[0-9a-f]{12}\b", "…", line)
        line = re.sub(r"--approve [0-9a-f]{16}\b", "--approve …", line)
        line = re.sub(r"\d{4}-\d\d-\d\dT[\d:.+]+", "…", line)
        line = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "…", line)
        line = re.sub(r" by (\S+@\S+|(?<=just now by )\S+)", " by somebody", line)
        line = re.sub(r"(?<=…  )\S+@\S+(?=  reconciler )", "somebody", line)
        line = re.sub(r"\b\d+(\.\d)? (bytes|kB|MB)\b", "… kB", line)
        line = re.sub(r"info: \S+ lacks ", "info: python lacks ", line)
        line = re.sub(r"\(serial \d+\)", "(serial …)", line)  # threads share saves
        return re.sub(r"  (\d+\.\d|\d+) s$", "", line)


def git(*arguments: str) -> None:
    """Run git in the current folder, without the configuration of the user and the system."""
    neutral = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    subprocess.run(["git", *identity, *arguments], check=True, capture_output=True, env=os.environ | neutral)


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return text
