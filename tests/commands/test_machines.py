"""Three machines share a bucket: one applies, one checks, one rolls back."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest

from providers.docker.registry.client import RegistryClient
from providers.sandbox import Sandbox
from tests.conftest import copy_example
from tests.state.servers import Bucket, use

APP = "dataset_cleanup"


@dataclass(frozen=True)
class Machine:
    """A home folder with a checkout. It shares only the bucket with other machines."""

    home: Path
    user: str

    @property
    def checkout(self) -> Path:
        return self.home / "pipelines"

    def git(self, *arguments: str) -> None:
        who = ["-c", f"user.name={self.user}", "-c", f"user.email={self.user}@example.com"]
        subprocess.run(["git", *who, "-C", str(self.checkout), *arguments], check=True, capture_output=True)

    def reconciler(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "reconciler", *arguments],
            cwd=self.checkout,
            env={**os.environ, "HOME": str(self.home), "USER": self.user, "LOGNAME": self.user},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture
def machines(
    sandbox: Sandbox, s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Machine, Machine, Machine]:
    """Two laptops and a CI runner, each with a clone of one repository."""
    use(s3, monkeypatch)
    monkeypatch.setenv("RECONCILER_STATE", f"{s3.url}/{uuid4()}")
    origin = tmp_path / "origin.git"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(origin)], check=True)
    found = [Machine(tmp_path / name, name) for name in ("ann", "ci", "bob")]
    for machine in found:
        machine.home.mkdir()
        clone = ["git", "clone", "-q", str(origin), str(machine.checkout)]
        subprocess.run(clone, check=True, capture_output=True)
    ann, ci, bob = found
    copy_example(APP, ann.checkout, sandbox.registry)
    ann.git("add", ".")
    ann.git("commit", "-q", "-m", "a pipeline")
    ann.git("push", "-q", "origin", "HEAD:main")
    return ann, ci, bob


def edited(folder: Path, old: str, new: str) -> None:
    config = folder / APP / "config.toml"
    assert old in config.read_text()
    config.write_text(config.read_text().replace(old, new))


def test_an_apply_a_drift_and_a_rollback_from_three_machines(
    machines: tuple[Machine, Machine, Machine], sandbox: Sandbox
) -> None:
    ann, ci, bob = machines
    applied = ann.reconciler("apply", APP, "--yes")
    assert applied.returncode == 0, applied.stderr
    good = sandbox.platform.processing(APP)
    with RegistryClient(f"{sandbox.registry}/examples/{APP}") as registry:
        first = registry.digest("latest")
    assert good is not None

    ci.git("pull", "-q", "origin", "main")
    clean = ci.reconciler("drift", APP)
    assert (clean.returncode, clean.stderr) == (0, ""), clean.stdout

    sandbox.platform.edit_processing(APP, default_cpu=64)
    drifted = ci.reconciler("drift", APP, "--json", "-")
    assert drifted.returncode == 11, drifted.stderr
    (stack,) = json.loads(drifted.stdout)["stacks"]
    assert stack["last_apply"]["by"] == "ann"
    assert [finding["field"] for finding in stack["findings"]] == ["default_cpu"]

    edited(ann.checkout, 'cpu = "4"', 'cpu = "32"')
    conflict = ann.reconciler("apply", APP, "--yes", "--bump", "minor")
    assert conflict.returncode == 12, "it is 64 there, it was 4, and 32 is asked for"
    bad = ann.reconciler("apply", APP, "--yes", "--bump", "minor", "--ours")
    assert bad.returncode == 0, bad.stderr
    ann.git("commit", "-q", "-am", "more cores")
    ann.git("push", "-q", "origin", "HEAD:main")

    bob.git("pull", "-q", "origin", "main")
    sandbox.clear_requests()
    back = bob.reconciler("rollback", APP, "--yes")
    assert back.returncode == 0, back.stderr
    assert not any(w["method"] == "PATCH" and "/blobs/uploads/" in w["path"] for w in sandbox.writes())

    assert sandbox.platform.processing(APP) == {**good, **_stamps(sandbox)}
    with RegistryClient(f"{sandbox.registry}/examples/{APP}") as registry:
        assert registry.digest("latest") == registry.digest("1.0.0") == first
    bob.git("checkout", "-q", "HEAD~1")
    assert bob.reconciler("plan", APP, "--exit-code").returncode == 0
    who = [entry["owner"] for entry in json.loads(_history(ci, sandbox))["saves"]]
    assert list(dict.fromkeys(who)) == ["bob", "ann"]


def _stamps(sandbox: Sandbox) -> dict[str, object]:
    """The time and the user of the last write to an object."""
    now = sandbox.platform.processing(APP)
    assert now is not None
    return {key: value for key, value in now.items() if key.startswith(("updated", "modified"))}


def _history(machine: Machine, sandbox: Sandbox) -> str:
    stack = f"{sandbox.organization}@127.0.0.1:{sandbox.port}/{APP}"
    return machine.reconciler("state", "history", stack, "--json").stdout
