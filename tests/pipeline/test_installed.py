"""The packages of a pipeline's own interpreter decide what its classes inherit."""

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.pipeline.classes import runner
from reconciler.pipeline.classes.class_child import plain
from reconciler.pipeline.classes.declarations import ClassReference
from reconciler.pipeline.classes.evaluate import EvaluatedClasses, evaluate
from reconciler.pipeline.classes.installed import NOTHING, Installed, UnknownError, installed_in
from reconciler.pipeline.classes.official import CLASSES, INPUTS_BASE
from reconciler.pipeline.classes.static import read_parameters
from reconciler.pipeline.classes.static_module import NotStatic
from reconciler.pipeline.config import load
from tests.official.installed import Official
from tests.pipeline import sources
from tests.pipeline.conftest import TRAINING, Files

CONFIG = TRAINING.replace(
    'pipeline_script = "pipeline.py"',
    'pipeline_script = "pipeline.py"\nparameters_class = "parameters.py:Params"',
)
CLASS = (
    "from picsellia_cv_engine.core.parameters import HyperParameters\n\n\n"
    "class Params(HyperParameters):\n    pass\n"
)
# An engine of another version: the same names, other defaults.
ENGINE = {
    "__init__.py": "",
    "core/__init__.py": "",
    "core/parameters/__init__.py": "from .hyper_parameters import HyperParameters\n",
    "core/parameters/hyper_parameters.py": (
        "class HyperParameters:\n    def __init__(self, log_data):\n        self.epochs = 99\n"
        "    def to_dict(self):\n        return dict(self.__dict__)\n"
    ),
}
OURS = dict(CLASSES["HyperParameters"].inherited)


def engine_at(place: Path) -> Path:
    for name, text in ENGINE.items():
        file = place / "picsellia_cv_engine" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return place


def metadata_at(site: Path) -> None:
    (site / "picsellia_cv_engine-9.0.0.dist-info").mkdir()
    (site / "picsellia_cv_engine-9.0.0.dist-info" / "METADATA").write_text("Name: picsellia-cv-engine\n")


def by_hook(site: Path, elsewhere: Path) -> None:
    """An editable install of setuptools: a .pth file that runs code."""
    engine_at(elsewhere)
    metadata_at(site)
    (site / "engine.pth").write_text(f"import sys; sys.path.append({str(elsewhere)!r})\n")


def from_the_system(site: Path, elsewhere: Path) -> None:
    """A virtual environment that also sees system packages; here they are in another folder."""
    config = site.parents[2] / "pyvenv.cfg"
    config.write_text(config.read_text().replace("packages = false", "packages = true"))
    engine_at(site)


Install = Callable[[Path, Path], Any]
INSTALLS: dict[str, Install] = {
    "in site-packages": lambda site, _: engine_at(site),
    "by a path file": lambda site, elsewhere: (site / "engine.pth").write_text(f"{engine_at(elsewhere)}\n"),
    "editable": by_hook,
    "with the system's": from_the_system,
    "without its first file": lambda site, _: (engine_at(site) / "picsellia_cv_engine/__init__.py").unlink(),
}


@pytest.fixture
def pipeline(folder: Files) -> Path:
    """A pipeline with an empty virtual environment of its own."""
    where = folder({"config.toml": CONFIG, "parameters.py": CLASS})
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(where / ".venv")], check=True)
    return where


def site_of(pipeline: Path) -> Path:
    [site] = (pipeline / ".venv").glob("lib/python3*/site-packages")
    return site


def read(pipeline: Path, static_only: bool = False) -> EvaluatedClasses:
    return evaluate(load(pipeline), static_only=static_only, timeout=60)


def test_without_an_engine_both_readers_use_our_defaults(pipeline: Path) -> None:
    result = read(pipeline)
    assert result.readers == {"parameters": "static"}
    assert result.parameters == OURS


@pytest.mark.parametrize("install", INSTALLS)
def test_with_another_version_of_the_engine_the_class_is_run(
    pipeline: Path, install: str, tmp_path: Path
) -> None:
    INSTALLS[install](site_of(pipeline), tmp_path / "elsewhere")
    result = read(pipeline)
    assert result.readers == {"parameters": "subprocess"}
    assert result.parameters == {"epochs": 99}
    refused = read(pipeline, static_only=True)
    assert refused.parameters is None
    (problem,) = refused.diagnostics
    assert "Params needs code to run" in problem.summary
    assert str(pipeline / ".venv/bin/python") in problem.summary
    assert problem.line == 4


def test_an_engine_on_pythonpath_counts_too(
    pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(engine_at(tmp_path / "elsewhere")))
    result = read(pipeline)
    assert result.readers == {"parameters": "subprocess"}
    assert result.parameters == {"epochs": 99}


def test_with_an_unknown_interpreter_the_class_is_run(pipeline: Path, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {pipeline / ".venv/bin/python"} "$@"\n')
    python.chmod(0o755)
    engine_at(site_of(pipeline))
    result = evaluate(load(pipeline), python=python, timeout=60)
    assert result.readers == {"parameters": "subprocess"}
    assert result.parameters == {"epochs": 99}


@pytest.mark.official
@pytest.mark.parametrize("name", sorted(CLASSES.keys() - {INPUTS_BASE}))
def test_with_the_known_engine_no_code_runs_and_both_readers_agree(
    pipeline: Path, cv_engine: Path, official: Official, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checks every base class of the engine and of our stand-ins, with and without a file to read."""
    engine = official.python.parent.parent / "engine" / "picsellia_cv_engine"
    site = site_of(pipeline)
    shutil.copytree(cv_engine, site, dirs_exist_ok=True)
    below = "frameworks/ultralytics"
    shutil.copytree(engine / below, site / "picsellia_cv_engine" / below)
    # The other modules need packages that are not installed here; the SDK's are on the path.
    (site / "picsellia").mkdir()
    (site / "picsellia" / "__init__.py").touch()
    (site / "picsellia" / "types").mkdir()
    (site / "picsellia" / "types" / "__init__.py").touch()
    (site / "picsellia" / "types" / "schemas.py").write_text("LogDataType = dict\n")
    module = CLASSES[name].modules[-1]
    (pipeline / "parameters.py").write_text(
        f"from {module} import {name}\n\n\nclass Params({name}):\n    def __init__(self, log_data):\n"
        "        super().__init__(log_data)\n        self.more = self.extract_parameter(['more'], int, 1)\n"
    )
    known = read(pipeline)
    assert known.readers == {"parameters": "static"}
    assert known.parameters == {
        key: plain(value) for key, value in sorted({**CLASSES[name].inherited, "more": 1}.items())
    }
    monkeypatch.setattr(
        "reconciler.pipeline.classes.official._KNOWN", dict.fromkeys([module], "other"), raising=True
    )
    monkeypatch.setattr("reconciler.pipeline.classes.static.check_known", refuse)
    theirs = read(pipeline)
    assert theirs.readers == {"parameters": "subprocess"}
    assert theirs.stand_ins == ()
    assert list((theirs.parameters or {}).items()) == list((known.parameters or {}).items())
    shutil.rmtree(site / "picsellia_cv_engine")
    stand_in = read(pipeline)
    assert stand_in.readers == {"parameters": "subprocess"}
    assert stand_in.stand_ins == ("picsellia_cv_engine",)
    assert list((stand_in.parameters or {}).items()) == list((known.parameters or {}).items())


JOB = """
from parameters import Params

for name, value in Params(log_data={}).to_dict().items():
    try:
        Params(log_data={name: value})
    except ValueError as problem:
        print(name, "fails" if "range" in str(problem) else "runs")
    else:
        print(name, "runs")
"""
RANGES = [
    "(0, 1)",
    "[0, 1]",
    "(-1, 0.5)",
    "(1, 0)",
    "(0, 0)",
    "(0,)",
    "(0, 1, 2)",
    "('0', '1')",
    "None",
    "()",
]
DEFAULTS = [("int", "0"), ("int", "1"), ("int", "5"), ("float", "0.5"), ("float", "-1.5")]
DEFAULTS += [("Optional[int]", "7"), ("Optional[int]", "None"), ("str", "'a'")]
DEFAULTS += [("Union[int, str]", "9"), ("bool", "True")]


def ends_of_jobs(pipeline: Path, cv_engine: Path, official: Official, job: str) -> dict[str, str]:
    """Each parameter -> how a job with its default ends in the engine's own code: "runs" or "fails"."""
    shutil.copytree(cv_engine, pipeline, dirs_exist_ok=True)
    printed = official.code(job, cwd=pipeline, environment={"PYTHONPATH": str(pipeline)})
    shutil.rmtree(pipeline / "picsellia_cv_engine")
    return dict(line.split() for line in printed.splitlines() if line.endswith((" runs", " fails")))


@pytest.mark.official
def test_a_default_is_refused_exactly_if_a_job_with_it_fails(
    pipeline: Path, cv_engine: Path, official: Official, bare: Path
) -> None:
    calls = [
        f"self.p{number} = self.extract_parameter(['p{number}'], {kind}, {default}, range_value={limits})"
        for number, ((kind, default), limits) in enumerate(itertools.product(DEFAULTS, RANGES))
    ]
    top = "from typing import Optional, Union\n"
    (pipeline / "parameters.py").write_text(sources.parameters(*calls, top=top))
    fails = ends_of_jobs(pipeline, cv_engine, official, JOB)
    assert {*fails.values()} == {"runs", "fails"}
    reference = ClassReference(pipeline, pipeline / "parameters.py", "Params")
    for number, call in enumerate(calls):
        expected = fails[f"p{number}"] == "fails"
        reference.file.write_text(sources.parameters(call, top=top))
        found = read_parameters(reference)
        assert not isinstance(found, NotStatic), call
        assert [d.line for d in found.diagnostics if "range_value" in d.summary] == [8] * expected, call
        if expected or number % 7 == 0:  # running each class takes a moment
            ran = runner.run(pipeline, inputs=None, parameters=reference, python=bare, timeout=60).parameters
            assert ran is not None
            assert [(d.summary, d.detail) for d in ran.diagnostics] == [
                (d.summary, d.detail) for d in found.diagnostics
            ], call


NULLS = ["Optional[int]", "Optional[float]", "Optional[bool]", "Optional[str]", "Optional[Mode]"]
NULLS += ["Union[int, None]", "Union[None, float]", "Union[int, str, None]", "Union[str, int, None]"]


@pytest.mark.official
def test_the_default_none_is_reported_exactly_if_no_job_can_read_it(
    pipeline: Path, cv_engine: Path, official: Official, bare: Path
) -> None:
    calls = [
        f"self.p{number} = self.extract_parameter(\n            ['other', {key}], {kind}, default=None)"
        for number, (kind, key) in enumerate(itertools.product(NULLS, ("'p%d'", "'unused'")))
    ]
    calls = [call.replace("%d", str(number)) for number, call in enumerate(calls)]
    top = "from enum import Enum\nfrom typing import Optional, Union\nclass Mode(Enum):\n    FAST = 'f'\n"
    (pipeline / "parameters.py").write_text(sources.parameters(*calls, top=top))
    job = JOB.replace('"fails" if "range" in str(problem) else "runs"', '"fails"')
    ends = ends_of_jobs(pipeline, cv_engine, official, job)
    fails = [name for name, end in ends.items() if end == "fails"]
    assert len(fails) == 6
    reference = ClassReference(pipeline, pipeline / "parameters.py", "Params")

    found = read_parameters(reference)
    ran = runner.run(pipeline, inputs=None, parameters=reference, python=bare, timeout=60).parameters

    assert not isinstance(found, NotStatic)
    assert ran is not None
    assert found.value == ran.value == {f"p{number}": None for number in range(len(calls))}
    assert found.diagnostics == ran.diagnostics
    assert [problem.summary for problem in found.diagnostics] == [
        f"parameter {name!r} has the default None, which no job can read"
        for name in sorted(fails, key=calls_in)
    ]
    for problem in found.diagnostics:
        line = reference.file.read_text().splitlines()[(problem.line or 0) - 1]
        assert line.startswith(f"        self.{problem.summary.split(chr(39))[1]} = ")


def calls_in(name: str) -> int:
    return int(name[1:])


def test_the_default_none_is_a_warning_with_the_way_out(pipeline: Path) -> None:
    """The official engine has two such parameters itself, which no pipeline can change."""
    (pipeline / "parameters.py").write_text(
        sources.parameters(
            "self.limit = self.extract_parameter(['limit'], Optional[int], None)",
            top="from typing import Optional\n",
        )
    )
    found = read(pipeline)
    (problem,) = found.diagnostics
    assert found.parameters == {"limit": None}
    assert str(problem.severity) == "warning"
    assert problem.place.endswith("parameters.py:8")
    assert "Choose a value of type int that means none, with expected_type=int." in problem.detail


def test_a_job_could_not_start_with_such_a_default(pipeline: Path) -> None:
    (pipeline / "parameters.py").write_text(
        sources.parameters("self.score = self.extract_parameter(['score'], float, 5.0, range_value=(0, 1))")
    )
    (problem,) = read(pipeline).diagnostics
    assert problem.summary == "parameter 'score' has the default 5.0, outside of range_value=(0, 1)"
    assert problem.place.endswith("parameters.py:7")
    assert "Correct the default or the range" in problem.detail


def refuse(*_: object) -> None:
    raise UnknownError("it has to be run")


def test_enums_come_from_the_installed_sdk(folder: Files, pipeline: Path) -> None:
    """Another version of the SDK may have fewer or more members."""
    site = site_of(pipeline)
    (site / "picsellia" / "types").mkdir(parents=True)
    for package in (site / "picsellia", site / "picsellia" / "types"):
        (package / "__init__.py").touch()
    enums = site / "picsellia" / "types" / "enums.py"
    enums.write_text("from enum import Enum\n\n\nclass Framework(Enum):\n    JAX = 'JAX'\n")
    head = "from picsellia.types.enums import Framework\n"
    for member, expected in (("JAX", {"x": "JAX"}), ("ONNX", None)):
        source = sources.parameters(f"self.x = Framework.{member}", top=head)
        (pipeline / "parameters.py").write_text(source)
        result = read(pipeline)
        assert result.parameters == expected
        assert result.readers == {"parameters": "static" if expected else "subprocess"}


OTHER = f"python3.{sys.version_info.minor - 1}"
HOOK = "__editable___mine_1_0_finder"


def of_other_version(site: Path, _: Path) -> Path:
    """The folder that an upgrade of the environment, or of the system's Python, leaves behind."""
    return engine_at(site.parents[1] / OTHER / "site-packages")


def with_other_version_in_its_settings(site: Path, elsewhere: Path) -> None:
    settings = site.parents[2] / "pyvenv.cfg"
    text = settings.read_text().splitlines()
    lines = [line for line in text if not line.startswith("version")]
    settings.write_text("\n".join([*lines, f"version = {OTHER.removeprefix('python')}.1"]))
    of_other_version(site, elsewhere)


def by_another_program(program: Callable[[Path], str]) -> Install:
    """A `bin/python` that is no link to a program with the version in its name."""

    def install(site: Path, elsewhere: Path) -> None:
        python = site.parents[2] / "bin" / "python"
        text = program(python)
        python.unlink()
        if text:
            python.write_text(text)
            python.chmod(0o755)
        else:
            shutil.copy(Path(sys.executable).resolve(), python)
        of_other_version(site, elsewhere)

    return install


def by_archive(site: Path, elsewhere: Path) -> None:
    shutil.make_archive(str(elsewhere), "zip", engine_at(elsewhere))
    (site / "engine.pth").write_text(f"{elsewhere}.zip\n")


def by_finder(package: str) -> Install:
    """An editable install of a distribution with another name than its package."""

    def install(site: Path, elsewhere: Path) -> None:
        engine_at(elsewhere)
        (site / "mine.pth").write_text(f"import {HOOK}; {HOOK}.install()\n")
        (site / f"{HOOK}.py").write_text(
            "import importlib.util, sys\n"
            f"MAPPING = {{{package!r}: {str(elsewhere / package)!r}}}\n"
            "class Finder:\n"
            "    def find_spec(name, path=None, target=None):\n"
            "        if name in MAPPING:\n"
            "            place = MAPPING[name]\n"
            "            return importlib.util.spec_from_file_location(\n"
            "                name, place + '/__init__.py', submodule_search_locations=[place])\n"
            "def install():\n    sys.meta_path.append(Finder)\n"
        )

    return install


def of_each_kind(site: Path, _: Path) -> None:
    """A package beats a module of the same name."""
    engine_at(site)
    shutil.copytree(site / ENGINE_ROOT / "core", site / ENGINE_ROOT / "core.py" / "x")
    (site / ENGINE_ROOT / "core" / "parameters.py").touch()


ENGINE_ROOT = "picsellia_cv_engine"
KNOWN_LAYOUTS: dict[str, Install] = {
    "empty": lambda site, _: None,
    "in site-packages": INSTALLS["in site-packages"],
    "by a path file": INSTALLS["by a path file"],
    "path of spaces": lambda site, to: (site / "engine.pth").write_text(f" {engine_at(to)}\n"),
    "of the version before": of_other_version,
    "of the version before, and here": lambda site, to: engine_at(site) and of_other_version(site, to),
    "with an outdated pyvenv.cfg": with_other_version_in_its_settings,
    "package and module": of_each_kind,
    "beside the hook of virtualenv": lambda site, _: (
        engine_at(site),
        (site / "_virtualenv.py").touch(),
        (site / "_virtualenv.pth").write_text("import _virtualenv"),
    ),
    "beside an editable package": by_finder("mine"),
}
UNKNOWN_LAYOUTS: dict[str, Install] = {
    "editable": by_hook,
    "editable, by a finder": by_finder(ENGINE_ROOT),
    "with the system's": from_the_system,
    "by code": lambda site, to: (site / "x.pth").write_text(
        f"import sys; sys.path.append({str(engine_at(to))!r})"
    ),
    "by a hidden path file": lambda site, to: (site / ".x.pth").write_text(f"{engine_at(to)}\n"),
    "by a path file in another encoding": lambda site, to: (site / "x.pth").write_bytes(
        b"# \xe9\n" + str(engine_at(to)).encode()
    ),
    "in an archive": by_archive,
    "by sitecustomize": lambda site, to: (site / "sitecustomize.py").write_text(
        f"import sys; sys.path.append({str(engine_at(to))!r})"
    ),
    "with settings beside the program": lambda site, to: (
        of_other_version(site, to),
        shutil.copy(site.parents[2] / "pyvenv.cfg", site.parents[2] / "bin" / "pyvenv.cfg"),
    ),
    "a copied program": by_another_program(lambda python: ""),
    "a script": by_another_program(lambda python: f'#!/bin/sh\nexec {python.resolve()} "$@"\n'),
    "lib64 of its own": lambda site, _: (
        (site.parents[2] / "lib64").unlink(missing_ok=True),
        engine_at(site.parents[2] / "lib64" / site.parent.name / "site-packages"),
    ),
}
SEARCH = "import importlib.util as u; s = u.find_spec({!r}); print(s.origin if s else '')"


@pytest.mark.parametrize("variable", ["", "python", "{folder}/python", "python:/missing"])
@pytest.mark.parametrize("layout", [*KNOWN_LAYOUTS, *UNKNOWN_LAYOUTS])
def test_a_package_is_where_the_interpreter_finds_it(
    pipeline: Path, tmp_path: Path, layout: str, variable: str
) -> None:
    {**KNOWN_LAYOUTS, **UNKNOWN_LAYOUTS}[layout](site_of(pipeline), tmp_path / "elsewhere")
    if variable:
        engine_at(pipeline / "python")
    environment = {"PYTHONPATH": variable.format(folder=pipeline)}
    python = pipeline / ".venv/bin/python"
    module = f"{ENGINE_ROOT}.core.parameters"
    try:
        found = installed_in(python, pipeline, environment).file_of(module)
    except UnknownError:
        assert layout in UNKNOWN_LAYOUTS
        return
    command = [str(python), "-c", f"try: {SEARCH.format(module)}\nexcept ImportError: print()"]
    done = subprocess.run(command, cwd=pipeline, env=environment, capture_output=True, text=True, check=True)
    assert str(found or "") == done.stdout.strip()
    assert layout in KNOWN_LAYOUTS or variable


@pytest.mark.parametrize(
    ("program", "site", "is_known"),
    [
        ("bin/python3.12", "lib/python3.12/site-packages", True),
        ("bin/python3.13t", "lib/python3.13t/site-packages", True),
        ("bin/python", "lib/python3.12/site-packages", False),
        ("bin/pypy3.10", "lib/pypy3.10/site-packages", False),
        ("bin/graalpy", "lib/python3.11/site-packages", False),
        ("python.exe", "Lib/site-packages", True),
    ],
)
def test_the_program_decides_which_folder_counts(
    tmp_path: Path, program: str, site: str, is_known: bool
) -> None:
    """Programs that may not be on this machine."""
    environment, outside = tmp_path / ".venv", tmp_path / "installed" / program
    outside.parent.mkdir(parents=True)
    outside.write_bytes(b"\x7fELF")
    folder = "Scripts" if outside.suffix == ".exe" else "bin"
    python = environment / folder / f"python{outside.suffix}"
    python.parent.mkdir(parents=True)
    python.symlink_to(outside)
    (environment / "pyvenv.cfg").write_text("include-system-site-packages = false\nversion = 3.9.1\n")
    for other in ("lib/python3.9", "lib/python3.10", "lib/pypy3.9"):
        (environment / other / "site-packages").mkdir(parents=True)
    expected = engine_at(environment / site) / ENGINE_ROOT / "core/parameters/__init__.py"
    there = installed_in(python, tmp_path, {})
    if is_known:
        assert there.file_of(f"{ENGINE_ROOT}.core.parameters") == expected
    else:
        with pytest.raises(UnknownError):
            there.file_of(f"{ENGINE_ROOT}.core.parameters")


def test_the_file_of_a_module(tmp_path: Path) -> None:
    engine_at(tmp_path)
    there = Installed((tmp_path,), Path("python"))
    hyper = "picsellia_cv_engine.core.parameters.hyper_parameters"
    assert there.file_of(hyper) == tmp_path / "picsellia_cv_engine/core/parameters/hyper_parameters.py"
    assert there.file_of("picsellia.types.enums") is None
    assert NOTHING.file_of(hyper) is None
    with pytest.raises(UnknownError, match="has no module"):
        there.file_of("picsellia_cv_engine.core.other")
    with pytest.raises(UnknownError, match="are unknown"):
        installed_in(Path("/usr/bin/python3"), tmp_path).file_of(hyper)
    assert installed_in(Path(sys.executable), tmp_path).file_of("picsellia.types.enums") is not None


def test_a_folder_without_permission_is_empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Like in Python itself: a system folder may be closed to other users."""

    def closed(path: object, *_: object, **__: object) -> os.stat_result:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "stat", closed)
    assert Installed((tmp_path / "closed",), Path("python")).file_of("picsellia.types.enums") is None
