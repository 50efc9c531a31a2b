"""Two stacks of one folder share one config.toml: only one run at a time writes it."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from reconciler.engine import apply
from reconciler.system.files import locked
from tests.conftest import Cli, copy_example
from tests.waits import PATIENCE

NAME = "dataset_cleanup"


@pytest.fixture
def config(cli: Cli, sandbox: Sandbox) -> Path:
    return copy_example(NAME, cli.folder, sandbox.registry) / "config.toml"


def test_a_run_that_may_write_config_toml_waits_for_another_one(
    cli: Cli, sandbox: Sandbox, config: Path
) -> None:
    before = config.read_bytes()
    with locked(config):
        for command in (["apply", NAME, "--bump", "patch", "--yes"], ["bump", "patch", NAME]):
            ended = cli(*command)
            assert ended.code == 13
            assert "another run is about to write this file" in ended.err
        assert sandbox.writes() == []
        assert cli("apply", NAME, "--yes").code == 0, "this one does not write it"
    assert config.read_bytes() == before
    assert cli("bump", "patch", NAME).code == 0


def test_a_run_that_waited_reads_config_toml_again(
    cli: Cli, sandbox: Sandbox, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, waits = threading.Event(), threading.Event()

    def noted(path: Path, *, timeout: float, waiting: Callable[[], None]) -> AbstractContextManager[None]:
        def notice() -> None:
            waiting()
            waits.set()

        return locked(path, timeout=timeout, waiting=notice)

    def other() -> None:
        with locked(config):
            held.set()
            waits.wait(PATIENCE)
            config.write_text(config.read_text().replace('version = "1.0"', 'version = "1.1.0"'))

    run = threading.Thread(target=other)
    run.start()
    held.wait(PATIENCE)
    monkeypatch.setattr(apply, "locked", noted)
    ended = cli("apply", NAME, "--bump", "patch", "--yes", "--lock-timeout", str(PATIENCE))
    assert waits.is_set()
    run.join()
    assert ended.code == 1
    assert "the pipeline's files changed after they were read" in ended.err
    assert sandbox.writes() == []
    assert 'version = "1.1.0"' in config.read_text()
