"""Evaluate a pipeline's classes in its own interpreter, and send their values through a private pipe.

One file, no dependencies, Python >= 3.8; `runner` starts it as a script. It never writes a file. Output of
the classes goes to stdout, not to the pipe. If the official packages are not installed, it provides stand-ins
for the few names that such classes import, and reports them.
"""

from __future__ import annotations

import enum
import importlib.util
import json
import math
import os
import sys
import threading
import typing
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import FunctionType, ModuleType, TracebackType
from typing import Any, Sequence, Union  # noqa: UP035 - Python 3.8

PIPE_IS_CLOSED = 74  # exit status; EX_IOERR of sysexits.h
_LARGEST_INTEGER = 2**64  # limit of the SDK's JSON
_LAST_LINE = 1 << 31
_LARGEST_VALUE = 1 << 20  # characters and items; nested lists that share parts can expand beyond all memory


def plain(value: Any) -> Any:
    """`value` in its JSON form: enums by value, tuples as lists.

    Raises ValueError for a value without a JSON form; the message completes "parameter 'x' ...".
    """
    return _plain(value, [_LARGEST_VALUE])


def _plain(value: Any, room: list[int]) -> Any:
    """`plain`; the one number in `room` is how many characters and items may follow."""
    room[0] -= 1 + (len(value) if isinstance(value, str) else 0)
    if room[0] < 0:
        raise ValueError("is too large: it has more than a million characters and items")
    if isinstance(value, enum.Enum):
        return _plain(value.value, room)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if not -_LARGEST_INTEGER // 2 <= value < _LARGEST_INTEGER:
            raise ValueError("is a whole number of more than 64 bits, which the platform's JSON cannot hold")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"has the value {float(value)}, which JSON cannot hold")
        return float(value)
    if isinstance(value, str):
        if any("\ud800" <= character <= "\udfff" for character in value):
            raise ValueError("is text that is not valid Unicode")
        return str(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item, room) for item in value]
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise ValueError("has a key that is not text")
        return {_plain(key, room): _plain(item, room) for key, item in value.items()}
    kind = type(value).__name__
    raise ValueError(
        f"is of type {kind}, which has no JSON form; use text, numbers, true/false, lists and dicts"
    )


# Stand-ins that behave like the official classes, for interpreters without the official packages


class InputDefinition:
    def __init__(
        self,
        name: str,
        input_type: Any,
        required: bool = True,
        inference_type_constraint: Any = None,
        framework_constraint: Any = None,
    ) -> None:
        self.name = name
        self.input_type = input_type
        self.required = required
        self.inference_type_constraint = inference_type_constraint
        self.framework_constraint = framework_constraint

    def to_dict(self) -> dict[str, Any]:
        inference, framework = self.inference_type_constraint, self.framework_constraint
        return {
            "name": self.name,
            "input_type": self.input_type.value,
            "required": self.required,
            "inference_type_constraint": inference.value if inference else None,
            "framework_constraint": framework.value if framework else None,
        }


class PipelineInputs:
    def __init__(self) -> None:
        self._inputs: list[InputDefinition] = []

    def define_input(
        self,
        name: str,
        input_type: Any,
        required: bool = True,
        inference_type_constraint: Any = None,
        framework_constraint: Any = None,
    ) -> None:
        self._inputs.append(
            InputDefinition(name, input_type, required, inference_type_constraint, framework_constraint)
        )

    @property
    def inputs(self) -> list[InputDefinition]:
        return list(self._inputs)

    def to_list(self) -> list[dict[str, Any]]:
        return [one.to_dict() for one in self._inputs]


_Value = typing.TypeVar("_Value")


class Parameters(typing.Generic[_Value]):
    def __init__(self, log_data: Any) -> None:
        self.parameters_data = self.validate_log_data(log_data)
        self.defaulted_keys: set[Any] = set()

    def validate_log_data(self, log_data: Any) -> dict[str, Any]:
        if not isinstance(log_data, dict):
            raise ValueError("The provided parameters must be a dictionary.")  # noqa: TRY004
        return log_data

    def extract_parameter(
        self, keys: Any, expected_type: Any, default: Any = ..., range_value: Any = None
    ) -> Any:
        if not keys:
            raise ValueError("extract_parameter needs at least one key")
        parts = typing.get_args(expected_type)
        optional = typing.get_origin(expected_type) is Union and type(None) in parts
        base = next(part for part in parts if part is not type(None)) if optional else expected_type
        self._check_default(default, base, optional, expected_type)
        for key in keys:
            if key in self.parameters_data:
                return self._read_value(key, base, optional, range_value)
        if default is ...:
            raise KeyError(f"Required parameter with key(s) {keys} of type {expected_type} not found.")
        self.defaulted_keys.update(keys)
        return default

    def _check_default(self, default: Any, base: Any, optional: bool, expected_type: Any) -> None:
        accepted = base | type(None) if sys.version_info >= (3, 10) else (base, type(None))
        if default is not ... and not isinstance(default, accepted):
            raise TypeError(f"The default value {default!r} is not of the expected type {expected_type}.")
        if default is None and not optional:
            raise ValueError(f"The default value cannot be None: the type {expected_type} is not optional.")

    def _read_value(self, key: Any, base: Any, optional: bool, range_value: Any) -> Any:
        value = self._convert(self.parameters_data[key], base, optional)
        if value is None and not optional:
            raise TypeError(f"The value for key {key!r} cannot be None.")
        if value is not None and range_value and base in (int, float):
            low, high = range_value
            if not low < high:
                raise ValueError(f"The range {range_value!r} is invalid.")
            if not low <= value <= high:
                raise ValueError(f"The value for key {key!r} is out of the range {range_value!r}.")
        return value

    def _convert(self, value: Any, base: Any, optional: bool) -> Any:
        text = str(value)
        if base is bool:
            if text.lower() in ("1", "true", "yes", "0", "false", "no"):
                return text.lower() in ("1", "true", "yes")
            raise ValueError(f"Value {text} cannot be converted to a boolean.")
        if base is float:
            return float(value) if isinstance(value, (int, float)) else float(text)
        if base is int:
            number = value if isinstance(value, (int, float)) else float(text)
            if int(number) != number:
                raise ValueError(f"Value {text} cannot be converted to int without losing precision.")
            return number if isinstance(value, int) else int(number)
        if isinstance(base, type) and issubclass(base, enum.Enum):
            return self._member(value, base, optional)
        return None if optional else value

    def _member(self, value: Any, base: Any, optional: bool) -> Any:
        if isinstance(value, base) or (value is None and optional):
            return value
        if isinstance(value, str):
            return base[value.upper()] if value.upper() in base.__members__ else base(value.lower())
        return base(value)

    def to_dict(self) -> dict[str, Any]:
        own = ("parameters_data", "defaulted_keys")
        return dict(sorted((key, value) for key, value in self.__dict__.items() if key not in own))


# The parameters of the engine's classes (cv-engine 0.6): name, type, default; keys and range if they differ.
_ZERO_TO_ONE = (0.0, 1.0)
HYPER: tuple[tuple[Any, ...], ...] = (
    ("epochs", int, 10, ["epoch", "epochs"]),
    ("batch_size", int, 8, ["batch_size", "batch"]),
    ("image_size", int, 640, ["image_size", "imgsz", "img_size"]),
    ("seed", int, 0),
    ("validate", bool, False, ["validate", "val", "validation"]),
    ("train_set_split_ratio", float, 0.8, ["prop_train_split", "train_set_split_ratio"]),
    ("device", str, "cuda:0"),
)
EXPORT: tuple[tuple[Any, ...], ...] = (("export_format", str, "onnx"),)
ULTRALYTICS_HYPER: tuple[tuple[Any, ...], ...] = (
    ("time", typing.Optional[float], None),  # noqa: UP045 - Python 3.8
    ("patience", int, 100),
    ("save_period", int, 100),
    ("cache", bool, False, ["cache", "use_cache"]),
    ("workers", int, 8),
    ("optimizer", str, "auto"),
    ("deterministic", bool, True),
    ("single_cls", bool, False),
    ("rect", bool, False),
    ("cos_lr", bool, False),
    ("close_mosaic", int, 10),
    ("amp", bool, True),
    ("fraction", float, 1.0),
    ("profile", bool, False),
    ("freeze", typing.Optional[int], None),  # noqa: UP045 - Python 3.8
    ("lr0", float, 0.01),
    ("lrf", float, 0.1),
    ("momentum", float, 0.937),
    ("weight_decay", float, 0.0005),
    ("warmup_epochs", float, 3.0),
    ("warmup_momentum", float, 0.8),
    ("warmup_bias_lr", float, 0.1),
    ("box", float, 7.5),
    ("cls", float, 0.5),
    ("dfl", float, 1.5),
    ("pose", float, 12.0),
    ("kobj", float, 2.0),
    ("label_smoothing", float, 0.0),
    ("nbs", int, 64),
    ("overlap_mask", bool, True),
    ("mask_ratio", int, 4),
    ("dropout", float, 0.0),
    ("plots", bool, True),
)
ULTRALYTICS_AUGMENTATION: tuple[tuple[Any, ...], ...] = (
    ("hsv_h", float, 0.015, ["hsv_h"], _ZERO_TO_ONE),
    ("hsv_s", float, 0.7, ["hsv_s"], _ZERO_TO_ONE),
    ("hsv_v", float, 0.4, ["hsv_v"], _ZERO_TO_ONE),
    ("degrees", float, 0.0, ["degrees"], (-180.0, 180.0)),
    ("translate", float, 0.1, ["translate"], _ZERO_TO_ONE),
    ("scale", float, 0.5, ["scale"], (0.0, math.inf)),
    ("shear", float, 0.0, ["shear"], (-180.0, 180.0)),
    ("perspective", float, 0.0, ["perspective"], (0.0, 0.001)),
    ("flipud", float, 0.0, ["flipud"], _ZERO_TO_ONE),
    ("fliplr", float, 0.5, ["fliplr"], _ZERO_TO_ONE),
    ("bgr", float, 0.0, ["bgr"], _ZERO_TO_ONE),
    ("mosaic", float, 1.0, ["mosaic"], _ZERO_TO_ONE),
    ("mixup", float, 0.0, ["mixup"], _ZERO_TO_ONE),
    ("copy_paste", float, 0.0, ["copy_paste"], _ZERO_TO_ONE),
    ("auto_augment", str, "randaugment"),
    ("erasing", float, 0.4, ["erasing"], _ZERO_TO_ONE),
    ("crop_fraction", float, 1.0, ["crop_fraction"], (0.1, 1.0)),
)


def _extract(parameters: Parameters[Any], table: tuple[tuple[Any, ...], ...]) -> None:
    for name, kind, default, *more in table:
        keys = more[0] if more else [name]
        value = parameters.extract_parameter(keys, kind, default, more[1] if len(more) > 1 else None)
        setattr(parameters, name, value)


class HyperParameters(Parameters[Any]):
    def __init__(self, log_data: Any) -> None:
        super().__init__(log_data=log_data)
        _extract(self, HYPER)


class AugmentationParameters(Parameters[Any]):
    pass


class ExportParameters(Parameters[Any]):
    def __init__(self, log_data: Any) -> None:
        super().__init__(log_data=log_data)
        _extract(self, EXPORT)


class UltralyticsHyperParameters(HyperParameters):
    def __init__(self, log_data: Any) -> None:
        super().__init__(log_data=log_data)
        _extract(self, ULTRALYTICS_HYPER)


class UltralyticsAugmentationParameters(AugmentationParameters):
    def __init__(self, log_data: Any) -> None:
        super().__init__(log_data=log_data)
        _extract(self, ULTRALYTICS_AUGMENTATION)


_ENGINE = "picsellia_cv_engine.core.parameters"
_ULTRALYTICS = "picsellia_cv_engine.frameworks.ultralytics.parameters"
_SERVED: dict[str, dict[str, Any]] = {
    "picsellia": {},
    "picsellia.types": {},
    "picsellia.types.enums": {},  # made from the request
    "picsellia.types.schemas": {"LogDataType": Union[list, dict, float, int, str]},  # noqa: UP007
    "picsellia_pipelines_cli": {},
    "picsellia_pipelines_cli.utils": {},
    "picsellia_pipelines_cli.utils.inputs": {
        "InputDefinition": InputDefinition,
        "PipelineInputs": PipelineInputs,
    },
    "picsellia_cv_engine": {},
    "picsellia_cv_engine.core": {},
    _ENGINE: {
        "Parameters": Parameters,
        "HyperParameters": HyperParameters,
        "AugmentationParameters": AugmentationParameters,
        "ExportParameters": ExportParameters,
    },
    _ENGINE + ".base_parameters": {"Parameters": Parameters},
    _ENGINE + ".hyper_parameters": {"Parameters": Parameters, "HyperParameters": HyperParameters},
    _ENGINE + ".augmentation_parameters": {
        "Parameters": Parameters,
        "AugmentationParameters": AugmentationParameters,
    },
    _ENGINE + ".export_parameters": {"Parameters": Parameters, "ExportParameters": ExportParameters},
    "picsellia_cv_engine.frameworks": {},
    "picsellia_cv_engine.frameworks.ultralytics": {},
    _ULTRALYTICS: {},
    _ULTRALYTICS + ".hyper_parameters": {
        "HyperParameters": HyperParameters,
        "UltralyticsHyperParameters": UltralyticsHyperParameters,
    },
    _ULTRALYTICS + ".augmentation_parameters": {
        "AugmentationParameters": AugmentationParameters,
        "UltralyticsAugmentationParameters": UltralyticsAugmentationParameters,
    },
}


class StubFinder(MetaPathFinder, Loader):
    """The last finder on sys.meta_path: Python uses it only for packages that no other finder has."""

    def __init__(self, enums: dict[str, list[str]]) -> None:
        self.roots: set[str] = set()
        self.modules = dict(_SERVED)
        self.modules["picsellia.types.enums"] = {
            name: enum.Enum(name, [(value, value) for value in values], module="picsellia.types.enums")
            for name, values in enums.items()
        }

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        root = name.partition(".")[0]
        if name not in self.modules or (name != root and root not in self.roots):
            return None  # an installed package provides its own modules
        self.roots.add(root)
        package = any(other.startswith(name + ".") for other in self.modules)
        return ModuleSpec(name, self, is_package=package)

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__.update(self.modules[module.__name__])


# Defaults that the engine only checks when a job passes them


class DefaultError(ValueError):
    pass


def check_defaults(found: Any) -> list[tuple[list[str], str, str, int]]:
    """Let `extract_parameter` of this class refuse a default that the engine refuses in each job.

    Returns:
        the calls with the default None for a type that cannot be read from null, as they are made: their
        keys, the type, and the file and line of the call.
    """
    nulls: list[tuple[list[str], str, str, int]] = []
    own = (vars(base)["extract_parameter"] for base in found.__mro__ if "extract_parameter" in vars(base))
    original = next(own, None)
    if not isinstance(original, FunctionType):
        return nulls

    def checked(self: Any, *args: Any, **named: Any) -> Any:
        value = original(self, *args, **named)
        names = ("keys", "expected_type", "default", "range_value")
        given = {**dict(zip(names, args)), **named}  # noqa: B905 - Python 3.8
        _check_range(**given)
        base = next((part for part in _parts(given.get("expected_type")) if part in (int, float, bool)), None)
        if given.get("default", ...) is None and base is not None:
            caller = sys._getframe(1)
            keys = [str(key) for key in given.get("keys", ())]
            nulls.append((keys, base.__name__, caller.f_code.co_filename, caller.f_lineno))
        return value

    found.extract_parameter = checked
    return nulls


def _parts(expected_type: Any) -> list[Any]:
    """The type that the engine reads an optional value as, alone; [] for another type."""
    if typing.get_origin(expected_type) is not Union:
        return []
    return [part for part in typing.get_args(expected_type) if part is not type(None)][:1]


def _check_range(
    keys: Any = (), expected_type: Any = None, default: Any = ..., range_value: Any = None, **_: Any
) -> None:
    parts = [expected_type]
    if typing.get_origin(expected_type) is Union:
        parts = [part for part in typing.get_args(expected_type) if part is not type(None)]
        if len(parts) == len(typing.get_args(expected_type)):
            return  # the engine checks the range of one type only
    if not range_value or not isinstance(default, (int, float)) or parts[0] not in (int, float):
        return
    limits = list(range_value)
    pair = len(limits) == 2 and all(isinstance(one, (int, float)) for one in limits)
    if not pair or not limits[0] < limits[1]:
        fault = f"has range_value={range_value!r:.80}, which is not two numbers with the smaller one first"
    elif not limits[0] <= default <= limits[1]:
        fault = f"has the default {default!r:.80}, outside of range_value={range_value!r:.80}"
    else:
        return
    raise DefaultError(f"parameter {next(iter(keys), '')!r} {fault}")


# The evaluation


class Evaluation:
    """Evaluates the classes of a request one after the other, and sends one line of JSON for each."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.folder: str = request["folder"]
        self.classes: dict[str, tuple[str, str]] = request["classes"]
        self.timeout: float = request["timeout"]
        os.set_inheritable(request["pipe"], False)
        self.pipe = os.fdopen(request["pipe"], "w", encoding="ascii")
        self.sending = threading.Lock()
        self.current = ""
        self.modules: dict[str, ModuleType] = {}
        self.stand_ins = StubFinder(request["enums"])

    def run(self) -> None:
        sys.argv = [""]
        sys.path[0] = self.folder
        sys.meta_path.append(self.stand_ins)
        main = threading.get_ident()
        threading.Thread(target=self.watch, args=(main,), daemon=True).start()
        for kind, (file, name) in self.classes.items():
            self.current = kind
            try:
                answer = self.evaluate(kind, os.path.join(self.folder, file), name)  # noqa: PTH118
            except BaseException as problem:  # noqa: BLE001 - the class may raise anything, SystemExit included
                answer = failed(kind, self.describe(problem))
            self.send(answer)
        self.send({"answer": "finished", "stand_ins": sorted(self.stand_ins.roots)})

    def evaluate(self, kind: str, file: str, name: str) -> dict[str, Any]:
        module = self.module(file)
        found = getattr(module, name, None)
        if not isinstance(found, type):
            classes = [key for key, value in vars(module).items() if isinstance(value, type)]
            return failed(kind, {"type": "missing", "classes": classes})
        if kind == "inputs":
            return {"answer": kind, "value": found().to_list(), "line": self.line(found)}
        calls = check_defaults(found)
        value = found(log_data={}).to_dict()
        nulls = [
            (keys, base, os.path.relpath(place, self.folder), line)
            for keys, base, place, line in calls
            if self.is_own(place)
        ]
        return {"answer": kind, "value": value, "line": self.line(found), "nulls": nulls}

    def module(self, file: str) -> ModuleType:
        """The file as a module of its own, like the official tool loads it; loaded once for both classes."""
        if file not in self.modules:
            spec = importlib.util.spec_from_file_location(f"pipeline_class_{len(self.modules)}", file)
            assert spec is not None and spec.loader is not None  # a .py file always has both
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module
            spec.loader.exec_module(module)
            self.modules[file] = module
        return self.modules[file]

    def line(self, found: Any) -> int | None:
        code = getattr(found.__init__, "__code__", None)
        return code.co_firstlineno if code is not None and self.is_own(code.co_filename) else None

    def send(self, answer: dict[str, Any]) -> None:
        if "value" in answer:
            answer = self.plain_answer(answer)
        with self.sending:
            try:
                self.pipe.write(json.dumps(answer) + "\n")
                self.pipe.flush()
            except OSError:  # the class closed it, or has another file in its place
                os._exit(PIPE_IS_CLOSED)

    def plain_answer(self, answer: dict[str, Any]) -> dict[str, Any]:
        """The answer with its values in JSON form, or a failure if one has none."""
        kind, value = answer["answer"], answer["value"]
        expected = list if kind == "inputs" else dict
        if not isinstance(value, expected):
            return failed(kind, {"type": "shape", "message": type(value).__name__, "line": answer["line"]})
        items = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
        pairs = []
        for key, item in items:
            try:
                pairs.append((plain(key), plain(item)))
            except (ValueError, RecursionError) as problem:
                message = f"{key!r:.80} {problem}"
                return failed(kind, {"type": "value", "message": message, "line": answer["line"]})
        plain_value = [item for _, item in pairs] if expected is list else dict(pairs)
        return dict(answer, value=plain_value)

    def describe(self, problem: BaseException) -> dict[str, Any]:
        """The failure for an exception of the class."""
        failure = {
            "type": type(problem).__name__,
            "message": _text_of(problem),
            "exit": isinstance(problem, SystemExit),
            "module": _module_of(problem),
        }
        frames: list[tuple[str, int | None]] = []
        step: TracebackType | None = problem.__traceback__
        while step is not None:
            frames.append((step.tb_frame.f_code.co_filename, step.tb_lineno))
            step = step.tb_next
        if isinstance(problem, SyntaxError):
            frames.append((problem.filename or "", problem.lineno))
        return dict(failure, **self.place(frames))

    def place(self, frames: Sequence[tuple[str, int | None]]) -> dict[str, Any]:
        """File and line of the innermost frame in the pipeline's own files."""
        for file, line in reversed(frames):
            if self.is_own(file):
                is_line = isinstance(line, int) and 0 <= line <= _LAST_LINE  # a SyntaxError may have any
                return {"file": os.path.relpath(file, self.folder), "line": line if is_line else None}
        return {"file": None, "line": None}

    def is_own(self, file: str) -> bool:
        inside = os.path.abspath(file).startswith(self.folder + os.sep)  # noqa: PTH100
        return inside and "site-packages" not in file and not file.startswith("<")

    def watch(self, main: int) -> None:
        """At the time limit, report where the class hangs, just before the runner kills the process."""
        threading.Event().wait(self.timeout)
        frames: list[tuple[str, int | None]] = []
        frame = sys._current_frames().get(main)
        while frame is not None:
            frames.append((frame.f_code.co_filename, frame.f_lineno))
            frame = frame.f_back
        failure = dict(self.place(frames[::-1]), type="timeout")
        self.send(failed(self.current, failure))
        os._exit(1)


def failed(kind: str, failure: dict[str, Any]) -> dict[str, Any]:
    """The answer for a class that has no values."""
    printable = {name: _printable(value) if name != "file" else value for name, value in failure.items()}
    return {"answer": "failed", "kind": kind, "failure": printable}


def _printable(value: Any) -> Any:
    """Texts of a failure, with an escape for what is not valid Unicode."""
    if isinstance(value, list):
        return [_printable(item) for item in value]
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _module_of(problem: BaseException) -> str | None:
    name = problem.name if isinstance(problem, ImportError) else None
    return str(name) if isinstance(name, str) else None


def _text_of(problem: BaseException) -> str:
    try:
        if isinstance(problem, KeyError) and problem.args:
            return str(problem.args[0])
        return str(problem)
    except Exception:  # noqa: BLE001 - whatever their __str__ does
        return ""


if __name__ == "__main__":
    Evaluation(json.loads(sys.argv[1])).run()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
