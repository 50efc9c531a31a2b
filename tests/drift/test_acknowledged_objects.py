"""An acknowledgement ends with the next change, on each side, of each kind of finding."""

import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from providers.docker.registry.client import RegistryClient
from providers.docker.registry.reference import Repository
from providers.json_value import JSON
from providers.protocol import LiveObject
from providers.sandbox import Sandbox
from reconciler.core.graph import Graph
from reconciler.core.plan import Plan
from reconciler.core.planner import plan_steps
from reconciler.core.remote import RemoteState
from reconciler.core.values import ABSENT, Address
from reconciler.drift.baseline import acknowledged_report, read_rules, updated_text
from reconciler.drift.contents import digest
from reconciler.drift.findings import Acknowledgement, Report, StackReport, findings
from state.snapshot import RecordedResource
from tests.conftest import Cli, copy_example
from tests.drift.conftest import PROCESSING, Check
from tests.engine.conftest import APP, FACTS, STACK, input_of, processing

NOW = datetime(2025, 3, 1, tzinfo=UTC)
TODAY = date(2025, 3, 1)
KNOWN = Acknowledgement("ann", "a trial", "2999-12-31")

# Every combination of small worlds, without a provider


@dataclass(frozen=True)
class World:
    """A processing with one input. A version is a value of one of its fields.

    Attributes:
        app, input: version in the files; None if the files do not have it.
        recorded_app, recorded_input: id and version in state; None without.
        live_app, live_input: id and version on the platform; None without.
    """

    app: int
    recorded_app: tuple[str, int] | None
    live_app: tuple[str, int] | None
    input: int | None
    recorded_input: tuple[str, int] | None
    live_input: tuple[str, int] | None


Object = tuple[str, int] | None
BELOW = Address.of("input", "app", "data")
FIELD = {APP: "default_cpu", BELOW: "required"}
APPS: list[Object] = [None, ("1", 0), ("1", 1), ("2", 0)]
INPUTS: list[Object] = [None, ("data", 0), ("data", 1)]


def worlds() -> Iterator[World]:
    for values in product([0, 1], APPS[:2], APPS, [None, 0, 1], INPUTS[:2], INPUTS):
        world = World(*values)
        if (world.live_app or not world.live_input) and (world.recorded_app or not world.recorded_input):
            yield world


def fields_of(address: Address, version: int) -> dict[str, JSON]:
    name = FIELD[address]
    if address == APP:
        return {name: version}
    return {**input_of("app", "data").fields, name: bool(version)}


def report_of(world: World) -> Report:
    made = [processing(**fields_of(APP, world.app))]
    if world.input is not None:
        made.append(input_of("app", "data", required=bool(world.input)))
    recorded, live = {}, {}
    for address, there, state in (
        (APP, world.live_app, world.recorded_app),
        (BELOW, world.live_input, world.recorded_input),
    ):
        if there:
            live[address] = LiveObject(there[0], address.name, fields_of(address, there[1]))
        if state:
            fields = fields_of(address, state[1])
            recorded[address] = RecordedResource(str(address), address.kind, state[0], fields)
    remote = RemoteState(live, requested={APP, BELOW})
    steps, _ = plan_steps(Graph(made), recorded, remote, FACTS)
    plan = Plan(STACK, "lineage-1", 1, steps)
    found = findings(plan, remote, FACTS, adoptable={}, first_seen={}, now=NOW)
    return Report(NOW, (StackReport(STACK, found, plan),))


def pairs_of(world: World) -> dict[tuple[Address, str], tuple[Any, Any]]:
    """The two values of each field, and of the identity, of what is not in sync."""
    pairs: dict[tuple[Address, str], tuple[Any, Any]] = {}
    for address, desired, recorded, live in (
        (APP, world.app, world.recorded_app, world.live_app),
        (BELOW, world.input, world.recorded_input, world.live_input),
    ):
        pairs[address, "value"] = desired, live and live[1]
        if live and recorded and desired is not None and live[0] != recorded[0]:
            pairs[address, "id"] = recorded[0], live[0]
    return {place: pair for place, pair in pairs.items() if pair[0] != pair[1]}


def test_nothing_but_the_seen_values_is_acknowledged(tmp_path: Path) -> None:
    """If all that a later report has is acknowledged, each difference has the values of the earlier one."""
    file, every = tmp_path / "known.toml", list(worlds())
    reports = {world: report_of(world) for world in every}
    quiet = 0
    for seen in every:
        file.write_text(updated_text("", (), reports[seen], KNOWN, TODAY))
        rules = read_rules(file)
        for later in every:
            after = acknowledged_report(reports[later], rules, TODAY)
            if after.exit_code == 0:
                quiet += any(one.acknowledged for one in after.findings)
                assert pairs_of(later).items() <= pairs_of(seen).items(), f"{seen} -> {later}"
            if later == seen:
                assert all(one.acknowledged or one.is_pending for one in after.findings)
    assert quiet > 100


# Every kind of finding, on the platform, in the registry and in the files

APP_NAME = PROCESSING
CLAIMED = "model-version/DefectClassifier/v1"
Change = Callable[["Place"], object]


@dataclass(frozen=True)
class Place:
    """The pipelines, and what they are applied to.

    Attributes:
        cli: the command line, in the folder of both pipelines.
        sandbox: the platform and the registry.
    """

    cli: Cli
    sandbox: Sandbox

    @property
    def platform(self) -> Any:
        return self.sandbox.platform

    def edit(self, file: str, old: str, new: str, pipeline: str = APP_NAME) -> None:
        path = self.cli.folder / pipeline / file
        text = path.read_text()
        assert re.search(old, text), file
        path.write_text(re.sub(old, new, text, count=1))

    def tag(self, source: str, target: str) -> None:
        with RegistryClient(f"{self.sandbox.registry}/examples/{APP_NAME}") as registry:
            registry.tag(source, target)

    def push_of_another_tool(self, tag: str, note: str) -> None:
        """Push an image without a source label; another note makes it another image."""
        with (
            RegistryClient(f"{self.sandbox.registry}/base/python") as base,
            RegistryClient(f"{self.sandbox.registry}/examples/{APP_NAME}") as ours,
        ):
            manifest = base.manifest("3.11")
            assert manifest is not None
            document = json.loads(manifest.content)
            for blob in (document["config"], *document["layers"]):
                assert ours.mount(blob["digest"], Repository(self.sandbox.registry, "base/python"))
            content = json.dumps({**document, "annotations": {"note": note}}).encode()
            ours.put_manifest(tag, manifest.media_type, content)

    def create_again(self, **changed: object) -> None:
        found = self.platform.processing(APP_NAME)
        if found:
            self.platform.delete_processing(APP_NAME)
        self.platform.create_processing(APP_NAME, **changed)

    def files(self) -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in self.cli.folder.rglob("*") if path.is_file()}


def cpu(place: Place) -> None:
    place.edit("config.toml", "(?m)^cpu = .*$", "cpu = 16")


def description(place: Place) -> None:
    place.edit("config.toml", "(?m)^description = .*$", 'description = "A later edit."')


def source(place: Place) -> None:
    place.edit("steps.py", "^", "# a later edit\n")


def version(place: Place) -> None:
    place.edit("config.toml", "(?m)^version = .*$", 'version = "1.1"')


def change_input(place: Place) -> None:
    place.edit("utils/inputs.py", r"InferenceType\.OBJECT_DETECTION", "InferenceType.CLASSIFICATION")


def remove_input(place: Place) -> None:
    place.edit("utils/inputs.py", r"(?m)^        self\.define_input\(name=\"archive\".*$", "")


def live(**fields: object) -> Change:
    return lambda place: place.platform.edit_processing(APP_NAME, **fields)


def live_input(name: str, **fields: object) -> Change:
    return lambda place: place.platform.edit_input(APP_NAME, name, **fields)


KINDS_OF_FINDINGS: Mapping[str, tuple[Change, tuple[Change, ...]]] = {
    "a field": (live(default_cpu=64), (cpu, description, live(default_cpu=65), live(default_gpu=2))),
    "a conflict": (
        lambda place: (cpu(place), live(default_cpu=64)(place)),
        (
            lambda place: place.edit("config.toml", "(?m)^cpu = .*$", "cpu = 17"),
            description,
            live(default_cpu=65),
        ),
    ),
    "a deleted processing": (
        lambda place: place.platform.delete_processing(APP_NAME),
        (cpu, description, version, source, change_input, remove_input, Place.create_again),
    ),
    "a processing that was created again without its inputs": (
        Place.create_again,
        (
            cpu,
            change_input,
            remove_input,
            live(default_gpu=2),
            lambda place: place.platform.add_input(APP_NAME, "stray"),
            Place.create_again,
            lambda place: place.platform.delete_processing(APP_NAME),
        ),
    ),
    "a deleted input": (
        lambda place: place.platform.delete_input(APP_NAME, "dataset"),
        (
            change_input,
            cpu,
            lambda place: place.platform.add_input(APP_NAME, "dataset"),
        ),
    ),
    "an added input": (
        lambda place: place.platform.add_input(APP_NAME, "stray"),
        (
            live_input("stray", required=False),
            lambda place: (
                place.platform.delete_input(APP_NAME, "stray"),
                place.platform.add_input(APP_NAME, "stray", "DATALAKE"),
            ),
            lambda place: place.edit("utils/inputs.py", 'name="archive"', 'name="stray"'),
            lambda place: place.platform.add_input(APP_NAME, "another"),
        ),
    ),
    "a moved tag": (
        lambda place: place.tag("0.9.0", "latest"),
        (
            source,
            version,
            lambda place: place.push_of_another_tool("latest", "one"),
            lambda place: place.push_of_another_tool("latest", "another"),
            lambda place: place.sandbox.call("DELETE", f"/v2/examples/{APP_NAME}/manifests/latest"),
        ),
    ),
    "a version that another tool overwrote": (
        lambda place: place.push_of_another_tool("1.0.0", "one"),
        (source, version, lambda place: place.push_of_another_tool("1.0.0", "another")),
    ),
    "a deleted version": (
        lambda place: place.sandbox.call("DELETE", f"/v2/examples/{APP_NAME}/manifests/1.0.0"),
        (source, version, lambda place: place.tag("0.9.0", "1.0.0")),
    ),
}


@pytest.fixture
def place(cli: Cli, sandbox: Sandbox) -> Place:
    """A pipeline with two versions in the registry."""
    place = Place(cli, sandbox)
    copy_example(APP_NAME, cli.folder, sandbox.registry)
    before = place.files()
    place.edit("config.toml", "(?m)^version = .*$", 'version = "0.9"')
    source(place)
    assert cli("apply", APP_NAME).code == 0
    restore(before)
    done = cli("apply", APP_NAME)
    assert done.code == 0, done.err
    return place


def restore(files: Mapping[Path, bytes]) -> None:
    for path, content in files.items():
        if path.read_bytes() != content:
            path.write_bytes(content)


def check_that_each_change_is_reported(
    place: Place, changes: tuple[Change, ...], check: Check, *names: str
) -> None:
    """Acknowledge everything; each change is then reported until it is taken back or acknowledged."""
    for change in changes:
        assert check(*names, "--write-baseline").code == 0
        assert check(*names).code == 0
        before = place.files()
        change(place)
        reported = check(*names)
        assert reported.code != 0, change
        if place.files() != before:
            restore(before)
            assert check(*names).code == 0, change


@pytest.mark.parametrize("kind", KINDS_OF_FINDINGS)
def test_each_later_change_of_each_kind_of_finding_is_reported(kind: str, place: Place, check: Check) -> None:
    make, changes = KINDS_OF_FINDINGS[kind]
    make(place)
    assert check(APP_NAME).code >= 11
    check_that_each_change_is_reported(place, changes, check, APP_NAME)


def test_each_later_change_of_an_object_that_another_stack_claims_is_reported(
    cli: Cli, sandbox: Sandbox, check: Check
) -> None:
    place = Place(cli, sandbox)
    copy_example("single_training", cli.folder, sandbox.registry)
    shutil.copytree(cli.folder / "single_training", cli.folder / "second")
    place.edit("config.toml", "(?m)^name = .*$", 'name = "second"', "second")
    place.edit("config.toml", "examples/single_training", "examples/second", "second")
    for name in ("second", "single_training"):
        assert cli("apply", name, "--yes", *(["--take", CLAIMED] if name != "second" else [])).code == 0
    assert check("second").classes == {CLAIMED: "conflict"}
    changes: tuple[Change, ...] = (
        lambda place: place.edit("config.toml", '"PYTORCH"', '"ONNX"', "second"),
        lambda place: place.platform.edit_version("DefectClassifier", "v1", framework="ONNX"),
        lambda place: place.platform.delete_version("DefectClassifier", "v1"),
    )
    check_that_each_change_is_reported(place, changes, check, "second")


def test_a_later_apply_of_a_stack_without_a_folder_is_reported(
    cli: Cli, sandbox: Sandbox, check: Check
) -> None:
    (cli.folder / "reconciler.toml").write_text('[workspace]\nname = "shop"\n')
    for name in (APP_NAME, "computed_inputs"):
        copy_example(name, cli.folder, sandbox.registry)
    assert cli("apply", "--all", "--yes").code == 0
    folder, aside = cli.folder / APP_NAME, cli.folder.parent / "aside"
    place = Place(cli, sandbox)

    def apply_again(place: Place) -> None:
        shutil.move(aside, folder)
        cpu(place)
        assert cli("apply", APP_NAME, "--yes").code == 0
        shutil.move(folder, aside)

    shutil.move(folder, aside)
    assert check("--all").code == 11
    check_that_each_change_is_reported(place, (apply_again,), check, "--all")


def test_a_rule_for_the_id_alone_is_reported_once_more(place: Place, check: Check) -> None:
    """Earlier versions wrote such rules for a deleted object."""
    place.platform.delete_processing(APP_NAME)
    [found] = [
        one for stack in check(APP_NAME).document["stacks"] for one in stack["findings"] if not one["field"]
    ]
    file = place.cli.folder / "drift-baseline.toml"
    file.write_text(
        f'[[acknowledge]]\naddress = "{found["address"]}"\nowner = "ann"\nreason = "a trial"\n'
        f'expires = 2999-12-31\ndesired = "{digest(found["recorded"])}"\nlive = "{digest(ABSENT)}"\n'
    )
    reported = check(APP_NAME)
    assert reported.code == 11
    assert "is too general" in reported.err and "--write-baseline" in reported.err
    assert check(APP_NAME, "--write-baseline").code == 0
    assert file.read_text().count("[[acknowledge]]") == 1
    file.write_text(re.sub("(?m)^desired = .*\n", "", file.read_text()))
    assert check(APP_NAME).code == 0, "the files have what was applied last"
    cpu(place)
    assert check(APP_NAME).code == 11
