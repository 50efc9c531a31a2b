"""`provenance` in config.toml: the statement names the commit, the folder and the approved plan."""

import json
from pathlib import Path

import pytest

from providers.docker.labels import CONTRACT, REVISION
from providers.docker.origin import Revision
from providers.docker.provenance import Statement, statements
from providers.docker.registry.client import RegistryClient
from providers.sandbox import Sandbox
from tests.commands.test_provenance import committed, git
from tests.conftest import Cli, copy_example

NAME = "dataset_cleanup"


def attested(folder: Path, registry: str, *lines: str) -> Path:
    """An example pipeline with these lines in `[reconciler.image]`."""
    pipeline = copy_example(NAME, folder, registry)
    config = pipeline / "config.toml"
    before, table, after = config.read_text().partition("[reconciler.image]\n")
    assert table
    added = "".join(f"{line}\n" for line in lines or ("provenance = true",))
    config.write_text(f"{before}{table}{added}{after}")
    return pipeline


def stated(sandbox: Sandbox, tag: str = "1.0.0") -> Statement:
    with RegistryClient(f"{sandbox.registry}/examples/{NAME}") as registry:
        digest = registry.digest(tag)
        assert digest is not None
        [found] = statements(registry, digest)
    return found


def test_the_statement_names_the_commit_the_folder_and_the_plan(cli: Cli, sandbox: Sandbox) -> None:
    (cli.folder / "pipelines").mkdir()
    attested(cli.folder / "pipelines", sandbox.registry)
    git(cli.folder, "init", "--quiet", "-b", "main")
    git(cli.folder, "remote", "add", "origin", "https://ann:secret@example.com/org/pipelines.git")
    commit = committed(cli.folder)
    digest = json.loads(cli("plan", "--all", "--json").out)["digest"]
    assert cli("apply", NAME).code == 0
    found = stated(sandbox)
    assert (found.path, found.revision) == (f"pipelines/{NAME}", Revision(commit, is_dirty=False))
    assert found.builder.startswith("pkg:pypi/picsellia-reconciler@")
    assert found.plan == digest
    sandbox.clear_requests()
    assert cli("apply", NAME).code == 0
    assert sandbox.writes() == []


def test_an_image_says_nothing_that_only_its_base_image_says(cli: Cli, sandbox: Sandbox) -> None:
    """The base is another pipeline's image, of a commit and with inputs. This one has neither."""
    (cli.folder / "base").mkdir()
    pipeline = copy_example(NAME, cli.folder / "base", sandbox.registry)
    git(pipeline, "init", "--quiet", "-b", "main")
    committed(pipeline)
    assert cli("apply", "base/dataset_cleanup").code == 0
    config = attested(cli.folder, sandbox.registry, "provenance = true") / "config.toml"
    text = config.read_text().replace(NAME, "child").replace("base/python:3.11", f"examples/{NAME}:1.0.0")
    lines = [line for line in text.splitlines(keepends=True) if not line.startswith("inputs_class")]
    config.write_text("".join(lines))

    applied = cli("apply", f"./{NAME}")

    assert applied.code == 0, applied.err
    with RegistryClient(f"{sandbox.registry}/examples/child") as registry:
        image = registry.image("1.0.0", "linux/amd64")
        assert image is not None
        [statement] = statements(registry, image.digest)
    assert not {REVISION, CONTRACT}.intersection(image.labels)
    assert statement.revision is None
    assert json.loads(cli("image", f"./{NAME}", "--json").out)["published"]["revision"] is None


def test_turning_it_on_builds_and_states_nothing_for_published_versions(cli: Cli, sandbox: Sandbox) -> None:
    pipeline = copy_example(NAME, cli.folder, sandbox.registry)
    assert cli("apply", NAME).code == 0
    config = pipeline / "config.toml"
    config.write_text(
        config.read_text().replace("[reconciler.image]", "[reconciler.image]\nprovenance = true")
    )
    assert cli("plan", NAME, "--exit-code").code == 0
    sandbox.clear_requests()
    assert cli("apply", NAME).code == 0
    assert sandbox.writes() == []
    (pipeline / "steps.py").write_text("STEPS = 2\n")
    assert cli("apply", NAME, "--bump", "patch").code == 0
    assert stated(sandbox, "1.0.1").revision is None


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["sbom = true"], 'reconciler.image.sbom needs docker buildx, and builder is "append"'),
        (['provenance = "yes"'], 'reconciler.image.provenance must be true or false, not "yes"'),
        (["sbom = 1"], "reconciler.image.sbom must be true or false"),
        (['sbom_generator = "a"'], "reconciler.image.sbom_generator has no effect without sbom"),
    ],
)
def test_wrong_settings_are_refused_offline_with_their_line(
    cli: Cli, home: Path, lines: list[str], message: str
) -> None:
    pipeline = attested(cli.folder, "reg.io", *lines)
    line = (pipeline / "config.toml").read_text().splitlines().index(lines[-1]) + 1
    ended = cli("validate", NAME)
    assert ended.code == 1
    assert message in ended.err
    assert f"config.toml:{line}" in ended.err
