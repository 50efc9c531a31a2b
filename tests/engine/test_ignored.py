"""`[reconciler] ignore_changes`: each entry protects exactly the field that it names, or is an error."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from providers.reasons import Reason
from providers.sandbox import Sandbox
from providers.table import FACTS as ALL
from reconciler.core.graph import Resource
from reconciler.core.plan import Action, Step
from reconciler.core.reasons import RefusalCode
from reconciler.core.values import Address
from reconciler.pipeline.config import read
from tests.commands.folders import PARAMETERS
from tests.conftest import Cli, copy_example
from tests.engine.conftest import APP, Bench, model, processing

FACTS = {kind: facts for kind, facts in ALL.items() if not facts.published_as}  # an image is whole
ADDRESSES = {
    "processing": APP,
    "input": Address.of("input", "app", "x"),
    "model": Address.of("model", "M"),
    "model-version": Address.of("model-version", "M", "v1"),
}
PARENTS = {"input": processing(owns=()), "model-version": model("M")}
FIELDS = [(kind, name) for kind, facts in FACTS.items() for name in facts.rules]
TABLES = [(kind, name) for kind, name in FIELDS if FACTS[kind].rules[name].keyed]
CONFIG = """\
[metadata]
name = "app"
version = "1.0"
type = "AUTO_TAGGING"

[execution]

[docker]
image_name = "reg.io/app"

[reconciler.ignore_changes]
"{address}" = [
  "{first}",
  "{word}",
]
"""


def refused(kind: str, word: str) -> list[str]:
    """The diagnostics for this entry of a config.toml, in its line."""
    first = next(iter(FACTS[kind].rules))
    text = CONFIG.format(address=ADDRESSES[kind], first=first, word=word)
    loaded = read(text, Path("config.toml"))
    assert (loaded.config is None) == bool(loaded.diagnostics)
    assert {one.line for one in loaded.diagnostics} <= {14}
    return [f"{one.summary} {one.detail}" for one in loaded.diagnostics]


def test_every_kind_is_tested() -> None:
    assert set(ADDRESSES) == set(FACTS)


@pytest.mark.parametrize(("kind", "name"), FIELDS)
def test_a_field_is_accepted_and_a_misspelt_one_is_an_error_with_its_line(kind: str, name: str) -> None:
    assert refused(kind, name) == []
    [told] = refused(kind, name[:-1])
    assert f"is not a field of the kind {kind}" in told and f"Did you mean {name!r}?" in told
    assert refused(kind, f"{name}.") and refused(kind, f".{name}") and refused(kind, f" {name}")
    assert bool(refused(kind, f"{name}.part")) == ((kind, name) not in TABLES)


@pytest.mark.parametrize("word", ["", ".", "cpu", "*", "id", "DEFAULT_CPU", "default_*", "docker.cpu"])
def test_no_other_text_is_accepted(word: str) -> None:
    assert refused("processing", word)


def value(kind: str, name: str, number: int) -> Any:
    """Two values of each field, by their number."""
    if (kind, name) in TABLES:
        return {"a.b": number, "c": {"d": number}, "same": 1}
    match name:
        case "default_cpu" | "default_gpu":
            return number
        case "required":
            return number == 1
        case "docker_flags":
            return [f"--flag={number}"]
    return f"VALUE_{number}"


def applied(bench: Bench, kind: str) -> tuple[Address, list[Resource]]:
    """The files after an apply; the last resource has the first value of each field."""
    address = ADDRESSES[kind]
    fields = {name: value(kind, name, 1) for name in FACTS[kind].rules}
    parents = [PARENTS[kind]] if kind in PARENTS else []
    depends = tuple(parent.address for parent in parents)
    files = [*parents, Resource(address, fields, depends_on=depends)]
    assert bench.apply(*files).succeeded
    return address, files


def changed_outside(bench: Bench, kind: str, ignored: str, changed: dict[str, Any]) -> Step:
    """The step of a resource that was applied and then changed."""
    address, files = applied(bench, kind)
    bench.world.edit(kind, *address.name, **changed)
    planned = bench.plan(*files, ignored={address: [ignored]}, replace=[address])
    bench.walk(planned)
    return planned.step(address)


@pytest.mark.parametrize(("kind", "name"), FIELDS)
def test_only_the_ignored_field_keeps_its_live_value(bench: Bench, kind: str, name: str) -> None:
    rules = FACTS[kind].rules
    step = changed_outside(bench, kind, name, {field: value(kind, field, 2) for field in rules})
    written = {change.field for change in step.changes if change.write}
    if step.action is not Action.REPLACE:  # where all is sent again, as it was
        assert written == set(rules) - {name}
    live = bench.live(ADDRESSES[kind])
    assert {field: rule.normalise(live[field]) for field, rule in rules.items()} == {
        field: rule.normalise(value(kind, field, 2 if field == name else 1)) for field, rule in rules.items()
    }


@pytest.mark.parametrize(("kind", "name"), TABLES)
@pytest.mark.parametrize("key", ["a.b", "c"])
def test_only_the_ignored_key_keeps_its_live_value(bench: Bench, kind: str, name: str, key: str) -> None:
    after = value(kind, name, 2)
    step = changed_outside(bench, kind, f"{name}.{key}", {name: {**after, "theirs": 1}})
    written = {change.path for change in step.changes if change.write}
    assert written == {f"{name}.{other}" for other in ("a.b", "c", "theirs") if other != key}
    expected = value(kind, name, 1) | {key: after[key]}
    assert bench.live(ADDRESSES[kind])[name] == FACTS[kind].rules[name].normalise(expected)


@pytest.mark.parametrize(
    ("kind", "name", "changed"),
    [
        (kind, name, changed)
        for kind, name in FIELDS
        for other, changed in FIELDS
        if kind == other and name != changed
    ],
)
def test_a_field_that_cannot_be_read_is_not_overwritten(
    bench: Bench, kind: str, name: str, changed: str
) -> None:
    """Whatever else the files change, and whether that is an update or a replace."""
    address, files = applied(bench, kind)
    bench.world.edit(kind, *address.name, **{name: value(kind, name, 2)})
    bench.world.hidden = [name]
    fields = {**files[-1].fields, changed: value(kind, changed, 2)}
    planned = bench.plan(
        *files[:-1], replace(files[-1], fields=fields), ignored={address: [name]}, replace=[address]
    )
    step = planned.step(address)
    if step.refusal is not None:
        assert step.refusal.reason == Reason(
            RefusalCode.OVERWRITES_IGNORED, {"fields": [changed], "ignored": [name]}
        )
        return
    bench.walk(planned)
    live = bench.live(address)
    assert live[name] == value(kind, name, 2)
    assert live[changed] == FACTS[kind].rules[changed].normalise(value(kind, changed, 2))


@pytest.mark.parametrize("name", FACTS["input"].rules)
def test_a_field_that_cannot_be_read_is_not_lost_with_its_parent(bench: Bench, name: str) -> None:
    address = ADDRESSES["input"]
    fields = {field: value("input", field, 1) for field in FACTS["input"].rules}
    dataset = Resource(address, fields, depends_on=(APP,))
    assert bench.apply(processing(owns=(), type="ONE"), dataset).succeeded
    bench.world.hidden = [name]
    step = bench.plan(
        processing(owns=(), type="OTHER"), dataset, ignored={address: [name]}, replace=[APP]
    ).step(address)
    assert step.refusal is not None and step.refusal.reason == Reason(
        RefusalCode.OVERWRITES_IGNORED, {"fields": [str(APP)], "ignored": [name]}
    )


def test_a_key_that_cannot_be_read_is_not_overwritten(bench: Bench) -> None:
    assert bench.apply(processing(default_parameters={"data_tag": "a", "epochs": 1})).succeeded
    bench.world.hidden = ["default_parameters"]
    app = processing(default_parameters={"data_tag": "b", "epochs": 2})
    step = bench.plan(app, ignored={APP: ["default_parameters.data_tag"]}).step(APP)
    assert step.refusal is not None and step.refusal.reason == Reason(
        RefusalCode.OVERWRITES_IGNORED,
        {"fields": ["default_parameters"], "ignored": ["default_parameters.data_tag"]},
    )
    whole = bench.plan(app, ignored={APP: ["default_parameters"]}).step(APP)
    assert whole.refusal is None and not whole.writes


@pytest.mark.parametrize(
    ("path", "kept"),
    [("aug", {"flip": 9}), ("aug.flip", None), ("aug.flip.x", None), ("aug.new", None), ("a.b", {"flip": 1})],
)
def test_a_path_into_a_parameter_is_refused(
    path: str, kept: dict[str, int] | None, cli: Cli, sandbox: Sandbox
) -> None:
    """By commands that read the values, as a parameter may have a dot in its name."""
    name = "dataset_cleanup"
    folder = copy_example(name, cli.folder, sandbox.registry)
    (folder / ".dockerignore").write_text("utils/\n")
    text = PARAMETERS.replace('"label": self.label', '"aug": {"flip": 1}, "a.b": 1')
    (folder / "utils/parameters.py").write_text(text)
    assert cli("apply", name, "--yes").code == 0
    live = {"size": 640, "aug": {"flip": 9}, "a.b": 1}
    sandbox.platform.edit_processing(name, default_parameters=live)
    with (folder / "config.toml").open("a") as config:
        config.write(f'\n[reconciler.ignore_changes]\n"processing/{name}" = ["default_parameters.{path}"]\n')

    ended = cli("apply", name, "--yes")

    found = sandbox.platform.processing(name)
    assert found is not None
    if kept is not None:
        assert ended.code == 0, ended.err
        assert found["default_parameters"]["aug"] == kept
    else:
        assert ended.code == 1 and found["default_parameters"] == live
        assert f"'default_parameters.{path}' is not a part of default_parameters.aug" in ended.err
        line = (folder / "config.toml").read_text().count("\n")
        assert f"config.toml:{line}" in ended.err and 'Write "default_parameters.aug"' in ended.err
        assert cli("drift", name).code == 13


def test_an_input_without_readable_fields_keeps_its_ignored_values(cli: Cli, sandbox: Sandbox) -> None:
    """An update of an input also sends its other fields."""
    name = "dataset_cleanup"
    folder = copy_example(name, cli.folder, sandbox.registry)
    (folder / ".dockerignore").write_text("utils/\n")
    assert cli("apply", name, "--yes").code == 0
    sandbox.platform.edit_input(name, "archive", required=True)
    sandbox.switch(echo="certain")
    inputs = folder / "utils/inputs.py"
    before = 'name="archive", '
    after = f"{before}inference_type_constraint=InferenceType.MASK, "
    assert before in inputs.read_text()
    inputs.write_text(inputs.read_text().replace(before, after))
    with (folder / "config.toml").open("a") as config:
        config.write(f'\n[reconciler.ignore_changes]\n"input/{name}/archive" = ["required"]\n')

    ended = cli("apply", name, "--yes")

    assert ended.code == 12
    assert "writing inference_type_constraint would overwrite required" in ended.err
    assert "add inference_type_constraint to ignore_changes in config.toml" in ended.err
    sandbox.switch(echo="all")
    [archived] = [one for one in sandbox.platform.inputs(name) if one["name"] == "archive"]
    assert archived["required"] is True and archived["inference_type_constraint"] is None
