"""A change of the inputs is compared with what callers see; `contract` says what a breaking one needs."""

import json
from pathlib import Path
from typing import Any

import pytest

from providers.sandbox import Sandbox
from tests.conftest import Cli, copy_example, training

APP = "dataset_cleanup"
OPTIONAL_TEXT = 'self.define_input(name="report_title", input_type=ProcessingInputType.TEXT, required=False)'
SAMPLE = 'self.define_input(name="sample_size", input_type=ProcessingInputType.NUMBER)'


@pytest.fixture
def folder(cli: Cli, sandbox: Sandbox) -> Path:
    return copy_example(APP, cli.folder, sandbox.registry)


def setting(folder: Path, policy: str) -> None:
    config = folder / "config.toml"
    config.write_text(f'{config.read_text()}\n[reconciler]\ncontract = "{policy}"\n')


def edit(folder: Path, old: str, new: str) -> None:
    inputs = folder / "utils" / "inputs.py"
    text = inputs.read_text()
    assert old in text
    inputs.write_text(text.replace(old, new))


def break_it(folder: Path) -> None:
    """Require an input that was optional."""
    edit(folder, OPTIONAL_TEXT, OPTIONAL_TEXT.replace(", required=False", ""))


def planned(cli: Cli, *options: str) -> Any:
    ended = cli("plan", APP, "--json", "--exit-code", *options)
    return json.loads(ended.out)


def changes(document: Any) -> dict[str, tuple[str, str]]:
    return {one["input"]: (one["effect"], one["reason_code"]) for one in document["contract"]}


def refusals(document: Any) -> list[Any]:
    found = [step["refusal"] for step in document["steps"] if step["refusal"]]
    return [one for one in found if one["reason_code"] == "breaks-callers"]


def test_a_first_apply_changes_nothing_for_anybody(folder: Path, cli: Cli) -> None:
    assert planned(cli)["contract"] == []


def test_each_change_is_in_the_plan_with_its_place(folder: Path, cli: Cli) -> None:
    assert cli("apply", APP).code == 0
    break_it(folder)
    edit(folder, SAMPLE, SAMPLE.replace("sample_size", "size").replace(")", ", required=False)"))

    document = planned(cli, "--bump", "patch")

    assert changes(document) == {
        "report_title": ("breaking", "input-now-required"),
        "sample_size": ("breaking", "input-removed"),
        "size": ("compatible", "optional-input-added"),
    }
    lines = (folder / "utils" / "inputs.py").read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if '"size"' in text)
    (place,) = [one["place"] for one in document["contract"] if one["input"] == "size"]
    assert place == f"{APP}/utils/inputs.py:{line}"
    assert refusals(document) == [], "the default only shows it"


def test_it_is_compared_with_what_is_live(folder: Path, cli: Cli, sandbox: Sandbox) -> None:
    assert cli("apply", APP).code == 0
    sandbox.platform.edit_input(APP, "report_title", required=True)

    assert changes(planned(cli)) == {"report_title": ("compatible", "input-now-optional")}


def test_what_a_target_leaves_out_is_not_changed(folder: Path, cli: Cli, sandbox: Sandbox) -> None:
    assert cli("apply", APP).code == 0
    sandbox.platform.edit_input(APP, "report_title", required=True)

    assert planned(cli)["contract"] != []
    assert planned(cli, "--target", f"input/{APP}/archive")["contract"] == []


def test_a_target_that_publishes_the_image_changes_what_callers_get(folder: Path, cli: Cli) -> None:
    assert cli("apply", APP).code == 0
    break_it(folder)

    document = planned(cli, "--bump", "patch", "--target", f"input/{APP}/archive")

    assert changes(document) == {"report_title": ("breaking", "input-now-required")}


def test_a_training_has_no_contract(cli: Cli, sandbox: Sandbox) -> None:
    training(cli.folder / "clip" / "training", "clip", sandbox.registry)
    assert cli("apply", "training", "--yes").code == 0

    assert json.loads(cli("plan", "training", "--json").out)["contract"] == []


def test_off_says_nothing(folder: Path, cli: Cli) -> None:
    setting(folder, "off")
    assert cli("apply", APP).code == 0
    break_it(folder)

    assert planned(cli, "--bump", "patch")["contract"] == []


def test_major_refuses_a_lower_bump_with_the_command_to_run(folder: Path, cli: Cli) -> None:
    setting(folder, "major")
    assert cli("apply", APP).code == 0
    break_it(folder)

    ended = cli("apply", APP, "--bump", "minor", "--yes")

    assert ended.code == 12
    line = (folder / "config.toml").read_text().splitlines().index('contract = "major"') + 1
    assert f"{APP}/config.toml:{line} demands a major version" in ended.err
    assert "1.1.0 follows 1.0.0" in ended.err
    (command,) = [text.split(":  ")[1] for text in ended.err.splitlines() if "--bump major" in text]
    assert cli(*command.split()[1:], "--yes").code == 0
    assert planned(cli)["contract"] == []


@pytest.mark.parametrize("kind", ["image", "processing", "input", "--stack"])
def test_major_holds_after_a_repair_of_the_state(folder: Path, cli: Cli, kind: str) -> None:
    setting(folder, "major")
    assert cli("apply", APP).code == 0
    break_it(folder)
    steps = planned(cli)["steps"]
    name = f"input/{APP}/report_title"
    address = (
        name
        if kind == "input"
        else next((one["address"] for one in steps if one["address"].startswith(f"{kind}/")), "")
    )
    what = ("--stack", APP) if kind == "--stack" else (APP, address)
    assert cli("state", "forget", *what, "--yes").code == 0

    ended = cli("apply", APP, "--bump", "minor", "--yes")

    assert ended.code == 12
    assert "1.1.0 follows 1.0.0" in ended.err


@pytest.mark.parametrize("verb", ["plan", "apply"])
def test_major_holds_for_every_selection_of_targets(
    folder: Path, cli: Cli, sandbox: Sandbox, verb: str
) -> None:
    setting(folder, "major")
    assert cli("apply", APP).code == 0
    break_it(folder)
    addresses = [step["address"] for step in planned(cli, "--bump", "patch")["steps"]]
    assert {address.partition("/")[0] for address in addresses} >= {"image", "processing", "input"}
    sandbox.clear_requests()

    for address in addresses:
        options = ("--bump", "patch", "--target", address)
        if verb == "plan":
            assert refusals(planned(cli, *options)), address
        else:
            assert cli("apply", APP, "--yes", *options).code == 12, address

    assert sandbox.writes() == []
    assert cli("apply", APP, "--yes", "--bump", "major", "--target", addresses[0]).code == 0


def test_an_interrupted_major_version_is_completed(folder: Path, cli: Cli, sandbox: Sandbox) -> None:
    """The image is published and its version recorded, the input is not changed yet."""
    setting(folder, "major")
    assert cli("apply", APP).code == 0
    break_it(folder)
    sandbox.fail("PUT", "/inputs/report_title", 422)
    assert cli("apply", APP, "--bump", "major", "--yes").code == 1

    ended = cli("apply", APP, "--bump", "major", "--yes")

    assert ended.code == 0, ended.err
    assert changes(planned(cli)) == {}


def test_an_interrupted_first_apply_is_completed(folder: Path, cli: Cli, sandbox: Sandbox) -> None:
    setting(folder, "major")
    sandbox.fail("POST", "/inputs", 422)
    assert cli("apply", APP, "--yes").code == 1

    ended = cli("apply", APP, "--yes")

    assert ended.code == 0, ended.err


def test_a_change_made_outside_is_undone_without_a_new_version(
    folder: Path, cli: Cli, sandbox: Sandbox
) -> None:
    setting(folder, "major")
    assert cli("apply", APP).code == 0
    sandbox.platform.edit_input(APP, "sample_size", required=False)

    assert changes(planned(cli)) == {"sample_size": ("breaking", "input-now-required")}
    assert cli("apply", APP, "--yes").code == 0


def test_a_lost_state_takes_the_version_of_the_image(
    folder: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting(folder, "major")
    assert cli("apply", APP).code == 0
    break_it(folder)
    monkeypatch.setenv("RECONCILER_STATE", str(tmp_path / "empty.db"))

    assert len(refusals(planned(cli, "--bump", "minor"))) == 1
    assert refusals(planned(cli, "--bump", "major")) == []


def test_a_published_source_needs_a_forced_bump(folder: Path, cli: Cli) -> None:
    """The setting is stricter than when this source was published, in another environment for example."""
    assert cli("apply", APP).code == 0
    break_it(folder)
    image = next(step["address"] for step in planned(cli)["steps"] if step["kind"] == "image")
    assert cli("apply", APP, "--bump", "patch", "--yes", "--target", image).code == 0
    setting(folder, "major")

    (refusal,) = refusals(planned(cli))

    assert "--bump major --force-bump" in refusal["ways_out"][0]["command"]


def test_the_default_of_a_workspace_counts_with_its_line(folder: Path, cli: Cli) -> None:
    (cli.folder / "reconciler.toml").write_text('[workspace]\n\n[defaults]\ncontract = "major"\n')
    assert cli("apply", APP).code == 0
    break_it(folder)

    (refusal,) = refusals(planned(cli, "--bump", "patch"))

    assert refusal["reason_details"]["place"] == "reconciler.toml:4"


def test_another_word_is_an_error_with_its_line(folder: Path, cli: Cli) -> None:
    setting(folder, "mayor")

    ended = cli("validate", APP)

    assert ended.code == 1
    assert "reconciler.contract must be 'major', 'warn' or 'off'" in ended.err
    assert "did you mean 'major'" in ended.err.lower()


def shown(cli: Cli, *arguments: str) -> Any:
    return json.loads(cli("contract", APP, *arguments, "--json").out)


def release(folder: Path, cli: Cli) -> None:
    """1.0.0, and 2.0.0 with an input that is required now."""
    assert cli("apply", APP, "--yes").code == 0
    break_it(folder)
    assert cli("apply", APP, "--bump", "major", "--yes").code == 0


def test_the_command_shows_the_inputs_in_the_files(folder: Path, cli: Cli) -> None:
    found = shown(cli)

    assert (found["before"], found["changes"]) == (None, [])
    assert found["after"]["version"] == "1.0.0"
    assert found["after"]["inputs"]["dataset"] == {
        "input_type": "DATASET_VERSION",
        "required": True,
        "inference_type_constraint": "OBJECT_DETECTION",
        "framework_constraint": None,
    }
    lines = cli("contract", APP).out.splitlines()
    assert lines[0] == f"{APP}  1.0.0 in the files"
    assert "  embedding_model  MODEL_VERSION    optional  any               ONNX" in lines


def test_versions_are_compared_by_the_state(folder: Path, cli: Cli) -> None:
    release(folder, cli)

    found = shown(cli, "1.0.0", "2.0.0")

    assert (found["before"]["source"], found["after"]["source"]) == ("state", "state")
    assert changes({"contract": found["changes"]}) == {"report_title": ("breaking", "input-now-required")}
    back = shown(cli, "2.0.0", "1.0.0")
    assert changes({"contract": back["changes"]}) == {"report_title": ("compatible", "input-now-optional")}
    assert shown(cli, found["before"]["reference"])["changes"] == found["changes"], "a serial, and the files"


def test_versions_are_compared_by_the_labels_of_images(
    folder: Path, cli: Cli, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release(folder, cli)
    by_state = shown(cli, "1.0.0", "2.0.0")
    monkeypatch.setenv("RECONCILER_STATE", str(tmp_path / "empty.db"))

    by_image = shown(cli, "1.0.0", "2.0.0")

    assert (by_image["before"]["source"], by_image["after"]["source"]) == ("image", "image")
    assert by_image["before"]["version"] == "1.0.0"
    for side in ("before", "after"):
        assert by_image[side]["inputs"] == by_state[side]["inputs"]
    assert by_image["changes"] == by_state["changes"]
    assert shown(cli, by_image["before"]["reference"])["changes"] == by_state["changes"], "a digest"


@pytest.mark.parametrize(("arguments", "code"), [(("1.0.0",), 12), (("2.0.0", "1.0.0"), 10), (("2.0.0",), 0)])
def test_the_exit_code_says_whether_a_change_is_breaking(
    folder: Path, cli: Cli, arguments: tuple[str, ...], code: int
) -> None:
    release(folder, cli)

    assert cli("contract", APP, *arguments).code == 0
    assert cli("contract", APP, *arguments, "--exit-code").code == code


def test_the_label_is_the_same_for_the_same_source(folder: Path, cli: Cli, sandbox: Sandbox) -> None:
    """An image that is built again has the same digest, and a comment in the class no other contract."""
    release(folder, cli)
    before = shown(cli, "2.0.0")["after"]["inputs"]
    edit(folder, SAMPLE, f"{SAMPLE}  # a comment")
    assert cli("apply", APP, "--bump", "patch", "--yes").code == 0

    assert shown(cli, "2.0.1")["after"]["inputs"] == before
    assert shown(cli, "2.0.0", "2.0.1")["changes"] == []


def test_an_unknown_version_is_an_error(folder: Path, cli: Cli) -> None:
    release(folder, cli)

    ended = cli("contract", APP, "3.0.0")

    assert ended.code == 1
    assert f"neither the state nor the registry has 3.0.0 of {APP}" in ended.err
    assert "reconciler state history" in ended.err


def test_an_image_without_the_label_is_an_error(
    folder: Path, cli: Cli, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.core.contract.LONGEST_TEXT", 10)
    assert cli("apply", APP, "--yes").code == 0
    monkeypatch.setenv("RECONCILER_STATE", str(tmp_path / "empty.db"))

    ended = cli("contract", APP, "1.0.0")

    assert ended.code == 1
    assert "does not say its contract" in ended.err


def test_a_registry_that_does_not_answer_is_13(
    folder: Path, cli: Cli, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("apply", APP, "--yes").code == 0
    monkeypatch.setenv("RECONCILER_STATE", str(tmp_path / "empty.db"))
    sandbox.fail("GET", "/manifests/1.0.0", 403)

    assert cli("contract", APP, "1.0.0").code == 1
    sandbox.fail("GET", "/manifests/1.0.0", 403)
    assert cli("contract", APP, "1.0.0", "--exit-code").code == 13


def test_a_training_is_an_error_with_its_line(cli: Cli, sandbox: Sandbox) -> None:
    training(cli.folder / "clip" / "training", "clip", sandbox.registry)

    ended = cli("contract", "training")

    assert ended.code == 1
    assert "a training has no inputs" in ended.err and "config.toml:" in ended.err
