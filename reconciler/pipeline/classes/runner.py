"""The subprocess reader: what a class says, found by running it in the pipeline's own interpreter.

For classes that `static` does not follow. The code runs in a process of its own, with a time limit and limits
on what it prints and answers. Its environment is a few harmless variables. Its answer comes back as JSON over
a private pipe. Nothing of it is ever imported here, and what it started ends with it. It is not a sandbox:
the code runs with the user's rights, and can read and change what the user can.
"""

import ast
import json
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from providers.regular_files import read_regular
from reconciler.core.diagnostics import Diagnostic, error, info
from reconciler.pipeline import enums
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
from reconciler.pipeline.classes.parse_lock import parsing

READER: Final = "subprocess"

_HELPER: Final = Path(__file__).with_name("class_child.py")
_ENUMS: Final = {
    "Framework": enums.FRAMEWORKS,
    "InferenceType": enums.INFERENCE_TYPES,
    "ProcessingInputType": enums.INPUT_TYPES,
    "ProcessingType": enums.PROCESSING_TYPES,
}
_SUPERVISOR: Final = Path(__file__).with_name("supervisor.py")
_VARIABLES: Final = re.compile(
    "PATH|HOME|USER|LOGNAME|TMPDIR|TZ|LANG|LANGUAGE|LC_[A-Z]+|XDG_CACHE_HOME"
    "|VIRTUAL_ENV|PYTHONPATH|LD_LIBRARY_PATH|DYLD_LIBRARY_PATH"
)
"""What the code gets of our environment: where things are and which language, nothing that may be secret."""
_GRACE: Final = 2.0  # seconds for the helper itself to say where the class hangs
_ENDING: Final = 10.0  # seconds for everything that the code started to end
_KEPT_OUTPUT: Final = 10_000  # characters
_MOST_OUTPUT: Final = 10 << 20  # bytes
_MOST_ANSWER: Final = 4 << 20  # bytes


@dataclass(frozen=True, slots=True)
class ClassRun:
    """What one process answered.

    Attributes:
        inputs, parameters: the answers; None for a class that was not asked for.
        stand_ins: official packages that the interpreter does not have, answered by ours.
        output: the end of what the code printed.
    """

    inputs: ClassValue[Inputs] | None
    parameters: ClassValue[Parameters] | None
    stand_ins: tuple[str, ...]
    output: str


def interpreter(folder: Path, given: Path | None = None) -> Path:
    """The Python for a pipeline: the one that was given, its own virtual environment's, or ours."""
    candidates = [folder / ".venv" / "bin" / "python", folder / ".venv" / "Scripts" / "python.exe"]
    if given is None:
        return next((path for path in candidates if path.exists()), Path(sys.executable))
    found = shutil.which(given) if given.name == str(given) else None  # `--python python3.12`
    return Path(found) if found is not None else given


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
        timeout: seconds for the process as a whole.
    """
    references = {"inputs": inputs, "parameters": parameters}
    wanted = {kind: reference for kind, reference in references.items() if reference is not None}
    conversation = _run_child(folder, wanted, python, timeout)
    answers = {answer["kind"]: answer for answer in conversation.answers if "kind" in answer}
    stand_ins = tuple(next((a["stand_ins"] for a in conversation.answers if "stand_ins" in a), ()))
    told = _Telling(folder, python, timeout, conversation)
    results: dict[str, Mapping[str, Any] | Diagnostic] = {}
    culprit: ClassReference | None = (
        None  # the class that ended the process; those behind it never had a turn
    )
    for kind, reference in wanted.items():
        answer = answers.get(kind)
        if culprit is not None:
            results[kind] = info(f"{reference.name} was not read, because {culprit.name} failed")
        elif answer is None:
            culprit, results[kind] = reference, told.silence(reference)
        elif "failure" in answer:
            culprit = reference if answer["failure"]["type"] == "timeout" else None
            results[kind] = told.failure(reference, answer["failure"])
        else:
            results[kind] = answer
    return ClassRun(
        _inputs(inputs, results["inputs"]) if inputs is not None else None,
        _parameters(parameters, results["parameters"]) if parameters is not None else None,
        stand_ins,
        conversation.output,
    )


# The answers


def _inputs(reference: ClassReference, answer: Mapping[str, Any] | Diagnostic) -> ClassValue[Inputs]:
    if isinstance(answer, Diagnostic):
        return ClassValue(None, READER, (answer,))
    lines = _lines_of_inputs(reference.file)
    declared, problems = [], []
    for index, item in enumerate(answer["value"]):
        line = answer["line"]
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
                problems.append(
                    error(
                        f"{reference.name} gives something as its input {index} that is not an input",
                        "to_list() must give the five keys of define_input, with text for the name and the "
                        f"types and true or false for required, not {str(item)[:200]}",
                        file=reference.file,
                        line=line,
                    )
                )
    problems += problems_of(declared)
    return ClassValue(None if problems else tuple(declared), READER, tuple(problems))


def _parameters(reference: ClassReference, answer: Mapping[str, Any] | Diagnostic) -> ClassValue[Parameters]:
    if isinstance(answer, Diagnostic):
        return ClassValue(None, READER, (answer,))
    line = answer["line"] or _line_of_class(reference)
    problems = problems_of_parameters(answer["value"], reference.file, line)
    return ClassValue(None if problems else answer["value"], READER, tuple(problems))


def _lines_of_inputs(file: Path) -> dict[str, list[int]]:
    """Where the source calls `define_input` with a name in plain text; a computed name has no such line."""
    lines: dict[str, list[int]] = {}
    try:
        with parsing():
            tree = ast.parse(read_regular(file))
    except (
        OSError,
        SyntaxError,
        ValueError,
        RecursionError,
        MemoryError,
    ):  # a newer Python's syntax, for one
        return lines
    for node in ast.walk(tree):
        match node:
            case ast.Call(ast.Attribute(attr="define_input"), args, keywords):
                named = [*args[:1], *(one.value for one in keywords if one.arg == "name")]
                for value in named:
                    if isinstance(value, ast.Constant) and isinstance(value.value, str):
                        lines.setdefault(value.value, []).append(node.lineno)
    return lines


# The failures, each in words of its own


def _line_of_class(reference: ClassReference) -> int | None:
    try:
        with parsing():
            tree = ast.parse(read_regular(reference.file))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    lines = [n.lineno for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and n.name == reference.name]
    return lines[-1] if lines else None


@dataclass(frozen=True, slots=True)
class _Telling:
    folder: Path
    python: Path
    timeout: float
    conversation: "_RunnerAnswer"

    def failure(self, reference: ClassReference, failure: Mapping[str, Any]) -> Diagnostic:
        kind, message = failure["type"], failure.get("message") or ""
        file = self.folder / failure["file"] if failure.get("file") else reference.file
        # What fails in a base class has no line of the pipeline's own: the class stands for it.
        line = failure.get("line") or (_line_of_class(reference) if file == reference.file else None)
        said = f"{kind}: {message}" if message else kind
        if kind == "missing":
            return missing_class(reference, failure["classes"])
        if kind == "timeout":
            return error(
                f"{reference.name} did not finish within {self.timeout:g} seconds",
                "It was still running at this line and was stopped. A class that declares values should not "
                f"wait, download or train anything.{self._printed()}",
                file=file,
                line=line,
            )
        if kind == "shape":
            return error(
                f"{reference.name} answers with {message}, which is of the wrong shape",
                "to_list() of an inputs class is a list, to_dict() of a parameters class is a dict.",
                file=file,
                line=line,
            )
        if kind == "value":
            return error(
                f"{reference.name}: {message}",
                "Every value is sent to the platform as JSON.",
                file=file,
                line=line,
            )
        if failure.get("exit"):
            return error(
                f"{reference.name} ended the program ({said})",
                f"Take the exit out of the code that declares inputs and parameters.{self._printed()}",
                file=file,
                line=line,
            )
        if failure.get("module") and not self._is_own(failure["module"]):
            return self._import(reference, failure, file, line)
        return error(
            f"{reference.name} failed with {said}",
            "It is made once with no values to find out what it declares; every parameter needs a default."
            f"{self._printed()}",
            file=file,
            line=line,
        )

    def _import(
        self, reference: ClassReference, failure: Mapping[str, Any], file: Path, line: int | None
    ) -> Diagnostic:
        package = failure["module"].partition(".")[0]
        return error(
            f"{reference.name} cannot be imported: {self.python} has no usable {package}",
            f"{failure['type']}: {failure['message']}. Install the pipeline's packages with `uv sync` in "
            f"{self.folder}, or name its interpreter with --python.",
            file=file,
            line=line,
        )

    def silence(self, reference: ClassReference) -> Diagnostic:
        """No answer: the process never started, was killed, or ended by itself."""
        talk = self.conversation
        if talk.problem:
            return error(
                f"{self.python} cannot be started: {talk.problem}",
                "Name a Python 3.8 or later with --python.",
                file=reference.file,
            )
        if talk.excess == "printed":
            return error(
                f"{reference.name} printed more than {_MOST_OUTPUT >> 20} MiB and was stopped",
                f"A class that declares values should not print in a loop.{self._printed()}",
                file=reference.file,
                line=_line_of_class(reference),
            )
        if talk.excess == "answered":
            return error(
                f"the values of {reference.name} have more than {_MOST_ANSWER >> 20} MiB",
                "They are sent to the platform as JSON; give a path or a name instead of the data itself.",
                file=reference.file,
                line=_line_of_class(reference),
            )
        if talk.status is None:
            return self.failure(reference, {"type": "timeout"})
        how = f"signal {_signal_name(-talk.status)}" if talk.status < 0 else f"exit status {talk.status}"
        return error(
            f"{reference.name} ended the program ({how})",
            f"The process of {self.python} ended before it could answer.{self._printed()}",
            file=reference.file,
        )

    def _is_own(self, module: str) -> bool:
        root = self.folder / module.partition(".")[0]
        return root.is_dir() or root.with_suffix(".py").is_file()

    def _printed(self) -> str:
        last = self.conversation.output.strip().splitlines()[-3:]
        return "\nIt printed: " + "\n".join(last) if last else ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


# The process


@dataclass(frozen=True, slots=True)
class _RunnerAnswer:
    """What came of running the classes.

    Attributes:
        answers: as the helper sent them.
        status: how the process ended, as of `subprocess`; None when it was stopped at the time limit.
        output: the end of what it printed.
        problem: why the interpreter could not be started.
        excess: what it did so much of that it was stopped: "printed" or "answered".
    """

    answers: list[dict[str, Any]]
    status: int | None
    output: str
    problem: str = ""
    excess: str = ""


def _run_child(
    folder: Path, wanted: Mapping[str, ClassReference], python: Path, timeout: float
) -> _RunnerAnswer:
    reading, writing = os.pipe()
    request = {
        "folder": str(folder.resolve()),
        "classes": {kind: (_relative(one), one.name) for kind, one in wanted.items()},
        "enums": _ENUMS,
        "pipe": writing,
        "timeout": timeout,
    }
    command = [os.path.abspath(python), "-B", str(_HELPER), json.dumps(request)]  # noqa: PTH100 - keeps symlinks
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_SUPERVISOR), str(writing), *command],
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
        return _RunnerAnswer([], None, "", problem.strerror or str(problem))
    finally:
        os.close(writing)
    assert process.stdin is not None and process.stdout is not None
    listening = _OutputReader(reading, process.stdout.fileno(), time.monotonic() + timeout + _GRACE)
    try:
        listening.listen()
        status = _ended(process, 0.5)
    finally:
        process.stdin.close()  # what is still there ends
        try:
            process.wait(_ENDING)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        listening.close()
        process.stdout.close()
    output = bytes(listening.printed).decode("utf-8", "replace")[-_KEPT_OUTPUT:]
    not_started = next((answer["problem"] for answer in listening.answers if "problem" in answer), "")
    return _RunnerAnswer(listening.answers, status, output, not_started, listening.excess)


class _OutputReader:
    """Reads both pipes of the process side by side, keeps what is of use, and stops at too much of it."""

    def __init__(self, answering: int, printing: int, deadline: float) -> None:
        self._answering, self._printing, self._deadline = answering, printing, deadline
        self._received = bytearray()
        self._sizes = {answering: 0, printing: 0}
        self._complete = False
        self._selector = selectors.DefaultSelector()
        for pipe in (answering, printing):
            os.set_blocking(pipe, False)
            self._selector.register(pipe, selectors.EVENT_READ)
        self.answers: list[dict[str, Any]] = []
        self.printed = bytearray()
        self.excess = ""

    def listen(self) -> None:
        """Until the last answer, the end of that pipe, too much in either of them, or the deadline."""
        while not self._complete and not self.excess:
            ready = self._selector.select(max(0.0, self._deadline - time.monotonic()))
            if not ready:
                return
            for key, _ in ready:
                self._take(key.fd)

    def close(self) -> None:
        """Take what was printed last; everything that could still print has ended."""
        while not self.excess and self._printing in {key.fd for key, _ in self._selector.select(0)}:
            if not self._take(self._printing):
                break
        self._selector.close()
        os.close(self._answering)

    def _take(self, pipe: int) -> bool:
        part = os.read(pipe, 65_536)
        self._sizes[pipe] += len(part)
        if not part:
            self._selector.unregister(pipe)
            self._complete = self._complete or pipe == self._answering
        elif pipe == self._printing:
            self.printed += part
            del self.printed[: -4 * _KEPT_OUTPUT]
            if self._sizes[pipe] > _MOST_OUTPUT:
                self.excess = "printed"
        else:
            self._received += part
            if b"\n" in part:
                self._answered()
            if self._sizes[pipe] > _MOST_ANSWER:
                self.excess = "answered"
        return bool(part)

    def _answered(self) -> None:
        *lines, rest = self._received.split(b"\n")
        self._received = rest
        for line in lines:
            try:
                answer = json.loads(line)
            except (ValueError, RecursionError):
                answer = None
            if not _is_answer(answer):  # the code itself wrote to the pipe
                self._complete = True
                return
            self.answers.append(answer)
            self._complete = "stand_ins" in answer


def _is_answer(answer: Any) -> bool:
    """Whether it has the shape of what the helper sends: the code can write to the same pipe."""
    match answer:
        case {"problem": str()}:
            return True
        case {"stand_ins": [*names]}:
            return all(isinstance(name, str) for name in names)
        case {"kind": "inputs", "value": list(), "line": int() | None}:
            return True
        case {"kind": "parameters", "value": dict(), "line": int() | None}:
            return True
        case {"kind": "inputs" | "parameters", "failure": {"type": "missing", "classes": [*names]}}:
            return all(isinstance(name, str) for name in names)
        case {"kind": "inputs" | "parameters", "failure": {"type": str(kind), **details}}:
            texts = (details.get(key) for key in ("message", "file", "module"))
            return (
                kind != "missing"
                and all(isinstance(text, str | None) for text in texts)
                and isinstance(details.get("line"), int | None)
            )
    return False


def _relative(reference: ClassReference) -> str:
    return os.path.relpath(reference.file, reference.folder)


def _environment() -> dict[str, str]:
    """Of ours what is harmless; the same hashes each time, so that a set has one order."""
    kept = {name: value for name, value in os.environ.items() if _VARIABLES.fullmatch(name)}
    return {
        **kept,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONIOENCODING": "utf-8:replace",
        "PYTHONHASHSEED": "0",
    }


def _ended(process: subprocess.Popen[bytes], patience: float) -> int | None:
    """How the process ended by itself within these seconds; None when it did not."""
    try:
        return process.wait(timeout=patience)
    except subprocess.TimeoutExpired:
        return None
