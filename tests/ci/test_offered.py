"""What this repository offers: an action, a component, a hook and releases. All are run as they stand."""

import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from providers.docker.registry.client import RegistryClient
from providers.docker.registry.manifests import Blob
from providers.sandbox import Sandbox
from tests.ci.github import GitHub
from tests.ci.gitlab import GitLab
from tests.ci.machine import Job, Machine
from tests.ci.test_schemas import refused_by
from tests.conftest import copy_example
from tests.test_shape import built

ROOT = Path(__file__).parents[2]
ACTION, RELEASE = ROOT / "action.yml", ROOT / ".github" / "workflows" / "release.yml"
COMPONENT, HOOKS = ROOT / "templates" / "reconciler.yml", ROOT / ".pre-commit-hooks.yaml"
INPUT = re.compile(r"\$\[\[ inputs\.([\w-]+) \]\]")


def acted(github: GitHub, **inputs: str) -> tuple[Job, dict[str, str]]:
    """How the composite action ends with these inputs, and its outputs."""
    document = yaml.safe_load(ACTION.read_text())
    given = {name: one.get("default", "") for name, one in document["inputs"].items()}
    given |= {name.replace("_", "-"): value for name, value in inputs.items()}
    place, ended = github.machine.start(), Job()
    github.machine.check_out(place, whole=True)
    outputs: dict[str, dict[str, str]] = {}
    for step in document["runs"]["steps"]:
        if "uses" in step:
            assert step["uses"].startswith("actions/setup-python@")
            continue
        assert step["shell"] == "bash"
        if step.get("if") == "inputs.command != ''" and not given["command"]:
            continue
        named = {key: given[value[len("${{ inputs.") : -3]] for key, value in step.get("env", {}).items()}
        environment = {**github.vars, **github.secrets, **named, "GITHUB_ACTION_PATH": str(ROOT)}
        code, found = github._script(step["run"], place, ended, environment)
        outputs[step.get("id", "")] = found
        if code:
            ended.code = code
            break
    values = {name: one["value"] for name, one in document["outputs"].items()}
    return ended, {
        name: outputs.get("run", {}).get(value.split(".")[-1][:-3], "") for name, value in values.items()
    }


def test_the_files_keep_to_their_schemas() -> None:
    assert refused_by(["vendor.github-actions"], [ACTION]) == ""
    assert refused_by(["vendor.github-workflows"], [RELEASE]) == ""


def test_the_action_runs_a_command_and_returns_its_code(github: GitHub) -> None:
    installed, _ = acted(github)
    assert (installed.code, installed.log) == (0, "")

    ended, outputs = acted(github, command="plan --all --exit-code")
    assert (ended.code, outputs["exit-code"]) == (10, "10")
    ended, outputs = acted(github, command="plan --all --exit-code", allowed_exit_codes="10 11")
    assert (ended.code, outputs["exit-code"]) == (0, "10")


@pytest.mark.parametrize("between", [" ", "\n", "  \n  ", "\t", "\r\n"])
def test_the_words_of_a_command_may_be_on_several_lines(github: GitHub, between: str) -> None:
    words = ["", "plan", "--all", "--exit-code", "--type", "AUTO_TAGGING", "--allow-empty", ""]
    ended, outputs = acted(github, command=between.join(words))
    assert (ended.code, outputs["exit-code"]) == (0, "0"), "none is of this type: each line counts"
    ended, _ = acted(
        github, command="plan --all --exit-code", allowed_exit_codes=between.join(["", "11", "10", ""])
    )
    assert ended.code == 0


@pytest.mark.parametrize("command", [" ", "\n", " \n\t\n"])
def test_a_command_without_a_word_fails(github: GitHub, command: str) -> None:
    ended, outputs = acted(github, command=command)
    assert ended.code == 2
    assert "the input command has no word" in ended.log
    assert outputs["exit-code"] == ""


def test_the_component_takes_a_command_of_one_line() -> None:
    header = yaml.safe_load(COMPONENT.read_text().split("\n---\n")[0])
    pattern = re.compile(
        header["spec"]["inputs"]["command"]["regex"].replace(r"\z", r"\Z")
    )  # RE2's, in GitLab
    assert pattern.match("drift --all --owner 'a team'")
    assert not [
        text for text in ("", " ", "\nplan", "apply --all\n--dry-run", "plan\r\n") if pattern.match(text)
    ]


def test_the_shell_expands_nothing_in_the_command(github: GitHub) -> None:
    ended, _ = acted(github, command="plan $(touch${IFS}expanded) ; true *")
    assert ended.code != 0
    assert "no pipeline is called $(touch${IFS}expanded)" in " ".join(ended.log.split())


def test_the_component_runs_a_command(gitlab: GitLab, machine: Machine, tmp_path: Path) -> None:
    header, template = COMPONENT.read_text().split("\n---\n")
    inputs = {name: one.get("default") for name, one in yaml.safe_load(header)["spec"]["inputs"].items()}
    inputs["command"] = "plan --all --exit-code"
    text = INPUT.sub(lambda found: value(inputs[found[1]]), template)
    (tmp_path / "job.yml").write_text(text)
    assert refused_by(["vendor.gitlab-ci", "--data-transform", "gitlab-ci"], [tmp_path / "job.yml"]) == ""
    ((name, job),) = yaml.safe_load(text).items()
    assert name == "reconciler"

    place, ended = machine.start(), Job()
    machine.check_out(place, whole=True)
    script = "\n".join([*job["before_script"], *job["script"]])
    code = machine.run(script, place, ended, {"CI": "true", **job["variables"], **gitlab.variables})

    assert code == 10, ended.log
    assert job["allow_failure"]["exit_codes"] == [10]


def value(given: Any) -> str:
    return given if isinstance(given, str) else json.dumps(given)


def test_the_hook_checks_without_running_code(sandbox: Sandbox, tmp_path: Path) -> None:
    """pre-commit itself runs it; only the installation into an environment of its own is left out."""
    pre_commit = Path(sys.executable).with_name("pre-commit")
    if not pre_commit.exists():
        pytest.skip("pre-commit is not installed; `make setup` installs it")
    assert subprocess.run([pre_commit, "validate-manifest", HOOKS], check=False).returncode == 0
    (hook,) = yaml.safe_load(HOOKS.read_text())
    assert hook["language"] == "python"
    team = tmp_path / "team"
    copy_example("dataset_cleanup", team, sandbox.registry)
    local = {**hook, "language": "system", "entry": f"{sys.executable} -m {hook['entry']}"}
    (team / ".pre-commit-config.yaml").write_text(yaml.dump({"repos": [{"repo": "local", "hooks": [local]}]}))
    for words in (["init", "-q"], ["add", "-A"]):
        subprocess.run(["git", *words], cwd=team, check=True)

    def hooked() -> tuple[int, str]:
        done = subprocess.run(
            [pre_commit, "run", "--all-files"],
            cwd=team,
            capture_output=True,
            text=True,
            check=False,
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": str(tmp_path / "home"),
                "PYTHONPATH": str(ROOT),
                "LANG": "C.UTF-8",
            },
        )
        return done.returncode, done.stdout + done.stderr

    code, printed = hooked()
    assert code == 0, printed
    copy_example("computed_inputs", team, sandbox.registry)
    subprocess.run(["git", "add", "-A"], cwd=team, check=True)
    code, printed = hooked()
    assert code == 1
    assert "needs code to run" in printed


def release_steps() -> dict[str, str]:
    (job,) = yaml.safe_load(RELEASE.read_text())["jobs"].values()
    return {step["name"]: step["run"] for step in job["steps"] if "name" in step}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The repository with a commit, and a changelog of its version."""
    folder = tmp_path / "clone"
    left_out = shutil.ignore_patterns(".*", "__pycache__", "site", "dist", "build")
    shutil.copytree(ROOT, folder, ignore=left_out)
    changelog = folder / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace("## [Unreleased]", "## [0.1.0]"))
    who = ["-c", "user.name=ada", "-c", "user.email=ada@example.com"]
    for words in (["init", "-q"], ["add", "-A"], [*who, "commit", "-q", "-m", "Release"]):
        subprocess.run(["git", *words], cwd=folder, check=True)
    return folder


def in_bash(script: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    bin_folder = folder.parent / "bin"
    bin_folder.mkdir(exist_ok=True)
    (bin_folder / "pip").write_text("#!/bin/sh\n")  # hatchling and click are here
    (bin_folder / "pip").chmod(0o755)
    path = f"{bin_folder}:{Path(sys.executable).parent}:/usr/bin:/bin"
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=folder,
        env={"PATH": path, "HOME": str(folder), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_release_needs_a_tag_of_its_version_and_an_entry_in_the_changelog(clone: Path) -> None:
    compare = release_steps()["Compare the tag with the version"]
    assert in_bash(compare, clone, TAG="v0.1.0").returncode == 0
    other = in_bash(compare, clone, TAG="v9.9.9")
    assert other.returncode == 1
    assert "::error::the tag is v9.9.9, and pyproject.toml has the version 0.1.0" in other.stdout
    (clone / "CHANGELOG.md").write_text("## [Unreleased]\n")
    assert in_bash(compare, clone, TAG="v0.1.0").returncode == 1


def test_a_release_has_checksums_and_is_the_same_when_it_is_made_again(clone: Path) -> None:
    build = release_steps()["Build"]
    sums = []
    for _ in range(2):
        done = in_bash(build, clone)
        assert done.returncode == 0, done.stderr
        checked = in_bash("cd dist && sha256sum --check SHA256SUMS", clone)
        assert checked.returncode == 0
        assert {line.partition(":")[0].partition("-")[0] for line in checked.stdout.splitlines()} == {
            "picsellia_reconciler"
        }
        sums.append((clone / "dist" / "SHA256SUMS").read_text())
        shutil.rmtree(clone / "dist")
    assert len(sums[0].splitlines()) == 2
    assert sums[0] == sums[1]


def test_the_tool_packages_itself(
    sandbox: Sandbox, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What the image adds runs, with the packages that it needs from here."""
    (wheel,) = built(tmp_path, "wheel", ROOT)
    image = f"{sandbox.registry}/tools/reconciler"
    words = [
        *(sys.executable, ROOT / "scripts" / "tool-image", wheel, f"{image}:1.0.0"),
        *(f"{sandbox.registry}/base/python:3.11", "--no-deps", "--no-index"),
    ]
    printed = []
    for _ in range(2):
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)

    assert printed[0] == printed[1]
    with RegistryClient(image) as client:
        manifest = json.loads(client.manifest("1.0.0").content)
        assert printed[0].strip() == f"{image}@{client.digest('1.0.0')}"
        config, layer = (
            b"".join(client.read_blob(Blob(one["mediaType"], one["digest"], one["size"])))
            for one in (manifest["config"], manifest["layers"][-1])
        )
    config = json.loads(config)
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        root = tmp_path_factory.mktemp("root")  # elsewhere: our source has the token of the sandbox
        archive.extractall(root, filter="data")
    assert config["config"]["Entrypoint"] == ["python", "-m", "reconciler"]
    variables = dict(one.split("=", 1) for one in config["config"]["Env"])
    place = root / variables["PYTHONPATH"].lstrip("/")
    shown = subprocess.run(
        [sys.executable, *config["config"]["Entrypoint"][1:], "schema"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(place), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.startswith("config ")
    found = subprocess.run(
        [sys.executable, "-c", "import reconciler; print(reconciler.__file__)"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(place)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(found.stdout.strip()).is_relative_to(place)
