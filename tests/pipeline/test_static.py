"""The static reader: supported classes, unsupported ones, which it never guesses, and the engine's checks."""

from pathlib import Path
from typing import Any

import pytest

from reconciler.pipeline.classes import runner
from reconciler.pipeline.classes.declarations import ClassReference, ClassValue
from reconciler.pipeline.classes.static import read_inputs, read_parameters
from reconciler.pipeline.classes.static_module import NotStatic
from tests.pipeline import sources
from tests.pipeline.conftest import Files


def reference(folder: Path, file: str, name: str) -> ClassReference:
    return ClassReference(folder, folder / file, name)


def read_as_inputs(folder: Files, source: str) -> Any:
    return read_inputs(reference(folder({"inputs.py": source}), "inputs.py", "Inputs"))


def read_as_parameters(folder: Files, source: str) -> Any:
    return read_parameters(reference(folder({"parameters.py": source}), "parameters.py", "Params"))


def test_inputs_in_the_usual_form(folder: Files) -> None:
    result = read_as_inputs(
        folder,
        '''"""What a person chooses."""

from picsellia.types.enums import Framework, InferenceType
from picsellia.types.enums import ProcessingInputType as Type
from picsellia_pipelines_cli.utils.inputs import PipelineInputs

NAME = "dataset"


class Inputs(PipelineInputs):
    """Two inputs."""

    def __init__(self) -> None:
        """Declare them."""
        super().__init__()
        self.define_input(
            name=NAME,
            input_type=Type.DATASET_VERSION,
            inference_type_constraint=InferenceType.MASK,
        )
        self.define_input("model", Type.MODEL_VERSION, False, None, Framework.ONNX)
''',
    )
    assert isinstance(result, ClassValue)
    assert result.diagnostics == ()
    assert result.value is not None
    assert [
        (i.name, i.input_type, i.required, i.inference_type_constraint, i.framework_constraint, i.line)
        for i in result.value
    ] == [
        ("dataset", "DATASET_VERSION", True, "MASK", None, 16),
        ("model", "MODEL_VERSION", False, None, "ONNX", 21),
    ]


def test_parameters_in_the_usual_form(folder: Files) -> None:
    result = read_as_parameters(
        folder,
        """from picsellia.types.schemas import LogDataType
from picsellia_cv_engine.core.parameters.base_parameters import Parameters

SIZES: list = [320, 640]


class Params(Parameters):
    def __init__(self, log_data: LogDataType):
        super().__init__(log_data)
        self.zoom = self.extract_parameter(["zoom"], expected_type=float, default=-0.5, range_value=(-1, 1))
        self.flags: dict = self.extract_parameter(keys=("flags",), expected_type=dict, default={"a": [1]})
        self.name = self.extract_parameter(["name"], str, "x")
        self.sizes = SIZES
        self.pair = (1, 2)
        self.nothing = None
        self.fast = self.extract_parameter(["fast"], expected_type=bool, default=False)

    def double(self):
        return self.zoom * 2
""",
    )
    assert isinstance(result, ClassValue)
    assert result.diagnostics == ()
    assert result.value is not None
    assert list(result.value.items()) == [
        ("fast", False),
        ("flags", {"a": [1]}),
        ("name", "x"),
        ("nothing", None),
        ("pair", [1, 2]),
        ("sizes", [320, 640]),
        ("zoom", -0.5),
    ]


def test_hyperparameters_come_with_the_engine_s_defaults(folder: Files) -> None:
    result = read_as_parameters(
        folder,
        sources.parameters(
            'self.epochs = self.extract_parameter(["epochs"], int, 3)', base="HyperParameters"
        ),
    )
    assert result.value == {
        "batch_size": 8,
        "device": "cuda:0",
        "epochs": 3,
        "image_size": 640,
        "seed": 0,
        "train_set_split_ratio": 0.8,
        "validate": False,
    }


def test_a_class_without_init_inherits_the_values_of_its_base(folder: Files) -> None:
    source = sources.PARAMETERS_HEAD + "class Params(ExportParameters):\n    pass\n"
    assert read_as_parameters(folder, source).value == {"export_format": "onnx"}


DEFINE = 'self.define_input("a", ProcessingInputType.TEXT)'
EXTRACT = 'self.x = self.extract_parameter(["x"], int, 1)'


SHADOWED = """\
from picsellia.types.enums import ProcessingInputType
from picsellia_pipelines_cli.utils.inputs import PipelineInputs


class Base(PipelineInputs):
    size = 1


class Inputs(Base):
    def size(self):
        return 2

    def __init__(self):
        super().__init__()
        self.define_input("a", ProcessingInputType.TEXT)
        self.x = self.size
"""
"""A method of a class shadows a value of its base."""


@pytest.mark.parametrize(
    ("source", "line"),
    [
        # statements of __init__
        (sources.inputs('for name in "ab":\n    self.define_input(name, ProcessingInputType.TEXT)'), 8),
        (sources.inputs('if True:\n    self.define_input("a", ProcessingInputType.TEXT)'), 8),
        (sources.inputs('self.define_input("a" "b".upper(), ProcessingInputType.TEXT)'), 8),
        (sources.inputs('self.define_input("a", ProcessingInputType("TEXT"))'), 8),
        (sources.inputs('self.define_input("a", ProcessingInputType["TEXT"])'), 8),
        (sources.inputs('self.define_input("a", ProcessingInputType.PICTURE)'), 8),
        (sources.inputs('self.define_input("a", InferenceType.MASK)'), 8),
        (sources.inputs('self.define_input("a", "TEXT")'), 8),
        (sources.inputs('self.define_input("a", None)'), 8),
        (sources.inputs('self.define_input("a", ProcessingInputType.TEXT, required=1)'), 8),
        (sources.inputs('self.define_input("a", ProcessingInputType.TEXT, **{})'), 8),
        (sources.inputs('self.define_input(*["a", ProcessingInputType.TEXT])'), 8),
        (sources.inputs('self.define_input("a")'), 8),
        (sources.inputs('self.define_input("a", ProcessingInputType.TEXT, name="b")'), 8),
        (sources.inputs('self.define_input("a", ProcessingInputType.TEXT, colour=1)'), 8),
        (sources.inputs('self.define_input("a", ProcessingInputType.TEXT, True, None, None, 1)'), 8),
        (sources.inputs("self.define_input = print"), 8),
        (sources.inputs("self.inputs = []"), 8),
        (sources.inputs("self._inputs = []"), 8),
        (sources.inputs("self.x = self.y"), 8),
        (sources.inputs("print('hello')"), 8),
        (sources.inputs("return"), 8),
        (sources.inputs(DEFINE).replace("super().__init__()", "pass"), 7),
        (sources.inputs(DEFINE).replace("super().__init__()", "PipelineInputs.__init__(self)"), 7),
        (sources.inputs(DEFINE).replace("super().__init__()", "super().__init__(1)"), 7),
        (sources.inputs(DEFINE).replace("(self)", "(self, extra=1)"), 6),
        (sources.inputs(DEFINE).replace("(self)", "(this)"), 6),
        # the class
        (sources.inputs(DEFINE).replace("class Inputs", "@final\nclass Inputs"), None),
        (sources.inputs(DEFINE).replace("(PipelineInputs)", "(PipelineInputs, metaclass=type)"), 5),
        (sources.inputs(DEFINE).replace("(PipelineInputs)", "(PipelineInputs, object)"), 5),
        (sources.inputs(DEFINE).replace("(PipelineInputs)", ""), 5),
        (sources.inputs(DEFINE, "").rstrip() + "\n\n    def to_list(self):\n        return []\n", 10),
        (sources.inputs(DEFINE) + "\n    def define_input(self, *args):\n        pass\n", 10),
        (sources.inputs(DEFINE) + "\n    def __setattr__(self, name, value):\n        pass\n", 10),
        (sources.inputs(DEFINE) + "\n    def __new__(cls):\n        return None\n", 10),
        (sources.inputs(DEFINE) + "\n    @property\n    def x(self):\n        return 1\n", 11),
        (sources.inputs(DEFINE) + "\n    def x(self, y=print(1)):\n        return 1\n", 10),
        (sources.inputs(DEFINE) + "\n    def x(self, y: print(1)):\n        return 1\n", 10),
        (sources.inputs(DEFINE) + "\n    limit = print()\n", 10),
        (sources.inputs(DEFINE) + "\n    inputs = 3\n", 10),
        (sources.inputs(DEFINE) + "\n    _inputs = 3\n", 10),
        (sources.inputs("self.y = self.x") + "\n    x = 3\n\n    def x(self):\n        pass\n", 8),
        (sources.inputs(DEFINE) + "\n    def __init__(self):\n        super().__init__()\n", 10),
        (sources.inputs("self.x = self.size") + "\n    def size(self):\n        return 1\n", 8),
        (sources.inputs(DEFINE, top="X = 1\n") + "\n    def X(self):\n        pass\n\n    y = X\n", 14),
        (SHADOWED, 16),
        (sources.inputs(DEFINE, top="from numpy import a as __a\n"), 3),
        (sources.inputs(DEFINE) + "\n    def x(self, y: 'Thing' | None):\n        pass\n", 10),
        # the module
        (sources.inputs("self.x = os.name", top="import os\n"), 9),
        (sources.inputs("self.x = path", top="from os import path\n"), 9),
        (sources.inputs("self.x = seven()", top="def seven():\n    return 7\n"), 10),
        (sources.inputs(DEFINE, top="from numpy import *\n"), 3),
        (sources.inputs(DEFINE, top="import numpy\nnumpy.seterr()\n"), 4),
        (sources.inputs(DEFINE, top="from numpy import str\n"), 3),
        (sources.inputs(DEFINE, top="from . import other\n"), 3),
        (sources.inputs(DEFINE, top="from picsellia.types.enums import *\n"), 3),
        (sources.inputs(DEFINE, top="try:\n    import numpy\nexcept ImportError:\n    pass\n"), 3),
        (sources.inputs(DEFINE, top="if True:\n    X = 1\n"), 3),
        (sources.inputs(DEFINE, top="print('hello')\n"), 3),
        (sources.inputs(DEFINE, top="X = 1\nX = 2\n"), 4),
        (sources.inputs(DEFINE, top="X = 1\ndel X\n"), 4),
        (sources.inputs(DEFINE, top="X = open('a')\n"), 3),
        (sources.inputs(DEFINE, top="len = 1\n"), 3),
        (sources.inputs(DEFINE, top="ProcessingInputType = 1\n"), 3),
        (sources.inputs(DEFINE, top="PipelineInputs.define_input = print\n"), 3),
        (sources.inputs(DEFINE, top="class super:\n    pass\n"), 3),
        (sources.inputs(DEFINE, top="class Other(Missing):\n    pass\n"), 3),
        (sources.inputs(DEFINE, top="class Other:\n    x = print(1)\n"), 4),
        (sources.inputs(DEFINE, top="@print\ndef helper():\n    pass\n"), 4),
        (sources.inputs(DEFINE, top="def helper(x=print()):\n    pass\n"), 3),
        (sources.inputs(DEFINE) + "\n\nInputs.x = 1\n", 11),
        (sources.inputs(DEFINE, top="X: Missing = 1\n"), 3),
        (sources.inputs(DEFINE).replace("(self)", "(self) -> Missing"), 6),
        (sources.inputs("self.x = MISSING"), 8),
        ("Inputs = 1\n", 1),
        ("from picsellia_pipelines_cli.utils.inputs import PipelineInputs as Inputs\n", None),
        ("class Inputs(:\n", 1),
        ("X = 1\nfrom __future__ import annotations\n", 2),
        ("\x00", None),
    ],
)
def test_unsupported_inputs_classes_are_not_guessed(folder: Files, source: str, line: int | None) -> None:
    result = read_as_inputs(folder, source)
    assert isinstance(result, NotStatic)
    assert result.reason
    if line is not None:
        assert result.line == line


@pytest.mark.parametrize(
    "statement",
    [
        "self.x = 1 + print()",
        "self.x = b'bytes'",
        "self.x = {1, 2}",
        "self.x = {1: 2}",
        "self.x = {**print()}",
        "self.x = ...",
        "self.x = self.y = 1",
        "self.x, self.y = 1, 2",
        "self.x += 1",
        "self.x: int",
        "self.__x = 1",
        "self.to_dict = 1",
        "self.parameters_data = {}",
        'self.x = self.extract_parameter(["x"], int, 1).real',
        'self.x = self.extract_parameter(["x"], int | float | None, 1.5)',
        'self.x = self.extract_parameter(["x"], object, 1)',
        "self.x = self.y",
        "self.x = y",
        "self.x = 'a' % ()",
        "self.x = 'a'.upper()",
        "self.x = 2.0 ** 0.5",
        "self.x = sum([0.1, 0.2])",
        "self.x = 1 / 0",
        "self.x = [1][2]",
        "self.x = 'a' + 1",
        "self.x = int('a')",
        "self.x = f'{1:n}'",
        "self.x = f'{1:9999}'",
        "self.x = 9 ** 9 ** 9",
        "self.x = 1 << 10 ** 9",
        "self.x = 'a' * 10 ** 10",
        "self.x = [[0] * 10_000] * 10_001",
        "self.x = list(range(10 ** 9))",
        "self.x = round(1, -10 ** 9)",
        "self.x = (lambda: 1)()",
        "self.x = [n for n in (1, 2)]",
        "self.x = (y := 1)",
        "for self.x in (1, 2): pass",
        'self.x = self.extract_parameter(["x"], str | None, None)',
        'self.x = self.extract_parameter(["x"], list[int], [])',
        'self.x = self.extract_parameter(["x"], "int", 1)',
        'self.x = self.extract_parameter(["x"], complex, 1)',
        'self.x = self.extract_parameter("x", int, 1)',
        "self.x = self.extract_parameter([1], int, 1)",
        'self.x = self.extract_parameter(["x"], int, 1, range_value=(0, open("ab")))',
        'self.x = self.extract_parameter(["x"], int, open("ab"))',
        'self.x = self.extract_parameter(["x"])',
        'self.extract_parameter(["x"], int, 1)',
        'self.x = other.extract_parameter(["x"], int, 1)',
    ],
)
def test_unsupported_parameters_classes_are_not_guessed(folder: Files, statement: str) -> None:
    result = read_as_parameters(folder, sources.parameters(statement))
    assert isinstance(result, NotStatic)
    assert result.line == 7


TOP = """\
from __future__ import annotations

import logging
import os.path as paths
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any, Optional, Union

import numpy as np
from picsellia.types.enums import Framework
from somewhere.that.is_not.installed import Thing

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger(__name__)
SIZE = 640
RATIO = 0.01 / 64
TABLE = {"small": SIZE // 2, "large": SIZE * 2}
NAMES = ["a", *("b", "c")]
PREFIX = f"{SIZE}-{RATIO:.4f}-{'x'!r}"
BASE = Framework.ONNX


class Mode(str, Enum):
    \"\"\"How.\"\"\"
    FAST = "fast"
    SLOW = "slow"


class Level(IntEnum):
    LOW = 1


class Defaults:
    epochs: int = 30
    rates = (0.1, 0.2)
    warm = rates[0] / 2


def helper(x: Thing = None) -> np.ndarray:
    return x
"""


@pytest.mark.parametrize(
    ("statement", "value"),
    [
        ("self.x = 1 + 1", 2),
        ("self.x = 0.01 / 64", 0.01 / 64),
        ("self.x = -(2 ** 10) % 7 // 1", -(2**10) % 7 // 1),
        ("self.x = ~5 & 0xFF | 1 << 3 ^ 2 >> 1", ~5 & 0xFF | 1 << 3 ^ 2 >> 1),
        ("self.x = RATIO", 0.01 / 64),
        ("self.x = TABLE['large']", 1280),
        ("self.x = {**TABLE, 'other': 1}", {"small": 320, "large": 1280, "other": 1}),
        ("self.x = NAMES + ['d']", ["a", "b", "c", "d"]),
        ("self.x = NAMES[-1:]", ["c"]),
        ("self.x = ('a',) * 2", ["a", "a"]),
        ("self.x = PREFIX", "640-0.0002-'x'"),
        ("self.x = 'a' 'b' + 'c' * 2", "abcc"),
        ("self.x = len(NAMES)", 3),
        ("self.x = min(3, 2, 5)", 2),
        ("self.x = max(NAMES)", "c"),
        ("self.x = round(RATIO, 5)", 0.00016),
        ("self.x = list(range(2, 8, 3))", [2, 5]),
        ("self.x = int('12') + int(2.9) + int(True)", 15),
        ("self.x = str(SIZE)", "640"),
        ("self.x = 1 if SIZE > 100 and 'a' in NAMES else 2", 1),
        ("self.x = not SIZE or None", None),
        ("self.x = Mode.FAST", "fast"),
        ("self.x = Mode.SLOW.value + Mode.FAST.name", "slowFAST"),
        ("self.x = Level.LOW", 1),
        ("self.x = BASE", "ONNX"),
        ("self.x = Defaults.epochs", 30),
        ("self.x = Defaults.warm", 0.05),
        ("self.x = Params.LIMIT * self.LIMIT", 9),
        ("size = SIZE\nself.x = size * 2", 1280),
        ("self.x = 3\nself.x = self.x + 1", 4),
        ("self.x = self.extract_parameter(['x'], int, 1) * 2", 2),
        ("self.x = self.extract_parameter(['x'], float, RATIO, range_value=(0.0, float('inf')))", 0.01 / 64),
        ("self.x = self.extract_parameter(['x'], Optional[float], None)", None),
        ("self.x = self.extract_parameter(['x'], Optional[float], default=0.5)", 0.5),
        ("self.x = self.extract_parameter(['x'], Union[str, None], None)", None),
        ("self.x = self.extract_parameter(['x'], Union[int, str], 'a')", "a"),
        ("self.x = self.extract_parameter(['x'], int | None, 5)", 5),
        ("self.x = self.extract_parameter(['x'], int | str, 'a')", "a"),
        ("self.x = self.extract_parameter(['x'], Mode, Mode.SLOW)", "slow"),
        ("self.x = self.extract_parameter(['x'], Framework, Framework.ONNX)", "ONNX"),
        ("self.x = self.extract_parameter(['x'], tuple, (1, 2))", [1, 2]),
        ("self.x: Path = 1\n'a remark'", 1),
    ],
)
def test_constant_expressions_have_the_value_that_running_them_gives(
    folder: Files, bare: Path, statement: str, value: Any
) -> None:
    top = TOP.replace("import numpy as np\nfrom picsellia", "from picsellia").replace(" -> np.ndarray", "")
    top = top.replace("from somewhere.that.is_not.installed import Thing\n", "")
    body = sources.parameters(*statement.split("\n"), top=TOP).replace(
        "    def __init__", "    LIMIT = 3\n\n    def __init__"
    )
    source = body.removeprefix(sources.PARAMETERS_HEAD)
    source = source.replace("\n\nclass Params", f"\n{sources.PARAMETERS_HEAD}\n\nclass Params")
    result = read_as_parameters(folder, source)
    assert isinstance(result, ClassValue), result
    assert all("has the default None" in one.summary for one in result.diagnostics)
    assert result.value == {"x": value}
    # The same without packages that are not installed anywhere.
    where = folder({"parameters.py": source.replace(TOP, top)})
    class_run = runner.run(
        where, inputs=None, parameters=reference(where, "parameters.py", "Params"), python=bare, timeout=60
    ).parameters
    assert class_run is not None
    assert repr(class_run.value) == repr(result.value)


def test_imports_from_other_files_of_the_pipeline_are_read(folder: Files, bare: Path) -> None:
    where = folder(
        {
            "utils/__init__.py": "",
            "utils/sizes.py": "import numpy\n\nSIZES = {'small': 320}\n",
            "utils/base.py": (
                "from picsellia_cv_engine.core.parameters import HyperParameters\n"
                "from utils.sizes import SIZES\n\n\nclass Base(HyperParameters):\n"
                "    def __init__(self, log_data):\n        super().__init__(log_data)\n"
                "        self.image_size = SIZES['small']\n        self.seed = self.epochs + 1\n"
            ),
            "parameters.py": (
                "from utils.base import Base\n\n\nclass Middle(Base):\n    EXTRA = 2\n\n\n"
                "class Params(Middle):\n    def __init__(self, log_data):\n"
                "        super().__init__(log_data=log_data)\n        self.extra = self.EXTRA * self.seed\n"
            ),
        }
    )
    result = read_parameters(reference(where, "parameters.py", "Params"))
    assert isinstance(result, ClassValue), result
    assert result.value is not None
    assert (result.value["image_size"], result.value["seed"], result.value["extra"]) == (320, 11, 22)
    (where / "utils/sizes.py").write_text("SIZES = {'small': 320}\n")
    class_run = runner.run(
        where, inputs=None, parameters=reference(where, "parameters.py", "Params"), python=bare, timeout=60
    ).parameters
    assert class_run is not None
    assert class_run.value == result.value


@pytest.mark.parametrize(
    "files",
    [
        {"utils/sizes.py": "print('hello')\nSIZE = 1\n"},
        {"utils/__init__.py": "print('hello')\n", "utils/sizes.py": "SIZE = 1\n"},
        {"utils/sizes.py": "from utils.sizes import SIZE\n"},
        {"utils/sizes.py": "OTHER = 1\n"},
        {"utils/other.py": "SIZE = 1\n"},
        {"utils/sizes.txt": "SIZE = 1\n"},
    ],
)
def test_an_imported_file_with_side_effects_is_not_read(folder: Files, files: dict[str, str]) -> None:
    folder(files)
    result = read_as_parameters(
        folder, sources.parameters("self.x = SIZE", top="from utils.sizes import SIZE\n")
    )
    assert isinstance(result, NotStatic)
    assert result.line == 2


def test_a_package_in_the_folder_is_imported_instead_of_the_official_one(folder: Files) -> None:
    folder({"picsellia_pipelines_cli/__init__.py": ""})
    assert isinstance(read_as_inputs(folder, sources.inputs(DEFINE)), NotStatic)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ('self.x = self.extract_parameter(["x"], int)', "'x' has no default"),
        ('self.x = self.extract_parameter(["x"], int, ...)', "'x' has no default"),
        ('self.x = self.extract_parameter(["x"], float, 1)', "type int, not float"),
        ('self.x = self.extract_parameter(["x"], float, True)', "type bool, not float"),
        ('self.x = self.extract_parameter(["x"], int, 1.0)', "type float, not int"),
        ('self.x = self.extract_parameter(["x"], str, 1)', "type int, not str"),
        ('self.x = self.extract_parameter(["x"], list, (1, 2))', "type tuple, not list"),
        ('self.x = self.extract_parameter(["x"], bool, 0)', "type int, not bool"),
        ('self.x = self.extract_parameter(["x"], str, None)', "default None"),
        ("self.x = self.extract_parameter([], str, 'a')", "has no keys"),
        ("self.x = 18446744073709551616", "more than 64 bits"),
        ("self.x = '\\ud800'", "not valid Unicode"),
    ],
)
def test_parameters_that_the_engine_refuses_are_refused(folder: Files, statement: str, words: str) -> None:
    result = read_as_parameters(folder, sources.parameters(EXTRACT, statement))
    assert result.value is None
    (problem,) = result.diagnostics
    assert words in problem.summary
    assert problem.line == 8
    assert problem.file is not None
    assert problem.file.name == "parameters.py"


def test_an_int_default_for_a_float_shows_the_fix(folder: Files) -> None:
    result = read_as_parameters(
        folder, sources.parameters('self.x = self.extract_parameter(["x"], float, 1)')
    )
    assert "Write default=1.0." in result.diagnostics[0].detail


@pytest.mark.parametrize("name", ["", " ", ".", "..", "a\\nb"])
def test_names_that_change_the_url_are_refused(folder: Files, name: str) -> None:
    result = read_as_inputs(folder, sources.inputs(f'self.define_input("{name}", ProcessingInputType.TEXT)'))
    (problem,) = result.diagnostics
    assert "cannot be the name of an input" in problem.summary
    assert problem.line == 8


def test_a_duplicate_name_shows_both_lines(folder: Files) -> None:
    result = read_as_inputs(folder, sources.inputs(DEFINE, DEFINE))
    (problem,) = result.diagnostics
    assert problem.line == 9
    assert "'a' is declared twice" in problem.summary
    assert "The first is at line 8" in problem.detail


def test_a_missing_class_lists_the_existing_ones(folder: Files) -> None:
    source = sources.inputs(DEFINE).replace("class Inputs", "class Input")
    (problem,) = read_as_inputs(folder, source).diagnostics
    assert "there is no class Inputs in inputs.py" in problem.summary
    assert "Did you mean 'Input'?" in problem.detail
