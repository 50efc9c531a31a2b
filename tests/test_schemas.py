"""The published schemas: they are those of the code, and find what `validate` finds."""

import json
import random
import re
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pytest

from providers.sandbox import Sandbox
from reconciler.pipeline.config import read
from reconciler.schemas import NAMES, schema
from reconciler.schemas.editors import header, with_header
from tests.conftest import Cli, copy_example
from tests.pipeline import test_config
from tests.pipeline.conftest import PROCESSING, TRAINING
from tests.schemas import errors, valid
from tests.workspace.test_reader import MISTAKES, WHOLE

ROOT = Path(__file__).parents[1]
TAPLO = Path(sys.executable).with_name("taplo")
CONFIGS = sorted(ROOT.glob("examples/*/config.toml"))

# Errors that JSON Schema cannot express, each with the reason.
NOT_IN_CONFIG = {
    '"1.0" -> nan': "a number is a version by its spelling",
    '"1.0" -> 1979-05-27': "a date is a text, and this one could be a version",
    '"4" -> 4.0': "4.0 is an integer",
    "[reconciler.env.STAGIN.docker]\ncpu = 1\n": "reconciler.toml may declare it",
}
NOT_IN_WORKSPACE = {
    "another host for a known environment": "an address has many spellings",
    "a host without encryption": "an address has many spellings",
    "an organization with a login": "a login has many spellings",
    "an organization that is an address": "an address has many spellings",
    "a promotion from nowhere": "names another table",
    "an environment that follows itself": "names another table",
    "an environment that follows what its gate should keep out": "compares two tables",
    "the same environment twice": "compares two tables",
    "no TOML": "there is no document",
}


def of_toml(text: str) -> Any:
    """The document as an editor validates it: dates and times are texts."""

    def plain(value: Any) -> Any:
        match value:
            case dict():
                return {key: plain(one) for key, one in value.items()}
            case list():
                return [plain(one) for one in value]
            case date() | datetime() | time():
                return value.isoformat()
        return value

    return plain(tomllib.loads(text))


def cases(test: Any) -> list[tuple[Any, ...]]:
    """The parameters of a test of another module."""
    (mark,) = [mark for mark in test.pytestmark if mark.name == "parametrize"]
    found: list[tuple[Any, ...]] = list(mark.args[1])
    return found


def refused_configs() -> Mapping[str, str]:
    """Every config.toml with a mistake that the tests of its reader have, by a name."""
    found = {
        f"{old} -> {new}": test_config.replaced(PROCESSING, old, new)
        for old, new, *_ in cases(test_config.test_refused_in_a_processing_pipeline)
    }
    for targets, *_ in cases(test_config.test_refused_targets):
        found[targets] = test_config.UNTARGETED + targets
    for table, *_ in cases(test_config.test_our_own_table_is_strict):
        found[table] = f"{PROCESSING}\n{table}"
    for name in cases(test_config.test_a_name_that_looks_like_an_option_or_a_folder_is_refused):
        found[str(name)] = PROCESSING.replace('name = "cleanup"', f'name = "{name}"', 1)
    found["both"] = TRAINING + test_config.ROWS
    found["empty beside rows"] = (
        test_config.UNTARGETED + '[model_version]\norigin_name = ""\nname = ""\n' + test_config.ROWS
    )
    return found


REFUSED = refused_configs()


def test_the_schemas_of_toml_files_are_those_of_the_code(tmp_path: Path) -> None:
    """If not, run `scripts/schemas`."""
    subprocess.run([sys.executable, ROOT / "scripts" / "schemas", tmp_path], check=True, timeout=120)

    made = {path.name: path.read_text() for path in tmp_path.iterdir()}

    assert sorted(made) == ["config.schema.json", "workspace.schema.json"]
    for name, text in made.items():
        assert (ROOT / "reconciler" / "schemas" / name).read_text() == text


def test_every_schema_is_listed_and_complete() -> None:
    files = {path.name.partition(".")[0] for path in (ROOT / "reconciler" / "schemas").glob("*.json")}
    assert files == {*NAMES}
    for name in NAMES:
        found = schema(name)
        assert found["title"]
        for text in references(found):
            assert text.startswith("#/")
            at: Any = found
            for part in text.removeprefix("#/").split("/"):
                at = at[part]


WITHOUT_SCHEMA = {
    *("stacks", "record-diff", "forgotten", "moved", "claims", "unlocked", "verified", "copied"),
    *("dashboard", "register", "bucket"),  # files of its own
}
"""Formats of small documents, and of files that only reconciler reads."""


def test_every_document_has_a_schema() -> None:
    texts = (path.read_text() for room in ("reconciler", "state") for path in (ROOT / room).rglob("*.py"))
    formats = {name for text in texts for name in re.findall(r'"reconciler/([a-z-]+)"', text)}
    assert formats - WITHOUT_SCHEMA == {*NAMES} - {"config", "workspace"}


def references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [text for one in value for text in references(one)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
    return own + [text for one in value.values() for text in references(one)]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.parent.name)
def test_the_examples_are_valid(path: Path) -> None:
    valid(of_toml(path.read_text()), "config")


def test_a_whole_workspace_is_valid() -> None:
    valid(of_toml(WHOLE), "workspace")


@pytest.mark.parametrize("name", REFUSED)
def test_a_mistake_in_config_toml_is_one_for_its_schema(name: str) -> None:
    assert read(REFUSED[name], Path("config.toml")).config is None
    found = errors(of_toml(REFUSED[name]), "config")
    assert bool(found) != (name in NOT_IN_CONFIG), found


@pytest.mark.parametrize("name", [name for name in MISTAKES if name != "no TOML"])
def test_a_mistake_in_reconciler_toml_is_one_for_its_schema(name: str) -> None:
    found = errors(of_toml(MISTAKES[name][0]), "workspace")
    assert bool(found) != (name in NOT_IN_WORKSPACE), found


def test_the_exceptions_are_cases() -> None:
    assert NOT_IN_CONFIG.keys() <= REFUSED.keys()
    assert NOT_IN_WORKSPACE.keys() <= MISTAKES.keys()


@pytest.mark.parametrize("seed", range(60))
def test_a_config_toml_without_errors_has_none_in_an_editor(seed: int) -> None:
    """Unused tables may have any content: a processing has no model versions."""
    chance = random.Random(seed)
    whole = chance.choice([PROCESSING, TRAINING, test_config.UNTARGETED + test_config.ROWS])
    for _ in range(20):
        text = test_config.mutated(whole + '[reconciler]\npin = "version"\n', chance)
        if (config := read(text, Path("config.toml")).config) is not None:
            document = of_toml(text)
            for table in () if config.is_training else ("model_version", "model_versions"):
                document.pop(table, None)
            assert errors(document, "config") == [], text


# In an editor: Taplo is the engine of Even Better TOML


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("before", ["", "#:schema old.json", "# ours"])
def test_the_first_line_names_the_schema_once(before: str, mark: str, ends: str) -> None:
    lines = [before, "[metadata]", 'name = "x"', ""] if before else ["[metadata]", 'name = "x"', ""]
    line = header(Path("/repo/team/app/config.toml"), Path("/repo"), "config")

    text = with_header(mark + ends.join(lines), line)

    assert line == "#:schema ../../.config.reconciler-schema.json"
    kept = [one for one in lines if not one.startswith("#:")]
    assert text == mark + ends.join([line, *kept])
    assert with_header(text, line) == text


def test_linked_files_are_checked_by_the_editor_and_stay_in_sync(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not TAPLO.exists():
        pytest.skip("taplo is not installed; `make setup` installs it")
    folder = copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    for name in ("reconciler.toml", "dataset_cleanup/reconciler.toml"):  # above the pipeline, and in it
        (cli.folder / "dataset_cleanup" / "reconciler.toml").unlink(missing_ok=True)
        workspace = cli.folder / name
        workspace.write_text('[groups]\nall = ["**"]\n')
        monkeypatch.chdir(workspace.parent)
        assert cli("apply", str(folder), "--yes").code == 0

        ended = cli("schema", "--link")

        assert (ended.code, ended.err) == (0, "")
        assert "changed reconciler.toml" in ended.out
        assert cli("plan", str(folder), "--exit-code").code == 0, "the image has other source"
        again = cli("schema", "--link")
        assert {line.split()[0] for line in again.out.splitlines()} == {"unchanged"}
        assert taplo(workspace, folder / "config.toml") == ""
        workspace.unlink()

    config = folder / "config.toml"
    config.write_text(config.read_text().replace('builder = "append"', 'bilder = "append"'))
    monkeypatch.chdir(cli.folder)
    assert "'bilder' was unexpected" in taplo(config)


def test_a_new_pipeline_names_the_schema_that_the_workspace_has(cli: Cli) -> None:
    arguments = ("--type", "PRE_ANNOTATION", "--image", "team/app")
    assert cli("init", "before", *arguments).code == 0
    assert cli("schema", "--link").code == 0
    assert cli("init", "after", *arguments).code == 0

    line = "#:schema ../.config.reconciler-schema.json\n"
    texts = [(cli.folder / name / "config.toml").read_text() for name in ("before", "after")]
    assert texts[1].startswith(line)
    assert texts[0].replace("before", "after") == texts[1]
    valid(of_toml(texts[1]), "config")


def test_a_new_pipeline_has_no_line_for_editors_where_nobody_wants_one(cli: Cli) -> None:
    assert cli("init", "app", "--type", "PRE_ANNOTATION", "--image", "team/app").code == 0
    assert "#:schema" not in (cli.folder / "app" / "config.toml").read_text()
    assert not [*cli.folder.glob("**/*.reconciler-schema.json")]


def taplo(*files: Path) -> str:
    """What is wrong with these files; "" if nothing is."""
    done = subprocess.run(
        [TAPLO, "lint", "--colors", "never", *files], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 or "error:" in done.stderr, done.stderr
    return done.stderr if done.returncode else ""


# The command


def test_the_schemas_are_listed_and_printed(cli: Cli) -> None:
    listed = cli("schema")
    assert listed.code == 0
    assert [line.split()[0] for line in listed.out.splitlines()] == [*NAMES]
    for name in NAMES:
        assert json.loads(cli("schema", name).out) == schema(name)


def test_an_unknown_schema_is_refused(cli: Cli) -> None:
    ended = cli("schema", "plam")
    assert ended.code == 2
    assert "'plan'" in ended.err
    assert cli("schema", "plan", "--link").code == 2


def test_without_a_file_there_is_nothing_to_link(cli: Cli) -> None:
    ended = cli("schema", "--link")
    assert ended.code == 1
    assert "there is no config.toml and no reconciler.toml here" in ended.err
