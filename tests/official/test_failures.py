"""Where `pxl-pipeline deploy` fails, by its number: its own code in that situation, and ours beside it.

Its code runs unchanged against the same sandbox; only the build is left out, or the `docker` that it calls is
a script. What it does to files of the user is in test_failures_of_files.
"""

import base64
import json
import os
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from providers.docker.registry.client import RegistryClient
from providers.sandbox import Sandbox
from reconciler.credentials import saved
from reconciler.credentials.saved import Login
from tests.conftest import Cli, Ended, copy_example
from tests.official.folders import edit
from tests.official.installed import Official

pytestmark = pytest.mark.official

NAME = "dataset_cleanup"
WITHOUT_A_BUILD = """
from picsellia_pipelines_cli.commands.{kind} import deployer
from picsellia_pipelines_cli.utils.env_utils import Environment

deployer.build_and_push_docker_image = lambda **_: print("PUSHED")
try:
    deployer.deploy_{kind}({name!r}, env=Environment.CUSTOM, organization={organization!r}, bump={bump!r})
except BaseException as problem:
    print("ENDED", type(problem).__name__, problem)
"""
AS_A_COMMAND = """
import pathlib, subprocess, sys
command = [str(pathlib.Path(sys.executable).parent / "pxl-pipeline"), *{arguments!r}]
done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
print("CODE", done.returncode, done.stdout.decode())
"""
DOCKER = """#!/bin/sh
echo "$@" >> {calls}
case "$*" in {fails}) echo denied >&2; exit 1;; esac
"""
NO_SUCH_TYPE = """
    def to_list(self):
        return [{"name": "storage", "input_type": "STORAGE", "required": True}]
"""


@dataclass(frozen=True, slots=True)
class Theirs:
    """The official CLI in the folder of pipelines, signed in to the sandbox and to its registry."""

    official: Official
    sandbox: Sandbox
    folder: Path
    home: Path
    cv_engine: Path

    def deploy(self, name: str = NAME, *, kind: str = "processing", bump: str = "patch") -> str:
        """What its deploy prints when the image was built and pushed."""
        code = WITHOUT_A_BUILD.format(kind=kind, name=name, organization=self.sandbox.organization, bump=bump)
        return self._run(code)

    def command(self, *arguments: str, path: str = "") -> str:
        """What the command prints, behind its exit code."""
        where = ("--organization", self.sandbox.organization, "--env", "CUSTOM")
        return self._run(AS_A_COMMAND.format(arguments=(*arguments, *where)), path=path)

    def docker(self, fails: str) -> tuple[str, Path]:
        """A PATH with a `docker` that fails at these arguments, and the file of what it was asked."""
        script, calls = self.home / "bin" / "docker", self.home / "calls"
        script.parent.mkdir()
        script.write_text(DOCKER.format(calls=calls, fails=fails))
        script.chmod(0o755)
        return f"{script.parent}{os.pathsep}{os.environ['PATH']}", calls

    def _run(self, code: str, path: str = "") -> str:
        environment = {"HOME": str(self.home), "PYTHONPATH": str(self.cv_engine)}
        environment |= {"PATH": path} if path else {}
        return self.official.code(code, cwd=self.folder, environment=environment)


@pytest.fixture
def theirs(cli: Cli, sandbox: Sandbox, home: Path, official: Official, cv_engine: Path) -> Theirs:
    saved.save(Login(sandbox.organization, "CUSTOM"), sandbox.token, sandbox.url)
    (home / ".docker").mkdir()
    auths = {sandbox.registry: {"auth": base64.b64encode(b"anybody:anything").decode()}}
    (home / ".docker" / "config.json").write_text(json.dumps({"auths": auths}))
    return Theirs(official, sandbox, cli.folder, home, cv_engine)


@pytest.fixture
def pipeline(cli: Cli, sandbox: Sandbox) -> Path:
    return copy_example(NAME, cli.folder, sandbox.registry)


@pytest.fixture
def refused(cli: Cli, sandbox: Sandbox) -> Callable[..., Ended]:
    """Our deploy, which has to fail before it writes anything anywhere; how it ended."""

    def deploy(name: str = NAME) -> Ended:
        sandbox.clear_requests()
        before = {path: path.read_bytes() for path in cli.folder.rglob("*.toml")}
        ended = cli("deploy", name, "--bump", "patch", "--yes")
        assert ended.code == 1
        assert "error: " in ended.err
        assert "Traceback" not in ended.err
        assert sandbox.writes() == []
        assert {path: path.read_bytes() for path in cli.folder.rglob("*.toml")} == before
        return ended

    return deploy


def version_of(pipeline: Path) -> str:
    return str(tomllib.loads((pipeline / "config.toml").read_text())["metadata"]["version"])


def processing(sandbox: Sandbox) -> dict[str, Any]:
    found = sandbox.platform.processing(NAME)
    assert found is not None
    return found


def test_official_failure_01_a_registration_that_failed_is_told_as_success(
    theirs: Theirs, cli: Cli, pipeline: Path, sandbox: Sandbox
) -> None:
    sandbox.fail("POST", "/processings$", 500, times=None)
    assert "deployed successfully" in theirs.deploy()
    assert sandbox.platform.processing(NAME) is None

    failed = cli("deploy", NAME, "--bump", "patch")

    assert failed.code == 1
    assert f"failed: creating processing/{NAME}" in failed.err
    assert "Deployed" not in failed.out


def test_official_failure_01_one_failing_target_marks_all(theirs: Theirs, cli: Cli, sandbox: Sandbox) -> None:
    pipeline = copy_example("multi_training", cli.folder, sandbox.registry)
    edit(pipeline, {("metadata", "version"): "1.0"})
    text = (pipeline / "config.toml").read_text().replace("PYTORCH", "ONNX")
    (pipeline / "config.toml").write_text(text)
    sandbox.fail("PATCH", "/model/version/", 500, nth=2, times=None)
    printed = theirs.deploy("multi_training", kind="training")
    assert printed.count("Error — ") == 2
    assert "deployed to 2 model version(s)" in printed
    sandbox.reset()

    sandbox.fail("POST", "/versions$", 500, nth=2, times=None)
    failed = cli("deploy", "multi_training", "--parallel", "1", "--bump", "patch")

    assert failed.code == 1
    assert failed.err.count("+ created model-version/") == 1
    assert failed.err.count("failed: creating model-version/") == 1


def test_official_failure_02_nothing_to_deploy_ends_with_0(
    theirs: Theirs, refused: Callable[..., Ended], pipeline: Path
) -> None:
    file = pipeline / "config.toml"
    file.write_text(file.read_text().partition("[reconciler.image]")[0])
    (pipeline / "Dockerfile").unlink()
    printed = theirs.command("deploy", NAME, "--bump", "patch")
    assert "CODE 0" in printed
    assert "Missing Dockerfile" in printed
    assert "Dockerfile" in refused().err

    assert "CODE 0" in theirs.command("deploy", "nowhere", "--bump", "patch")
    assert "nowhere" in refused("nowhere").err


def test_official_failure_03_a_push_that_fails_prints_the_token(
    theirs: Theirs, cli: Cli, pipeline: Path, sandbox: Sandbox
) -> None:
    path, _ = theirs.docker(fails="push*")
    printed = theirs.command("deploy", NAME, "--bump", "patch", path=path)
    assert "Traceback" in printed
    assert sandbox.token in printed

    sandbox.fail("PUT", "^/v2/.*/manifests/", 403, times=None)
    failed = cli("deploy", NAME, "--bump", "patch")
    assert failed.code == 1
    assert "Traceback" not in failed.err
    assert sandbox.token not in failed.out + failed.err


def test_official_failure_04_every_run_publishes_again_and_ci_cannot_answer(
    theirs: Theirs, cli: Cli, pipeline: Path, sandbox: Sandbox
) -> None:
    for expected in ("1.0.1", "1.0.2"):
        assert "PUSHED" in theirs.deploy()
        assert version_of(pipeline) == expected
    assert "CODE 1" in theirs.command("deploy", NAME), "it asks for a bump"

    assert cli("deploy", NAME).code == 0
    sandbox.clear_requests()
    again = cli("deploy", NAME)
    assert again.code == 0
    assert "Nothing to do" in again.out
    assert sandbox.writes() == []
    assert version_of(pipeline) == "1.0.2"


def test_official_failure_05_another_input_type_is_ignored(
    theirs: Theirs, cli: Cli, pipeline: Path, sandbox: Sandbox
) -> None:
    def type_of_title() -> str:
        return next(i["input_type"] for i in sandbox.platform.inputs(NAME) if i["name"] == "report_title")

    theirs.deploy()
    inputs = pipeline / "utils" / "inputs.py"
    inputs.write_text(inputs.read_text().replace("InputType.TEXT", "InputType.NUMBER"))
    assert "Updated" in theirs.deploy()
    assert type_of_title() == "TEXT"

    assert cli("deploy", NAME).code == 0
    assert type_of_title() == "NUMBER"


def test_official_failure_06_flags_do_not_follow_the_gpus(
    theirs: Theirs, cli: Cli, pipeline: Path, sandbox: Sandbox
) -> None:
    flags = ["--gpus=all", "--ipc=host"]
    theirs.deploy()
    edit(pipeline, {("docker", "gpu"): 1})
    theirs.deploy()
    assert not processing(sandbox)["docker_flags"]

    assert cli("deploy", NAME).code == 0
    assert processing(sandbox)["docker_flags"] == flags
    edit(pipeline, {("docker", "gpu"): 0})
    theirs.deploy()
    assert processing(sandbox)["docker_flags"] == flags
    assert cli("deploy", NAME, "--bump", "patch").code == 0
    assert not processing(sandbox)["docker_flags"]


def test_official_failure_07_config_says_a_version_that_was_never_registered(
    theirs: Theirs, cli: Cli, pipeline: Path, sandbox: Sandbox
) -> None:
    file = pipeline / "config.toml"
    before = file.read_bytes()
    sandbox.fail("POST", "/processings$", 500, times=None)
    theirs.deploy()
    assert version_of(pipeline) == "1.0.1"

    file.write_bytes(before)
    assert cli("deploy", NAME, "--bump", "patch").code == 1
    assert file.read_bytes() == before


def test_official_failure_08_a_published_version_is_overwritten(
    theirs: Theirs, cli: Cli, pipeline: Path, sandbox: Sandbox
) -> None:
    path, calls = theirs.docker(fails="push*latest")
    for _ in range(2):
        assert "CODE 1" in theirs.command("deploy", NAME, "--bump", "patch", path=path)
    image = f"{sandbox.registry}/examples/{NAME}"
    assert calls.read_text().count(f"push {image}:1.0.1\n") == 2

    sandbox.fail("PUT", "/manifests/latest$", 403, times=None)
    assert cli("deploy", NAME, "--bump", "patch").code == 1
    assert version_of(pipeline) == "1.0"
    with RegistryClient(image) as client:
        published = client.digest("1.0.1")
        assert published is not None and client.digest("latest") is None
        sandbox.switch(faults=[])
        sandbox.clear_requests()
        assert cli("deploy", NAME, "--bump", "patch").code == 0
        assert (client.digest("1.0.1"), client.digest("latest")) == (published, published)
    assert not [found for found in sandbox.writes() if found["path"].endswith("/manifests/1.0.1")]


@pytest.mark.parametrize(
    ("framework", "inference_type", "theirs_says"),
    [
        ("YOLOV8", "OBJECT_DETECTION", "Invalid framework 'YOLOV8'"),
        ("ONNX", None, "ENDED"),
        ("ONNX", "MASK", "Error"),
    ],
)
def test_official_failure_09_documented_targets_are_refused(
    theirs: Theirs, cli: Cli, sandbox: Sandbox, framework: str, inference_type: str | None, theirs_says: str
) -> None:
    pipeline = copy_example("single_training", cli.folder, sandbox.registry)
    file = pipeline / "config.toml"
    text = file.read_text().replace('"PYTORCH"', f'"{framework}"')
    kind = f'inference_type = "{inference_type}"\n' if inference_type else ""
    file.write_text(text.replace('inference_type = "CLASSIFICATION"\n', kind))
    assert theirs_says in theirs.deploy("single_training", kind="training")
    model = sandbox.platform.model("DefectClassifier")
    assert not model or not any(v["docker_image"] for v in sandbox.platform.versions("DefectClassifier"))

    ended = cli("deploy", "single_training")

    assert ended.code == 0, ended.err
    version = sandbox.platform.version("DefectClassifier", "v1")
    assert version is not None
    assert version["docker_image"] == f"{sandbox.registry}/examples/single_training"
    assert (version["framework"], version["type"]) == (framework, inference_type or "NOT_CONFIGURED")


def test_official_failure_10_broken_parameters_are_found_after_the_push(
    theirs: Theirs, refused: Callable[..., Ended], pipeline: Path
) -> None:
    parameters = pipeline / "utils" / "parameters.py"
    parameters.write_text(parameters.read_text().replace(', default="default"', ""))
    printed = theirs.deploy()
    assert printed.index("PUSHED") < printed.index("Failed to instantiate parameters class")
    assert "utils/parameters.py" in refused().err


def test_official_failure_10_models_are_made_before_a_build_that_fails(
    theirs: Theirs, cli: Cli, sandbox: Sandbox
) -> None:
    copy_example("single_training", cli.folder, sandbox.registry)
    path, _ = theirs.docker(fails="build*")
    assert "CODE 1" in theirs.command("deploy", "single_training", "--bump", "patch", path=path)
    assert sandbox.platform.model("DefectClassifier") is not None
    sandbox.reset()

    sandbox.fail("PUT", "^/v2/.*/manifests/", 403, times=None)
    assert cli("deploy", "single_training").code == 1
    assert sandbox.platform.model("DefectClassifier") is None


def test_official_failure_11_inputs_are_deleted_before_the_new_ones_are_looked_at(
    theirs: Theirs, refused: Callable[..., Ended], cli: Cli, pipeline: Path, sandbox: Sandbox
) -> None:
    assert cli("deploy", NAME).code == 0
    before = {found["name"] for found in sandbox.platform.inputs(NAME)}
    inputs = pipeline / "utils" / "inputs.py"
    inputs.write_text(f"{inputs.read_text()}{NO_SUCH_TYPE}")
    assert "utils/inputs.py" in refused().err
    assert {found["name"] for found in sandbox.platform.inputs(NAME)} == before

    theirs.deploy()
    assert sandbox.platform.inputs(NAME) == []


def test_official_failure_11_an_input_of_two_dots_deletes_the_processing(
    theirs: Theirs, refused: Callable[..., Ended], cli: Cli, pipeline: Path, sandbox: Sandbox
) -> None:
    assert cli("deploy", NAME).code == 0
    sandbox.platform.add_input(NAME, "..", "TEXT")
    cli("deploy", NAME)
    assert sandbox.platform.processing(NAME) is not None
    theirs.deploy()
    assert sandbox.platform.processing(NAME) is None

    inputs = pipeline / "utils" / "inputs.py"
    inputs.write_text(inputs.read_text().replace('"archive"', '".."'))
    assert "utils/inputs.py" in refused().err


def test_official_failure_12_the_first_folder_of_that_name_wins(
    theirs: Theirs, refused: Callable[..., Ended], cli: Cli, pipeline: Path
) -> None:
    hidden = cli.folder / ".venv" / "lib" / NAME
    hidden.parent.mkdir(parents=True)
    pipeline.rename(hidden)
    assert "PUSHED" in theirs.deploy(), "what somebody installed is deployed"
    assert NAME in refused().err

    for folder in ("old", "new"):
        copy_example(NAME, cli.folder / folder, theirs.sandbox.registry)
    told = refused().err
    assert [place for place in (f"old/{NAME}", f"new/{NAME}") if place not in told] == []


def test_official_failure_13_code_of_the_pipeline_sees_the_token(
    theirs: Theirs, cli: Cli, pipeline: Path, sandbox: Sandbox
) -> None:
    seen = theirs.home / "seen"
    inputs = pipeline / "utils" / "inputs.py"
    spy = f"import os, sys\nopen({str(seen)!r}, 'w').write(repr(dict(os.environ)) + repr(sys.argv))\n"
    inputs.write_text(spy + inputs.read_text())
    theirs.deploy()
    assert sandbox.token in seen.read_text()
    seen.write_text("")

    assert cli("deploy", NAME, "--bump", "patch").code == 0
    assert sandbox.token not in seen.read_text()


@pytest.mark.parametrize(
    ("cpu", "registered"), [("2.5", None), (4.9, 4), (-1, -1)], ids=["text", "float", "negative"]
)
def test_official_failure_15_a_number_that_is_none(
    theirs: Theirs,
    refused: Callable[..., Ended],
    pipeline: Path,
    sandbox: Sandbox,
    cpu: str | float,
    registered: int | None,
) -> None:
    edit(pipeline, {("docker", "cpu"): cpu})  # type: ignore[dict-item]
    told = refused().err
    assert f"{NAME}/config.toml:" in told
    assert "docker.cpu must be a whole number from 0" in told

    printed = theirs.deploy()
    assert "PUSHED" in printed
    found = sandbox.platform.processing(NAME)
    if registered is None:
        assert found is None
    else:
        assert (found or {}).get("default_cpu") == registered or "Error" in printed
