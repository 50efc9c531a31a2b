"""Both readers agree on generated classes: the values of the static reader equal those of a run."""

import ast
import tempfile
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from providers import enums
from reconciler.pipeline.classes import runner
from reconciler.pipeline.classes.constants import NotConstant, Scope, value_of
from reconciler.pipeline.classes.declarations import ClassReference, ClassValue
from reconciler.pipeline.classes.static import read_inputs, read_parameters
from reconciler.pipeline.classes.static_module import NotStatic
from tests.conftest import CASES
from tests.pipeline import sources
from tests.waits import PATIENCE

NAMES = st.sampled_from(["a", "b", "dataset", "é", "", "..", "with space"])
CONSTANTS = {"SIZE": 640, "LABELS": ["x", "y"], "TITLE": "title", "RATIO": 0.25, "OFF": False}
CONSTANTS |= {"TABLE": {"a": 1, "b": [2]}, "limit": -3}
TOP = (
    "import os, logging\nfrom enum import Enum, IntEnum\nfrom typing import TYPE_CHECKING, Optional, Union\n"
    "if TYPE_CHECKING:\n    import nowhere\nlogger = logging.getLogger(__name__)\n"
    + "".join(f"{name} = {value!r}\n" for name, value in CONSTANTS.items())
    + "class Mode(str, Enum):\n    FAST = 'fast'\n    SLOW = 'slow'\n"
    "class Level(IntEnum):\n    LOW = 1\n    HIGH = 2\n"
    "class Defaults:\n    rate = RATIO / 3\n    names = (*LABELS, TITLE)\n"
)
NAMES_OF_VALUES = [
    *CONSTANTS,
    "Mode.FAST",
    "Mode.SLOW.value",
    "Level.HIGH",
    "Level.LOW.name",
    "Defaults.rate",
]
NAMES_OF_VALUES += [
    "Defaults.names",
    "self.epochs",
    "self.size",
    "self.x",
    "local",
    "os.name",
    "Mode",
    "Nothing",
]

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
ATOM = st.one_of(
    LITERAL,
    st.sampled_from(NAMES_OF_VALUES),
    st.sampled_from(["0", "1", "2", "7", "0.1", "3.0", "-1", "'a'", "''", "True", "1e999", "10**30"]),
)


OPERATORS = [
    *("+", "-", "*", "/", "//", "%", "**", "<<", ">>", "&", "|", "^", "and", "or"),
    *("==", "!=", "<", "<=", ">", ">=", "in", "is"),
]
FUNCTIONS = [
    *("float", "int", "bool", "str", "len", "abs", "round", "min", "max", "list", "tuple", "range"),
    *("sum", "sorted"),
]


def compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operator = st.sampled_from(OPERATORS)
    function = st.sampled_from(FUNCTIONS)
    return st.one_of(
        st.builds("({} {} {})".format, inner, operator, inner),
        st.builds("({} {})".format, st.sampled_from(["-", "+", "~", "not"]), inner),
        st.builds("{}({})".format, function, inner),
        st.builds("{}({}, {})".format, function, inner, inner),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds("[*{}, {}]".format, inner, inner),
        st.builds("{{**{}, 'k': {}}}".format, inner, inner),
        st.builds("{}[{}]".format, inner, inner),
        st.builds("{}[{}:{}]".format, inner, inner, inner),
        st.builds(
            'str(f"{{{}{}}}")'.format,
            ATOM.filter(lambda text: not set(text) & set("\"'\\{")),
            st.sampled_from(["", "!r", "!s", ":>8", ":.3f", ":,", ":x", ":05d", ":%", ":q"]),
        ),
    )


EXPRESSION = st.recursive(ATOM, compound, max_leaves=6)
VALUE = st.one_of(LITERAL, EXPRESSION, EXPRESSION, st.sampled_from(["...", "{1}", "TITLE.upper()"]))
TYPE = st.sampled_from(
    [
        *("int", "float", "str", "bool", "list", "dict", "list[int]", "set", "tuple", "Mode", "Level"),
        *("Optional[int]", "Optional[str]", "Optional[float]", "Union[int, str]", "Union[float, str, None]"),
        *("int | float", "int | None", "str | int | None", "Optional[Mode]"),
    ]
)


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
    name = draw(
        st.sampled_from(["epochs", "size", "x", "y", "double", "x", "size"] * 3 + ["_hidden", "to_dict"])
    )
    value = draw(VALUE)
    if draw(st.integers(0, 9)) == 0:
        return f"local = {value}"
    if draw(st.booleans()):
        return f"self.{name} = {value}"
    keys = draw(st.sampled_from(["['k']", "('k', 'l')", "[]", "keys=['k']"]))
    default = draw(st.sampled_from(["", f", default={value}", f", default={value}", f", default={value}"]))
    limits = draw(st.sampled_from(["", "", ", range_value=(0, 10)", ", range_value=(3, 1)"]))
    hint = draw(st.sampled_from(["", ": Missing"]))
    return f"self.{name}{hint} = self.extract_parameter({keys}, expected_type={draw(TYPE)}{default}{limits})"


@st.composite
def modules(draw: st.DrawFn) -> tuple[str, str]:
    """An inputs module and a parameters module, mostly in the usual form, some unusual, some invalid."""
    base = draw(
        st.sampled_from(["Parameters", "HyperParameters", "ExportParameters", "AugmentationParameters"])
    )
    method = "\n    def double(self):\n        return 2\n" if draw(st.booleans()) else ""
    return (
        sources.inputs(*draw(st.lists(definitions(), max_size=3)), "pass", top=TOP),
        sources.parameters(*draw(st.lists(assignments(), max_size=4)), "pass", top=TOP, base=base) + method,
    )


def without_lines(result: ClassValue[Any]) -> Any:
    if isinstance(result.value, tuple):
        return [replace(one, line=None) for one in result.value]
    return result.value if result.value is None else list(result.value.items())


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("generated")


@settings(max_examples=400)
@given(expressions=st.lists(EXPRESSION, min_size=20, max_size=20))
def test_an_expression_has_the_value_of_running_it(expressions: list[str]) -> None:
    """Thousands of expressions in this process: a value equals Python's own result, and is never large."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some expressions cause warnings
        space: dict[str, Any] = {"__name__": "generated"}
        exec(compile(TOP, "generated", "exec"), space)
        names = {name: space[name] for name in CONSTANTS}
        for text in expressions:
            node = ast.parse(text, mode="eval").body
            scope = Scope(names, refused, refused)
            try:
                value = value_of(node, scope)
            except NotConstant:
                continue
            CASES["expressions that were followed"] += 1
            expected = eval(compile(ast.Expression(node), "generated", "eval"), space)
            assert repr(value) == repr(expected), text
            assert type(value) is type(expected), text


def refused(node: ast.AST) -> Any:
    raise NotConstant(node)


@settings(max_examples=80)
@given(both=modules())
def test_running_a_class_equals_reading_it(both: tuple[str, str], place: Path, bare: Path) -> None:
    for name, source in zip(("inputs.py", "parameters.py"), both, strict=True):
        (place / name).write_text(source)
    inputs = ClassReference(place, place / "inputs.py", "Inputs")
    parameters = ClassReference(place, place / "parameters.py", "Params")
    class_run = runner.run(place, inputs=inputs, parameters=parameters, python=bare, timeout=PATIENCE)
    for read, answer in (
        (read_inputs(inputs), class_run.inputs),
        (read_parameters(parameters), class_run.parameters),
    ):
        CASES["classes of which both readers answered"] += not isinstance(read, NotStatic)
        CASES["classes that had to be run"] += isinstance(read, NotStatic)
        if isinstance(read, NotStatic):
            continue
        assert answer is not None
        assert repr(without_lines(answer)) == repr(without_lines(read))


ODD_NAMES = ["float", "max", "len", "self", "log_data", "inputs", "__class__"]


@st.composite
def folders(draw: st.DrawFn) -> dict[str, str]:
    """Files that import from each other, share an enum, and give names a second meaning."""
    package = draw(st.sampled_from(["", "", "inputs = 3\n"]))
    files = {
        "utils/__init__.py": package,
        "utils/modes.py": "from enum import Enum\n\nclass Mode(Enum):\n    FAST = 'fast'\n",
    }
    bound = {"utils.modes": ["Mode"], "utils": ["inputs"] if package else []}
    for module in ("inputs", "base", "values"):
        names = {
            name: other for other in draw(st.sets(st.sampled_from(sorted(bound)))) for name in bound[other]
        }
        default = draw(st.sampled_from(["1", "float('2')", *["Mode.FAST"] * ("Mode" in names)]))
        hint = draw(st.sampled_from([*["", ": int | None", ": list[int]"] * 3, ": int[str]", ": int | 3"]))
        files[f"utils/{module}.py"] = (
            "".join(f"from {other} import {name}\n" for name, other in names.items())
            + f"{module}_value{hint} = {default}\n"
        )
        bound[f"utils.{module}"] = [*names, f"{module}_value"]
    imports = [f"from {module} import {name}\n" for module in bound for name in bound[module]]
    imported = draw(st.lists(st.sampled_from(imports), min_size=1, max_size=4, unique=True))
    imported += draw(st.sampled_from([[], [], ["from utils import inputs\n"]]))
    odd = st.sampled_from([*["rate", "names", "rate_of"] * 5, *ODD_NAMES])
    constants = f"class {draw(odd)}:\n    rate = 7\n" if draw(st.integers(0, 3)) == 0 else ""
    attribute = draw(odd)
    value = draw(st.sampled_from(["float(1)", "max(1, 2)", "len((1, 2))", "3"]))
    other = draw(st.sampled_from([*"12345", "inputs", "log_data.rate", "__class__.rate"]))
    kind = "Mode" if any("import Mode" in line for line in imported) else "float"
    files["parameters.py"] = (
        f"{sources.PARAMETERS_HEAD}{''.join(imported)}{constants}"
        f"class Params(Parameters):\n    def {draw(odd)}(*_):\n        return 5\n"
        f"    {attribute} = {value}\n"
        "    def __init__(self, log_data):\n        super().__init__(log_data=log_data)\n"
        f"        self.a = self.{attribute}\n"
        f"        self.b = {other}\n"
    )
    for name in sorted({line.split()[-1] for line in imported} - {"inputs", "Mode"}):
        files["parameters.py"] += f"        self.of_{name} = self.extract_parameter(['k'], {kind}, {name})\n"
    return files


@settings(max_examples=80)
@given(files=folders())
def test_running_several_files_equals_reading_them(files: dict[str, str], bare: Path) -> None:
    """Files that the reader accepts can also be run, and give the same values, or both report a problem."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for path, source in files.items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(source)
        reference = ClassReference(folder, folder / "parameters.py", "Params")
        read = read_parameters(reference)
        CASES["folders that were read"] += not isinstance(read, NotStatic)
        CASES["folders that had to be run"] += isinstance(read, NotStatic)
        if not isinstance(read, NotStatic):
            answer = runner.run(
                folder, inputs=None, parameters=reference, python=bare, timeout=PATIENCE
            ).parameters
            assert answer is not None
            assert repr(without_lines(answer)) == repr(without_lines(read))


def test_an_enum_is_the_same_one_in_every_file(tmp_path: Path) -> None:
    (tmp_path / "modes.py").write_text("from enum import Enum\n\nclass Mode(Enum):\n    FAST = 'fast'\n")
    (tmp_path / "base.py").write_text("from modes import Mode\nDEFAULT = Mode.FAST\n")
    top = "from base import DEFAULT\nfrom modes import Mode\n"
    source = sources.parameters("self.a = self.extract_parameter(['a'], Mode, DEFAULT)", top=top)
    (tmp_path / "parameters.py").write_text(source)
    read = read_parameters(ClassReference(tmp_path, tmp_path / "parameters.py", "Params"))
    assert isinstance(read, ClassValue)
    assert read.value == {"a": "fast"}


def test_each_file_is_read_once_however_often_it_is_imported(tmp_path: Path) -> None:
    """Otherwise a few short files in a pull request would take hours to plan."""
    names = [f"a{number}" for number in range(40)]
    for level in range(4):
        imports = "".join(f"from level{level + 1} import {name}\n" for name in names)
        (tmp_path / f"level{level}.py").write_text(imports)
    (tmp_path / "level4.py").write_text("".join(f"{name} = 1\n" for name in names))
    top = "".join(f"from level0 import {name}\n" for name in names)
    (tmp_path / "parameters.py").write_text(sources.parameters("self.a = a7", top=top))
    read = read_parameters(ClassReference(tmp_path, tmp_path / "parameters.py", "Params"))
    assert isinstance(read, ClassValue)
    assert read.value == {"a": 1}


@pytest.mark.parametrize("name", ["b.cpython-311-x86_64-linux-gnu.so", "b.pyd"])
def test_a_compiled_module_takes_precedence_over_a_source_file(name: str, tmp_path: Path) -> None:
    (tmp_path / "b.py").write_text("rate = 1\n")
    (tmp_path / "parameters.py").write_text(sources.parameters("self.a = rate", top="from b import rate\n"))
    reference = ClassReference(tmp_path, tmp_path / "parameters.py", "Params")
    assert isinstance(read_parameters(reference), ClassValue)
    (tmp_path / name).touch()
    assert isinstance(read_parameters(reference), NotStatic)


@pytest.mark.parametrize("number", ["float('nan')", "float('inf')", "-float('inf')", "1e999", "math.nan"])
@pytest.mark.parametrize(
    "statement",
    [
        "self.a = {}",
        "self.a = [1, ({},)]",
        "self.a = {{'b': {}}}",
        "self.a = self.extract_parameter(['a'], float, {})",
        "self.a = self.extract_parameter(['a'], float, default={}, range_value=(-{limit}, {limit}))",
    ],
)
def test_a_number_that_json_cannot_hold_is_an_error(
    number: str, statement: str, tmp_path: Path, bare: Path
) -> None:
    """The SDK writes null instead, so a job would run with another default than the class has."""
    statement = statement.format(number, limit="float('inf')")
    (tmp_path / "parameters.py").write_text(sources.parameters(statement, top="import math\n"))
    reference = ClassReference(tmp_path, tmp_path / "parameters.py", "Params")
    read = read_parameters(reference)
    ran = runner.run(tmp_path, inputs=None, parameters=reference, python=bare, timeout=PATIENCE).parameters
    assert ran is not None
    assert isinstance(read, ClassValue) or "math" in number
    for found in (ran, *([read] if isinstance(read, ClassValue) else [])):
        assert found.value is None
        (problem,) = found.diagnostics
        assert problem.file == reference.file
        assert problem.line is not None
        if "range_value" not in statement or "nan" not in number:
            assert "'a' has the value" in problem.summary
            assert problem.summary.endswith(("nan, which JSON cannot hold", "inf, which JSON cannot hold"))
