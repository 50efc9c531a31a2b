"""What the documents say works as it is written: every command is run, every table is held to the code.

Only what names another machine is replaced: `--env STAGING` and `--env LOCAL` by CUSTOM, which is where the
sandbox is, the organization of the README by the sandbox's, and port 8000 by a free one.
"""

import re
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import get_args
from urllib.request import urlopen

import pytest

from providers.docker.builders.select import BuilderName
from providers.docker.registry.logins import PASSWORDS, USERNAMES
from providers.sandbox import ORGANIZATION, TOKEN, Sandbox
from reconciler.cli import COMMANDS
from reconciler.core import exit_codes
from reconciler.core.plan import Action
from reconciler.engine.run_identity import CI_ADDRESSES, CI_NUMBERS
from reconciler.pipeline.schema import Builder, ImageOptions, Reconciler
from tests.conftest import EXAMPLES, Cli, copy_example
from tests.docker.tokens import tokens
from tests.waits import PATIENCE

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
BUILDERS = ROOT / "docs" / "how-to" / "build-images.md"
IMAGE_SETTINGS = ROOT / "docs" / "reference" / "image-settings.md"
SETTINGS = ROOT / "docs" / "reference" / "settings.md"
REPORTS = ROOT / "docs" / "reference" / "reports.md"
EXIT_CODES = ROOT / "docs" / "reference" / "exit-codes.md"
ENVIRONMENT = ROOT / "docs" / "reference" / "environment.md"
GLOSSARY = ROOT / "docs" / "reference" / "glossary.md"
GENERATED = {ROOT / "docs" / "reference" / f"{name}.md" for name in ("commands", "python-api")}
PAGES = sorted({*(ROOT / "docs").rglob("*.md")} - GENERATED)
WITH_SETTINGS = [page for page in PAGES if re.search(r"^```toml\n\[+reconciler", page.read_text(), re.M)]
DOCUMENTS = [README, EXAMPLES / "README.md", *PAGES]
SERVERS = ("sandbox", "demo")  # they have stories of their own below
ASKING = ("login", "logout", "switch")  # and these in commands/test_logins.py, at a terminal


@dataclass(frozen=True)
class Text:
    """A document, taken apart."""

    document: Path

    @property
    def content(self) -> str:
        return self.document.read_text()

    @property
    def blocks(self) -> list[str]:
        """The lines of its blocks of commands, without their remarks."""
        fenced = re.findall(r"^```(\w*)\n(.*?)^```$", self.content, re.M | re.S)
        lines = "\n".join(text for language, text in fenced if language in ("", "sh")).splitlines()
        return [re.sub(r"\s+# .*", "", line).removeprefix("$ ").strip() for line in lines]

    @property
    def spans(self) -> list[str]:
        """What stands in `backquotes` within a line."""
        return re.findall(r"`([^`\n]+)`", self.content)

    @property
    def commands(self) -> list[str]:
        """Command lines to be run, in their order; a synopsis with [PIPELINE] or FILE is none."""
        found = [line for line in [*self.blocks, *self.spans] if line.startswith("reconciler ")]
        return [line for line in found if not re.search(r"[\[…]|\.\.\.|\b(?:FILE|PIPELINE|COMMAND)\b", line)]

    def table(self, *header: str) -> list[list[str]]:
        """The rows of the table with these columns."""
        _, found, rest = self.content.partition("| " + " | ".join(header) + " |\n")
        assert found, f"{self.document.name} has no table of {header}"
        rows = rest.partition("\n\n")[0].splitlines()[1:]
        return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def here(line: str, sandbox: Sandbox) -> list[str]:
    """The command line as it reads for the sandbox of this test."""
    words = shlex.split(line)[1:]
    for index, word in enumerate(words):
        if words[index - 1] == "--env" and word in ("STAGING", "LOCAL"):
            words[index] = "CUSTOM"
        if words[index - 1] == "--organization" and word == "my-org":
            words[index] = sandbox.organization
    return words


def test_the_readmes_commands_work_as_they_are_written(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_example("dataset_cleanup", cli.folder, sandbox.registry).rename(cli.folder / "my_pipeline")
    commands = [line for line in Text(README).commands if line.split()[1] not in SERVERS + ASKING]
    assert any("--organization" in line for line in commands)
    assert any("--bump" in line for line in commands)
    for line in commands:
        told = "--organization" in line  # what a command says itself, it must not need from elsewhere
        with monkeypatch.context() as terminal:
            if told:
                terminal.delenv("PICSELLIA_ORGANIZATION")
                terminal.delenv("PICSELLIA_ENV")
            ended = cli(*here(line, sandbox))
        assert ended.code == 0, f"{line}\n{ended.err}"
    assert sandbox.platform.processings() != []


def test_the_glossary_has_every_action_with_its_sign() -> None:
    listed = {word: sign.strip("`") for word, sign, _ in Text(GLOSSARY).table("action", "sign", "when")}
    assert listed == {action.word: action.symbol.strip() or "none" for action in Action}


def test_the_outputs_of_a_drift_report_are_options_and_its_exit_codes_are_described(cli: Cli) -> None:
    outputs = {row[0].strip("`").split()[0] for row in Text(REPORTS).table("output", "what it is for")}
    assert outputs - {"terminal"} == {"--json", "--junit", "--markdown", "--html"}
    helped = cli("drift", "--help").out
    assert all(name in helped for name in outputs - {"terminal"})
    codes = [row[0] for row in Text(REPORTS).table("code", "meaning")]
    assert codes == ["0", "10", "11", "12", "13"]


def test_the_examples_commands_work_as_they_are_written(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PICSELLIA_TOKEN", "PICSELLIA_ORGANIZATION", "PICSELLIA_ENV"):
        monkeypatch.delenv(name)
    for example in EXAMPLES.glob("*/config.toml"):
        copy_example(example.parent.name, cli.folder / "examples", sandbox.registry)
    ran = []
    for line in Text(EXAMPLES / "README.md").blocks:
        if line.startswith("export "):
            name, _, value = line.removeprefix("export ").partition("=")
            monkeypatch.setenv(name, value)
        elif line.startswith("reconciler ") and line.split()[1] not in SERVERS:
            ended = cli(*here(line, sandbox))
            assert ended.code == 0, f"{line}\n{ended.err}"
            ran.append(line.split()[1])
    assert ran == ["plan", "apply"]
    assert sandbox.platform.processing("dataset_cleanup") is not None


def test_the_examples_name_the_sandbox_as_it_starts_by_itself() -> None:
    text = (EXAMPLES / "README.md").read_text()
    assert f"--organization {ORGANIZATION} " in text
    assert f"PICSELLIA_TOKEN={TOKEN}\n" in text
    for config in EXAMPLES.glob("*/config.toml"):
        assert 'image_name = "localhost:8000/' in config.read_text()
    for name in (config.parent.name for config in EXAMPLES.glob("*/config.toml")):
        assert f"**{name}**" in text, f"{name} is not described"


def test_every_documented_option_exists(cli: Cli) -> None:
    for document in DOCUMENTS:
        if document.name.startswith("adding-"):
            continue  # they add commands; tests/test_adding.py runs those
        text = Text(document)
        for line in text.commands:
            _, command, *words = shlex.split(line)
            if command == "--help":
                continue
            assert command in COMMANDS, f"{document.name}: {line}"
            path = [command, words[0]] if command == "state" else [command]
            helped = cli(*path, "--help").out
            for option in [word.partition("=")[0] for word in words if word.startswith("--")]:
                assert option in helped, f"{document.name}: {line}"
        for span in text.spans:
            if re.fullmatch(r"(plan|apply) --[a-z-]+", span):
                assert span.split()[1] in cli(span.split()[0], "--help").out, f"{document.name}: {span}"


def test_every_command_has_a_help_and_the_table_names_some_of_them(cli: Cli) -> None:
    rows = Text(README).table("command", "what it does")
    assert {row[0].strip("`") for row in rows} <= set(COMMANDS)
    helped = cli("--help")
    assert helped.code == 0
    for command in COMMANDS:
        assert re.search(rf"^  {command} ", helped.out, re.M), f"{command} is not in reconciler --help"
        assert cli(command, "--help").code == 0


def test_the_exit_codes_are_those_of_the_code() -> None:
    documented = {int(row[0]) for row in Text(EXIT_CODES).table("code", "meaning")}
    defined = {value for value in vars(exit_codes).values() if isinstance(value, int)}
    assert documented == defined
    assert len(documented) == len(Text(EXIT_CODES).table("code", "meaning"))


def test_every_variable_that_is_read_is_described() -> None:
    """Those that the code reads by name, or hands to a library that reads them."""
    sources = "\n".join(
        path.read_text()
        for package in ("reconciler", "providers", "state")
        for path in (ROOT / package).rglob("*.py")
    )
    named = {*re.findall(r"\"((?:RECONCILER|PICSELLIA)_[A-Z_]+)\"", sources)}
    named |= {*re.findall(r"environ(?:\.get\(|\[)\"([A-Z_]+)\"", sources)}
    named |= {*USERNAMES, *PASSWORDS, *CI_ADDRESSES, *CI_NUMBERS}
    assert {"RECONCILER_STATE", "PICSELLIA_TOKEN", "GITHUB_STEP_SUMMARY"} <= named

    assert named - {*Text(ENVIRONMENT).spans} == set()


def test_every_make_line_names_a_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    rules = re.findall(r"^([\w-]+(?: [\w-]+)*):(?!=)", makefile, re.M)
    targets = {target for rule in rules for target in rule.split()}
    named = {
        line.split()[1]
        for document in DOCUMENTS
        for line in [*Text(document).blocks, *Text(document).spans]
        if re.match(r"make \w", line)
    }
    assert {"demo", "test"} <= named
    assert named <= targets
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.M)
    assert phony is not None
    assert targets == set(phony[1].split())


@pytest.mark.parametrize("document", WITH_SETTINGS, ids=lambda document: document.stem)
def test_the_settings_in_a_document_are_settings(document: Path, cli: Cli, sandbox: Sandbox) -> None:
    blocks = re.findall(r"^```toml\n(.*?)^```", document.read_text(), re.M | re.S)
    blocks = [block for block in blocks if "reconciler" in block.partition("]")[0]]
    assert blocks
    for block in blocks:
        folder = copy_example("dataset_cleanup", cli.folder, sandbox.registry)
        config = folder / "config.toml"
        config.write_text(config.read_text().partition("[reconciler.image]")[0] + block)
        if "accepted_secrets" in block:  # an acceptance of nothing is warned about
            (folder / "tests").mkdir()
            (folder / "tests" / "key.pem").write_text(tokens()["rsa key"])
        ended = cli("validate", "dataset_cleanup")
        assert (ended.code, ended.err) == (0, "")
        shutil.rmtree(folder)


def test_every_setting_of_a_pipeline_is_described() -> None:
    keys = Text(SETTINGS).table("key", "meaning")
    assert {row[0].strip("`") for row in keys} == {*Reconciler.__struct_fields__, "env"}


def test_every_setting_and_builder_of_the_image_is_described() -> None:
    keys = Text(IMAGE_SETTINGS).table("key", "meaning")
    assert {row[0].strip("`") for row in keys} == {*ImageOptions.__struct_fields__}
    builders = [
        row[0].strip("`") for row in Text(BUILDERS).table("builder", "what it needs", "what it can do")
    ]
    assert ("auto", *builders) == get_args(BuilderName)
    assert Builder == BuilderName


def test_the_demo_ends_well_and_with_an_empty_plan(home: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", "demo"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("The platform is in sync with the files again.")
    _, _, last = done.stdout.rpartition("$ reconciler plan")
    assert "Nothing to do" in last
    assert "Traceback" not in done.stderr
    assert list(home.iterdir()) == [], "it leaves nothing behind"
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_the_sandbox_starts_tells_how_to_use_it_and_ends_at_ctrl_c(home: Path, tmp_path: Path) -> None:
    assert "reconciler sandbox" in Text(EXAMPLES / "README.md").commands
    command = [sys.executable, "-u", "-m", "reconciler", "sandbox", "--port", "0"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None and server.stderr is not None
        lines = [server.stdout.readline() for _ in range(9)]
        told = "".join(lines)
        with urlopen(re.findall(r"http://\S+/_sandbox/requests\?token=\S+", told)[0], timeout=30) as answer:
            assert answer.status == 200
        server.send_signal(signal.SIGINT)
        assert server.wait(PATIENCE) == 0
        assert server.stderr.read() == ""
        assert server.stdout.read().endswith("The sandbox has ended. Its data is gone; --folder keeps it.\n")
    address = re.search(r"http://localhost:\d+", told)
    assert address is not None
    assert "127.0.0.1" not in told, "to users of LOCAL, that is another platform"
    assert TOKEN in told
    assert f"export PICSELLIA_ORGANIZATION={ORGANIZATION}" in told
    assert f"PICSELLIA_CUSTOM_ENV={address[0]}" in told
