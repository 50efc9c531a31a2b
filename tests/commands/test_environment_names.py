"""People see an environment by its name in reconciler.toml; documents have its scope, the identity."""

import json
from urllib.parse import urlsplit

import pytest

from providers.sandbox import Sandbox
from reconciler import api
from reconciler.core.platforms import CUSTOM, ENVIRONMENTS, scope, scope_label
from tests.conftest import Cli, copy_example

NAME, OTHER = "dataset_cleanup", "computed_inputs"


@pytest.mark.parametrize("environment", ["", *ENVIRONMENTS])
def test_what_no_file_named_keeps_its_scope(environment: str) -> None:
    found = scope("my-org", environment or CUSTOM, "https://picsellia.example.com")
    assert scope_label(found, environment) == found


@pytest.mark.parametrize("organization", ["my-org", "a@b", "a/b"])
def test_a_name_takes_the_place_of_the_platform(organization: str) -> None:
    found = scope(organization, "TEST", "https://picsellia.example.com/path")
    assert scope_label(found, "TEST") == f"{found.rpartition('@')[0]}@TEST"


@pytest.fixture
def pipelines(cli: Cli, environments: Sandbox) -> Sandbox:
    for name in (NAME, OTHER):
        copy_example(name, cli.folder, environments.registry)
    return environments


def test_plan_apply_drift_and_status_show_the_name(cli: Cli, pipelines: Sandbox) -> None:
    place = urlsplit(pipelines.account("TEST").url).netloc
    label, identity = "my-test-org@TEST", f"my-test-org@{place}"
    test = ("--env", "TEST")

    shown = {
        f"{label}/{NAME}  http://{place}\n": cli("plan", NAME, *test),
        f"{label}  http://{place}\n": cli("apply", "--all", *test, "--yes"),
    }
    pipelines.account("TEST").platform.edit_processing(NAME, default_cpu=9)
    config = cli.folder / NAME / "config.toml"
    config.write_text(config.read_text() + "\n[reconciler.env.TEST.docker]\ncpu = 7\n")
    shown |= {
        f"{NAME}          {label}  1.0.0": cli("status", "--all"),
        f"{label}/{NAME}  ": cli("drift", NAME, *test),
        f"{label}/{NAME} ": cli("drift", "--all", *test),
    }

    for said, ended in shown.items():
        assert " ".join(said.split()) in " ".join(ended.out.split()), ended
        assert identity not in ended.out, "one name for one environment"

    document = json.loads(cli("plan", NAME, *test, "--json").out)
    assert document["stack"]["environment"] == "TEST"
    (row,) = json.loads(cli("status", NAME, *test, "--json").out)["rows"][:1]
    assert row["environment"] in (identity, identity.replace("my-test-org", "my-org"))
    assert f"{identity}/{NAME}" in cli("state", "list").out


def test_the_label_of_a_stack_selects_it(cli: Cli, pipelines: Sandbox) -> None:
    assert cli("apply", NAME, "--env", "LIVE", "--yes").code == 0
    label = cli("plan", NAME, "--env", "LIVE").out.split()[0]
    assert label == f"my-org@LIVE/{NAME}"
    assert cli("state", "show", label).code == 0


def test_a_recap_names_the_environment(cli: Cli, pipelines: Sandbox) -> None:
    ended = cli("apply", "--all", "--env", "TEST", "--yes", "-o", "markdown")
    assert ended.code == 0
    assert f"my-test-org@TEST/{OTHER}" in ended.out, ended


def test_python_shows_the_name(cli: Cli, pipelines: Sandbox) -> None:
    workspace = api.Workspace.open(cli.folder)
    report = workspace.select(NAME).status([workspace.environment("TEST")])
    assert "my-test-org@TEST" in str(report)
