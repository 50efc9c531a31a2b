"""The registry client against real registries: reads, logins and traffic."""

import json
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from pathlib import Path

import pytest

from providers.docker.registry.auth import Login, stored_login
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.logins import push_login
from providers.docker.registry.manifests import DOCKER_INDEX, OCI_INDEX, OCI_MANIFEST
from providers.docker.registry.reference import Repository
from providers.errors import (
    ForbiddenError,
    GoneError,
    PermanentError,
    ProviderError,
    RefusedError,
    TransientError,
    UnauthorizedError,
)
from tests.docker.conftest import blob_of
from tests.docker.proxy import Answer, Proxy, proxy_to
from tests.quick import skip_waits
from tests.services import Registry, free_port

pytestmark = pytest.mark.registry


@pytest.fixture
def proxy(registry: Registry) -> Iterator[Proxy]:
    with proxy_to(registry.address) as started:
        yield started


class TestReading:
    def test_an_image_without_pulling_it(
        self, registry: Registry, proxy: Proxy, push_base: Callable[..., str]
    ) -> None:
        push_base(registry, "read/app")
        with RegistryClient(f"{proxy.address}/read/app") as client:
            image = client.image("base")
            assert image
            assert image.labels == {"base": "busybox"}
            assert image.platform == "linux/amd64"
            assert image.digest == image.manifest_digest == client.digest("base")
            assert client.image(image.digest) == image
        assert image.size > 500_000
        assert sum(seen.sent for seen in proxy.seen) < 10_000
        assert {seen.method for seen in proxy.seen} <= {"GET", "HEAD"}

    def test_what_is_not_there(self, registry: Registry, push_base: Callable[..., str]) -> None:
        push_base(registry, "read/app")
        with RegistryClient(f"{registry.address}/read/app") as client:
            assert client.image("absent") is None
            assert client.digest("absent") is None
            assert client.digest(f"sha256:{'0' * 64}") is None
            assert not client.has_blob(f"sha256:{'0' * 64}")
            with pytest.raises(GoneError):
                client.tag("absent", "latest")
            with pytest.raises(GoneError, match="does not contain it"):
                list(client.read_blob(blob_of(b"absent")))
        with RegistryClient(f"{registry.address}/never/pushed") as client:
            assert client.image("1.0.0") is None

    @pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_INDEX])
    def test_an_index_by_platform(
        self, registry: Registry, push_base: Callable[..., str], media_type: str
    ) -> None:
        repository = f"{registry.address}/read/index{len(media_type)}"
        entries = []
        with RegistryClient(repository) as client:
            for platform in ("linux/arm64", "linux/amd64"):
                push_base(registry, f"read/index{len(media_type)}", "oci", platform)
                manifest = client.manifest("base")
                assert manifest
                system, architecture = platform.split("/")
                entries.append(
                    {
                        "mediaType": manifest.media_type,
                        "digest": manifest.digest,
                        "size": len(manifest.content),
                        "platform": {"os": system, "architecture": architecture},
                    }
                )
            attestation = {**entries[0], "platform": {"os": "unknown", "architecture": "unknown"}}
            index = {"schemaVersion": 2, "mediaType": media_type, "manifests": [attestation, *entries]}
            digest = client.put_manifest("multi", media_type, json.dumps(index).encode())
            image = client.image("multi", "linux/amd64")
            assert image
            assert (image.digest, image.media_type) == (digest, media_type)
            assert image.manifest_digest == entries[1]["digest"]
            arm = client.image("multi", "linux/arm64/v8")
            assert arm and arm.platform == "linux/arm64"
            with pytest.raises(RefusedError, match="only for linux/arm64, linux/amd64"):
                client.image("multi", "linux/riscv64")
            assert client.tag("multi", "again") == digest
            assert client.digest("again") == digest

    def test_a_registry_that_does_not_say_the_digest(
        self, registry: Registry, proxy: Proxy, push_base: Callable[..., str]
    ) -> None:
        push_base(registry, "read/app")
        with RegistryClient(f"{registry.address}/read/app") as client:
            digest = client.digest("base")
        proxy.hidden.add("docker-content-digest")
        with RegistryClient(f"{proxy.address}/read/app") as client:
            assert client.digest("base") == digest
            image = client.image("base")
            assert image and image.digest == digest
            assert client.tag("base", "latest") == digest

    def test_blobs_that_are_at_another_host(
        self, registry: Registry, proxy: Proxy, push_base: Callable[..., str]
    ) -> None:
        """As for a registry that keeps them in a bucket."""
        push_base(registry, "read/app")
        proxy.interfere = lambda method, path, body: (
            Answer(307, headers={"Location": f"http://{registry.address}{path}"})
            if "/blobs/" in path
            else None
        )
        with RegistryClient(f"{proxy.address}/read/app") as client:
            image = client.image("base")
            assert image
            assert sum(map(len, client.read_blob(image.layers[0]))) == image.layers[0].size
            assert client.has_blob(image.layers[0].digest)

    def test_other_bytes_than_the_digest_says(
        self, registry: Registry, proxy: Proxy, push_base: Callable[..., str]
    ) -> None:
        push_base(registry, "read/app")
        with RegistryClient(f"{proxy.address}/read/app") as client:
            image = client.image("base")
            assert image
            proxy.interfere = lambda method, path, body: Answer(200, b'{"schemaVersion": 2}')
            with pytest.raises(PermanentError, match="does not match"):
                client.manifest(image.digest)
            with pytest.raises(PermanentError, match="does not match"):
                list(client.read_blob(image.layers[0]))

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            (b"<html>", "is not readable"),
            (b'{"schemaVersion": 1, "signatures": []}', "from before 2016"),
            (b'{"schemaVersion": 2, "mediaType": "x/y"}', "is not an image: it is a x/y"),
        ],
    )
    def test_what_is_no_image(self, proxy: Proxy, body: bytes, message: str) -> None:
        proxy.interfere = lambda method, path, sent: Answer(200, body, {"Content-Type": "text/html"})
        with RegistryClient(f"{proxy.address}/x/y") as client, pytest.raises(RefusedError, match=message):
            client.image("1.0.0")

    def test_from_many_threads(self, registry: Registry, push_base: Callable[..., str]) -> None:
        push_base(registry, "read/app")
        with RegistryClient(f"{registry.address}/read/app") as client, ThreadPoolExecutor(32) as pool:
            digests = set(pool.map(lambda _: client.digest("base"), range(200)))
        assert len(digests) == 1 and None not in digests


class TestWriting:
    def test_a_tag_moves_without_a_layer(
        self, registry: Registry, proxy: Proxy, push_base: Callable[..., str]
    ) -> None:
        push_base(registry, "tag/app", "oci")
        with RegistryClient(f"{proxy.address}/tag/app") as client:
            before = client.manifest("base")
            assert before
            assert client.tag("base", "latest") == before.digest
            assert client.manifest("latest") == before
        assert [(seen.method, seen.path) for seen in proxy.seen if seen.method != "GET"] == [
            ("PUT", "/v2/tag/app/manifests/latest")
        ]
        assert not [seen for seen in proxy.seen if "/blobs/" in seen.path]

    def test_a_tag_that_no_registry_takes(self, registry: Registry) -> None:
        with (
            RegistryClient(f"{registry.address}/tag/app") as client,
            pytest.raises(RefusedError, match="is not a tag") as caught,
        ):
            client.tag("1.0.0", "1.0+build")
        assert caught.value.hint == "'1.0-build' is valid"

    def test_an_upload_once(self, proxy: Proxy) -> None:
        content = b"some layer" * 100_000
        blob = blob_of(content)
        done: list[int | None] = []
        with RegistryClient(f"{proxy.address}/up/load") as client:
            client.upload(
                blob, lambda start: [content[:500], content[500:]], lambda step: done.append(step.done)
            )
            assert done[:2] == [500, len(content)]
            assert b"".join(client.read_blob(blob)) == content
            sent = len(proxy.requests("PATCH"))
            client.upload(blob, lambda start: pytest.fail("sent again"))
            assert len(proxy.requests("PATCH")) == sent

    def test_a_registry_that_takes_small_requests_only(
        self, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("providers.docker.registry.uploads._CHUNK", 1000)
        proxy.interfere = lambda method, path, body: Answer(413) if len(body) > 1000 else None
        content = bytes(range(256)) * 10
        blob = blob_of(content)
        with RegistryClient(f"{proxy.address}/up/chunks") as client:
            client.upload(blob, lambda start: [content])
            assert b"".join(client.read_blob(blob)) == content
        assert [seen.received for seen in proxy.requests("PATCH")] == [2560, 1000, 1000, 560]

    def test_wrong_bytes_are_refused(self, registry: Registry) -> None:
        with RegistryClient(f"{registry.address}/up/wrong") as client:
            with pytest.raises(RefusedError, match="refused pushing a layer"):
                client.upload(blob_of(b"right"), lambda start: [b"wrong"])
            assert not client.has_blob(blob_of(b"right").digest)

    def test_a_manifest_of_what_is_not_there(self, registry: Registry) -> None:
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": blob_of(b"absent").descriptor(),
            "layers": [],
        }
        with (
            RegistryClient(f"{registry.address}/up/wrong") as client,
            pytest.raises(RefusedError, match=r"refused pushing .*up/wrong:1\.0\.0 with 400: blob unknown"),
        ):
            client.put_manifest("1.0.0", OCI_MANIFEST, json.dumps(manifest).encode())

    def test_a_check_leaves_nothing(self, proxy: Proxy) -> None:
        with RegistryClient(f"{proxy.address}/check/app") as client:
            client.check()
        assert [(seen.method, seen.status) for seen in proxy.seen] == [("POST", 202), ("DELETE", 204)]

    def test_a_tag_is_put_once_and_the_rest_repeated(self, proxy: Proxy) -> None:
        proxy.interfere = lambda method, path, body: Answer(503)
        waits: list[float] = []
        with RegistryClient(f"{proxy.address}/x/y", pause=waits.append) as client:
            with pytest.raises(TransientError) as caught:
                client.put_manifest("1.0.0", OCI_MANIFEST, b"{}")
            assert caught.value.outcome_unknown
            assert (len(proxy.seen), waits) == (1, [])
            with pytest.raises(TransientError):
                client.check()
        assert [seen.method for seen in proxy.seen] == ["PUT", "POST", "POST", "POST", "POST"]
        assert waits == [0.5, 1.0, 2.0]


class TestPatience:
    @pytest.fixture(autouse=True)
    def quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        skip_waits(monkeypatch)

    def test_reads_are_repeated_while_the_registry_is_away(
        self, registry: Registry, proxy: Proxy, push_base: Callable[..., str]
    ) -> None:
        push_base(registry, "read/app")
        answers = [Answer(503), Answer(429, headers={"Retry-After": "7"}), Answer(502)]
        proxy.interfere = lambda method, path, body: answers.pop(0) if answers else None
        waits: list[float] = []
        with RegistryClient(f"{proxy.address}/read/app", pause=waits.append) as client:
            assert client.digest("base")
        assert waits == [0.5, 7.0, 2.0]

    def test_and_not_for_ever(self, proxy: Proxy) -> None:
        proxy.interfere = lambda method, path, body: Answer(429, headers={"Retry-After": "30"})
        waits: list[float] = []
        with (
            RegistryClient(f"{proxy.address}/read/app", pause=waits.append) as client,
            pytest.raises(TransientError, match="too many requests") as caught,
        ):
            client.digest("base")
        assert waits == [30.0] * 4, "120 seconds in all"
        assert caught.value.retry_after == 30

    @pytest.mark.parametrize(
        "wait", ["3600", formatdate(time.time() + 7200, usegmt=True)], ids=["seconds", "date"]
    )
    def test_a_long_wait_is_told_and_not_waited_for(self, proxy: Proxy, wait: str) -> None:
        proxy.interfere = lambda method, path, body: Answer(429, headers={"Retry-After": wait})
        with RegistryClient(f"{proxy.address}/read/app", pause=lambda _: pytest.fail("waited")) as client:
            for ask in (lambda: client.digest("base"), client.check):
                with pytest.raises(TransientError, match="too many requests") as caught:
                    ask()
                assert caught.value.retry_after and caught.value.retry_after >= 3600
                assert re.match(r"wait \d{4} s, or log in for a higher limit", caught.value.hint)

    @pytest.mark.parametrize(
        ("status", "family"),
        [(400, RefusedError), (401, UnauthorizedError), (403, ForbiddenError), (405, RefusedError)],
    )
    def test_an_answer_is_an_answer(self, proxy: Proxy, status: int, family: type[ProviderError]) -> None:
        proxy.interfere = lambda method, path, body: Answer(status)
        with (
            RegistryClient(f"{proxy.address}/x/y", pause=lambda _: pytest.fail("waited")) as client,
            pytest.raises(family),
        ):
            client.image("1.0.0")
        assert len(proxy.seen) == 1

    def test_nobody_listens(self) -> None:
        address = f"127.0.0.1:{free_port()}"
        with RegistryClient(f"{address}/x/y", pause=lambda _: None) as client:
            with pytest.raises(TransientError, match=f"no connection to {address} .*: refused") as caught:
                client.image("1.0.0")
            assert caught.value.hint == f"is a registry running at {address}?"
            assert not caught.value.outcome_unknown
            with pytest.raises(TransientError):
                client.check()

    def test_https_where_http_is_spoken(self, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Repository, "loopback", property(lambda self: False))
        with (
            RegistryClient(f"{registry.address}/x/y", pause=lambda _: None) as client,
            pytest.raises(PermanentError, match="it does not speak https"),
        ):
            client.image("1.0.0")


class TestLogin:
    def test_none_is_stored(self, secured_registry: Registry) -> None:
        with RegistryClient(f"{secured_registry.address}/a/b", look_up=push_login) as client:
            with pytest.raises(
                UnauthorizedError, match=r"requires a login for reading .*, and none is stored"
            ) as e:
                client.image("1.0.0")
            assert e.value.hint.startswith(
                f"run: docker login {secured_registry.address}, or set DOCKER_USERNAME"
            )
            with pytest.raises(UnauthorizedError):
                client.check()

    def test_a_wrong_one(self, secured_registry: Registry, log_in: Callable[..., None]) -> None:
        log_in(secured_registry.address, "robot", "wrong-secret")
        with (
            RegistryClient(f"{secured_registry.address}/a/b") as client,
            pytest.raises(UnauthorizedError, match="does not accept the login of robot") as caught,
        ):
            client.check()
        assert "wrong-secret" not in str(caught.value) + caught.value.hint

    def test_the_stored_one(self, secured_registry: Registry, log_in: Callable[..., None]) -> None:
        log_in(secured_registry.address, secured_registry.username, secured_registry.password)
        with RegistryClient(f"{secured_registry.address}/a/b") as client:
            client.check()
            assert client.image("1.0.0") is None

    def test_it_is_looked_up_once(self, secured_registry: Registry) -> None:
        looked: list[str] = []

        def look_up(registry: str) -> Login:
            looked.append(registry)
            return Login(secured_registry.username, secured_registry.password)

        with proxy_to(secured_registry.address) as proxy:
            with RegistryClient(f"{proxy.address}/a/b", look_up=look_up) as client:
                client.check()
                client.image("1.0.0")
            assert looked == [proxy.address]
            assert [seen.status for seen in proxy.seen] == [401, 202, 204, 404]

    def test_from_a_credential_helper(
        self, docker_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        helper = tmp_path / "docker-credential-test"
        helper.write_text(
            '#!/bin/sh\nread name\ncase $name in\nreg.io) echo \'{"Username": "u", "Secret": "p"}\';;\n'
            'token.io) echo \'{"Username": "<token>", "Secret": "t"}\';;\n'
            "*) echo credentials not found in native keychain; exit 1;;\nesac\n"
        )
        helper.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        (docker_config / "config.json").write_text('{"credHelpers": {"reg.io": "test", "lost.io": "absent"}}')
        assert stored_login("reg.io") == Login("u", "p")
        assert stored_login("other.io") is None
        with pytest.raises(PermanentError, match=r"docker-credential-absent does not work: .* installed"):
            stored_login("lost.io")
        (docker_config / "config.json").write_text('{"credsStore": "test"}')
        assert stored_login("token.io") == Login("<token>", identity_token="t")
        assert stored_login("other.io") is None

    def test_of_docker_hub(self, log_in: Callable[..., None]) -> None:
        log_in("https://index.docker.io/v1/", "me", "secret")
        assert stored_login("docker.io") == Login("me", "secret")
        assert "secret" not in repr(stored_login("docker.io"))
