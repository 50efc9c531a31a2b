"""A mistyped command, option, pipeline, address or field gets the nearest suggestion that does no harm."""

import json
import os
import re
import shutil
import string
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from providers.sandbox import Sandbox
from reconciler.cli import COMMANDS
from reconciler.cli.mistyped import RISKY_COMMANDS, RISKY_OPTIONS, unknown_option
from reconciler.pipeline.suggestions import did_you_mean
from tests.commands.terminal import terminal
from tests.conftest import Cli, copy_example
from tests.schemas import FORMATS, valid
from tests.test_words import commands

EVERY = dict(commands())
SUGGESTED = re.compile(r"Did you mean '([^']+)'\?")


def long_options(command: click.Command) -> set[str]:
    names = (name for param in command.params for name in (*param.opts, *param.secondary_opts))
    return {name for name in names if name.startswith("--")} | {"--help"}


def edits(word: str) -> Iterator[str]:
    """Every word that one slip of a finger makes of this one."""
    letters = string.ascii_lowercase + "-"
    for at in range(len(word) + 1):
        head, tail = word[:at], word[at:]
        if tail:
            yield head + tail[1:]
            yield from (head + letter + tail[1:] for letter in letters)
        if len(tail) > 1:
            yield head + tail[1] + tail[0] + tail[2:]
        yield from (head + letter + tail for letter in letters)


def suggestion(word: str, known: set[str], risky: frozenset[str]) -> str | None:
    found = SUGGESTED.search(did_you_mean(word, sorted(known), risky))
    return found[1] if found else None


@pytest.mark.parametrize(
    "harmless", sorted({name for command in EVERY.values() for name in long_options(command)} - RISKY_OPTIONS)
)
def test_no_slip_in_a_harmless_option_suggests_a_risky_one(harmless: str) -> None:
    """For every command that has the option, and every word at one edit from it."""
    beside = {frozenset(long_options(command)) for command in EVERY.values()}
    words = {frozenset(name.removeprefix("--") for name in names) for names in beside if harmless in names}
    risky = frozenset(name.removeprefix("--") for name in RISKY_OPTIONS)
    for slip in set(edits(harmless.removeprefix("--"))):
        if suggestion(slip, set(risky), risky) is None:
            continue  # too far from each of them
        for known in words:
            assert slip in known or suggestion(slip, set(known), risky) not in risky, (slip, known)


@pytest.mark.parametrize("harmless", sorted({*COMMANDS} - RISKY_COMMANDS))
def test_no_slip_in_a_harmless_command_suggests_a_risky_one(harmless: str) -> None:
    for slip in set(edits(harmless)) - {*COMMANDS}:
        assert suggestion(slip, {*COMMANDS}, RISKY_COMMANDS) not in RISKY_COMMANDS, slip


def test_what_is_risky_exists() -> None:
    assert {name for command in EVERY.values() for name in long_options(command)} >= RISKY_OPTIONS
    assert {name.rpartition(" ")[2] for name in EVERY} >= RISKY_COMMANDS


@pytest.mark.parametrize("name", EVERY)
def test_a_slip_in_each_option_of_each_command_suggests_the_option(name: str) -> None:
    known = long_options(EVERY[name])
    for option in known:
        slip = f"{option}{option[-1]}"
        if slip in known or len(option) < 6:
            continue
        with pytest.raises(click.NoSuchOption) as raised:
            EVERY[name].make_context(name, [slip])
        message = unknown_option(raised.value).message
        assert message == f"there is no option {slip}. Did you mean '{option}'?"


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("pln", "there is no command 'pln'. Did you mean 'plan'?"),
        ("valdate", "Did you mean 'validate'?"),
        ("destory", "Did you mean 'destroy'?"),
        ("state histroy", "there is no command 'histroy'. Did you mean 'history'?"),
        ("xyzzy", "there is no command 'xyzzy'."),
        ("aplan", "Did you mean 'plan'?"),
        ("plan --jsn", "Did you mean '--json'?"),
        ("apply --theris", "Did you mean '--theirs'?"),
    ],
)
def test_a_slip_in_a_command(typed: str, shown: str, cli: Cli) -> None:
    ended = cli(*typed.split())
    assert ended.code == 2
    assert shown in ended.err


GROUPS = [name for name, command in EVERY.items() if isinstance(command, click.Group)]


def page_of(name: str, cli: Cli) -> list[str]:
    return cli(*name.split()[1:], "--help").out.splitlines()


@pytest.mark.parametrize(("typed", "meant"), [("val", "validate"), ("state hist", "history"), ("des", None)])
def test_the_beginning_of_a_harmless_command_suggests_it(typed: str, meant: str | None, cli: Cli) -> None:
    ended = cli(*typed.split())
    assert ended.code == 2
    assert ("Did you mean" in ended.err) == bool(meant)
    assert meant is None or f"Did you mean '{meant}'?" in ended.err


@pytest.mark.parametrize("name", GROUPS)
def test_a_group_without_a_command_shows_its_help_page(name: str, cli: Cli) -> None:
    ended = cli(*name.split()[1:])
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.splitlines() == page_of(name, cli)


@pytest.mark.parametrize("name", GROUPS)
def test_a_group_without_a_command_shows_its_help_page_at_a_terminal(
    name: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    with terminal(*name.split()[1:], cwd=cli.folder, environment=os.environ) as screen:
        assert screen.end() == 2
    assert [line.rstrip() for line in screen.shown.splitlines()] == page_of(name, cli)


@pytest.mark.parametrize("file", ["plan.json", "out/plan.json"])
@pytest.mark.parametrize("command", ["plan", "status", "list"])
def test_a_file_after_json_is_answered_with_the_option_that_writes_it(
    command: str, file: str, cli: Cli, sandbox: Sandbox
) -> None:
    copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    ended = cli(command, "dataset_cleanup", "--json", file)
    assert ended.code == 1
    assert f"use -o json={file}" in " ".join(ended.err.split())


CHOICES = [
    (name, param, choice)
    for name, command in EVERY.items()
    for param in command.params
    if isinstance(param.type, click.Choice) and len(param.type.choices) > 1
    for choice in map(str, param.type.choices)
    if len(choice) > 3
]


@pytest.mark.parametrize(
    ("name", "param", "choice"), CHOICES, ids=[f"{name} {choice}" for name, _, choice in CHOICES]
)
def test_a_slip_in_a_choice_suggests_it(name: str, param: click.Parameter, choice: str, cli: Cli) -> None:
    slip = f"{choice[:-2]}{choice[-1]}"
    option = [param.opts[0]] if isinstance(param, click.Option) else []
    ended = cli(*name.split()[1:], *option, slip)
    assert ended.code == 2
    assert f"Did you mean '{choice}'?" in ended.err


@pytest.mark.parametrize(
    ("arguments", "suggested"),
    [
        (("plan", "x", "--env", "STAGNG"), "STAGING"),
        (("promote", "x", "--to", "PORD"), "PROD"),
        (("init", "x", "--type", "PRE_ANNOTATON"), "PRE_ANNOTATION"),
    ],
    ids=["env", "to", "type"],
)
def test_a_slip_in_a_value_suggests_the_value(arguments: tuple[str, ...], suggested: str, cli: Cli) -> None:
    ended = cli(*arguments)
    assert ended.code != 0
    assert f"Did you mean '{suggested}'?" in ended.err


DRY = {"adopt", "apply", "bump", "deploy", "destroy", "promote", "rollback"}


def test_the_commands_that_change_more_than_the_state_have_a_dry_run() -> None:
    names = {name for name, command in EVERY.items() if "--dry-run" in long_options(command)}
    assert {name.removeprefix("reconciler ") for name in names} == DRY


@pytest.mark.parametrize("command", sorted({*COMMANDS} - DRY))
def test_a_dry_run_is_never_answered_with_something_that_writes(command: str, cli: Cli) -> None:
    ended = cli(command, "--dry-run")
    assert ended.code == 2
    assert not RISKY_OPTIONS.intersection(re.findall(r"--[\w-]+", ended.err.partition("Error")[2]))


@pytest.mark.parametrize("option", ["--target", "--replace", "--take", "--ours", "--theirs"])
def test_a_slip_in_an_address(option: str, cli: Cli, sandbox: Sandbox) -> None:
    copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    for slip in ("processing/dataset_cleanpu", "procesing/dataset_cleanup"):
        ended = cli("plan", "dataset_cleanup", option, slip)
        assert ended.code == 1
        assert f"no resource is called {slip}" in ended.err
        assert "Did you mean 'processing/dataset_cleanup'?" in ended.err


def test_slips_in_the_arguments_of_adopt_and_state(cli: Cli, sandbox: Sandbox) -> None:
    copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    assert cli("apply", "dataset_cleanup", "--yes").code == 0
    for arguments, shown in (
        (("adopt", "dataset_cleanup", "input/dataset_cleanup/datset"), "input/dataset_cleanup/dataset"),
        (("adopt", "dataset_cleanup", "processing/dataset_cleanup#default_cpus"), "default_cpu"),
        (("state", "forget", "dataset_cleanup", "processing/dataset_clean"), "processing/dataset_cleanup"),
        (("state", "show", "dataset_clenup"), "dataset_cleanup"),
        (("plan", "dataset_clenup"), "dataset_cleanup"),
    ):
        ended = cli(*arguments)
        assert ended.code == 1, arguments
        assert f"Did you mean {shown!r}?" in ended.err, ended.err


@pytest.mark.parametrize("command", ["apply", "deploy"])
def test_a_dry_run_prints_the_plan_and_writes_nothing(command: str, cli: Cli, sandbox: Sandbox) -> None:
    folder = copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    before = (folder / "config.toml").read_bytes()
    planned = cli("plan", "dataset_cleanup")

    ended = cli(command, "dataset_cleanup", "--dry-run", "--yes")

    assert (ended.code, ended.out) == (0, planned.out)
    assert "Plan: 7 to create." in ended.out
    assert sandbox.writes() == []
    assert (folder / "config.toml").read_bytes() == before
    assert cli("state", "list").out == ""


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("apply --plan plan.json", "--plan"),
        ("apply --all --shard 1/2", "--shard"),
        ("apply --junit run.xml", "--junit"),
        ("apply -o ndjson", "--events"),
        ("promote --from STAGING --to PROD --out plan.json", "--out"),
        ("rollback -o junit", "--junit"),
        ("destroy --stack x -o junit", "--junit"),
        ("deploy --cpu 0", "--cpu"),
    ],
)
def test_a_dry_run_refuses_options_that_it_would_ignore(
    typed: str, name: str, cli: Cli, sandbox: Sandbox
) -> None:
    ended = cli(*typed.split(), "--dry-run")
    assert ended.code == 2
    assert f"--dry-run applies nothing, so it has no use for {name}" in ended.err
    assert [*Path.cwd().iterdir()] == []


@pytest.mark.parametrize("options", [(), ("--env", "CUSTOM"), ("--all",)])
@pytest.mark.parametrize("command", ["apply", "deploy", "destroy", "rollback"])
def test_a_dry_run_writes_the_plan_as_json_and_nothing_else(
    command: str, options: tuple[str, ...], cli: Cli, sandbox: Sandbox
) -> None:
    folder = copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    assert cli("apply", "dataset_cleanup", "--yes").code == 0
    if command == "rollback":
        text = (folder / "config.toml").read_text()
        (folder / "config.toml").write_text(text.replace('description = "', 'description = "More: '))
        assert cli("apply", "dataset_cleanup", "--yes").code == 0
    elif command != "destroy":
        text = (folder / "config.toml").read_text()
        (folder / "config.toml").write_text(text.replace('description = "', 'description = "More: '))
    before, history = (folder / "config.toml").read_bytes(), cli("state", "history", "dataset_cleanup").out
    sandbox.clear_requests()
    selected = options if "--all" in options else ("dataset_cleanup", *options)

    ended = cli(command, *selected, "--dry-run", "-o", "json")

    assert ended.code == 0, ended.err
    document = json.loads(ended.out)
    valid(document, FORMATS[document["format"]])
    (plan,) = document["plans"] if "--all" in options else [document]
    assert {step["action"] for step in plan["steps"]} - {"noop"}
    assert sandbox.writes() == []
    assert cli("state", "history", "dataset_cleanup").out == history
    assert (folder / "config.toml").read_bytes() == before


def test_a_dry_run_of_bump_and_adopt_shows_what_would_be_written(cli: Cli, sandbox: Sandbox) -> None:
    folder = copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    assert cli("apply", "dataset_cleanup", "--yes").code == 0
    sandbox.platform.edit_processing("dataset_cleanup", default_cpu=7)
    before = (folder / "config.toml").read_bytes()
    assert "1.0.0 -> 1.0.1" in cli("bump", "patch", "dataset_cleanup", "--dry-run").out
    ended = cli("adopt", "dataset_cleanup", "--dry-run")
    assert ended.code == 0, ended.err
    assert '+cpu = "7"' in ended.err
    assert "Nothing was written." in ended.err
    assert (folder / "config.toml").read_bytes() == before


def test_a_dry_run_of_a_stack_without_a_folder(cli: Cli, sandbox: Sandbox) -> None:
    folder = copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    assert cli("apply", "dataset_cleanup", "--yes").code == 0
    shutil.rmtree(folder)
    sandbox.clear_requests()
    ended = cli("destroy", "--stack", "dataset_cleanup", "--dry-run", "-o", "json")
    assert ended.code == 0, ended.err
    assert "delete" in {step["action"] for step in json.loads(ended.out)["steps"]}
    assert sandbox.writes() == []
    assert cli("destroy", "--stack", "dataset_cleanup", "--yes").code == 0
