"""Saved plans of one pipeline and of several: `show` prints them, a second apply has nothing to do, and an
apply in another environment says so."""

import pytest

from providers.sandbox import Sandbox
from reconciler import api
from tests.conftest import Cli, copy_example


@pytest.mark.parametrize("names", [("dataset_cleanup",), ("dataset_cleanup", "single_training")], ids=len)
def test_show_prints_what_plan_printed(names: tuple[str, ...], cli: Cli, sandbox: Sandbox) -> None:
    for name in names:
        copy_example(name, cli.folder, sandbox.registry)
    file = str(cli.folder.parent / "plan.json")
    planned = cli("plan", *names, "--out", file)
    assert planned.code == 0, planned.err

    shown = cli("show", file)

    assert (shown.code, shown.out) == (0, planned.out)
    assert all(f"image/{sandbox.registry}/examples/{name}" in shown.out for name in names)


@pytest.mark.parametrize("names", [("dataset_cleanup",), ("dataset_cleanup", "single_training")], ids=len)
def test_a_saved_plan_that_is_applied_has_nothing_left_to_do(
    names: tuple[str, ...], cli: Cli, sandbox: Sandbox
) -> None:
    for name in names:
        copy_example(name, cli.folder, sandbox.registry)
    file = str(cli.folder.parent / "plan.json")
    assert cli("plan", *names, "--out", file).code == 0
    assert cli("apply", "--plan", file).code == 0
    sandbox.clear_requests()

    again = cli("apply", "--plan", file)

    assert again.code == 0, again.err
    assert sandbox.writes() == []


@pytest.fixture(params=[("dataset_cleanup",), ("dataset_cleanup", "single_training")], ids=len)
def saved_for_test(request: pytest.FixtureRequest, cli: Cli, environments: Sandbox) -> str:
    """A saved plan for TEST, of one pipeline or of two."""
    for name in request.param:
        copy_example(name, cli.folder, environments.registry)
    assert cli("plan", *request.param, "--env", "TEST", "--out", "plan.json").code == 0
    environments.clear_requests()
    return "plan.json"


@pytest.mark.parametrize(
    ("options", "here"),
    [
        (("--env", "LIVE"), "my-org@LIVE"),
        (("--env", "LIVE", "--organization", "my-test-org"), "my-test-org@LIVE"),
        (("--organization", "my-org"), "my-org@TEST"),
        (("--env", "PROD", "--organization", "my-org"), "my-org@PROD"),
        (("--env", "TEST"), None),
        ((), None),
    ],
)
def test_a_plan_of_another_environment_is_refused_with_both_names(
    cli: Cli, environments: Sandbox, saved_for_test: str, options: tuple[str, ...], here: str | None
) -> None:
    ended = cli("apply", "--plan", saved_for_test, *options)

    if here is None:
        assert ended.code == 0, ended.err
        return
    assert (ended.code, environments.requests()) == (1, [])
    assert f"the plan is for my-test-org@TEST, and this is {here}" in " ".join(ended.err.split())
    assert "reconciler apply --plan plan.json\n" in ended.err


@pytest.mark.parametrize("options", [(), ("--env", "LIVE")])
def test_a_plan_of_an_environment_that_is_not_declared_any_more_says_so(
    cli: Cli, environments: Sandbox, saved_for_test: str, options: tuple[str, ...]
) -> None:
    workspace = cli.folder / "reconciler.toml"
    workspace.write_text(workspace.read_text().replace("environments.TEST", "environments.OTHER"))

    ended = cli("apply", "--plan", saved_for_test, *options)

    assert (ended.code, environments.requests()) == (1, [])
    assert "the plan is for my-test-org@TEST, and " in " ".join(ended.err.split())
    assert ("reconciler.toml does not declare TEST" in " ".join(ended.err.split())) == (not options)


def test_another_name_of_the_same_platform_is_the_same_environment(
    cli: Cli, environments: Sandbox, saved_for_test: str
) -> None:
    workspace = cli.folder / "reconciler.toml"
    workspace.write_text(workspace.read_text().replace("environments.TEST", "environments.OTHER"))

    ended = cli("apply", "--plan", saved_for_test, "--env", "OTHER")

    assert ended.code == 0, ended


def test_the_interface_refuses_a_plan_of_another_environment(
    environments: Sandbox, saved_for_test: str
) -> None:
    live = api.Workspace.open().environment("LIVE")

    with pytest.raises(api.UserError, match="the plan is for my-test-org@TEST, and this is my-org@LIVE"):
        api.Plans.load(saved_for_test, environment=live).apply()

    assert environments.requests() == []
