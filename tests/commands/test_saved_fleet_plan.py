"""Saved plans of one pipeline and of several: `show` prints them, and a second apply has nothing to do."""

import pytest

from providers.sandbox import Sandbox
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
