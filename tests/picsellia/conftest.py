"""The platform's kinds as the engine uses them: over HTTP, against the sandbox."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from urllib3.util.retry import Retry

from providers.picsellia.kinds.input import InputKind
from providers.picsellia.kinds.model import ModelKind
from providers.picsellia.kinds.model_version import ModelVersionKind
from providers.picsellia.kinds.processing import ProcessingKind
from providers.picsellia.platform import Platform
from providers.protocol import LiveObject, Reference, silent
from providers.sandbox import Sandbox
from tests.quick import skip_waits

Connect = Callable[..., Platform]


@pytest.fixture
def connect(sandbox: Sandbox) -> Iterator[Connect]:
    """Signs in to the sandbox, or to another host, with any token."""
    with ExitStack() as closing:

        def connect(host: str = "", token: str = "", *, read_timeout: float = 20.0) -> Platform:
            return closing.enter_context(
                Platform(
                    host or sandbox.url,
                    token or sandbox.token,
                    sandbox.organization,
                    read_timeout=read_timeout,
                )
            )

        yield connect


@pytest.fixture
def platform(sandbox: Sandbox, connect: Connect, pauses: list[float]) -> Platform:
    """A platform after the sign-in, with an empty log of requests."""
    platform = connect()
    sandbox.clear_requests()
    return platform


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between repeated reads, which are recorded instead of waited for."""
    taken = skip_waits(monkeypatch)

    def sleep(retry: Retry, response: object = None) -> None:
        asked = retry.get_retry_after(response) if response is not None else None  # type: ignore[arg-type]
        taken.append(asked or retry.get_backoff_time())

    monkeypatch.setattr(Retry, "sleep", sleep)
    return taken


PROCESSING = {
    "type": "AUTO_TAGGING",
    "target": "DATASET_VERSION",
    "description": "counts apples",
    "default_cpu": 4,
    "default_gpu": 1,
    "default_parameters": {"epochs": 10, "rate": 0.5},
    "docker_image": "team/app",
    "docker_tag": "latest",
    "docker_flags": ["--gpus=all", "--ipc=host"],
}
INPUT = {
    "input_type": "DATASET_VERSION",
    "required": True,
    "inference_type_constraint": "CLASSIFICATION",
    "framework_constraint": None,
}
VERSION = {
    "name": "v1",
    "framework": "ONNX",
    "type": "OBJECT_DETECTION",
    "docker_image": "team/train",
    "docker_tag": "1.0.0",
    "docker_flags": ["--gpus all"],
    "parameters": {"epochs": 3},
    "description": "counts apples",
    "labels": {"0": "apple"},
    "docker_env_variables": {"WORKERS": "4"},
}


class Kinds:
    """The four kinds, with shorter calls than the engine's."""

    def __init__(self, platform: Platform) -> None:
        self.processing = ProcessingKind(platform)
        self.input = InputKind(platform)
        self.model = ModelKind(platform)
        self.version = ModelVersionKind(platform)

    def new_processing(self, name: str = "app", **fields: object) -> LiveObject:
        return self.processing.create([name], {**PROCESSING, **fields}, parent=None, report=silent)

    def read_processing(self, name: str = "app") -> LiveObject | None:
        return self.processing.read(Reference((name,)))

    def change_processing(self, live: LiveObject, **changed: object) -> LiveObject:
        fields = {**live.fields, **changed}
        return self.processing.update(live, changed, fields, parent=None, report=silent)

    def new_input(self, parent: LiveObject, name: str = "dataset", **fields: object) -> LiveObject:
        return self.input.create([*parent.name, name], {**INPUT, **fields}, parent=parent, report=silent)

    def read_input(self, parent: LiveObject, name: str = "dataset") -> LiveObject | None:
        return self.input.read(Reference((*parent.name, name), parent=parent))

    def change_input(self, parent: LiveObject, live: LiveObject, **changed: object) -> LiveObject:
        return self.input.update(live, changed, {**INPUT, **changed}, parent=parent, report=silent)

    def new_model(self, name: str = "Apples") -> LiveObject:
        return self.model.create([name], {"name": name}, parent=None, report=silent)

    def read_model(self, name: str = "Apples", id: str | None = None) -> LiveObject | None:
        return self.model.read(Reference((name,), id))

    def new_version(self, parent: LiveObject, name: str = "v1", **fields: object) -> LiveObject:
        body = {**VERSION, "name": name, **fields}
        return self.version.create([*parent.name, name], body, parent=parent, report=silent)

    def read_version(self, parent: LiveObject, name: str = "v1", id: str | None = None) -> LiveObject | None:
        return self.version.read(Reference((*parent.name, name), id, parent))

    def change_version(self, parent: LiveObject, live: LiveObject, **changed: object) -> LiveObject:
        fields = {**live.fields, **changed}
        return self.version.update(live, changed, fields, parent=parent, report=silent)


@pytest.fixture
def kinds(platform: Platform) -> Kinds:
    return Kinds(platform)
