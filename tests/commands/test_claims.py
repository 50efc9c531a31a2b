"""Claims on the command line: duplicates found offline, documents, and options."""

import json
import re
import shutil
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from state.register import Register
from state.stores.sqlite import SqliteStore
from tests.conftest import Cli, copy_example, stack_of
from tests.schemas import valid

SECOND = ('name = "single_training"', 'name = "second"'), ("examples/single_training", "examples/second")
"""The edits that make a copy of the training another pipeline with the same model version."""


def edit(folder: Path, *pairs: tuple[str, str], file: str = "config.toml") -> None:
    text = (folder / file).read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    (folder / file).write_text(text)


@pytest.fixture
def training(cli: Cli, sandbox: Sandbox) -> Path:
    return copy_example("single_training", cli.folder, sandbox.registry)


@pytest.fixture
def cleanup(cli: Cli, sandbox: Sandbox) -> Path:
    return copy_example("dataset_cleanup", cli.folder, sandbox.registry)


def copied(folder: Path, name: str, *pairs: tuple[str, str]) -> Path:
    other = folder.with_name(name)
    shutil.copytree(folder, other)
    edit(other, *pairs)
    return other


def test_two_folders_with_one_processing_or_image_are_found_offline_with_both_lines(
    cli: Cli, cleanup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PICSELLIA_TOKEN")
    copied(cleanup, "second")
    ended = cli("validate", "--all")
    assert ended.code == 1
    assert "two pipelines declare processing/dataset_cleanup" in ended.err
    assert "two pipelines declare image/" in ended.err
    for line in (2, 14):
        assert f"{cleanup / 'config.toml'}:{line}" in ended.err
        assert f"second/config.toml:{line}" in ended.err
    edit(cleanup.with_name("second"), ('name = "dataset_cleanup"', 'name = "second"'))
    ended = cli("validate", "--all")
    assert "processing/" not in ended.err
    assert (ended.code, ended.err.count("two pipelines")) == (1, 1)
    edit(cleanup.with_name("second"), ("examples/dataset_cleanup", "examples/second"))
    assert cli("validate", "--all").code == 0


def test_two_folders_with_one_model_version_are_found(cli: Cli, training: Path) -> None:
    copied(training, "second", ("examples/single_training", "examples/second"))
    ended = cli("validate", "--all")
    assert ended.code == 1
    assert "two pipelines declare model-version/DefectClassifier/v1" in ended.err
    assert ended.err.count("two pipelines") == 1


def test_one_model_with_two_versions_is_shared(cli: Cli, training: Path) -> None:
    copied(training, "second", ("examples/single_training", "examples/second"), ('"v1"', '"v2"'))
    assert cli("validate", "--all").code == 0


def test_two_folders_with_one_stack_and_nothing_else_in_common_are_found(cli: Cli, cleanup: Path) -> None:
    stack = ("[reconciler.image]", '[reconciler]\nstack = "one"\n\n[reconciler.image]')
    edit(cleanup, stack)
    copied(
        cleanup, "second", ('name = "dataset_cleanup"', 'name = "second"'), ("/dataset_cleanup", "/second")
    )
    ended = cli("validate", "--all")
    assert ended.code == 1
    assert "two pipelines have the stack 'one'" in ended.err
    assert ended.err.count("two pipelines") == 1


def test_a_resource_that_two_pipelines_share_in_one_environment_only_is_found(
    cli: Cli, cleanup: Path
) -> None:
    second = copied(
        cleanup, "second", ('name = "dataset_cleanup"', 'name = "second"'), ("/dataset_cleanup", "/second")
    )
    assert cli("validate", "--all").code == 0
    with (second / "config.toml").open("a") as file:
        file.write('\n[reconciler.env.STAGING.metadata]\nname = "dataset_cleanup"\n')
    ended = cli("validate", "--all")
    assert ended.code == 1
    assert "two pipelines declare processing/dataset_cleanup" in ended.err


@pytest.mark.parametrize(
    "fault",
    [
        ("description = ", "description = [] # "),
        ("version = ", "version = [] # "),
        ("[docker]", "[docker]\nshiny = 1"),
        ("[reconciler.image]", "[reconciler.imag]"),
        ("utils/", "gone/"),
    ],
    ids=lambda fault: fault[0],
)
@pytest.mark.parametrize("kind", ["training", "cleanup"])
def test_other_errors_hide_no_duplicate(
    cli: Cli, request: pytest.FixtureRequest, kind: str, fault: tuple[str, str]
) -> None:
    folder: Path = request.getfixturevalue(kind)
    second = copied(folder, "second")
    clean = cli("validate", "--all").err
    expected = re.findall("two pipelines declare (.*)", clean)
    assert len(expected) == 2
    for faulty in (folder, second):
        edit(faulty, fault)
    ended = cli("validate", "--all")
    assert ended.code == 1
    assert re.findall("two pipelines declare (.*)", ended.err) == expected
    if "[" not in fault[0]:  # the lines are still the same
        assert ended.err.endswith(clean[clean.index("error: two pipelines") :])


def test_trainings_of_one_name_and_pipelines_without_an_image_name_are_no_duplicates(
    cli: Cli, training: Path
) -> None:
    other = copied(training, "second", ("examples/single_training", "examples/second"), ('"v1"', '"v2"'))
    third = copied(other, "third", ('"v2"', '"v3"'), ('image_name = "', 'image_name = "" # "'))
    copied(third, "fourth", ('"v3"', '"v4"'))
    assert "two pipelines" not in cli("validate", "--all").err


@pytest.mark.parametrize(
    ("one", "other", "address"),
    [
        ("team/app", "docker.io/team/app", "image/team/app"),
        ("index.docker.io/team/app", "docker.io/team/app", "image/team/app"),
        ("app", "library/app", "image/app"),
        ("docker.io/library/app", "index.docker.io/app", "image/app"),
    ],
)
def test_one_repository_under_two_names_is_found(
    cli: Cli, training: Path, one: str, other: str, address: str
) -> None:
    text = (training / "config.toml").read_text()
    [image] = re.findall(r'image_name = "(.*)"', text)
    copied(training, "second", (image, other), ('"v1"', '"v2"'))
    edit(training, (image, one))
    ended = cli("validate", "--all")
    assert (ended.code, ended.err.count("two pipelines")) == (1, 1), ended.err
    assert f"two pipelines declare {address}\n" in ended.err
    names = {row["stack"] for row in json.loads(cli("list", "--json").out)["pipelines"]}
    assert names == {address.removeprefix("image/")}
    assert cli("list", other, "--json").code == 1, "the name selects both"


def test_documents_have_the_code_the_stacks_and_the_ways_out(cli: Cli, training: Path) -> None:
    copied(training, "second", *SECOND)
    assert cli("apply", "single_training", "--yes").code == 0
    planned = cli("plan", "second", "--json", "--exit-code")
    assert planned.code == 12
    (step,) = [step for step in json.loads(planned.out)["steps"] if step["refusal"]]
    assert step["address"] == "model-version/DefectClassifier/v1"
    refusal = step["refusal"]
    assert refusal["reason_code"] == "claimed"
    assert refusal["reason_details"]["declared_there"] == "single_training/config.toml:18"
    assert [way["code"] for way in refusal["ways_out"]] == ["take", "declare-another"]
    listed = json.loads(cli("state", "claims", "--json").out)
    assert (listed["format"], listed["version"]) == ("reconciler/claims", 1)
    (scope,) = listed["scopes"]
    assert [*scope["claims"]] == [
        address for address in scope["claims"] if address.startswith(("image/", "model-version/"))
    ]
    assert cli("drift", "second", "--json", "-").code == 12


def test_a_saved_plan_keeps_what_it_takes(cli: Cli, training: Path, tmp_path: Path) -> None:
    copied(training, "second", *SECOND)
    assert cli("apply", "single_training", "--yes").code == 0
    saved, version = tmp_path / "saved.json", "model-version/DefectClassifier/v1"
    assert cli("plan", "second", "--take", version, "--out", str(saved)).code == 0
    assert cli("apply", "--plan", str(saved)).code == 0
    assert cli("plan", "single_training", "--exit-code").code == 12


def test_adopt_leaves_what_another_pipeline_claims_unless_it_is_taken(cli: Cli, training: Path) -> None:
    second = copied(training, "second", *SECOND)
    edit(second, ('framework = "PYTORCH"', 'framework = "ONNX"'))
    assert cli("apply", "single_training", "--yes").code == 0
    refused = cli("adopt", "second", "--yes")
    assert (refused.code, "has claimed it since" in refused.err) == (12, True)
    assert 'framework = "ONNX"' in (second / "config.toml").read_text()
    taken = "model-version/DefectClassifier/v1"
    assert cli("adopt", "second", f"{taken}#framework", "--take", taken, "--yes").code == 0
    assert 'framework = "PYTORCH"' in (second / "config.toml").read_text()


def test_an_address_to_take_that_is_no_resource_is_an_error(cli: Cli, cleanup: Path) -> None:
    ended = cli("plan", "dataset_cleanup", "--take", "processing/other")
    assert (ended.code, "no resource is called processing/other" in ended.err) == (1, True)


def test_a_rollback_takes_nothing_back_that_another_pipeline_took(cli: Cli, training: Path) -> None:
    copied(training, "second", *SECOND)
    assert cli("apply", "single_training", "--yes").code == 0
    edit(training, ('framework = "PYTORCH"', 'framework = "ONNX"'))
    assert cli("apply", "single_training", "--yes").code == 0
    assert cli("apply", "second", "--take", "model-version/DefectClassifier/v1", "--yes").code == 0
    assert cli("apply", "second").out.endswith("Nothing to do: 3 resources unchanged.\n")
    refused = cli("rollback", "single_training", "--yes")
    assert (refused.code, "has claimed it since" in refused.err) == (12, True)
    assert cli("apply", "second").out.endswith("Nothing to do: 3 resources unchanged.\n")


def test_a_claim_in_a_drift_report_follows_its_schema_and_is_one_finding(cli: Cli, training: Path) -> None:
    copied(training, "second", *SECOND)
    assert cli("apply", "single_training", "--yes").code == 0
    reported = cli("drift", "second", "--json", "-")
    document = json.loads(reported.out)
    valid(document, "drift")
    found = [one for stack in document["stacks"] for one in stack["findings"]]
    conflicts = [one for one in found if one["class"] == "conflict"]
    assert [(one["address"], one["reason_code"]) for one in conflicts] == [
        ("model-version/DefectClassifier/v1", "claimed")
    ]
    assert reported.code == 12


def test_commands_for_all_pipelines_read_the_register_once_and_do_not_save_it_without_a_change(
    cli: Cli, training: Path, cleanup: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, saves = list[str](), list[str]()
    load, save = SqliteStore.load_register, SqliteStore.save_register

    def counted(store: SqliteStore, scope: str) -> Register | None:
        reads.append(scope)
        return load(store, scope)

    def counted_save(store: SqliteStore, register: Register, *, expected_serial: int | None) -> Register:
        saves.append(register.scope)
        return save(store, register, expected_serial=expected_serial)

    monkeypatch.setattr(SqliteStore, "load_register", counted)
    monkeypatch.setattr(SqliteStore, "save_register", counted_save)
    assert cli("apply", "--all", "--yes").code == 0
    assert len(saves) == 4, (
        "each pipeline claims its resources before the first write, and adds ids after the last"
    )
    for command, expected in (  # each once for the claims, and once for the orphans
        (("plan", "--all"), 2),
        (("apply", "--all"), 1),
        (("drift", "--all"), 2),
    ):
        reads.clear()
        saves.clear()
        assert cli(*command).code == 0
        assert (len(reads), saves) == (expected, []), command
    monkeypatch.setenv("RECONCILER_STATE", str(cli.folder.parent / "colleague.db"))
    saves.clear()
    assert cli("apply", "--all", "--yes").code == 0
    assert len(saves) == 2, "a take-over knows the ids before"


def test_what_a_reconciler_without_claims_applied_is_not_taken_over(
    cli: Cli, cleanup: Path, sandbox: Sandbox
) -> None:
    """It can write to the same bucket. Its state shows what it manages."""
    assert cli("apply", cleanup.name, "--yes").code == 0
    with SqliteStore(cli.folder.parent / "state.db") as store:
        scope = stack_of("").rstrip("/")
        register = store.load_register(scope)
        assert register is not None
        store.save_register(Register(scope), expected_serial=register.serial)
    second = copied(cleanup, "second")
    with (second / "config.toml").open("a") as file:
        file.write('\n[reconciler]\nstack = "second"\n')
    edit(second, ("/dataset_cleanup", "/second"))
    shutil.rmtree(cleanup)
    sandbox.clear_requests()
    for arguments in (("plan", "second", "--exit-code"), ("apply", "second", "--yes")):
        ended = cli(*arguments)
        assert ended.code == 12
        assert f"{stack_of('dataset_cleanup')} has claimed it" in " ".join(ended.err.split()), ended.err
    assert sandbox.writes() == []
    assert cli("apply", "second", "--take", "processing/dataset_cleanup", "--yes").code == 0
    claims = [line.split()[:2] for line in cli("state", "claims").out.splitlines()]
    assert ["processing/dataset_cleanup", stack_of("second")] in claims
