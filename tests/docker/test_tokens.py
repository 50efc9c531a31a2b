"""Registries with token authentication: a real one, and a token server that signs tokens for it.

The same two act as Docker Hub under its real names, behind a proxy for these names.
"""

import base64
import contextlib
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from providers.docker.registry.auth import Login, parse_challenges
from providers.docker.registry.client import RegistryClient
from providers.errors import ForbiddenError, PermanentError, UnauthorizedError
from tests.docker.conftest import blob_of, nobody
from tests.docker.proxy import Answer, Proxy, proxy_to
from tests.services import Registry, started_registry

pytestmark = pytest.mark.registry


def robot(_: str) -> Login | None:
    return Login("robot", "secret")


@pytest.fixture
def proxy(registry: Registry) -> Iterator[Proxy]:
    with proxy_to(registry.address) as started:
        yield started


class Tokens:
    """A token server by Docker's specification, whose tokens a real registry accepts.

    Attributes:
        allowed: the robot's permissions; every user may pull.
        lifetime: lifetime of a token in seconds.
        revoked: number of further tokens that the registry refuses.
        asked: method, parameters and Authorization header of each request for a token.
    """

    def __init__(self, folder: Path) -> None:
        self.key, self.certificate = folder / "key.pem", folder / "certificate.pem"
        self.asked: list[tuple[str, dict[str, list[str]], str]] = []
        self.begin_again()
        subprocess.run(
            [
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-subj",
                "/CN=test",
                "-days",
                "2",
                "-keyout",
                str(self.key),
                "-out",
                str(self.certificate),
            ],
            check=True,
            capture_output=True,
        )

    def begin_again(self) -> None:
        """Reset it. Only the key, which is slow to generate, stays for the next test."""
        self.allowed = {"pull", "push", "delete"}
        self.lifetime = 300
        self.revoked = 0
        self.asked.clear()

    def answer(self, method: str, path: str, body: bytes, authorization: str) -> Answer:
        query = parse_qs(urlsplit(path).query if method == "GET" else body.decode())
        self.asked.append((method, query, authorization))
        basic = "Basic " + base64.b64encode(b"robot:secret").decode()
        if method == "GET" and authorization not in (basic, ""):
            return Answer(401, b'{"errors": [{"message": "incorrect username or password"}]}')
        if method == "POST" and query["refresh_token"] != ["identity"]:
            return Answer(401)
        scopes = [scope for line in query["scope"] for scope in line.split()]
        token = {"GET": "token", "POST": "access_token"}[method]
        allowed = self.allowed if authorization or method == "POST" else self.allowed & {"pull"}
        ended = self.revoked > 0
        self.revoked -= 1
        signed = self.signed(scopes, query["service"][0], allowed, ended=ended)
        answer = {token: signed, "expires_in": self.lifetime}
        return Answer(200, json.dumps(answer).encode())

    def signed(self, scopes: list[str], service: str, allows: set[str], *, ended: bool) -> str:
        access = []
        for scope in scopes:
            kind, name, actions = scope.split(":")
            allowed = sorted(set(actions.split(",")) & allows)
            access.append({"type": kind, "name": name, "actions": allowed})
        der = "".join(self.certificate.read_text().splitlines()[1:-1])
        now = int(time.time()) - (3600 if ended else 0)
        claims = {"iss": "tokens", "sub": "robot", "aud": service, "access": access}
        claims |= {"exp": now + 300, "nbf": now - 10, "iat": now, "jti": str(now)}
        signed = ".".join(
            _b64(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "RS256", "x5c": [der]}, claims)
        )
        command = ["openssl", "dgst", "-sha256", "-sign", str(self.key)]
        signature = subprocess.run(command, input=signed.encode(), capture_output=True, check=True).stdout
        return f"{signed}.{_b64(signature)}"


def _b64(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


@pytest.fixture(scope="module")
def token_server(tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    return Tokens(tmp_path_factory.mktemp("tokens"))


@pytest.fixture
def tokens(token_server: Tokens) -> Tokens:
    token_server.begin_again()
    return token_server


class TestTokens:
    @pytest.fixture
    def server(self, tokens: Tokens) -> Iterator[Proxy]:
        """The proxy of the registry: without https, a login is sent to the registry's own port only."""
        with proxy_to("") as server:
            server.answering = lambda method, path, body, who: (
                tokens.answer(method, path, body, who) if path.startswith("/token") else None
            )
            yield server

    @pytest.fixture
    def guarded(self, tokens: Tokens, server: Proxy) -> Iterator[Registry]:
        auth = (
            f"auth:\n  token:\n    realm: http://{server.address}/token\n    service: the registry\n"
            f"    issuer: tokens\n    rootcertbundle: {tokens.certificate}\n"
        )
        with started_registry(auth) as started:
            server.registry = started.address
            yield Registry(server.address)

    def test_one_token_per_scope(self, tokens: Tokens, guarded: Registry) -> None:
        with RegistryClient(f"{guarded.address}/team/app", look_up=robot) as client:
            client.check()
            assert client.image("1.0.0") is None
            assert client.digest("1.0.0") is None
            client.check()
        scopes = [query["scope"] for _, query, _ in tokens.asked]
        assert scopes == [
            ["repository:team/app:pull,push"],
            ["repository:team/app:pull,push,delete"],
            ["repository:team/app:pull"],
        ]
        assert {query["service"][0] for _, query, _ in tokens.asked} == {"the registry"}

    def test_a_token_is_renewed_before_it_ends(
        self, tokens: Tokens, server: Proxy, guarded: Registry
    ) -> None:
        tokens.lifetime = 0
        with RegistryClient(f"{guarded.address}/team/app", look_up=robot) as client:
            client.digest("1.0.0")
            client.digest("1.0.0")
        assert [seen.status for seen in server.requests("HEAD")] == [401, 404, 404]
        assert len(tokens.asked) == 2

    def test_an_identity_token_is_exchanged(
        self, tokens: Tokens, guarded: Registry, docker_config: Path
    ) -> None:
        stored = {"auth": base64.b64encode(b"robot:").decode(), "identitytoken": "identity"}
        (docker_config / "config.json").write_text(json.dumps({"auths": {guarded.address: stored}}))
        with RegistryClient(f"{guarded.address}/team/app") as client:
            client.check()
        for method, query, authorization in tokens.asked:
            assert (method, query["grant_type"], authorization) == ("POST", ["refresh_token"], "")
        assert tokens.asked

    def test_a_login_that_the_token_server_does_not_know(self, guarded: Registry) -> None:
        with (
            RegistryClient(
                f"{guarded.address}/team/app", look_up=lambda _: Login("robot", "wrong")
            ) as client,
            pytest.raises(UnauthorizedError, match=r"login of robot .* incorrect username") as caught,
        ):
            client.check()
        assert "wrong" not in str(caught.value).replace("incorrect", "")

    def test_a_login_that_may_only_read(self, tokens: Tokens, guarded: Registry) -> None:
        tokens.allowed = {"pull"}
        with RegistryClient(f"{guarded.address}/team/app", look_up=robot) as client:
            assert client.digest("1.0.0") is None
            with pytest.raises(ForbiddenError, match=r"does not allow pushing to .*team/app") as caught:
                client.check()
        assert "robot is logged in without that permission" in caught.value.hint

    def test_nobody_may_pull_and_not_push(self, tokens: Tokens, guarded: Registry) -> None:
        with RegistryClient(f"{guarded.address}/team/app", look_up=nobody) as client:
            assert client.digest("1.0.0") is None
            with pytest.raises(
                UnauthorizedError, match=r"requires a login for pushing .*none is stored"
            ) as caught:
                client.check()
        assert caught.value.hint.startswith(f"run: docker login {guarded.address}, or ")
        assert {authorization for _, _, authorization in tokens.asked} == {""}

    def test_a_token_that_is_not_taken_is_replaced_once(self, tokens: Tokens, guarded: Registry) -> None:
        with RegistryClient(
            f"{guarded.address}/team/app", look_up=robot, pause=lambda _: pytest.fail("waited")
        ) as client:
            assert client.digest("1.0.0") is None
            tokens.revoked, tokens.lifetime = 1, 300
            client.check()
            assert [query["scope"] for _, query, _ in tokens.asked][1:3] == [
                ["repository:team/app:pull,push"]
            ] * 2
        tokens.asked.clear()
        tokens.revoked = 9
        with RegistryClient(f"{guarded.address}/team/app", look_up=robot) as client:
            for asked in (1, 2):  # the second time, the first token is tried first
                with pytest.raises(UnauthorizedError, match="does not accept the login of robot"):
                    client.digest("1.0.0")
                assert len(tokens.asked) == asked

    def test_mount_asks_for_both_repositories(self, tokens: Tokens, guarded: Registry) -> None:
        content = b"layer"
        blob = blob_of(content)
        look_up = {"look_up": robot}
        with (
            RegistryClient(f"{guarded.address}/team/base", **look_up) as base,
            RegistryClient(f"{guarded.address}/team/app", **look_up) as app,
        ):
            base.upload(blob, lambda start: [content])
            app.copy(blob, base)
            assert app.has_blob(blob.digest)
        assert ["repository:team/app:pull,push", "repository:team/base:pull"] in [
            query["scope"] for _, query, _ in tokens.asked
        ]
        assert not [query for _, query, _ in tokens.asked if query["scope"] == ["repository:team/base:pull"]][
            1:
        ]

    @pytest.mark.parametrize("host", ["tokens.example.com", "localhost:1@tokens.example.com"])
    def test_no_password_over_an_open_line(self, proxy: Proxy, host: str) -> None:
        challenge = {"WWW-Authenticate": f'Bearer realm="http://{host}/t",service="s"'}
        proxy.interfere = lambda method, path, body: Answer(401, headers=challenge)
        with (
            RegistryClient(f"{proxy.address}/x/y", look_up=robot) as client,
            pytest.raises(PermanentError, match=r"does not use https|is invalid|no https"),
        ):
            client.image("1.0.0")

    def test_a_login_stays_at_home(self, registry: Registry, proxy: Proxy) -> None:
        """An upload that continues at another host is sent without an Authorization header."""
        with proxy_to("") as other:
            other.interfere = lambda method, path, body: Answer(202, headers={"Location": path})

            def challenge(method: str, path: str, body: bytes) -> Answer | None:
                if not proxy.seen:
                    return Answer(401, headers={"WWW-Authenticate": 'Basic realm="x"'})
                return Answer(202, headers={"Location": f"http://{other.address}/elsewhere?signed=1"})

            proxy.interfere = challenge
            with RegistryClient(f"{proxy.address}/x/y", look_up=robot) as client:
                client.check()
            assert proxy.seen[-1].authorization.startswith("Basic ")
            assert [(seen.method, seen.path, seen.authorization) for seen in other.seen] == [
                ("DELETE", "/elsewhere?signed=1", "")
            ]


class TestDockerHub:
    """Under its real names: registry-1.docker.io requires a token of auth.docker.io."""

    @pytest.fixture
    def hub(self, tokens: Tokens, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
        names = ["registry-1.docker.io", "auth.docker.io"]
        authority = tmp_path / "hub.pem"
        alternatives = ",".join(f"DNS:{name}" for name in names)
        command = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=hub",
        ]
        command += ["-addext", f"subjectAltName={alternatives}"]
        command += ["-keyout", str(authority), "-out", f"{authority}.crt"]
        subprocess.run(command, check=True, capture_output=True)
        auth = (
            "auth:\n  token:\n    realm: https://auth.docker.io/token\n    service: registry.docker.io\n"
            f"    issuer: tokens\n    rootcertbundle: {tokens.certificate}\n"
        )
        identity = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        identity.load_cert_chain(f"{authority}.crt", authority)
        with (
            started_registry(auth) as registry,
            proxy_to(registry.address, identity) as registry_hub,
            proxy_to("", identity) as auth_hub,
            tunnels(dict(zip(names, (registry_hub.address, auth_hub.address), strict=True))) as address,
        ):
            auth_hub.answering = tokens.answer
            monkeypatch.setenv("HTTPS_PROXY", f"http://{address}")
            monkeypatch.setenv("NO_PROXY", "")
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", f"{authority}.crt")
            yield registry_hub

    def test_a_name_without_a_registry(self, tokens: Tokens, hub: Proxy, log_in: Callable[..., None]) -> None:
        content = b"layer"
        with RegistryClient("busybox") as client:
            assert client.image("latest") is None
        assert tokens.asked[-1][1:] == (
            {"service": ["registry.docker.io"], "scope": ["repository:library/busybox:pull"]},
            "",
        )
        log_in("https://index.docker.io/v1/", "robot", "secret")
        with RegistryClient("team/app") as client:
            client.upload(blob_of(content), lambda start: [content[start:]])
            assert b"".join(client.read_blob(blob_of(content))) == content
        pull, push = tokens.asked[-2:]
        assert pull[1]["scope"] == ["repository:team/app:pull"]
        assert push[1]["scope"] == ["repository:team/app:pull,push"]
        assert pull[2] == push[2] == "Basic " + base64.b64encode(b"robot:secret").decode()
        assert hub.seen[0].path == "/v2/library/busybox/manifests/latest"
        assert next(seen.status for seen in hub.seen if "team/app" in seen.path) == 401

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_no_read_is_redirected_from_https_to_http(self, hub: Proxy, proxy: Proxy, status: int) -> None:
        to = f"http://{proxy.address}"
        hub.interfere = lambda method, path, body: Answer(status, headers={"Location": to + path})
        with (
            RegistryClient("team/app", look_up=robot) as client,
            pytest.raises(
                PermanentError, match=f"not followed when reading .*: redirected from https to {to}"
            ),
        ):
            client.image("1.0.0")
        assert proxy.seen == []

    def test_no_login_and_no_upload_leave_https(self, hub: Proxy, proxy: Proxy) -> None:
        """Not for a token server on this machine either, and not at the registry's port."""
        challenge = {"WWW-Authenticate": f'Bearer realm="http://{proxy.address}/token",service="s"'}
        hub.interfere = lambda method, path, body: Answer(401, headers=challenge)
        with (
            RegistryClient("team/app", look_up=robot) as client,
            pytest.raises(PermanentError, match=f"the token server http://{proxy.address} of "),
        ):
            client.image("1.0.0")
        location = {"Location": f"http://{proxy.address}/upload"}
        hub.interfere = lambda method, path, body: Answer(202, headers=location) if method == "POST" else None
        with (
            RegistryClient("team/app", look_up=robot) as client,
            pytest.raises(
                PermanentError,
                match=f"redirects an upload to http://{proxy.address}, which does not use https",
            ),
        ):
            client.upload(blob_of(b"layer"), lambda start: [b"layer"])
        assert proxy.seen == []


@contextlib.contextmanager
def tunnels(to: dict[str, str]) -> Iterator[str]:
    """An HTTPS proxy to these addresses for these names, and no others. Returns its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                near, _ = server.accept()
                asked = near.recv(1 << 16).split(b" ")
                if asked[0] != b"CONNECT":
                    near.close()
                    return
                host, _, port = to[asked[1].decode().removesuffix(":443")].rpartition(":")
                far = socket.create_connection((host, int(port)))
                near.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=_pass_on, args=ends, daemon=True).start()

        thread = threading.Thread(target=serve)
        thread.start()
        address = server.getsockname()
        try:
            yield f"{address[0]}:{address[1]}"
        finally:
            with socket.create_connection(address) as last:
                last.sendall(b"END it")
                thread.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with source, contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


BOTH = {"basic": {"realm": "x"}, "bearer": {"realm": "y", "service": "z"}}


@pytest.mark.parametrize(
    ("header", "offered"),
    [
        ('Basic realm="x"', {"basic": {"realm": "x"}}),
        ("Basic", {"basic": {}}),
        (
            'Bearer realm="https://a/t?x=1,2",service="s",scope="repository:a:pull,push"',
            {"bearer": {"realm": "https://a/t?x=1,2", "service": "s", "scope": "repository:a:pull,push"}},
        ),
        (
            'BASIC realm="x", Bearer realm="y", service=z',
            BOTH,
        ),
        (
            'Bearer realm="y",service="z", Basic realm="x"',
            BOTH,
        ),
        ("", {}),
    ],
)
def test_the_schemes_of_a_challenge(header: str, offered: dict[str, dict[str, str]]) -> None:
    assert parse_challenges(header) == offered
