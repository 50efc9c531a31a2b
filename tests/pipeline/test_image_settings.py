"""Settings of `[reconciler.image]` with which an image could be published, and never be built or started."""

import pytest

from reconciler.pipeline.schema import ImageOptions
from tests.pipeline.conftest import PROCESSING, TRAINING
from tests.pipeline.test_config import messages

FORMS = {  # how to write a text in each setting that takes one
    **{name: f'{name} = "{{}}"' for name in ("base", "dockerfile", "context", "target", "sbom_generator")},
    "workdir": 'workdir = "/{}"',
    "entrypoint": 'entrypoint = ["python", "{}"]',
    "env": 'env = {{A = "{}"}}',
    "build_args": 'build_args = {{A = "{}"}}',
    "cache_from": 'cache_from = ["{}"]',
    "cache_to": 'cache_to = ["{}"]',
}
CHECKED = {"builder", "platform", "secrets", "config"}
"""Settings whose values are words of a list, or have a form of their own."""
OTHERS = {"accepted_secrets", "provenance", "sbom"}  # no text of an image


def image(line: str) -> str:
    return f'{PROCESSING}\n[reconciler.image]\nbuilder = "append"\n{line}\n'


def test_each_setting_is_tried_below() -> None:
    assert set(ImageOptions.__struct_fields__) == FORMS.keys() | CHECKED | OTHERS


@pytest.mark.parametrize("name", FORMS)
def test_no_setting_can_have_a_nul_character(name: str) -> None:
    text = image(FORMS[name].format("a\\u0000b"))
    (line, told) = messages(text)[0]
    assert told.startswith(f"reconciler.image.{name} contains a NUL character")
    assert line == text.splitlines().index(FORMS[name].format("a\\u0000b")) + 1


@pytest.mark.parametrize("name", sorted(CHECKED))
def test_the_others_can_have_none_either(name: str) -> None:
    value = '["a\\u0000b"]' if name == "secrets" else '"a\\u0000b"'
    assert messages(image(f"{name} = {value}").replace('builder = "append"\n', ""))


@pytest.mark.parametrize("table", ["env", "build_args"])
@pytest.mark.parametrize("name", ["", "A=B", "=", "A\\u0000"])
def test_the_name_of_a_variable(table: str, name: str) -> None:
    told = messages(image(f'{table} = {{"{name}" = "x"}}'))
    assert len(told) == 1
    assert "is not the name of a variable" in told[0][1] or "contains a NUL character" in told[0][1]


@pytest.mark.parametrize("path", ["rel", "./a", "..", "/..", "/../x", "/a/../b", " /a"])
def test_a_working_directory_is_an_absolute_path(path: str) -> None:
    ((_, told),) = messages(image(f'workdir = "{path}"'))
    assert told.startswith("reconciler.image.workdir is not an absolute path")


LONGEST = 131_072  # MAX_ARG_STRLEN of Linux, with the NUL at the end of each word: execve(2)


@pytest.mark.parametrize("line", ['entrypoint = ["python", "{}"]', 'entrypoint = ["{}"]'])
def test_a_word_that_no_process_can_get(line: str) -> None:
    fits, too_long = "a" * (LONGEST - 1), "é" * (LONGEST // 2)
    assert messages(image(line.format(fits))) == []
    ((number, told),) = messages(image(line.format(too_long)))
    assert told.startswith("a word of reconciler.image.entrypoint has 131072 bytes")
    assert image("").count("\n") == number


@pytest.mark.parametrize("table", ["env", "build_args"])
def test_a_variable_that_no_process_can_get(table: str) -> None:
    fits, too_long = "a" * (LONGEST - len("NAME=") - 1), "a" * (LONGEST - len("NAME="))
    assert messages(image(f'{table} = {{NAME = "{fits}"}}')) == []
    ((_, told),) = messages(image(f'{table} = {{NAME = "{too_long}"}}'))
    assert told.startswith(f"NAME in reconciler.image.{table} has 131072 bytes")


def test_the_variable_of_a_model_version_that_no_process_can_get() -> None:
    text = f'{TRAINING}\n[model_version.env]\nNAME = "{{}}"\n'
    assert messages(text.format("a" * (LONGEST - len("NAME=") - 1))) == []
    ((number, told),) = messages(text.format("a" * (LONGEST - len("NAME="))))
    assert told.startswith("model_version.env.NAME has 131072 bytes")
    assert number == text.count("\n")


@pytest.mark.parametrize("path", [f"/{'a' * 256}", f"/a/{'é' * 128}/b", "/a" * 2048])
def test_a_folder_that_no_file_system_can_have(path: str) -> None:
    ((_, told),) = messages(image(f'workdir = "{path}"'))
    assert told.startswith("reconciler.image.workdir is too long")
    assert messages(image(f'workdir = "/{"a" * 255}/{"é" * 127}"')) == []


@pytest.mark.parametrize("path", ["/", "/a", "/a b/c", "/a..b", "/a/"])
def test_any_absolute_path_will_do(path: str) -> None:
    assert messages(image(f'workdir = "{path}"')) == []


def test_an_entrypoint_begins_with_a_program() -> None:
    ((_, told),) = messages(image('entrypoint = ["", "a"]'))
    assert told.startswith("reconciler.image.entrypoint does not begin with a program")
    assert messages(image('entrypoint = ["python", ""]')) == []
    assert messages(image("entrypoint = []")) == [], "the image has none"
