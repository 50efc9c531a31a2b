"""Files as nobody would write them: `validate` says what is wrong and where, and never falls over or writes.

The examples' config.toml and classes are mutated by bytes, lines, tokens, TOML values and statements, always
in the same order for the same seed.
"""

import ast
import random
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.core.diagnostics import Severity
from reconciler.engine.requests import ReadOptions
from reconciler.engine.validate import validate
from tests.conftest import CASES, Cli, copy_example
from tests.faults.conftest import NAMES

FILES = ("config.toml", "utils/inputs.py", "utils/parameters.py")
MUTANTS = 5_000
RUN = 24  # of those that are read by running them
TOKENS = (
    *(
        "[",
        "]",
        "{",
        "}",
        "=",
        ".",
        ",",
        '"',
        "'",
        '"""',
        "#",
        "\\",
        "\n",
        "\t",
        "\0",
        "\ufeff",
        "\r\n",
        "é",
        "😀",
    ),
    *(
        "0",
        "-1",
        "1e400",
        "nan",
        "inf",
        "true",
        "0x10",
        "1979-05-27",
        "[[a]]",
        "[docker]",
        "a.b = 1",
        "{}",
        "[]",
    ),
    *(
        "class",
        "def",
        "self",
        "None",
        "lambda",
        "*",
        "**",
        "(",
        ")",
        ":",
        "import os",
        "raise",
        "return",
        "yield",
    ),
    *(
        "self.define_input(",
        "name=",
        "required=",
        "..",
        "/",
        "~",
        "%",
        "${HOME}",
        "../../etc/passwd",
        "1" * 5000,
    ),
)
VALUES = (
    *(
        '""',
        "''",
        '"x"',
        "0",
        "-1",
        "9999999999999999999999",
        "0.5",
        "nan",
        "true",
        "[]",
        "[[]]",
        "{}",
        "{a = 1}",
    ),
    *(
        "1979-05-27",
        "12:00:00",
        '"\\u0000"',
        '"../x.py:A"',
        '"utils/inputs.py"',
        '":"',
        '"a:b:c"',
        '"1.0.0-rc"',
        '"v1"',
    ),
    *(
        '"LOCALHOST:1/A B"',
        '"a/b:c@sha256:d"',
        "[1, 'a', {}]",
        '"TRAINING"',
        '"\\n"',
        '"  "',
        "[" * 50 + "]" * 50,
    ),
)

Mutation = Callable[[random.Random, bytes], bytes]


def bytes_changed(chance: random.Random, content: bytes) -> bytes:
    mutant = bytearray(content)
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(mutant) + 1)
        match chance.randrange(4):
            case 0:
                mutant[at:at] = bytes([chance.randrange(256)])
            case 1:
                del mutant[at : at + chance.randint(1, 40)]
            case 2 if at < len(mutant):
                mutant[at] ^= 1 << chance.randrange(8)
            case _:
                mutant[at:at] = mutant[at : at + chance.randint(1, 60)]
    return bytes(mutant)


def lines_changed(chance: random.Random, content: bytes) -> bytes:
    lines = content.splitlines(keepends=True) or [b""]
    for _ in range(chance.randint(1, 4)):
        at, other = chance.randrange(len(lines)), chance.randrange(len(lines))
        match chance.randrange(4):
            case 0 if len(lines) > 1:
                del lines[at]
            case 1:
                lines.insert(at, lines[other])
            case 2:
                lines[at], lines[other] = lines[other], lines[at]
            case _:
                lines[at] = b"    " * chance.randint(0, 3) + lines[at].lstrip()
    return b"".join(lines)


def tokens_changed(chance: random.Random, content: bytes) -> bytes:
    words = re.split(r"(\W)", content.decode())
    for _ in range(chance.randint(1, 5)):
        at = chance.randrange(len(words))
        match chance.randrange(3):
            case 0:
                words[at] = chance.choice(TOKENS)
            case 1:
                words.insert(at, chance.choice(TOKENS))
            case _:
                words[at] = chance.choice(words)
    return "".join(words).encode()


def values_changed(chance: random.Random, content: bytes) -> bytes:
    """Other values behind the equals signs of a TOML file or a call."""
    lines = content.decode().splitlines(keepends=True)
    with_values = [at for at, line in enumerate(lines) if "=" in line]
    for at in chance.sample(with_values, min(len(with_values), chance.randint(1, 3))):
        key, _, _ = lines[at].partition("=")
        lines[at] = f"{key}= {chance.choice(VALUES)}{chance.choice(['', ',', ')'])}\n"
    return "".join(lines).encode()


def statements_changed(chance: random.Random, content: bytes) -> bytes:
    """Python that parses and says something else; a TOML file has its tables shuffled."""
    try:
        tree = ast.parse(content)
    except SyntaxError:
        tables = re.split(rb"(?m)^(?=\[)", content)
        chance.shuffle(tables)
        return b"".join(tables)
    nodes = list(ast.walk(tree))
    for node in chance.sample(nodes, min(len(nodes), 6)):
        match node:
            case ast.Constant():
                node.value = chance.choice(
                    [None, True, -1, 2**70, 1.5, float("inf"), "", "dataset", "a\0b", b"x", ...]
                )
            case ast.Call() if node.keywords or node.args:
                node.args, node.keywords = [k.value for k in node.keywords], node.keywords[:1]
            case ast.FunctionDef() | ast.ClassDef():
                node.body = node.body[::-1]
            case ast.Name():
                node.id = chance.choice(["self", "range", "None_", "open", "super", node.id])
            case ast.Attribute():
                node.attr = chance.choice(["define_input", "TEXT", "DATASET_VERSION", "x", node.attr])
            case ast.For() | ast.If():
                node.body = [*node.body, node]
                node.body = node.body[:1]
    return ast.unparse(ast.fix_missing_locations(tree)).encode("utf-8", "surrogatepass")


MUTATIONS: tuple[Mutation, ...] = (
    bytes_changed,
    lines_changed,
    tokens_changed,
    values_changed,
    statements_changed,
)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    return [copy_example(name, tmp_path, "localhost:8000") for name in NAMES]


def mutants(folders: list[Path], seed: int, count: int) -> Iterator[tuple[str, Path, Path, bytes]]:
    """(what it is, the pipeline, the file, its new content); the file is itself again before the next."""
    chance = random.Random(seed)
    targets = [(folder, folder / file) for folder in folders for file in FILES if (folder / file).exists()]
    originals = {file: file.read_bytes() for _, file in targets}
    for number in range(count):
        folder, file = chance.choice(targets)
        mutation = chance.choice(MUTATIONS)
        try:
            mutant = mutation(chance, originals[file])
        except (ValueError, RecursionError):  # what Python itself cannot write down
            continue
        file.write_bytes(mutant)
        yield f"{number}: {file.parent.name}/{file.name} {mutation.__name__}", folder, file, mutant
        file.write_bytes(originals[file])


def complaints(
    what: str, folder: Path, file: Path, mutant: bytes, reading: ReadOptions
) -> tuple[bool, list[str]]:
    """Whether errors were found, and what is wrong with how they are told."""
    try:
        found = validate(folder, reading).diagnostics
    except Exception as problem:  # noqa: BLE001 - whatever it is, it is what this test is about
        return True, [f"{what}: {type(problem).__name__}: {problem}\n{mutant!r}"]
    errors = [d for d in found if d.severity is Severity.ERROR]
    wrong = [f"{what}: nowhere: {d.summary}" for d in errors if d.file is None]
    texts = ("config.toml", "inputs.py", "parameters.py")
    wrong += [
        f"{what}: no line: {d.summary} ({d.file})"
        for d in errors
        if d.file is not None and d.file.name in texts and d.line is None
    ]
    wrong += [f"{what}: a trace: {d.detail}" for d in errors if "Traceback" in d.detail + d.summary]
    if file.read_bytes() != mutant:
        wrong.append(f"{what}: it was written")
    return bool(errors), wrong


def test_files_are_read_or_refused_with_their_place(folders: list[Path], home: Path) -> None:
    before = {folder: contents(folder) for folder in folders}
    wrong: list[str] = []
    refused = accepted = 0
    for mutant in mutants(folders, seed=1, count=MUTANTS):
        failed, told = complaints(*mutant, ReadOptions(static_only=True))
        wrong += told
        refused, accepted = refused + failed, accepted + (not failed)
    assert not wrong, f"{len(wrong)} of {refused + accepted}\n" + "\n".join(wrong[:25])
    assert {folder: contents(folder) for folder in folders} == before, "validate wrote something"
    assert refused + accepted > MUTANTS * 0.95
    CASES["mutated files that were read or refused in their place"] += refused + accepted
    assert refused > MUTANTS / 3 and accepted > MUTANTS / 20, (refused, accepted)


def test_the_same_holds_when_classes_are_run(folders: list[Path], home: Path) -> None:
    computed = [folder for folder in folders if folder.name == "computed_inputs"]
    for path in computed[0].glob("**/__pycache__"):
        shutil.rmtree(path)
    before = contents(computed[0])
    wrong: list[str] = []
    for mutant in mutants(computed, seed=3, count=RUN):
        wrong += complaints(*mutant, ReadOptions(timeout=20.0))[1]
    assert not wrong, "\n".join(wrong)
    assert contents(computed[0]) == before, "running the classes left something behind"


@pytest.mark.parametrize(
    "content", [b"", b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"[" * 100_000, b"a=" + b"[" * 5_000]
)
def test_a_file_that_is_no_file_at_all(content: bytes, cli: Cli, home: Path) -> None:
    pipeline = copy_example("dataset_cleanup", cli.folder, "localhost:8000")
    for file in FILES:
        original = (pipeline / file).read_bytes()
        (pipeline / file).write_bytes(content)
        ended = cli("validate", "dataset_cleanup", "--static-only")
        assert "Traceback" not in ended.err and "a bug in" not in ended.err, ended.err
        (pipeline / file).write_bytes(original)
