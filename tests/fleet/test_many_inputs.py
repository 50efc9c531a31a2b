"""One processing with hundreds of inputs: a plan requests each page of them, and no input by itself."""

import re
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.runs import user
from providers.sandbox import Sandbox
from tests.conftest import Cli
from tests.fleet import made

INPUTS, PAGE = 250, 100


def test_a_plan_of_many_inputs_reads_their_pages(
    sandbox: Sandbox, cli: Cli, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in user(sandbox, tmp_path / "state.db").items():
        monkeypatch.setenv(name, value)
    [pipeline] = made.pipelines(tmp_path / "pipelines", sandbox.registry, 1)
    made.declare_inputs(pipeline, INPUTS)
    made.publish([pipeline], sandbox)
    made.record([pipeline], tmp_path)
    monkeypatch.chdir(tmp_path / "pipelines")

    sandbox.clear_requests()
    planned = cli("plan", pipeline.name, "--exit-code")

    assert planned.code == 0, planned.err
    assert f"Nothing to do: {INPUTS + 2} resources unchanged." in planned.out
    counts = Counter(re.sub(r"[0-9a-f-]{36}", "*", request["path"]) for request in sandbox.requests())
    assert counts.pop("/api/processing/*/inputs") == -(-INPUTS // PAGE)
    assert set(counts.values()) == {1}, "no other request is sent twice"
    assert len(counts) <= 6
