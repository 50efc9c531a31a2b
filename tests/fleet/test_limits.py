"""Limits of the operating system, as in containers: a run does with less, and reports every pipeline."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.runs import ROOT, user
from providers.sandbox import Sandbox
from tests.fleet import made
from tests.waits import PATIENCE

COUNT = 104  # worker processes save time from 100 on
LIMITED = """
import os, resource, sys, threading

kind, most = sys.argv[1], int(sys.argv[2])
if kind == "descriptors":
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
elif kind == "processes":
    def fork():
        raise BlockingIOError(11, "Resource temporarily unavailable")
    os.fork = fork
else:
    start = threading._start_new_thread
    def start_few(*arguments):
        if threading.active_count() > most:
            raise RuntimeError("can't start new thread")
        return start(*arguments)
    threading._start_new_thread = start_few
from reconciler.cli import main
main(sys.argv[3:])
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sandbox, Path]]:
    folder = tmp_path_factory.mktemp("limits")
    with Sandbox() as sandbox, pytest.MonkeyPatch.context() as monkeypatch:
        for name, value in user(sandbox, folder / "state.db").items():
            monkeypatch.setenv(name, value)
        folders = made.pipelines(folder / "pipelines", sandbox.registry, COUNT)
        made.publish(folders, sandbox)
        made.record(folders, folder)
        yield sandbox, folder


def run(
    fleet: tuple[Sandbox, Path], report: Path, kind: str, most: int, *command: str
) -> tuple[int, str, Any]:
    """The exit code, what is printed, and the report; within minutes, whatever the limit is."""
    sandbox, folder = fleet
    ended = subprocess.run(
        [sys.executable, "-c", LIMITED, kind, str(most), *command, "--json", str(report)],
        cwd=folder / "pipelines",
        env=os.environ | user(sandbox, folder / "state.db") | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=5 * PATIENCE,
        check=False,
    )
    assert "Traceback" not in ended.stdout, ended.stdout
    assert "a bug in reconciler" not in ended.stdout, ended.stdout
    assert report.exists(), ended.stdout
    return ended.returncode, ended.stdout, json.loads(report.read_text())


@pytest.mark.parametrize(
    ("kind", "most"),
    [("threads", 0), ("threads", 1), ("threads", 2), ("threads", 7), ("threads", 30), ("processes", 0)],
)
def test_a_run_does_with_fewer_threads_and_processes(
    kind: str, most: int, fleet: tuple[Sandbox, Path], tmp_path: Path
) -> None:
    code, printed, report = run(fleet, tmp_path / "report.json", kind, most, "drift", "--all")
    assert code == 0, printed
    assert len(report["stacks"]) == COUNT and not report["failed"]


@pytest.mark.parametrize(
    ("kind", "most"), [("threads", 0), ("threads", 3), ("descriptors", 32), ("descriptors", 48)]
)
def test_an_apply_reports_each_pipeline(
    kind: str, most: int, fleet: tuple[Sandbox, Path], tmp_path: Path
) -> None:
    """Those that fail have a reason, and the next apply without the limit does exactly the rest."""
    sandbox, folder = fleet
    for config in (folder / "pipelines").glob("*/config.toml"):
        text = f'description = "{kind} {most}."'
        config.write_text(re.sub("description = .*", text, config.read_text()))
    sandbox.clear_requests()
    code, printed, report = run(fleet, tmp_path / "report.json", kind, most, "apply", "--all", "--yes")
    results = [one["result"] for one in report["pipelines"]]
    assert len(results) == COUNT, printed
    applied = results.count("applied")
    assert len(sandbox.writes(service="platform")) == applied
    assert (code == 0) == (applied == COUNT), printed
    again = tmp_path / "again.json"
    code, printed, report = run(fleet, again, "threads", 1000, "apply", "--all", "--yes")
    assert code == 0, printed
    assert len(sandbox.writes(service="platform")) == COUNT
