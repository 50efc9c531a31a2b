"""Files are edited while a run is under way: no edit is lost, and nothing stale is applied."""

import signal
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from tests.conftest import Cli, copy_example
from tests.faults.test_signals import asked, said, until
from tests.faults.warm import Warm

APPLY = ("apply", "single_training", "--yes")
LONG = 3600.0


@pytest.fixture
def pipeline(cli: Cli, sandbox: Sandbox) -> Path:
    return copy_example("single_training", cli.folder, sandbox.registry)


def test_an_edit_during_a_bump_is_kept(pipeline: Path, warm: Warm, cli: Cli, sandbox: Sandbox) -> None:
    config = pipeline / "config.toml"
    sandbox.fail("POST", "/versions$", "hang", seconds=1.0)
    run = warm.start([*APPLY, "--bump", "minor"], cli.folder)
    until(asked(sandbox, "POST", "/versions"), run)
    config.write_text("# mine\n" + config.read_text().replace("PYTORCH", "ONNX"))

    assert warm.wait(run) == 0, run.err.read_text()
    text = config.read_text()
    assert text.startswith("# mine\n") and "ONNX" in text
    assert 'version = "1.1.0"' in text
    planned = cli("plan", "single_training", "--exit-code", "--bump", "patch")
    assert planned.code == 10
    assert "PYTORCH -> ONNX" in planned.out


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("config.toml", "PYTORCH", "ONNX"),
        ("utils/parameters.py", "batch_size", "size_of_batches"),
        ("pipeline.py", "import", "# other\nimport"),
    ],
)
def test_what_was_read_before_a_wait_is_not_applied_after_it(
    file: str, old: str, new: str, pipeline: Path, warm: Warm, cli: Cli, sandbox: Sandbox
) -> None:
    sandbox.fail("POST", "/versions$", "hang", seconds=LONG)
    first = warm.start(APPLY, cli.folder)
    until(asked(sandbox, "POST", "/versions"), first)
    second = warm.start([*APPLY, "--lock-timeout", "3600"], cli.folder)
    until(said(second, "waiting for"), second)
    path = pipeline / file
    path.write_text(path.read_text().replace(old, new, 1))
    sandbox.switch(faults=[])
    sandbox.clear_requests()
    first.signal(signal.SIGKILL)

    assert warm.wait(first) == -signal.SIGKILL
    assert warm.wait(second) == 1
    err = second.err.read_text()
    assert "the pipeline's files changed after they were read" in err
    assert "Run the same command again" in err
    assert sandbox.writes() == []
    again = cli(*APPLY, "--bump", "patch")
    assert again.code == 0, again.err
    assert cli("plan", "single_training", "--exit-code").code == 0


def test_two_bumps_at_once_are_one(pipeline: Path, warm: Warm, cli: Cli, sandbox: Sandbox) -> None:
    """The second one waits, and does not put back what the first one published."""
    sandbox.fail("POST", "/versions$", "hang", seconds=1.0)
    first = warm.start([*APPLY, "--bump", "minor"], cli.folder)
    until(asked(sandbox, "POST", "/versions"), first)
    second = warm.start([*APPLY, "--lock-timeout", "60"], cli.folder)

    assert warm.wait(first) == 0
    if warm.wait(second) == 0:  # it read the files when the first one had ended
        assert "Nothing to do" in second.out.read_text()
    else:
        assert "files changed after they were read" in second.err.read_text()
    assert 'version = "1.1.0"' in (pipeline / "config.toml").read_text()
    assert cli("plan", "single_training", "--exit-code").code == 0
