"""A command that an output suggests works where the command that suggested it worked.

No login is in use, so a suggestion without its environment fails, or works in another one.
"""

import ast
import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import click
import pytest

from providers.sandbox import Sandbox
from providers.sandbox.server import SandboxError
from reconciler.cli import COMMANDS
from tests.conftest import Cli, copy_example

NAMES = ("dataset_cleanup", "other_cleanup")
NAME = NAMES[0]
PROCESSING = f"processing/{NAME}"
Break = Callable[[Cli, Sandbox, pytest.MonkeyPatch], None]


def nothing(cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing fails."""


def no_file_can_be_read(cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        (cli.folder / name / "config.toml").write_text("no = [")


def one_file_cannot_be_read(cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    (cli.folder / NAME / "config.toml").write_text("no = [")


def writes_fail(cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(cli, "config.toml", "4", "5")
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        sandbox.fail(method, "^/(api|sdk)/", 400, times=None)


def reads_fail(cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    sandbox.fail("GET", "^/(api|sdk)/.*processing", 400, times=None)


def the_registry_fails(cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    for method in ("GET", "HEAD"):
        sandbox.fail(method, "^/v2/", 403, times=None)


def a_conflict(cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(cli, "config.toml", "4", "5")
    for name in NAMES:
        with suppress(SandboxError):  # destroyed
            sandbox.account("LIVE").platform.edit_processing(name, default_cpu=7)


def other_source(cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(cli, "pipeline.py", "import", "# edited\nimport")


def a_wrong_token(cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVE_TOKEN", "0123456789abcdef0123456789abcdef01234567")


def a_gone_folder(cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(cli.folder / NAME)


def no_state(cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    (cli.folder.parent / "state.db").unlink()


def edit(cli: Cli, file: str, old: str, new: str) -> None:
    for name in NAMES:
        path = cli.folder / name / file
        text = path.read_text()
        assert old in text
        path.write_text(re.sub(old, new, text, count=0 if file == "config.toml" else 1))


BREAKS = (
    *(nothing, no_file_can_be_read, one_file_cannot_be_read, writes_fail, reads_fail, the_registry_fails),
    *(a_conflict, other_source, a_wrong_token, a_gone_folder, no_state),
)
LIVE = ("--env", "LIVE")
BOTH = ("--from", "TEST", "--to", "LIVE")
RUNS = {
    "plan": (("--all", *LIVE, "--prune", "--out", "plan of all.json"),),
    "apply": (("--all", *LIVE, "--yes"), (NAME, *LIVE, "--yes")),
    "deploy": (("--all", *LIVE, "--bump", "patch", "--yes"),),
    "promote": (("--all", *BOTH, "--yes"), (NAME, *BOTH, "--yes")),
    "rollback": (("--all", *LIVE, "--yes"), (NAME, *LIVE, "--to", "99")),
    "status": (("--all", *LIVE), ("--all", *LIVE, "--matrix")),
    "drift": (("--all", *LIVE), (NAME, *LIVE, "--baseline", "none.toml")),
    "adopt": ((f"{NAME}", f"{PROCESSING}#docker_image", *LIVE),),
    "image": (("--all", *LIVE), (NAME, *LIVE, "--verify")),
    "contract": ((NAME, "9.9.9", *LIVE),),
    "graph": (("--all", *LIVE),),
    "list": (("--all", *LIVE),),
    "whoami": (LIVE,),
    "destroy": (("--all", *LIVE), ("--stack", NAME, *LIVE, "--yes"), (NAME, *LIVE, "--prune", "--yes")),
}
"""The arguments of each command that has an environment. The last one changes the platform."""
CASES = [(verb, arguments) for verb, several in RUNS.items() for arguments in several]


def takes_an_environment(verb: str) -> bool:
    command: click.Command = import_module(f"reconciler.cli.commands.{verb}").command
    return any(parameter.name == "environment" for parameter in command.params)


def test_every_command_with_an_environment_is_run() -> None:
    # Those of logins name the environment that they add or remove.
    commands = set(filter(takes_an_environment, COMMANDS)) - {"login", "logout", "switch"}
    assert commands == RUNS.keys()


@pytest.mark.parametrize("breaks", BREAKS, ids=lambda breaks: breaks.__name__)
def test_a_suggested_command_has_its_environment(
    cli: Cli, environments: Sandbox, monkeypatch: pytest.MonkeyPatch, breaks: Break
) -> None:
    copy_example(NAME, cli.folder, environments.registry)
    shutil.copytree(cli.folder / NAME, cli.folder / NAMES[1])
    config = cli.folder / NAMES[1] / "config.toml"
    config.write_text(config.read_text().replace(NAME, NAMES[1]))
    for environment in ("TEST", "LIVE"):
        assert cli("apply", "--all", "--env", environment, "--yes").code == 0
    kept = cli.folder.parent / "kept"
    shutil.copytree(cli.folder, kept)
    shutil.copy(cli.folder.parent / "state.db", kept / "state.db")
    environments.clear_requests()
    wrong = []
    for verb, arguments in CASES:
        with monkeypatch.context() as patch:
            breaks(cli, environments, patch)
            ended = cli(verb, *arguments)
        environments.switch(faults=[])
        for name in NAMES:
            shutil.copytree(kept / name, cli.folder / name, dirs_exist_ok=True)
        shutil.copy(kept / "state.db", cli.folder.parent / "state.db")
        wrong += [
            f"{verb} {shlex.join(arguments)}: {line}"
            for line in suggested(ended.out + ended.err)
            if not has_environment(line, promotes=verb == "promote")
        ]
    assert wrong == []


def suggested(output: str) -> list[str]:
    """The commands with an environment in a text, each to the end of its line or quote."""
    found = re.findall(rf"reconciler ((?:{'|'.join(RUNS)})\b[^\n`\"<]*)", output)
    return [line for line in found if not line.startswith("whoami --explain")]  # shows all places


def has_environment(line: str, *, promotes: bool) -> bool:
    if " --plan " in line:
        return True  # a saved plan has its environment
    names = re.findall(r"--(?:env|to) (\w+)", line)
    return bool(names) and set(names) <= {"LIVE", *(["TEST"] if promotes else [])}


ROOT = Path(__file__).parents[2]
COMMAND_IN_TEXT = re.compile(
    rf"\b(reconciler (?:{'|'.join([*COMMANDS, 'VERB'])})\b|git (?:-C|fetch|checkout|stash|submodule|lfs)\b"
    r"|mkdir -p|chmod [a-z+]+|docker login|export )[^\n`]*\Z"
)
SAFE = {"shlex.quote", "shlex.join"}
"""What makes a word, or several, of a value."""
WORDS = {
    "commit": "a digest of a commit",
    "depth": "an option of git",
    "login.environment": "a word, as reconciler.toml allows no other",
    "variable": "the name of a variable",
}


def unquoted(tree: ast.AST) -> Iterator[str]:
    """The values that stand as they are in the command of a text."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.JoinedStr):
            continue
        before = ""
        for part in node.values:
            if isinstance(part, ast.Constant):
                before += str(part.value)
                continue
            assert isinstance(part, ast.FormattedValue)
            value = ast.unparse(part.value)
            if COMMAND_IN_TEXT.search(before) and value.partition("(")[0] not in SAFE and value not in WORDS:
                yield f"{before}{{{value}}}"
            before += "{}"


def test_every_value_in_the_command_of_a_text_is_quoted() -> None:
    """A folder may have a space in its name and a branch brackets, and the command goes into a shell."""
    wrong = [
        f"{file.relative_to(ROOT)}: {text}"
        for package in ("reconciler", "providers", "state")
        for file in sorted((ROOT / package).rglob("*.py"))
        for text in unquoted(ast.parse(file.read_text()))
    ]
    assert wrong == []


def test_a_command_for_a_place_with_a_space_can_be_copied(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    spaced = copy_example(NAME, cli.folder, sandbox.registry).rename(cli.folder / "a folder")
    for arguments in (
        ("init", "-q"),
        ("add", "."),
        ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm1"),
        ("remote", "add", "origin", "https://git.example.com/a.git"),
    ):
        subprocess.run(["git", *arguments], cwd=cli.folder, check=True)
    (cli.folder / "of mine").mkdir()
    made = cli("init", "of mine/next_one", "--type", "PRE_ANNOTATION", "--image", "localhost:8000/next")
    no_commit = cli("plan", "--changed=origin/add(x)")
    (spaced / "config.toml").write_text("no = [")
    unreadable = cli("list")
    nowhere = cli("init", "no folder/one", "--type", "PRE_ANNOTATION", "--image", "localhost:8000/next")

    copied = {
        words for ended in (made, no_commit, unreadable, nowhere) for words in commands(ended.out + ended.err)
    }
    assert copied >= {
        ("reconciler", "validate", "of mine/next_one"),
        ("reconciler", "deploy", "of mine/next_one"),
        ("reconciler", "validate", str(cli.folder / "a folder")),
        ("git", "fetch", "origin", "add(x):refs/remotes/origin/add(x)"),
        ("mkdir", "-p", "no folder"),
    }


OF_RESOURCES = ("--target", "--replace", "--take", "--ours", "--theirs")
REFUSED = [*(("apply", option, "processing/unknown") for option in OF_RESOURCES), ("rollback", "--to", "99")]


@pytest.mark.parametrize(("verb", "option", "value"), REFUSED)
def test_no_command_repeats_an_option_that_is_refused(
    cli: Cli, environments: Sandbox, tmp_path: Path, verb: str, option: str, value: str
) -> None:
    copy_example(NAME, cli.folder, environments.registry)
    copy_example("computed_inputs", cli.folder, environments.registry)
    assert cli("apply", "--all", *LIVE, "--yes").code == 0
    files = {form: tmp_path / form for form in ("json", "junit", "markdown", "html")}
    outputs = [word for form, file in files.items() for word in (f"--{form}", str(file))]
    ended = cli(verb, "--all", *LIVE, "--yes", *outputs, option, value)
    assert ended.code == 1
    texts = [ended.out, ended.err, *(file.read_text() for file in files.values())]
    assert all(value in text for text in texts[1:]), "each names what is refused"
    assert [text for text in texts if re.search(rf"reconciler {verb} [^\n]*{value}", text)] == []
    assert "Correct the refused options" in ended.err
    assert [run["next"] for run in json.loads(files["json"].read_text())["pipelines"]] == [[], []]


@pytest.mark.parametrize("option", OF_RESOURCES)
def test_a_field_is_refused_where_a_resource_is_named(cli: Cli, environments: Sandbox, option: str) -> None:
    copy_example(NAME, cli.folder, environments.registry)
    ended = cli("apply", "--all", *LIVE, "--yes", option, f"{PROCESSING}#default_cpu")
    assert ended.code == 2
    assert f"is a field, and this is for whole resources: {PROCESSING}" in " ".join(ended.err.split())


def commands(output: str) -> list[tuple[str, ...]]:
    found = re.findall(r"(?m)(?:^|  )((?:reconciler|git|mkdir) .*)$", output)
    return [tuple(shlex.split(line)) for line in found]
