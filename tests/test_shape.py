"""The shape of the code itself: each module stands alone and says what it is for."""

import ast
import importlib
import importlib.util
import json
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TESTS = sorted((ROOT / "tests").rglob("*.py"))
PACKAGES = ("reconciler", "providers", "state")
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
PYTHON_SCRIPTS = [
    path
    for path in sorted((ROOT / "scripts").iterdir())
    if path.is_file() and "python" in path.read_text()[:40]
]
# Each module is imported with no other one of ours loaded; what is not ours stays, to keep this quick.
ALONE = """
import importlib, json, sys, traceback, warnings

warnings.simplefilter("error")
warnings.filterwarnings("ignore", "Deprecated attribute .* in submodule", DeprecationWarning)
modules, packages = json.load(sys.stdin)
ours = lambda name: name.partition(".")[0] in packages
failed, loaded = {}, {}
for module in modules:
    for name in [name for name in sys.modules if ours(name)]:
        del sys.modules[name]
    try:
        importlib.import_module(module)
    except BaseException:
        failed[module] = traceback.format_exc()
    loaded[module] = sorted(name for name in sys.modules if ours(name))
print(json.dumps([failed, loaded]))
"""


def modules() -> dict[str, Path]:
    """Every module of ours by its name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def python(code: str, given: object = None) -> str:
    """What this code prints in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=600,  # only against a hang: the machine may be busy
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_each_module_can_be_imported_alone() -> None:
    # __main__ runs what it names.
    names = [name for name in modules() if not name.endswith("__main__")]
    assert len(names) > 80
    failed, loaded = json.loads(python(ALONE, [names, PACKAGES]))
    assert not failed, "\n".join(f"{name}:\n{trace}" for name, trace in failed.items())
    assert all(name in loaded[name] for name in names)
    assert not [name for name in loaded["reconciler.core.plan"] if name.startswith("reconciler.cli")]


@pytest.mark.parametrize(
    ("module", "none_of"),
    [
        ("reconciler.core.planner", ("picsellia", "docker", "requests", "rich", "click", "starlette")),
        (
            "reconciler.pipeline.classes.class_child",
            ("picsellia", "docker", "requests", "pydantic", "tomlkit", "reconciler.core.values"),
        ),
        ("providers.sandbox", ("picsellia", "starlette", "uvicorn", "sqlite3")),
        ("tests.memory", ("picsellia", "docker", "requests")),
        ("state.stores.base", ("picsellia", "docker", "requests", "pydantic", "rich")),
        ("reconciler.core.events", ("requests", "urllib3")),
        ("reconciler.engine.validate", ("requests", "pydantic", "rich")),
        ("reconciler.engine.apply", ("picsellia", "docker", "starlette")),
    ],
)
def test_what_a_module_leaves_alone(module: str, none_of: tuple[str, ...]) -> None:
    code = f"import {module}, sys; print(*[name for name in {none_of!r} if name in sys.modules])"
    assert python(code).split() == []


def test_the_page_of_the_architecture_draws_every_room_and_no_other() -> None:
    page = (ROOT / "docs" / "explanation" / "architecture.md").read_text()
    lines = page.partition("## Rooms\n\n")[2].partition("\n\n")[0].splitlines()
    drawn, above = set(), list[str]()
    for line in lines:
        room = re.match(r"    ( *)(\w+)/ ", line)
        if room:
            depth = len(room[1]) // 2
            above[depth:] = [room[2]]
            drawn.add("/".join(above))
    there = {
        str(init.parent.relative_to(ROOT))
        for package in PACKAGES
        for init in (ROOT / package).rglob("__init__.py")
    }

    assert drawn == there | {"tests", "examples"}


@pytest.mark.parametrize("module", sorted(modules()))
def test_a_module_says_what_it_is_for(module: str) -> None:
    """An empty `__init__` has nothing to say."""
    tree = ast.parse(modules()[module].read_text())
    if not tree.body:
        assert modules()[module].name == "__init__.py"
        return
    said = ast.get_docstring(tree)
    assert said, f"{module} has no docstring"
    assert said.splitlines()[0].rstrip().endswith((".", ":", "?")), said.splitlines()[0]


@pytest.mark.parametrize("script", PYTHON_SCRIPTS, ids=lambda script: script.name)
def test_a_script_imports_names_that_exist(script: Path) -> None:
    """No type checker reads scripts/, so a renamed function would be found only by running them."""
    imports = [node for node in ast.walk(ast.parse(script.read_text())) if isinstance(node, ast.ImportFrom)]
    ours = [
        node
        for node in imports
        if (node.module or "").partition(".")[0] in (*PACKAGES, "benchmarks", "tests")
    ]
    for node in ours:
        assert node.module is not None
        for name in (alias.name for alias in node.names):
            module = importlib.import_module(node.module)
            submodule = (
                importlib.util.find_spec(f"{node.module}.{name}") if hasattr(module, "__path__") else None
            )
            assert hasattr(module, name) or submodule, f"{node.module} has no {name}"


def test_every_test_module_says_what_it_is_about() -> None:
    tests = [path for path in sorted((ROOT / "tests").rglob("*.py")) if path.read_text().strip()]
    assert len(tests) > 30
    assert [path.name for path in tests if not ast.get_docstring(ast.parse(path.read_text()))] == []


def test_the_helper_that_runs_classes_needs_nothing_but_python() -> None:
    """It runs in the pipeline's own interpreter, which may have none of our dependencies."""
    tree = ast.parse(modules()["reconciler.pipeline.classes.class_child"].read_text())
    imported = {
        (name.name if isinstance(node, ast.Import) else node.module or "").partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }
    assert imported
    assert imported <= set(sys.stdlib_module_names)


def test_nobody_but_the_command_line_prints_or_exits() -> None:
    allowed = (
        "reconciler.cli",
        "reconciler.pipeline.classes.class_child",
        "reconciler.__main__",
        "providers.sandbox.__main__",
    )
    found = []
    for name, path in modules().items():
        if name.startswith(allowed):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "print",
                "input",
                "sys.exit",
                "exit",
            ):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}")
    assert found == []


def test_a_release_holds_what_the_demo_plays_the_pages_the_licence_and_the_types(tmp_path: Path) -> None:
    """A wheel made from the sdist, as an installer makes it that finds no wheel."""
    (sdist,) = built(tmp_path, "sdist", ROOT)
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
        names = [name.partition("/")[2] for name in archive.getnames()]
    assert {"LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml"} <= set(names)
    assert not [name for name in names if name.startswith(("tests/", "docs/", ".venv"))]

    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path)
    subprocess.run([*pip, sdist], check=True, timeout=300)  # with nothing but what the build requires
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert "reconciler/examples/dataset_cleanup/config.toml" in names
    assert "reconciler/examples/dataset_cleanup/utils/inputs.py" in names
    assert "reconciler/views/pages/drift.html" in names
    assert "reconciler/schemas/config.schema.json" in names
    pages = {name for name in names if ".data/data/share/man/man1/" in name}
    assert {name.rpartition("/")[2] for name in pages} >= {"reconciler.1", "reconciler-state-show.1"}
    assert "reconciler/views/site/assets/uplot/uPlot.iife.min.js" in names
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    assert [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]
    assert not [name for name in names if name.startswith(("tests/", "examples/"))]


def built(into: Path, kind: str, source: Path) -> list[Path]:
    """What hatchling makes of a source folder."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(into)],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return list(into.glob("*.tar.gz" if kind == "sdist" else "*.whl"))


SHORT_WAIT = re.compile(r"\.(?:wait|join|result|communicate)\((?:timeout=)?(?:[1-9]|[1-5][0-9])(?:\.\d*)?\)")


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_test_fails_because_the_machine_is_slow(path: Path) -> None:
    """A test that waits for an event waits for `tests.waits.PATIENCE`."""
    assert SHORT_WAIT.findall(path.read_text()) == []


def test_a_short_wait_is_found() -> None:
    found = [SHORT_WAIT.search(f"one.{call}") for call in ("wait(30)", "join(timeout=5)", "result(1.5)")]
    assert all(found)
    assert not any(SHORT_WAIT.search(f"one.{call}") for call in ("wait(60)", "join()", "wait(0.1)"))


@pytest.mark.parametrize("module", sorted(m for m in modules() if m.startswith("reconciler.")))
def test_python_source_is_parsed_by_one_thread_at_a_time(module: str) -> None:
    """CPython 3.11 raises SystemError if two threads parse at the same time."""

    def unlocked(node: ast.AST, locked: bool) -> list[int]:
        if isinstance(node, ast.With):
            locked = locked or any(ast.unparse(item.context_expr) == "parsing()" for item in node.items)
        found = []
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("ast.parse", "compile") and not locked:
            found.append(node.lineno)
        return found + [line for child in ast.iter_child_nodes(node) for line in unlocked(child, locked)]

    assert unlocked(ast.parse(modules()[module].read_text()), locked=False) == []


def test_no_import_compiles_an_expression() -> None:
    """`providers.patterns` compiles it when it is used; together they took a fiftieth of a plan."""
    found = []
    for module, path in modules().items():
        lines = [line for line in ast.parse(path.read_text()).body if not isinstance(line, DEFINITIONS)]
        calls = [node for line in lines for node in ast.walk(line) if isinstance(node, ast.Call)]
        found += [f"{module}:{one.lineno}" for one in calls if ast.unparse(one.func) == "re.compile"]

    assert [place for place in found if not place.startswith("state.")] == []  # below `providers`
