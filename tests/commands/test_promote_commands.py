"""Every command that a refused promotion suggests works, and the first ones lead to the promotion."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from tests.conftest import Cli, Ended, copy_example
from tests.stories.test_stories import git

NAME = "dataset_cleanup"
PROMOTE = ("promote", NAME, "--from", "TEST", "--to", "LIVE", "--yes")


class World:
    """A user with a pipeline, in a git repository if a situation needs one."""

    def __init__(self, cli: Cli, sandbox: Sandbox) -> None:
        self.cli, self.sandbox = cli, sandbox
        self._environments = (cli.folder / "reconciler.toml").read_text()

    def begin(self, situation: "Situation") -> tuple[str, ...]:
        """Start anew, and bring about a situation. Returns the command that is refused in it."""
        self.sandbox.reset()
        shutil.rmtree(self.cli.folder / ".git", ignore_errors=True)
        shutil.rmtree(self.cli.folder / NAME, ignore_errors=True)
        (self.cli.folder.parent / "state.db").unlink(missing_ok=True)
        (self.cli.folder / "reconciler.toml").write_text(self._environments)
        copy_example(NAME, self.cli.folder, self.sandbox.registry)
        return situation(self)

    def edit(self, text: str = "# edited") -> None:
        file = self.cli.folder / NAME / "pipeline.py"
        file.write_text(f"{file.read_text()}{text}\n")

    def set_version(self, version: str) -> None:
        file = self.cli.folder / NAME / "config.toml"
        file.write_text(re.sub("^version = .*", f'version = "{version}"', file.read_text(), flags=re.M))

    def apply(self, *more: str, environment: str = "TEST") -> None:
        ended = self.cli("apply", NAME, "--env", environment, "--yes", *more)
        assert ended.code == 0, ended.err

    def commit(self) -> None:
        if not (self.cli.folder / ".git").exists():
            git("init", "--quiet")
        git("add", ".")
        git("commit", "--quiet", "--message", "Change")

    def close_the_gate(self) -> None:
        with (self.cli.folder / "reconciler.toml").open("a") as file:
            file.write('promote_from = "TEST"\n')

    def run(self, line: str) -> Ended:
        """Run a suggested line as a shell would."""
        if line.startswith("git "):
            done = subprocess.run(line, shell=True, capture_output=True, text=True, check=False)
            return Ended(done.returncode, done.stdout, done.stderr)
        return self.cli(*shlex.split(line)[1:])


Situation = Callable[[World], tuple[str, ...]]


def never_applied(world: World) -> tuple[str, ...]:
    return PROMOTE


def destroyed(world: World) -> tuple[str, ...]:
    world.apply()
    assert world.cli("destroy", NAME, "--env", "TEST", "--yes").code == 0
    return PROMOTE


def drifted(world: World) -> tuple[str, ...]:
    world.apply()
    world.sandbox.account("TEST").platform.edit_processing(NAME, default_cpu=64)
    return PROMOTE


def drifted_and_edited(world: World) -> tuple[str, ...]:
    drifted(world)
    world.edit()
    return PROMOTE


def destroyed_and_edited(world: World) -> tuple[str, ...]:
    destroyed(world)
    world.edit()
    return PROMOTE


def edited_without_a_repository(world: World) -> tuple[str, ...]:
    world.apply()
    world.edit()
    return PROMOTE


def edited_candidate(world: World) -> tuple[str, ...]:
    world.apply("--bump", "rc", "--force-bump")
    world.edit()
    return (*PROMOTE, "--final")


def edited_and_not_committed(world: World) -> tuple[str, ...]:
    world.commit()
    world.apply()
    world.edit()
    return PROMOTE


def a_new_file(world: World) -> tuple[str, ...]:
    world.commit()
    world.apply()
    (world.cli.folder / NAME / "new.py").write_text("")
    return PROMOTE


def edited_and_committed(world: World) -> tuple[str, ...]:
    edited_and_not_committed(world)
    world.commit()
    return PROMOTE


def committed_and_edited_again(world: World) -> tuple[str, ...]:
    edited_and_committed(world)
    world.edit("# once more")
    return PROMOTE


def an_earlier_version_in_the_files(world: World) -> tuple[str, ...]:
    world.apply()
    world.edit()
    world.apply("--bump", "patch")
    world.set_version("1.0.0")
    return PROMOTE


def a_later_version_in_the_files(world: World) -> tuple[str, ...]:
    world.apply()
    world.set_version("1.0.9")
    return PROMOTE


def the_final_version_in_the_files(world: World) -> tuple[str, ...]:
    world.apply("--bump", "rc", "--force-bump")
    world.set_version("1.0.1")
    return PROMOTE


def another_image_of_the_version(world: World) -> tuple[str, ...]:
    world.apply("--bump", "rc", "--force-bump")
    world.edit()
    world.set_version("1.0.1")
    world.apply(environment="LIVE")
    file = world.cli.folder / NAME / "pipeline.py"
    file.write_text(file.read_text().removesuffix("# edited\n"))
    world.set_version("1.0.1-rc")
    return (*PROMOTE, "--final")


def a_gate_for_edited_files(world: World) -> tuple[str, ...]:
    world.apply()
    world.apply(environment="LIVE")
    world.edit()
    world.close_the_gate()
    return ("apply", NAME, "--env", "LIVE", "--yes")


def a_gate_for_a_bump(world: World) -> tuple[str, ...]:
    a_gate_for_edited_files(world)
    return ("apply", NAME, "--env", "LIVE", "--yes", "--bump", "patch")


def a_gate_for_a_candidate(world: World) -> tuple[str, ...]:
    world.apply(environment="LIVE")
    world.edit()
    world.apply("--bump", "rc")
    world.set_version("1.0.1")
    world.close_the_gate()
    world.sandbox.account("TEST").platform.edit_processing(NAME, default_cpu=64)
    return ("apply", NAME, "--env", "LIVE", "--yes")


def a_gate_that_was_never_passed(world: World) -> tuple[str, ...]:
    world.close_the_gate()
    return ("apply", NAME, "--env", "LIVE", "--yes")


SITUATIONS: tuple[Situation, ...] = (
    never_applied,
    destroyed,
    drifted,
    drifted_and_edited,
    destroyed_and_edited,
    edited_without_a_repository,
    edited_candidate,
    edited_and_not_committed,
    a_new_file,
    edited_and_committed,
    committed_and_edited_again,
    an_earlier_version_in_the_files,
    a_later_version_in_the_files,
    the_final_version_in_the_files,
    another_image_of_the_version,
    a_gate_for_edited_files,
    a_gate_for_a_bump,
    a_gate_for_a_candidate,
    a_gate_that_was_never_passed,
)


@pytest.fixture
def world(cli: Cli, environments: Sandbox, monkeypatch: pytest.MonkeyPatch) -> World:
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "ada@example.com")
        monkeypatch.setenv(f"GIT_{who}_DATE", "2026-01-31T08:15:00Z")  # the same commit each time
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    return World(cli, environments)


def suggested(ended: Ended) -> list[str]:
    return re.findall(r":  ((?:reconciler|git) .*)$", ended.err, flags=re.MULTILINE)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda one: one.__name__)
def test_no_suggested_command_is_refused(world: World, situation: Situation) -> None:
    refused = world.cli(*world.begin(situation))
    assert refused.code == 12, refused.out + refused.err
    lines = suggested(refused)
    assert lines, refused.err

    wrong = {}
    for line in lines:
        world.begin(situation)
        if (ended := world.run(line)).code:
            wrong[line] = ended.out + ended.err

    assert wrong == {}


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda one: one.__name__)
def test_the_first_suggested_commands_lead_to_the_promotion(world: World, situation: Situation) -> None:
    command = world.begin(situation)
    ended = world.cli(*command)
    for _ in range(3):
        line = suggested(ended)[0]
        ended = world.run(line)
        if line.startswith("reconciler promote "):
            break
        if (ended := world.cli(*command)).code == 0:
            break
    assert ended.code == 0, ended.err


@pytest.mark.parametrize("review", ["", "always", "destructive"])
def test_a_saved_promotion_is_applied_by_the_suggested_command(world: World, review: str) -> None:
    world.begin(never_applied)
    world.apply()
    with (world.cli.folder / "reconciler.toml").open("a") as file:
        file.write(f'review = "{review}"\n' if review else "")
    saved = world.cli(*PROMOTE[:-1], "--out", str(Path(os.environ["HOME"]) / "plan.json"))

    [line] = suggested(saved)

    assert world.run(line).code == 0
    assert saved.err.count("--approve") == (review == "always")  # this plan deletes nothing


def test_a_saved_promotion_that_is_refused_suggests_no_apply(world: World) -> None:
    saved = world.cli(*world.begin(never_applied)[:-1], "--out", str(Path(os.environ["HOME"]) / "plan.json"))
    assert "--plan" not in saved.err and "--approve" not in saved.err
