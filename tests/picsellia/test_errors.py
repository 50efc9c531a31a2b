"""Every failure of the platform, and its error family, which determines the engine's reaction.

The table has each status for a read and for a write. `unknown` means that a write may have succeeded.
"""

import gzip
import inspect
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from providers.errors import (
    ExistsError,
    ForbiddenError,
    GoneError,
    PermanentError,
    ProviderError,
    RefusedError,
    TransientError,
    UnauthorizedError,
    UnexpectedError,
)
from providers.picsellia.platform import Platform
from providers.sandbox import Sandbox
from tests.picsellia.conftest import Connect
from tests.picsellia.odd_host import odd_host
from tests.services import free_port
from tests.waits import until

# status, family, whether a write with this response may have succeeded
STATUSES = [
    (400, RefusedError, False),
    (401, UnauthorizedError, False),
    (402, RefusedError, False),
    (403, ForbiddenError, False),
    (404, GoneError, False),
    (405, UnexpectedError, True),
    (409, ExistsError, False),
    (413, RefusedError, False),
    (418, UnexpectedError, True),
    (422, RefusedError, False),
    (423, TransientError, False),
    (429, TransientError, False),
    (500, UnexpectedError, True),
    (501, UnexpectedError, True),
    (502, TransientError, True),
    (503, TransientError, True),
    (504, TransientError, True),
]
WRITES = ["post", "patch", "put", "delete"]


def read(platform: Platform) -> object:
    return platform.get(platform.organization_path("models"))


def write(platform: Platform, verb: str = "post", name: str = "Apples") -> object:
    path = platform.organization_path("models")
    return platform.delete(path) if verb == "delete" else getattr(platform, verb)(path, {"name": name})


@pytest.fixture(autouse=True)
def token_is_never_shown(
    connect: Connect, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """No message of these errors contains the token, whatever the platform returned."""
    messages: list[str] = []
    begin = ProviderError.__init__

    def noted(self: ProviderError, message: str, **rest: object) -> None:
        begin(self, message, **rest)  # type: ignore[arg-type]
        messages.append(f"{self.message} {self.hint} {self}")

    monkeypatch.setattr(ProviderError, "__init__", noted)
    yield
    assert messages, "a story about errors without an error"
    assert not [text for text in messages if sandbox.token in text]


# Statuses


@pytest.mark.parametrize(("status", "family", "_"), STATUSES)
def test_a_read(
    sandbox: Sandbox, platform: Platform, pauses: list[float], status: int, family: type, _: bool
) -> None:
    sandbox.fail("GET", "/models$", status, times=None)
    with pytest.raises(ProviderError) as failed:
        read(platform)
    assert type(failed.value) is family
    assert not failed.value.outcome_unknown, "a read changes nothing"
    assert failed.value.message
    repeated = len(sandbox.requests()) > 1
    assert repeated == bool(pauses) == (status in (429, 502, 503, 504))


@pytest.mark.parametrize(("status", "family", "unknown"), STATUSES)
def test_a_write(sandbox: Sandbox, platform: Platform, status: int, family: type, unknown: bool) -> None:
    for verb in WRITES:
        sandbox.clear_requests()
        sandbox.fail(verb.upper(), "/models$", status, times=None)
        with pytest.raises(ProviderError) as failed:
            write(platform, verb)
        assert type(failed.value) is family
        assert failed.value.outcome_unknown is unknown
        assert [request["method"] for request in sandbox.requests()] == [verb.upper()], "it is sent once"


def test_the_table_has_every_status_with_an_sdk_class() -> None:
    """A new exception class in the SDK's table of statuses needs a row here."""
    from picsellia.sdk import connection

    source = inspect.getsource(connection.check_status_code)
    known = {int(line.split("==")[1].strip(" :")) for line in source.splitlines() if "if status == " in line}
    failures = {status for status in known if status >= 300}
    assert {400, 429, 502} <= failures, "the SDK is written differently now: look again"
    assert failures <= {status for status, _, _ in STATUSES}
    with pytest.raises(PermanentError):
        raise PermanentError("for the fixture, which wants to see an error")


def test_the_message_of_the_platform_is_kept(sandbox: Sandbox, platform: Platform) -> None:
    sandbox.platform.create_model("Apples")
    with pytest.raises(ExistsError, match="A model named Apples already exists"):
        write(platform)
    with pytest.raises(RefusedError, match=r"body.*name"):
        platform.post(platform.organization_path("models"), {"name": 4})


# Rate limits and repeats


def test_a_rate_limit_has_a_wait(sandbox: Sandbox, platform: Platform) -> None:
    sandbox.fail("POST", "/models$", 429, headers={"Retry-After": "7"})
    with pytest.raises(TransientError) as limited:
        write(platform)
    assert limited.value.retry_after == 7

    sandbox.fail("POST", "/models$", 503, headers={"Retry-After": "3"})
    with pytest.raises(TransientError) as unavailable:
        write(platform)
    assert unavailable.value.retry_after == 3

    sandbox.fail("POST", "/models$", 429)
    with pytest.raises(TransientError) as silent:
        write(platform)
    assert silent.value.retry_after is None, "the pause of an earlier answer is not this one's"


def test_a_pause_may_be_a_date_and_an_invalid_one_is_ignored(sandbox: Sandbox, platform: Platform) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    sandbox.fail("POST", "/models$", 429, headers={"Retry-After": later})
    with pytest.raises(TransientError) as limited:
        write(platform)
    assert limited.value.retry_after is not None
    assert 3000 < limited.value.retry_after <= 3602

    sandbox.fail("*", "/models$", 429, times=2, headers={"Retry-After": "soon"})
    with pytest.raises(TransientError) as odd:
        write(platform)
    assert odd.value.retry_after is None


def test_a_read_is_repeated_until_it_succeeds(
    sandbox: Sandbox, platform: Platform, pauses: list[float]
) -> None:
    sandbox.fail("GET", "/models$", 503, times=2)
    sandbox.fail("GET", "/models$", 429, nth=3, headers={"Retry-After": "2"})
    sandbox.fail("GET", "/models$", "drop-before", nth=4)
    assert read(platform) == {"items": [], "count": 0}
    assert [request["status"] for request in sandbox.requests()] == [503, 503, 429, None, 200]
    assert any(1.9 < pause <= 2 for pause in pauses), "the pause that was asked for"
    with pytest.raises(GoneError):
        platform.get("/api/model/nobody")


def test_a_read_does_not_wait_for_a_pause_of_an_hour(
    sandbox: Sandbox, platform: Platform, pauses: list[float]
) -> None:
    sandbox.fail("GET", "/models$", 429, times=None, headers={"Retry-After": "3600"})
    with pytest.raises(TransientError) as limited:
        read(platform)
    assert limited.value.retry_after == 3600
    assert pauses == []
    assert len(sandbox.requests()) == 1


# Missing responses


def test_a_create_with_a_lost_response_is_sent_exactly_once(sandbox: Sandbox, platform: Platform) -> None:
    """The SDK repeats a POST after a dropped connection, and would conflict with its own model."""
    sandbox.fail("POST", "/models$", "drop-after")
    with pytest.raises(TransientError, match="the connection was cut") as lost:
        write(platform)
    assert lost.value.outcome_unknown
    assert len(sandbox.requests()) == 1
    assert sandbox.platform.model("Apples") is not None, "it was carried out"


def test_a_write_that_is_cut_off_is_sent_exactly_once(sandbox: Sandbox, platform: Platform) -> None:
    sandbox.fail("*", "/models$", "drop-before", times=None)
    for verb in WRITES:
        with pytest.raises(TransientError) as lost:
            write(platform, verb)
        assert lost.value.outcome_unknown, "nobody can tell a request that was lost from a lost answer"
    assert [request["method"] for request in sandbox.requests()] == [verb.upper() for verb in WRITES]


def test_a_read_that_is_always_cut_off_ends(
    sandbox: Sandbox, platform: Platform, pauses: list[float]
) -> None:
    sandbox.fail("GET", "/models$", "drop-before", times=None)
    with pytest.raises(TransientError, match="cannot be reached: the connection was cut"):
        read(platform)
    assert 1 < len(sandbox.requests()) < 6


def test_a_write_without_a_response_has_an_unknown_outcome(sandbox: Sandbox, connect: Connect) -> None:
    platform = connect(read_timeout=0.3)
    sandbox.clear_requests()
    sandbox.fail("POST", "/models$", "hang", after=True)
    with pytest.raises(TransientError, match="did not respond in time") as slow:
        write(platform)
    assert slow.value.outcome_unknown
    until(lambda: sandbox.platform.model("Apples") is not None)
    assert len(sandbox.requests()) == 1


def test_a_read_without_a_response_ends(sandbox: Sandbox, connect: Connect, pauses: list[float]) -> None:
    platform = connect(read_timeout=0.2)
    sandbox.clear_requests()
    sandbox.fail("GET", "/models$", "hang", times=None)
    with pytest.raises(TransientError) as slow:
        read(platform)
    assert "timed out" in slow.value.message or "in time" in slow.value.message
    assert "HTTPConnectionPool" not in slow.value.message


def test_a_host_that_is_down(connect: Connect) -> None:
    with pytest.raises(TransientError, match="cannot be reached: Connection refused") as down:
        connect(f"http://127.0.0.1:{free_port()}")
    assert "check that http://127.0.0.1:" in down.value.hint
    assert not down.value.outcome_unknown


def test_a_write_that_never_reached_the_platform_has_a_known_outcome(connect: Connect) -> None:
    with odd_host(200, b"{}", {"Connection": "close"}) as (host, _):
        platform = connect(host)
    platform._adapter.close()  # also closes the kept-open connection
    with pytest.raises(TransientError, match="Connection refused") as down:
        write(platform)
    assert down.value.outcome_unknown is False, "it may be sent again"


def test_a_host_without_a_name_in_the_dns(connect: Connect) -> None:
    with pytest.raises(TransientError, match="cannot be reached") as unknown:
        connect("http://platform.invalid")
    assert "object at 0x" not in unknown.value.message


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_refuses_connections(
    scheme: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (f"{scheme}_proxy", f"{scheme.upper()}_PROXY"):
        monkeypatch.setenv(name, f"http://me:marked-password@127.0.0.1:{free_port()}")
    with pytest.raises(TransientError) as refused:
        connect(f"{scheme}://platform.example")
    assert refused.value.message == "platform.example cannot be reached: Connection refused, by the proxy"


def test_a_host_without_tls(sandbox: Sandbox, connect: Connect, pauses: list[float]) -> None:
    with pytest.raises(TransientError, match=r"cannot be reached: wrong version number$"):
        connect(sandbox.url.replace("http://", "https://"))


@pytest.mark.parametrize("host", ["http://[", "http://localhost:99999"])
def test_an_invalid_address(connect: Connect, host: str) -> None:
    with pytest.raises(ProviderError) as odd:
        connect(host)
    assert f"check that {host} " in odd.value.hint


# Responses of other servers


ODD = [
    (200, b"<html>Welcome to nginx!</html>"),
    (200, b""),
    (200, b"[]"),
    (200, b"null"),
    (200, b'"yes"'),
    (200, b"\xff\xfe"),
    (500, b"<html><h1>Oops</h1></html>"),
    (502, b"bad gateway"),
    (503, b"[]"),
    (400, b"[1]"),
    (400, b'"no"'),
    (404, b"null"),
    (404, b'{"message": "no such page", "detail": null}'),
    (400, b'{"message": null, "detail": "no"}'),
    (400, b'{"message": {"a": 1}, "detail": ["no"]}'),
    (302, b""),
]


@pytest.mark.parametrize(("status", "content"), ODD)
def test_a_malformed_response_is_a_provider_error(
    connect: Connect, pauses: list[float], status: int, content: bytes
) -> None:
    with odd_host(status, content) as (host, asked):
        platform = connect(host)
        with pytest.raises(ProviderError):
            read(platform)
        asked.clear()
        with pytest.raises(ProviderError) as failed:
            write(platform)
        assert failed.value.outcome_unknown or status in (400, 404)
        assert len(asked) == 1


@pytest.mark.parametrize(("status", "content"), ODD)
def test_a_host_that_is_not_a_platform(
    connect: Connect, pauses: list[float], status: int, content: bytes
) -> None:
    with odd_host(status, content, signs_in=False) as (host, asked), pytest.raises(ProviderError) as failed:
        connect(host)
    assert asked
    assert host.partition("://")[2] in failed.value.message
    assert isinstance(failed.value, TransientError | PermanentError), "an address that is wrong is not gone"


@pytest.mark.parametrize(
    "content",
    [
        b'{"items": null}',
        b'{"items": [null]}',
        b'{"items": "all"}',
        b"[null]",
        b"[" * 900 + b"]" * 900,
        b"NaN",
    ],
)
def test_a_malformed_list(connect: Connect, content: bytes) -> None:
    with odd_host(200, content) as (host, _):
        platform = connect(host)
        with pytest.raises(PermanentError, match="response"):
            list(platform.items(platform.organization_path("models")))


def test_an_endless_response_fails(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("providers.bodies.MAX_BYTES", 100_000)
    for content in (b" " * 200_000, gzip.compress(b" " * 200_000)):
        compressed = {"Content-Encoding": "gzip"} if content[:1] != b" " else {}
        with odd_host(200, content, compressed) as (host, _):
            platform = connect(host)
            with pytest.raises(ProviderError) as failed:
                read(platform)
    assert "has more than" in failed.value.message


def test_an_object_without_its_required_keys(connect: Connect) -> None:
    from tests.picsellia.conftest import Kinds

    with odd_host(200, b'{"count": 0, "processing": "app"}') as (host, _):
        kinds = Kinds(connect(host))
        with pytest.raises(PermanentError, match="the platform's response has no 'name'") as reading:
            kinds.read_model()
        assert not reading.value.outcome_unknown
        with pytest.raises(PermanentError, match="the platform's response has no 'id'") as making:
            kinds.new_model()
        assert making.value.outcome_unknown, "it may be there now"


def test_a_page_of_html_is_not_shown_whole(connect: Connect) -> None:
    page = b"<html>" + b"<p>\n gateway\n" * 10_000
    with odd_host(500, page) as (host, _):
        platform = connect(host)
        with pytest.raises(PermanentError) as failed:
            write(platform)
    assert len(failed.value.message) < 700
    assert "\n" not in failed.value.message


def test_a_platform_that_repeats_the_token_is_not_quoted(sandbox: Sandbox, connect: Connect) -> None:
    body = f'{{"message": "no such token: {sandbox.token}", "detail": ["{sandbox.token}"]}}'.encode()
    with odd_host(400, body) as (host, _):
        platform = connect(host)
        with pytest.raises(RefusedError, match="no such token: …"):
            write(platform)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirected_write_is_not_sent_as_another_request(connect: Connect, status: int) -> None:
    """HTTP clients follow a redirected POST with a GET, whose response looks like success."""
    with (
        odd_host(200, b'{"id": "1", "name": "Apples"}') as (elsewhere, got_there),
        odd_host(status, b"", {"Location": f"{elsewhere}/api/new"}) as (host, asked),
    ):
        platform = connect(host)
        with pytest.raises(PermanentError, match=rf"has moved: {status} to {elsewhere}/api/new"):
            write(platform)
        assert len(asked) == 1
        assert got_there == []


# Requests that cannot be sent


@pytest.mark.parametrize("value", [2**80, "\ud800"])
def test_a_value_that_json_cannot_contain_is_refused_before_sending(
    sandbox: Sandbox, platform: Platform, value: object
) -> None:
    with pytest.raises(RefusedError, match="it cannot be sent"):
        platform.post(platform.organization_path("models"), {"name": "x", "description": value})
    assert sandbox.requests() == []


def test_a_netrc_does_not_replace_the_token(sandbox: Sandbox, home: Path, connect: Connect) -> None:
    netrc = home / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    assert connect().username() == "read-write-user"
    with pytest.raises(UnauthorizedError):
        connect(token="nobody's")


def test_missing_certificates(monkeypatch: pytest.MonkeyPatch, connect: Connect) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    with pytest.raises(PermanentError, match=r"/nowhere/ca.pem does not exist") as failed:
        connect("https://127.0.0.1:1")
    assert "REQUESTS_CA_BUNDLE" in failed.value.hint
    assert connect().username(), "it matters to https only"


# Signing in


def test_an_unknown_token(connect: Connect) -> None:
    with pytest.raises(UnauthorizedError, match="does not accept this API token") as unknown:
        connect(token="nobody's")
    assert "nobody's" not in f"{unknown.value.message}{unknown.value.hint}"


def test_an_unknown_organization(sandbox: Sandbox) -> None:
    with pytest.raises(PermanentError, match="has no organization 'elsewhere'"):
        Platform(sandbox.url, sandbox.token, "elsewhere")
    with pytest.raises(PermanentError):
        Platform(sandbox.url, sandbox.token, "\udcff")  # bytes in an argument that are not text


def test_a_token_that_may_only_read(sandbox: Sandbox, connect: Connect) -> None:
    platform = connect(token=sandbox.read_only_token)
    assert read(platform) == {"items": [], "count": 0}
    with pytest.raises(ForbiddenError, match="may only read") as forbidden:
        write(platform)
    assert not forbidden.value.outcome_unknown
    assert sandbox.platform.models() == []
