"""adopt writes exactly the live values: its patch applies, the next plan is empty, a second run is a noop."""

import os
import subprocess
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from tests.commands.terminal import terminal
from tests.commands.untouched import snapshot
from tests.conftest import Cli, Ended, copy_example
from tests.drift.conftest import PROCESSING, TRAINING, Check

PATCH = [["git", "apply"], ["patch", "-p1", "--fuzz=0", "--no-backup-if-mismatch"]]


def adopt(cli: Cli, *arguments: str) -> Ended:
    ended = cli("adopt", *arguments)
    assert ended.code == 0, ended.err
    return ended


def patched(folder: Path, text: str, how: list[str]) -> None:
    done = subprocess.run(how, cwd=folder, input=text.encode(), capture_output=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("how", PATCH, ids=["git", "patch"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"], ids=["unix", "windows", "old mac"])
def test_every_value_in_a_file_can_be_adopted(
    how: list[str], newline: str, cli: Cli, sandbox: Sandbox, check: Check
) -> None:
    folder = copy_example(PROCESSING, cli.folder, sandbox.registry)
    for file in (folder / "utils").glob("*.py"):
        # … and without an end of the last line, which a patch has to say.
        mark = "\ufeff" if newline == "\r\n" else ""  # as some editors for Windows begin a file
        file.write_text(mark + file.read_text().rstrip("\n"), encoding="utf-8", newline=newline)
    (folder / ".dockerignore").write_text("config.toml\nutils/\n")
    assert cli("apply", PROCESSING).code == 0
    platform = sandbox.platform
    app = platform.processing(PROCESSING)
    assert app is not None
    parameters = {
        **app["default_parameters"],
        "smallest_side": 7,
        "data_tag": 'a "b" ü',
        "added": [1, {"x": None}],
    }
    parameters.pop("datalake")
    platform.edit_processing(
        PROCESSING, default_cpu=9, description='ünï\n\t\'"""', default_parameters=parameters
    )
    platform.delete_input(PROCESSING, "archive")
    platform.edit_input(PROCESSING, "dataset", required=False, inference_type_constraint=None)
    platform.edit_input(PROCESSING, "sample_size", framework_constraint="PYTORCH")
    platform.add_input(PROCESSING, "stray", input_type="MODEL", framework_constraint="TENSORFLOW")
    assert check(PROCESSING).code == 11
    adopted = adopt(cli, PROCESSING)
    assert "--bump" not in adopted.err  # none of it is in the image
    patched(cli.folder, adopted.out, how)
    report = check(PROCESSING)
    assert (report.code, report.found) == (0, {})
    before = snapshot(cli.folder)
    again = adopt(cli, PROCESSING)
    assert again.out == ""
    assert "nothing to adopt" in again.err
    assert snapshot(cli.folder) == before
    assert cli("apply", PROCESSING).code == 0
    assert "Nothing to do" in cli("plan", PROCESSING).out


def test_only_the_bytes_of_the_value_change(cli: Cli, sandbox: Sandbox, applied: None, check: Check) -> None:
    config = cli.folder / TRAINING / "config.toml"
    sandbox.platform.edit_version("SiteDetector", "lyon", framework="TENSORFLOW", type="SEGMENTATION")
    before = config.read_bytes()
    adopt(cli, TRAINING)
    *first, last = before.split(b"[[model_versions]]")  # the row that counts is the last one of that name
    last = last.replace(b'"ONNX"', b'"TENSORFLOW"').replace(b'"OBJECT_DETECTION"', b'"SEGMENTATION"')
    assert config.read_bytes() == b"[[model_versions]]".join([*first, last])
    assert [cls for cls in check(TRAINING).classes.values() if cls != "pending"] == []


def test_adopting_ends_a_conflict(cli: Cli, sandbox: Sandbox, applied: None, check: Check) -> None:
    config = cli.folder / PROCESSING / "config.toml"
    config.write_text(config.read_text().replace('cpu = "4"', "cpu = 8  # more"))
    sandbox.platform.edit_processing(PROCESSING, default_cpu=16)
    assert check(PROCESSING).classes[f"processing/{PROCESSING}#default_cpu"] == "conflict"
    adopt(cli, PROCESSING, f"processing/{PROCESSING}#default_cpu")
    assert "cpu = 16  # more\n" in config.read_text()
    assert f"processing/{PROCESSING}#default_cpu" not in check(PROCESSING).found


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (f"processing/{PROCESSING}#docker_tag", "metadata.version"),
        (f"processing/{PROCESSING}#docker_flags", "docker.gpu"),
        (f"processing/{PROCESSING}#docker_image", "docker.image_name"),
        (f"processing/{PROCESSING}#target", "metadata.type"),
        (f"processing/{PROCESSING}#nothing", "the files do not set"),
        (f"input/{PROCESSING}/nothing", "no resource is called"),
        (f"image/{{}}/examples/{PROCESSING}#source_key", "publish a new version"),
    ],
)
def test_computed_values_are_refused_and_nothing_is_written(
    what: str, words: str, cli: Cli, sandbox: Sandbox, applied: None
) -> None:
    sandbox.platform.edit_processing(
        PROCESSING, default_cpu=64, docker_tag="1.0.0", docker_flags=["--x"], docker_image="somebody/else"
    )
    before = snapshot(cli.folder)
    what = what.format(sandbox.registry.replace("/", "%2F"))
    ended = cli("adopt", PROCESSING, f"processing/{PROCESSING}#default_cpu", what)
    assert (ended.code, ended.out) == (1, "")
    assert words in ended.err
    assert snapshot(cli.folder) == before


def test_values_computed_by_code_are_reported_with_their_place(cli: Cli, sandbox: Sandbox) -> None:
    folder = copy_example(PROCESSING, cli.folder, sandbox.registry)
    parameters = folder / "utils" / "parameters.py"
    parameters.write_text(parameters.read_text().replace('default="cleaned"', 'default="cl" + "eaned"'))
    assert cli("apply", PROCESSING).code == 0
    platform = sandbox.platform
    app = platform.processing(PROCESSING)
    assert app is not None
    live = {**app["default_parameters"], "data_tag": "raw", "smallest_side": "no number"}
    platform.edit_processing(PROCESSING, default_cpu=64, default_parameters=live)
    before = parameters.read_text()
    ended = cli("adopt", PROCESSING)
    line = before[: before.index("eaned")].count("\n") + 1
    assert ended.code == 1
    assert "data_tag needs an edit by hand" in ended.err
    assert f"{PROCESSING}/utils/parameters.py:{line}" in ended.err
    assert 'Set data_tag to "raw" in ProcessingParameters' in ended.err
    assert 'cpu = "64"' in (folder / "config.toml").read_text()  # what can be taken over is
    assert parameters.read_text() == before


@pytest.mark.parametrize("value", [0.5, -1])
def test_values_that_the_file_cannot_contain_are_not_written(
    value: float, cli: Cli, sandbox: Sandbox, applied: None
) -> None:
    if isinstance(value, int):
        sandbox.platform.edit_processing(PROCESSING, default_cpu=value)
        words = "cpu"
    else:
        app = sandbox.platform.processing(PROCESSING)
        assert app is not None
        words = "least_sharpness needs an edit by hand"
        live = {**app["default_parameters"], "least_sharpness": "blurred"}
        sandbox.platform.edit_processing(PROCESSING, default_parameters=live)
    before = snapshot(cli.folder)
    ended = cli("adopt", PROCESSING)
    assert (ended.code, ended.out) == (1, "")
    assert words in ended.err
    assert snapshot(cli.folder) == before


def test_remaining_differences_are_reported(
    cli: Cli, sandbox: Sandbox, applied: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.platform.edit_processing(PROCESSING, docker_tag="1.0.0")
    ended = adopt(cli, PROCESSING)
    assert f"not adopted: processing/{PROCESSING}#docker_tag;" in ended.err
    assert "nothing was changed outside" not in ended.err
    # Without a record nobody knows who changed it, so it takes a word.
    sandbox.platform.edit_processing(PROCESSING, docker_tag="latest", default_cpu=64)
    monkeypatch.setenv("RECONCILER_STATE", str(tmp_path / "lost.db"))
    before = snapshot(cli.folder)
    assert f"not adopted: processing/{PROCESSING}#default_cpu;" in adopt(cli, PROCESSING).err
    assert snapshot(cli.folder) == before
    adopt(cli, PROCESSING, f"processing/{PROCESSING}")
    assert 'cpu = "64"' in (cli.folder / PROCESSING / "config.toml").read_text()


def test_a_value_of_an_environment_is_written_to_its_overlay(
    cli: Cli, sandbox: Sandbox, check: Check
) -> None:
    config = copy_example(PROCESSING, cli.folder, sandbox.registry) / "config.toml"
    with config.open("a") as file:
        file.write("\n[reconciler.env.CUSTOM.docker]\ncpu = 2 # here\n")
    assert cli("apply", PROCESSING).code == 0
    sandbox.platform.edit_processing(PROCESSING, default_cpu=64)
    before = config.read_text()
    adopt(cli, PROCESSING)
    assert config.read_text() == before.replace("cpu = 2 # here", "cpu = 64 # here")


@pytest.mark.parametrize(("answer", "code"), [("n", 1), ("y", 0)])
def test_adopt_prompts_at_a_terminal(
    answer: str, code: int, cli: Cli, sandbox: Sandbox, applied: None
) -> None:
    config = cli.folder / PROCESSING / "config.toml"
    sandbox.platform.edit_processing(PROCESSING, default_cpu=64)
    before = config.read_text()
    with terminal("adopt", PROCESSING, cwd=cli.folder, environment=os.environ) as user:
        user.expect('+cpu = "64"')
        user.expect("Write this? [y/N]")
        user.type(answer)
        assert user.end() == code
    assert config.read_text() == (before.replace('cpu = "4"', 'cpu = "64"') if code == 0 else before)


def test_adopt_writes_to_no_provider(cli: Cli, sandbox: Sandbox, applied: None, tmp_path: Path) -> None:
    sandbox.platform.edit_processing(PROCESSING, default_cpu=64)
    sandbox.clear_requests()
    record = (tmp_path / "state.db").read_bytes()
    adopt(cli, PROCESSING)
    assert sandbox.writes() == []
    assert (tmp_path / "state.db").read_bytes() == record


def test_what_is_not_adopted_is_said_before_the_question(cli: Cli, sandbox: Sandbox) -> None:
    copy_example(PROCESSING, cli.folder, sandbox.registry)
    assert cli("apply", PROCESSING).code == 0
    sandbox.platform.edit_processing(PROCESSING, default_cpu=64, docker_tag="9.9.9")
    with terminal("adopt", PROCESSING, cwd=cli.folder, environment=os.environ) as screen:
        screen.expect("Write this?")
        assert f"not adopted: processing/{PROCESSING}#docker_tag" in screen.shown
        screen.type("n")
        assert screen.end() == 1
    assert screen.shown.count("not adopted") == 1
