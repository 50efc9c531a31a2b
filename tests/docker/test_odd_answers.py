"""Malformed responses of a registry and its token server give a value or a provider error."""

import gzip
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from providers.docker.builders.append import _config as appended_config
from providers.docker.registry.auth import Login
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.layers import layers
from providers.docker.registry.manifests import OCI_INDEX, OCI_MANIFEST, Blob, sha256
from providers.docker.registry.reference import Repository
from providers.errors import ProviderError
from tests.conftest import CASES
from tests.faults.odd import Key, Recorded, Tape, bodies

LAYER = gzip.compress(b"a layer", mtime=0)
CONFIG = json.dumps(
    {
        "os": "linux",
        "architecture": "amd64",
        "created": "2025-01-01T00:00:00Z",
        "config": {"Labels": {"a": "b"}, "Env": ["A=1"], "WorkingDir": "/app", "Entrypoint": ["run"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{'1' * 64}"]},
        "history": [{"created_by": "COPY", "empty_layer": False}],
    }
).encode()
MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "size": len(CONFIG),
            "digest": sha256(CONFIG),
        },
        "layers": [{"mediaType": "l", "size": len(LAYER), "digest": sha256(LAYER), "urls": ["https://a/b"]}],
    }
).encode()
INDEX = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [
            {
                "mediaType": OCI_MANIFEST,
                "size": len(MANIFEST),
                "digest": sha256(MANIFEST),
                "platform": {"os": "linux", "architecture": "amd64", "variant": "v1"},
            }
        ],
    }
).encode()
TOKEN = json.dumps({"token": "abc", "expires_in": 60, "access_token": "abc"}).encode()
CHALLENGE = 'Bearer realm="http://localhost:5999/token",service="s",scope="x"'
UPLOAD = "http://localhost:5999/v2/team/app/blobs/uploads/1"

HEADERS: tuple[Mapping[str, str], ...] = tuple(
    {name: value}
    for name in (
        "Location",
        "Range",
        "Docker-Content-Digest",
        "Content-Type",
        "WWW-Authenticate",
        "Retry-After",
    )
    for value in (
        *(
            "",
            " ",
            "odd",
            "http://[",
            "http://localhost:99999/x",
            "//",
            "\x00",
            "ü",
            "x" * 5000,
            "0-" + "9" * 5000,
        ),
        *("-1", "1e999", "nan", "9" * 400, "Mon, 99 Jan 9999 99:99:99 GMT", 'Bearer realm="http://["'),
        *('Bearer realm=""', "Bearer", "Basic", 'bearer realm="x",', "0-٣", "sha256:" + "g" * 64),
    )
)


class OddRegistry(Tape):
    """A registry with one image, and a malformed response to one kind of request."""

    def __init__(self) -> None:
        super().__init__(recording=False)
        self.odd: Callable[[str], bool] = lambda shape: False
        self.answer: Callable[[Recorded], Recorded] = lambda recorded: recorded
        self.token_wanted = False
        self.breaks = False

    def key(self, request: requests.PreparedRequest) -> Key:
        key = super().key(request)
        shape, recorded = self._usual(request.method or "", key[1], "Authorization" in request.headers)
        self.replaced = {key: self.answer(recorded) if self.odd(shape) else recorded}
        return key

    def _usual(self, method: str, path: str, signed: bool) -> tuple[str, Recorded]:
        if path.startswith("/token"):
            return "token", Recorded(200, {}, TOKEN)
        if self.token_wanted and not signed:
            return "challenge", Recorded(401, {"WWW-Authenticate": CHALLENGE}, b"{}")
        if method in ("GET", "HEAD") and "/manifests/" in path:
            content = MANIFEST if sha256(MANIFEST) in path else INDEX
            shape = "manifest" if sha256(MANIFEST) in path else "index"
            digest = {"Docker-Content-Digest": sha256(content), "Content-Type": "application/json"}
            return f"{method} {shape}", Recorded(200, digest, content)
        if "/manifests/" in path:
            return "PUT manifest", Recorded(201, {"Docker-Content-Digest": sha256(INDEX)}, b"")
        if "/uploads/" in path:
            if self.breaks and method == "PATCH":
                self.breaks = False
                return "broken", Recorded(500, {}, b"")
            status = {"DELETE": 204, "PUT": 201, "GET": 204}.get(method, 202)
            return f"{method} upload", Recorded(status, {"Location": UPLOAD, "Range": "0-1"}, b"")
        if sha256(CONFIG) in path:
            return "config", Recorded(200, {}, CONFIG)
        return f"{method} blob", Recorded(404, {}, b"{}")


@dataclass(frozen=True, slots=True)
class Calls:
    """All uses of a registry."""

    client: RegistryClient

    def all(self) -> dict[str, Callable[[], object]]:
        blob = Blob("l", sha256(LAYER), len(LAYER))
        client = self.client
        return {
            "digest": lambda: client.digest("1.0.0"),
            "image": lambda: _used(client),
            "tag": lambda: client.tag("1.0.0", "latest"),
            "check": client.check,
            "mount": lambda: client.mount(blob.digest, Repository("localhost:5999", "team/other")),
            "upload": lambda: client.upload(blob, lambda start: [LAYER[start:]]),
            "has_blob": lambda: client.has_blob(blob.digest),
        }


def _used(client: RegistryClient) -> None:
    """Read an image, and all of its facts."""
    image = client.image("1.0.0")
    assert image is not None
    _look(image)


def _look(image: Any) -> None:
    from providers.docker.source.key import ImageSource

    layers(image)
    " ".join([*image.labels, *image.labels.values(), image.platform, str(image.size)])
    if (image.config.get("rootfs") or {}).get("diff_ids") is not None:
        source = ImageSource(folder=None, env={"A": "2"}, platform="linux/amd64", base="team/base:1")  # type: ignore[arg-type]
        appended_config(source, image, "/app", f"sha256:{'2' * 64}", {})


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch, home: object) -> OddRegistry:
    tape = OddRegistry()
    tape.insert(monkeypatch)
    return tape


def client() -> RegistryClient:
    return RegistryClient("localhost:5999/team/app", look_up=lambda _: Login("a", "b"), pause=lambda _: None)


SHAPES = (
    *("token", "challenge", "GET index", "HEAD index", "GET manifest", "PUT manifest", "config"),
    *("POST upload", "PATCH upload", "PUT upload", "GET upload", "DELETE upload", "HEAD blob"),
)
STATUSES = 200, 201, 202, 204, 206


def cases(recorded: Recorded, shape: str) -> list[tuple[str, Recorded]]:
    """Malformed bodies, malformed headers, and wrong statuses of success."""
    kept = recorded.headers
    return [
        *((f"{what}", Recorded(recorded.status, kept, body)) for what, body in bodies(recorded)),
        *((f"{odd}", Recorded(recorded.status, {**kept, **odd}, recorded.body)) for odd in HEADERS),
        *((f"{odd} alone", Recorded(recorded.status, odd, recorded.body)) for odd in HEADERS),
        *((f"status {status}", Recorded(status, {}, b"")) for status in STATUSES),
    ]


def play(registry: OddRegistry, shape: str, choose: Callable[[list[Any]], list[Any]]) -> None:
    failures = []
    played = 0
    registry.token_wanted = shape in ("token", "challenge")
    for name in Calls(client()).all():
        usual: list[Recorded] = []

        def note(recorded: Recorded, usual: list[Recorded] = usual) -> Recorded:
            usual.append(recorded)
            return recorded

        registry.odd, registry.answer = shape.__eq__, note
        registry.breaks = shape == "GET upload"
        with client() as plain:
            Calls(plain).all()[name]()
        for what, answer in choose(cases(usual[0], shape)) if usual else []:
            registry.answer = lambda _, answer=answer: answer  # type: ignore[misc]
            registry.breaks = shape == "GET upload"
            played += 1
            try:
                with client() as odd:
                    Calls(odd).all()[name]()
            except ProviderError as problem:
                assert problem.message
            except Exception as problem:  # noqa: BLE001 - what is counted here
                failures.append(
                    f"{name}, {shape}: {what[:80]}: {type(problem).__name__}: {str(problem)[:200]}"
                )
    CASES["odd answers of a registry"] += played
    assert played
    assert not failures, f"{len(failures)} of {played}\n" + "\n".join(failures[:30])


@pytest.mark.parametrize("shape", SHAPES)
def test_a_sample_of_odd_answers(registry: OddRegistry, shape: str) -> None:
    chance = random.Random(shape)
    play(registry, shape, lambda found: chance.sample(found, min(30, len(found))))


@pytest.mark.full
@pytest.mark.parametrize("shape", SHAPES)
def test_every_odd_answer(registry: OddRegistry, shape: str) -> None:
    play(registry, shape, lambda found: found)
