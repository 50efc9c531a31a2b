"""Problems outside of the program are reported with their place and fix, and nothing is written.

Each test checks all of this: see `ErrorReport`.
"""

import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from providers.sandbox import Sandbox
from tests.commands.untouched import snapshot
from tests.conftest import Cli, Ended, copy_example
from tests.services import free_port

NAME = "dataset_cleanup"
INPUTS = """\
class ProcessingInputs:
    def __init__(self):
        {}

    def to_list(self):
        return []
"""


class ErrorReport:
    """Runs a command that must fail, and checks that it writes nothing and reports a useful error."""

    def __init__(self, cli: Cli, sandbox: Sandbox, tmp_path: Path) -> None:
        self._cli = cli
        self._sandbox = sandbox
        self._everything = tmp_path

    def __call__(self, *arguments: str, code: int = 1, problems: int = 1) -> str:
        before = snapshot(self._everything)
        self._sandbox.clear_requests()

        ended = self._cli(*arguments)

        assert ended.code == code, ended.err
        assert self._sandbox.writes() == []
        assert snapshot(self._everything) == before, "a failed command leaves no trace"
        return readable(ended, problems)


def readable(ended: Ended, problems: int = 1) -> str:
    """The errors, after checks of their form: each has a summary, a cause and a fix, and no internals."""
    blocks = re.split(r"^(?=error: )", ended.err, flags=re.MULTILINE)
    told = [block for block in blocks if block.startswith("error: ")]
    assert len(told) == problems, ended.err
    for block in told:
        first, *rest = block.splitlines()
        assert len(first) < 200
        advice = [line for line in rest if line.startswith("  ") and not line.startswith("  at ")]
        assert advice or " must be " in first, block
    for internal in ("Traceback", "a bug in reconciler", "object at 0x", "sandbox-token", "Errno"):
        assert internal not in ended.out + ended.err, ended.err
    return ended.err


@pytest.fixture
def told(cli: Cli, sandbox: Sandbox, tmp_path: Path) -> ErrorReport:
    return ErrorReport(cli, sandbox, tmp_path)


@pytest.fixture
def pipeline(cli: Cli, sandbox: Sandbox) -> Path:
    return copy_example(NAME, cli.folder, sandbox.registry)


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_the_pipeline_is_valid_before_a_test_breaks_it(pipeline: Path, cli: Cli) -> None:
    assert cli("validate", NAME).code == 0
    assert cli("plan", NAME).code == 0


# Files

Break = Callable[[Path], Any]
CONFIG: dict[str, tuple[Break, int, str]] = {
    "no file": (lambda c: c.unlink(), 1, "has no config.toml"),
    "a folder": (lambda c: (c.unlink(), c.mkdir()), 1, "config.toml is a folder, not a file"),
    "no TOML": (lambda c: c.write_text("[metadata\n"), 1, "config.toml:1"),
    "half of a file": (lambda c: c.write_text('[metadata]\nname = "app'), 1, "config.toml:2"),
    "empty": (lambda c: c.write_text(""), 3, "[metadata] is missing"),
    "no text": (lambda c: c.write_bytes(b'[metadata]\nname = "\xff"\n'), 1, "config.toml:2"),
    "two problems at once": (
        lambda c: (edit(c, 'cpu = "4"', "cpu = [4]"), edit(c, 'gpu = "0"', 'gpu = "many"')),
        2,
        "docker.gpu",
    ),
    "a wrong type": (lambda c: edit(c, 'cpu = "4"', "cpu = true"), 1, "docker.cpu must be a whole number"),
    "a negative number": (lambda c: edit(c, 'gpu = "0"', "gpu = -1"), 1, "docker.gpu"),
    "no version": (lambda c: edit(c, '"1.0"', '"abc"'), 1, "'abc' is not a version"),
    "an unknown type": (
        lambda c: edit(c, "DATASET_VERSION_CREATION", "DATASET_CREATION"),
        1,
        "'DATASET_CREATION' is not a pipeline type",
    ),
    "a table that is a text": (lambda c: edit(c, "[docker]\n", "docker = 3\n[docker_]\n"), 1, "docker"),
    "an image without a name": (
        lambda c: c.write_text(re.sub(r"image_name = .*", 'image_name = ""', c.read_text())),
        1,
        "docker.image_name is empty",
    ),
    "an unknown builder": (lambda c: edit(c, '"append"', '"magic"'), 1, "builder"),
}


@pytest.mark.parametrize("what", CONFIG)
@pytest.mark.parametrize("command", ["validate", "plan", "apply"])
def test_an_invalid_config(told: ErrorReport, pipeline: Path, command: str, what: str) -> None:
    spoil, problems, expected = CONFIG[what]
    spoil(pipeline / "config.toml")
    said = told(command, f"./{NAME}", problems=problems)
    assert expected in said


CLASSES: dict[str, tuple[str, str]] = {
    "is not there": ("class SomethingElse:\n    pass\n", "there is no class ProcessingInputs in inputs.py"),
    "is no Python": ("class ProcessingInputs(:\n", "inputs.py:1"),
    "raises": (INPUTS.format("raise RuntimeError('not today')"), "RuntimeError: not today"),
    "exits": (INPUTS.format("raise SystemExit(3)"), "ProcessingInputs"),
    "kills itself": (INPUTS.format("import os; os._exit(7)"), "ProcessingInputs"),
    "imports what is not installed": (
        "import not_installed_here\n" + INPUTS.format("pass"),
        "not_installed_here",
    ),
    "recurses": (INPUTS.format("self.__init__()"), "RecursionError"),
    "returns nonsense": (INPUTS.format("pass").replace("[]", "{1, 2}"), "ProcessingInputs"),
    "never returns": (
        "import time\n" + INPUTS.format("time.sleep(600)"),
        "ProcessingInputs did not finish within 1 second",
    ),
    "never returns from its import": ("while True:\n    pass\n" + INPUTS.format("pass"), "did not finish"),
}


@pytest.mark.parametrize("what", CLASSES)
def test_an_invalid_class(told: ErrorReport, pipeline: Path, what: str) -> None:
    source, expected = CLASSES[what]
    (pipeline / "utils" / "inputs.py").write_text(source)
    said = told("plan", NAME, "--class-timeout", "1")
    assert expected in said
    assert "inputs.py" in said, "it names the file"


def test_a_class_without_its_file(told: ErrorReport, pipeline: Path) -> None:
    (pipeline / "utils" / "inputs.py").unlink()
    assert "utils/inputs.py" in told("plan", NAME)


def test_output_of_a_class_stays_out_of_the_document(pipeline: Path, cli: Cli, sandbox: Sandbox) -> None:
    source = "import sys\nprint('from the module')\n" + INPUTS.format(
        "print('from the class'); sys.stdout.flush(); import os; os.write(1, b'from below')"
    )
    (pipeline / "utils" / "inputs.py").write_text(source)
    ended = cli("plan", NAME, "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["format"] == "reconciler/plan"


def test_no_dockerfile(told: ErrorReport, pipeline: Path) -> None:
    (pipeline / "Dockerfile").unlink()
    edit(pipeline / "config.toml", '"append"', '"engine"')
    said = told("apply", NAME)
    assert "there is no Dockerfile in" in said
    assert str(pipeline) in said


@contextmanager
def as_somebody() -> Iterator[None]:
    """Drop root's right to read everything during the test."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("command", ["validate", "plan", "apply", "drift"])
@pytest.mark.parametrize("secret", ["pipeline.py", "config.toml", "data", "utils/inputs.py"])
def test_an_unreadable_file(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, command: str, secret: str
) -> None:
    failed = 13 if command == "drift" else 1
    with tempfile.TemporaryDirectory() as everybodys:
        Path(everybodys).chmod(0o755)  # pytest's own folders are private
        folder = copy_example(NAME, Path(everybodys), sandbox.registry)
        (folder / "data").mkdir()
        (folder / "data" / "labels.csv").write_text("cat,1\n")
        monkeypatch.chdir(everybodys)
        # Imports come first: only root may be able to read the interpreter.
        assert cli("validate", NAME).code == 0
        assert cli(command, "./nowhere").code == failed
        (folder / secret).chmod(0)
        try:
            before = snapshot(Path(everybodys))
            with as_somebody():
                ended = cli(command, f"./{NAME}")
        finally:
            (folder / secret).chmod(0o755)
        after = snapshot(Path(everybodys))
        assert after.keys() == before.keys()
    assert ended.code == failed
    said = readable(ended)
    assert Path(secret).name in said
    assert "ermission" in said
    assert sandbox.writes() == []


def test_circular_and_broken_links_work(pipeline: Path, cli: Cli, sandbox: Sandbox) -> None:
    (pipeline / "itself").symlink_to("itself")
    (pipeline / "above").symlink_to("..")
    (pipeline / "nowhere").symlink_to("/does/not/exist")
    assert cli("apply", NAME).code == 0
    assert cli("plan", NAME, "--exit-code").code == 0


# Servers


def test_no_token(told: ErrorReport, pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PICSELLIA_TOKEN")
    assert "PICSELLIA_TOKEN" in told("plan", NAME)
    assert "reconciler login" in told("apply", NAME)
    told("whoami")


def test_an_unknown_token(told: ErrorReport, pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PICSELLIA_TOKEN", "nobodys-token")
    for command in (["plan", NAME], ["apply", NAME], ["whoami"]):
        said = told(*command)
        assert "does not accept this API token" in said
        assert "nobodys-token" not in said


def test_an_unknown_organization(told: ErrorReport, pipeline: Path) -> None:
    for command in (["plan", NAME], ["apply", NAME], ["whoami"]):
        said = told(*command, "--organization", "elsewhere")
        assert "has no organization 'elsewhere'" in said
        assert "--organization" in said


def test_a_platform_that_is_down(told: ErrorReport, pipeline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("PICSELLIA_CUSTOM_ENV", address)
    for command in (["plan", NAME], ["apply", NAME], ["whoami"]):
        said = told(*command)
        assert "cannot be reached: Connection refused" in said
        assert address in said
    told("plan", NAME, "--exit-code", code=13)


def test_a_host_without_a_platform(
    told: ErrorReport, pipeline: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.fail("GET", "^/api/", 404, times=None)
    assert f"{sandbox.url} does not respond like a Picsellia platform" in told("plan", NAME)


def test_an_unreadable_object(told: ErrorReport, pipeline: Path, sandbox: Sandbox) -> None:
    sandbox.fail("GET", "/processings/find", 500, times=None)
    said = told("plan", NAME)
    assert f"/{NAME}" in said
    assert "failed with 500" in said
    told("plan", NAME, "--exit-code", code=13)


def test_a_registry_that_is_down(
    told: ErrorReport, pipeline: Path, sandbox: Sandbox, cli: Cli, no_pauses: None
) -> None:
    nowhere = f"localhost:{free_port()}"
    edit(pipeline / "config.toml", f'image_name = "{sandbox.registry}', f'image_name = "{nowhere}')
    assert f"image/{nowhere}/examples/{NAME} could not be read" in told("plan", NAME)
    told("plan", NAME, "--exit-code", code=13)
    ended = cli("apply", NAME)
    assert ended.code == 1
    assert nowhere in readable(ended)
    assert sandbox.writes() == []


def test_no_docker_engine(
    pipeline: Path, cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(pipeline / "config.toml", '"append"', '"engine"')
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{free_port()}")
    before = snapshot(pipeline)
    assert cli("plan", NAME, "--exit-code").code == 10, "a plan needs no Engine"

    ended = cli("apply", NAME)

    assert ended.code == 1
    said = readable(ended)
    assert "no Docker Engine is running" in said
    assert 'builder = "append"' in said
    assert sandbox.writes(service="platform") == []
    assert not [w for w in sandbox.writes() if "/manifests/" in w["path"]], "nothing was published"
    assert snapshot(pipeline) == before


def test_a_read_only_token(
    pipeline: Path, cli: Cli, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PICSELLIA_TOKEN", sandbox.read_only_token)
    before = snapshot(tmp_path)
    assert cli("plan", NAME, "--exit-code").code == 10
    assert sandbox.requests() != []
    assert sandbox.writes() == []
    assert snapshot(tmp_path) == before, "a plan leaves no trace, not even a state file"

    ended = cli("apply", NAME)

    assert ended.code == 1
    failed = [line for line in ended.err.splitlines() if line.startswith("failed: ")]
    assert failed == [f"failed: creating processing/{NAME}"]
    assert "This token may only read" in ended.err
    assert "Traceback" not in ended.err
    assert sandbox.read_only_token not in ended.out + ended.err
    assert sandbox.platform.processings() == []
    assert 'version = "1.0"' in (pipeline / "config.toml").read_text()


def test_a_refused_push_is_reported_before_the_first_write(
    pipeline: Path, cli: Cli, sandbox: Sandbox
) -> None:
    sandbox.fail("POST", "/v2/.*/blobs/uploads", 403, times=None)
    ended = cli("apply", NAME)
    assert ended.code == 1
    assert "nothing was changed" in readable(ended)
    assert sandbox.writes(service="platform") == []
    assert not [w for w in sandbox.writes() if "/manifests/" in w["path"]]


# State


@pytest.mark.parametrize("state", ["s3", "a folder", "garbage"])
def test_state_that_cannot_be_opened(
    told: ErrorReport, pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    place = tmp_path / "record"
    if state == "a folder":
        place.mkdir()
    if state == "garbage":
        place.write_bytes(b"not a database" * 1000)
    monkeypatch.setenv("RECONCILER_STATE", "nosuch://bucket" if state == "s3" else str(place))
    said = told("plan", NAME)
    assert ("nosuch://" if state == "s3" else str(place)) in said


# Saved plans


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"format": "reconciler/plan", "version": 99}',
        b'{"format": "reconciler/plans", "version": 1, "plans": [], "errors": []}',
        b'{"format": "reconciler/plan", "version": 1, "stack": {}}',
    ],
)
def test_a_file_without_a_plan(told: ErrorReport, pipeline: Path, workplace: Path, content: bytes) -> None:
    (workplace / "kept.json").write_bytes(content)
    for command in (["show", "kept.json"], ["apply", "--plan", "kept.json"]):
        said = told(*command)
        assert "kept.json" in said
        assert "reconciler plan" in said


def test_a_plan_with_an_unknown_key_is_refused(
    told: ErrorReport, pipeline: Path, cli: Cli, workplace: Path
) -> None:
    kept = workplace / "kept.json"
    assert cli("plan", NAME, "--out", str(kept)).code == 0
    assert cli("show", str(kept)).code == 0
    kept.write_text(json.dumps({**json.loads(kept.read_text()), "only_on_sundays": True}))
    assert "only_on_sundays" in told("apply", "--plan", str(kept))


# Usage


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["deploi"], "deploi"),
        (["plan", "--no-such-option"], "--no-such-option"),
        (["plan"], "name a pipeline"),
        (["plan", NAME, "--all"], "not both"),
        (["plan", NAME, "--env", "MOON"], "'MOON' is not one of PROD, STAGING, LOCAL, CUSTOM"),
        (["plan", NAME, "--bump", "huge"], "huge"),
        (["plan", NAME, "--target", "nonsense"], "nonsense"),
        (["plan", NAME, "--class-timeout", "soon"], "soon"),
        (["apply", NAME, "--ours", "--theirs"], "contradict"),
        (["apply", NAME, "--parallel", "0"], "--parallel"),
        (["apply", NAME, "--lock-timeout", "-1"], "--lock-timeout"),
        (["validate", NAME, "--bump", "patch"], "--bump"),
        (["sandbox", "--switch", "echo"], "NAME=VALUE"),
        (["sandbox", "--switch", "echo=loud"], "echo"),
        (["sandbox", "--switch", "nosuch=1"], "nosuch"),
        (["sandbox", "--env", "TEST"], "NAME=ORGANIZATION"),
        (["sandbox", "--env", "test=north"], "capital letters"),
        (["sandbox", "--env", "PROD=north"], "https://app.picsellia.com"),
        (["sandbox", "--env", "TEST=a", "--env", "TEST=a"], "twice"),
        (["sandbox", "--port", "65535", "--env", "TEST=a", "--env", "LIVE=a"], "--port"),
    ],
)
def test_wrong_usage_exits_with_2(
    told: ErrorReport, cli: Cli, sandbox: Sandbox, pipeline: Path, arguments: list[str], expected: str
) -> None:
    before = snapshot(pipeline)
    ended = cli(*arguments)
    assert ended.code == 2
    assert expected in ended.err
    assert ended.err.count("Error: ") == 1
    assert "Traceback" not in ended.err
    assert ended.out == ""
    assert sandbox.requests() == []
    assert snapshot(pipeline) == before


@pytest.mark.parametrize(("name", "expected"), [("dataset_cleanupp", "dataset_cleanup"), ("./no", "no")])
def test_a_missing_pipeline(told: ErrorReport, pipeline: Path, name: str, expected: str) -> None:
    for command in ("validate", "plan", "apply"):
        assert expected in told(command, name)


def test_one_broken_pipeline_does_not_hide_the_others(cli: Cli, sandbox: Sandbox, pipeline: Path) -> None:
    other = copy_example("single_training", cli.folder, sandbox.registry)
    (pipeline / "config.toml").write_text("[metadata]\n[docker\n")
    ended = cli("plan", f"./{NAME}", "single_training")
    assert ended.code == 1
    assert "config.toml:2" in readable(ended)
    assert "single_training" in ended.out
    assert cli("apply", f"./{NAME}", "single_training").code == 1
    assert sandbox.platform.models() != [], f"{other.name} was applied all the same"
