"""The subprocess reader: evaluates a class by running it in the pipeline's own interpreter.

For classes that `static` cannot read. The code runs in a process of its own, with a time limit, limits on its
output and its answer, and only a few harmless environment variables. It answers in JSON through a private
pipe. The code is never imported here, and all processes that it starts end with it. It is not a sandbox: the
code runs with your permissions, and can read and change your files.
"""

import ast
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from pathlib import Path
from typing import Final

from msgspec import Struct

from providers.hiding import without_tokens
from providers.regular_files import read_regular, real_path
from providers.waits import pending
from reconciler.core.diagnostics import Diagnostic, error, info
from reconciler.pipeline.classes import supervisor
from reconciler.pipeline.classes.answers import (
    ClassAnswer,
    ClassKind,
    FailedAnswer,
    Failure,
    Finished,
    InputsAnswer,
    Message,
    NotStarted,
    ParametersAnswer,
    decode,
)
from reconciler.pipeline.classes.class_child import PIPE_IS_CLOSED
from reconciler.pipeline.classes.declarations import (
    ClassReference,
    ClassValue,
    InputDeclaration,
    Inputs,
    Parameters,
    missing_class,
    problems_of,
    problems_of_parameters,
)
from reconciler.pipeline.classes.failures import ENUMS, RANGE_ADVICE, advice, no_input, null_defaults
from reconciler.pipeline.classes.parse_lock import parsing

READER: Final = "subprocess"

_CHILD: Final = Path(__file__).with_name("class_child.py")
_SUPERVISOR: Final = Path(supervisor.__file__)
_VARIABLES: Final = frozenset(
    (
        *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TZ", "XDG_CACHE_HOME"),
        *("LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "LC_NUMERIC", "LC_TIME", "LC_COLLATE", "LC_MONETARY"),
        *("LC_MESSAGES", "LC_PAPER", "LC_NAME", "LC_ADDRESS", "LC_TELEPHONE", "LC_MEASUREMENT"),
        "LC_IDENTIFICATION",
        *("VIRTUAL_ENV", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
    )
)
"""Environment variables for the code: paths and the language, none that may hold a secret."""
_GRACE: Final = 2.0  # seconds for the child to report where the class hangs
_CLOSING: Final = 5.0  # seconds for a program to end that has closed the pipe of its answer
_ENDING: Final = 10.0  # seconds for all processes of the code to end
_KEPT_OUTPUT: Final = 10_000  # characters
_MOST_OUTPUT: Final = 10 << 20  # bytes
_MOST_ANSWER: Final = 4 << 20  # bytes


class ClassRun(Struct, frozen=True):
    """The result of running the classes in one process.

    Attributes:
        inputs, parameters: the values; None for a class that was not requested.
        stand_ins: official packages that the interpreter lacks, replaced by our stand-ins.
        output: the end of the code's output.
    """

    inputs: ClassValue[Inputs] | None
    parameters: ClassValue[Parameters] | None
    stand_ins: tuple[str, ...]
    output: str


def run(
    folder: Path,
    *,
    inputs: ClassReference | None,
    parameters: ClassReference | None,
    python: Path,
    timeout: float,
) -> ClassRun:
    """Evaluate both classes in one process.

    Args:
        folder: the pipeline; its current folder, and first on its `sys.path`.
        inputs: the inputs class, or None to leave it out.
        parameters: the parameters class, or None to leave it out.
        python: the interpreter, 3.8 or later.
        timeout: time limit for the process as a whole, in seconds.
    """
    references: dict[ClassKind, ClassReference | None] = {"inputs": inputs, "parameters": parameters}
    requested = {kind: reference for kind, reference in references.items() if reference is not None}
    return _class_run(requested, folder, python, timeout, _run_child(folder, requested, python, timeout))


def _class_run(
    requested: Mapping[ClassKind, ClassReference],
    folder: Path,
    python: Path,
    timeout: float,
    child_run: "_ChildRun",
) -> ClassRun:
    """The values of the requested classes, or the error of each. Other arguments as for `run`."""
    answers = {one.kind: one for one in child_run.messages if isinstance(one, ClassAnswer)}
    stand_ins = next((one.stand_ins for one in child_run.messages if isinstance(one, Finished)), ())
    errors = _ErrorMessages(folder, python, timeout, child_run)
    results: dict[ClassKind, ClassAnswer | Diagnostic] = {}
    culprit: ClassReference | None = None  # the class that ended the process before the next ones could run
    for kind, reference in requested.items():
        answer = answers.get(kind)
        if culprit is not None:
            results[kind] = info(f"{reference.name} was not read, because {culprit.name} failed")
        elif answer is None:
            culprit, results[kind] = reference, errors.no_answer(reference)
        elif isinstance(answer, FailedAnswer):
            culprit = reference if answer.failure.type == "timeout" else None
            results[kind] = errors.failure(reference, answer.failure)
        else:
            results[kind] = answer
    is_complete = child_run.ending is Ending.FINISHED
    if not is_complete and not any(isinstance(result, Diagnostic) for result in results.values()):
        kind, reference = [*requested.items()][-1]
        results[kind] = errors.no_answer(reference)
    return ClassRun(
        _inputs(requested["inputs"], results["inputs"]) if "inputs" in requested else None,
        _parameters(requested["parameters"], results["parameters"]) if "parameters" in requested else None,
        stand_ins,
        child_run.output,
    )


# The answers


def _inputs(reference: ClassReference, answer: ClassAnswer | Diagnostic) -> ClassValue[Inputs]:
    if isinstance(answer, Diagnostic):
        return ClassValue(None, READER, (answer,))
    assert isinstance(answer, InputsAnswer)
    lines = _lines_of_inputs(reference.file)
    declared, problems = [], []
    for index, item in enumerate(answer.value):
        line = answer.line
        if isinstance(item, dict) and isinstance(item.get("name"), str) and lines.get(item["name"]):
            found = lines[item["name"]]
            line = found.pop(0) if len(found) > 1 else found[0]
        match item:
            case {
                "name": str(name),
                "input_type": str(input_type),
                "required": bool(required),
                "inference_type_constraint": None | str() as inference,
                "framework_constraint": None | str() as framework,
            }:
                declared.append(
                    InputDeclaration(name, input_type, required, inference, framework, reference.file, line)
                )
            case _:
                problems.append(no_input(item, index, reference, line))
    problems += problems_of(declared)
    return ClassValue(None if problems else tuple(declared), READER, tuple(problems))


def _parameters(reference: ClassReference, answer: ClassAnswer | Diagnostic) -> ClassValue[Parameters]:
    if isinstance(answer, Diagnostic):
        return ClassValue(None, READER, (answer,))
    assert isinstance(answer, ParametersAnswer)
    line = answer.line or _line_of_class(reference)
    problems = problems_of_parameters(answer.value, reference.file, line)
    if problems:
        return ClassValue(None, READER, tuple(problems))
    nulls = [(keys, kind, reference.folder / file, at) for keys, kind, file, at in answer.nulls]
    return ClassValue(answer.value, READER, tuple(null_defaults(nulls, answer.value)))


def _lines_of_inputs(file: Path) -> dict[str, list[int]]:
    """The lines of `define_input` calls by the input's name; calls with a computed name are left out."""
    lines: dict[str, list[int]] = {}
    try:
        with parsing():
            tree = ast.parse(read_regular(file))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):  # e.g. syntax of a newer Python
        return lines
    for node in ast.walk(tree):
        match node:
            case ast.Call(ast.Attribute(attr="define_input"), args, keywords):
                named = [*args[:1], *(one.value for one in keywords if one.arg == "name")]
                for value in named:
                    if isinstance(value, ast.Constant) and isinstance(value.value, str):
                        lines.setdefault(value.value, []).append(node.lineno)
    return lines


# The failures and their messages


def _line_of_class(reference: ClassReference) -> int | None:
    try:
        with parsing():
            tree = ast.parse(read_regular(reference.file))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    lines = [n.lineno for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.name == reference.name]
    return lines[-1] if lines else None


class _ErrorMessages(Struct, frozen=True):
    folder: Path
    python: Path
    timeout: float
    child_run: "_ChildRun"

    def failure(self, reference: ClassReference, failure: Failure) -> Diagnostic:
        kind, message = failure.type, failure.message
        file = self.folder / failure.file if failure.file else reference.file
        # A failure in a base class has no line in the pipeline's own files: use the line of the class.
        line = failure.line or (_line_of_class(reference) if file == reference.file else None)
        exception = f"{kind}: {message}" if message else kind
        if kind == "missing":
            return missing_class(reference, failure.classes)
        if kind == "timeout":
            return error(
                f"{reference.name} did not finish within {self.timeout:g} seconds",
                "It was still running at this line and was stopped. A class that declares values should not "
                f"wait, download or train anything.{self._output()}",
                file=file,
                line=line,
            )
        if kind == "shape":
            return error(
                f"{reference.name} returns a value of type {message}",
                "to_list() of an inputs class must return a list, to_dict() of a parameters class a dict.",
                file=file,
                line=line,
            )
        if kind == "DefaultError":
            return error(message, RANGE_ADVICE, file=file, line=line)
        if kind == "value":
            return error(
                f"{reference.name}: {message}",
                "Every value is sent to the platform as JSON.",
                file=file,
                line=line,
            )
        if failure.exit:
            return error(
                f"{reference.name} ended the program ({exception})",
                f"Remove the exit from the code that declares inputs and parameters.{self._output()}",
                file=file,
                line=line,
            )
        if failure.module and not self._is_own(failure.module):
            return self._import(reference, failure, file, line)
        return error(
            f"{reference.name} failed with {exception}",
            f"{advice(kind, message)}{self._output()}",
            file=file,
            line=line,
        )

    def _import(
        self, reference: ClassReference, failure: Failure, file: Path, line: int | None
    ) -> Diagnostic:
        package = (failure.module or "").partition(".")[0]
        return error(
            f"{reference.name} cannot be imported: {self.python} has no usable {package}",
            f"{failure.type}: {failure.message}. Install the pipeline's packages with `uv sync` in "
            f"{self.folder}, or name its interpreter with --python.",
            file=file,
            line=line,
        )

    def no_answer(self, reference: ClassReference) -> Diagnostic:
        """The error for a process that never started, was killed, or ended without an answer."""
        run, line = self.child_run, _line_of_class(reference)
        problem = next((one.problem for one in run.messages if isinstance(one, NotStarted)), run.problem)
        if problem:
            return error(
                f"{self.python} cannot be started: {problem}",
                "Name a Python 3.8 or later with --python.",
                file=reference.file,
            )
        match run.ending:
            case Ending.PRINTED_TOO_MUCH:
                summary = f"{reference.name} printed more than {_MOST_OUTPUT >> 20} MiB and was stopped"
                detail = "A class that declares values should not print in a loop."
            case Ending.ANSWERED_TOO_MUCH:
                summary = f"the values of {reference.name} have more than {_MOST_ANSWER >> 20} MiB"
                detail = (
                    "They are sent to the platform as JSON; declare a path or a name instead of the data."
                )
            case Ending.FINISHED | Ending.UNREADABLE:
                summary = f"{reference.name} wrote into the pipe through which its values are sent"
                detail = "Write only to files that the class opened itself."
            case Ending.TIMED_OUT:
                return self.failure(reference, Failure("timeout"))
            case Ending.CLOSED if run.status is None or run.status == PIPE_IS_CLOSED:
                summary = f"{reference.name} closed the pipe through which its values are sent"
                detail = "Close only files that the class opened itself."
            case Ending.CLOSED:
                summary = f"{reference.name} ended the program ({_status_in_words(run.status)})"
                detail = f"The process of {self.python} ended before it could answer."
        return error(summary, f"{detail}{self._output()}", file=reference.file, line=line)

    def _is_own(self, module: str) -> bool:
        root = self.folder / module.partition(".")[0]
        return root.is_dir() or root.with_suffix(".py").is_file()

    def _output(self) -> str:
        last = self.child_run.output.strip().splitlines()[-3:]
        return "\nIt printed: " + "\n".join(last) if last else ""


def _status_in_words(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:
        return f"signal {-status}"


# The process


class Ending(Enum):
    """Why no further message of the child is read."""

    FINISHED = auto()
    CLOSED = auto()  # the end of the pipe
    UNREADABLE = auto()  # a line is no message
    PRINTED_TOO_MUCH = auto()
    ANSWERED_TOO_MUCH = auto()
    TIMED_OUT = auto()


class _ChildRun(Struct, frozen=True):
    """The raw result of the child process.

    Attributes:
        messages: what the child sent.
        ending: why no further message was read.
        status: the return code as in `subprocess`; None if the process was stopped.
        output: the end of its output.
        problem: why no process could be started.
    """

    messages: Sequence[Message]
    ending: Ending
    status: int | None
    output: str = ""
    problem: str = ""


def _run_child(
    folder: Path, requested: Mapping[ClassKind, ClassReference], python: Path, timeout: float
) -> _ChildRun:
    reading, writing = os.pipe()
    mark = supervisor.new_mark()
    request = {
        "folder": str(real_path(folder)),
        "classes": {kind: (_relative(one), one.name) for kind, one in requested.items()},
        "enums": ENUMS,
        "pipe": writing,
        "timeout": timeout,
    }
    command = [os.path.abspath(python), "-B", str(_CHILD), json.dumps(request)]  # noqa: PTH100 - keeps symlinks
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_SUPERVISOR), str(writing), str(mark), *command],
            cwd=folder,
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(writing,),
            start_new_session=True,
        )
    except OSError as problem:
        os.close(reading)
        return _ChildRun([], Ending.CLOSED, None, problem=problem.strerror or str(problem))
    finally:
        os.close(writing)
    assert process.stdin is not None and process.stdout is not None
    reader = _OutputReader(reading, process.stdout.fileno(), time.monotonic() + timeout + _GRACE)
    try:
        with pending(f"the classes of {folder.name}"):
            reader.read()
            process.send_signal(signal.SIGCONT)  # the code may have stopped it
            status = _wait(process, _CLOSING if reader.ending is Ending.CLOSED else 0.5)
    finally:
        process.stdin.close()  # ends every process that is still running
        try:
            process.wait(_ENDING)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.returncode < 0:  # like the code, or because the code ended it
            supervisor.end_marked(mark)
        reader.close()
        process.stdout.close()
    output = without_tokens(bytes(reader.printed).decode("utf-8", "replace"))[-_KEPT_OUTPUT:]
    return _ChildRun(reader.messages, reader.ending or Ending.TIMED_OUT, status, output)


class _OutputReader:
    """Reads both pipes of the process, keeps the answers and the end of the output, enforces the limits."""

    def __init__(self, answering: int, printing: int, deadline: float) -> None:
        self._answering, self._printing, self._deadline = answering, printing, deadline
        self._received = bytearray()
        self._sizes = {answering: 0, printing: 0}
        self._selector = selectors.DefaultSelector()
        for pipe in (answering, printing):
            os.set_blocking(pipe, False)
            self._selector.register(pipe, selectors.EVENT_READ)
        self.messages: list[Message] = []
        self.printed = bytearray()
        self.ending: Ending | None = None

    def read(self) -> None:
        """Read until there is an `ending`, or the deadline passes."""
        while self.ending is None:
            ready = self._selector.select(max(0.0, self._deadline - time.monotonic()))
            if not ready:
                return
            for key, _ in ready:
                self._read_pipe(key.fd)

    def close(self) -> None:
        """Read the remaining output, after all processes have ended."""
        is_limited = self.ending in (Ending.PRINTED_TOO_MUCH, Ending.ANSWERED_TOO_MUCH)
        while not is_limited and self._printing in {key.fd for key, _ in self._selector.select(0)}:
            if not self._read_pipe(self._printing):
                break
        self._selector.close()
        os.close(self._answering)

    def _read_pipe(self, pipe: int) -> bool:
        """Read what is available from one pipe; False at its end."""
        part = os.read(pipe, 65_536)
        self._sizes[pipe] += len(part)
        if not part:
            self._selector.unregister(pipe)
            if pipe == self._answering:
                self.ending = Ending.CLOSED
        elif pipe == self._printing:
            self.printed += part
            del self.printed[: -4 * _KEPT_OUTPUT]
            if self._sizes[pipe] > _MOST_OUTPUT:
                self.ending = Ending.PRINTED_TOO_MUCH
        else:
            self._received += part
            if self._sizes[pipe] > _MOST_ANSWER:
                self.ending = Ending.ANSWERED_TOO_MUCH
            elif b"\n" in part:
                self._decode_lines()
        return bool(part)

    def _decode_lines(self) -> None:
        *lines, rest = self._received.split(b"\n")
        self._received = rest
        for line in lines:
            try:
                message = decode(line)
            except ValueError:  # the pipeline's code wrote to the pipe
                self.ending = Ending.UNREADABLE
                return
            self.messages.append(message)
            if isinstance(message, Finished):
                self.ending = Ending.FINISHED
                return


def _relative(reference: ClassReference) -> str:
    return os.path.relpath(reference.file, reference.folder)


def _environment() -> dict[str, str]:
    """The child's environment: our harmless variables, and a fixed hash seed for a stable order of sets."""
    kept = {name: value for name, value in os.environ.items() if name in _VARIABLES}
    return {
        **kept,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONIOENCODING": "utf-8:replace",
        "PYTHONHASHSEED": "0",
    }


def _wait(process: subprocess.Popen[bytes], timeout: float) -> int | None:
    """The return code of the process; None if it does not end within `timeout` seconds."""
    try:
        return process.wait(timeout=timeout)
    except subprocess.TimeoutExpired:
        return None
