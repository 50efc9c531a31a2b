"""The subprocess reader: the values of a class, and one readable error for each way that it can fail."""

import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.diagnostics import Diagnostic
from reconciler.pipeline.classes import runner
from reconciler.pipeline.classes.declarations import ClassReference
from reconciler.pipeline.classes.failures import no_input
from reconciler.pipeline.classes.installed import interpreter
from reconciler.pipeline.toml.toml_reader import described
from tests.pipeline import sources
from tests.pipeline.conftest import Files
from tests.waits import until

DEFINE = 'self.define_input("a", ProcessingInputType.TEXT)'


def run(
    folder: Path,
    python: Path,
    *,
    inputs: str | None = None,
    parameters: str | None = None,
    timeout: float = 20.0,
) -> runner.ClassRun:
    return runner.run(
        folder,
        inputs=ClassReference.parse(folder, inputs) if inputs else None,
        parameters=ClassReference.parse(folder, parameters) if parameters else None,
        python=python,
        timeout=timeout,
    )


def run_inputs(folder: Files, bare: Path, source: str, timeout: float = 20.0) -> runner.ClassRun:
    return run(folder({"inputs.py": source}), bare, inputs="inputs.py:Inputs", timeout=timeout)


def run_parameters(folder: Files, bare: Path, source: str) -> runner.ClassRun:
    return run(folder({"parameters.py": source}), bare, parameters="parameters.py:Params")


def problem(outcome: runner.ClassRun) -> Diagnostic:
    result = outcome.inputs if outcome.inputs is not None else outcome.parameters
    assert result is not None
    assert result.value is None
    (found,) = result.diagnostics
    return found


def test_both_classes_in_one_process(folder: Files, bare: Path) -> None:
    where = folder(
        {
            "utils/inputs.py": sources.inputs(
                "for n in (1, 2):\n    self.define_input(f'm{n}', ProcessingInputType.MODEL, n == 1)", DEFINE
            ),
            "utils/parameters.py": sources.parameters(
                "self.y = self.extract_parameter(['y'], int, 2 * 3)",
                "self.pid = str(os.getpid())",
                "self.framework = Framework.ONNX",
                top="import os\nfrom picsellia.types.enums import Framework\n",
            ),
        }
    )
    outcome = run(where, bare, inputs="utils/inputs.py:Inputs", parameters="utils/parameters.py:Params")
    assert outcome.inputs is not None
    assert outcome.inputs.value is not None
    assert [(i.name, i.input_type, i.required, i.line) for i in outcome.inputs.value] == [
        ("m1", "MODEL", True, 6),
        ("m2", "MODEL", False, 6),
        ("a", "TEXT", True, 10),
    ]
    assert outcome.parameters is not None
    assert outcome.parameters.value is not None
    assert list(outcome.parameters.value) == ["framework", "pid", "y"]
    assert outcome.parameters.value["framework"] == "ONNX"
    assert outcome.stand_ins == ("picsellia", "picsellia_cv_engine", "picsellia_pipelines_cli")


def test_output_is_kept_and_does_not_disturb_the_answer(folder: Files, bare: Path) -> None:
    outcome = run_inputs(
        folder,
        bare,
        sources.inputs("print('hello ' * 20_000)", "os.write(1, b'\\xff')", DEFINE, top="import os\n"),
    )
    assert outcome.inputs is not None
    assert outcome.inputs.value is not None
    assert "hello" in outcome.output
    assert len(outcome.output) <= 10_000


def test_the_folder_is_first_on_the_path_and_unchanged(folder: Files, bare: Path) -> None:
    where = folder(
        {
            "utils/__init__.py": "",
            "utils/shared.py": "NAMES = ['a', 'b']\n",
            "inputs.py": sources.inputs(
                "for name in NAMES:\n    self.define_input(name, ProcessingInputType.TEXT)",
                top="import os, sys\nfrom utils.shared import NAMES\nassert os.getcwd() == sys.path[0]\n",
            ),
        }
    )
    before = sorted(where.rglob("*"))
    outcome = run(where, bare, inputs="inputs.py:Inputs")
    assert outcome.inputs is not None
    assert outcome.inputs.value is not None
    assert sorted(where.rglob("*")) == before


HARMLESS = {
    *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TZ", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE"),
    *("XDG_CACHE_HOME", "VIRTUAL_ENV", "PYTHONPATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"),
    *("PYTHONDONTWRITEBYTECODE", "PYTHONIOENCODING", "PYTHONHASHSEED"),
}


@pytest.mark.parametrize("statement", ["os.environ", "map(os.fsdecode, os.environb)", "PARENT"])
def test_only_harmless_variables_reach_the_code(
    statement: str, folder: Files, bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret may have any name. The code cannot read it from the parent process either."""
    secrets = [
        "PICSELLIA_TOKEN",
        "GITHUB_TOKEN",
        "aws_secret",
        "DOCKER_AUTH_CONFIG",
        "GOOGLE_APPLICATION_CREDENTIALS",
    ]
    secrets += [
        "HF",
        "PGPASS",
        "DATABASE_URL",
        "SLACK_WEBHOOK",
        "HTTPS_PROXY",
        "MY_PAT",
        "X",
        "path",
        "PATHS",
        *("LC_", "LC_SECRET", "LC_ALLES", "LC_TOKEN"),
    ]
    for name in secrets:
        monkeypatch.setenv(name, "value")
    top = (
        "import os\nPARENT = open(f'/proc/{os.getppid()}/environ').read().split('\\0')\n"
        "PARENT = [variable.partition('=')[0] for variable in PARENT if variable]\n"
    )
    result = run_parameters(
        folder, bare, sources.parameters(f"self.names = sorted({statement})", top=top)
    ).parameters
    assert result is not None
    assert result.value is not None
    assert "PATH" in result.value["names"]
    assert set(result.value["names"]) <= HARMLESS


def test_a_set_has_the_same_order_each_time(folder: Files, bare: Path) -> None:
    source = sources.parameters("self.names = list({'a', 'b', 'c', 'd', 'e', 'f'})")
    first, second = (run_parameters(folder, bare, source).parameters for _ in range(2))
    assert first is not None
    assert first.value is not None
    assert second is not None
    assert first.value == second.value


@pytest.mark.parametrize(
    ("source", "line", "words"),
    [
        (sources.inputs("raise RuntimeError('no disk')"), 8, "Inputs failed with RuntimeError: no disk"),
        (sources.inputs("1 / 0", top="X = 1\n"), 9, "ZeroDivisionError"),
        (
            sources.inputs(DEFINE, top="import sys\nsys.exit('bye')\n"),
            4,
            "ended the program (SystemExit: bye)",
        ),
        (sources.inputs("raise KeyboardInterrupt"), 8, "KeyboardInterrupt"),
        (sources.inputs(DEFINE, top="import os\nos._exit(3)\n"), 7, "ended the program (exit status 3)"),
        (
            sources.inputs("os.kill(os.getpid(), 9)", top="import os\n"),
            6,
            "ended the program (signal SIGKILL)",
        ),
        (sources.inputs(DEFINE, top="import numpy\n"), 3, "has no usable numpy"),
        (sources.inputs(DEFINE, top="from picsellia import Client\n"), 3, "has no usable picsellia"),
        (
            sources.inputs(DEFINE, top="from picsellia_cv_engine.steps import x\n"),
            3,
            "no usable picsellia_cv",
        ),
        (sources.inputs(DEFINE, top="import inputs_helper\n"), 3, "has no usable inputs_helper"),
        (sources.inputs("self.define_input('a', 'TEXT')"), 5, "AttributeError"),
        (sources.inputs("self.define_input('a', ProcessingInputType.PICTURE)"), 8, "PICTURE"),
        (
            sources.inputs("self.define_input(1, ProcessingInputType.TEXT)"),
            6,
            "name of input 1 of Inputs must be text, not 1",
        ),
        (
            sources.inputs("self.define_input('max', ProcessingInputType.TEXT, required='no')"),
            8,
            "required of 'max' must be True or False, not \"no\"",
        ),
        (sources.inputs("self.to_list = lambda: 5"), 6, "returns a value of type int"),
        (sources.inputs("self.to_list = lambda: ['a']"), 6, "not an input"),
        (sources.inputs("self.to_list = lambda: [print]"), 6, "no JSON form"),
        (sources.inputs("exec(DEFINE)", "exec(DEFINE)", top=f"DEFINE = {DEFINE!r}\n"), 7, "declared twice"),
        (sources.inputs("self.define_input('.' * 2, ProcessingInputType.TEXT)"), 6, "cannot be the name"),
        (sources.inputs(DEFINE).replace("class Inputs", "class Input") + "print()\n", 1, "no class Inputs"),
        ("Inputs = 3\n", 1, "no class Inputs"),
        ("class Inputs(:\n", 1, "SyntaxError"),
    ],
)
def test_each_failure_has_its_own_message_and_line(
    folder: Files, bare: Path, source: str, line: int | None, words: str
) -> None:
    found = problem(run_inputs(folder, bare, source))
    assert words in found.summary
    assert found.file is not None
    assert found.file.name == "inputs.py"
    assert found.line == line


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("self.x = self.extract_parameter(['x'], int)", "Required parameter with key(s) ['x']"),
        ("self.x = self.extract_parameter(['x'], float, 1)", "not of the expected type"),
        ("self.x = self.extract_parameter(['x'], str, None)", "cannot be None"),
        ("self.x = self.extract_parameter(['x'], list[str], [])", "parameterized generic"),
        ("self.x = self.extract_parameter([], int, 1)", "at least one key"),
        ("self.when = {1, 2}", "'when' is of type set, which has no JSON form"),
        ("self.x = {1: 2}", "'x' has a key that is not text"),
        ("self.x = 2 ** 64", "'x' is a whole number of more than 64 bits"),
        ("self.loop = []\nself.loop.append(self.loop)", "'loop'"),
    ],
)
def test_parameters_fail_as_in_the_engine(folder: Files, bare: Path, statement: str, words: str) -> None:
    assert words in problem(run_parameters(folder, bare, sources.parameters(statement))).summary


@pytest.mark.parametrize("argument", ["name", "input_type", "required", "inference_type_constraint"])
@pytest.mark.parametrize("value", [5, 2.5, [], {"a": 1}, "True"])
def test_a_wrong_argument_of_an_input_is_named_with_its_value(argument: str, value: Any) -> None:
    item = {
        "name": "max_images",
        "input_type": "TEXT",
        "required": True,
        "inference_type_constraint": None,
        "framework_constraint": None,
        argument: value,
    }
    if value == "True" and argument != "required":
        return
    found = no_input(item, 0, ClassReference.parse(Path(), "inputs.py:Inputs"), 7)
    assert found.summary.startswith(f"{argument} of ")
    assert argument == "name" or "'max_images'" in found.summary
    assert found.summary.endswith(f"not {described(value)}")
    assert "{" not in f"{found.summary}{found.detail}"
    assert found.line == 7


@pytest.mark.parametrize(
    ("statement", "advised"),
    [
        ("self.define_input('a', DatasetType.TEXT)", "Import or define DatasetType."),
        (
            "self.define_input('a', ProcessingInputType.DATASET_VERSIN)",
            "ProcessingInputType has TEXT, NUMBER, DATASET_VERSION, MODEL_VERSION, MODEL, DATALAKE, DATASET. "
            "Did you mean 'DATASET_VERSION'?",
        ),
        (
            "self.define_input('a', ProcessingInputType.TEXT, framework_constraint=Framework.ONNX)",
            "Add `from picsellia.types.enums import Framework`.",
        ),
        ("{}['x']", "give every parameter a default"),
        ("(lambda x: x)()", "give every parameter a default"),
        ("raise RuntimeError('no disk')", "Correct this line"),
        ("1 / 0", "Correct this line"),
        ("None.x", "Correct this line"),
        ("int('x')", "Correct this line"),
    ],
)
def test_the_advice_fits_the_failure(folder: Files, bare: Path, statement: str, advised: str) -> None:
    top = "del Framework\n" if "Framework.ONNX" in statement else ""
    found = problem(run_inputs(folder, bare, sources.inputs(statement, top=top)))
    assert advised in found.detail
    assert ("default" in found.detail) == ("default" in advised)


BAD_NAMES = ["", " ", "\n", "a\nb", "\x00", "\x1b[31m", "\u202e", "\u2028", "\x85", "x" * 1_001]
ODD_NAMES = [
    *(
        "a.b",
        ".",
        "..",
        "a b",
        " a ",
        "a/b",
        "#",
        "a#b",
        "[0]",
        '"',
        "'",
        "\\",
        "%",
        "=",
        "0",
        "null",
        "é",
        "日本",
    ),
    *("::error::x", "default_parameters", "x" * 1_000, "😀", "<b>", "~", "a:b"),
]


def test_an_invalid_parameter_name_is_refused_on_its_line(folder: Files, bare: Path) -> None:
    result = run_parameters(
        folder, bare, sources.parameters(f"for n in {BAD_NAMES!r}: setattr(self, n, 1)")
    ).parameters
    assert result is not None
    assert result.value is None
    assert len(result.diagnostics) == len(BAD_NAMES)
    for found in result.diagnostics:
        assert "cannot be the name of a parameter" in found.summary
        assert found.summary.isprintable()
        assert found.line == 5


def test_any_other_name_is_a_valid_parameter(folder: Files, bare: Path) -> None:
    result = run_parameters(
        folder, bare, sources.parameters(f"for n in {ODD_NAMES!r}: setattr(self, n, 1)")
    ).parameters
    assert result is not None
    assert result.value == dict.fromkeys(ODD_NAMES, 1)


def test_an_error_in_another_file_has_that_files_line(folder: Files, bare: Path) -> None:
    where = folder(
        {
            "inputs.py": sources.inputs(DEFINE, top="from utils.paths import HERE\n"),
            "utils/paths.py": "import json\n\nHERE = json.loads('{')\n",
        }
    )
    found = problem(run(where, bare, inputs="inputs.py:Inputs"))
    assert found.place == f"{where / 'utils/paths.py'}:3"


@pytest.mark.parametrize(
    ("statement", "line"),
    [("while True: pass", 9), ("time.sleep(60)", 9), ("time.sleep = None or time.sleep(60)", 9)],
)
def test_a_class_that_never_returns_is_stopped_with_its_line(
    folder: Files, bare: Path, statement: str, line: int
) -> None:
    # Long enough to reach the statement on a busy machine.
    found = problem(run_inputs(folder, bare, sources.inputs(statement, top="import time\n"), timeout=5))
    assert "did not finish within 5 seconds" in found.summary
    assert found.line == line


def test_a_class_that_blocks_the_interpreter_is_stopped(folder: Files, bare: Path) -> None:
    stuck = "re.match('(a*)*b', 'a' * 40)"  # matching a regular expression blocks all other threads
    found = problem(run_inputs(folder, bare, sources.inputs(stuck, top="import re\n"), timeout=0.3))
    assert "did not finish within 0.3 seconds" in found.summary


DETACH = """
def detached(code):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            for number in range(1, 32):
                try:
                    signal.signal(number, signal.SIG_IGN)
                except (OSError, ValueError):
                    pass
            for descriptor in range(64):
                try:
                    os.close(descriptor)
                except OSError:
                    pass
            os.execv(sys.executable, [sys.executable, '-S', '-c', code, MARK])
        os._exit(0)
    os.wait()

def sleeper(**how):
    subprocess.Popen([sys.executable, '-S', '-c', SLEEP, MARK], **how)
"""
# Starts a child and exits, again and again, so that no process lives for long.
# It also ends by itself, in case the test is killed before it can end it.
HOPPING = (
    "import os, sys, time\\nend = time.time() + 300\\nwhile time.time() < end:\\n"
    "  if os.fork(): os._exit(0)\\n  time.sleep(0.001)"
)
STARTS = {
    "a child": "sleeper()",
    "a child in a session of its own": "sleeper(start_new_session=True)",
    "a child without an environment": "sleeper(start_new_session=True, env={})",
    "a daemon": "detached(SLEEP)",
    "ten of them": "for _ in range(5):\n    detached(SLEEP)\n    sleeper(start_new_session=True)",
    "a daemon that hands itself on": "detached(HOPPING)",
    "a daemon that starts others": "detached('import subprocess, sys; ' + OTHERS + SLEEP)",
}
ENDS = {
    "returns": "pass",
    "raises": "raise RuntimeError('no disk')",
    "hangs": "time.sleep(600)",
    "leaves": "os._exit(0)",
    "is killed": "os.kill(os.getpid(), 9)",
    "prints for ever": "while True:\n    print('x' * 100_000)",
    **{
        f"sends {name} to its parent": f"os.kill(os.getppid(), signal.{name})"
        for name in ("SIGTERM", "SIGKILL", "SIGSTOP", "SIGINT")
    },
    "kills its parent and leaves": "os.kill(os.getppid(), 9)\nos._exit(0)",
    "kills its parent and hangs": "os.kill(os.getppid(), 9)\ntime.sleep(600)",
    "kills both supervisors and hangs": (
        "above = open(f'/proc/{os.getppid()}/stat').read().rpartition(') ')[2].split()[1]\n"
        "os.kill(int(above), 9)\nos.kill(os.getppid(), 9)\ntime.sleep(600)"
    ),
    "stops its parent and leaves": "os.kill(os.getppid(), signal.SIGSTOP)\nos._exit(0)",
}
COMPLETE = {end for end in ENDS if end == "returns" or end.startswith("sends")}


def marked(mark: str) -> list[str]:
    """Every running process with this mark among its arguments."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                arguments = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if mark.encode() in arguments:  # a zombie has none
                found.append(entry.name)
    return found


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("end", ENDS)
def test_all_processes_of_a_class_end_with_it(start: str, end: str, folder: Files, bare: Path) -> None:
    mark = f"started-by-{uuid.uuid4().hex}"
    top = (
        "import os, signal, subprocess, sys, time\n"
        f"MARK = {mark!r}\nSLEEP = 'import time; time.sleep(600)'\nHOPPING = '{HOPPING}'\n"
        "OTHERS = \"a = [sys.executable, '-S', '-c', 'import time; time.sleep(600)', sys.argv[1]]; \"\n"
        'OTHERS += "[subprocess.Popen(a, start_new_session=True) for _ in range(3)]; "\n' + DETACH
    )
    source = sources.parameters(STARTS[start], "time.sleep(0.1)", ENDS[end], "self.started = True", top=top)
    where = folder({"parameters.py": source})
    outcome = run(where, bare, parameters="parameters.py:Params", timeout=1.0 if "hangs" in end else 60.0)
    assert marked(mark) == []
    assert outcome.parameters is not None
    assert (outcome.parameters.value == {"started": True}) == (end in COMPLETE), outcome.parameters


@pytest.mark.parametrize("limit", ["a limit of the shell", "a limit of the class"])
@pytest.mark.parametrize("start", ["a daemon", "ten of them", "a daemon that hands itself on"])
@pytest.mark.parametrize("end", [end for end in ENDS if "parent" in end])
def test_no_limit_of_locks_lets_a_process_live(
    start: str,
    end: str,
    limit: str,
    folder: Files,
    bare: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The mark of the processes is such a limit: it cannot be set, or is gone."""
    mark = f"started-by-{uuid.uuid4().hex}"
    if limit == "a limit of the shell":
        shell = tmp_path / "limited"
        shell.write_text(f'#!/bin/bash\nulimit -x 1000\nexec {sys.executable} "$@"\n')
        shell.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(shell))
    top = (
        "import os, resource, signal, subprocess, sys, time\n"
        f"MARK = {mark!r}\nSLEEP = 'import time; time.sleep(600)'\nHOPPING = '{HOPPING}'\n" + DETACH
    )
    lower = "resource.setrlimit(10, (7, 7))" if limit == "a limit of the class" else "pass"
    source = sources.parameters(lower, STARTS[start], "time.sleep(0.1)", ENDS[end], top=top)
    where = folder({"parameters.py": source})
    run(where, bare, parameters="parameters.py:Params", timeout=1.0 if "hangs" in end else 60.0)
    assert marked(mark) == []


def test_all_processes_of_a_class_end_with_ours(folder: Files, bare: Path) -> None:
    """Even if our own process is killed and cannot end anything itself."""
    mark = f"started-by-{uuid.uuid4().hex}"
    top = (
        f"import os, signal, subprocess, sys, time\nMARK = {mark!r}\nSLEEP = 'import time; time.sleep(600)'\n"
    )
    source = sources.parameters("detached(SLEEP)", "sleeper()", "time.sleep(600)", top=top + DETACH)
    where = folder({"parameters.py": source})
    code = (
        "import sys; from pathlib import Path; from reconciler.pipeline.classes import runner\n"
        "from reconciler.pipeline.classes.declarations import ClassReference\n"
        "where = Path(sys.argv[1]); one = ClassReference.parse(where, 'parameters.py:Params')\n"
        "runner.run(where, inputs=None, parameters=one, python=Path(sys.argv[2]), timeout=600)\n"
    )
    ours = subprocess.Popen([sys.executable, "-c", code, str(where), str(bare)])
    try:
        until(lambda: len(marked(mark)) >= 2)
    finally:
        ours.kill()
        ours.wait()
    until(lambda: marked(mark) == [])


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("while True: print('x' * 100_000)", "Params printed more than 10 MiB and was stopped"),
        ("while True: print('x' * 100_000, file=sys.stderr)", "printed more than 10 MiB"),
        ("while True: os.write(2, b'x' * 100_000)", "printed more than 10 MiB"),
        ("subprocess.run(['cat', '/dev/zero'])", "printed more than 10 MiB"),
        ("self.x = 'x' * (1 << 21)", "'x' is too large"),
        ("self.x = list(range(1 << 21))", "'x' is too large"),
        ("self.x = []\nfor _ in range(100): self.x = [self.x, self.x]", "'x' is too large"),
        ("for n in range(12): setattr(self, f'x{n}', 'x' * (1 << 19))", "of Params have more than 4 MiB"),
        ("while True: flood()", "of Params have more than 4 MiB"),
    ],
)
def test_output_and_answers_are_limited(statement: str, words: str, folder: Files, bare: Path) -> None:
    top = (
        "import fcntl, os, subprocess, sys\n"
        "def flood():\n"
        "    for descriptor in sorted(int(name) for name in os.listdir('/dev/fd'))[3:]:\n"
        "        try:\n            os.write(descriptor, b'x' * 65536)\n"
        "        except OSError:\n            pass\n"
    )
    found = problem(run_parameters(folder, bare, sources.parameters(statement, top=top)))
    assert words in found.summary
    assert found.line is not None
    assert found.file is not None
    assert len(found.detail) < 50_000


@pytest.mark.parametrize(
    "answer",
    [
        *("1", "[]", "{}", "null", "[" * 100_000, "\\xff", '{"answer": 1}', '{"answer": "parameters"}'),
        '{"answer": "parameters", "value": {"x": 1}, "line": 1}\n{"answer": "finished", "stand_ins": []}',
        '{"answer": "finished", "stand_ins": []}',
        '{"answer": "failed", "kind": "parameters", "failure": {"type": "x", "line": "y"}}',
    ],
)
def test_a_class_that_writes_to_the_pipe_of_its_answer_is_named(
    answer: str, folder: Files, bare: Path
) -> None:
    top = (
        "import os\n"
        "def forged(text):\n"
        "    for descriptor in sorted(int(name) for name in os.listdir('/dev/fd'))[3:]:\n"
        "        try:\n            os.write(descriptor, text.encode() + b'\\n')\n"
        "        except OSError:\n            pass\n"
    )
    found = problem(run_parameters(folder, bare, sources.parameters(f"forged({answer!r})", top=top)))
    assert found.summary == "Params wrote into the pipe through which its values are sent"
    assert found.line == 11


@pytest.mark.parametrize("then", ["", "time.sleep(600)"])
def test_a_class_that_closes_the_pipe_of_its_answer_is_named(then: str, folder: Files, bare: Path) -> None:
    statements = [one for one in ("os.closerange(3, os.sysconf('SC_OPEN_MAX'))", then) if one]
    found = problem(run_parameters(folder, bare, sources.parameters(*statements, top="import os, time\n")))
    assert found.summary == "Params closed the pipe through which its values are sent"
    assert found.line == 5


def test_the_class_after_one_that_hangs_is_reported_as_unread(folder: Files, bare: Path) -> None:
    where = folder(
        {
            "inputs.py": sources.inputs("while True: pass"),
            "parameters.py": sources.parameters("self.x = 1 + 1"),
        }
    )
    outcome = run(where, bare, inputs="inputs.py:Inputs", parameters="parameters.py:Params", timeout=0.5)
    assert outcome.parameters is not None
    (remark,) = outcome.parameters.diagnostics
    assert remark.summary == "Params was not read, because Inputs failed"


def test_a_failing_class_does_not_hide_the_other(folder: Files, bare: Path) -> None:
    where = folder(
        {"inputs.py": sources.inputs("1 / 0"), "parameters.py": sources.parameters("self.x = 1 + 1")}
    )
    outcome = run(where, bare, inputs="inputs.py:Inputs", parameters="parameters.py:Params")
    assert outcome.parameters is not None
    assert outcome.parameters.value == {"x": 2}


def test_an_invalid_interpreter(folder: Files, tmp_path: Path) -> None:
    where = folder({"inputs.py": sources.inputs(DEFINE)})
    found = problem(run(where, tmp_path / "missing", inputs="inputs.py:Inputs"))
    assert "cannot be started: No such file or directory" in found.summary
    assert "--python" in found.detail


def test_choice_of_the_interpreter(tmp_path: Path) -> None:
    assert interpreter(tmp_path) == Path(sys.executable)
    own = tmp_path / ".venv" / "bin" / "python"
    own.parent.mkdir(parents=True)
    own.touch()
    assert interpreter(tmp_path) == own
    assert interpreter(tmp_path, Path("/opt/python")) == Path("/opt/python")


def test_an_environment_whose_python_was_removed_is_not_passed_over(folder: Files) -> None:
    """Ours could have other packages, and other defaults."""
    where = folder({"inputs.py": sources.inputs(DEFINE)})
    own = where / ".venv" / "bin" / "python"
    own.parent.mkdir(parents=True)
    own.symlink_to("/removed/python3.9")
    assert interpreter(where) == own
    found = problem(run(where, own, inputs="inputs.py:Inputs"))
    assert f"{own} cannot be started: No such file or directory" in found.summary


def test_an_installed_package_is_not_replaced(folder: Files, bare: Path) -> None:
    where = folder(
        {
            "picsellia_cv_engine/core/parameters.py": "class Parameters:\n"
            "    def __init__(self, log_data):\n        pass\n"
            "    def to_dict(self):\n        return {'mine': 1}\n",
            "parameters.py": "from picsellia_cv_engine.core.parameters import Parameters as Params\n",
        }
    )
    outcome = run(where, bare, parameters="parameters.py:Params")
    assert outcome.parameters is not None
    assert outcome.parameters.value == {"mine": 1}
    assert outcome.stand_ins == ()


def test_the_stand_in_extracts_given_values_as_the_engine_does(folder: Files, bare: Path) -> None:
    """Classes may pass their own values to the base; each expected value is the result of cv-engine 0.6."""
    cases = [
        ("int", "'100.0'", 100),
        ("int", "7.0", 7),
        ("float", "3", 3.0),
        ("bool", "'Yes'", True),
        ("bool", "0", False),
        ("str", "'a'", "a"),
        ("Optional[str]", "'none'", None),
        ("Optional[int]", "'5'", 5),
        ("Mode", "'fast'", "f"),
        ("Mode", "'f'", "f"),
    ]
    given = ", ".join(f"'k{number}': {value}" for number, (_, value, _) in enumerate(cases))
    statements = [
        f"self.k{number} = self.extract_parameter(['none', 'k{number}'], {kind})"
        for number, (kind, _, _) in enumerate(cases)
    ]
    source = sources.parameters(
        *statements,
        top="from enum import Enum\nfrom typing import Optional\nclass Mode(Enum):\n    FAST = 'f'\n",
    ).replace("log_data=log_data", f"log_data={{{given}}}")
    result = run_parameters(folder, bare, source).parameters
    assert result is not None
    assert result.value == {f"k{number}": expected for number, (_, _, expected) in enumerate(cases)}


@pytest.mark.parametrize(
    ("value", "words"),
    [("'5.5', int", "without losing precision"), ("'maybe', bool", "boolean"), ("11, int", "range")],
)
def test_the_stand_in_refuses_given_values_as_the_engine_does(
    folder: Files, bare: Path, value: str, words: str
) -> None:
    given, kind = value.split(", ")
    source = sources.parameters(
        f"self.x = self.extract_parameter(['x'], {kind}, range_value=(0, 10))"
    ).replace("log_data=log_data", f"log_data={{'x': {given}}}")
    assert words in problem(run_parameters(folder, bare, source)).summary


def test_the_child_runs_on_python_3_8() -> None:
    import ast

    helper = Path(runner.__file__).with_name("class_child.py").read_text()
    tree = ast.parse(helper, feature_version=(3, 8))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names
