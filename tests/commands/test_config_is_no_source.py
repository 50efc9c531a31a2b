"""Deployment settings in config.toml are not source: they change the platform and need no build."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace

from providers.docker.registry.client import RegistryClient
from providers.docker.source.fingerprint import fingerprint
from providers.docker.source.key import ImageSource, SourceKey
from providers.sandbox import Sandbox
from reconciler.engine.requests import ReadOptions
from reconciler.engine.validate import validate
from tests.conftest import Cli, copy_example

APP, TRAINING = "dataset_cleanup", "single_training"

DEPLOYED = {
    "cpu": (APP, 'cpu = "4"', "cpu = 6", "default_cpu"),
    "gpu": (APP, 'gpu = "0"', "gpu = 2", "default_gpu"),
    "description": (APP, 'description = "Copies', 'description = "Quickly copies', "description"),
    "framework": (TRAINING, "PYTORCH", "ONNX", "framework"),
    "an environment's cpu": (APP, "", "[reconciler.env.CUSTOM.docker]\ncpu = 7", "default_cpu"),
    "an environment's class": (
        APP,
        "",
        '[reconciler.env.CUSTOM.execution]\nparameters_class = "utils/other.py:Other"',
        "default_parameters.other",
    ),
    "pin": (APP, "", '[reconciler]\npin = "version"', "docker_tag"),
}
LEFT_ALONE = {
    "a comment": (APP, "", "# as agreed with Ana"),
    "another environment": (APP, "", "[reconciler.env.PROD.docker]\ncpu = 16"),
    "protect": (APP, "", f'[reconciler]\nprotect = ["processing/{APP}"]'),
    "a builder": (APP, "[reconciler.image]", '[reconciler.image]\ncache_from = ["type=local,src=/x"]'),
}


def edit(cli: Cli, name: str, old: str, new: str) -> None:
    path = cli.folder / name / "config.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new) if old else f"{text}\n{new}\n")


@pytest.fixture
def published(cli: Cli, sandbox: Sandbox, request: pytest.FixtureRequest) -> str:
    name: str = request.param
    folder = copy_example(name, cli.folder, sandbox.registry)
    other = "class Other:\n    def __init__(self, log_data):\n        self.other = 1\n"
    other += "    def to_dict(self):\n        return {'other': 1}\n"
    if (folder / "utils").is_dir():
        (folder / "utils" / "other.py").write_text(other)
    assert cli("apply", name).code == 0
    sandbox.clear_requests()
    return name


def steps(cli: Cli, name: str, *more: str) -> dict[str, Mapping[str, object]]:
    document = json.loads(cli("plan", name, "--json", *more).out)
    return {step["kind"]: step for step in document["steps"]}


@pytest.mark.parametrize(
    ("published", "old", "new", "field"), DEPLOYED.values(), ids=DEPLOYED.keys(), indirect=["published"]
)
def test_a_config_change_updates_only_the_platform(
    published: str, old: str, new: str, field: str, cli: Cli, sandbox: Sandbox
) -> None:
    edit(cli, published, old, new)
    before = (cli.folder / published / "config.toml").read_bytes()

    document = json.loads(cli("plan", published, "--json").out)
    changed = {c["path"] for step in document["steps"] for c in step["changes"] if c["write"]}
    assert field in changed
    assert [step["action"] for step in document["steps"] if step["kind"] == "image"] == ["noop"]
    applied = cli("apply", published, "--yes")

    assert applied.code == 0, applied.out + applied.err
    assert sandbox.writes(service="registry") == []
    assert sandbox.writes(service="platform") != []
    assert (cli.folder / published / "config.toml").read_bytes() == before, "no new version"
    assert cli("plan", published, "--exit-code").code == 0


@pytest.mark.parametrize(
    ("published", "old", "new"), LEFT_ALONE.values(), ids=LEFT_ALONE.keys(), indirect=["published"]
)
def test_keys_without_a_meaning_change_nothing(
    published: str, old: str, new: str, cli: Cli, sandbox: Sandbox
) -> None:
    edit(cli, published, old, new)
    assert cli("plan", published, "--exit-code").code == 0
    assert cli("apply", published).code == 0
    assert sandbox.writes() == []


@pytest.mark.parametrize("published", [APP], indirect=True)
@pytest.mark.parametrize("new", ["[my_settings]\nthreshold = 0.5", "[tool.mine]\na = 1"])
def test_a_table_of_another_tool_is_source(published: str, new: str, cli: Cli) -> None:
    edit(cli, published, "", new)
    assert cli("plan", published, "--exit-code").code == 12
    assert "source-changed: config.toml changed" in cli("plan", published).out


@pytest.mark.parametrize("published", [APP], indirect=True)
def test_a_pipeline_that_reads_config_toml_gets_a_version_for_each_edit(published: str, cli: Cli) -> None:
    edit(cli, published, "[reconciler.image]", '[reconciler.image]\nconfig = "source"')
    assert "source-changed: config.toml changed" in cli("plan", published).out
    assert cli("apply", published, "--bump", "patch").code == 0
    edit(cli, published, 'cpu = "4"', "cpu = 6")
    assert "source-changed: config.toml changed" in cli("plan", published).out
    assert cli("apply", published, "--bump", "patch").code == 0
    assert 'version = "1.0.2"' in (cli.folder / published / "config.toml").read_text()
    assert cli("plan", published, "--exit-code").code == 0


@pytest.mark.parametrize("published", [APP], indirect=True)
def test_adopted_values_need_no_new_version(published: str, cli: Cli, sandbox: Sandbox) -> None:
    sandbox.platform.edit_processing(APP, default_cpu=9)
    adopted = cli("adopt", published)
    assert adopted.code == 0
    assert "--bump" not in adopted.out + adopted.err
    assert cli("plan", published, "--exit-code").code == 0
    assert cli("apply", published).code == 0
    assert sandbox.writes(service="registry") == []


@pytest.mark.parametrize("link", ["symbolic", "hard"])
def test_a_link_to_config_toml_is_not_source_either(link: str, cli: Cli, sandbox: Sandbox) -> None:
    folder = copy_example(APP, cli.folder, sandbox.registry)
    config, other = folder / "config.toml", folder / "utils" / "settings.toml"
    if link == "symbolic":
        config.rename(other)
        config.symlink_to("utils/settings.toml")
    else:
        other.hardlink_to(config)
    assert cli("apply", APP).code == 0
    sandbox.clear_requests()

    other.write_text(other.read_text().replace('cpu = "4"', "cpu = 6"))
    assert cli("apply", APP).code == 0
    assert sandbox.writes(service="registry") == []
    assert sandbox.writes(service="platform") != []

    (folder / "pipeline.py").write_text("print('better')\n")
    assert cli("apply", APP, "--bump", "patch").code == 0
    assert 'version = "1.0.1"' in other.read_text()
    assert cli("plan", APP, "--exit-code").code == 0, "the version that was written is no new source"


def test_the_builder_is_not_source_but_what_it_puts_into_the_image_is(cli: Cli, sandbox: Sandbox) -> None:
    folder = copy_example(APP, cli.folder, sandbox.registry)
    config, _, _ = (folder / "config.toml").read_text().partition("[reconciler.image]")

    def key(builder: str, settings: str = "") -> str:
        table = f'\n[reconciler.image]\nbuilder = "{builder}"\n{settings}'
        (folder / "config.toml").write_text(config + table)
        pipeline, found = validate(folder, ReadOptions(static_only=True)).require_valid()
        assert pipeline.config.reconciler.image.builder == builder
        return found.key

    base = 'base = "python:3.12-slim"\n'
    assert len({key(builder) for builder in ("auto", "buildx", "buildkit", "engine")}) == 1
    assert key("auto", base) == key("append", base) != key("auto")


@pytest.fixture
def earlier(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Compute source keys as the earlier release did."""

    def first_recipe(source: ImageSource, *, search: bool = False, **_: object) -> SourceKey:
        found = fingerprint(source, search=search)
        return replace(found, key=found.first, first="", first_files={})

    def as_recorded(source: ImageSource, *, search: bool = False, **_: object) -> SourceKey:
        return replace(first_recipe(source, search=search), files=fingerprint(source).files_as_of("sha256:"))

    with monkeypatch.context() as patched:
        # The earlier release compared the packed files.
        patched.setattr("providers.docker.image.fingerprint", first_recipe)
        for module in ("reconciler.engine.validate", "reconciler.engine.apply"):
            patched.setattr(f"{module}.fingerprint", as_recorded)
        yield patched


@pytest.mark.parametrize("record", ["kept", "lost"])
def test_existing_images_need_no_new_version(
    record: str,
    cli: Cli,
    sandbox: Sandbox,
    earlier: pytest.MonkeyPatch,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    copy_example(APP, cli.folder, sandbox.registry)
    assert cli("apply", APP).code == 0
    with RegistryClient(f"{sandbox.registry}/examples/{APP}") as registry:
        image = registry.image("1.0.0")
        assert image is not None
        assert re.fullmatch("sha256:[0-9a-f]{64}", image.labels["picsellia.reconciler.source-key"])
    earlier.undo()
    if record == "lost":
        monkeypatch.setenv("RECONCILER_STATE", str(tmp_path / "another.db"))
    sandbox.clear_requests()

    assert cli("plan", APP, "--exit-code").code == 0
    assert cli("drift", APP).code == 0
    assert cli("apply", APP).code == 0
    assert sandbox.writes() == []
    assert steps(cli, APP)["image"]["action"] == "noop", "the record is refreshed once"

    edit(cli, APP, 'cpu = "4"', "cpu = 6")
    assert cli("apply", APP).code == 0
    assert sandbox.writes(service="registry") == []
    script = cli.folder / APP / "pipeline.py"
    script.write_text(f"{script.read_text()}# better\n")
    assert "source-changed: pipeline.py changed  refused" in cli("plan", APP).out


# Several pipelines with one build context


@pytest.fixture
def neighbours(cli: Cli, sandbox: Sandbox) -> tuple[str, str]:
    """Two pipelines of a repository with shared code, which both images contain."""
    names = "first", "second"
    for name in names:
        folder = copy_example(APP, cli.folder, sandbox.registry)
        config = (folder / "config.toml").read_text().replace(APP, name)
        folder.rename(cli.folder / name)
        config = config.replace("[reconciler.image]", '[reconciler.image]\ncontext = ".."')
        (cli.folder / name / "config.toml").write_text(config)
    (cli.folder / "shared.py").write_text("SHARED = 1\n")
    applied = cli("apply", *names, "--yes")
    assert applied.code == 0, applied.err
    sandbox.clear_requests()
    return names


def test_one_edit_of_shared_code_is_one_version_of_each_pipeline(
    neighbours: tuple[str, str], cli: Cli, sandbox: Sandbox
) -> None:
    (cli.folder / "shared.py").write_text("SHARED = 2\n")
    for _ in range(3):
        applied = cli("apply", *neighbours, "--bump", "patch", "--yes")
        assert applied.code == 0, applied.err
    for name in neighbours:
        assert 'version = "1.0.1"' in (cli.folder / name / "config.toml").read_text()
    tags = [write["path"].partition("/manifests/")[2] for write in sandbox.writes(service="registry")]
    assert sorted(tag for tag in tags if tag[:7] not in ("", "sha256:")) == ["1.0.1"] * 2 + ["latest"] * 2
    assert cli("apply", *neighbours, "--yes").code == 0
    assert cli("plan", *neighbours, "--exit-code").code == 0
    assert cli("drift", *neighbours).code == 0


@pytest.mark.parametrize(
    ("old", "new"),
    [(old, new) for app, old, new, _ in DEPLOYED.values() if app == APP],
    ids=[name for name, (app, *_) in DEPLOYED.items() if app == APP],
)
def test_the_deployment_of_a_neighbour_is_no_source(
    neighbours: tuple[str, str], old: str, new: str, cli: Cli, sandbox: Sandbox
) -> None:
    first, second = neighbours
    (cli.folder / second / "utils" / "other.py").unlink(missing_ok=True)
    edit(cli, second, old, new)
    assert cli("plan", first, "--exit-code").code == 0
    assert cli("apply", first, "--yes").code == 0
    assert sandbox.writes() == []


@pytest.mark.parametrize("new", ["[my_settings]\nthreshold = 0.5", "[execution.more]\na = 1"])
def test_what_a_neighbour_may_read_when_it_runs_is_source(
    neighbours: tuple[str, str], new: str, cli: Cli
) -> None:
    first, second = neighbours
    edit(cli, second, "", new)
    assert cli("plan", first, "--exit-code").code == 12
    assert "source-changed: second/config.toml changed" in cli("plan", first).out


def test_a_config_toml_of_no_pipeline_is_source(neighbours: tuple[str, str], cli: Cli) -> None:
    (cli.folder / "shared").mkdir()
    (cli.folder / "shared" / "config.toml").write_text("[metadata]\nversion = 1\n")
    assert cli("apply", *neighbours, "--bump", "patch", "--yes").code == 0
    (cli.folder / "shared" / "config.toml").write_text("[metadata]\nversion = 2\n")
    assert "source-changed: shared/config.toml changed" in cli("plan", neighbours[0]).out
