"""A value that looks like a token, from the files or the platform, is shown in no output for people."""

import base64
import json
import os
import pickle
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.errors import (
    ForbiddenError,
    GoneError,
    ProviderError,
    RefusedError,
    TransientError,
    UnexpectedError,
)
from providers.hiding import LineHider, shortened
from providers.json_value import JSON
from providers.protocol import Progress
from providers.reasons import Reason
from providers.sandbox import Sandbox
from providers.text import without_secrets
from reconciler.core.diagnostics import error
from reconciler.core.diff import Change, ChangeClass
from reconciler.core.reasons import ReasonCode
from reconciler.views.reports.html import full_text
from reconciler.views.shown_values import format_value, old_and_new
from reconciler.views.terminal.adopted import diff_lines
from tests.commands.untouched import snapshot
from tests.conftest import Cli, copy_example
from tests.docker.tokens import BEFORE, tokens

NAME = "dataset_cleanup"
TOKEN = tokens()["github classic"]
NUMBER = tokens()["picsellia variable"].rpartition("=")[2]
SHOWN = "(a secret, not shown)"
REPORTS = ("--markdown", "r.md", "--html", "r.html")


@pytest.mark.parametrize("shape", sorted(tokens()))
def test_no_value_shows_a_token_of_any_shape(shape: str) -> None:
    token = tokens()[shape]
    values: tuple[JSON, ...] = (token, f"use {token} here", {"a": [1, token]}, {token: 1}, [[token]])
    for value in values:
        assert format_value(value, "note") == full_text(value, "note") == SHOWN


@pytest.mark.parametrize("shape", sorted(tokens()))
def test_nothing_shows_a_token_after_an_escape(shape: str) -> None:
    """No value, message, line of a log or diff."""
    token = tokens()[shape]
    for name, before in BEFORE.items():
        text = f"it is {before}{token}"
        shown = (
            *(format_value(text, "note"), format_value({"a": [text]}, "note"), full_text(text, "note")),
            *(error(text, text).text, ProviderError(text).message, shortened(text, 200)),
            "\n".join(map(LineHider(), text.splitlines())),
            "\n".join(diff_lines(Path("config.toml"), f"a = {json.dumps(text)}\n", "a = 1\n")),
        )
        for one in shown:
            assert SHOWN in one or "…" in one, name
            for word in re.findall(r"[\w+/-]{20,}", token):
                assert "TOKEN" in word or word[-20:] not in one, name


@pytest.mark.parametrize(
    "name",
    [
        *("api_token", "token", "TOKEN", "picsellia_token", "apiToken", "hf-token", "WANDB_API_KEY"),
        *("default_parameters.api_token", "parameters.PICSELLIA_acme_PROD_API_TOKEN", "outputs.token"),
    ],
)
def test_no_value_with_the_name_of_a_token_shows_forty_digits(name: str) -> None:
    values: tuple[JSON, ...] = (NUMBER, [NUMBER], [["a", NUMBER]])
    inside = name.rpartition(".")[2]
    named: tuple[JSON, ...] = (
        *({inside: NUMBER}, {inside: ["a", NUMBER]}, [{"a": {inside: NUMBER}}]),
        *({inside: {"value": NUMBER}}, {"a": {inside: [{"of": {"prod": [NUMBER]}}]}}),
    )
    given = *values, {"value": NUMBER}, [{"of": {"prod": NUMBER}}]
    for value, called in (*((one, name) for one in given), *((one, "defaults") for one in named)):
        assert format_value(value, called) == full_text(value, called) == SHOWN
        for change in (_change(called, value, None), _change(called, None, value)):
            shown = {text for _, *texts in old_and_new(change) for text in texts}
            assert NUMBER not in str(shown)
            assert SHOWN in shown


def test_the_parts_of_a_long_table_keep_the_names_that_make_them_secrets() -> None:
    long = {f"key {number}": "x" * 20 for number in range(9)}
    pairs: tuple[tuple[JSON, JSON], ...] = (
        (NUMBER, ["a", NUMBER]),
        ({"value": NUMBER}, {"value": NUMBER[::-1]}),
    )
    for old, new in pairs:
        change = _change("defaults", {**long, "api_token": old}, {**long, "api_token": new})

        assert [texts for _, *texts in old_and_new(change)] == [[SHOWN, SHOWN]]


@pytest.mark.parametrize("name", ["commit", "revision", "token_commit", "tokenizer", "source", ""])
@pytest.mark.parametrize("value", [NUMBER, [NUMBER], f"sha1:{NUMBER}"])
def test_a_git_commit_is_shown(value: JSON, name: str) -> None:
    assert NUMBER in format_value(value, name)
    assert NUMBER in full_text(value, name)


@pytest.mark.parametrize("name", ["digest", "api_token"])
@pytest.mark.parametrize("value", ["0123456789abcdef" * 4, "sha256:" + "0a" * 32, "v1", {"a": "x" * 30}])
def test_a_digest_is_shown(value: JSON, name: str) -> None:
    assert SHOWN not in format_value(value, name) + full_text(value, name)


@pytest.mark.parametrize("shape", sorted(tokens()))
def test_no_message_shows_a_token_of_any_shape(shape: str) -> None:
    token = tokens()[shape]
    said = f"it failed:\n{token}\nat host"
    problem = error(said, said)
    kinds = (ProviderError, TransientError, GoneError, ForbiddenError, RefusedError, UnexpectedError)
    refused = [pickle.loads(pickle.dumps(kind(said, hint=said))) for kind in kinds]
    messages = [part for one in refused for part in (str(one), one.message, one.hint)]

    for text in (problem.text, problem.at(None, 1).text, Progress("build", text=said).text, *messages):
        assert SHOWN in text
        assert "it failed:\n" in text
        assert not [
            secret
            for secret in re.findall(r"[\w+/-]{20,}", token)
            if "TOKEN" not in secret and secret in text
        ]


@pytest.mark.parametrize(
    "text",
    [
        f"commit {NUMBER} is not in this clone",
        "sha256:" + "0a" * 32,
        "/home/ann/a_long_folder_of_a_project/segmentation-of-parts/utils",
        "token is not set",
        "",
    ],
)
def test_other_messages_stay_as_they_are(text: str) -> None:
    assert error(text, text).text == error("x").text.replace("x", f"{text}\n  {text}" if text else "")
    assert ProviderError(text).message == text


@pytest.mark.parametrize(
    "code",
    [
        'raise ValueError("cannot log in with " + token)',
        'print("using", token); raise SystemExit(3)',
        "import sys; sys.stderr.write(token); sys.stderr.flush(); import os; os._exit(4)",
        'raise OSError("https://me:" + token + "@host/?key=" + token)',
        "raise KeyError(token)",
        "import importlib; importlib.import_module(token)",
    ],
    ids=["exception", "output", "stderr", "address", "key", "module"],
)
def test_a_token_that_a_class_prints_or_raises(
    code: str, cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy_example(NAME, cli.folder, sandbox.registry)
    assert cli("apply", NAME, "--yes").code == 0
    file = folder / "utils" / "parameters.py"
    # In two parts, as the context may have no token either.
    lines = f"        token = {TOKEN[:9]!r} + {TOKEN[9:]!r}\n        {code}\n"
    file.write_text(re.sub(r"(?m)^( +super\(\).*\n)", lambda found: found[1] + lines, file.read_text()))
    monkeypatch.chdir(cli.folder)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    files = ("--markdown", "r.md", "--html", "r.html", "--junit", "r.xml", "--json", "r.json")

    for arguments in (
        ("validate", NAME),
        ("plan", NAME, *REPORTS),
        ("drift", NAME, *files),
        ("status", NAME),
        ("apply", NAME, "--yes", "--events", "e.ndjson", *files),
        ("state", "history", NAME),
    ):
        ended = cli(*arguments)
        texts = [ended.out, ended.err, *(one.read_text() for one in Path.cwd().glob("[re].*"))]
        assert not [text for text in texts if TOKEN in text or TOKEN[9:] in text], arguments
        if arguments[0] == "validate":
            assert ended.code == 1
            assert SHOWN in ended.out + ended.err or "key=…" in ended.err


def _change(path: str, desired: JSON, live: JSON) -> Change:
    reason = Reason(ReasonCode.CHANGED_OUTSIDE)
    return Change(path, ChangeClass.DRIFT, desired, desired, live, reason, write=True)


@pytest.mark.parametrize(
    "fields",
    [
        {"description": f"pull with {TOKEN}"},
        {"default_parameters": {"hub": TOKEN}},
        {"default_parameters": {"hub": {"login": [TOKEN]}}},
        {"docker_flags": [f"--env=HUB={TOKEN}"]},
        {"default_parameters": {"api_token": NUMBER}},
        {"default_parameters": {"picsellia_token": [NUMBER]}},
        {"default_parameters": {"api_token": {"value": NUMBER}}},
        {"description": f"https://ci/?next=%2Fx%3Ftoken%3D{TOKEN}"},
        {"description": f"\x1b[32m{TOKEN}\x1b[0m"},
    ],
    ids=(
        *("description", "parameter", "inside a parameter", "flag", "name", "list with a name"),
        *("table with a name", "address", "colour"),
    ),
)
def test_a_token_that_somebody_put_on_the_platform(
    fields: Mapping[str, JSON], cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy_example(NAME, cli.folder, sandbox.registry)
    assert cli("apply", NAME, "--yes").code == 0
    before = snapshot(folder)
    sandbox.platform.edit_processing(NAME, **fields)
    monkeypatch.chdir(cli.folder)

    planned = cli("plan", NAME, *REPORTS)
    drift = cli("drift", NAME, *REPORTS, "--junit", "r.xml")
    adopted = cli("adopt", NAME, "--yes")

    assert drift.code == 11
    assert SHOWN in planned.out
    assert SHOWN in drift.out
    reports = [Path(name).read_text() for name in ("r.md", "r.html", "r.xml")]
    for text in (*(part for ended in (planned, drift, adopted) for part in (ended.out, ended.err)), *reports):
        assert TOKEN not in text
        assert NUMBER not in text
    assert snapshot(folder) == before


def test_a_token_in_a_file_is_refused_and_not_printed_beside_the_refusal(cli: Cli, sandbox: Sandbox) -> None:
    config = copy_example(NAME, cli.folder, sandbox.registry) / "config.toml"
    lines = config.read_text().splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("description"))
    lines[at] = f"description = {json.dumps(TOKEN)}"
    config.write_text(os.linesep.join(lines))

    for command in ("validate", "plan", "apply", "drift"):
        ended = cli(command, NAME)

        assert TOKEN not in ended.out + ended.err
    assert "GitHub token" in cli("validate", NAME).err


@pytest.mark.parametrize("shape", sorted(tokens()))
def test_a_diff_shows_no_token_of_any_shape(shape: str) -> None:
    secret = tokens()[shape]
    kept = f"note = '''\n{secret}\n'''\ncpu = \"%s\"\n# a comment\n\n[docker]\n"

    lines = diff_lines(Path("config.toml"), kept % 4, kept % 7)

    assert {'-cpu = "4"', '+cpu = "7"', " # a comment", " ", " [docker]"} <= set(lines)
    assert SHOWN in "\n".join(lines)
    for line in secret.splitlines():
        assert len(line) < 20 or "PRIVATE KEY" in line or not any(line[-20:] in shown for shown in lines)


@pytest.mark.parametrize("shape", sorted(tokens()))
@pytest.mark.parametrize("before", range(0, 80, 7))
def test_a_limit_cuts_no_token_into_a_form_that_nothing_recognises(shape: str, before: int) -> None:
    """The limit falls anywhere into the token, or before or after it."""
    secret = tokens()[shape]
    text = shortened(f"{'x' * before} {secret} and more", 60)

    assert len(text) <= 61
    for word in re.findall(r"[\w+/-]{20,}", secret):
        assert "TOKEN" in word or word[:12] not in text, text


@pytest.mark.parametrize("shape", sorted(tokens()))
def test_no_part_of_a_token_is_shown_where_the_search_of_a_long_text_ends(shape: str) -> None:
    secret = tokens()[shape]
    for before in ("", f"{tokens()['rsa key']} " * 300, f"{TOKEN} " * 3000, "https://me:word@host "):
        for size in range(131_020, 131_100, 20):
            text = shortened(
                f"{before}{'x ' * ((size - len(before)) // 2)}{secret} and more {'y' * 9000}", 60
            )

            assert len(text) <= 61
            for word in re.findall(r"[\w+/-]{20,}", secret):
                assert "TOKEN" in word or word[:12] not in text, text


@pytest.mark.parametrize("form", ["%s", "- %s", '["a", "%s"]'])
@pytest.mark.parametrize("shape", sorted(tokens()))
def test_a_log_that_arrives_line_by_line_shows_no_token(shape: str, form: str) -> None:
    secret, hide = tokens()[shape], LineHider()
    lines = [hide(line) for line in ["begin", *(form % secret).splitlines(), "", "the end"]]

    assert (lines[0], lines[-1]) == ("begin", "the end")
    for word in re.findall(r"[\w+/-]{20,}", secret):
        assert "TOKEN" in word or word[-20:] not in "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        'api_token = ["a", "{}"]\n',
        'api_token = [\n  "a",\n  "{}",  # the second\n]\n',
        'a.api_token = [["b"], ["{}"]]\n',
        'api_token = """\\\n  {}"""\n',
    ],
)
def test_a_diff_shows_no_token_that_only_the_name_of_its_list_tells(text: str) -> None:
    old, new = (text.format(tokens(seed)["picsellia variable"].rpartition("=")[2]) for seed in (1, 2))

    shown = "\n".join(diff_lines(Path("config.toml"), old, new))

    assert re.findall("[0-9a-f]{12}", shown) == []
    assert shown.count(SHOWN) == 2


def test_a_diff_shows_that_one_token_replaces_another() -> None:
    old, new = (tokens(seed)["github classic"] for seed in (1, 2))
    before, after = (f'a = 1\nhub = "use {token}"\n' for token in (old, new))

    lines = diff_lines(Path("config.toml"), before, after)

    assert lines[1:] == [" a = 1", f'-hub = "use {SHOWN}', f'+hub = "use {SHOWN}']


def test_adopt_replaces_a_token_of_the_file_and_does_not_print_it(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = copy_example(NAME, cli.folder, sandbox.registry) / "config.toml"
    (config.parent / ".dockerignore").write_text("config.toml\n")
    config.write_text(re.sub("(?m)^description = .*$", f'description = "use {TOKEN}"', config.read_text()))
    assert cli("apply", NAME, "--yes").code == 0
    sandbox.platform.edit_processing(NAME, description="use a variable")
    monkeypatch.chdir(cli.folder)

    ended = cli("adopt", NAME, "--yes")

    assert f'-description = "use {SHOWN}' in ended.err
    assert '+description = "use a variable"' in ended.err
    assert TOKEN not in ended.out + ended.err + config.read_text()


def test_adopting_a_resource_names_the_secret_that_it_leaves_out(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_example(NAME, cli.folder, sandbox.registry)
    assert cli("apply", NAME, "--yes").code == 0
    sandbox.platform.edit_processing(NAME, default_cpu=7, description=f"use {TOKEN}")
    monkeypatch.chdir(cli.folder)

    ended = cli("adopt", NAME, f"processing/{NAME}", "--yes")

    assert f"not adopted: processing/{NAME}#description" in ended.err
    assert "1 value written" in ended.err


@pytest.mark.parametrize("target", [f"processing/{NAME}", f"processing/{NAME}#default_parameters"])
def test_the_way_to_keep_a_secret_names_its_field(
    target: str, cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = copy_example(NAME, cli.folder, sandbox.registry)
    assert cli("apply", NAME, "--yes").code == 0
    live = sandbox.platform.processing(NAME) or {}
    changed = {**live["default_parameters"], "data_tag": TOKEN}
    sandbox.platform.edit_processing(NAME, default_parameters=changed)
    monkeypatch.chdir(cli.folder)

    refused = cli("adopt", NAME, target)
    found = re.search(r"ignore_changes = .*", refused.err)
    assert found, refused.err
    with (folder / "config.toml").open("a") as file:
        file.write(f"\n[reconciler]\n{found[0]}\n")

    assert refused.code == 1
    assert tomllib.loads(found[0]) == {
        "ignore_changes": {f"processing/{NAME}": ["default_parameters.data_tag"]}
    }
    assert cli("validate", NAME).code == 0
    assert TOKEN not in cli("plan", NAME).out


@given(st.text(min_size=4, max_size=40), st.binary(max_size=9), st.binary(max_size=9), st.booleans())
def test_a_servers_message_shows_no_secret_in_base64_whatever_is_around_it(
    secret: str, before: bytes, after: bytes, url_safe: bool
) -> None:
    """As a gateway that repeats the header `Bearer TOKEN`."""
    content = secret.encode()
    encoded = base64.b64encode(before + content + after)
    text = (base64.urlsafe_b64encode(before + content + after) if url_safe else encoded).decode()
    shown = without_secrets(f"locked: {text}!", [secret])
    kept = base64.b64decode(text.encode(), altchars=b"-_" if url_safe else None)
    assert kept == before + content + after
    first, last = -(-len(before) * 8 // 6), (len(before) + len(content)) * 8 // 6
    assert last - first < 6 or text[first:last] not in shown
