"""adopt writes exactly the live values: its patch applies, the next plan is empty, a second run is a noop."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from providers.sandbox import Sandbox
from reconciler.pipeline.config import load
from reconciler.pipeline.schema import Config
from reconciler.workspace.reader import find_workspace
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


def test_a_field_that_the_platform_cleared_is_named_as_not_set(cli: Cli, sandbox: Sandbox) -> None:
    folder = copy_example(PROCESSING, cli.folder, sandbox.registry)
    assert cli("apply", PROCESSING).code == 0
    sandbox.platform.edit_processing(PROCESSING, default_cpu=None)
    before = snapshot(folder)
    ended = cli("adopt", PROCESSING)
    assert ended.code == 1
    assert f"processing/{PROCESSING}#default_cpu is not set on the platform" in ended.err
    assert snapshot(folder) == before


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


@pytest.mark.parametrize("odd", [-1, 10**400], ids=["negative", "huge"])
@pytest.mark.parametrize("named", [False, True], ids=["all", "named"])
def test_a_value_that_the_file_cannot_contain_stops_no_other(
    odd: int, named: bool, cli: Cli, sandbox: Sandbox, applied: None
) -> None:
    app = sandbox.platform.processing(PROCESSING)
    assert app is not None
    live = {**app["default_parameters"], "data_tag": "raw"}
    sandbox.platform.edit_processing(
        PROCESSING, default_cpu=odd, default_gpu=3, description="Found.", default_parameters=live
    )
    config = cli.folder / PROCESSING / "config.toml"
    cpu = next(line for line in config.read_text().splitlines() if line.startswith("cpu"))
    targets = [f"processing/{PROCESSING}#{name}" for name in ("default_cpu", "default_gpu")] if named else []
    ended = cli("adopt", PROCESSING, *targets)
    assert ended.code == 1
    (error,) = (line for line in ended.err.splitlines() if line.startswith("error: "))
    assert f"processing/{PROCESSING}#default_cpu" in error
    assert f"--target processing/{PROCESSING}" in ended.err
    written = config.read_text()
    assert 'gpu = "3"' in written
    assert cpu in written.splitlines()
    assert ("Found." in written, '"raw"' in ended.out) == (not named, not named)


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


@pytest.mark.parametrize("is_applied", [True, False], ids=["deleted outside", "never applied"])
def test_inputs_are_not_adopted_away_with_their_processing(
    is_applied: bool, cli: Cli, sandbox: Sandbox
) -> None:
    config = copy_example(PROCESSING, cli.folder, sandbox.registry) / "config.toml"
    if is_applied:
        assert cli("apply", PROCESSING).code == 0
        sandbox.platform.delete_processing(PROCESSING)
    before = snapshot(cli.folder)
    ended = adopt(cli, PROCESSING)
    assert (ended.out, "--bump" in ended.err) == ("", False)
    assert "nothing to adopt" in ended.err
    assert "input/" not in ended.err
    if is_applied:
        assert f"processing/{PROCESSING} was deleted outside" in ended.err
        assert "reconciler apply" in ended.err
        assert "reconciler destroy" in ended.err
    named = cli("adopt", PROCESSING, f"input/{PROCESSING}/archive")
    assert (named.code, named.out) == (1, "")
    assert f"input/{PROCESSING}/archive does not exist" in named.err
    assert f"processing/{PROCESSING} does not exist either" in named.err
    assert snapshot(cli.folder) == before
    # An input that was deleted alone can be adopted again.
    assert cli("apply", PROCESSING).code == 0, config
    sandbox.platform.delete_input(PROCESSING, "archive")
    assert '-        self.define_input(name="archive"' in adopt(cli, PROCESSING).out


def test_inputs_that_a_failed_apply_did_not_create_again_are_not_adopted_away(
    cli: Cli, sandbox: Sandbox, applied: None, check: Check
) -> None:
    sandbox.platform.delete_processing(PROCESSING)
    sandbox.fail("POST", "/inputs$", 403)
    assert cli("apply", PROCESSING, "--parallel", "1").code == 1
    report = check(PROCESSING)
    assert report.code == 10  # left to apply, and not changed outside
    findings = [one for stack in report.document["stacks"] for one in stack["findings"]]
    assert {one["reason"] for one in findings if one["address"].startswith("input/")} == {
        "does not exist yet"
    }
    assert adopt(cli, PROCESSING).out == ""
    named = cli("adopt", PROCESSING, f"input/{PROCESSING}/archive")
    assert named.code == 1
    assert f"Create it with: reconciler apply {PROCESSING}" in named.err
    assert cli("apply", PROCESSING).code == 0
    assert check(PROCESSING).code == 0


CONFIG, CLASS, BY_HAND = {"default_cpu": 64}, {"data_tag": "raw"}, {"smallest_side": "no number"}


@pytest.mark.parametrize(
    ("fields", "parameters"),
    [
        (CONFIG, {}),
        ({}, CLASS),
        ({}, BY_HAND),
        (CONFIG, CLASS),
        (CONFIG, BY_HAND),
        (CONFIG, CLASS | BY_HAND),
        ({}, {}),
    ],
)
def test_a_dry_run_shows_what_the_run_does(
    fields: dict[str, Any], parameters: dict[str, Any], cli: Cli, sandbox: Sandbox
) -> None:
    copy_example(PROCESSING, cli.folder, sandbox.registry)
    assert cli("apply", PROCESSING).code == 0
    app = sandbox.platform.processing(PROCESSING)
    assert app is not None
    live = {**app["default_parameters"], **parameters}
    sandbox.platform.edit_processing(PROCESSING, **fields, default_parameters=live)
    before = snapshot(cli.folder)
    tried = cli("adopt", PROCESSING, "--dry-run")
    assert snapshot(cli.folder) == before
    done = cli("adopt", PROCESSING, "--yes")
    assert (tried.code, tried.out) == (done.code, done.out)
    mark = f"{PROCESSING}/config.toml: 1 value"
    assert (f"{mark} written" in done.err) == bool(fields)
    as_done = tried.err.replace(f"{mark} to write", f"{mark} written").removesuffix("Nothing was written.\n")
    assert as_done == done.err
    assert (as_done != tried.err) == bool(fields or "data_tag" in parameters)


ENVIRONMENTS = """
[environments.LIVE]
host = "https://live.example.com"
organization = "live"

[environments.TEST]
host = "https://test.example.com"
organization = "test"
"""
OTHERS = """
[reconciler.env.TEST.metadata]
description = "For tests."

[reconciler.env.STAGING.docker]
cpu = 2
"""


@pytest.mark.parametrize(
    ("fields", "overlay", "reached"),
    [
        ({"default_cpu": 64}, "", ["docker.cpu of LIVE, TEST"]),
        ({"description": "New."}, "", ["metadata.description of LIVE, STAGING"]),
        (
            {"default_cpu": 64, "description": "New."},
            "",
            ["docker.cpu of LIVE, TEST", "metadata.description of LIVE, STAGING"],
        ),
        ({"default_cpu": 64}, "[reconciler.env.CUSTOM.docker]\ncpu = 4\n", []),
        ({"docker_tag": "0.9.0"}, "", []),
    ],
)
def test_an_edit_names_the_other_environments_that_it_changes(
    fields: dict[str, Any],
    overlay: str,
    reached: list[str],
    cli: Cli,
    sandbox: Sandbox,
    check: Check,
) -> None:
    config = copy_example(PROCESSING, cli.folder, sandbox.registry) / "config.toml"
    (cli.folder / "reconciler.toml").write_text(ENVIRONMENTS)
    config.write_text(config.read_text() + OTHERS + overlay)
    others = ("LIVE", "TEST", "STAGING")

    def views() -> list[Config | None]:
        shared = find_workspace(cli.folder).shared()
        return [load(config.parent, environment=name, shared=shared).config for name in others]

    assert cli("apply", PROCESSING).code == 0
    sandbox.platform.edit_processing(PROCESSING, **fields)
    before, views_before = config.read_text(), views()
    tried = cli("adopt", PROCESSING, "--dry-run")
    adopted = adopt(cli, PROCESSING)
    for text in (tried.err, adopted.err):
        named = re.findall(r"warning: this also changes (.*)", text)
        assert sorted("; ".join(named).split("; ")) == (reached or [""])
    changed = {name for name, old, new in zip(others, views_before, views(), strict=True) if old != new}
    assert changed == {name for line in reached for name in re.findall("LIVE|TEST|STAGING", line)}
    if not reached:
        return
    # The overlay that it shows gives only this environment the value.
    lines = [
        line.strip() for line in adopted.err[adopted.err.index("[reconciler.env.CUSTOM.") :].splitlines()
    ]
    own = [line for line in lines if re.fullmatch(r"\[reconciler\.env\.CUSTOM\..*\]|[a-z]+ = .*", line)]
    config.write_text("\n".join([before, *own]))
    assert views() == views_before
    assert check(PROCESSING).found == {}


def test_a_patch_names_the_other_environments_that_use_the_class(cli: Cli, sandbox: Sandbox) -> None:
    config = copy_example(PROCESSING, cli.folder, sandbox.registry) / "config.toml"
    (cli.folder / "reconciler.toml").write_text(ENVIRONMENTS)
    other = '[reconciler.env.STAGING.execution]\nparameters_class = "utils/parameters.py:Other"\n'
    config.write_text(config.read_text() + OTHERS + other)
    assert cli("apply", PROCESSING).code == 0
    app = sandbox.platform.processing(PROCESSING)
    assert app is not None
    live = {**app["default_parameters"], "data_tag": "raw"}
    sandbox.platform.edit_processing(PROCESSING, default_parameters=live)
    adopted = cli("adopt", PROCESSING)
    assert "the patch of utils/parameters.py:ProcessingParameters also changes LIVE, TEST\n" in adopted.err
    assert "[reconciler.env.CUSTOM.execution]" in adopted.err


def test_a_row_that_environments_share_is_copied_as_a_whole(
    cli: Cli, sandbox: Sandbox, applied: None
) -> None:
    config = cli.folder / TRAINING / "config.toml"
    config.write_text(config.read_text() + "\n[reconciler.env.STAGING.docker]\ncpu = 2\n")
    sandbox.platform.edit_version("SiteDetector", "lyon", framework="TENSORFLOW")
    adopted = adopt(cli, TRAINING)
    assert "this also changes model_versions.framework of STAGING" in adopted.err
    assert "reconciler.env.CUSTOM.model_versions, with a copy of all rows and keys" in adopted.err


@pytest.mark.parametrize("has_to_run", [False, True], ids=["read", "run"])
def test_drift_names_the_line_of_a_parameter_that_adopt_edits(
    has_to_run: bool, cli: Cli, sandbox: Sandbox, check: Check
) -> None:
    file = copy_example(PROCESSING, cli.folder, sandbox.registry) / "utils" / "parameters.py"
    if has_to_run:  # which statement sets a parameter is only known without control flow
        file.write_text(f"{file.read_text()}        if True:\n            self.more = 1\n")
    assert cli("apply", PROCESSING).code == 0
    app = sandbox.platform.processing(PROCESSING)
    assert app is not None
    names = [name for name in app["default_parameters"] if name != "more"]
    live = {**app["default_parameters"], **dict.fromkeys(names), "added": 1}
    sandbox.platform.edit_processing(PROCESSING, default_parameters=live)
    (stack,) = check(PROCESSING).document["stacks"]
    places = {one["field"].partition(".")[2]: one["place"] for one in stack["findings"]}
    lines = file.read_text().splitlines()
    relative = f"{PROCESSING}/utils/parameters.py"
    expected = {
        name: f"{relative}:{1 + next(at for at, line in enumerate(lines) if f'self.{name} =' in line)}"
        for name in names
    }
    if has_to_run:
        expected = dict.fromkeys(names, relative)
    assert places == {**expected, "added": relative}
