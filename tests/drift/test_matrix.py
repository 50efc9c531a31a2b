"""Every class of change on every field of every kind, made on the platform itself.

The fields come from the tables of the kinds and their values are derived from the present ones, so a new
field is covered automatically.
"""

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from providers import enums
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.reference import Repository
from providers.picsellia.kinds.input import RULES as INPUT
from providers.picsellia.kinds.model import RULES as MODEL
from providers.picsellia.kinds.model_version import RULES as VERSION
from providers.picsellia.kinds.processing import RULES as PROCESSING_RULES
from providers.sandbox import Sandbox
from providers.table import FACTS
from reconciler.core.values import Address
from tests.conftest import Cli
from tests.drift.conftest import PROCESSING, TRAINING, Check, record_as, recorded

APP = Address.of("processing", PROCESSING)
DATASET = Address.of("input", PROCESSING, "dataset")
DETECTOR = Address.of("model", "SiteDetector")
LYON = Address.of("model-version", "SiteDetector", "lyon")
RULES = {APP: PROCESSING_RULES, DATASET: INPUT, DETECTOR: MODEL, LYON: VERSION}
PIPELINES = {APP: PROCESSING, DATASET: PROCESSING, DETECTOR: TRAINING, LYON: TRAINING}
IMAGE = f"image/{{}}/examples/{PROCESSING}"

Values = dict[Address, dict[str, Any]]


def others(field: str, value: Any) -> list[Any]:
    """Two other values of the field, if there are two; for a table, two values of a key."""
    match value:
        case bool():
            return [not value]
        case int() | float():
            return [value + 1, value + 2]
        case list():
            return [[*value, "--other"], [*value, "--third"]]
        case dict():
            return [{**value, "added": 1}, {**value, "added": 2}]
    known = [
        names
        for names in (enums.PROCESSING_TYPES, enums.INFERENCE_TYPES, enums.FRAMEWORKS, enums.INPUT_TYPES)
        if value in names
    ]
    if field == "target":
        known = [("DATALAKE", "MODEL_VERSION")]
    elif field == "framework_constraint":
        known = [enums.FRAMEWORKS]
    elif value is None:
        known = [enums.INFERENCE_TYPES]
    names = [
        name for name in (known[0] if known else ("other", "third")) if name not in (value, "NOT_CONFIGURED")
    ]
    return names[:2]


def path_of(field: str, value: Any) -> str:
    return f"{field}.added" if isinstance(value, dict) else field


@pytest.fixture
def now(applied: None) -> Values:
    """Every field of one resource of each kind, as applied."""
    known = {**recorded(PROCESSING), **recorded(TRAINING)}
    for address, rules in RULES.items():
        assert set(known[address]) == set(rules), f"the examples do not say all fields of a {address.kind}"
    return {address: known[address] for address in RULES}


def changed(now: Values, which: int) -> Values:
    """The first (0) or the second (1) other value of every field that has one."""
    return {
        address: {
            field: others(field, value)[which]
            for field, value in fields.items()
            if len(others(field, value)) > which
        }
        for address, fields in now.items()
    }


def live_as(sandbox: Sandbox, values: Values) -> None:
    """Set these values on the platform. Objects with immutable fields are created again."""
    platform = sandbox.platform
    app = {**(platform.processing(PROCESSING) or {}), **values.get(APP, {})}
    inputs = {one["name"]: one for one in platform.inputs(PROCESSING)}
    inputs["dataset"] = {**inputs["dataset"], **values.get(DATASET, {})}
    platform.delete_processing(PROCESSING)
    platform.create_processing(PROCESSING, **{name: app[name] for name in PROCESSING_RULES})
    for name, fields in inputs.items():
        platform.add_input(PROCESSING, name, **{field: fields[field] for field in INPUT})
    if LYON in values:
        platform.edit_version("SiteDetector", "lyon", **values[LYON])
    if DETECTOR in values:
        platform.edit_model("SiteDetector", **values[DETECTOR])
    made_anew = platform.processing(PROCESSING)
    assert made_anew is not None
    record_as(PROCESSING, {}, ids={APP: made_anew["id"]})


def recorded_as(values: Mapping[Address, Mapping[str, Any]]) -> None:
    for pipeline in (PROCESSING, TRAINING):
        here = {address: fields for address, fields in values.items() if PIPELINES[address] == pipeline}
        record_as(pipeline, here)


def fields_of(values: Values) -> set[str]:
    return {
        f"{address}#{path_of(field, value)}"
        for address, fields in values.items()
        for field, value in fields.items()
    }


def test_a_value_that_is_in_sync_or_changed_back_is_no_finding(
    check: Check, sandbox: Sandbox, now: Values
) -> None:
    assert check("--all").found == {}
    live_as(sandbox, changed(now, 0))
    assert check("--all").code != 0
    platform = sandbox.platform
    platform.edit_model("other", **now[DETECTOR])
    platform.edit_version("SiteDetector", "other", **now[LYON])
    live_as(sandbox, {APP: now[APP], DATASET: now[DATASET]})
    report = check("--all")
    assert (report.code, report.found) == (0, {})


def test_drift(check: Check, sandbox: Sandbox, now: Values) -> None:
    values = changed(now, 0)
    live_as(sandbox, values)
    report = check("--all")
    assert set(report.found) == fields_of(values)
    assert set(report.found.values()) == {("drift", "changed outside")}
    assert report.code == 11


def test_pending(check: Check, sandbox: Sandbox, now: Values) -> None:
    values = changed(now, 0)
    live_as(sandbox, values)
    recorded_as(values)
    report = check("--all")
    assert report.classes == dict.fromkeys(fields_of(values), "pending")
    assert report.code == 10


def test_a_converged_value_is_no_finding(check: Check, now: Values) -> None:
    recorded_as(changed(now, 0))
    report = check("--all")
    assert (report.code, report.found) == (0, {})


def test_conflict(check: Check, sandbox: Sandbox, now: Values) -> None:
    values = changed(now, 1)
    assert fields_of(changed(now, 0)) - fields_of(values) == {
        f"{DATASET}#required"
    }  # of a switch there are two
    live_as(sandbox, values)
    recorded_as({a: {f: v for f, v in changed(now, 0)[a].items() if f in values[a]} for a in values})
    report = check("--all")
    assert report.classes == dict.fromkeys(fields_of(values), "conflict")
    assert report.code == 12


def test_unrecorded(
    check: Check, sandbox: Sandbox, now: Values, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    values = changed(now, 0)
    # Without a record nobody knows what a renamed model was called.
    values[DETECTOR].clear()
    values[LYON].pop("name")
    live_as(sandbox, values)
    monkeypatch.setenv("RECONCILER_STATE", str(tmp_path / "lost.db"))
    report = check("--all")
    assert report.classes == dict.fromkeys(fields_of(values), "unrecorded")
    assert report.code == 10


def test_an_unreadable_value_is_only_counted_until_the_files_change(
    check: Check, sandbox: Sandbox, now: Values
) -> None:
    sandbox.switch(echo="certain")
    report = check("--all")
    assert (report.code, report.found) == (0, {})
    unread = {
        PROCESSING: {"description", "default_cpu", "default_gpu", "default_parameters", "docker_flags"},
        TRAINING: {"docker_image", "docker_tag", "docker_flags"},
    }
    only_of_lyon = {"description", "docker_env_variables"}
    counts = {one["stack"]["pipeline"]: one["unverified"] for one in report.document["stacks"]}
    assert counts == {
        PROCESSING: len(unread[PROCESSING]) + 5 * len(INPUT),
        TRAINING: 2 * len(unread[TRAINING]) + len(only_of_lyon) + 1,  # and the description of the model
    }
    values = changed(now, 0)
    unread_fields = {
        APP: unread[PROCESSING],
        DATASET: set(INPUT),
        DETECTOR: {"description"},
        LYON: unread[TRAINING] | only_of_lyon,
    }
    hidden = {a: {f: v for f, v in values[a].items() if f in unread_fields[a]} for a in values}
    recorded_as(hidden)
    report = check("--all")
    expected = {f"{a}#{field}" for a, fields in hidden.items() for field in fields}
    assert report.classes == dict.fromkeys(expected, "unverified")
    assert report.code == 10


def test_objects_deleted_added_or_recreated_outside(check: Check, sandbox: Sandbox, applied: None) -> None:
    platform = sandbox.platform
    platform.delete_input(PROCESSING, "archive")
    platform.add_input(PROCESSING, "stray")
    platform.delete_version("SiteDetector", "lyon")
    lille = platform.version("SiteDetector", "lille")
    platform.delete_version("SiteDetector", "lille")
    assert lille is not None
    platform.create_version("SiteDetector", **{name: lille[name] for name in VERSION})
    platform.create_version("SiteDetector", "theirs")
    platform.create_processing("theirs")
    report = check("--all")
    assert report.found == {
        f"input/{PROCESSING}/archive": ("drift", "deleted outside"),
        f"input/{PROCESSING}/stray": ("drift", "added outside"),
        str(LYON): ("drift", "deleted outside"),
        "model-version/SiteDetector/lille": ("drift", "recreated outside"),
    }
    assert report.code == 11


def test_a_whole_processing_and_a_whole_model(
    check: Check, cli: Cli, sandbox: Sandbox, applied: None
) -> None:
    platform = sandbox.platform
    app = platform.processing(PROCESSING)
    inputs = platform.inputs(PROCESSING)
    assert app is not None
    platform.delete_processing(PROCESSING)
    platform.delete_model("SiteDetector")
    report = check("--all")
    # Its inputs, or versions, went with it: one event is one finding, which no file can take over.
    assert {DETECTOR.kind, APP.kind} == {facts.parent for facts in FACTS.values() if facts.parent}
    assert report.found == dict.fromkeys((str(APP), str(DETECTOR)), ("drift", "deleted outside"))
    findings = [one for stack in report.document["stacks"] for one in stack["findings"]]
    assert [one["take_over"] for one in findings] == ["", ""]
    put_back = [one["put_back"] for one in findings]
    platform.create_processing(PROCESSING, **{name: app[name] for name in PROCESSING_RULES})
    for one in inputs:
        platform.add_input(PROCESSING, **{name: one[name] for name in ("name", *INPUT)})
    platform.create_model("SiteDetector", description="Detects what a site is.")
    report = check("--all")
    # The versions went with the former model, and are no findings of their own either.
    assert report.found == dict.fromkeys((str(APP), str(DETECTOR)), ("drift", "recreated outside"))
    platform.delete_processing(PROCESSING)
    platform.delete_model("SiteDetector")
    for command in put_back:  # brings back what went with it, too
        done = cli(*shlex.split(command)[1:])
        assert done.code == 0, done.err
    assert check("--all").found == {}


# The image


@pytest.fixture
def image(cli: Cli, sandbox: Sandbox, applied: None) -> str:
    """The address of the processing's image. 0.9.0 in the same repository has other source."""
    folder = cli.folder / PROCESSING
    config, source = (folder / "config.toml").read_text(), (folder / "steps.py").read_text()
    (folder / "config.toml").write_text(config.replace('version = "1.0"', 'version = "0.9"'))
    (folder / "steps.py").write_text(source + "\n# another\n")
    assert cli("apply", PROCESSING).code == 0
    (folder / "config.toml").write_text(config)
    (folder / "steps.py").write_text(source)
    done = cli("apply", PROCESSING)
    assert done.code == 0, done.err
    return IMAGE.format(sandbox.registry)


def repository(sandbox: Sandbox, name: str = f"examples/{PROCESSING}") -> RegistryClient:
    return RegistryClient(f"{sandbox.registry}/{name}")


def another_tools_image(sandbox: Sandbox, tag: str) -> None:
    """Push an image without a source label under this tag."""
    with repository(sandbox, "base/python") as base, repository(sandbox) as ours:
        manifest = base.manifest("3.11")
        assert manifest is not None
        document = json.loads(manifest.content)
        for blob in (document["config"], *document["layers"]):
            assert ours.mount(blob["digest"], Repository(sandbox.registry, "base/python"))
        ours.put_manifest(tag, manifest.media_type, manifest.content)


def test_a_channel_tag_that_moved(check: Check, sandbox: Sandbox, image: str) -> None:
    assert check(PROCESSING).code == 0
    with repository(sandbox) as ours:
        ours.tag("0.9.0", "latest")
    report = check(PROCESSING)
    assert (report.code, report.classes) == (11, {f"{image}#channel": "drift"})


def test_a_channel_tag_that_another_tool_took(check: Check, sandbox: Sandbox, image: str) -> None:
    another_tools_image(sandbox, "latest")
    report = check(PROCESSING)
    assert (report.code, report.classes) == (11, {f"{image}#channel": "drift"})


def test_a_version_tag_with_other_content(check: Check, cli: Cli, sandbox: Sandbox, image: str) -> None:
    with repository(sandbox) as ours:
        ours.tag("0.9.0", "1.0.0")
        ours.tag("0.9.0", "latest")
    report = check(PROCESSING)
    assert (report.code, report.found) == (11, {f"{image}#source_key": ("drift", "changed outside")})
    (cli.folder / PROCESSING / "steps.py").write_text("# changed in the files, too\n")
    report = check(PROCESSING)
    assert (report.code, report.classes) == (12, {f"{image}#source_key": "conflict"})
    (told,) = [one for stack in report.document["stacks"] for one in stack["findings"]]
    done = cli(*told["put_back"].split()[1:])
    assert done.code == 0, done.err
    assert check(PROCESSING).code == 0


def test_a_version_tag_that_another_tool_overwrote(check: Check, sandbox: Sandbox, image: str) -> None:
    another_tools_image(sandbox, "1.0.0")
    another_tools_image(sandbox, "latest")
    report = check(PROCESSING)
    assert (report.code, report.found) == (11, {f"{image}#source_key": ("drift", "changed outside")})


def test_a_deleted_version_tag(check: Check, sandbox: Sandbox, image: str) -> None:
    sandbox.call("DELETE", f"/v2/examples/{PROCESSING}/manifests/1.0.0")
    report = check(PROCESSING)
    assert (report.code, report.classes) == (11, {f"{image}#version": "drift"})


def test_a_deleted_image(check: Check, sandbox: Sandbox, image: str) -> None:
    with repository(sandbox) as ours:
        digests = {ours.digest(tag) for tag in ("0.9.0", "1.0.0", "latest")}
    for digest in digests:
        sandbox.call("DELETE", f"/v2/examples/{PROCESSING}/manifests/{digest}")
    report = check(PROCESSING)
    assert (report.code, report.found) == (11, {image: ("drift", "deleted outside")})


def test_a_platform_that_points_at_another_tag(check: Check, sandbox: Sandbox, image: str) -> None:
    sandbox.platform.edit_processing(PROCESSING, docker_tag="0.9.0")
    report = check(PROCESSING)
    assert (report.code, report.classes) == (11, {f"{APP}#docker_tag": "drift"})


def test_another_image_name_in_the_files_is_not_drift(check: Check, cli: Cli, image: str) -> None:
    folder = cli.folder / PROCESSING
    config, source = (folder / "config.toml").read_text(), (folder / "steps.py").read_text()
    (folder / "steps.py").write_text(source + "\n# another\n")
    assert (check(PROCESSING).code, check(PROCESSING).classes) == (10, {f"{image}#source_key": "pending"})
    (folder / "steps.py").write_text(source)
    (folder / "config.toml").write_text(config.replace('version = "1.0"', 'version = "1.1"'))
    assert (check(PROCESSING).code, check(PROCESSING).classes) == (10, {f"{image}#version": "pending"})
    (folder / "config.toml").write_text(
        config.replace('builder = "append"', 'builder = "append"\nplatform = "linux/arm64"')
    )
    report = check(PROCESSING)
    assert report.classes == {f"{image}#platform": "pending", f"{image}#source_key": "pending"}
    assert report.code == 10


def test_an_image_published_by_a_colleague_from_the_same_files_is_drift_until_an_apply_records_it(
    check: Check,
    cli: Cli,
    sandbox: Sandbox,
    image: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    steps = cli.folder / PROCESSING / "steps.py"
    steps.write_text(steps.read_text() + "\n# another\n")
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("RECONCILER_STATE", str(tmp_path / "theirs.db"))
        assert cli("apply", PROCESSING, "--bump", "patch").code == 0
    report = check(PROCESSING)
    assert (report.code, report.found) == (
        11,
        {f"{image}#digest": ("drift", "latest was moved to 1.0.1, and no state here shows by whom")},
    )
    sandbox.clear_requests()
    assert cli("apply", PROCESSING).code == 0
    assert sandbox.writes() == []
    assert check(PROCESSING).code == 0


def test_lost_state_of_a_stack_in_sync_is_no_finding(
    check: Check, image: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RECONCILER_STATE", str(tmp_path / "lost.db"))
    report = check("--all")
    assert (report.code, report.found) == (0, {})


def test_an_unreadable_resource_is_not_in_sync(check: Check, sandbox: Sandbox, image: str) -> None:
    sandbox.fail("*", "/v2/", 503, times=None)
    sandbox.platform.edit_processing(PROCESSING, default_cpu=64)
    report = check(PROCESSING)
    assert report.classes == {f"{APP}#default_cpu": "drift"}
    assert report.code == 13
