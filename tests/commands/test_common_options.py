"""The options that every command has: --quiet, --verbose, --no-color and --no-input."""

import os
import re
import threading

import click
import pytest

from providers.sandbox import Sandbox
from tests.commands.terminal import terminal
from tests.conftest import TOKEN, Cli, copy_example
from tests.test_words import commands

COMMON = {"--quiet", "--verbose", "--no-color", "--no-input"}
REQUEST = re.compile(r"^(GET|HEAD|POST|PUT|PATCH|DELETE) https?://\S+  (\d+|no answer)  [\d,]+ ms$", re.M)
TYPED = {
    "plan": ("dataset_cleanup",),
    "apply": ("dataset_cleanup", "--yes"),
    "deploy": ("dataset_cleanup", "--yes"),
    "drift": ("dataset_cleanup",),
    "status": ("dataset_cleanup",),
    "image": ("dataset_cleanup",),
    "whoami": (),
    "state history": ("dataset_cleanup",),
    "list": (),
    "validate": ("dataset_cleanup",),
}


@pytest.mark.parametrize(("name", "command"), [*commands()], ids=str)
def test_every_command_has_them(name: str, command: click.Command) -> None:
    if not isinstance(command, click.Group) or name == "reconciler":
        assert {option for param in command.params for option in param.opts} >= COMMON


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e300", "1e10", "1e-300", "1e-5", "0", "0.5", "20"])
@pytest.mark.parametrize(
    ("name", "param"),
    [
        (name, param)
        for name, command in commands()
        for param in command.params
        if isinstance(param.type, click.FloatRange)
    ],
    ids=lambda value: value if isinstance(value, str) else value.name,
)
def test_every_number_can_be_waited_for(name: str, param: click.Parameter, text: str) -> None:
    try:
        number: float = param.type.convert(text, param, None)
    except click.BadParameter:
        assert text not in ("0.5", "20")
    else:
        assert 0 <= (1 / number if param.name == "rps" else number) <= threading.TIMEOUT_MAX


@pytest.mark.parametrize(
    ("name", "option"),
    [
        (name, option)
        for name, command in commands()
        for param in command.params
        if isinstance(param, click.Option) and not (param.is_flag or param.count)
        for option in param.opts
        if option.startswith("--")
    ],
)
def test_a_value_is_not_empty(name: str, option: str, cli: Cli) -> None:
    """A variable of a script that is not set gives an empty value: no default takes its place."""
    for arguments in ((option, ""), (f"{option}=",)):
        ended = cli(*name.split()[1:], *arguments)
        assert ended.code == 2, ended
        assert option in ended.err
        assert "empty" in ended.err


@pytest.mark.parametrize("number", ["nan", "1e-300"])
def test_a_limit_without_meaning_is_wrong_usage(number: str, cli: Cli) -> None:
    ended = cli("drift", "--all", "--rps", number)

    assert ended.code == 2
    assert "Invalid value for '--rps'" in ended.err


@pytest.fixture
def applied(cli: Cli, sandbox: Sandbox) -> None:
    copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    assert cli("apply", "--all", "--yes").code == 0


@pytest.mark.parametrize("command", TYPED)
def test_verbose_prints_each_request_without_secrets(
    command: str, applied: None, cli: Cli, sandbox: Sandbox
) -> None:
    sandbox.clear_requests()

    ended = cli(*command.split(), *TYPED[command], "--verbose")

    assert ended.code == 0, ended.err
    shown = [line[0].split()[:1] for line in REQUEST.finditer(ended.err)]
    assert len(shown) == len(sandbox.requests())
    assert "?" not in "".join(line[0] for line in REQUEST.finditer(ended.err))
    assert TOKEN not in ended.err


@pytest.mark.parametrize("command", TYPED)
def test_quiet_prints_the_same_result_and_no_request(
    command: str, applied: None, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [*command.split(), *TYPED[command]]
    cli(*arguments)  # what a deploy writes to config.toml is there from now on
    usual, quiet = cli(*arguments), cli(*arguments, "--quiet")

    times = re.compile(r"[\d.]+ s\b|\d+ (second|minute)s? ago|just now")
    assert (quiet.code, times.sub("", quiet.out)) == (usual.code, times.sub("", usual.out))
    assert set(quiet.err.splitlines()) <= set(usual.err.splitlines())
    assert not REQUEST.search(usual.err)


def test_quiet_names_failures_and_the_end_of_a_fleet(applied: None, cli: Cli, sandbox: Sandbox) -> None:
    copy_example("computed_inputs", cli.folder, sandbox.registry)
    config = cli.folder / "dataset_cleanup" / "config.toml"
    config.write_text(re.sub("description = .*", 'description = "Another"', config.read_text()))
    sandbox.fail("PATCH", "/api/processing/[0-9a-f-]+$", 422, times=None)

    ended = cli("apply", "--all", "--yes", "--quiet")

    assert ended.code == 1
    assert "computed_inputs  1" not in ended.err, "what succeeded is in the totals only"
    assert "dataset_cleanup" in ended.out + ended.err
    assert "1 failed" in ended.out + ended.err


def test_an_option_of_one_command_is_not_that_of_the_next(applied: None, cli: Cli) -> None:
    assert REQUEST.search(cli("plan", "dataset_cleanup", "--verbose").err)
    assert not REQUEST.search(cli("plan", "dataset_cleanup").err)
    assert REQUEST.search(cli("--verbose", "plan", "dataset_cleanup").err)
    assert not REQUEST.search(cli("plan", "dataset_cleanup").err)


def test_no_input_asks_nothing_at_a_terminal(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal("login", "--no-input", cwd=cli.folder, environment=os.environ) as screen:
        assert screen.end() != 0
    assert "> " not in screen.shown, "the prompt of a question"
    with terminal("login", cwd=cli.folder, environment=os.environ) as screen:
        screen.expect("> ")
        screen.interrupt()
        screen.end()
