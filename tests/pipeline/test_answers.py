"""Whatever arrives on the pipe of the program that runs classes is an answer, or an error with its place."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.diagnostics import Severity
from reconciler.pipeline.classes import runner
from reconciler.pipeline.classes.answers import ClassKind, decode
from reconciler.pipeline.classes.declarations import ClassReference

INPUT = {
    "name": "mask",
    "input_type": "DATASET_VERSION",
    "required": True,
    "inference_type_constraint": None,
    "framework_constraint": None,
}
FAILURE = {"type": "ValueError", "message": "no", "file": "a.py", "line": 3, "module": None, "exit": False}
MESSAGES: list[dict[str, Any]] = [
    {"answer": "inputs", "value": [INPUT], "line": 3},
    {"answer": "parameters", "value": {"a": 1, "b": [None]}, "line": 3, "nulls": [[["a"], "int", "a.py", 3]]},
    {"answer": "failed", "kind": "inputs", "failure": FAILURE},
    {"answer": "failed", "kind": "parameters", "failure": {"type": "missing", "classes": ["Other"]}},
    {"answer": "failed", "kind": "parameters", "failure": {"type": "timeout"}},
    {"answer": "finished", "stand_ins": ["picsellia"]},
    {"answer": "not-started", "problem": "no such file"},
]

texts = st.text(st.characters(), max_size=8) | st.sampled_from(["\ud800", "\udcff", "\0", "missing", "shape"])
numbers = st.integers() | st.floats() | st.sampled_from([2**64, -(2**70), 10**400, -1])
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from places(item, (*place, key))


def changed(value: Any, place: tuple[Any, ...], new: Any, *, drop: bool) -> Any:
    """A copy with another value at this place, or without it."""
    if not place:
        return new
    key, *rest = place
    copy = dict(value) if isinstance(value, dict) else list(value)
    if rest or not drop:
        copy[key] = changed(value[key], tuple(rest), new, drop=drop)
    else:
        del copy[key]
    return copy


@st.composite
def near_messages(draw: st.DrawFn) -> Any:
    message = draw(st.sampled_from(MESSAGES))
    for _ in range(draw(st.integers(0, 2))):
        place = draw(st.sampled_from(list(places(message))))
        message = changed(message, place, draw(json_values), drop=draw(st.booleans()))
    return message


lines = st.one_of(
    near_messages().map(lambda message: json.dumps(message).encode()),
    json_values.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")),
    st.binary(max_size=20),
    st.sampled_from([b"[" * 5_000, b'{"a":' * 400 + b"1" + b"}" * 400, b"1e999", b"NaN"]),
)


def received(sent: bytes) -> runner._OutputReader:
    """What the runner makes of these bytes."""
    answering, writing = os.pipe()
    printing, unused = os.pipe()
    os.write(writing, sent)
    os.close(writing)
    reader = runner._OutputReader(answering, printing, time.monotonic() + 5)
    reader.read()
    os.close(unused)
    reader.close()
    os.close(printing)
    return reader


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pipeline")
    (folder / "a.py").write_text("import os\n\nclass Inputs:\n    pass\n\nclass Params:\n    pass\n")
    return folder


@settings(max_examples=1_500)
@given(sent=st.lists(lines, max_size=4), complete=st.booleans(), status=st.sampled_from([None, 0, 1, -9]))
def test_whatever_is_sent_is_an_answer_or_an_error_with_its_place(
    sent: list[bytes], complete: bool, status: int | None, folder: Path
) -> None:
    end = [json.dumps(MESSAGES[5]).encode()] if complete else []
    reader = received(b"\n".join([*sent, *end, b""]))
    assert reader.ending is not None
    requested: dict[ClassKind, ClassReference] = {
        "inputs": ClassReference.parse(folder, "a.py:Inputs"),
        "parameters": ClassReference.parse(folder, "a.py:Params"),
    }

    ran = runner._class_run(
        requested, folder, Path("python"), 1.0, runner._ChildRun(reader.messages, reader.ending, status)
    )

    assert ran.inputs is not None and ran.parameters is not None
    if ran.inputs.value is not None and ran.parameters.value is not None:
        assert reader.ending is runner.Ending.FINISHED
        json.dumps(ran.parameters.value, allow_nan=False, ensure_ascii=False).encode()
    for read in (ran.inputs, ran.parameters):
        errors = [one for one in read.diagnostics if one.severity is Severity.ERROR]
        assert read.value is not None or read.diagnostics
        for one in errors:
            os.fsencode(f"{one.summary}{one.detail}{one.file}")
            assert one.file is not None
            assert one.line is not None or one.file != folder / "a.py" or "cannot be started" in one.summary


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: str(message["answer"]))
def test_each_message_of_the_program_is_one(message: dict[str, Any]) -> None:
    decode(json.dumps(message).encode())
