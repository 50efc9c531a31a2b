"""A secret in the line of another key is not repeated by any message about either file."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.pipeline.config import read as read_config
from reconciler.workspace.reader import read as read_workspace
from tests.pipeline.conftest import PROCESSING, TRAINING

SECRETS = {
    "GitHub": "ghp_" + "a1B2c" * 7 + "D",
    "GitLab": "glpat-" + "aB3d_" * 4,
    "Hugging Face": "hf_" + "aB3dE" * 7,
    "password": "https://ada:s3cret-Passw0rd@registry.example.com/team",
}
PARTS = [secret[4:16] for secret in SECRETS.values()] + ["s3cret-Passw0rd"]
WORKSPACE = """\
[workspace]
name = "w"
state = "state.db"
pipelines = ["**"]
exclude = ["x"]
[groups]
a = ["b"]
[environments.LIVE]
organization = "o"
host = "https://h.example"
channel = "live"
token = "LIVE_TOKEN"
promote_from = "TEST"
review = "always"
follows = "TEST"
pin = "version"
[environments.TEST]
organization = "o"
host = "https://t.example"
[defaults]
pin = "version"
protect = ["a"]
ignore_changes = {processing = ["description"]}
[defaults.image]
builder = "append"
base = "python:3.12"
config = "source"
platform = "linux/amd64"
target = "t"
secrets = ["A"]
build_args = {A = "1"}
accepted_secrets = [{path = "a", reason = "r", until = 2999-01-01}]
"""
IMAGE = WORKSPACE.partition("[defaults]\n")[2]
CONFIG = IMAGE.replace("[defaults", "[reconciler")


def paths(document: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(document, dict):
        for key, value in document.items():
            yield (*path, key)
            yield from paths(value, (*path, key))


def changed(text: str, path: tuple[str, ...], value: Any) -> str:
    """The document of the text with another value at this path, as text."""
    document = tomllib.loads(text)
    *above, last = path
    table = document
    for key in above:
        table = table[key]
    table[last] = value
    return "\n".join(lines(document))


def lines(document: dict[str, Any]) -> Iterator[str]:
    for key, value in document.items():
        yield f"{key} = {inline(value)}"


def inline(value: Any) -> str:
    match value:
        case dict():
            return "{" + ", ".join(f"{key} = {inline(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(inline, value)) + "]"
        case str():
            return f'"{value}"'
        case bool():
            return str(value).lower()
    return str(value)


@pytest.mark.parametrize("kind", SECRETS)
@pytest.mark.parametrize(
    ("text", "read"),
    [
        (WORKSPACE, read_workspace),
        (PROCESSING + "[reconciler]\n" + CONFIG, read_config),
        (TRAINING + "[reconciler]\n" + CONFIG, read_config),
    ],
    ids=["reconciler.toml", "processing", "training"],
)
def test_no_message_repeats_a_secret(text: str, read: Any, kind: str) -> None:
    refused = 0
    for path in paths(tomllib.loads(text)):
        for value in (SECRETS[kind], [SECRETS[kind]], {"a": SECRETS[kind]}, [[SECRETS[kind]]]):
            found = read(changed(text, path, value), Path("/w/config.toml"))
            problems = found[1] if isinstance(found, tuple) else found.diagnostics
            refused += bool(problems)
            for problem in problems:
                told = f"{problem.summary}\n{problem.detail}"
                assert not any(part in told for part in PARTS), (path, value, told)
    assert refused > 60
