"""An output replaces an earlier output or an empty file, and never the state, settings or source."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from tests.commands import folders
from tests.commands.test_outputs_in_images import OUTPUTS
from tests.conftest import Cli, copy_example

STATE = "is the state of reconciler"
SETTINGS = "is the settings of the workspace"
CONFIG = "is the config.toml of app"
NO_OUTPUT = "exists and is no earlier output of reconciler"
SOURCE = "exists and is an empty file of a build context"
BASELINE = '[[acknowledge]]\naddress = "processing/app"\n'
NAME = "dataset_cleanup"


def _with_state(cli: Cli, name: str) -> Path:
    path = cli.folder.parent / name
    path.write_bytes(b"SQLite format 3\0 and the tables")
    return path


def _file(cli: Cli, name: str, text: str) -> Path:
    path = cli.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def _at_home(cli: Cli, name: str, text: str) -> Path:
    return _file(cli, f"../home/{name}", text).resolve()


PROTECTED: dict[str, tuple[Callable[[Cli], Path], str]] = {
    "state": (lambda cli: _with_state(cli, "state.db"), STATE),
    "wal": (lambda cli: _with_state(cli, "state.db-wal"), STATE),
    "shm": (lambda cli: _with_state(cli, "state.db-shm"), STATE),
    "journal": (lambda cli: _with_state(cli, "state.db-journal"), STATE),
    "empty wal": (lambda cli: _file(cli, "../state.db-wal", "").resolve(), STATE),
    "default state": (
        lambda cli: _at_home(cli, ".local/state/reconciler/state.db", "SQLite format 3\0"),
        STATE,
    ),
    "settings": (lambda cli: _file(cli, "reconciler.toml", '[workspace]\nname = "w"\n'), SETTINGS),
    "empty settings": (lambda cli: _file(cli, "reconciler.toml", ""), SETTINGS),
    "config.toml": (lambda cli: cli.folder / "app/config.toml", CONFIG),
    "Dockerfile": (lambda cli: cli.folder / "app/Dockerfile", NO_OUTPUT),
    "ignore file": (lambda cli: cli.folder / "app/.dockerignore", NO_OUTPUT),
    "inputs": (lambda cli: cli.folder / "app/inputs.py", NO_OUTPUT),
    "parameters": (lambda cli: cli.folder / "app/parameters.py", NO_OUTPUT),
    "script": (lambda cli: cli.folder / "app/pipeline.py", NO_OUTPUT),
    "empty requirements": (lambda cli: cli.folder / "app/requirements.txt", SOURCE),
    "requirements": (lambda cli: _file(cli, "shared/requirements.txt", "numpy\n"), NO_OUTPUT),
    "tokens": (
        lambda cli: _at_home(cli, ".config/picsellia/.env", "PICSELLIA_o_PROD_API_TOKEN=x\n"),
        NO_OUTPUT,
    ),
    "login": (
        lambda cli: _at_home(cli, ".config/picsellia/context.json", '{"organization": "o", "env": "PROD"}'),
        NO_OUTPUT,
    ),
    "list of a dashboard": (
        lambda cli: _file(cli, "site/reconciler-dashboard.json", '{\n "format": "reconciler/dashboard",\n'),
        NO_OUTPUT,
    ),
    "JSON of others": (lambda cli: _file(cli, "package.json", '{"name": "a"}\n'), NO_OUTPUT),
    "page of others": (
        lambda cli: _file(cli, "index.html", "<!doctype html>\n<title>A</title>\n"),
        NO_OUTPUT,
    ),
    "text": (lambda cli: _file(cli, "README.md", "# About reconciler\n\nA text.\n"), NO_OUTPUT),
    "drawing": (lambda cli: _file(cli, "a.dot", "digraph a { b -> c }\n"), NO_OUTPUT),
    "table": (lambda cli: _file(cli, "pyproject.toml", '[project]\nname = "a"\n'), NO_OUTPUT),
}
"""Files that are no output, and how they are refused."""


def _names_of(file: Path, folder: Path) -> Iterator[Path]:
    """Other paths of a file. Those of links end with .toml, as baselines need it."""
    here = Path(os.path.relpath(file, folder))
    yield here
    yield file
    yield Path("app", "..", here)
    yield Path(".", "app") / ".." / here
    link, hard, above = folder / "link.toml", folder / "hard.toml", folder / "above"
    link.symlink_to(file)
    yield link
    hard.hardlink_to(file)
    yield hard
    above.symlink_to(file.parent)
    yield above / file.name
    for name in (link, hard, above):
        name.unlink()


@pytest.mark.parametrize("output", OUTPUTS, ids=" ".join)
def test_no_output_replaces_a_file_that_is_no_output(
    output: tuple[str, ...], cli: Cli, sandbox: Sandbox
) -> None:
    *command, option, prefix = output
    for kind, (make, words) in PROTECTED.items():
        folder = cli.folder / "app"
        if not folder.exists():
            folders.processing(folder, "reg.io/team/app")
        file = make(cli)
        before = file.read_bytes()
        for place in _names_of(file, cli.folder):
            if words == SOURCE and place.name == "hard.toml":
                continue  # an empty file outside of the folder
            is_unchecked = option == "--write-baseline" and place.suffix != ".toml"
            is_folder = command == ["dashboard"] and option == "--out"
            expected = "is not a .toml file" if is_unchecked else "is a file" if is_folder else words
            if expected == CONFIG and place.name == "hard.toml":
                expected = NO_OUTPUT  # this name does not tell
            ended = cli(*command, option, f"{prefix}{place}", "no/such/pipeline")
            assert ended.code == 2, (kind, place, ended.err)
            assert expected in " ".join(ended.err.split()), (kind, place, ended.err)
            assert option in ended.err
            assert file.read_bytes() == before
        if words not in (CONFIG, SOURCE) and folder not in file.parents:
            file.unlink()
    assert sandbox.requests() == []


@pytest.mark.parametrize("output", OUTPUTS, ids=" ".join)
def test_no_output_takes_the_place_of_a_state_that_does_not_exist_yet(
    output: tuple[str, ...], cli: Cli
) -> None:
    *command, option, prefix = output
    default = cli.folder.parent / "home/.local/state/reconciler"
    default.mkdir(parents=True)
    for place in ("", "-wal", "-shm", "-journal"):
        link = cli.folder / f"link{place}.toml"
        link.symlink_to(f"../state.db{place}")
        states = [f"../state.db{place}", f"{default}/state.db{place}"]
        for file in [link.name] if option == "--write-baseline" else [*states, link.name]:
            ended = cli(*command, option, f"{prefix}{file}", "no/such/pipeline")
            assert (ended.code, STATE in " ".join(ended.err.split())) == (2, True), ended.err
            assert not Path(file).exists()


def test_the_state_of_the_settings_and_of_a_link_is_protected(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RECONCILER_STATE")
    (cli.folder / "reconciler.toml").write_text('[workspace]\nname = "w"\nstate = "ours.db"\n')
    (cli.folder / "ours.db").symlink_to("real.db")
    for name in ("ours.db", "real.db", "ours.db-wal", "real.db-wal"):
        ended = cli("list", "-o", f"json={name}")
        assert (ended.code, STATE in " ".join(ended.err.split())) == (2, True), ended.err
        assert not (cli.folder / name).exists()


def test_a_plan_saved_to_the_state(cli: Cli, sandbox: Sandbox) -> None:
    copy_example(NAME, cli.folder, sandbox.registry)
    assert cli("apply", NAME, "--yes").code == 0
    state = cli.folder.parent / "state.db"
    before, stacks = state.read_bytes(), cli("state", "list").out
    sandbox.clear_requests()

    for arguments in (
        ("plan", NAME, "--out", str(state)),
        ("apply", NAME, "--yes", "--bump", "patch", "--json", str(state)),
        ("apply", NAME, "--yes", "--events", str(state)),
        ("drift", NAME, "--html", "../state.db"),
    ):
        ended = cli(*arguments)
        assert ended.code == 2
        assert f"{arguments[-1]} is the state of reconciler; write to another file" in ended.err

    assert sandbox.requests() == []
    assert state.read_bytes() == before
    assert cli("state", "list").out == stacks


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (("apply", "--plan", "plan.json", "--json", "./plan.json"), "--plan"),
        (("graph", "--plan", "plan.json", "-o", "svg=plan.json"), "--plan"),
        (("plan", NAME, "--out", "new.json", "--html", "new.json"), "--out"),
        (("drift", "merge", "plan.json", "-o", "html=plan.json"), "FILE..."),
        (("drift", NAME, "--baseline", "new.toml", "--json", "new.toml"), "--baseline"),
        (("drift", NAME, "--write-baseline", "new.toml", "--json", "new.toml"), "--write-baseline"),
    ],
    ids=str,
)
def test_an_output_to_the_file_of_another_option(
    arguments: tuple[str, ...], option: str, cli: Cli, sandbox: Sandbox
) -> None:
    copy_example(NAME, cli.folder, sandbox.registry)
    assert cli("plan", NAME, "--out", "plan.json").code == 0
    before = (cli.folder / "plan.json").read_bytes()
    sandbox.clear_requests()

    ended = cli(*arguments)

    assert (ended.code, f"is the file of {option}" in ended.err) == (2, True), ended.err
    assert (cli.folder / "plan.json").read_bytes() == before
    assert sandbox.requests() == []


@pytest.mark.parametrize("name", ["from.db", "to.db", "to.db-wal"])
def test_the_output_of_a_copy_is_neither_of_its_stores(name: str, cli: Cli) -> None:
    ended = cli("state", "copy", "from.db", "to.db", "-o", f"json=./{name}")

    assert (ended.code, "is the state of" in ended.err) == (2, True), ended.err
    assert [*cli.folder.iterdir()] == []


def test_earlier_outputs_and_empty_files_are_replaced(cli: Cli, sandbox: Sandbox) -> None:
    copy_example(NAME, cli.folder, sandbox.registry)
    (cli.folder / "junit.xml").write_text('<testsuite name="pytest">\n</testsuite>\n')
    (cli.folder / "new.json").touch()

    assert cli("apply", NAME, "--yes", "--junit", "junit.xml", "--json", "new.json").code == 0
    assert (cli.folder / "junit.xml").read_text().startswith("<?xml")
    assert (cli.folder / "new.json").read_text().startswith('{\n  "format": "reconciler/run"')
    for format_ in ("html", "markdown", "junit"):
        assert cli("drift", NAME, f"--{format_}", "new.json").code == 0, "also of another format"
    for _ in range(2):
        assert cli("plan", NAME, "--out", "plan.json").code == 0
        assert cli("apply", NAME, "--yes", "--events", "events").code == 0
        assert cli("drift", NAME, "--json", "drift.json").code == 0
        assert cli("whoami", "-o", "json=me.json").code == 0
        assert cli("whoami", "--explain", "-o", "json=all.json").code == 0
        assert cli("list", "-o", "json=/dev/null").code == 0


@pytest.mark.parametrize("text", ["", "# ours\n\n# all of it", BASELINE, f"# ours\n{BASELINE}"])
def test_a_baseline_is_extended(text: str, cli: Cli) -> None:
    (cli.folder / "b.toml").write_text(text)

    ended = cli("drift", "no/such/pipeline", "--write-baseline", "b.toml")

    assert ended.code != 2, ended.err


def test_a_baseline_replaces_no_other_table(cli: Cli) -> None:
    (cli.folder / "b.toml").write_text(BASELINE)
    (cli.folder / "other.toml").write_text("# ours\n[tool]\nkey = 1\n")

    ended = cli("drift", "--baseline", "b.toml", "--write-baseline", "other.toml")

    assert (ended.code, NO_OUTPUT in " ".join(ended.err.split())) == (2, True)


@pytest.mark.skipif(os.name != "posix", reason="needs /dev")
@pytest.mark.parametrize("place", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_stdout_may_be_a_log_that_has_lines(place: str, cli: Cli) -> None:
    if not Path(place).exists():
        pytest.skip(f"there is no {place}")
    log = cli.folder / "log"
    log.write_text("the lines before\n")
    program = [sys.executable, "-m", "reconciler", "list", "--allow-empty", "-o", f"json={place}"]
    with log.open("a") as opened:
        ended = subprocess.run(program, stdout=opened, stderr=subprocess.PIPE, text=True, check=False)

    assert (ended.returncode, '"format": "reconciler/list"' in log.read_text()) == (0, True), ended.stderr
