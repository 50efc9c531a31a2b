"""A misspelt key is never ignored silently: a warning in the tables of the official tool, else an error."""

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.core.diagnostics import Diagnostic, Severity
from reconciler.pipeline.config import read
from reconciler.pipeline.settings_table import ImageTable, ReconcilerTable
from reconciler.pipeline.targets import target_keys
from reconciler.pipeline.toml.typos import known_keys

TRAINING = """\
metadata.name = "train"
metadata.version = "1.0"
metadata.type = "TRAINING"
execution.pipeline_script = "pipeline.py"
docker.image_name = "team/train"
docker.image_tag = "latest"
model_version.origin_name = "Detector"
model_version.name = "v1"
"""
OLDER = {"picsellia_pipeline_script", "local_pipeline_script"}
KEYS = [(table, key) for table, keys in known_keys().items() for key in keys if key not in OLDER]
KEYS += [("model_version", key) for key in target_keys()]
OURS = [("reconciler", key) for key in ReconcilerTable.model_fields]
OURS += [("reconciler.image", key) for key in ImageTable.model_fields]


def typos(key: str) -> Iterator[str]:
    """One slip at each place: a letter missing, twice, another one, or two swapped."""
    for at in range(len(key)):
        start, letter, end = key[:at], key[at], key[at + 1 :]
        yield from (start + end, start + 2 * letter + end, f"{start}x{end}", f"{key[: at + 1]}x{end}")
        if end and end[0] != letter:
            yield start + end[0] + letter + end[1:]


def known(table: str) -> set[str]:
    return {key for name, key in (*KEYS, *OURS) if name == table}


def found(line: str, environment: str | None) -> list[Diagnostic]:
    """What is said about this last line."""
    text = f"{TRAINING}{line}\n"
    tomllib.loads(text)
    last = text.count("\n")
    return [one for one in read(text, Path("config.toml"), environment).diagnostics if one.line == last]


@pytest.mark.parametrize(("table", "key"), [*KEYS, *OURS])
def test_a_misspelt_key_is_never_ignored(table: str, key: str) -> None:
    is_ours = (table, key) in OURS
    for typo in {*typos(key)} - known(table) - OLDER - {""}:
        # Beside the right key, or without it: the file has the required ones, and none of the others.
        for beside in ("", f"{table}.{key} = 1\n"):
            if beside and f"{table}.{key} = " in TRAINING:
                continue
            plain = found(f"{beside}{table}.{typo} = 8", None)
            expected = Severity.ERROR if is_ours else Severity.WARNING
            assert [one.severity for one in plain] == [expected], (typo, beside)
            assert is_ours or "Did you mean '" in plain[0].detail
        for environment in ("PROD", *((None, "STAGING") if not is_ours else ())):
            for beside in ("", f"reconciler.env.PROD.{table}.{key} = 1\n"):
                overlay = found(f"{beside}reconciler.env.PROD.{table}.{typo} = 8", environment)
                assert [one.severity for one in overlay] == [Severity.ERROR], (typo, beside, environment)


def test_an_overlay_with_a_misspelt_key_is_refused_with_its_line_and_the_right_one() -> None:
    (problem,) = found("reconciler.env.PROD.docker.cpus = 16", "PROD")

    assert problem.severity is Severity.ERROR
    assert problem.summary == "reconciler.env.PROD.docker.cpus is not a key of config.toml"
    assert problem.detail == "[docker] has image_name, image_tag, cpu, gpu. Did you mean 'cpu'?"


def test_a_key_of_a_row_of_an_overlay() -> None:
    line = 'reconciler.env.PROD.model_versions = [{origin_name = "a", name = "v1", framwork = "ONNX"}]'
    assert [one.severity for one in found(line, None)] == [Severity.ERROR]


def test_other_tools_may_have_keys_in_the_tables_of_the_official_tool() -> None:
    assert found('metadata.owner = "team"', None) == found('docker.registry_user = "a"', None) == []
