"""Uploads and downloads over lines that break: resumption, repetition and their limit."""

import contextlib
import re
from collections.abc import Iterable, Iterator
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from providers.docker.registry.client import RegistryClient
from providers.errors import (
    ForbiddenError,
    PermanentError,
    ProviderError,
    TransientError,
    UnauthorizedError,
)
from providers.protocol import Progress, silent
from tests.docker.conftest import blob_of
from tests.docker.line import Line, line_to
from tests.docker.proxy import Answer, Proxy, proxy_to
from tests.services import Registry

pytestmark = pytest.mark.registry

PIECE = 1 << 16
CONTENT = bytes(range(256)) * (1 << 14)  # 4 MiB


BLOB = blob_of(CONTENT)


class Given:
    """Content that records the requested offsets."""

    def __init__(self, content: bytes = CONTENT) -> None:
        self.content = content
        self.starts: list[int] = []

    def __call__(self, start: int) -> Iterable[bytes]:
        self.starts.append(start)
        return (self.content[at : at + PIECE] for at in range(start, len(self.content), PIECE))


@pytest.fixture
def proxy(registry: Registry) -> Iterator[Proxy]:
    with proxy_to(registry.address) as started:
        yield started


@pytest.fixture
def line(registry: Registry) -> Iterator[Line]:
    with line_to(registry.address) as started:
        yield started


def stored(registry: Registry, repository: str) -> bytes:
    with RegistryClient(f"{registry.address}/{repository}") as client:
        return b"".join(client.read_blob(BLOB))


class Keeping:
    """Makes the proxy keep the part of an upload before a break, as newer registries do.

    The registry behind it (distribution 2) drops an upload if its line breaks within a request. The proxy
    cuts each request's body at a given size, stores the part before it with a request of its own, and breaks
    the client's line. It forwards requests for the offset with the registry's own address.
    """

    def __init__(self, registry: Registry, cuts: list[int]) -> None:
        self.address = registry.address
        self.cuts = cuts
        self.goes_on: dict[str, str] = {}

    def __call__(self, method: str, path: str, body: bytes) -> Answer | None:
        upload = urlsplit(path).path
        if method == "PATCH" and self.cuts and len(body) > self.cuts[0]:
            part = body[: self.cuts.pop(0)]
            response, _ = self.ask("PATCH", path, part)
            self.goes_on[upload] = response["Location"]
            raise ConnectionAbortedError
        if method == "GET" and upload in self.goes_on:
            headers, status = self.ask("GET", self.goes_on.pop(upload))
            kept = {name: headers[name] for name in ("Location", "Range")}
            kept["Location"] = re.sub(r"^https?://[^/]+", "", kept["Location"])
            return Answer(status, headers=kept)
        return None

    def ask(self, method: str, url: str, body: bytes = b"") -> tuple[dict[str, str], int]:
        parts = urlsplit(url)
        with contextlib.closing(HTTPConnection(self.address)) as connection:
            headers = {"Content-Type": "application/octet-stream"}
            connection.request(method, f"{parts.path}?{parts.query}", body or None, headers)
            answer = connection.getresponse()
            answer.read()
            return dict(answer.getheaders()), answer.status


def test_an_upload_resumes_where_the_line_broke(registry: Registry, proxy: Proxy) -> None:
    proxy.interfere = Keeping(registry, [len(CONTENT) * 9 // 10, 12_345])
    given, waits, said = Given(), [], []
    with RegistryClient(f"{proxy.address}/resume/kept", pause=waits.append) as client:
        client.upload(BLOB, given, said.append)
    first = len(CONTENT) * 9 // 10
    assert given.starts == [0, first, first + 12_345]
    assert [seen.received for seen in proxy.requests("PATCH")] == [len(CONTENT) - first - 12_345]
    assert waits == [0.5, 0.5]  # each of them made progress
    assert [(step.text, step.done) for step in said if "break" in step.text] == [
        ("resuming after a break", first),
        ("resuming after a break", first + 12_345),
    ]
    assert said[-1] == Progress("push", BLOB.digest[7:19], "sent", len(CONTENT), len(CONTENT))
    assert stored(registry, "resume/kept") == CONTENT


def test_a_registry_that_lost_an_upload_gets_all_of_it_again(registry: Registry, line: Line) -> None:
    line.breaks = [3 << 20]
    given, waits = Given(), []
    with RegistryClient(f"{line.address}/resume/dropped", pause=waits.append) as client:
        client.upload(BLOB, given, silent)
    assert given.starts == [0, 0]
    assert waits == [0.5]
    assert stored(registry, "resume/dropped") == CONTENT


def test_an_upload_that_always_breaks_ends(line: Line) -> None:
    line.breaks = [2 << 20] * 20
    given, waits = Given(), []
    with (
        RegistryClient(f"{line.address}/resume/never", pause=waits.append) as client,
        pytest.raises(
            TransientError, match=r"no connection to .* pushing a layer to .*: the connection broke"
        ),
    ):
        client.upload(BLOB, given, silent)
    assert len(given.starts) == 4
    assert waits == [0.5, 1.0, 2.0]


def test_smaller_requests_resume_between_breaks(
    registry: Registry, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a proxy that buffers requests, only the current request is lost."""
    monkeypatch.setattr("providers.docker.registry.uploads._CHUNK", 1 << 20)
    answers = iter(["pass", "pass", "break", "pass", "break"])

    def interfere(method: str, path: str, body: bytes) -> Answer | None:
        if method == "PATCH" and len(body) > 1 << 20:
            return Answer(413)
        if method == "PATCH" and next(answers, "pass") == "break":
            raise ConnectionAbortedError
        return None

    proxy.interfere = interfere
    given, waits = Given(), []
    with RegistryClient(f"{proxy.address}/resume/pieces", pause=waits.append) as client:
        client.upload(BLOB, given, silent)
    assert [seen.received for seen in proxy.requests("PATCH")] == [len(CONTENT), *[1 << 20] * 4]
    assert waits == [0.5, 0.5]
    assert stored(registry, "resume/pieces") == CONTENT


@pytest.mark.parametrize("filed", [True, False])
def test_the_last_response_of_an_upload_is_lost(registry: Registry, proxy: Proxy, filed: bool) -> None:
    repository = f"resume/last{filed}".lower()
    keeping = Keeping(registry, [])
    lost = False

    def interfere(method: str, path: str, body: bytes) -> Answer | None:
        nonlocal lost
        if method == "PUT" and not lost:
            lost = True
            if filed:
                keeping.ask("PUT", path)
            raise ConnectionAbortedError
        return None

    proxy.interfere = interfere
    given = Given()
    with RegistryClient(f"{proxy.address}/{repository}", pause=lambda _: None) as client:
        client.upload(BLOB, given, silent)
    assert given.starts == [0]
    assert len(proxy.requests("PATCH")) == 1
    assert stored(registry, repository) == CONTENT


@pytest.mark.parametrize(("status", "family"), [(401, UnauthorizedError), (403, ForbiddenError)])
def test_a_refusal_is_never_retried(proxy: Proxy, status: int, family: type[ProviderError]) -> None:
    proxy.interfere = lambda method, path, body: Answer(status) if method == "PATCH" else None
    with (
        RegistryClient(f"{proxy.address}/resume/no", pause=lambda _: pytest.fail("waited")) as client,
        pytest.raises(family),
    ):
        client.upload(BLOB, Given(), silent)
    assert len(proxy.requests("PATCH")) == 1


def test_a_registry_that_forgets_uploads(proxy: Proxy) -> None:
    proxy.interfere = lambda method, path, body: Answer(404) if method == "PATCH" else None
    with (
        RegistryClient(f"{proxy.address}/resume/forgets", pause=lambda _: None) as client,
        pytest.raises(TransientError, match="lost the upload when pushing a layer") as caught,
    ):
        client.upload(BLOB, Given(), silent)
    assert "share their storage and secret" in caught.value.hint
    assert len(proxy.requests("POST")) == 4


def test_content_that_is_too_short(registry: Registry) -> None:
    with (
        RegistryClient(f"{registry.address}/resume/short") as client,
        pytest.raises(PermanentError, match=f"a layer of {len(CONTENT)} bytes ended after 100"),
    ):
        client.upload(BLOB, Given(CONTENT[:100]), silent)


def test_an_empty_blob(registry: Registry) -> None:
    empty = blob_of(b"")
    with RegistryClient(f"{registry.address}/resume/empty") as client:
        client.upload(empty, Given(b""), silent)
        assert client.has_blob(empty.digest)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_resumes_where_the_line_broke(registry: Registry, proxy: Proxy, ranges: bool) -> None:
    with RegistryClient(f"{registry.address}/resume/read") as client:
        client.upload(BLOB, Given(), silent)
    proxy.withheld = set() if ranges else {"range"}
    waits: list[float] = []
    with line_to(proxy.address) as line:
        line.breaks_back = [2 << 20]
        with RegistryClient(f"{line.address}/resume/read", pause=waits.append) as client:
            assert b"".join(client.read_blob(BLOB)) == CONTENT
            assert b"".join(client.read_blob(BLOB, 100)) == CONTENT[100:]
    assert waits == [0.5]
    first, second, third = proxy.requests("GET")
    assert (first.status, second.status, third.status) == ((200, 206, 206) if ranges else (200, 200, 200))
    assert (second.sent < len(CONTENT)) is ranges


OTHERS = {
    **dict.fromkeys((401, 403), ForbiddenError),
    **dict.fromkeys((400, 409, 413, 451), PermanentError),
    500: TransientError,
}


@pytest.mark.parametrize("doing", ["uploading", "reading"])
@pytest.mark.parametrize("status", [*OTHERS, None])
def test_the_error_of_another_server_names_it(proxy: Proxy, doing: str, status: int | None) -> None:
    """Where the registry sends an upload or a read: its own login is not sent there, and not the cause."""
    with proxy_to("") as stopped:
        pass
    with proxy_to("") if status else contextlib.nullcontext(stopped) as other:
        there = {"Location": f"http://{other.address}/signed?secret=s3cr3t"}
        other.interfere = lambda method, path, body: Answer(status or 0)
        if doing == "uploading":
            proxy.interfere = lambda method, path, body: (
                Answer(202, headers=there) if method == "POST" else None
            )
        else:
            proxy.interfere = lambda method, path, body: Answer(307, headers=there)
        with (
            RegistryClient(f"{proxy.address}/x/y", pause=lambda _: None) as client,
            pytest.raises(OTHERS.get(status or 0, TransientError)) as caught,
        ):
            if doing == "uploading":
                client.upload(BLOB, Given())
            else:
                list(client.read_blob(BLOB))
    assert f"http://{other.address}, to which {proxy.address} sends the request" in caught.value.message
    assert "docker login" not in caught.value.hint
    assert "s3cr3t" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize("is_named", [True, False])
def test_a_lost_upload_tells_of_another_address_that_the_registry_names(proxy: Proxy, is_named: bool) -> None:
    there = {"Location": f"https://{proxy.address}/x" if is_named else "/x"}
    proxy.interfere = lambda method, path, body: (
        Answer(202, headers=there) if method == "POST" else Answer(404)
    )
    with (
        RegistryClient(f"{proxy.address}/x/y", pause=lambda _: None) as client,
        pytest.raises(TransientError, match="lost the upload") as caught,
    ):
        client.upload(BLOB, Given())
    named = f"; it names https://{proxy.address} for the upload, and not http://{proxy.address}"
    assert caught.value.message.endswith(named) is is_named
