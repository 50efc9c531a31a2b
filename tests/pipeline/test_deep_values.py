"""A default that can be written can be read back, however deeply it is nested."""

import json
from pathlib import Path

import pytest

from providers.answers import json_value
from providers.json_value import JSON
from providers.sandbox import Sandbox
from reconciler.pipeline.classes.declarations import DEEPEST, ClassReference, problems_of_depth
from tests.conftest import Cli, copy_example

REFERENCE = ClassReference(Path(), Path("parameters.py"), "Parameters")
NAME = "dataset_cleanup"
SHAPES = ("lists", "objects", "both")


def nested(levels: int, shape: str) -> JSON:
    value: JSON = 1
    for level in range(levels):
        as_list = shape == "lists" or (shape == "both" and level % 2)
        value = [value] if as_list else {"a": value}
    return value


@pytest.mark.parametrize("shape", SHAPES)
def test_every_default_that_is_accepted_is_one_that_a_page_of_a_list_can_have(shape: str) -> None:
    accepted = [
        levels for levels in range(200) if not problems_of_depth({"a": nested(levels, shape)}, {}, REFERENCE)
    ]
    assert accepted == list(range(DEEPEST + 1))
    for levels in accepted:
        page = {"items": [{"docker": {"parameters": {"a": nested(levels, shape)}}}]}
        assert json_value(json.dumps(page).encode()) == page


@pytest.mark.parametrize("reader", ["static", "subprocess"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_default_is_refused_before_it_is_written_or_is_in_sync_after_it(
    shape: str, reader: str, cli: Cli, sandbox: Sandbox
) -> None:
    classes = copy_example(NAME, cli.folder, sandbox.registry) / "utils" / "parameters.py"
    text = classes.read_text()

    def declare(levels: int) -> None:
        default = nested(levels, shape)
        kind, value = type(default).__name__, repr(default)
        value = value if reader == "static" else f"eval({value!r})"
        old = 'expected_type=str, default="default"'
        assert old in text
        classes.write_text(text.replace(old, f"expected_type={kind}, default={value}"))

    declare(DEEPEST + 1)
    refused = cli("apply", NAME, "--yes")
    line = next(n for n, line in enumerate(text.splitlines(), 1) if '["datalake"]' in line)
    assert refused.code == 1
    assert "the default of parameter 'datalake' is nested too deeply" in refused.err
    assert reader == "subprocess" or f"parameters.py:{line}" in refused.err
    assert sandbox.writes() == []

    declare(DEEPEST)
    assert cli("apply", NAME, "--yes").code == 0
    ended = cli("plan", NAME, "--exit-code")
    assert ended.code == 0, ended.out
    assert cli("drift", "--all").code == 0
    assert cli("destroy", NAME, "--yes").code == 0
