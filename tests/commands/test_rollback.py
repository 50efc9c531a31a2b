"""Rollback after a bad deploy restores the earlier run by moving tags, or changes nothing."""

import errno
import json
from pathlib import Path

import pytest

from providers.docker.registry.client import RegistryClient
from providers.sandbox import Sandbox
from tests.commands.folders import PARAMETERS
from tests.conftest import EXAMPLES, Cli, copy_example, stack_of

APP = "multi_training"
CLEANUP = "dataset_cleanup"


@pytest.fixture
def repository(cli: Cli, sandbox: Sandbox) -> str:
    """The repository of a training pipeline with a good deploy of 1.0.0 and a bad one of 1.1.0."""
    folder = copy_example(APP, cli.folder, sandbox.registry)
    assert cli("apply", APP).code == 0
    _edit(folder / "pipeline.py", "import argparse", "import argparse  # oh no")
    assert cli("apply", APP, "--bump", "minor").code == 0
    sandbox.clear_requests()
    return f"{sandbox.registry}/examples/{APP}"


def digests(repository: str) -> dict[str, str | None]:
    with RegistryClient(repository) as registry:
        return {tag: registry.digest(tag) for tag in ("1.0.0", "1.1.0", "latest")}


def test_a_training_is_rolled_back_by_its_tag(repository: str, cli: Cli, sandbox: Sandbox) -> None:
    before = digests(repository)
    assert before["latest"] == before["1.1.0"] != before["1.0.0"]

    back = cli("rollback", APP)

    assert back.code == 0, back.err
    assert digests(repository) == {**before, "latest": before["1.0.0"]}
    written = {(w["method"], w["path"].rpartition("/")[2]) for w in sandbox.writes()}
    assert written - {("POST", ""), ("DELETE", _upload(sandbox))} == {("PUT", "latest")}, "one tag, no layer"


def test_a_report_has_the_version_that_is_restored(repository: str, cli: Cli) -> None:
    one = json.loads(cli("rollback", APP, "--json", "-").out)
    again = json.loads(cli("rollback", "--all", "--to", "1.1.0", "--yes", "--json", "-").out)
    for report, version in ((one, "1.0.0"), (again, "1.1.0")):
        [run] = [run for run in report["pipelines"] if run["folder"] == APP]
        assert (run["version"], run["image_digest"]) == (version, digests(repository)[version])


def test_a_second_rollback_never_returns_to_what_was_rolled_back(repository: str, cli: Cli) -> None:
    assert cli("rollback", APP).code == 0
    before = digests(repository)

    ended = cli("rollback", APP)

    assert ended.code == 1
    assert "before 1.0.0" in ended.err and "1.1.0, rolled back" in ended.err
    assert digests(repository) == before
    assert cli("rollback", APP, "--to", "1.1.0").code == 0
    assert digests(repository)["latest"] == before["1.1.0"]


def test_a_serial_of_the_history_is_restored(repository: str, cli: Cli) -> None:
    first = digests(repository)["1.0.0"]
    saves = json.loads(cli("state", "history", stack_of(APP), "--json").out)["saves"]
    last_of_first_run = max(save["serial"] for save in saves if save["run"] == saves[-1]["run"])

    assert cli("rollback", APP, "--to", str(last_of_first_run), "--write").code == 0

    assert digests(repository)["latest"] == first
    assert 'version = "1.0.0"' in (cli.folder / APP / "config.toml").read_text()


def test_outside_changes_since_are_undone(repository: str, cli: Cli, sandbox: Sandbox) -> None:
    target = ("SiteDetector", "lyon")
    sandbox.platform.edit_version(*target, docker_tag="hotfix")

    assert cli("rollback", APP).code == 0

    version = sandbox.platform.version(*target)
    assert version is not None
    assert version["docker_tag"] == "latest"


def test_a_missing_image_is_reported_before_any_write(repository: str, cli: Cli, sandbox: Sandbox) -> None:
    before = digests(repository)
    name = repository.partition("/")[2]
    for reference in ("1.0.0", before["1.0.0"]):
        sandbox.call("DELETE", f"/v2/{name}/manifests/{reference}")
    config = (cli.folder / APP / "config.toml").read_bytes()
    sandbox.clear_requests()

    refused = cli("rollback", APP, "--write", "--yes")

    assert refused.code == 1
    assert f"{name}:1.0.0 was {str(before['1.0.0'])[:19]} then" in refused.err
    assert "Nothing was changed" in refused.err
    assert sandbox.writes() == []
    assert digests(repository) == {**before, "1.0.0": None}
    assert (cli.folder / APP / "config.toml").read_bytes() == config


def _upload(sandbox: Sandbox) -> str:
    """The upload that checks the right to push: it is started and cancelled."""
    return next(w["path"].rpartition("/")[2] for w in sandbox.writes() if w["method"] == "DELETE")


def _edit(file: Path, old: str, new: str) -> None:
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))


CPU = ("config.toml", 'cpu = "8"', 'cpu = "16"')
INPUT = ("utils/inputs.py", 'name="archive"', 'name="folder"')


@pytest.mark.parametrize(
    ("method", "path", "lost", "edit"),
    [
        ("PATCH", "/api/processing/", "drop-before", CPU),
        ("PATCH", "/api/processing/", "drop-after", CPU),
        ("POST", "/inputs$", "drop-before", INPUT),
        ("DELETE", "/inputs/archive$", "drop-before", INPUT),
        ("DELETE", "/inputs/archive$", "drop-after", INPUT),
    ],
)
def test_after_a_write_without_an_answer_the_run_before_is_restored(
    method: str, path: str, lost: str, edit: tuple[str, str, str], cli: Cli, sandbox: Sandbox
) -> None:
    """And not the run before it, from which the state differs."""
    folder = copy_example(CLEANUP, cli.folder, sandbox.registry)
    with (folder / ".dockerignore").open("a") as ignored:
        ignored.write("config.toml\nutils/\n")
    assert cli("apply", CLEANUP).code == 0
    _edit(folder / "config.toml", 'cpu = "4"', 'cpu = "8"')
    assert cli("apply", CLEANUP).code == 0
    names = {one["name"] for one in sandbox.platform.inputs(CLEANUP)}
    file, before, after = edit
    _edit(folder / file, before, after)
    sandbox.fail(method, path, lost, times=None)
    assert cli("apply", CLEANUP, "--yes").code == 1
    sandbox.switch(faults=[])

    back = cli("rollback", CLEANUP, "--yes")

    assert back.code == 0, back.err
    [found] = sandbox.platform.processings()
    assert found["default_cpu"] == 8
    assert {one["name"] for one in sandbox.platform.inputs(CLEANUP)} == names


@pytest.mark.parametrize(("first", "second"), [("1", "True"), ("1.0", "True"), ('"1"', "1")])
def test_similar_values_are_a_difference_to_restore(
    first: str, second: str, cli: Cli, sandbox: Sandbox
) -> None:
    folder = copy_example(CLEANUP, cli.folder, sandbox.registry)
    with (folder / ".dockerignore").open("a") as ignored:
        ignored.write("utils/\n")
    parameters = folder / "utils/parameters.py"
    text = PARAMETERS.replace("640", first)
    parameters.write_text(text)
    assert cli("apply", CLEANUP).code == 0
    parameters.write_text(text.replace(f"size = {first}", f"size = {second}"))
    assert cli("apply", CLEANUP).code == 0

    back = cli("rollback", CLEANUP)

    assert back.code == 0, back.err
    [found] = sandbox.platform.processings()
    assert json.dumps(found["default_parameters"]["size"]) in {first, first.removesuffix(".0")}


@pytest.mark.parametrize(
    "command",
    [
        ("rollback", APP, "--write"),
        ("rollback", "--all", "--write", "--yes"),
        ("apply", APP, "--bump", "patch", "--yes"),
        ("deploy", APP, "--bump", "patch", "--yes"),
    ],
    ids=" ".join,
)
def test_the_same_command_writes_the_version_that_could_not_be_written(
    command: tuple[str, ...], repository: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = cli.folder / APP / "config.toml"
    if command[0] != "rollback":
        _edit(config.with_name("pipeline.py"), "# oh no", "# fine")
    before = config.read_text()
    with monkeypatch.context() as full:
        full.setattr("reconciler.engine.apply.replace_file", _full)
        first = cli(*command)
    assert first.code == 1
    assert "config.toml could not be written" in first.err
    assert "No space left on device. Free some space. Everything else is done." in first.err
    assert config.read_text() == before
    done = digests(repository)

    again = cli(*command)

    assert again.code == 0, again.err
    version = "1.0.0" if command[0] == "rollback" else "1.1.1"
    assert f'version = "{version}"' in config.read_text()
    assert digests(repository) == done
    assert command[0] == "rollback" or cli("plan", APP, "--exit-code").code == 0


def _full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


IMAGE = "image/{registry}/examples/dataset_cleanup"
ADDRESSES = [IMAGE, f"processing/{CLEANUP}", f"input/{CLEANUP}/dataset", f"input/{CLEANUP}/report_title"]


@pytest.mark.parametrize("then", ["roll back", "apply"])
@pytest.mark.parametrize("forgotten", [*ADDRESSES, "--stack"])
def test_a_change_of_the_state_alone_is_no_step_back(
    forgotten: str, then: str, cli: Cli, sandbox: Sandbox
) -> None:
    """Restoring what it left would delete what it left out, and that was there all along."""
    folder = copy_example(CLEANUP, cli.folder, sandbox.registry)
    assert cli("apply", CLEANUP).code == 0
    names = inputs(sandbox)
    _edit(folder / "pipeline.py", "import", "import json\nimport")
    assert cli("apply", CLEANUP, "--bump", "patch").code == 0
    address = forgotten.format(registry=sandbox.registry)
    what = ("--stack", CLEANUP) if forgotten == "--stack" else (CLEANUP, address)
    gone = cli("state", "forget", *what, "--yes")
    assert gone.code == 0, gone.err
    assert then != "apply" or cli("apply", CLEANUP).code == 0
    sandbox.clear_requests()

    back = cli("rollback", CLEANUP, "--yes")

    assert back.code == 0, back.err
    assert [one["path"] for one in sandbox.writes() if "/inputs" in one["path"]] == []
    assert inputs(sandbox) == names
    with RegistryClient(f"{sandbox.registry}/examples/{CLEANUP}") as registry:
        assert registry.digest("latest") == registry.digest("1.0.0") != registry.digest("1.0.1")
    again = cli("rollback", CLEANUP, "--yes")
    assert (again.code, "nothing ran" in again.err) == (1, True), again.err


@pytest.mark.parametrize("target", ADDRESSES)
def test_a_pipeline_that_is_taken_over_in_parts_has_nothing_to_go_back_to(
    target: str, cli: Cli, sandbox: Sandbox
) -> None:
    copy_example(CLEANUP, cli.folder, sandbox.registry)
    assert cli("apply", CLEANUP).code == 0  # as another machine does, with a state of its own
    (cli.folder.parent / "state.db").unlink()
    sandbox.clear_requests()
    part = cli("apply", CLEANUP, "--target", target.format(registry=sandbox.registry))
    assert part.code == 0, part.err
    assert cli("apply", CLEANUP).code == 0

    back = cli("rollback", CLEANUP, "--yes")

    assert back.code == 1
    assert "nothing ran" in back.err
    assert sandbox.writes() == []
    runs = json.loads(cli("state", "history", CLEANUP, "--json").out)["runs"]
    assert [run["outcome"] for run in runs] == ["applied", "partial"]


def test_a_target_that_leaves_nothing_out_is_a_step_back(repository: str, cli: Cli) -> None:
    edited = cli.folder / APP / "pipeline.py"
    _edit(edited, "# oh no", "# fine")
    assert cli("apply", APP, "--bump", "patch", "--target", f"image/{repository}").code == 0
    _edit(edited, "# fine", "# worse")
    assert cli("apply", APP, "--bump", "patch").code == 0

    assert cli("rollback", APP).code == 0

    with RegistryClient(repository) as registry:
        assert registry.digest("latest") == registry.digest("1.1.1")


NO_CLASS: list[str] = []
CLASSES = [NO_CLASS, ["title"], ["title", "manual"]]


@pytest.mark.parametrize("now", CLASSES, ids=str)
@pytest.mark.parametrize("then", CLASSES, ids=str)
def test_a_rollback_deletes_inputs_only_if_the_earlier_version_declared_all(
    then: list[str], now: list[str], cli: Cli, sandbox: Sandbox
) -> None:
    """Without inputs_class, inputs are untouched. So "manual" may be there, made by hand."""
    folder = copy_example(CLEANUP, cli.folder, sandbox.registry)
    declare_inputs(folder, then)
    assert cli("apply", CLEANUP, "--yes").code == 0
    if then == NO_CLASS:
        sandbox.platform.add_input(CLEANUP, "manual", required=False)
    ran = inputs(sandbox)
    declare_inputs(folder, now)
    assert cli("apply", CLEANUP, "--bump", "patch", "--force-bump", "--yes").code == 0
    before = inputs(sandbox)
    sandbox.clear_requests()

    back = cli("rollback", CLEANUP, "--yes")

    assert back.code == 0, back.err
    deleted = [
        one["path"] for one in sandbox.writes() if one["method"] == "DELETE" and "/inputs/" in one["path"]
    ]
    if then == NO_CLASS:
        assert deleted == []
        assert inputs(sandbox) == before
    else:
        assert inputs(sandbox) == ran == set(then)


def test_inputs_that_stay_are_named(cli: Cli, sandbox: Sandbox) -> None:
    folder = copy_example(CLEANUP, cli.folder, sandbox.registry)
    declare_inputs(folder, NO_CLASS)
    assert cli("apply", CLEANUP, "--yes").code == 0
    declare_inputs(folder, ["title"])
    assert cli("apply", CLEANUP, "--bump", "patch", "--yes").code == 0

    back = cli("rollback", CLEANUP, "--yes")

    text = " ".join((back.out + back.err).split())
    assert f"input/{CLEANUP}/title forget not in that state version; it stays on the platform" in text
    assert cli("apply", CLEANUP, "--yes").code == 0, "the files have it, so it is taken over again"
    assert cli("plan", CLEANUP, "--exit-code").code == 0


def inputs(sandbox: Sandbox) -> set[str]:
    return {one["name"] for one in sandbox.platform.inputs(CLEANUP)}


def declare_inputs(folder: Path, names: list[str]) -> None:
    """Optional text inputs with these names; no inputs class for none."""
    key = 'inputs_class = "utils/inputs.py:ProcessingInputs"\n'
    config, file = folder / "config.toml", folder / "utils" / "inputs.py"
    text = config.read_text().replace(key, "")
    if not names:
        config.write_text(text)
        file.unlink(missing_ok=True)
        return
    config.write_text(text.replace("[execution]\n", f"[execution]\n{key}"))
    lines = [
        f'        self.define_input(name="{name}", input_type=ProcessingInputType.TEXT, required=False)\n'
        for name in names
    ]
    source = (EXAMPLES / CLEANUP / "utils" / "inputs.py").read_text()
    file.write_text(source.partition("        self.define_input(")[0] + "".join(lines))
