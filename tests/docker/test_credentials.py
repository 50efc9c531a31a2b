"""Logins and tokens are only sent to their origin, whatever a registry responds.

A server acts as a registry with its token server. It redirects one kind of request, with each status, to
another server, which records all requests.
"""

import base64
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote

import pytest
import requests

from providers.docker.registry.auth import Login
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.connection import ConnectionPool
from providers.docker.registry.manifests import OCI_MANIFEST
from providers.errors import ForbiddenError, GoneError, PermanentError, ProviderError, TransientError
from providers.http import origin, same_origin
from tests.docker.conftest import blob_of, nobody
from tests.docker.proxy import Answer, Proxy, new_identity, proxy_to

CONTENT = b"a layer"
BLOB = blob_of(CONTENT)
MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": BLOB.descriptor(),
        "layers": [BLOB.descriptor()],
    }
).encode()
PASSWORD, IDENTITY, TOKEN = "pass-of-the-robot", "identity-of-the-robot", "token-for-the-robot"
BASIC = "Basic " + base64.b64encode(f"robot:{PASSWORD}".encode()).decode()
SECRETS = (PASSWORD, IDENTITY, TOKEN, BASIC)

STATUSES = (301, 302, 303, 307, 308)
LOGINS = {
    "basic": Login("robot", PASSWORD),
    "token": Login("robot", PASSWORD),
    "identity": Login("<token>", identity_token=IDENTITY),
}
READS: dict[tuple[str, str], Callable[[RegistryClient], object]] = {
    ("HEAD", "/manifests/"): lambda client: client.digest("1.0.0"),
    ("GET", "/manifests/"): lambda client: client.manifest("1.0.0"),
    ("HEAD", "/blobs/"): lambda client: client.has_blob(BLOB.digest),
    ("GET", "/blobs/sha256"): lambda client: list(client.read_blob(BLOB)),
}
WRITES: dict[tuple[str, str], Callable[[RegistryClient], object]] = {
    ("POST", "/blobs/uploads"): lambda client: client.check(),
    ("POST", "mount="): lambda client: client.mount(BLOB.digest, client.repository),
    ("PATCH", "/blobs/uploads"): lambda client: client.upload(BLOB, lambda start: [CONTENT[start:]]),
    ("PUT", "/blobs/uploads"): lambda client: client.upload(BLOB, lambda start: [CONTENT[start:]]),
    ("PUT", "/manifests/"): lambda client: client.put_manifest("1.0.0", OCI_MANIFEST, MANIFEST),
    ("DELETE", "/blobs/uploads"): lambda client: client.check(),
}
TOKENS: dict[tuple[str, str], Callable[[RegistryClient], object]] = {
    (method, "/token"): lambda client: client.manifest("1.0.0") for method in ("GET", "POST")
}


@dataclass
class Elsewhere:
    """A server that is not the registry's.

    Attributes:
        got: method, path with query, Authorization and body of each request.
    """

    proxy: Proxy
    got: list[tuple[str, str, str, bytes]] = field(default_factory=list)

    def answer(self, method: str, path: str, body: bytes, who: str) -> Answer:
        self.got.append((method, path, who, body))
        return obliging(method, path)

    def knows(self) -> list[str]:
        """The secrets that this server received."""
        return [secret for secret in SECRETS if secret in str(self.got)]


def obliging(method: str, path: str) -> Answer:
    """A successful response to any request."""
    match method:
        case "GET" if "/manifests/" in path:
            return Answer(200, MANIFEST, {"Content-Type": OCI_MANIFEST})
        case "GET" if "/token" in path:
            return Answer(200, json.dumps({"token": TOKEN}).encode())
        case "GET" if "/referrers/" in path:
            return Answer(200, json.dumps({"schemaVersion": 2, "manifests": []}).encode())
        case "HEAD" if "/blobs/" in path:
            return Answer(404)
        case "GET" | "HEAD":
            return Answer(200, CONTENT, {"Docker-Content-Digest": BLOB.digest})
        case "POST" if "/token" in path:
            return Answer(200, json.dumps({"access_token": TOKEN}).encode())
        case "PATCH" | "POST":
            return Answer(202, headers={"Location": "/v2/team/app/blobs/uploads/1"})
        case "DELETE":
            return Answer(204)
    return Answer(201)


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    with proxy_to("") as proxy:
        server = Elsewhere(proxy)
        proxy.answering = server.answer
        yield server


@pytest.fixture
def home() -> Iterator[Proxy]:
    with proxy_to("") as proxy:
        yield proxy


def play(home: Proxy, login: str, kind: tuple[str, str], status: int, to: str) -> None:
    """Make `home` a registry that requires a login and redirects requests of this kind."""
    wanted = (
        'Basic realm="x"' if login == "basic" else f'Bearer realm="http://{home.address}/token",service="s"'
    )

    def answer(method: str, path: str, body: bytes, who: str) -> Answer:
        if not who and not path.startswith("/token"):
            return Answer(401, headers={"WWW-Authenticate": wanted})
        if method == kind[0] and kind[1] in path and "/again" not in path:
            return Answer(status, headers={"Location": to + path.replace("/v2/", "/again/v2/")})
        return obliging(method, path)

    home.answering = answer


def no_pause(_: float) -> None:
    pytest.fail("a redirect is no failure in passing")


def attempt(
    home: Proxy,
    login: str,
    ask: Callable[[RegistryClient], object],
    pause: Callable[[float], None] = no_pause,
) -> ProviderError | None:
    with RegistryClient(f"{home.address}/team/app", look_up=lambda _: LOGINS[login], pause=pause) as client:
        try:
            ask(client)
        except ProviderError as problem:
            return problem
    return None


@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize("status", STATUSES)
def test_no_redirect_takes_a_login_elsewhere(
    home: Proxy, elsewhere: Elsewhere, status: int, login: str
) -> None:
    """For every kind of request, status and login; to another port, and another name of the host."""
    port = elsewhere.proxy.address.rpartition(":")[2]
    for kind, ask in {**READS, **WRITES, **TOKENS}.items():
        for to in (f"http://127.0.0.1:{port}", f"http://localhost:{port}"):
            elsewhere.got.clear()
            home.seen.clear()
            play(home, login, kind, status, to)
            problem = attempt(home, login, ask)

            asked = [seen for seen in home.requests(*kind) if seen.status == status]
            # Each login has one way to a token, and a registry without tokens requests none for a manifest.
            way = {"token": "GET", "identity": "POST"}.get(login)
            assert bool(asked) is (kind not in TOKENS or kind[0] == way), kind
            assert elsewhere.knows() == [], (kind, to)
            if asked and kind[0] not in ("GET", "HEAD"):
                assert elsewhere.got == [], f"{kind} was followed"
            if asked and kind in WRITES and kind not in (("DELETE", "/blobs/uploads"),):
                assert isinstance(problem, PermanentError), kind
                assert f"returned a redirect ({status}) to http://{to[7:]} when" in problem.message


@pytest.mark.parametrize("status", STATUSES)
def test_a_redirected_write_never_counts_as_done(home: Proxy, status: int) -> None:
    """Not at the same origin either: a client that follows sends a GET, whose response looks like success."""
    for kind, ask in WRITES.items():
        if kind[0] == "DELETE":  # a cancelled upload is dropped anyway
            continue
        play(home, "basic", kind, status, "")
        problem = attempt(home, "basic", ask)
        assert isinstance(problem, PermanentError), kind
        assert f"returned a redirect ({status}) when pushing" in problem.message
        assert not [seen for seen in home.seen if "/again" in seen.path]


@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize("status", STATUSES)
def test_a_redirect_to_the_same_origin_keeps_the_login(home: Proxy, status: int, login: str) -> None:
    for kind, ask in READS.items():
        home.seen.clear()
        play(home, login, kind, status, "")
        assert attempt(home, login, ask) is None
        wanted = BASIC if login == "basic" else f"Bearer {TOKEN}"
        assert [seen.authorization for seen in home.seen if "/again" in seen.path] == [wanted]


@pytest.mark.parametrize("login", ["token", "identity"])
def test_a_login_goes_to_no_other_port_of_this_machine_for_a_token(
    home: Proxy, elsewhere: Elsewhere, login: str
) -> None:
    """A program of another user may listen there."""
    realm = f"http://{elsewhere.proxy.address}/token"
    challenge = {"WWW-Authenticate": f'Bearer realm="{realm}",service="s"'}
    home.answering = lambda method, path, body, who: Answer(401, headers=challenge)
    problem = attempt(home, login, lambda client: client.manifest("1.0.0"))
    assert isinstance(problem, PermanentError)
    assert f"the token server http://{elsewhere.proxy.address} of " in problem.message
    assert elsewhere.got == []


ASKED: dict[str, tuple[str, str, Callable[[RegistryClient], object]]] = {
    "digest": ("HEAD", "/manifests/", lambda client: client.digest("1.0.0")),
    "manifest": ("GET", "/manifests/", lambda client: client.manifest("1.0.0")),
    "configuration": ("GET", "/blobs/sha256", lambda client: client.image("1.0.0")),
    "blob": ("HEAD", "/blobs/", lambda client: client.has_blob(BLOB.digest)),
    "content": ("GET", "/blobs/sha256", lambda client: list(client.read_blob(BLOB))),
    "referrers": ("GET", "/referrers/", lambda client: client.referrers(BLOB.digest)),
    "token": ("GET", "/token", lambda client: client.manifest("1.0.0")),
}
WRONG = f"sha256:{'0' * 64}"
FOREIGN_TOKEN = "token-from-elsewhere"
SAID = {  # what only the registry itself can say
    "Docker-Content-Digest": WRONG,
    "Link": '</v2/team/app/referrers/page-2>; rel="next"',
    "Location": "/v2/team/app/blobs/uploads/2",
}
CHALLENGES = (
    "",
    'Basic realm="x"',
    'Bearer realm="https://THERE/token"',
    'Bearer error="insufficient_scope"',
)


@pytest.mark.parametrize(
    ("asked", "login"),
    [(asked, login) for asked in ASKED for login in LOGINS if asked != "token" or login == "token"],
)
def test_the_target_of_a_redirect_says_nothing_about_the_registry(
    home: Proxy, asked: str, login: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever its status and its headers, it gets no login, names no token server and proves no absence."""
    identity, certificate = new_identity(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificate)
    method, part, ask = ASKED[asked]
    with proxy_to("", identity) as proxy:
        play(home, login, (method, part), 307, f"https://{proxy.address}")
        for status in (401, 403, 404, 400, 405, 500, 200):
            for challenge in CHALLENGES if status == 401 else ("",):
                there = Elsewhere(proxy)
                said = SAID | {"WWW-Authenticate": challenge.replace("THERE", proxy.address)}

                def answer(
                    method: str,
                    path: str,
                    body: bytes,
                    who: str,
                    there: Elsewhere = there,
                    said: dict[str, str] = said,
                    status: int = status,
                ) -> Answer:
                    usual = there.answer(method, path, body, who)
                    if path.startswith("/token") or asked == "token":
                        return Answer(status, json.dumps({"token": FOREIGN_TOKEN}).encode(), said)
                    return Answer(status, usual.body if status == 200 else b"", usual.headers | said)

                proxy.answering = answer
                home.seen.clear()
                result, problem = asked_of(home, login, ask)
                case = f"{asked} {status} {challenge}"
                assert there.knows() == [], case
                assert there.got, case
                assert {seen.authorization for seen in home.seen} <= {"", BASIC, f"Bearer {TOKEN}"}, case
                assert not home.requests("GET", "page-2"), case
                if status != 200 or asked in ("referrers", "token"):
                    assert problem is not None, f"{case}: {result}"
                    assert not isinstance(problem, GoneError), case
                    assert "none is stored" not in problem.message, case
                    assert "does not accept the login" not in problem.message, case
                else:
                    assert result != WRONG, case


def asked_of(
    home: Proxy, login: str, ask: Callable[[RegistryClient], object]
) -> tuple[object, ProviderError | None]:
    """The result of a request to a registry, or its error."""
    options = {"look_up": lambda _: LOGINS[login], "pause": lambda _: None}
    with RegistryClient(f"{home.address}/team/app", **options) as client:
        try:
            return ask(client), None
        except ProviderError as problem:
            return None, problem


def test_the_login_does_not_follow_the_challenge_of_a_store_of_layers(
    home: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registry redirects the read of a layer. That server asks for a login, and names a token server."""
    identity, certificate = new_identity(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificate)
    with proxy_to("", identity) as proxy:
        challenge = {"WWW-Authenticate": f'Bearer realm="https://{proxy.address}/token"'}
        proxy.answering = lambda method, path, body, who: Answer(401, headers=challenge)
        play(home, "token", ("GET", "/blobs/"), 307, f"https://{proxy.address}")
        _, problem = asked_of(home, "token", lambda client: client.image("1.0.0"))
        assert isinstance(problem, ForbiddenError)
        assert problem.message.startswith(
            f"https://{proxy.address}, to which {home.address} sends the request"
        )
        assert [(seen.method, seen.authorization) for seen in proxy.seen] == [("GET", "")]


REFUSALS = (400, 401, 403, 404, 405, 409, 413, 418, 422, 500)
FORMS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "percent-encoded": lambda secret: quote(secret, safe=""),
    "base64": lambda secret: base64.b64encode(secret.encode()).decode(),
}
ODD_PASSWORD = "p%ss:w0rd/é+of the robot"
ODD_BASIC = base64.b64encode(f"robot:{ODD_PASSWORD}".encode()).decode()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("login", LOGINS)
def test_no_message_of_a_server_repeats_a_login(
    home: Proxy, login: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request is refused with each status, and a message that repeats the whole request."""
    if login != "identity":
        monkeypatch.setitem(LOGINS, login, Login("robot", ODD_PASSWORD))
    secrets = [FORMS[form](secret) for secret in (TOKEN, IDENTITY, ODD_PASSWORD, ODD_BASIC)]
    repeated: set[str] = set()
    shown: list[str] = []
    for kind, ask in {**READS, **WRITES, **TOKENS}.items():
        for status in REFUSALS:
            play(home, login, kind, status, "")
            usual = home.answering
            assert usual is not None

            def answer(
                method: str,
                path: str,
                body: bytes,
                who: str,
                kind: tuple[str, str] = kind,
                status: int = status,
                usual: Callable[[str, str, bytes, str], Answer | None] = usual,
            ) -> Answer | None:
                token = path.startswith("/token")
                if method != kind[0] or kind[1] not in path or not (who or token):
                    return usual(method, path, body, who)
                credentials = who.partition(" ")[2]
                sent = [credentials, *dict(parse_qsl(body.decode(errors="replace"))).values()]
                if who.startswith("Basic "):
                    sent.append(base64.b64decode(credentials).decode().partition(":")[2])
                told = [FORMS[form](text) for text in sent]
                repeated.update(secret for secret in secrets if secret in told)
                message = f"no such login: {' '.join(told)}"[:190]
                return Answer(status, json.dumps({"errors": [{"message": message}]}).encode())

            home.answering = answer
            problem = attempt(home, login, ask, pause=lambda _: None)
            if problem is not None:
                shown.append(f"{problem} {problem.hint}")
    assert repeated
    assert any("no such login" in text for text in shown)
    assert [text for text in shown if any(secret in text for secret in secrets)] == []


def test_without_a_login_a_token_may_come_from_another_port(home: Proxy, elsewhere: Elsewhere) -> None:
    challenge = {"WWW-Authenticate": f'Bearer realm="http://{elsewhere.proxy.address}/token",service="s"'}
    home.answering = lambda method, path, body, who: (
        obliging(method, path) if who else Answer(401, headers=challenge)
    )
    with RegistryClient(f"{home.address}/team/app", look_up=nobody) as client:
        assert client.manifest("1.0.0")
    assert [who for _, _, who, _ in elsewhere.got] == [""]


@pytest.mark.parametrize(
    "realm",
    [
        "http://elsewhere\\@HOME/token",
        "http://HOME@elsewhere/token",
        "http://HOME\\@elsewhere/token",
        "http://elsewhere #@HOME/token",
        "http://elsewhere\t@HOME/token",
        "ftp://HOME/token",
        "//HOME/token",
        "http://HOME:x/token",
        "/token",
    ],
)
def test_an_ambiguous_address_is_not_used(home: Proxy, elsewhere: Elsewhere, realm: str) -> None:
    given = realm.replace("HOME", home.address).replace("elsewhere", elsewhere.proxy.address)
    challenge = {"WWW-Authenticate": f'Bearer realm="{given}",service="s"'}
    home.answering = lambda method, path, body, who: Answer(401, headers=challenge)
    problem = attempt(home, "token", lambda client: client.manifest("1.0.0"))
    assert isinstance(problem, PermanentError)
    assert elsewhere.got == []
    assert {seen.path for seen in home.seen} == {"/v2/team/app/manifests/1.0.0"}


def test_an_upload_is_not_sent_to_another_host_in_plain_http(home: Proxy) -> None:
    home.answering = lambda method, path, body, who: (
        Answer(202, headers={"Location": "http://reg.example.com/upload"})
        if method == "POST"
        else obliging(method, path)
    )
    problem = attempt(home, "basic", lambda client: client.upload(BLOB, lambda start: [CONTENT[start:]]))
    assert isinstance(problem, PermanentError)
    assert "redirects an upload to http://reg.example.com, which does not use https" in problem.message


HIDDEN: dict[str, Callable[[RegistryClient], object]] = {
    "HEAD of a manifest": lambda client: client.digest("1.0.0"),
    "GET of a manifest": lambda client: client.manifest("1.0.0"),
    "GET of a blob": lambda client: list(client.read_blob(BLOB)),
    "POST of an upload": lambda client: client.upload(BLOB, lambda start: [CONTENT[start:]]),
    "PUT of a manifest": lambda client: client.put_manifest("1.0.0", OCI_MANIFEST, MANIFEST),
    "GET of referrers": lambda client: client.referrers(BLOB.digest),
}


@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize("asked", HIDDEN)
def test_a_registry_that_hides_what_needs_a_login_gets_it(home: Proxy, asked: str, login: str) -> None:
    """It answers 404 to a request without one. Its base URL has the challenge, as the specification says."""
    play(home, login, ("GET", "never"), 307, "")
    shown = home.answering

    def answer(method: str, path: str, body: bytes, who: str) -> Answer | None:
        if path.startswith("/token") or path == "/v2/":
            return shown(method, path, body, who)
        return shown(method, path, body, who) if who else Answer(404)

    home.answering = answer
    assert attempt(home, login, HIDDEN[asked]) is None
    assert [seen.status for seen in home.requests("GET", "/v2/") if seen.path == "/v2/"] == [401]
    home.seen.clear()
    options = {"look_up": lambda _: LOGINS[login], "pause": no_pause}
    with RegistryClient(f"{home.address}/team/app", **options) as client, ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda _: client.digest("1.0.0"), range(8))) == {BLOB.digest}
    assert len([seen for seen in home.seen if seen.path == "/v2/"]) == 1


@pytest.mark.parametrize("base", [200, 401, 404])
@pytest.mark.parametrize("knows_login", [True, False])
def test_what_is_missing_is_missing_with_and_without_a_login(
    home: Proxy, base: int, knows_login: bool
) -> None:
    """A registry that needs no login is not asked again and again, and none is sent to it."""
    challenge = {"WWW-Authenticate": 'Basic realm="x"'}
    home.answering = lambda method, path, body, who: (
        Answer(base, headers=challenge if base == 401 else {}) if path == "/v2/" else Answer(404)
    )
    look_up = (lambda _: LOGINS["basic"]) if knows_login else nobody
    with RegistryClient(f"{home.address}/team/app", look_up=look_up, pause=no_pause) as client:
        assert [client.digest("1.0.0"), client.manifest("1.0.0")] == [None, None]
    asked = [seen.path for seen in home.seen].count("/v2/")
    assert asked == (1 if knows_login else 0)
    assert any(seen.authorization for seen in home.seen) is (knows_login and base == 401)


@pytest.mark.parametrize("base", [500, 503])
def test_nothing_is_missing_before_the_registry_says_how_to_log_in(home: Proxy, base: int) -> None:
    home.answering = lambda method, path, body, who: Answer(base if path == "/v2/" else 404)
    pauses: list[float] = []
    problem = attempt(home, "basic", lambda client: client.digest("1.0.0"), pause=pauses.append)
    assert isinstance(problem, TransientError)
    assert "how to log in" in problem.message


@pytest.mark.parametrize("login", LOGINS)
def test_no_login_of_a_netrc_is_sent(
    home: Proxy, login: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every kind of request, to the registry and its token server, also beside an identity token."""
    file = tmp_path / "netrc"
    file.write_text("default login netrc-user password of-the-netrc\n")
    monkeypatch.setenv("NETRC", str(file))
    play(home, login, ("GET", "never"), 307, "")
    for ask in (*READS.values(), *WRITES.values(), *TOKENS.values()):
        assert attempt(home, login, ask) is None
    own = {"", BASIC, f"Bearer {TOKEN}"}
    assert {seen.authorization for seen in home.seen} <= own
    assert bool(home.requests("POST", "/token")) is (login == "identity")


def test_no_netrc_adds_a_login(
    home: Proxy,
    elsewhere: Elsewhere,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path_factory.mktemp("home") / "netrc"
    file.write_text(f"machine 127.0.0.1 login robot password {PASSWORD}\n")
    monkeypatch.setenv("NETRC", str(file))
    play(home, "basic", ("GET", "/manifests/"), 307, f"http://{elsewhere.proxy.address}")
    attempt(home, "basic", lambda client: client.manifest("1.0.0"))
    assert elsewhere.got
    assert elsewhere.knows() == []


@pytest.mark.parametrize("data", [None, b"", b"content"])
def test_a_write_keeps_its_headers_with_and_without_a_body(
    home: Proxy, data: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[requests.PreparedRequest] = []
    send = ConnectionPool.send

    def recorded(
        pool: ConnectionPool, request: requests.PreparedRequest, *args: Any, **options: Any
    ) -> requests.Response:
        sent.append(request)
        return send(pool, request, *args, **options)

    monkeypatch.setattr(ConnectionPool, "send", recorded)
    home.answering = lambda method, path, body, who: Answer(201)
    with RegistryClient(f"{home.address}/team/app") as client:
        client._connection.write(
            "PUT", client._connection.url("x"), "writing", data=data, headers={"If-None-Match": "*"}
        )
    assert [(request.headers["If-None-Match"], request.headers["Content-Length"]) for request in sent] == [
        ("*", str(len(data or b"")))
    ]


SAME = [
    ("https://reg.io/a", "https://reg.io/b"),
    ("https://REG.io/a", "https://reg.io:443/b"),
    ("http://[::1]:80/a", "http://[::1]/b"),
]
OTHER = [
    ("https://reg.io/", "http://reg.io/"),
    ("https://reg.io/", "http://reg.io:443/"),
    ("https://reg.io/", "https://reg.io:444/"),
    ("https://reg.io/", "https://reg.io.example.com/"),
    ("https://reg.io/", "https://user@reg.io/"),
    ("https://reg.io/", "https://reg.io\\.example.com/"),
    ("http://localhost/", "http://127.0.0.1/"),
    ("not an address", "not an address"),
]


@pytest.mark.parametrize(
    ("first", "second", "same"), [*((*a, True) for a in SAME), *((*a, False) for a in OTHER)]
)
def test_equal_origins(first: str, second: str, same: bool) -> None:
    assert same_origin(first, second) is same
    assert same_origin(second, first) is same


def test_an_origin_is_written_as_an_address() -> None:
    assert str(origin("HTTPS://Reg.io:443/x?y")) == "https://reg.io"
    assert str(origin("http://[::1]:5000/x")) == "http://[::1]:5000"
