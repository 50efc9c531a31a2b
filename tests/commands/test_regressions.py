"""Regression tests, one short story each."""

import json
import re
import shutil
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from tests.commands import folders
from tests.conftest import Cli, stack_of

BASE = '\n[reconciler.image]\nbuilder = "append"\nbase = "{registry}/base/python:3.11"\n'


@pytest.fixture
def app(cli: Cli, sandbox: Sandbox) -> Path:
    return _appended(folders.processing(cli.folder / "app", f"{sandbox.registry}/team/app"), sandbox)


def _appended(folder: Path, sandbox: Sandbox) -> Path:
    with (folder / "config.toml").open("a") as config:
        config.write(BASE.format(registry=sandbox.registry))
    return folder


def _edit(folder: Path, file: str, old: str, new: str) -> None:
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))


def test_the_release_after_a_candidate_is_no_conflict(app: Path, cli: Cli) -> None:
    assert cli("apply", "app").code == 0
    for bump in ("rc", "final", "patch", "patch"):
        if bump != "final":
            (app / "pipeline.py").write_text(f"# {bump} {(app / 'config.toml').read_text()}\n")
        ended = cli("apply", "app", "--bump", bump)
        assert ended.code == 0, ended.out + ended.err
        assert cli("plan", "app", "--exit-code").code == 0


def test_two_versions_of_the_same_source_are_no_conflict(app: Path, cli: Cli) -> None:
    assert cli("apply", "app").code == 0
    for _ in range(3):
        ended = cli("apply", "app", "--bump", "patch", "--force-bump")
        assert ended.code == 0, ended.out + ended.err
    assert 'version = "1.0.3"' in (app / "config.toml").read_text()


def test_destroy_keeps_a_recreated_object(app: Path, cli: Cli, sandbox: Sandbox) -> None:
    assert cli("apply", "app").code == 0
    sandbox.platform.delete_processing("app")
    sandbox.platform.create_processing("app", docker_image="someone/else")

    ended = cli("destroy", "app", "--yes")

    assert "recreated outside, so it is not deleted" in ended.out
    assert sandbox.platform.processing("app") is not None


def test_a_model_with_other_versions_survives_a_prune(cli: Cli, sandbox: Sandbox) -> None:
    _appended(folders.training(cli.folder / "train", f"{sandbox.registry}/team/train"), sandbox)
    sandbox.platform.create_model("Detector")
    sandbox.platform.create_version("Detector", "precious")
    assert cli("apply", "train").code == 0

    ended = cli("destroy", "train", "--prune", "--yes")

    assert ended.code == 1
    assert "precious" in ended.err
    assert [version["name"] for version in sandbox.platform.versions("Detector")] == ["precious"]


def test_an_edit_of_config_toml_during_an_apply_is_kept(
    app: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reconciler.engine.executor import Executor

    walk = Executor.__call__

    def edited_meanwhile(self: Executor) -> object:
        _edit(app, "config.toml", "Made for a test.", "Edited meanwhile.")
        return walk(self)

    monkeypatch.setattr(Executor, "__call__", edited_meanwhile)
    assert cli("apply", "app", "--bump", "patch").code == 0

    text = (app / "config.toml").read_text()
    assert "Edited meanwhile." in text
    assert 'version = "1.0.1"' in text


def test_two_folders_with_one_pipeline_name_are_an_error(cli: Cli, sandbox: Sandbox) -> None:
    for place in ("one", "two"):
        folder = folders.processing(cli.folder / place, f"{sandbox.registry}/team/{place}")
        _edit(_appended(folder, sandbox), "config.toml", f'name = "{place}"', 'name = "twin"')

    ended = cli("plan", "--all")

    assert ended.code == 1
    assert "two pipelines have the stack 'twin'" in ended.err
    assert "one and " in ended.err


@pytest.mark.parametrize("copy", ["a_copy", "z_copy"])
def test_two_folders_with_one_stack_are_both_errors_whichever_is_read_first(
    cli: Cli, sandbox: Sandbox, copy: str
) -> None:
    """No row of any status says that a copy is in sync."""
    app = _appended(folders.processing(cli.folder / "app", f"{sandbox.registry}/team/app"), sandbox)
    assert cli("apply", "app", "--yes").code == 0
    shutil.copytree(app, cli.folder / copy)
    for _ in range(5):
        status = cli("status", "--all", "--json")
        assert status.code == 13
        rows = json.loads(status.out)["rows"]
        assert {str(row).count("two pipelines have the stack") for row in rows} == {1}
        drift = cli("drift", "--all", "--json", "-")
        assert drift.code == 13
        report = json.loads(drift.out)
        assert (sorted(report["failed"]), report["stacks"]) == (sorted(["app", copy]), [])


def test_a_protected_input_is_not_lost_with_its_processing(app: Path, cli: Cli, sandbox: Sandbox) -> None:
    _edit(
        app,
        "config.toml",
        "[reconciler.image]",
        '[reconciler]\nprotect = ["input/app/title"]\n\n[reconciler.image]',
    )
    assert cli("apply", "app").code == 0
    _edit(app, "config.toml", "DATASET_VERSION_CREATION", "PRE_ANNOTATION")

    ended = cli("apply", "app", "--bump", "patch", "--replace", "processing/app", "--yes")

    assert ended.code == 12
    assert "delete and recreate it with processing/app, but it is protected" in ended.err
    assert {found["name"] for found in sandbox.platform.inputs("app")} == {"dataset", "title"}


def test_an_interrupted_replace_is_finished_with_its_planned_values(
    app: Path, cli: Cli, sandbox: Sandbox
) -> None:
    assert cli("apply", "app").code == 0
    _edit(app, "config.toml", "DATASET_VERSION_CREATION", "PRE_ANNOTATION")
    _edit(app, "config.toml", 'description = "Made for a test."\n', "")
    _edit(app, "config.toml", 'cpu = "4"\n', "")
    (app / "pipeline.py").write_text("print('another type')\n")
    sandbox.platform.edit_processing("app", description="counts apples", default_cpu=16)
    sandbox.fail("POST", "/processings$", 500)

    replaced = cli("apply", "app", "--bump", "patch", "--replace", "processing/app", "--yes")
    assert replaced.code == 1 and sandbox.platform.processing("app") is None

    sandbox.switch(faults=[])
    looked = cli("drift", "app")
    assert looked.code == 10, looked.out
    assert "outside" not in looked.out and "deleted by an interrupted run that was replacing it" in looked.out
    assert cli("apply", "app", "--bump", "patch", "--yes").code == 0

    made = sandbox.platform.processing("app")
    assert made is not None
    assert (made["type"], made["description"], made["default_cpu"]) == ("PRE_ANNOTATION", "counts apples", 16)
    assert {found["name"] for found in sandbox.platform.inputs("app")} == {"dataset", "title"}
    assert cli("plan", "app", "--exit-code").code == 0


def test_an_unused_ignore_changes_entry_is_reported_with_its_line(
    app: Path, cli: Cli, sandbox: Sandbox
) -> None:
    def ignored(words: str) -> int:
        """The line of the ignore_changes entry, added after the first apply."""
        text = applied + f'\n[reconciler.ignore_changes]\n"processing/app" = {words}\n'
        (app / "config.toml").write_text(text)
        return len(text.splitlines())

    assert cli("apply", "app").code == 0
    applied = (app / "config.toml").read_text()
    sandbox.platform.edit_processing("app", default_parameters={"size": 64, "label": "dog"})

    line = ignored('["descripton"]')
    for command in ("validate", "plan", "drift"):
        ended = cli(command, "app")
        assert ended.code in (1, 13) and f"config.toml:{line}" in ended.err, command
        assert "Did you mean 'description'?" in ended.err

    line = ignored('["default_parameters.labl"]')
    ended = cli("plan", "app", "--bump", "patch")
    assert ended.code == 0 and f"config.toml:{line}" in ended.err
    assert "Did you mean 'default_parameters.label'?" in ended.err

    ignored('["default_parameters.label"]')
    assert cli("apply", "app", "--bump", "patch").code == 0
    made = sandbox.platform.processing("app")
    assert made is not None and made["default_parameters"] == {"size": 640, "label": "dog"}
    assert cli("drift", "app").code == 0


def test_destroy_without_state_is_an_error(app: Path, cli: Cli, tmp_path: Path) -> None:
    assert cli("apply", "app").code == 0
    (tmp_path / "state.db").unlink()

    ended = cli("destroy", "app", "--yes")

    assert ended.code == 1
    assert "has no state, so there is nothing to destroy" in ended.err


@pytest.mark.parametrize("command", ["plan", "apply", "validate"])
def test_a_folder_without_pipelines_is_an_error(command: str, cli: Cli, sandbox: Sandbox) -> None:
    ended = cli(command, "--all")
    assert ended.code == 1
    assert "there is no pipeline below" in ended.err


def test_an_unknown_name_stops_a_write_and_no_read(app: Path, cli: Cli, sandbox: Sandbox) -> None:
    ended = cli("apply", "app", "nosuch", "--yes")
    assert ended.code == 1
    assert "no pipeline is called nosuch" in ended.err
    assert "nothing was changed" in ended.err
    assert sandbox.writes() == []

    ended = cli("plan", "app", "nosuch")
    assert ended.code == 1
    assert "no pipeline is called nosuch" in ended.err
    assert "+ processing/app" in ended.out


def test_a_version_used_by_a_failed_run_is_skipped(app: Path, cli: Cli, sandbox: Sandbox) -> None:
    assert cli("apply", "app").code == 0
    (app / "pipeline.py").write_text("print(2)\n")
    sandbox.fail("PATCH", "/processing/", 500)
    _edit(app, "parameters.py", "640", "641")
    assert cli("apply", "app", "--bump", "patch").code == 1

    told = cli("plan", "app", "--exit-code")
    assert told.code == 12
    assert "this source is published as 1.0.1" in told.err
    assert "changed outside" not in told.out

    (app / "pipeline.py").write_text("print(3)\n")
    ended = cli("apply", "app", "--bump", "patch")
    assert ended.code == 0, ended.err
    assert 'version = "1.0.2"' in (app / "config.toml").read_text()


def test_a_plan_is_not_saved_into_the_build_context(app: Path, cli: Cli) -> None:
    ended = cli("plan", "app", "--out", "app/plan.json")
    assert ended.code == 2
    assert not (app / "plan.json").exists()

    (app / ".dockerignore").write_text("runs\n")
    (app / "runs").mkdir()
    ended = cli("plan", "app", "--out", "app/runs/plan.json")
    assert ended.code == 0, ended.err
    assert cli("apply", "--plan", "app/runs/plan.json").code == 0


def test_a_plan_is_not_saved_into_a_build_context_above_the_pipeline(app: Path, cli: Cli) -> None:
    _edit(app, "config.toml", "[reconciler.image]", '[reconciler.image]\ncontext = ".."')
    ended = cli("plan", "app", "--out", "plan.json")
    assert ended.code == 2
    assert "plan.json would become part of the image" in ended.err


@pytest.mark.parametrize("command", ["plan", "drift"])
@pytest.mark.parametrize("place", ["app/out", "app/runs/out", "out", "-"])
def test_a_report_in_the_build_context_is_a_warning(app: Path, cli: Cli, command: str, place: str) -> None:
    (app / ".dockerignore").write_text("runs\n")
    (app / "runs").mkdir()
    assert cli("apply", "app").code == 0
    ended = cli(command, "app", "--html", place)
    assert ended.code == 0, ended.err
    assert ("is in the build context of a pipeline" in ended.err) is (place == "app/out")
    assert cli("plan", "app", "--exit-code").code == (12 if place == "app/out" else 0)


def test_numbers_among_parameters_may_come_back_as_text(app: Path, cli: Cli, sandbox: Sandbox) -> None:
    sandbox.switch(numbers="text")
    ended = cli("apply", "app")
    assert ended.code == 0, ended.err
    assert cli("plan", "app", "--exit-code").code == 0
    _edit(app, "parameters.py", "640", "641")
    assert cli("plan", "app", "--bump", "patch", "--exit-code").code == 10


def test_a_huge_float_is_sent_as_it_is(app: Path, cli: Cli, sandbox: Sandbox) -> None:
    _edit(app, "parameters.py", '"size": self.size', '"size": 1e30')
    ended = cli("apply", "app")
    assert ended.code == 0, ended.err
    assert cli("plan", "app", "--exit-code").code == 0


@pytest.mark.parametrize(
    "tamper",
    [
        {"asked": {}},
        {"asked": []},
        {"asked": {"bump": "bogus"}},
        {"stack": {"environment": 3}},
        {"steps": 3},
        {"surprise": True},
    ],
)
def test_a_tampered_plan_is_refused_in_one_message(tamper: dict[str, object], app: Path, cli: Cli) -> None:
    assert cli("plan", "app", "--out", "plan.json").code == 0
    document = json.loads((cli.folder / "plan.json").read_text())
    for key, value in tamper.items():
        inside = isinstance(value, dict) and value and isinstance(document.get(key), dict)
        document[key] = {**document[key], **value} if inside else value
    (cli.folder / "plan.json").write_text(json.dumps(document))

    ended = cli("apply", "--plan", "plan.json")

    assert ended.code == 1
    assert "the file is not a usable plan" in ended.err
    assert "Traceback" not in ended.err


def test_several_plans_are_one_document(app: Path, cli: Cli) -> None:
    assert json.loads(cli("plan", "--all", "--json").out)["format"] == "reconciler/plans"
    assert json.loads(cli("plan", "app", "--json").out)["format"] == "reconciler/plan"


def test_an_unknown_address_is_a_mistake(app: Path, cli: Cli) -> None:
    for option in ("--target", "--replace", "--ours"):
        ended = cli("plan", "app", option, "processing/nosuch")
        assert ended.code == 1
        assert "no resource is called processing/nosuch" in ended.err


def test_default_inputs_of_a_new_processing_are_not_kept(app: Path, cli: Cli, sandbox: Sandbox) -> None:
    sandbox.switch(legacy_inputs=True)
    assert cli("apply", "app").code == 0
    assert {found["name"] for found in sandbox.platform.inputs("app")} == {"dataset", "title"}
    assert cli("plan", "app", "--exit-code").code == 0


def test_two_custom_platforms_do_not_share_state(
    app: Path, cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("apply", "app").code == 0
    monkeypatch.setenv("PICSELLIA_CUSTOM_ENV", sandbox.url.replace("127.0.0.1", "localhost"))

    document = json.loads(cli("plan", "app", "--json").out)

    assert {step["action"] for step in document["steps"]} == {"adopt"}, "nothing is recorded of this one"


def test_a_version_of_a_colleague_is_skipped(
    app: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("apply", "app").code == 0
    config = (app / "config.toml").read_bytes()
    (app / "pipeline.py").write_text("print('theirs')\n")
    assert cli("apply", "app", "--bump", "patch").code == 0  # the colleague has not committed 1.0.1

    (app / "config.toml").write_bytes(config)
    (app / "pipeline.py").write_text("print('mine')\n")
    monkeypatch.setenv("RECONCILER_STATE", str(tmp_path / "mine.db"))
    ended = cli("apply", "app", "--bump", "patch")

    assert ended.code == 0, ended.err
    assert re.search(r"1\.0\.1 of \S+ is published from other source, so this becomes 1\.0\.2", ended.err)
    assert 'version = "1.0.2"' in (app / "config.toml").read_text()

    (app / "config.toml").write_bytes(config)
    (app / "pipeline.py").write_text("print('mine again')\n")
    monkeypatch.setenv("RECONCILER_STATE", str(tmp_path / "again.db"))
    ended = cli("plan", "app", "--bump", "patch")
    assert re.search(r"1\.0\.1, 1\.0\.2 of \S+ are published from other source", ended.err), ended.err


def test_the_plan_is_printed_before_its_steps(app: Path, cli: Cli, tmp_path: Path) -> None:
    assert cli("apply", "app").code == 0
    (tmp_path / "state.db").unlink()
    ended = cli("apply", "app")
    assert "adopt" in ended.out
    assert ended.out.index("Plan:") < ended.out.index("Done:")


def test_status_shows_other_pipelines_beside_a_broken_one(app: Path, cli: Cli) -> None:
    folders.processing(cli.folder / "broken", "team/broken").joinpath("config.toml").write_text("oops")

    ended = cli("status", "--all", "--offline")

    assert ended.code == 1
    assert "app  " in ended.out
    assert ended.err.count("config.toml is not valid TOML") == 1


def test_status_fails_without_a_platform(app: Path, cli: Cli, sandbox: Sandbox) -> None:
    sandbox.fail("GET", "^/api", 403)

    ended = cli("status", "app")

    assert ended.code == 13
    assert "in sync" not in ended.out
    assert cli("status", "app", "--offline").code == 0


def test_a_pipeline_is_found_by_its_name_in_one_environment(app: Path, cli: Cli) -> None:
    _edit(app, "config.toml", 'name = "app"\n', "")
    with (app / "config.toml").open("a") as config:
        config.write('\n[reconciler.env.CUSTOM.metadata]\nname = "app-of-mine"\n')

    assert cli("apply", "app-of-mine").code == 0
    assert "app-of-mine" in cli("status", "app-of-mine").out


def test_rollback_skips_a_failed_run(app: Path, cli: Cli, sandbox: Sandbox) -> None:
    assert cli("apply", "app").code == 0
    _edit(app, "parameters.py", "640", "641")
    sandbox.fail("PATCH", "^/api", 400, times=1)
    assert cli("apply", "app", "--bump", "patch").code == 1
    _edit(app, "parameters.py", "641", "642")
    assert cli("apply", "app", "--bump", "patch").code == 0

    ended = cli("rollback", "app", "--yes")

    assert "rolling back to version 1.0.0" in ended.err
    assert cli("rollback", "app", "--to", "1.0.1").code == 1


@pytest.mark.parametrize("option", [[], ["--to", "1.0.0"]], ids=str)
def test_an_interrupted_rollback_is_finished_by_the_next_one(
    app: Path, cli: Cli, sandbox: Sandbox, option: list[str]
) -> None:
    """It never restores the version that the rollback was leaving."""
    assert cli("apply", "app").code == 0
    _edit(app, "parameters.py", "640", "641")
    assert cli("apply", "app", "--bump", "patch").code == 0
    sandbox.fail("PATCH", "^/api", 400, times=1)
    assert cli("rollback", "app", *option, "--yes").code == 1

    ended = cli("rollback", "app", "--yes")

    assert ended.code == 0, ended.err
    assert "rolling back to version 1.0.0" in ended.err
    assert sandbox.platform.processing("app")["default_parameters"]["size"] == 640
    back = cli("rollback", "app", "--yes")
    assert back.code == 1 and "before 1.0.0" in back.err, "nothing ran before it"
    forward = cli("rollback", "app", "--to", "1.0.1", "--yes")
    assert "rolling back to version 1.0.1" in forward.err, "from one that is finished, as ever"


def test_rollback_to_state_without_an_image_is_refused(app: Path, cli: Cli, sandbox: Sandbox) -> None:
    """The image ran, and only the state lacked it."""
    assert cli("apply", "app").code == 0
    assert cli("state", "forget", stack_of("app"), f"image/{sandbox.registry}/team/app", "--yes").code == 0
    (last,) = json.loads(cli("state", "history", stack_of("app"), "--limit", "1", "--json").out)["saves"]
    assert cli("apply", "app").code == 0

    assert "nothing ran on" in cli("rollback", "app", "--yes").err
    ended = cli("rollback", "app", "--to", str(last["serial"]), "--yes")

    said = " ".join(ended.err.split())
    assert ended.code == 1
    assert f"run {last['serial']} of {stack_of('app')} left a state without all that ran" in said


def test_rollback_to_nothing_is_refused(app: Path, cli: Cli) -> None:
    assert cli("apply", "app").code == 0
    assert cli("destroy", "app", "--yes").code == 0
    (last,) = json.loads(cli("state", "history", stack_of("app"), "--limit", "1", "--json").out)["saves"]

    ended = cli("rollback", "app", "--to", str(last["serial"]), "--yes")

    assert ended.code == 1
    assert f"run {last['serial']} of {stack_of('app')} left no resources" in ended.err
    assert cli("rollback", "app", "--yes").code == 0


def test_a_slash_in_a_pipelines_name(app: Path, cli: Cli, sandbox: Sandbox) -> None:
    _edit(app, "config.toml", 'name = "app"', 'name = "team/app"')
    assert cli("apply", "team/app").code == 0

    (line,) = cli("status", "app", "--offline").out.splitlines()[1:]

    assert line.split()[:3] == ["team/app", "(app)", stack_of("")[:-1]]
