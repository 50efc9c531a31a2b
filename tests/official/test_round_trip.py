"""Official templates and our examples through both tools in turn: each takes over what the other did."""

import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from tests.conftest import Cli
from tests.official import folders
from tests.official.conftest import Deploy
from tests.official.installed import TEMPLATES

pytestmark = [pytest.mark.docker, pytest.mark.official]


@dataclass(frozen=True, slots=True)
class Trip:
    """One pipeline on its way."""

    pipeline: Path
    cli: Cli
    sandbox: Sandbox
    official_deploy: Deploy

    @property
    def name(self) -> str:
        return self.pipeline.name

    @property
    def version(self) -> str:
        config = tomllib.loads((self.pipeline / "config.toml").read_text())
        return str(config["metadata"]["version"])

    def run(self, *arguments: str) -> str:
        """What `reconciler` prints; it has to end with 0."""
        ended = self.cli(*arguments)
        assert ended.code == 0, ended.out + ended.err
        return ended.out

    def writes(self) -> int:
        """Write requests since this was last asked."""
        count = len(self.sandbox.writes())
        self.sandbox.clear_requests()
        return count


def validate(trip: Trip) -> None:
    assert trip.run("validate", trip.name).startswith(f"ok {trip.name}")


def plan_creates_everything(trip: Trip) -> None:
    document = json.loads(trip.run("plan", trip.name, "--json"))
    assert {step["action"] for step in document["steps"]} == {"create"}
    assert [found for found in document["diagnostics"] if found["severity"] == "error"] == []
    assert trip.writes() == 0


def deploy(trip: Trip) -> None:
    before = (trip.pipeline / "config.toml").read_text()
    assert "Done: " in trip.run("deploy", trip.name, "--yes")
    assert trip.writes() > 0
    after = (trip.pipeline / "config.toml").read_text()
    assert after == before.replace('image_tag = ""', 'image_tag = "latest"'), "no bump was needed"


def nothing_to_do(trip: Trip) -> None:
    assert "Nothing to do" in trip.run("plan", trip.name, "--exit-code")
    for command in ("apply", "deploy"):
        trip.run(command, trip.name)
        assert trip.writes() == 0
    assert trip.version in ("1.0", "1.0.1"), "what is published needs no other version"


def no_drift(trip: Trip) -> None:
    trip.run("drift", trip.name)
    assert trip.writes() == 0


def deploy_officially(trip: Trip) -> None:
    before = trip.version
    trip.official_deploy(trip.name)
    assert (before, trip.version) == ("1.0", "1.0.1")
    assert trip.writes() > 0


def only_the_image_is_another(trip: Trip) -> None:
    """The official deploy published a version that has no source key: it is taken over, without a write."""
    refused = trip.cli("plan", trip.name, "--exit-code")
    assert refused.code == 12
    assert "1.0.1 was published by another tool" in refused.err
    document = json.loads(trip.run("plan", trip.name, "--accept-foreign", "--json"))
    changed = {step["kind"]: step["action"] for step in document["steps"] if step["action"] != "noop"}
    assert changed == {"image": "adopt"}
    assert not any(change["write"] for step in document["steps"] for change in step["changes"])
    trip.run("apply", trip.name, "--accept-foreign")
    assert trip.writes() == 0


STEPS: tuple[Callable[[Trip], None], ...] = (
    validate,
    plan_creates_everything,
    deploy,
    nothing_to_do,
    no_drift,
    deploy_officially,
    only_the_image_is_another,
    nothing_to_do,
    no_drift,
)
"""In their order."""


@pytest.fixture
def trip_of(templates: Path, cli: Cli, sandbox: Sandbox, official_deploy: Deploy) -> Callable[[str], Trip]:
    """Where the trip of this template begins."""

    def begin(template: str) -> Trip:
        pipeline = folders.ready(templates / template, cli.folder, sandbox)
        sandbox.clear_requests()
        return Trip(pipeline, cli, sandbox, official_deploy)

    return begin


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_there_and_back(template: str, trip_of: Callable[[str], Trip]) -> None:
    trip = trip_of(template)
    for step in STEPS:
        step(trip)


@pytest.mark.parametrize("example", ["dataset_cleanup", "multi_training", "single_training"])
def test_an_example_there_and_back(example: str, cli: Cli, sandbox: Sandbox, official_deploy: Deploy) -> None:
    trip = Trip(folders.example(example, cli.folder, sandbox), cli, sandbox, official_deploy)
    for step in STEPS:
        step(trip)


@pytest.mark.parametrize("example", ["computed_inputs", "yolov8_training"])
def test_an_example_that_the_official_cli_cannot_deploy(
    example: str, cli: Cli, sandbox: Sandbox, official_deploy: Deploy
) -> None:
    """It finds no module beside the class of the one, and refuses the documented framework of the other."""
    trip = Trip(folders.example(example, cli.folder, sandbox), cli, sandbox, official_deploy)
    for step in (validate, deploy, nothing_to_do, no_drift):
        step(trip)


@pytest.mark.parametrize("template", ["dataset_version_creation_template", "simple_template"])
def test_a_config_of_the_older_form_there_and_back(template: str, trip_of: Callable[[str], Trip]) -> None:
    trip = trip_of(template)
    folders.older(trip.pipeline)
    for step in STEPS:
        step(trip)
