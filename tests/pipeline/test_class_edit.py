"""An edit of a class changes one value and no other character, or gives the reason why it cannot."""

import ast
import re
from collections.abc import Callable

import pytest

from reconciler.pipeline.classes.class_edits import (
    ManualEditError,
    with_input,
    with_input_field,
    with_parameter,
    without_input,
    without_parameter,
)

PARAMETERS = """\
SIDE = 64


class P(Parameters):
    def __init__(self, log_data):
        super().__init__(log_data=log_data)
        self.a = self.extract_parameter(["a"], int, 1)  # one
        self.b = self.extract_parameter(
            keys=["b", "ü"], default=SIDE, expected_type=float
        )
        self.c: str = "plain"
        self.d = self.extract_parameter(["d"], expected_type=int, default=SIDE * 2)
        self.e = other()
        self.f = 1
        self.f = 2
        self.g = 1; self.h = 2
        if log_data:
            self.i = 1
"""
OWN = """\
class P:
    def __init__(self, log_data):
        self.a = 1

    def to_dict(self):
        return {"a": self.a}
"""
INPUTS = """\
from picsellia.types.enums import ProcessingInputType as Kind


class I(PipelineInputs):
    def __init__(self):
        super().__init__()
        self.define_input("one", Kind.TEXT)
        self.define_input(
            name="two",
            input_type=Kind.DATASET_VERSION,
        )
        for name in ("x", "y"):
            self.define_input("three", Kind.TEXT, required=flag())
"""


@pytest.mark.parametrize(
    ("name", "value", "old", "new"),
    [
        ("a", 2, "int, 1)", "int, 2)"),
        ("a", "7", "int, 1)", "int, 7)"),
        ("b", 12, "default=SIDE,", "default=12.0,"),
        ("b", "1.5", "default=SIDE,", "default=1.5,"),
        ("c", 'say "ü"', '"plain"', "'say \"ü\"'"),
        ("c", "it's", '"plain"', '"it\'s"'),
        ("c", "a\n\\", '"plain"', '"a\\n\\\\"'),
        ("c", [1, {"x": None}], '"plain"', '[1, {"x": None}]'),
    ],
)
def test_a_default_is_changed(name: str, value: object, old: str, new: str) -> None:
    assert with_parameter(PARAMETERS, "P", name, value) == PARAMETERS.replace(old, new, 1)


def test_a_new_parameter_is_added_at_the_end_of_init() -> None:
    added = with_parameter(PARAMETERS, "P", "new", True)
    assert added == PARAMETERS + (
        '        self.new = self.extract_parameter(["new"], expected_type=bool, default=True)\n'
    )
    long = with_parameter(PARAMETERS.rstrip("\n"), "P", "new", "x" * 60)
    ast.parse(long)
    assert long.startswith(PARAMETERS) and not long.endswith("\n")
    assert f'            default="{"x" * 60}",\n' in long


def test_a_parameter_is_removed_with_its_lines() -> None:
    without = without_parameter(PARAMETERS, "P", "b")
    before, rest = PARAMETERS.split("        self.b", 1)
    assert without == before + rest.split(")\n", 1)[1]


@pytest.mark.parametrize(
    ("edit", "words", "line"),
    [
        (lambda: with_parameter(PARAMETERS, "P", "d", 1), "the default of d is computed", 12),
        (lambda: with_parameter(PARAMETERS, "P", "e", 1), "e is computed", 13),
        (lambda: with_parameter(PARAMETERS, "P", "f", 1), "f is set more than once", 15),
        (lambda: with_parameter(PARAMETERS, "P", "i", 1), "i is set by code", 18),
        (lambda: with_parameter(PARAMETERS, "P", "no name", 1), "cannot be written as a parameter", 4),
        (lambda: with_parameter(PARAMETERS, "P", "new", None), "cannot be written as a parameter", 4),
        (lambda: with_parameter(PARAMETERS, "Q", "a", 1), "Q is not defined", None),
        (lambda: with_parameter("class P:\n    pass\n", "P", "a", 1), "no __init__ of its own", 1),
        (lambda: with_parameter("class P(:", "P", "a", 1), "cannot parse it", 1),
        (lambda: without_parameter(PARAMETERS, "P", "z"), "comes from the base class", 4),
        (lambda: with_parameter(OWN, "P", "b", 1), "to_dict of P decides which parameters exist", 5),
        (lambda: without_parameter(OWN, "P", "a"), "to_dict of P decides which parameters exist", 5),
        (lambda: with_parameter(OWN.partition("\n\n")[0], "P", "b", 1), "no base class", 1),
        (lambda: without_parameter(PARAMETERS, "P", "g"), "cannot be removed on its own", 16),
        (lambda: with_input_field(INPUTS, "I", "three", "required", False), "declared by code", 13),
        (lambda: with_input_field(INPUTS, "I", "four", "required", False), "declared by code", 4),
        (lambda: with_input_field(INPUTS, "I", "one", "input_type", "HOLOGRAM"), "not a known Processing", 4),
        (lambda: without_input(INPUTS, "I", "three"), "declared by code", 13),
    ],
)
def test_unsupported_forms_need_a_manual_edit(edit: Callable[[], str], words: str, line: int | None) -> None:
    with pytest.raises(ManualEditError) as refused:
        edit()
    assert words in refused.value.reason
    assert refused.value.line == line


def test_a_byte_order_mark_is_kept() -> None:
    for source in (PARAMETERS, "class P(Parameters):\n    def __init__(self):\n        self.a = 2\n"):
        assert (
            with_parameter(f"\ufeff{source}", "P", "a", 7) == f"\ufeff{with_parameter(source, 'P', 'a', 7)}"
        )


def test_an_argument_of_an_input_is_changed() -> None:
    assert with_input_field(INPUTS, "I", "one", "input_type", "NUMBER") == INPUTS.replace(
        '"one", Kind.TEXT', '"one", Kind.NUMBER'
    )
    assert with_input_field(INPUTS, "I", "one", "required", False) == INPUTS.replace(
        '"one", Kind.TEXT', '"one", Kind.TEXT, required=False'
    )
    constrained = with_input_field(INPUTS, "I", "two", "framework_constraint", "ONNX")
    assert constrained == INPUTS.replace(
        "ProcessingInputType as Kind", "ProcessingInputType as Kind, Framework"
    ).replace(
        "Kind.DATASET_VERSION,", "Kind.DATASET_VERSION,\n            framework_constraint=Framework.ONNX,"
    )
    assert with_input_field(constrained, "I", "two", "framework_constraint", None) == constrained.replace(
        "Framework.ONNX", "None"
    )


def test_an_input_is_added_and_removed() -> None:
    fields = {"input_type": "TEXT", "required": False, "framework_constraint": None}
    added = with_input(INPUTS, "I", 'a "b"', fields)
    assert (
        added == INPUTS + "        self.define_input(name='a \"b\"', input_type=Kind.TEXT, required=False)\n"
    )
    assert without_input(added, "I", 'a "b"') == INPUTS
    before, rest = INPUTS.split("        self.define_input(\n")
    assert without_input(INPUTS, "I", "two") == before + rest.split(")\n", 1)[1]


def test_a_missing_import_is_added() -> None:
    bare = "\n\nclass I(Base):\n    def __init__(self):\n        super().__init__()\n"
    with pytest.raises(ManualEditError):
        with_input_field(bare, "I", "one", "required", False)
    needed = "from picsellia.types.enums import ProcessingInputType\n"
    for above in (
        "",
        '"""What it is."""\n',
        "import os\n",
        '"""What it is."""\nfrom __future__ import annotations\n',
    ):
        changed = with_input(above + bare, "I", "one", {"input_type": "TEXT"})
        assert changed.startswith(above + needed + bare)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_line_endings_and_unusual_characters_are_kept(newline: str) -> None:
    source = PARAMETERS.replace("# one", "# ü\x0c\x1c one").replace("\n", newline)
    changed = with_parameter(with_parameter(source, "P", "b", 2), "P", "new", 1)
    assert changed.startswith(source.replace("default=SIDE,", "default=2.0,"))
    ends = re.findall(r"\r\n|\r|\n", changed)
    assert ends == [newline] * (source.count(newline) + 1)
