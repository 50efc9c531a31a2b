"""An image that left the files stays in the state while the platform runs it, whatever fails."""

from pathlib import Path

import pytest
from urllib3.util.retry import Retry

import providers.retries
from providers.docker.registry.client import RegistryClient
from providers.sandbox import Sandbox
from providers.sandbox.settings import Fault
from state.stores.opening import open_store
from tests.conftest import Cli, copy_example
from tests.quick import skip_waits

EXAMPLES = ("dataset_cleanup", "multi_training")
ENDS = {
    "renamed": ("apply",),
    "renamed and pruned": ("apply", "--prune"),
    "back": ("rollback",),
    "destroyed": ("destroy", "--prune"),
}
"""How an image leaves -> the command that writes it, and what of the platform runs it."""


def recorded(state: Path) -> set[str]:
    with open_store(str(state)) as store:
        found = [store.load(stack) for stack in store.stacks()]
    return {
        address.rpartition("/")[2] for one in found if one for address in one.resources if "image/" in address
    }


def run_by(sandbox: Sandbox) -> set[str]:
    """The names of the images that the objects of the platform run."""
    platform = sandbox.platform
    versions = (version for model in platform.models() for version in platform.versions(model["name"]))
    return {str(one["docker_image"]).rpartition("/")[2] for one in (*platform.processings(), *versions)}


def rename_image(folder: Path, before: str, after: str) -> None:
    config = folder / "config.toml"
    text = config.read_text()
    assert f'/{before}"' in text
    config.write_text(text.replace(f'/{before}"', f'/{after}"'))


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("name", EXAMPLES)
def test_the_state_has_every_image_that_the_platform_runs(
    cli: Cli, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, end: str
) -> None:
    """Each write to the platform fails, one after the other, and then the same command ends it."""
    monkeypatch.setattr(providers.retries, "FIRST_DELAY", 0.01)
    monkeypatch.setattr(Retry, "sleep", lambda retry, response=None: None)
    skip_waits(monkeypatch)
    state = tmp_path / "state.db"
    folder = copy_example(name, cli.folder, sandbox.registry)
    config = folder / "config.toml"  # the stack of a training is named by its image otherwise
    config.write_text(
        config.read_text().replace("[reconciler.image]", '[reconciler]\nstack = "one"\n\n[reconciler.image]')
    )
    assert cli("apply", name, "--yes").code == 0
    if end != "destroyed":
        rename_image(folder, name, "a-new-name")
    if end == "back":
        assert cli("apply", name, "--yes").code == 0
    verb, *options = ENDS[end]
    command = (verb, name, "--yes", "--parallel", "1", *options)
    for method in ("PATCH", "DELETE", "POST", "PUT"):
        sandbox.switch(faults=[Fault("^/api/", 403, method=method, times=None)])
        failed = cli(*command)
        sandbox.switch(faults=[])
        assert run_by(sandbox) <= recorded(state), (method, failed)
        if failed.code == 0:
            break
    ended = cli(*command)
    assert ended.code in (0, 1, 12), ended
    assert run_by(sandbox) <= recorded(state)
    if end.startswith("renamed"):
        assert recorded(state) == {"a-new-name"} == run_by(sandbox)


def test_a_tag_that_moves_after_a_failed_rename_of_the_image_is_drift(
    cli: Cli, sandbox: Sandbox, tmp_path: Path
) -> None:
    name = "dataset_cleanup"
    folder = copy_example(name, cli.folder, sandbox.registry)
    assert cli("apply", name, "--yes").code == 0
    (folder / "pipeline.py").write_text("print('other')\n")
    assert cli("apply", name, "--yes", "--bump", "patch").code == 0
    rename_image(folder, name, "a-new-name")
    sandbox.switch(faults=[Fault("^/api/processing/", 403, method="PATCH", times=None)])
    failed = cli("apply", name, "--yes")
    sandbox.switch(faults=[])
    assert failed.code == 1
    assert (
        f"blocked: image/{sandbox.registry}/examples/{name}, because processing/{name} failed" in failed.err
    )

    with RegistryClient(f"{sandbox.registry}/examples/{name}") as registry:
        registry.tag(str(registry.digest("1.0.0")), "latest")

    drift = cli("drift", name)
    assert drift.code == 11
    assert "latest was moved" in drift.out
