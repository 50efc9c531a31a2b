"""`-o FORMAT[=FILE]` is the one way to documents, on every command that prints or writes them."""

import re
from pathlib import Path

import click
import pytest

from providers.sandbox import Sandbox
from reconciler.views.reports.markdown_parts import code
from tests.conftest import Cli, copy_example
from tests.test_words import commands

OWN = {"--json", "--junit", "--markdown", "--html", "--events"}
NAMES = {"--events": "ndjson"}
TYPED = {
    "plan": ("dataset_cleanup",),
    "status": ("dataset_cleanup",),
    "list": (),
    "drift": ("dataset_cleanup",),
    "image": ("dataset_cleanup",),
    "whoami": (),
    "contract": ("dataset_cleanup",),
    "graph": ("dataset_cleanup",),
    "apply": ("dataset_cleanup", "--yes"),
    "deploy": ("dataset_cleanup", "--yes"),
    "state list": (),
    "state show": ("dataset_cleanup",),
    "state history": ("dataset_cleanup",),
    "state verify": ("dataset_cleanup",),
}
"""Commands that a test runs, with their arguments."""
TIMES = re.compile(
    r'"\d{4}-\d\d-\d\dT[^"]*"|"seconds": ?[0-9.]+|time="[0-9.]+"|timestamp="[^"]*"'
    r"|[0-9.]+ s\b|[0-9]+:[0-9]{2} UTC"
)


def options_of(command: click.Command) -> set[str]:
    return {name for param in command.params for name in param.opts}


def with_documents() -> list[tuple[str, click.Command]]:
    return [
        (name.removeprefix("reconciler "), command)
        for name, command in commands()
        if options_of(command) & OWN
    ]


@pytest.mark.parametrize(("name", "command"), with_documents(), ids=str)
def test_every_command_with_documents_has_the_option_with_all_its_formats(
    name: str, command: click.Command
) -> None:
    (option,) = [param for param in command.params if "-o" in param.opts]
    assert isinstance(option, click.Option)
    assert option.help is not None
    formats = {NAMES.get(own, own.removeprefix("--")) for own in options_of(command) & OWN}
    assert formats <= set(re.split(r"\W+", option.help))


@pytest.fixture
def applied(cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Path:
    copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    monkeypatch.chdir(cli.folder)
    assert cli("apply", "--all", "--yes").code == 0
    return cli.folder


def formats_of(name: str) -> list[str]:
    command = dict(with_documents() + [(n.removeprefix("reconciler "), c) for n, c in commands()])[name]
    (option,) = [param for param in command.params if "-o" in param.opts]
    listed = re.match("Write (.*) to FILE", getattr(option, "help", ""))
    assert listed is not None
    return re.split(r", | or ", listed[1])


@pytest.mark.parametrize("name", sorted(TYPED))
def test_a_file_gets_what_stdout_gets(name: str, applied: Path, cli: Cli) -> None:
    arguments = [*name.split(), *TYPED[name]]
    cli(*arguments)  # what a deploy writes to config.toml is there from now on
    for format_ in formats_of(name):
        if name == "status" and format_ == "html":
            arguments.append("--matrix")
        printed = cli(*arguments, "-o", format_)
        cli(*arguments, "-o", f"{format_}=report")
        written = cli(*arguments, "-o", f"{format_}=report")  # over the earlier one
        assert (printed.code, written.code) == (0, 0), written.err
        content = (applied / "report").read_text()
        assert TIMES.sub("", content) == TIMES.sub("", printed.out)
        assert content not in written.out, "stdout gets the text for people"
        assert name == "graph" or format_ == "ndjson" or written.out, "stdout gets the text for people"
        (applied / "report").unlink()


def test_several_formats_at_once(applied: Path, cli: Cli) -> None:
    ended = cli("drift", "--all", "-o", "json=drift.json", "-o", "junit=drift.xml", "-o", "markdown")

    assert ended.code == 0
    assert "\n## No drift\n" in ended.out
    assert (applied / "drift.json").read_text().startswith("{")
    assert (applied / "drift.xml").read_text().startswith("<?xml")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-o", "jsn"), "there is no format 'jsn' here. There are: json, junit, markdown, html."),
        (("-o", "ndjson=e"), "there is no format 'ndjson' here"),
        (("-o", "json=a", "-o", "json=b"), "-o json: two destinations for one format"),
        (("-o", "json=a", "--json", "b"), "-o json: two destinations for one format"),
        (("-o", "json", "-o", "html"), "two outputs cannot go to the same place"),
        (("-o", "json=a", "-o", "html=a"), "two outputs cannot go to the same place"),
        (("-o", "json=none/a"), "there is no folder none"),
        (("--json", "dataset_cleanup"), "dataset_cleanup is the folder of a pipeline"),
        (("-o", "json=dataset_cleanup"), "dataset_cleanup is the folder of a pipeline"),
    ],
)
def test_wrong_outputs_are_refused_before_anything_is_read(
    arguments: tuple[str, ...], words: str, applied: Path, cli: Cli, sandbox: Sandbox
) -> None:
    sandbox.clear_requests()

    ended = cli("drift", "--all", *arguments)

    assert ended.code == 2
    assert words in ended.err
    assert sandbox.requests() == []


@pytest.mark.parametrize("second", ["there/../a", "link", "hard-link", "folder/a", "./a"])
@pytest.mark.parametrize("exists", [True, False])
def test_two_outputs_into_one_file_are_refused_whatever_it_is_called(
    second: str, exists: bool, applied: Path, cli: Cli
) -> None:
    (applied / "there").mkdir()
    (applied / "link").symlink_to("a")
    (applied / "folder").symlink_to(".")
    if exists or second == "hard-link":
        (applied / "a").touch()
        (applied / "hard-link").hardlink_to(applied / "a")

    ended = cli("drift", "--all", "-o", "json=a", "-o", f"junit={second}")

    assert (ended.code, "two outputs cannot go to the same place" in ended.err) == (2, True)


def test_plans_name_the_owners_of_their_folder(cli: Cli, sandbox: Sandbox) -> None:
    copy_example("dataset_cleanup", cli.folder, sandbox.registry)
    (cli.folder / ".git").mkdir()
    (cli.folder / "CODEOWNERS").write_text("* @everyone\n/dataset_cleanup/ @vision\n")
    ended = cli("plan", "dataset_cleanup", "-o", "markdown=plan.md", "-o", "html=plan.html")
    assert ended.code == 0, ended.err
    assert f"1.0.0, owned by {code('@vision')}" in (cli.folder / "plan.md").read_text()
    assert "owned by <code>@vision</code>" in (cli.folder / "plan.html").read_text()
