"""Description, labels and environment of a model version come from config.toml, and never hold secrets."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from providers.sandbox import Sandbox
from tests.conftest import Cli, copy_example

APP, VERSION = "single_training", "model-version/DefectClassifier/v1"
TOKEN = "hf_" + "aB3dE6gH9j" * 3 + "kLmN"
TABLES = """\
description = "Finds scratches."

[model_version.labels]
0 = "scratch"
1 = "dent"

[model_version.env]
DATA_LAKE = "default"
WORKERS = "4"
"""
GIVEN = {
    "description": "Finds scratches.",
    "labels": {"0": "scratch", "1": "dent"},
    "docker_env_variables": {"DATA_LAKE": "default", "WORKERS": "4"},
}


@pytest.fixture
def folder(cli: Cli, sandbox: Sandbox) -> Path:
    return copy_example(APP, cli.folder, sandbox.registry)


def say(folder: Path, tables: str, after: str = 'inference_type = "CLASSIFICATION"\n') -> Path:
    config = folder / "config.toml"
    text = config.read_text()
    assert text.count(after) == 1
    config.write_text(text.replace(after, after + tables))
    return config


def live(sandbox: Sandbox) -> dict[str, Any]:
    version = sandbox.platform.version("DefectClassifier", "v1")
    assert version is not None
    return {name: version[name] for name in GIVEN}


def findings(cli: Cli, *options: str) -> dict[str, tuple[str, Any]]:
    document = json.loads(cli("drift", APP, "--json", "-", *options).out)
    return {
        f"{found['field']}": (found["class"], found["live"])
        for stack in document["stacks"]
        for found in stack["findings"]
    }


def test_set_fields_are_applied_and_others_are_not_managed(cli: Cli, sandbox: Sandbox, folder: Path) -> None:
    assert cli("apply", APP).code == 0
    assert live(sandbox) == dict.fromkeys(GIVEN)
    assert all(f"{name}" not in cli("plan", APP).out for name in GIVEN)

    say(folder, TABLES)
    planned = cli("plan", APP)
    assert "docker_env_variables.WORKERS" in planned.out and "--bump" not in planned.out + planned.err
    assert cli("apply", APP).code == 0
    assert live(sandbox) == GIVEN
    assert "Nothing to do" in cli("plan", APP).out

    config = folder / "config.toml"
    config.write_text(config.read_text().replace(TABLES, 'description = ""\n'))
    assert cli("apply", APP).code == 0
    assert live(sandbox) == {**GIVEN, "description": ""}


def test_an_outside_change_is_found_and_adopted(cli: Cli, sandbox: Sandbox, folder: Path) -> None:
    config = say(folder, TABLES)
    assert cli("apply", APP).code == 0
    changed = {
        "description": "Finds scratches and dents.",
        "labels": {"0": "scratch", "2": "hole"},
        "docker_env_variables": {"DATA_LAKE": "second", "WORKERS": "4", "DEBUG": "1"},
    }
    sandbox.platform.edit_version("DefectClassifier", "v1", **changed)

    assert set(findings(cli)) == {
        *("description", "labels.1", "labels.2"),
        *("docker_env_variables.DATA_LAKE", "docker_env_variables.DEBUG"),
    }
    adopted = cli("adopt", APP)
    assert (adopted.code, adopted.out) == (0, ""), adopted.err
    assert findings(cli) == {}
    text = config.read_text()
    assert '[model_version.labels]\n0 = "scratch"\n2 = "hole"\n' in text
    assert '[model_version.env]\nDATA_LAKE = "second"\nWORKERS = "4"\nDEBUG = "1"\n' in text
    assert cli("apply", APP).code == 0
    assert live(sandbox) == changed


DOTTED = """\
description = "Finds scratches."
labels.0 = "scratch"  # the first
labels.1 = 'dent'
env.WORKERS="4"
"""


def test_what_is_emptied_outside_is_emptied_in_dotted_keys(cli: Cli, sandbox: Sandbox, folder: Path) -> None:
    config = say(folder, DOTTED)
    assert cli("apply", APP).code == 0
    emptied = {"description": "", "labels": {}, "docker_env_variables": {}}
    sandbox.platform.edit_version("DefectClassifier", "v1", **emptied)

    adopted = cli("adopt", APP)
    assert (adopted.code, adopted.out) == (0, ""), adopted.err
    assert findings(cli) == {}
    assert 'description = ""\nlabels = {}\nenv={}\n' in config.read_text()


def test_a_form_that_cannot_be_edited_is_named_with_its_line(
    cli: Cli, sandbox: Sandbox, folder: Path
) -> None:
    own = 'model_version = { labels.0 = "scratch", labels.1 = "dent" }\n'
    config = say(folder, f"\n[reconciler.env.CUSTOM]\n{own}", 'entrypoint = ["python", "pipeline.py"]\n')
    assert cli("apply", APP).code == 0
    sandbox.platform.edit_version("DefectClassifier", "v1", labels={"0": "scratch"})

    before = config.read_text()
    line = before.splitlines().index(own.rstrip()) + 1
    adopted = cli("adopt", APP)
    assert adopted.code == 1
    assert adopted.err.startswith("error: config.toml needs an edit by hand\n"), adopted.err
    assert f"{APP}/config.toml:{line}  {VERSION}\n" in adopted.err
    assert "model_version.labels.1" in adopted.err and "Nothing was written." in adopted.err
    assert config.read_text() == before


def test_one_environment_has_values_of_its_own(cli: Cli, sandbox: Sandbox, folder: Path) -> None:
    say(folder, TABLES)
    say(
        folder,
        '\n[reconciler.env.CUSTOM.model_version.env]\nWORKERS = "16"\n',
        'entrypoint = ["python", "pipeline.py"]\n',
    )
    assert cli("apply", APP).code == 0
    assert live(sandbox)["docker_env_variables"] == {"DATA_LAKE": "default", "WORKERS": "16"}

    sandbox.platform.edit_version(
        "DefectClassifier", "v1", docker_env_variables={"DATA_LAKE": "x", "WORKERS": "8"}
    )
    assert cli("adopt", APP).code == 0
    text = (folder / "config.toml").read_text()
    assert 'DATA_LAKE = "x"\nWORKERS = "4"' in text
    assert '[reconciler.env.CUSTOM.model_version.env]\nWORKERS = "8"\n' in text
    assert findings(cli) == {}


def test_a_rollback_restores_the_applied_values(cli: Cli, sandbox: Sandbox, folder: Path) -> None:
    config = say(folder, TABLES)
    assert cli("apply", APP).code == 0
    config.write_text(
        config.read_text().replace('WORKERS = "4"\n', 'DEBUG = "1"\n').replace("scratches", "nothing")
    )
    assert cli("apply", APP).code == 0
    assert live(sandbox) != GIVEN

    back = cli("rollback", APP)
    assert back.code == 0, back.err
    assert live(sandbox) == GIVEN


@pytest.mark.parametrize(
    ("line", "where"),
    [
        (f'[model_version.env]\nNAME = "{TOKEN}"\n', "model_version.env.NAME"),
        ('[model_version.env]\nDB_PASSWORD = "correct-horse-battery"\n', "model_version.env.DB_PASSWORD"),
        (f'[model_version.labels]\n0 = "{TOKEN}"\n', "model_version.labels.0"),
        (f'\ndescription = "made with {TOKEN}"\n', "model_version.description"),
    ],
)
def test_a_secret_is_an_error_with_its_line_and_is_not_shown(
    line: str, where: str, cli: Cli, sandbox: Sandbox, folder: Path
) -> None:
    config = say(folder, line)
    number = config.read_text()[: config.read_text().index(line)].count("\n") + 2
    sandbox.clear_requests()
    ended = cli("apply", APP)
    assert ended.code == 1
    assert f"{where} looks like a secret" in ended.err
    assert f"config.toml:{number}" in ended.err
    assert TOKEN not in ended.out + ended.err and "correct-horse" not in ended.out + ended.err
    assert sandbox.writes() == []


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ("[model_version.env]\nWORKERS = 4\n", "model_version.env.WORKERS must be text, not 4"),
        ('[model_version.env]\n"MY-NAME" = "x"\n', "MY-NAME is not the name of an environment variable"),
        ('env = "A=b"\n', 'model_version.env must be a table, not "A=b"'),
        ("labels = []\n", "model_version.labels must be a table, not a list"),
        ("description = 4\n", "model_version.description must be text, not 4"),
        ('descriptoin = "x"\n', "Did you mean 'description'?"),
    ],
)
def test_an_invalid_value_is_reported_with_its_line(tables: str, words: str, cli: Cli, folder: Path) -> None:
    say(folder, tables)
    ended = cli("validate", APP)
    assert words in ended.err
    assert "config.toml:2" in ended.err


def test_a_secret_that_the_platform_has_is_neither_shown_nor_deleted_nor_written_into_a_file(
    cli: Cli, sandbox: Sandbox, folder: Path, tmp_path: Path
) -> None:
    config = say(folder, TABLES)
    assert cli("apply", APP).code == 0
    sandbox.platform.edit_version(
        "DefectClassifier",
        "v1",
        docker_env_variables={"DATA_LAKE": "default", "WORKERS": "8", "HF_TOKEN": TOKEN},
    )
    shown = "(a secret, not shown)"
    assert findings(cli)["docker_env_variables.HF_TOKEN"] == ("drift", shown)
    planned, refused, adopted, asked = (
        cli("plan", APP),
        cli("apply", APP, "--yes"),
        cli("adopt", APP),
        cli("adopt", APP, f"{VERSION}#docker_env_variables.HF_TOKEN"),
    )
    assert all(TOKEN not in ended.out + ended.err for ended in (planned, refused, adopted, asked))
    assert shown in planned.out
    assert refused.code == 1
    assert "a secret in the environment variable HF_TOKEN, which would be deleted" in refused.err
    assert adopted.code == 0, adopted.err
    assert asked.code == 1
    assert "Secrets do not belong in files" in asked.err
    assert live(sandbox)["docker_env_variables"]["HF_TOKEN"] == TOKEN
    assert 'WORKERS = "8"\n' in config.read_text() and "HF_TOKEN" not in config.read_text()

    say(
        folder,
        f'\n[reconciler.ignore_changes]\n"{VERSION}" = ["docker_env_variables.HF_TOKEN"]\n',
        'entrypoint = ["python", "pipeline.py"]\n',
    )
    config.write_text(config.read_text().replace('WORKERS = "8"', 'WORKERS = "2"'))
    done = cli("apply", APP, "--yes", "--ours")
    assert done.code == 0, done.err
    assert live(sandbox)["docker_env_variables"] == {
        "DATA_LAKE": "default",
        "WORKERS": "2",
        "HF_TOKEN": TOKEN,
    }
    assert "Nothing to do" in cli("plan", APP).out
    state = Path(os.environ["RECONCILER_STATE"])
    assert all(TOKEN.encode() not in file.read_bytes() for file in state.parent.glob("state.db*"))


# The model


def described(sandbox: Sandbox) -> str:
    model = sandbox.platform.model("DefectClassifier")
    assert model is not None
    return str(model["description"])


def test_the_description_of_a_model_is_managed_where_the_row_of_a_version_has_it(
    cli: Cli, sandbox: Sandbox, folder: Path
) -> None:
    assert cli("apply", APP).code == 0
    sandbox.platform.edit_model("DefectClassifier", description="A brand new model!")
    assert "Nothing to do" in cli("plan", APP).out

    config = say(folder, 'origin_description = "Finds defects."\n')
    assert "model/DefectClassifier" in cli("plan", APP).out
    assert cli("apply", APP).code == 0
    assert described(sandbox) == "Finds defects."

    sandbox.platform.edit_model("DefectClassifier", description="Finds all defects.")
    assert findings(cli) == {"description": ("drift", "Finds all defects.")}
    assert cli("adopt", APP).code == 0
    assert 'origin_description = "Finds all defects."\n' in config.read_text()
    assert findings(cli) == {}
    assert cli("apply", APP).code == 0
    config.write_text(config.read_text().replace("all defects", "every defect"))
    assert cli("apply", APP).code == 0
    assert cli("rollback", APP).code == 0
    assert described(sandbox) == "Finds all defects."


def test_two_rows_cannot_describe_one_model(cli: Cli, sandbox: Sandbox) -> None:
    folder = copy_example("multi_training", cli.folder, sandbox.registry)
    config = folder / "config.toml"
    row = 'framework = "ONNX"\ninference_type = "OBJECT_DETECTION"\n'
    assert config.read_text().count(row) == 2
    config.write_text(config.read_text().replace(row, f'{row}origin_description = "x"\n'))
    ended = cli("validate", "multi_training")
    assert ended.code == 1
    assert "origin_description is given twice for the model SiteDetector" in ended.err
    assert "config.toml:" in ended.err
