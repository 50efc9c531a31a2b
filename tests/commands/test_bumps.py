"""`--bump` publishes a next version only if another source is published."""

import json
import shlex
from pathlib import Path

import pytest

from providers.docker.registry.client import RegistryClient
from providers.sandbox import Sandbox
from tests.conftest import Cli, copy_example

APP = "dataset_cleanup"
NOTHING = "nothing needs a new version"

# The version in config.toml, the published source, and the result of each of `KINDS`.
KINDS = ("patch", "minor", "major", "rc", "final")
TABLE = {
    "a release of this source": ("1.0.0", "same", "1.0.0 1.0.0 1.0.0 1.0.1-rc 1.0.0"),
    "a release of other source": ("1.0.0", "other", "1.0.1 1.1.0 2.0.0 1.0.1-rc 1.0.1"),
    "a candidate of this source": ("1.0.1-rc", "same", "1.0.1-rc 1.0.1-rc 1.0.1-rc 1.0.1-rc 1.0.1"),
    "a candidate of other source": ("1.0.1-rc", "other", "1.0.2 1.1.0 2.0.0 1.0.1-rc.2 1.0.1"),
    "nothing": ("1.0.0", "nothing", "1.0.1 1.1.0 2.0.0 1.0.1-rc 1.0.0"),
}


@pytest.fixture
def folder(cli: Cli, sandbox: Sandbox) -> Path:
    return copy_example(APP, cli.folder, sandbox.registry)


def edit(folder: Path, text: str = "# better\n") -> None:
    script = folder / "pipeline.py"
    script.write_text(f"{script.read_text()}{text}")


def at(folder: Path, version: str) -> None:
    config = folder / "config.toml"
    config.write_text(config.read_text().replace('version = "1.0"', f'version = "{version}"'))


def version_in(folder: Path) -> str:
    line = next(line for line in (folder / "config.toml").read_text().splitlines() if "version =" in line)
    return line.split('"')[1]


def published(sandbox: Sandbox, *versions: str) -> dict[str, str | None]:
    with RegistryClient(f"{sandbox.registry}/examples/{APP}") as registry:
        return {version: registry.digest(version) for version in versions}


def planned(cli: Cli, *more: str) -> tuple[str, bool]:
    """The image's version, and whether the plan reports that no new version is needed."""
    document = json.loads(cli("plan", APP, "--json", *more).out)
    image = next(step for step in document["steps"] if step["kind"] == "image")
    version = next(change["desired"] for change in image["changes"] if change["path"] == "version")
    return version, any(NOTHING in told["summary"] for told in document["diagnostics"])


@pytest.mark.parametrize(("version", "of", "expected"), TABLE.values(), ids=TABLE.keys())
def test_a_bump_applies_if_another_source_is_published(
    version: str, of: str, expected: str, folder: Path, cli: Cli
) -> None:
    at(folder, version)
    if of != "nothing":
        assert cli("apply", APP).code == 0
    if of == "other":
        edit(folder)
    for kind, wanted in zip(KINDS, expected.split(), strict=True):
        unneeded = of == "same" and wanted == version
        assert planned(cli, "--bump", kind) == (wanted, unneeded), kind


@pytest.mark.parametrize("kind", ["patch", "minor", "major", "rc"])
@pytest.mark.parametrize("verb", ["apply", "deploy"])
def test_no_bump_publishes_one_source_twice(
    verb: str, kind: str, folder: Path, cli: Cli, sandbox: Sandbox
) -> None:
    assert cli("apply", APP).code == 0
    edit(folder)
    assert cli(verb, APP, "--bump", kind, "--yes").code == 0
    once = version_in(folder)
    assert once != "1.0"
    sandbox.clear_requests()

    for _ in range(3):
        ended = cli(verb, APP, "--bump", kind, "--yes")
        assert ended.code == 0, ended.out + ended.err
        assert f"{NOTHING}: {once} is published from this source" in ended.err
        assert "--force-bump" in ended.err

    assert version_in(folder) == once
    assert sandbox.writes() == []


def test_other_changes_are_applied_without_the_bump(folder: Path, cli: Cli, sandbox: Sandbox) -> None:
    assert cli("apply", APP).code == 0
    config = folder / "config.toml"
    config.write_text(config.read_text().replace('cpu = "4"', "cpu = 6"))
    sandbox.clear_requests()

    ended = cli("apply", APP, "--bump", "patch")

    assert ended.code == 0
    assert sandbox.writes(service="registry") == []
    assert sandbox.platform.processing(APP)["default_cpu"] == 6
    assert version_in(folder) == "1.0"


def test_a_forced_bump_tags_the_same_image(folder: Path, cli: Cli, sandbox: Sandbox) -> None:
    assert cli("apply", APP).code == 0
    ended = cli("apply", APP, "--bump", "patch", "--force-bump")
    assert ended.code == 0
    assert version_in(folder) == "1.0.1"
    assert len(set(published(sandbox, "1.0.0", "1.0.1", "latest").values())) == 1
    assert cli("plan", APP, "--force-bump").code == 2


def commands_in(message: str) -> list[list[str]]:
    """The words of the two commands at the end of the refusal."""
    return [shlex.split(line) for line in message.rpartition("command: ")[2].split(" && ")]


MANY = (("--all",), (APP, "team/other"), ("team/*", "--stale"), ("--group", "a b", "--changed", "main"))


@pytest.mark.parametrize("selection", MANY, ids=" ".join)
@pytest.mark.parametrize("verb", ["plan", "apply", "deploy", "apply --dry-run"])
def test_a_forced_bump_of_several_pipelines_is_two_commands(
    verb: str, selection: tuple[str, ...], folder: Path, cli: Cli, sandbox: Sandbox
) -> None:
    """The same command would publish once more what is published already."""
    assert cli("apply", APP).code == 0
    sandbox.clear_requests()

    refused = cli(*verb.split(), *selection, "--bump", "minor", "--force-bump")

    assert refused.code == 2
    first, then = commands_in(refused.err)
    assert first[:3] == ["reconciler", "bump", "minor"]
    assert then[:2] == ["reconciler", verb.split(maxsplit=1)[0]]
    assert {"--force-bump", "--bump"}.isdisjoint(then)
    assert sandbox.requests() == [] and version_in(folder) == "1.0"


def test_several_pipelines_are_published_again_and_a_repeated_apply_publishes_none(
    folder: Path, cli: Cli, sandbox: Sandbox
) -> None:
    assert cli("apply", "--all", "--yes").code == 0
    refused = cli("apply", "--all", "--yes", "--bump", "patch", "--force-bump")

    first, then = commands_in(refused.err)
    assert cli(*first[1:]).code == 0
    for _ in range(2):
        assert cli(*then[1:], "--yes").code == 0
        assert version_in(folder) == "1.0.1"
    assert len(set(published(sandbox, "1.0.0", "1.0.1", "latest").values())) == 1


@pytest.mark.parametrize("record", ["kept", "lost"])
def test_a_promotion_is_a_tag_on_the_same_digest(
    record: str, folder: Path, cli: Cli, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forget() -> None:
        if record == "lost":
            monkeypatch.setenv("RECONCILER_STATE", str(tmp_path / f"{version_in(folder)}.db"))

    assert cli("apply", APP).code == 0
    sandbox.clear_requests()
    for kind, version in (("rc", "1.0.1-rc"), ("final", "1.0.1")):
        forget()
        ended = cli("apply", APP, "--bump", kind)
        assert ended.code == 0, ended.out + ended.err
        assert version_in(folder) == version
    put = [write["path"] for write in sandbox.writes(service="registry") if write["method"] == "PUT"]
    manifests = f"/v2/examples/{APP}/manifests/"
    assert {path.removeprefix(manifests) for path in put} == {"1.0.1-rc", "test", "1.0.1", "latest"}
    found = published(sandbox, "1.0.0", "1.0.1-rc", "1.0.1", "latest", "test")
    assert len(set(found.values())) == 1
    assert cli("plan", APP, "--exit-code").code == 0


def test_a_candidate_is_released_even_if_both_channels_moved(
    folder: Path, cli: Cli, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(folder, "1.0.1-rc")
    assert cli("apply", APP).code == 0
    candidate = published(sandbox, "1.0.1-rc")["1.0.1-rc"]
    before, config = (folder / "pipeline.py").read_text(), (folder / "config.toml").read_text()
    for kind in ("rc", "major"):  # moves test, and latest
        edit(folder)
        assert cli("apply", APP, "--bump", kind).code == 0
    (folder / "pipeline.py").write_text(before)
    (folder / "config.toml").write_text(config)
    monkeypatch.setenv("RECONCILER_STATE", str(tmp_path / "another.db"))

    ended = cli("apply", APP, "--bump", "final")

    assert ended.code == 0, ended.out + ended.err
    assert published(sandbox, "1.0.1", "latest") == {"1.0.1": candidate, "latest": candidate}


def test_a_bump_that_failed_after_the_push_is_finished_by_the_same_command(
    folder: Path, cli: Cli, sandbox: Sandbox
) -> None:
    assert cli("apply", APP).code == 0
    edit(folder)
    sandbox.platform.edit_processing(APP, default_cpu=9)
    sandbox.fail("PATCH", "/api/processing/", 400)
    assert cli("apply", APP, "--bump", "minor", "--yes").code == 1
    assert version_in(folder) == "1.0"
    pushed = published(sandbox, "1.1.0")

    ended = cli("apply", APP, "--bump", "minor", "--yes")

    assert ended.code == 0, ended.out + ended.err
    assert version_in(folder) == "1.1.0"
    assert published(sandbox, "1.1.0", "1.2.0") == {**pushed, "1.2.0": None}


def test_only_pipelines_with_another_source_get_a_version(cli: Cli, folder: Path, sandbox: Sandbox) -> None:
    other = copy_example("computed_inputs", cli.folder, sandbox.registry)
    assert cli("apply", "--all", "--yes").code == 0
    edit(folder)

    assert cli("apply", "--all", "--bump", "minor", "--yes").code == 0

    assert (version_in(folder), version_in(other)) == ("1.1.0", "1.0")
