"""A Tab after `--env` offers what that environment has, and nothing of another one."""

import click
import pytest

from providers.sandbox import Sandbox
from reconciler.cli.options import completions
from tests.conftest import Cli, copy_example


@pytest.mark.parametrize("environment", ["TEST", "LIVE"])
def test_versions_to_go_back_to_are_those_of_the_environment(
    cli: Cli, environments: Sandbox, environment: str
) -> None:
    copy_example("dataset_cleanup", cli.folder, environments.registry)
    assert cli("apply", "dataset_cleanup", "--env", "TEST", "--yes").code == 0
    arguments = ("apply", "dataset_cleanup", "--env", "LIVE", "--bump", "minor", "--force-bump", "--yes")
    assert cli(*arguments).code == 0
    context = click.Context(click.Command("rollback"))
    context.params = {"name": "dataset_cleanup", "environment": environment}

    offered = {item.value for item in completions.versions(context, None, "")}  # type: ignore[arg-type]

    assert offered == {{"TEST": "1.0.0", "LIVE": "1.1.0"}[environment]}
