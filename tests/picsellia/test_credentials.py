"""The API token is only sent to the platform's own origin, whatever it responds."""

import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from providers.errors import PermanentError, TransientError, UnauthorizedError
from providers.picsellia.platform import Platform
from tests.docker.proxy import Answer, Proxy, new_identity, proxy_to
from tests.picsellia.odd_host import SIGN_IN

TOKEN = "token-of-the-platform"
STATUSES = (301, 302, 303, 307, 308)
WRITES: dict[str, Callable[[Platform], object]] = {
    "POST": lambda platform: platform.post("/api/old", {"name": "Apples"}),
    "PATCH": lambda platform: platform.patch("/api/old", {"name": "Apples"}),
    "PUT": lambda platform: platform.put("/api/old", {"name": "Apples"}),
    "DELETE": lambda platform: platform.delete("/api/old"),
}


@pytest.fixture
def elsewhere() -> Iterator[Proxy]:
    """A server in plain http that accepts every request."""
    with proxy_to("") as proxy:
        proxy.interfere = lambda method, path, body: Answer(200, b'{"id": "1", "name": "Apples"}')
        yield proxy


@pytest.fixture
def identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A trusted certificate for a server on this machine."""
    context, certificate = new_identity(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificate)
    return context


def moved(status: int, to: str) -> Callable[[str, str, bytes], Answer]:
    """A platform that accepts every sign-in, and redirects all other requests."""

    def answer(method: str, path: str, body: bytes) -> Answer:
        signs_in = SIGN_IN.get(path.partition("?")[0])
        if signs_in is not None:
            return Answer(200, json.dumps(signs_in).encode())
        return Answer(status, headers={"Location": f"{to}/api/new", "Set-Cookie": "session=1"})

    return answer


@pytest.mark.parametrize("status", STATUSES)
def test_no_read_is_redirected_from_https_to_http(
    elsewhere: Proxy, identity: ssl.SSLContext, status: int
) -> None:
    with proxy_to("", identity) as home:
        home.interfere = moved(status, f"http://{elsewhere.address}")
        with (
            Platform(f"https://{home.address}", TOKEN, "sandbox") as platform,
            pytest.raises(
                PermanentError, match=f"not followed: redirected from https to http://{elsewhere.address}"
            ),
        ):
            platform.get("/api/old")
        assert home.seen[-1].authorization == f"Bearer {TOKEN}"
    assert elsewhere.seen == []


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("status", STATUSES)
def test_a_read_follows_to_another_origin_without_the_token(
    elsewhere: Proxy, status: int, name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {name} login robot password {TOKEN}\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with proxy_to("") as home:
        home.interfere = moved(status, f"http://{name}:{elsewhere.address.rpartition(':')[2]}")
        with Platform(f"http://{home.address}", TOKEN, "sandbox") as platform:
            assert platform.get("/api/old")["name"] == "Apples"
    assert [seen.authorization for seen in elsewhere.seen] == [""]


@pytest.mark.parametrize("refusal", [400, 401, 403, 404, 409, 422, 423, 500, 503])
def test_the_target_of_a_redirect_says_nothing_about_the_platform(elsewhere: Proxy, refusal: int) -> None:
    """Its 404 does not mean that an object is missing, and its 401 not that the token is wrong."""
    elsewhere.interfere = lambda method, path, body: Answer(refusal)
    with proxy_to("") as home:
        home.interfere = moved(307, f"http://{elsewhere.address}")
        with (
            Platform(f"http://{home.address}", TOKEN, "sandbox") as platform,
            pytest.raises(TransientError if refusal == 503 else PermanentError) as failed,
        ):
            platform.find("/api/datasets", "Apples")
    assert not isinstance(failed.value, UnauthorizedError)
    if refusal != 503:
        assert f"redirects to http://{elsewhere.address}, which returned {refusal}" in failed.value.message


@pytest.mark.parametrize("verb", WRITES)
@pytest.mark.parametrize("status", STATUSES)
def test_no_write_is_redirected(elsewhere: Proxy, status: int, verb: str) -> None:
    with proxy_to("") as home:
        for to in (f"http://{elsewhere.address}", ""):
            home.interfere = moved(status, to)
            with (
                Platform(f"http://{home.address}", TOKEN, "sandbox") as platform,
                pytest.raises(PermanentError, match=f"has moved: {status} to {to}/api/new"),
            ):
                WRITES[verb](platform)
        assert not home.requests(verb, "/api/new") + home.requests("GET", "/api/new")
    assert elsewhere.seen == []
