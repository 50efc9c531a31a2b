"""The vendor's repository of pipelines: its faults are found, and mended it works."""

import re
from pathlib import Path

import pytest

from providers.docker.registry.client import RegistryClient
from providers.sandbox import Sandbox
from state.stores.opening import open_store
from tests.conftest import Cli
from tests.vendor.repository import (
    ONE_IMAGE,
    ONE_TRAINING,
    PIPELINES,
    UPPER_CASE,
    WITHOUT_IMAGE,
    WITHOUT_TARGET,
    mended,
    write_mended,
    write_repository,
)

NO_TARGET = "a training pipeline needs a model version to deploy to"
NO_IMAGE = "docker.image_name is empty"


@pytest.fixture
def at(home: Path, cli: Cli) -> "Lines":
    write_repository(cli.folder)
    return Lines(cli.folder)


class Lines:
    """Finds lines in the repository's config.toml files."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def __call__(self, folder: str, key: str) -> str:
        """The only line with this key in the config.toml of a folder, as `folder/config.toml:13`."""
        file = f"{folder}/config.toml"
        lines = (self._root / file).read_text().splitlines()
        (number,) = [number for number, line in enumerate(lines, 1) if line.startswith(f"{key} =")]
        return f"{file}:{number}"


def errors(text: str, root: Path) -> list[tuple[str, set[str]]]:
    """Each error in what a command prints, with every line of a file that it names."""
    blocks = re.split(r"^(?=\w+: )", text, flags=re.M)
    return [
        (
            block.splitlines()[0].removeprefix("error: "),
            set(re.findall(r"pipelines/[\w./-]+\.toml:\d+", block.replace(f"{root}/", ""))),
        )
        for block in blocks
        if block.startswith("error: ")
    ]


def test_validate_reports_the_real_faults_and_nothing_else(cli: Cli, at: Lines) -> None:
    assert len(PIPELINES) == 34
    assert [one["name"] for one in PIPELINES].count("training") == 5

    ended = cli("validate", "--all")

    assert ended.code == 1
    found = errors(ended.err, cli.folder)
    upper = "docker.image_name 'picsellia/polygons_to_RLE_mask' is not an image name"
    in_one_folder = [
        *((NO_TARGET, {at(folder, "type")}) for folder in WITHOUT_TARGET),
        *((NO_IMAGE, {at(folder, "image_name")}) for folder in WITHOUT_IMAGE),
        (upper, {at(UPPER_CASE, "image_name")}),
    ]
    for fault in in_one_folder:
        assert fault in found
    assert len([fault for fault in found if len(fault[1]) == 1]) == len(in_one_folder) == 9
    assert len(found) == 11, "and two that folders share, see below"
    assert "warning: " not in ended.err


def test_validate_reports_what_two_folders_share(cli: Cli, at: Lines) -> None:
    """One image in two folders, and one training in two folders; nothing about the five called `training`."""
    shared = [places for _, places in errors(cli("validate", "--all").err, cli.folder) if len(places) > 1]
    assert {at(folder, "image_name") for folder in ONE_IMAGE} in shared
    folders = [{place.rpartition("/")[0] for place in places} for places in shared]
    assert sorted(map(sorted, folders)) == [sorted(ONE_TRAINING), sorted(ONE_IMAGE)]


def test_its_picture_has_every_pipeline_and_marks_the_faults(cli: Cli, at: Lines) -> None:
    ended = cli("graph", "--all", "--format", "svg")

    assert ended.code == 1
    boxes = re.findall(r'<g class="(\w+)"><title>(\S+) (.*?)</title>', ended.out)
    faulty = {*WITHOUT_TARGET, *WITHOUT_IMAGE, UPPER_CASE}
    assert {name: note for tone, name, note in boxes if tone == "bad"} == {
        **dict.fromkeys(faulty, "its files have errors"),
        "image/picsellia/processing-bounding-box-cropper": "can belong to one pipeline only",
    }
    assert {one["folder"] for one in PIPELINES} == {name for _, name, _ in boxes if "/" in name} - {
        "image/picsellia/processing-bounding-box-cropper"
    }
    assert ended.out.count("<path ") == len(ONE_IMAGE)
    assert {found[0] for found in errors(ended.err, cli.folder)} >= {NO_TARGET, NO_IMAGE}


@pytest.fixture
def fleet(environments: Sandbox, cli: Cli) -> list[str]:
    """The folders of the repository without its faults, and a reconciler.toml for two environments."""
    return write_mended(cli.folder, environments.registry)


def test_the_mended_repository_converges_in_both_environments(
    cli: Cli, environments: Sandbox, fleet: list[str], tmp_path: Path
) -> None:
    for command in ("validate", "graph"):
        ended = cli(command, "--all")
        assert (ended.code, errors(ended.err, cli.folder)) == (0, [])
    for environment in ("TEST", "LIVE"):
        ended = cli("apply", "--all", "--env", environment, "--yes")
        assert (ended.code, errors(ended.err, cli.folder)) == (0, []), ended.err
    states = state_versions(tmp_path)
    assert len(states) == 2 * len(fleet) == 66
    environments.clear_requests()

    for environment in ("TEST", "LIVE"):
        assert cli("apply", "--all", "--env", environment, "--yes").code == 0
        ended = cli("drift", "--all", "--env", environment)
        assert (ended.code, f"{len(fleet)} pipelines in sync" in ended.out) == (0, True), ended

    assert environments.writes() == []
    assert state_versions(tmp_path) == states
    trainings = [one for one in mended("") if one["type"] == "TRAINING"]
    for environment in ("TEST", "LIVE"):
        platform = environments.account(environment).platform
        assert len(platform.processings()) == len(fleet) - len(trainings)
        assert len(platform.models()) == len(trainings)
        for training in trainings:
            target = training["model_version"]
            version = platform.version(target["origin_name"], target["name"])
            assert version is not None
            assert version["docker_image"] == f"{environments.registry}{training['image_name']}"


def state_versions(folder: Path) -> dict[str, int]:
    """The serial of every stack."""
    with open_store(str(folder / "state.db")) as store:
        loaded = [store.load(name) for name in store.stacks()]
    return {state.stack: state.serial for state in loaded if state is not None}


def test_a_candidate_of_one_environment_is_the_final_version_of_the_other(
    cli: Cli, environments: Sandbox, fleet: list[str]
) -> None:
    """One digest, built once."""
    folder = fleet[0]
    pipeline = mended(environments.registry)[0]
    for environment in ("TEST", "LIVE"):
        assert cli("apply", folder, "--env", environment, "--yes").code == 0
    (cli.folder / folder / "pipeline.py").write_text('print("changed")\n')
    environments.clear_requests()

    assert cli("deploy", folder, "--env", "TEST", "--bump", "rc", "--yes").code == 0
    candidate = uploads(environments)
    assert cli("deploy", folder, "--env", "LIVE", "--bump", "final", "--yes").code == 0

    assert uploads(environments) == candidate != [], "the second deploy uploads nothing"
    with RegistryClient(pipeline["image_name"]) as client:
        digests = {tag: client.digest(tag) for tag in ("1.0.2-rc", "1.0.2", "test", "live")}
    assert len(set(digests.values())) == 1, digests
    assert cli("plan", folder, "--env", "LIVE", "--exit-code").code == 0
    for environment, tag in (("TEST", "test"), ("LIVE", "live")):
        processing = environments.account(environment).platform.processing(pipeline["name"])
        assert processing is not None and processing["docker_tag"] == tag


def uploads(sandbox: Sandbox) -> list[str]:
    """The layers and configurations that a repository got, from the registry's log."""
    writes = sandbox.writes(service="registry")
    return [one["path"] for one in writes if "/blobs/" in one["path"] and one["status"] == 201]
