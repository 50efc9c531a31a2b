"""What a command imports is what it needs: help needs nothing, and what works offline needs no network."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from reconciler.cli import COMMANDS
from reconciler.cli.reference import every_command
from tests.conftest import copy_example

ROOT = Path(__file__).parents[1]
HEAVY = (
    *("picsellia", "docker", "requests", "urllib3", "ssl", "obstore"),
    *("pydantic", "tomlkit", "semver", "dotenv", "tenacity", "deepdiff", "jinja2", "xml", "sqlite3"),
    *("rich", "rich.console", "rich.text", "rich.style"),
    *("rich.progress", "rich.table", "rich.live", "rich.markdown", "rich.syntax"),
    *("starlette", "uvicorn", "asyncio", "multiprocessing", "tarfile"),
)
"""Modules that take long to import, ours left out."""

FOR_HELP = {
    "providers.ascii_case",
    "providers.image_names",
    "providers.json_value",
    "providers.leftovers",
    "providers.patterns",
    "providers.text",
    "reconciler.cli.interruption",
    "reconciler.api.requests",
    "reconciler.core.diagnostics",
    "reconciler.core.exit_codes",
    "reconciler.core.plan_options",
    "reconciler.core.platforms",
    "reconciler.core.values",
    "reconciler.drift.adopt_target",
    "reconciler.engine.requests",
    "reconciler.pipeline.bumps",
    "reconciler.pipeline.shared",
    "reconciler.schemas",
    "reconciler.starting",
    "reconciler.workspace.selection_request",
    "reconciler.workspace.shards",
    "state.errors",
}
"""All of ours, beside the declarations in `reconciler.cli`, that help may import: plain values."""
DECLARATIONS = ("commands", "baseline_options", "output_places", "mistyped", "options", "outputs")
"""The modules of `reconciler.cli` that declare commands."""

TERMINAL = {"rich"}
FILES = {*TERMINAL, "tomlkit", "semver"}
STATE = {*TERMINAL, "sqlite3"}
LOGINS = {*TERMINAL, "dotenv"}
PLATFORM = {
    *(FILES | LOGINS),
    *("requests", "urllib3", "ssl", "tarfile"),
}
"""Up to the first request; `picsellia` writes only, `docker` builds only."""


class Case(NamedTuple):
    """A command that sends nothing, the code it ends with, and the heavy modules that it may import."""

    line: str
    code: int
    may: set[str]


# Commands that need the platform end where no organization is selected, just before the first request.
CASES = [
    Case("init new_pipeline --type PRE_ANNOTATION --image user/new", 0, FILES | {"jinja2"}),
    Case("plan dataset_cleanup", 1, PLATFORM),
    Case("apply dataset_cleanup", 1, PLATFORM),
    Case("deploy dataset_cleanup", 1, PLATFORM),
    Case("promote dataset_cleanup --from STAGING --to PROD", 1, PLATFORM),
    Case("rollback dataset_cleanup", 1, PLATFORM),
    Case("status --all --offline", 1, PLATFORM | STATE),
    Case("status --all --offline --matrix", 1, PLATFORM | STATE),
    Case("drift dataset_cleanup", 1, PLATFORM),
    Case("dashboard --out site", 0, PLATFORM | STATE | {"jinja2"}),
    Case("drift merge report.json", 1, FILES),
    Case("adopt dataset_cleanup", 1, PLATFORM),
    Case("show plan.json", 1, TERMINAL),
    Case("graph dataset_cleanup", 0, FILES | LOGINS),
    Case("destroy dataset_cleanup", 1, PLATFORM),
    Case("image missing", 1, PLATFORM),
    Case("contract missing 1.0.0", 1, PLATFORM),
    Case("contract dataset_cleanup", 0, PLATFORM),
    Case("list --type TRAINING --allow-empty", 0, FILES | LOGINS),
    Case("list --env PROD --json", 0, FILES | LOGINS),
    Case("list --stale", 1, FILES | LOGINS),
    Case("list --changed", 1, FILES | LOGINS | {"pydantic"}),
    Case("validate dataset_cleanup", 0, FILES),
    Case("validate with_settings", 0, FILES | {"pydantic"}),
    Case("schema", 0, FILES),
    Case("schema config", 0, FILES),
    Case("completion bash", 0, FILES),
    Case("bump patch dataset_cleanup", 0, FILES),
    Case("login --organization my-org --env PROD", 1, PLATFORM),
    Case("logout", 1, LOGINS),
    Case("switch", 1, LOGINS),
    Case("whoami", 1, PLATFORM),
    Case("state list", 0, STATE),
    Case("state show my_pipeline", 1, STATE | FILES),
    Case("sandbox --switch latency", 2, TERMINAL | {"pydantic", "semver"}),
    Case("demo --help", 0, set()),  # every other part of it runs the sandbox
]

# Prints what the command imported, beside what a bare interpreter and click have already.
RUN = """
import json, sys
arguments = json.load(sys.stdin)
sys.stdin = open("/dev/null")
import click
before = set(sys.modules)
from reconciler.cli import run
code = run(arguments)
print("\\n" + json.dumps([code, sorted(set(sys.modules) - before)]))
"""
# What the help of each command adds to the one before, in one interpreter.
HELP = """
import json, sys
commands = json.load(sys.stdin)
import click
before = set(sys.modules)
from reconciler.cli import run
found = {}
for command in commands:
    assert run([*command.split(), "--help"]) == 0
    imported = {name for name, module in sys.modules.items() if module is not None}  # None: kept from it
    found[command] = sorted(imported - before)
    before |= imported
print("\\n" + json.dumps(found))
"""


def interpreter(code: str, given: object, folder: Path) -> object:
    """The last line that a fresh interpreter prints, as JSON; it has no login and its own state."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": str(folder / "home"),
        "PYTHONPATH": str(ROOT),
        "RECONCILER_STATE": str(folder / "state.db"),
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_help_imports_declarations_only(tmp_path: Path) -> None:
    commands = [one.command_path.partition(" ")[2] for one in every_command()]
    assert {"", "plan", "state history", "drift merge", *COMMANDS} <= set(commands)

    found = interpreter(HELP, commands, tmp_path)

    assert isinstance(found, dict)
    assert list(found) == commands
    declarations = tuple(f"reconciler.cli.{name}" for name in DECLARATIONS)
    packages = {name[: match.start()] for name in FOR_HELP for match in re.finditer(r"\.", name)}
    for command, modules in found.items():
        extra = {
            name
            for name in {*modules} - FOR_HELP - packages - {"reconciler.cli"}
            if not name.startswith((*declarations, "click.", "msgspec", "typing_extensions"))
            and (name in HEAVY or name.partition(".")[0] not in sys.stdlib_module_names)
        }
        assert not extra, f"reconciler {command} --help"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pipelines, one with settings of ours and one without, and files that are no plan and no report."""
    (tmp_path / "home").mkdir()
    copy_example("dataset_cleanup", tmp_path, "registry.example.com").rename(tmp_path / "with_settings")
    shutil.copytree(tmp_path / "with_settings", tmp_path / "dataset_cleanup")
    config = tmp_path / "with_settings" / "config.toml"
    text = config.read_text()
    assert "[reconciler.image]" in text
    config.write_text(text.replace('name = "dataset_cleanup"', 'name = "with_settings"', 1))
    plain = tmp_path / "dataset_cleanup" / "config.toml"
    plain.write_text(text.partition("[reconciler.image]")[0])
    for name in ("plan.json", "report.json"):
        (tmp_path / name).write_text("{}")
    return tmp_path


def test_every_command_has_a_case() -> None:
    assert {case.line.split()[0] for case in CASES} == {*COMMANDS}


@pytest.mark.parametrize("case", CASES, ids=[case.line for case in CASES])
def test_a_command_imports_what_its_offline_part_needs(case: Case, folder: Path) -> None:
    ended = interpreter(RUN, case.line.split(), folder)

    assert isinstance(ended, list)
    code, modules = ended
    assert code == case.code
    assert {*modules} & {*HEAVY} <= case.may
