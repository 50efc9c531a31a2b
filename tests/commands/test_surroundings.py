"""Odd surroundings of a run: no home folder, bytes that are not UTF-8, unusable variables of a bucket.

None of them is a bug in reconciler: the run works, or an error names the cause.
"""

import os
import pwd
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from providers.sandbox import Sandbox
from state.stores.objects import Objects
from state.stores.opening import open_store
from tests.commands.terminal import terminal
from tests.conftest import Cli, Ended, copy_example
from tests.state.conftest import counting
from tests.state.servers import Bucket, use

APP = "dataset_cleanup"
LATIN_1 = os.fsdecode("café".encode("latin-1"))
OF_A_RUN = ("USER", "LOGNAME", "GITHUB_RUN_ID", "BUILD_URL")  # what state keeps of its surroundings


def is_no_bug(ended: Ended) -> bool:
    return "Traceback" not in ended.err and "a bug in" not in ended.err and "panicked" not in ended.err


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no such file names")
def test_names_that_are_not_utf_8_reach_state_as_escapes(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_example(APP, cli.folder, sandbox.registry).rename(cli.folder / LATIN_1)
    for name in OF_A_RUN:
        monkeypatch.setenv(name, LATIN_1)
    applied = cli("apply", LATIN_1, "--yes")
    assert applied.code == 0, applied.err
    history = cli("state", "history", APP)
    assert r"reconciler apply caf\udce9 --yes" in history.out
    assert r"caf\udce9@" in history.out
    copied = cli("state", "copy", str(cli.folder.parent / "state.db"), "copy.db")
    assert copied.code == 0, copied.err


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS has no such file names")
def test_an_acknowledgement_by_a_user_whose_name_is_not_utf_8_is_read_again(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_example(APP, cli.folder, sandbox.registry)
    assert cli("apply", APP, "--yes").code == 0
    sandbox.platform.edit_processing(APP, description="theirs")
    monkeypatch.setenv("LOGNAME", LATIN_1)
    written = cli("drift", APP, "--write-baseline", "--reason", LATIN_1)
    assert written.code == 0, written.err
    assert cli("drift", APP).code == 0


@pytest.mark.parametrize("store", ["file", "bucket"])
@pytest.mark.parametrize(
    "arguments",
    [
        *(("show", LATIN_1), ("history", LATIN_1), ("diff", LATIN_1, "1", "2"), ("verify", LATIN_1)),
        *(("unlock", LATIN_1), ("move", "my-org@STAGING/my_pipeline", f"my-org@STAGING/{LATIN_1}")),
    ],
    ids=lambda arguments: arguments[0],
)
def test_no_state_has_a_name_that_is_not_utf_8(
    arguments: tuple[str, ...], store: str, home: Path, cli: Cli, s3: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    if store == "bucket":
        use(s3, monkeypatch)
        monkeypatch.setenv("RECONCILER_STATE", f"{s3.url}/{arguments[0]}")
    with open_store(os.environ["RECONCILER_STATE"]) as opened:
        opened.save(counting(1), expected_serial=0, lock=None)
    ended = cli("state", *arguments)
    assert ended.code == 1
    assert is_no_bug(ended), ended.err
    assert r"caf\udce9" in ended.err


ODD_SIZES = ("9" * 5000, "99999999999", "0", "-1", "1e3", "²", "٣", "text", "", " 80 ", "1")
ODD_TEXTS = ("", "x", "0", "²", "9" * 5000, LATIN_1)
OF_A_TERMINAL = {
    **dict.fromkeys(("COLUMNS", "LINES", "JUPYTER_COLUMNS", "JUPYTER_LINES"), ODD_SIZES),
    **dict.fromkeys(("TERM", "COLORTERM", "NO_COLOR", "FORCE_COLOR"), ODD_TEXTS),
    **dict.fromkeys(("TTY_COMPATIBLE", "TTY_INTERACTIVE", "TERM_PROGRAM"), ODD_TEXTS),
    **dict.fromkeys(("LANG", "LC_ALL", "LC_CTYPE", "LANGUAGE", "PYTHONIOENCODING"), ODD_TEXTS),
}


@pytest.mark.parametrize("variable", OF_A_TERMINAL)
def test_no_value_of_a_variable_of_the_terminal_ends_a_command(
    variable: str, cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands that fail print an error, and those that succeed what they print with no such variable."""
    copy_example(APP, cli.folder, sandbox.registry)
    monkeypatch.delenv(variable, raising=False)
    commands = (("validate", APP), ("whoami",), ("status", APP), ("state", "list"), ("show", "missing.json"))
    expected = [cli(*command) for command in commands]
    for value in OF_A_TERMINAL[variable]:
        monkeypatch.setenv(variable, value)
        for command, before in zip(commands, expected, strict=True):
            ended = cli(*command)
            assert is_no_bug(ended), ended.err
            assert ended.code == before.code, (value[:20], command)


@pytest.mark.parametrize("size", ["9" * 5000, "99999999999", "0", "1", "²"])
def test_a_terminal_of_an_impossible_size_shows_a_plan_with_its_progress(
    size: str, cli: Cli, sandbox: Sandbox
) -> None:
    copy_example(APP, cli.folder, sandbox.registry)
    environment = {**os.environ, "LINES": size}
    with terminal("plan", APP, cwd=cli.folder, environment=environment, columns=size) as shown:
        assert shown.end() == 0, shown.shown[-500:]
    assert "to create" in shown.shown and "Traceback" not in shown.shown


@pytest.fixture
def no_home(sandbox: Sandbox, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user with a number and nothing else, as in a container that is started with one."""

    def unknown(_: object) -> NoReturn:
        raise KeyError("getpwuid(): uid not found")

    copy_example(APP, cli.folder, sandbox.registry)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        *((("whoami",), 0), (("plan", APP), 0), (("apply", APP, "--yes"), 0), (("status", APP), 0)),
        *((("drift", APP), 10), (("state", "list"), 0), (("logout", "--all"), 1)),
    ],
    ids=lambda arguments: arguments[0] if isinstance(arguments, tuple) else "",
)
def test_without_a_home_folder_everything_else_works(
    no_home: None, arguments: tuple[str, ...], code: int, cli: Cli
) -> None:
    ended = cli(*arguments)
    assert is_no_bug(ended), ended.err
    assert ended.code == code, ended.err
    assert sorted(path.name for path in Path.cwd().iterdir()) == [APP], "nothing is made in a folder named ~"


@pytest.mark.parametrize("state", [None, "~/state.db", "~nobody_at_all/state.db"])
def test_state_in_a_home_folder_that_does_not_exist_is_an_error(
    no_home: None, state: str | None, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RECONCILER_STATE")
    if state is not None:
        monkeypatch.setenv("RECONCILER_STATE", state)
    for command in (("plan", APP), ("apply", APP, "--yes"), ("state", "list")):
        ended = cli(*command)
        assert ended.code == 1, ended.err
        assert is_no_bug(ended), ended.err
        assert "RECONCILER_STATE" in ended.err


ADDRESSES = ("", " ", "storage:9000", "//storage", "http://", "http://[", "http://a:99999", "file:///x", "é")
BROKEN = ("secret\n", "\n", " secret", "secret secret", "\x1b[31m", "é")
ODD: dict[str, dict[str, tuple[str, ...]]] = {
    "s3": {
        **dict.fromkeys(("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"), ADDRESSES),
        **dict.fromkeys(("AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), BROKEN),
        "AWS_SESSION_TOKEN": BROKEN,
    },
    "az": dict.fromkeys(("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT_KEY"), BROKEN),
}


@pytest.mark.parametrize(
    ("scheme", "variable", "value"),
    [(scheme, name, value) for scheme in ODD for name, values in ODD[scheme].items() for value in values],
)
def test_a_variable_of_a_bucket_that_cannot_be_used_is_named(
    scheme: str, variable: str, value: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library below panics on some of them: an error that no `except Exception` catches."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv(variable, value)
    monkeypatch.setenv("RECONCILER_STATE", f"{scheme}://bucket/prefix")
    ended = cli("state", "list")
    assert ended.code == 1
    assert is_no_bug(ended), ended.err
    assert variable in ended.err
    assert "secret" not in ended.err


def test_a_panic_of_the_library_is_an_error_of_the_bucket(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Objects, "_check_variables", lambda self: None)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "storage:9000")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("RECONCILER_STATE", "s3://bucket/prefix")
    ended = cli("state", "list")
    assert ended.code == 1
    assert is_no_bug(ended) or "panicked" in ended.err
    assert "s3://bucket/prefix cannot be used" in ended.err


@pytest.mark.parametrize(
    "command", ["plan", "plan app", "apply", "validate", "list", "drift --all", "init app --type TRAINING"]
)
def test_a_current_folder_that_was_deleted_is_named(
    command: str, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (folder := tmp_path / "gone").mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    ended = cli(*command.split())
    monkeypatch.chdir(tmp_path)
    assert (ended.code, ended.out) == (1, "")
    assert "the current folder does not exist any more" in ended.err
    assert "cd" in ended.err
