"""`--stale` selects the pipelines whose files differ from their last apply, without git and the platform."""

from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from tests.conftest import Cli, copy_example

PROCESSING, TRAINING = "dataset_cleanup", "single_training"


@pytest.fixture
def root(cli: Cli, sandbox: Sandbox) -> Path:
    """Two pipelines without state."""
    for name in (PROCESSING, TRAINING):
        copy_example(name, cli.folder, sandbox.registry)
    return cli.folder


def listed(cli: Cli, *arguments: str) -> set[str]:
    ended = cli("list", "--stale", "--allow-empty", *arguments)
    assert ended.code == 0, ended.err
    return {line.split()[0] for line in ended.out.splitlines()[1:]}


def replace(file: Path, old: str, new: str) -> None:
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))


def test_a_pipeline_is_stale_until_it_is_applied(cli: Cli, root: Path, sandbox: Sandbox) -> None:
    assert listed(cli) == {PROCESSING, TRAINING}
    assert cli("apply", PROCESSING, "--yes").code == 0
    assert listed(cli) == {TRAINING}
    assert cli("apply", "--stale", "--yes").code == 0
    sandbox.clear_requests()
    ended = cli("list", "--stale")
    assert ended.code == 1
    assert "None of 2 pipelines differs from the state" in ended.err
    assert list(sandbox.requests()) == [], "the platform is not contacted"


EDITS = {
    "a field": ("config.toml", 'version = "1.0"', 'version = "1.0.1"', "image/"),
    "a description": (
        "config.toml",
        'description = "',
        'description = "Now ',
        "processing/dataset_cleanup#description",
    ),
    "the source": ("pipeline.py", "", "# better\n", "#source_key"),
    "an input": ("utils/inputs.py", '"sample_size"', '"sample_count"', "#source_key"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_makes_it_stale_and_names_the_difference(cli: Cli, root: Path, edit: str) -> None:
    assert cli("apply", "--all", "--yes").code == 0
    assert listed(cli) == set()
    file, old, new, reason = EDITS[edit]
    replace(root / PROCESSING / file, old, new)
    assert listed(cli) == {PROCESSING}
    assert reason in cli("list", "--stale", "--explain").out


def test_a_remark_makes_nothing_stale(cli: Cli, root: Path) -> None:
    assert cli("apply", "--all", "--yes").code == 0
    with (root / PROCESSING / "config.toml").open("a") as file:
        file.write("\n# a remark\n")
    assert listed(cli) == set()


IGNORED = {
    "a field": '"processing/dataset_cleanup" = ["default_cpu", "default_parameters"]',
    "a key": '"processing/dataset_cleanup" = ["default_cpu", "default_parameters.data_tag"]',
    "two spellings of an address": (
        '"processing/dataset_cleanup" = ["default_cpu"], '
        '"processing/dataset%5Fcleanup" = ["default_parameters.data_tag"]'
    ),
}


@pytest.mark.parametrize("ignored", IGNORED)
def test_what_is_left_to_the_platform_makes_nothing_stale(
    cli: Cli, root: Path, sandbox: Sandbox, ignored: str
) -> None:
    """Whatever the platform has there, `list --stale` and `plan` agree that nothing is to do."""
    config = root / PROCESSING / "config.toml"
    table = f"[reconciler]\nignore_changes = {{ {IGNORED[ignored]} }}\n\n"
    config.write_text(config.read_text().replace("[reconciler.image]", f"{table}[reconciler.image]"))
    assert cli("apply", "--all", "--yes").code == 0
    live = sandbox.platform.processing(PROCESSING)
    assert live is not None
    parameters = {**live["default_parameters"], "data_tag": "another"}
    sandbox.platform.edit_processing(PROCESSING, default_cpu=99, default_parameters=parameters)
    replace(config, 'description = "', 'description = "Now ')
    assert listed(cli) == {PROCESSING}
    assert cli("apply", PROCESSING, "--yes").code == 0

    assert cli("plan", PROCESSING, "--exit-code").code == 0
    assert listed(cli) == set()
    kept = sandbox.platform.processing(PROCESSING)
    assert kept is not None
    assert (kept["default_cpu"], kept["default_parameters"]) == (99, parameters)
    replace(root / PROCESSING / "utils/parameters.py", '"drop_duplicates"', '"keep_duplicates"')
    replace(config, 'version = "1.0"', 'version = "1.0.1"')
    assert listed(cli) == {PROCESSING}


def test_files_with_errors_are_never_left_out(cli: Cli, root: Path) -> None:
    assert cli("apply", "--all", "--yes").code == 0
    (root / PROCESSING / "config.toml").write_text("[metadata")
    assert listed(cli) == {PROCESSING}
    assert cli("plan", "--stale").code == 1


def test_it_is_the_last_apply_in_this_environment(cli: Cli, root: Path) -> None:
    assert cli("apply", "--all", "--yes").code == 0
    assert listed(cli, "--env", "STAGING") == {PROCESSING, TRAINING}
