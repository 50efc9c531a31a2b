"""Where case does not matter, only that of ASCII letters is ignored: no other letter stands for one."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import click
import pytest

from providers.ascii_case import ascii_lower, ascii_upper
from providers.docker.source.dockerfile_lines import split_word
from providers.enums import FRAMEWORKS, INFERENCE_TYPES, PROCESSING_TYPES, TRAINING
from providers.image_names import normal_registry
from providers.rules import enum_name
from reconciler import api
from reconciler.cli.options.param_types import PipelineTypeType
from reconciler.cli.options.targets import EnvironmentType
from reconciler.core.diagnostics import UserError
from reconciler.core.platforms import ENVIRONMENTS, platform_address
from reconciler.credentials import saved
from reconciler.credentials.target import TargetSettings
from reconciler.pipeline.config import read
from reconciler.system.git import remote_name
from tests.conftest import Cli

FOLDS = (str.upper, str.lower, str.casefold)
LOOKALIKES = {
    letter: {fold(letter).upper() for fold in FOLDS if fold(letter).isascii()}
    for letter in map(chr, range(128, sys.maxunicode + 1))
    if any(fold(letter).isascii() for fold in FOLDS)
}
"""Each letter that Python turns into ASCII ones, with these in upper case."""

CONFIG = """\
[metadata]
name = "app"
version = "1.0.0"
type = "{type}"

[execution]
pipeline_script = "pipeline.py"

[docker]
image_name = "reg.io/team/app"

[model_version]
name = "v1"
origin_name = "M"
framework = "{framework}"
inference_type = "{inference_type}"
"""
VALUES = {"type": TRAINING, "framework": "ONNX", "inference_type": "OBJECT_DETECTION"}
Match = Callable[[str], object]


def lookalikes(word: str) -> Iterator[str]:
    """The word with another letter in place of those that it may stand for."""
    for letter, folds in LOOKALIKES.items():
        for fold in folds:
            before, found, after = word.upper().partition(fold)
            if found:
                yield f"{word[: len(before)]}{letter}{word[len(word) - len(after) :]}"


def in_config(key: str) -> Match:
    def match(text: str) -> object:
        return read(CONFIG.format(**{**VALUES, key: text}), Path("config.toml")).config

    return match


def option(kind: "click.ParamType[str]") -> Match:
    def match(text: str) -> object:
        with suppress(click.UsageError):
            return kind.convert(text, None, None)
        return None

    return match


def variable(text: str) -> object:
    with suppress(UserError):
        return TargetSettings("org", None, {"PICSELLIA_ENV": text}).environment.value
    return None


def saved_login(text: str) -> object:
    saved.context_file().parent.mkdir(parents=True, exist_ok=True)
    saved.context_file().write_text(json.dumps({"organization": "org", "env": text}))
    return saved.current()


def address(text: str) -> object:
    with suppress(ValueError):
        return platform_address(f"{text}://picsellia.example.com")
    return None


NAMES: dict[str, tuple[Match, tuple[str, ...]]] = {
    "metadata.type": (in_config("type"), (TRAINING, *PROCESSING_TYPES)),
    "framework": (in_config("framework"), FRAMEWORKS),
    "inference_type": (in_config("inference_type"), INFERENCE_TYPES),
    "--type": (option(PipelineTypeType()), (TRAINING, *PROCESSING_TYPES)),
    "--env": (option(EnvironmentType()), ENVIRONMENTS),
    "PICSELLIA_ENV": (variable, ENVIRONMENTS),
    "the saved login": (saved_login, ENVIRONMENTS),
    "api.Environment": (lambda text: api.Environment(text).name, ENVIRONMENTS),
    "an answer of the platform": (enum_name, (*FRAMEWORKS, *INFERENCE_TYPES)),
    "the scheme of a platform": (address, ("https",)),
    "the host of a registry": (normal_registry, ("kiosk.example.com",)),
    "the host of a repository": (
        lambda text: remote_name(f"https://{text}/team/repo"),
        ("kiosk.example.com",),
    ),
    "a Dockerfile's instruction": (split_word, ("ENTRYPOINT", "EXPOSE", "COPY")),
}
"""What is matched, with the words that it may have."""


def test_these_letters_exist() -> None:
    assert {"ı", "ſ", "\u212a", "ﬀ", "ﬆ"} <= LOOKALIKES.keys()


@pytest.mark.parametrize("letter", LOOKALIKES)
def test_only_ascii_letters_have_another_case(letter: str) -> None:
    assert (ascii_upper(f"a{letter}Z"), ascii_lower(f"a{letter}Z")) == (f"A{letter}Z", f"a{letter}z")
    assert (ascii_upper("aZ_1"), ascii_lower("aZ_1")) == ("AZ_1", "az_1")


@pytest.mark.parametrize("what", NAMES)
@pytest.mark.usefixtures("home")
def test_no_other_letter_stands_for_an_ascii_one(what: str) -> None:
    match, words = NAMES[what]
    assert any(True for word in words for _ in lookalikes(word)), "nothing is compared"
    for word in words:
        expected = match(word)
        assert expected is not None
        assert match(word.swapcase()) == match(word.capitalize()) == expected
        assert [text for text in lookalikes(word) if match(text) == expected] == []


def test_a_type_with_another_letter_is_an_error_with_its_line(cli: Cli) -> None:
    (cli.folder / "app").mkdir()
    text = CONFIG.partition("[model_version]")[0].format(type="model_convers\u0131on")
    (cli.folder / "app" / "config.toml").write_text(text)
    (cli.folder / "app" / "pipeline.py").touch()
    ended = cli("validate", "app")
    assert ended.code == 1
    assert "is not a pipeline type" in ended.err and "config.toml:4" in ended.err
    assert "Did you mean 'MODEL_CONVERSION'?" in ended.err
