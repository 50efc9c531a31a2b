"""What the fault tests share: a platform of its own, the world it holds without identities, scenarios."""

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from providers.sandbox import Sandbox
from providers.sandbox.settings import Settings
from reconciler.pipeline.classes import runner
from tests.conftest import EXAMPLES, Cli, copy_example
from tests.faults.far_ends import User, signed_in
from tests.faults.warm import Warm

UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/config.toml"))
# What differs between two worlds that are the same for every purpose.
PASSING = ("id", "created_at", "updated_at", "created_by", "updated_by")
COUNTED = "version"  # of a model's version: the platform numbers them as they come
CREATED = "org.opencontainers.image.created"

Edits = Mapping[str, tuple[tuple[str, str], ...]]

CHANGED: Edits = {
    "config.toml": (('cpu = "4"', 'cpu = "8"'), ("Copies a dataset", "Makes a copy of a dataset")),
    "utils/inputs.py": (
        ('self.define_input(name="archive"', 'self.define_input(name="folder"'),
        (
            '"report_title", input_type=ProcessingInputType.TEXT',
            '"report_title", input_type=ProcessingInputType.NUMBER',
        ),
        ("required=False,\n            framework", "required=True,\n            framework"),
    ),
}
"""All that can change on dataset_cleanup: fields, an input more, one less, one replaced, one changed."""


@dataclass(frozen=True, eq=False)
class Scenario:
    """An example, from nothing or from what was applied before the files were edited."""

    name: str
    example: str
    edits: Edits | None = None

    def __str__(self) -> str:
        return self.name


SCENARIOS = [
    *(Scenario(name, name) for name in NAMES),
    Scenario("dataset_cleanup-changed", "dataset_cleanup", CHANGED),
]


@pytest.fixture(scope="session")
def platform_apart() -> Iterator[Sandbox]:
    """In a process of its own: it survives what happens to this one, and takes no time from it."""
    with Sandbox(Settings(), subprocess=True) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def second_platform_apart() -> Iterator[Sandbox]:
    """As `platform_apart`, for commands with two platforms and two registries."""
    with Sandbox(Settings(), subprocess=True) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(platform_apart: Sandbox, home: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """A fresh platform and registry in a process of its own, and a user who is signed in to it."""
    platform_apart.reset()
    for name, value in variables(platform_apart).items():
        monkeypatch.setenv(name, value)
    return platform_apart


def variables(sandbox: Sandbox) -> dict[str, str]:
    """The environment of a user who is signed in."""
    return {
        "PICSELLIA_TOKEN": sandbox.token,
        "PICSELLIA_ORGANIZATION": sandbox.organization,
        "PICSELLIA_ENV": "CUSTOM",
        "PICSELLIA_CUSTOM_ENV": sandbox.url,
    }


@pytest.fixture
def classes_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Classes that need code are run once: how they are read is not what fails here."""
    monkeypatch.setattr(runner, "run", _run_once)


_run: Callable[..., runner.ClassRun] = runner.run
_ran: dict[str, runner.ClassRun] = {}


def _run_once(folder: Path, **how: Any) -> runner.ClassRun:
    if folder.name not in _ran:
        _ran[folder.name] = _run(folder, **how)
    return _ran[folder.name]


def put(scenario: Scenario, folder: Path, sandbox: Sandbox) -> Path:
    """The scenario's pipeline, as it was before the edits."""
    target = folder / scenario.example
    shutil.rmtree(target, ignore_errors=True)
    return copy_example(scenario.example, folder, sandbox.registry)


def edit(scenario: Scenario, pipeline: Path) -> None:
    """What the user changed since."""
    for file, replacements in (scenario.edits or {}).items():
        text = (pipeline / file).read_text()
        for old, new in replacements:
            assert old in text, f"{file} has no {old!r}"
            text = text.replace(old, new)
        (pipeline / file).write_text(text)


def start_over(scenario: Scenario, cli: Cli, sandbox: Sandbox, state: Path) -> Path:
    """World, record and files as they are before the run that is disturbed; where the files are."""
    sandbox.reset()
    for file in state.parent.glob(state.name + "*"):
        file.unlink()
    pipeline = put(scenario, cli.folder, sandbox)
    if scenario.edits is not None:
        before = cli("apply", scenario.example, "--yes")
        assert before.code == 0, before.err
        edit(scenario, pipeline)
    sandbox.clear_requests()
    return pipeline


def world(sandbox: Sandbox) -> dict[str, Any]:
    """Everything that exists: by name, without identities and times; tags with what they hold."""
    platform = sandbox.platform
    found = {
        "processings": [
            {**_lasting(one), "inputs": sorted(map(_lasting, platform.inputs(one["name"])), key=_text)}
            for one in sorted(platform.processings(), key=_text)
        ],
        "models": [
            {**_lasting(one), "versions": sorted(map(_uncounted, platform.versions(one["name"])), key=_text)}
            for one in sorted(platform.models(), key=_text)
        ],
        "images": _images(sandbox),
    }
    plain: dict[str, Any] = json.loads(re.sub(UUID, "…", json.dumps(found)))
    return plain


def _lasting(found: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key not in PASSING}


def _uncounted(version: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in _lasting(version).items() if key != COUNTED}


def _text(found: Mapping[str, Any]) -> str:
    return str(found["name"])


def _images(sandbox: Sandbox) -> dict[str, Any]:
    """By repository and tag: which tags hold the same, and the labels of what they hold."""
    found = digests_in(sandbox)
    return {
        name: {
            "same as": sorted(other for other in found if found[other] == digest),
            "labels": _labels(sandbox, name.rpartition(":")[0], digest),
        }
        for name, digest in found.items()
    }


def digests_in(sandbox: Sandbox) -> dict[str, str]:
    """The digest of each image's tag in its registry, by `repository:tag`."""
    return {
        f"{repository}:{tag}": _digest(sandbox, repository, tag)
        for repository in sandbox.call("GET", "/v2/_catalog")["repositories"]
        for tag in sandbox.call("GET", f"/v2/{repository}/tags/list")["tags"] or []
        if not tag.startswith("sha256-")  # the list of what refers to an image
    }


def _aside(sandbox: Sandbox, path: str) -> requests.Response:
    with requests.Session() as session:
        session.trust_env = False
        response = session.get(
            sandbox.url + path, headers={"X-Sandbox-Aside": "1", "Accept": "*/*"}, timeout=60
        )
    assert response.ok, f"{path}: {response.status_code}"
    return response


def _digest(sandbox: Sandbox, repository: str, tag: str) -> str:
    return str(_aside(sandbox, f"/v2/{repository}/manifests/{tag}").headers["Docker-Content-Digest"])


def _labels(sandbox: Sandbox, repository: str, digest: str) -> dict[str, str]:
    manifest = _aside(sandbox, f"/v2/{repository}/manifests/{digest}").json()
    config = _aside(sandbox, f"/v2/{repository}/blobs/{manifest['config']['digest']}").json()
    labels = (config.get("config") or {}).get("Labels") or {}
    return {name: value for name, value in labels.items() if name != CREATED}


def shape(request: Mapping[str, Any]) -> str:
    """A request without its names: `GET /api/organization/{id}/processings/find`."""
    path = re.sub(UUID, "{id}", request["path"])
    path = re.sub(r"^/v2/.*?/(manifests|blobs)/", r"/v2/{name}/\1/", path)
    path = re.sub(r"sha256:[0-9a-f]+", "{digest}", path)
    path = re.sub(r"/uploads/.+", "/uploads/{id}", path)
    path = re.sub(r"/manifests/\d+\.\d+\.\d+.*", "/manifests/{version}", path)
    path = re.sub(r"/inputs/.+", "/inputs/{name}", path)
    mounted = "?mount" if "mount=" in request["query"] else ""
    return f"{request['method']} {path}{mounted}"


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    """Forks runs of the command line."""
    if sys.platform != "linux":
        pytest.skip("processes that are gone are told from living ones on Linux only")
    with Warm() as process:
        yield process


@pytest.fixture
def far_user(cli: Cli, environments: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[User]:
    """A user whose commands use two platforms, a registry and a bucket."""
    with signed_in(cli, environments, monkeypatch) as user:
        yield user
