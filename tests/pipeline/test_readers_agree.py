"""Where the static reader answers, running the class says the same: generated classes, read both ways."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.pipeline import enums, runner
from reconciler.pipeline.classes import ClassReference, ClassValue
from reconciler.pipeline.static import NotStatic, read_inputs, read_parameters
from tests.pipeline import sources

NAMES = st.sampled_from(["a", "b", "dataset", "é", "", "..", "with space"])
CONSTANTS = {"SIZE": 640, "LABELS": ["x", "y"], "TITLE": "title", "RATIO": 0.25, "OFF": False}
TOP = "".join(f"{name} = {value!r}\n" for name, value in CONSTANTS.items())

LITERAL = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text("abc", max_size=2), inner, max_size=2),
    ),
    max_leaves=5,
).map(repr)
VALUE = st.one_of(
    LITERAL, LITERAL, st.sampled_from([*CONSTANTS, "1e999", "-1e999", "...", "1 + 1", "SIZE * 2", "{1}"])
)
TYPE = st.sampled_from(["int", "float", "str", "bool", "list", "dict", "list[int]", "set"])


def member(enum: str, names: tuple[str, ...]) -> st.SearchStrategy[str]:
    return st.sampled_from([f"{enum}.{name}" for name in names])


@st.composite
def definitions(draw: st.DrawFn) -> str:
    name = draw(st.one_of(NAMES.map(repr), st.just("TITLE"), st.just("'a' + 'b'")))
    kind = draw(
        st.one_of(member("ProcessingInputType", enums.INPUT_TYPES), st.just("ProcessingInputType.PICTURE"))
    )
    rest = {
        "required": draw(st.sampled_from([None, "True", "False", "OFF", "not OFF"])),
        "inference_type_constraint": draw(
            st.one_of(st.none(), st.just("None"), member("InferenceType", enums.INFERENCE_TYPES))
        ),
        "framework_constraint": draw(st.one_of(st.none(), member("Framework", enums.FRAMEWORKS))),
    }
    first = draw(
        st.sampled_from([f"{name}, {kind}", f"{name}, input_type={kind}", f"name={name}, input_type={kind}"])
    )
    others = "".join(f", {key}={value}" for key, value in rest.items() if value is not None)
    return f"self.define_input({first}{others})"


@st.composite
def assignments(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from(["epochs", "size", "x", "y", "double", "_hidden", "to_dict"]))
    value = draw(VALUE)
    if draw(st.booleans()):
        return f"self.{name} = {value}"
    keys = draw(st.sampled_from(["['k']", "('k', 'l')", "[]", "keys=['k']"]))
    default = draw(st.sampled_from(["", f", default={value}", f", default={value}", f", default={value}"]))
    limits = draw(st.sampled_from(["", "", ", range_value=(0, 10)"]))
    hint = draw(st.sampled_from(["", ": Missing"]))
    return f"self.{name}{hint} = self.extract_parameter({keys}, expected_type={draw(TYPE)}{default}{limits})"


@st.composite
def modules(draw: st.DrawFn) -> tuple[str, str]:
    """An inputs module and a parameters module: mostly in the usual form, some not, some wrong."""
    base = draw(st.sampled_from(["Parameters", "HyperParameters", "ExportParameters"]))
    method = "\n    def double(self):\n        return 2\n" if draw(st.booleans()) else ""
    return (
        sources.inputs(*draw(st.lists(definitions(), max_size=3)), "pass", top=TOP),
        sources.parameters(*draw(st.lists(assignments(), max_size=4)), "pass", top=TOP, base=base) + method,
    )


def without_lines(said: ClassValue[Any]) -> Any:
    if isinstance(said.value, tuple):
        return [replace(one, line=None) for one in said.value]
    return said.value if said.value is None else list(said.value.items())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("generated")


@settings(max_examples=80)
@given(both=modules())
def test_running_a_class_says_what_reading_it_said(both: tuple[str, str], place: Path, bare: Path) -> None:
    for name, source in zip(("inputs.py", "parameters.py"), both, strict=True):
        (place / name).write_text(source)
    inputs = ClassReference(place, place / "inputs.py", "Inputs")
    parameters = ClassReference(place, place / "parameters.py", "Params")
    ran = runner.run(place, inputs=inputs, parameters=parameters, python=bare, timeout=20)
    for read, answer in ((read_inputs(inputs), ran.inputs), (read_parameters(parameters), ran.parameters)):
        if isinstance(read, NotStatic):
            continue
        assert answer is not None
        assert repr(without_lines(answer)) == repr(without_lines(read))
