"""300 pipelines, of which seven fail in seven ways: every output agrees, and the next run does the seven."""

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from reconciler.core.runs import RunResult
from reconciler.views.reports.run_json import read_run
from tests.conftest import Cli
from tests.fleet import made
from tests.reports.test_run_agreement import check, counts

COUNT = 300
OUTPUTS = {
    "json": "run.json",
    "junit": "run.xml",
    "markdown": "run.md",
    "html": "run.html",
    "events": "run.ndjson",
}


def edit(file: Path, pattern: str, text: str) -> None:
    before = file.read_text()
    after = re.sub(pattern, lambda _: text, before, count=1)
    assert after != before
    file.write_text(after)


class Seven:
    """Seven pipelines, each with a cause of failure that can be taken away."""

    def __init__(self, folders: list[Path], sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.folders = folders
        self.texts: dict[Path, str] = {}
        self.causes: dict[str, Callable[[Path], None]] = {
            "bad file": lambda folder: (folder / "config.toml").write_text("[metadata\n") and None,
            "422": self.unprocessable,
            "registry down": lambda folder: edit(
                folder / "config.toml", 'image_name = ".*"', 'image_name = "localhost:9/down"'
            ),
            "build fails": self.without_base,
            "conflict": lambda folder: (
                sandbox.platform.edit_processing(folder.name, description="Theirs.") and None
            ),
            "claim": self.claimed,
            "killed": lambda folder: edit(
                folder / "parameters.py",
                "default=640",
                "default=__import__('os').kill(__import__('os').getpid(), 9)",
            ),
        }
        self.failing = dict(zip(self.causes, folders[5::40], strict=False))

    def begin(self) -> None:
        for cause, folder in self.failing.items():
            for file in (folder / "config.toml", folder / "parameters.py", folder / "pipeline.py"):
                self.texts[file] = file.read_text()
            self.causes[cause](folder)

    def end(self) -> None:
        """Take the causes away. The files are as in the other pipelines then."""
        for file, text in self.texts.items():
            file.write_text(text)
        self.sandbox.switch(faults=[])
        conflict = self.failing["conflict"]
        before = f"Number {int(conflict.name[-4:])} of a fleet."
        self.sandbox.platform.edit_processing(conflict.name, description=before)

    def unprocessable(self, folder: Path) -> None:
        found = self.sandbox.platform.processing(folder.name)
        assert found is not None
        self.sandbox.fail("PATCH", f"/api/processing/{found['id']}$", 422, times=None)

    def without_base(self, folder: Path) -> None:
        (folder / "pipeline.py").write_text("print('new source')\n")
        base = f"{self.sandbox.registry}/no/base:1.0"
        edit(folder / "config.toml", 'version = "1.0.0"', 'version = "1.0.1"')
        with (folder / "config.toml").open("a") as config:
            config.write(f'\n[reconciler.image]\nbuilder = "append"\nbase = "{base}"\n')

    def claimed(self, folder: Path) -> None:
        neighbour = self.folders[0].name
        edit(folder / "config.toml", f"fleet/{folder.name}", f"fleet/{neighbour}")


@pytest.fixture
def seven(cli: Cli, sandbox: Sandbox) -> Seven:
    folders = made.pipelines(cli.folder, sandbox.registry, COUNT)
    made.publish(folders, sandbox)
    made.record(folders, cli.folder)
    assert cli("apply", folders[0].name, "--yes").code == 0  # it claims its image
    return Seven(folders, sandbox)


def test_every_output_agrees_and_the_next_run_does_what_is_left(
    cli: Cli, seven: Seven, tmp_path: Path
) -> None:
    for folder in seven.folders:
        edit(folder / "config.toml", "description = .*", 'description = "Better."')
    seven.begin()
    files = [argument for kind, name in OUTPUTS.items() for argument in (f"--{kind}", str(tmp_path / name))]

    ended = cli("apply", "--all", "--yes", *files)

    report = read_run(tmp_path / "run.json")
    wrong = {run.folder: run for run in report.runs if run.result is not RunResult.APPLIED}
    assert {cause: folder.name in wrong for cause, folder in seven.failing.items()} == dict.fromkeys(
        seven.causes, True
    ), ended.err
    assert len(wrong) == 7
    assert wrong[seven.failing["claim"].name].result is RunResult.REFUSED
    assert wrong[seven.failing["conflict"].name].result is RunResult.REFUSED
    assert ended.code == report.exit_code == 1
    recap = ended.err.rpartition("Not finished")[2]
    assert counts(recap.splitlines()[0]) == {"failed": 5, "refused": 2, "applied": COUNT - 7}
    check(report, tmp_path)
    for cause, folder in seven.failing.items():
        assert folder.name in recap, cause
    assert Counter(one["description"] for one in seven.sandbox.platform.processings())["Better."] == COUNT - 7

    seven.end()
    seven.sandbox.clear_requests()
    ended = cli("apply", "--all", "--yes", *files)

    report = read_run(tmp_path / "run.json")
    assert ended.code == 0, ended.err
    done = {run.folder for run in report.runs if run.result is RunResult.APPLIED}
    assert done == {folder.name for folder in seven.failing.values()}
    assert report.counts[RunResult.UNCHANGED] == COUNT - 7
