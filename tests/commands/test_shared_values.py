"""Two pipelines never overwrite each other's values of a shared object without being asked to."""

from itertools import product
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from providers.table import FACTS
from tests.conftest import Cli, training

SHARED = [
    (kind, field)
    for kind, facts in FACTS.items()
    if facts.shared and facts.exclusive is None
    for field in facts.rules
]


def a_training(cli: Cli, sandbox: Sandbox, name: str, model: str, description: str = "") -> Path:
    """A training whose image and model version have its name."""
    folder = training(cli.folder / name, name, sandbox.registry)
    config = folder / "config.toml"
    row = f'origin_name = "{model}"\n'
    row += f'origin_description = "{description}"\n' if description else ""
    text = config.read_text().replace(f'origin_name = "{name}"\n', row)
    assert row in text
    config.write_text(text.replace('name = "v1"', f'name = "{name}"'))
    return folder


def values(sandbox: Sandbox) -> list[tuple[str, str]]:
    return [(one["name"], one["description"]) for one in sandbox.platform.models()]


@pytest.mark.parametrize(("kind", "field"), SHARED)
def test_two_stacks_with_other_values_of_a_shared_object_do_not_fight(
    cli: Cli, sandbox: Sandbox, kind: str, field: str
) -> None:
    assert kind == "model", "another kind needs files of its own here"
    of_one = {"name": "A", "description": "of one"}
    of_two = {**of_one, field: {"name": "B", "description": "of two"}[field]}
    for name, given in (("one", of_one), ("two", of_two)):
        a_training(cli, sandbox, name, given["name"], given["description"])
    assert cli("apply", "one", "--yes").code == 0
    if field == "name":
        sandbox.platform.edit_model("A", name="B")
        assert cli("apply", "two", "--yes").code == 0

    before = values(sandbox)
    codes = []
    for name, command in product(("one", "two", "one"), ("apply", "drift")):
        codes.append(cli(command, name, *(["--yes"] if command == "apply" else [])).code)
        assert values(sandbox) == before
    assert 12 in codes

    loser = "one" if field == "name" else "two"
    assert cli("apply", loser, "--yes", "--ours").code == 0, "the files win, if the user says so"
    assert values(sandbox) != before
    other = {"one": "two", "two": "one"}[loser]
    refused = cli("apply", other, "--yes")
    assert (refused.code, f"training-{loser} left this value" in refused.err) == (12, True)


@pytest.mark.parametrize("side", ["", "--theirs", "--ours"])
@pytest.mark.parametrize("since", ["", "second"], ids=["left to others", "changed"])
def test_a_rollback_overwrites_no_value_of_another_stack(
    cli: Cli, sandbox: Sandbox, since: str, side: str
) -> None:
    one = a_training(cli, sandbox, "one", "A", "first")
    assert cli("apply", "one", "--yes").code == 0
    config, source = one / "config.toml", one / "pipeline.py"
    first = 'origin_description = "first"\n'
    now = f'origin_description = "{since}"\n' if since else ""
    config.write_text(config.read_text().replace(first, now))
    source.write_text(f"{source.read_text()}\n# edited\n")
    assert cli("apply", "one", "--bump", "patch", "--yes").code == 0
    config.write_text(config.read_text().replace(now, "") if now else config.read_text())
    a_training(cli, sandbox, "two", "A", "of two")
    assert cli("apply", "two", "--yes", "--ours").code == 0
    assert values(sandbox) == [("A", "of two")]

    back = cli("rollback", "one", "--to", "1.0.0", "--yes", *([side] if side else []))

    if not side:
        assert (back.code, "training-two left this value" in back.err + back.out) == (12, True)
        commands = [line for line in (back.out + back.err).splitlines() if "reconciler rollback" in line]
        assert commands and all("--to 1.0.0" in one for one in commands)
        back = cli("rollback", "one", "--yes", "--json", "-")
        assert back.code == 12
    else:
        assert back.code == 0, back.err
    assert values(sandbox) == [("A", "first" if side == "--ours" else "of two")]


def test_a_change_of_another_user_is_drift_and_one_value_for_both_is_none(cli: Cli, sandbox: Sandbox) -> None:
    for name in ("one", "two"):
        a_training(cli, sandbox, name, "A", "a model")
        assert cli("apply", name, "--yes").code == 0
    sandbox.platform.edit_model("A", description="edited")
    assert cli("drift", "--all").code == 11
    assert cli("apply", "one", "--yes").code == 0
    assert cli("drift", "--all").code == 0

    for name in ("one", "two"):
        config = cli.folder / name / "config.toml"
        config.write_text(config.read_text().replace("a model", "the model"))
    assert cli("apply", "--all", "--yes").code == 0
    assert values(sandbox) == [("A", "the model")]


def test_two_files_with_other_values_are_an_error_before_anything_is_applied(
    cli: Cli, sandbox: Sandbox
) -> None:
    for name in ("one", "two"):
        a_training(cli, sandbox, name, "A", f"of {name}")
    found = cli("validate", "--all")
    assert found.code == 1
    text = " ".join(found.err.split())
    assert "two pipelines set description of model/A to different values" in text
    assert "one/config.toml:" in text and "two/config.toml:" in text

    refused = cli("apply", "--all", "--yes")
    assert refused.code != 0
    assert "model/A has another description in the files of" in " ".join(refused.err.split())
    assert ("A", "of two") not in values(sandbox)


def test_nothing_is_deleted_that_another_selected_pipeline_declares_by_its_new_name(
    cli: Cli, sandbox: Sandbox
) -> None:
    one, two = (a_training(cli, sandbox, name, name) for name in ("one", "two"))
    assert cli("apply", "one", "--yes").code == 0
    sandbox.platform.edit_version("one", "one", name="two")
    before = sandbox.platform.versions("one")
    config = two / "config.toml"
    config.write_text(config.read_text().replace('origin_name = "two"', 'origin_name = "one"'))
    config = one / "config.toml"
    config.write_text(config.read_text().replace('name = "one"', 'name = "three"'))

    refused = cli("apply", "--all", "--prune", "--yes")

    assert refused.code != 0
    assert [one["id"] for one in before] == [
        one["id"] for one in sandbox.platform.versions("one") if one["name"] == "two"
    ]
