"""What must exist once is made once, also for threads that ask first at the same time."""

import ast
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from urllib3 import HTTPConnectionPool

from providers import bounded
from reconciler.pipeline.classes import official, static
from reconciler.pipeline.classes.declarations import ClassReference
from reconciler.pipeline.classes.installed import NOTHING
from reconciler.pipeline.classes.static_module import NotStatic
from tests.test_shape import modules

THREADS = 8
MAKERS = {"Enum", "IntEnum", "StrEnum", "Flag", "NewType", "namedtuple"}
MAKERS |= {"Lock", "RLock", "Condition", "Semaphore", "Event", "local", "ContextVar"}


@pytest.fixture(autouse=True)
def switching() -> Iterator[None]:
    """Threads that lose their turn at once, so that those that race do so often."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def at_once(ask: Callable[[], Any]) -> list[Any]:
    """The answers to threads that ask together."""
    barrier = threading.Barrier(THREADS)

    def asking(_: int) -> Any:
        barrier.wait()
        return ask()

    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(asking, range(THREADS)))


POOLS = [type(f"Pool{turn}", (HTTPConnectionPool,), {}) for turn in range(60)]


@pytest.mark.parametrize(
    "factory",
    [
        lambda turn: official._enum(f"Kind{turn}", ("A", "B")),
        lambda turn: bounded._bounded_pool(POOLS[turn]),
    ],
    ids=["enum", "pool"],
)
def test_threads_get_one_object(factory: Callable[[int], Any]) -> None:
    for turn in range(len(POOLS)):
        assert len(set(map(id, at_once(partial(factory, turn))))) == 1, turn


def test_no_cache_of_functools_makes_what_must_exist_once() -> None:
    found = [
        f"{name}.{node.name}"
        for name, path in modules().items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and any(map(is_cache, node.decorator_list)) and makes_one(node)
    ]
    assert found == []


def is_cache(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return last_name(called) in ("cache", "lru_cache")


def makes_one(function: ast.FunctionDef) -> bool:
    """Whether a type, an enum or a lock is made in it."""
    return any(
        isinstance(node, ast.ClassDef)
        or (isinstance(node, ast.Call) and last_name(node.func) in MAKERS)
        or (isinstance(node, ast.Call) and last_name(node.func) == "type" and len(node.args) > 1)
        for node in ast.walk(function)
    )


def last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def test_pipelines_read_at_the_same_time_share_the_enums_of_their_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "inputs.py").write_text(
        "from picsellia.types.enums import ProcessingInputType\n"
        "from picsellia_pipelines_cli.utils.inputs import PipelineInputs\n\n\n"
        "class ProcessingInputs(PipelineInputs):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        '        self.define_input("prompt", ProcessingInputType.TEXT)\n'
    )
    reference = ClassReference.parse(tmp_path, "inputs.py:ProcessingInputs")
    for turn in range(30):
        # Members that no other turn had, as at the first read of a process.
        monkeypatch.setitem(official._MEMBERS, "ProcessingInputType", ("TEXT", f"OTHER_{turn}"))
        answers = at_once(partial(static.read_inputs, reference, NOTHING))
        assert [a for a in answers if isinstance(a, NotStatic)] == []
