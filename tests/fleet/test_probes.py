"""A run of many pipelines looks for the builders of the machine once."""

from pathlib import Path

import pytest

from providers.sandbox import Sandbox
from tests.conftest import Cli, copy_example

NAMES = ("dataset_cleanup", "single_training", "multi_training")


@pytest.mark.parametrize("command", ["plan", "image"])
def test_a_plan_of_all_pipelines_starts_each_program_once(
    cli: Cli, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    for name in NAMES:
        config = copy_example(name, cli.folder, sandbox.registry) / "config.toml"
        config.write_text(config.read_text().replace('builder = "append"', 'builder = "auto"'))
        if not (config.parent / "Dockerfile").exists():
            (config.parent / "Dockerfile").write_text("FROM scratch\n")
    log, folder = tmp_path / "log", tmp_path / "bin"
    folder.mkdir()
    (folder / "docker").write_text(
        f'#!/bin/sh\necho "$*" >> {log}\n'
        'case "$*" in "buildx version") echo buildx 0.13.1 ;; "buildx inspect") echo Driver: remote ;; esac\n'
    )
    (folder / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    ended = cli(command, "--all")
    assert ended.code == 0, ended.err
    assert log.read_text().splitlines() == ["buildx version", "buildx inspect"]
