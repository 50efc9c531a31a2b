"""The subprocess reader: what a class says, found by running it in the pipeline's own interpreter.

For classes that `static` does not follow. The code runs in a process of its own, with a time limit, without
anything that looks like a secret in its environment, and its answer comes back as JSON over a private pipe.
Nothing of it is ever imported here. It is not a sandbox: the code runs with the user's rights.
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
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from providers.regular_files import read_regular
from reconciler.diagnostics import Diagnostic, error, info
from reconciler.pipeline import enums
from reconciler.pipeline.classes import (
    ClassReference,
    ClassValue,
    InputDeclaration,
    Inputs,
    Parameters,
    missing_class,
    problems_of,
)
from reconciler.pipeline.syntax import parsing

READER: Final = "subprocess"

_HELPER: Final = Path(__file__).with_name("helper.py")
_ENUMS: Final = {
    "Framework": enums.FRAMEWORKS,
    "InferenceType": enums.INFERENCE_TYPES,
    "ProcessingInputType": enums.INPUT_TYPES,
    "ProcessingType": enums.PROCESSING_TYPES,
}
_SECRET: Final = re.compile(r"^PICSELLIA_|TOKEN|SECRET|PASSW|KEY|CREDENTIAL|AUTH", re.IGNORECASE)
_GRACE: Final = 2.0  # seconds for the helper itself to say where the class hangs
_KEPT_OUTPUT: Final = 10_000  # characters


@dataclass(frozen=True, slots=True)
class Ran:
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
) -> Ran:
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
    conversation = _converse(folder, wanted, python, timeout)
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
    return Ran(
        _inputs(inputs, results["inputs"]) if inputs is not None else None,
        _parameters(results["parameters"]) if parameters is not None else None,
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


def _parameters(answer: Mapping[str, Any] | Diagnostic) -> ClassValue[Parameters]:
    if isinstance(answer, Diagnostic):
        return ClassValue(None, READER, (answer,))
    return ClassValue(answer["value"], READER)


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
    conversation: "_Conversation"

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
                f" wait, download or train anything.{self._printed()}",
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
class _Conversation:
    answers: list[dict[str, Any]]
    status: int | None  # None: it was stopped at the time limit
    output: str
    problem: str = ""


def _converse(
    folder: Path, wanted: Mapping[str, ClassReference], python: Path, timeout: float
) -> _Conversation:
    reading, writing = os.pipe()
    request = {
        "folder": str(folder.resolve()),
        "classes": {kind: (_relative(one), one.name) for kind, one in wanted.items()},
        "enums": _ENUMS,
        "pipe": writing,
        "timeout": timeout,
    }
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.Popen(
                [os.path.abspath(python), "-B", str(_HELPER), json.dumps(request)],  # noqa: PTH100 - keeps symlinks
                cwd=folder,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(writing,),
                start_new_session=True,
            )
        except OSError as problem:
            os.close(reading)
            return _Conversation([], None, "", problem.strerror or str(problem))
        finally:
            os.close(writing)
        try:
            answers = list(_answers(reading, time.monotonic() + timeout + _GRACE))
            status = _ended(process)
        finally:
            os.close(reading)
            _end_group(process)
        return _Conversation(answers, status, _end_of(output))


def _relative(reference: ClassReference) -> str:
    return os.path.relpath(reference.file, reference.folder)


def _environment() -> dict[str, str]:
    """Ours without whatever may be a secret; the same hashes each time, so that a set has one order."""
    kept = {name: value for name, value in os.environ.items() if not _SECRET.search(name)}
    return {
        **kept,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONIOENCODING": "utf-8:replace",
        "PYTHONHASHSEED": "0",
    }


def _answers(pipe: int, deadline: float) -> Iterator[dict[str, Any]]:
    """One answer for each line, until the last one, the end of the pipe or the deadline."""
    received = b""
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while selector.select(max(0.0, deadline - time.monotonic())):
            part = os.read(pipe, 65_536)
            if not part:
                return
            *lines, received = (received + part).split(b"\n")
            for line in lines:
                try:
                    answer = json.loads(line)
                except ValueError:  # the code itself wrote to the pipe
                    return
                yield answer
                if "stand_ins" in answer:
                    return


def _ended(process: subprocess.Popen[bytes]) -> int | None:
    try:
        return process.wait(timeout=0.5)
    except subprocess.TimeoutExpired:
        return None


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Whatever the code started ends with it."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # PermissionError: macOS, when only zombies are left
        pass
    process.wait()


def _end_of(output: IO[bytes]) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - _KEPT_OUTPUT))
    return output.read().decode("utf-8", "replace")
