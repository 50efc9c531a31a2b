"""No web page reaches the sandbox: tried header by header, and from a page in a browser."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from providers.sandbox import Sandbox, Settings

CONTROL = [
    ("GET", "/_sandbox/switches", None),
    ("PATCH", "/_sandbox/switches", {"latency": 0.5}),
    ("POST", "/_sandbox/faults", {"path": "/never", "action": 500}),
    ("GET", "/_sandbox/requests", None),
    ("DELETE", "/_sandbox/requests", {}),
    ("POST", "/_sandbox/reset", {}),
]
FOREIGN_HOSTS = (
    *("evil.example", "evil.example:{port}", "localhost.evil.example:{port}", "127.0.0.1.evil.example"),
    *(
        "0.0.0.0:{port}",
        "10.0.0.1:{port}",
        "[::]:{port}",
        "2130706433:{port}",
        "127.1:{port}",
        "localhost:80:evil",
    ),
    *(
        "",
        "localhost@evil.example",
        "evil.example#localhost",
        "xn--lcalhost-n0d:{port}",
        "app.localhost:{port}",
    ),
)
OWN_HOSTS = ("127.0.0.1:{port}", "localhost:{port}", "LOCALHOST", "[::1]:{port}", "127.0.0.2")
FOREIGN_ORIGINS = (
    *(
        "null",
        "http://evil.example",
        "http://127.0.0.1:1",
        "https://127.0.0.1:{port}",
        "http://localhost:{port}",
    ),
    *("http://127.0.0.1", "file://", "chrome-extension://abc", "http://127.0.0.1:{port}.evil.example", ""),
)
FOREIGN_SITES = ("cross-site", "same-site", "something-new")


class Caller:
    """A program that sends a control call as it should be, but for what a test changes."""

    def __init__(self, sandbox: Sandbox, token: str) -> None:
        self._sandbox = sandbox
        self._token = token

    def __call__(
        self,
        method: str,
        path: str,
        body: Any,
        *,
        data: bytes | None = None,
        query: str = "",
        **headers: str | None,
    ) -> requests.Response:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        given = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"} | {
            name.title(): value and value.replace("{port}", str(self._sandbox.port))
            for name, value in names.items()
        }
        content = data if data is not None else None if body is None else json.dumps(body).encode()
        sent = {name: value for name, value in given.items() if value is not None}
        with requests.Session() as session:
            session.trust_env = False
            return session.request(
                method, self._sandbox.url + path + query, data=content, headers=sent, timeout=30
            )


@pytest.fixture(scope="module")
def guarded() -> Iterator[tuple[Sandbox, Caller]]:
    settings = Settings(control_token="control-token-of-a-test")
    with Sandbox(settings) as sandbox:
        yield sandbox, Caller(sandbox, settings.control_token)


@contextmanager
def untouched(sandbox: Sandbox) -> Iterator[None]:
    """What is there, the switches and the log are the same afterwards."""

    def everything() -> Any:
        return (
            sandbox.call("GET", "/_sandbox/switches"),
            sandbox.requests(),
            sandbox.platform.processings(),
            sandbox.platform.inputs("app"),
            sandbox.call("GET", "/v2/_catalog"),
        )

    sandbox.reset()
    sandbox.platform.create_processing("app")
    sandbox.platform.add_input("app", "text")
    requests.get(f"{sandbox.url}/v2/", timeout=30).close()  # so that the log has something to lose
    before = everything()
    assert before[1]
    yield
    assert everything() == before


BAD: list[tuple[str, dict[str, Any]]] = [
    *((f"host {host}", {"host": host}) for host in FOREIGN_HOSTS),
    *((f"origin {origin}", {"origin": origin}) for origin in FOREIGN_ORIGINS),
    *((f"site {site}", {"sec_fetch_site": site}) for site in FOREIGN_SITES),
    ("a rebound page", {"host": "evil.example:{port}", "origin": "http://evil.example:{port}",
                        "sec_fetch_site": "same-origin"}),
    ("no token", {"authorization": None}),
    ("the platform's token", {"authorization": "Bearer sandbox-token"}),
    ("an empty token", {"authorization": "Bearer "}),
    ("half a token", {"authorization": "Bearer control-token"}),
    ("a token that is no text", {"authorization": "Bearer \xff"}),
    ("a token in the query", {"authorization": None, "query": "?token=control-token"}),
]  # fmt: skip
NO_JSON = (
    *(
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonp",
    ),
    *("text/plain; application/json", "text/plain, application/json", "", None),
)
NO_OBJECT = (b"", b"[]", b"null", b'"x"', b"{", b"[" * 100_000, b"\xff", b"a=1")
BAD_BODIES: list[tuple[str, dict[str, Any]]] = [
    *((f"type {kind}", {"content_type": kind}) for kind in NO_JSON),
    *((f"body {content[:9]!r}", {"data": content}) for content in NO_OBJECT),
]


@pytest.mark.parametrize(("method", "path", "body"), CONTROL, ids=lambda value: str(value)[:40])
def test_a_control_call_needs_a_loopback_host_no_foreign_origin_a_json_body_and_the_token(
    method: str, path: str, body: Any, guarded: tuple[Sandbox, Caller]
) -> None:
    sandbox, call = guarded
    bad = BAD if body is None else [*BAD, *BAD_BODIES, ("a query", {"authorization": None, "query": TOKEN})]
    with untouched(sandbox):
        for what, change in bad:
            answer = call(method, path, body, **change)
            assert 400 <= answer.status_code < 500, what
            assert set(answer.json()) == {"message", "detail"}, what
            assert "access-control-allow-origin" not in answer.headers
            assert call("OPTIONS", path, None, **change).status_code in (401, 403, 405), what
    for host in OWN_HOSTS:
        assert call(method, path, body, host=host).ok, host
    assert call(
        method, path, body, origin=f"http://127.0.0.1:{sandbox.port}", sec_fetch_site="same-origin"
    ).ok
    if body is None:
        assert call(method, path, body, authorization=None, query=TOKEN, sec_fetch_site="none").ok
    sandbox.reset()


TOKEN = "?token=control-token-of-a-test"


def test_these_are_all_control_calls() -> None:
    from providers.sandbox.control import ControlCalls

    none: Any = None
    routes = ControlCalls(none, none, "", none, none).routes()
    found = {(method, route.path) for route in routes for method in route.methods or () if method != "HEAD"}
    assert found == {(method, path) for method, path, _ in CONTROL}


@pytest.mark.parametrize("path", ["/api/home/ping", "/v2/", "/v2/app/blobs/uploads/", "/elsewhere"])
def test_the_platform_and_the_registry_take_no_request_of_a_page_either(
    path: str, guarded: tuple[Sandbox, Caller]
) -> None:
    sandbox, call = guarded
    with untouched(sandbox):
        for what, change in BAD[: len(FOREIGN_HOSTS) + len(FOREIGN_ORIGINS) + len(FOREIGN_SITES) + 1]:
            for method in ("GET", "POST"):
                answer = call(method, path, {}, authorization=f"Bearer {sandbox.token}", **change)
                assert answer.status_code in (400, 403), what
                assert answer.json()


def test_an_empty_control_token_opens_nothing() -> None:
    with Sandbox(Settings(control_token="x", seed_base=False)) as sandbox:
        assert Caller(sandbox, "")("GET", "/_sandbox/switches", None).status_code == 401
    first, second = Settings(), Settings()
    assert first.control_token != second.control_token
    assert len(first.control_token) >= 16


PAGE = """<!doctype html><meta charset="utf-8"><title>evil</title><body>
<script>
const sandbox = "http://127.0.0.1:PORT";
const writes = [["PATCH", "/_sandbox/switches", '{"latency": 0.5}'],
  ["POST", "/_sandbox/faults", '{"path": "/api", "action": 500, "times": null}'],
  ["DELETE", "/_sandbox/requests", "{}"], ["POST", "/_sandbox/reset", "{}"],
  ["POST", "/v2/evil/blobs/uploads/", "{}"]];
const types = ["application/json", "text/plain", "application/x-www-form-urlencoded"];
const got = [];
async function attack() {
  for (const at of [sandbox, "http://localhost:PORT", "http://0.0.0.0:PORT", "http://evil.example:PORT"]) {
    for (const [method, path, body] of writes) {
      for (const type of types) for (const mode of ["cors", "no-cors"]) {
        for (const more of [{}, {"Authorization": "Bearer sandbox-token"}]) {
          try {
            const answer = await fetch(at + path, {method, mode, body, credentials: "include",
              headers: {"Content-Type": type, ...more}});
            got.push([at, method, path, answer.type, answer.status]);
          } catch (error) { got.push([at, method, path, "refused by the browser", 0]); }
        }
      }
      navigator.sendBeacon(at + path, new Blob([body], {type: "text/plain"}));
    }
    for (const path of ["/_sandbox/requests", "/_sandbox/switches", "/api/home/ping"]) {
      try {
        const answer = await fetch(at + path);
        got.push([at, "GET", path, answer.type, answer.status]);
      } catch (error) { got.push([at, "GET", path, "refused by the browser", 0]); }
      await new Promise((done) => {
        const image = new Image(); image.onload = image.onerror = done; image.src = at + path;
      });
    }
    for (const path of ["/_sandbox/reset", "/_sandbox/faults"]) {
      await new Promise((done) => {
        const frame = document.createElement("iframe"), form = document.createElement("form");
        frame.name = "f" + Math.random(); document.body.append(frame);
        form.method = "POST"; form.enctype = "text/plain"; form.target = frame.name; form.action = at + path;
        form.innerHTML = `<input name='{"path": "/api", "action": 500, "x": "' value='"}'>`;
        document.body.append(form);
        frame.onload = done;
        form.submit();
      });
    }
  }
}
attack().catch((error) => got.push([String(error)])).then(() => {
  const pre = document.createElement("pre");
  pre.textContent = "GOT" + JSON.stringify(got) + "GOT";
  document.body.append(pre);
  return fetch("/done", {method: "POST"});
});
</script><img src="/wait">"""


@contextmanager
def evil_page(port: int) -> Iterator[int]:
    """The port of a server with the page, which has loaded once its script is done."""
    done = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/wait":
                done.wait(90)
            content = PAGE.replace("PORT", str(port)).encode() if self.path == "/" else b""
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            done.set()
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            done.set()
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "evil.example"])
def test_a_page_in_a_browser_changes_nothing_and_reads_nothing(
    name: str, guarded: tuple[Sandbox, Caller], browser: Callable[..., str]
) -> None:
    """On another port of loopback, and under a name that was pointed at this machine."""
    sandbox, _ = guarded
    with untouched(sandbox), evil_page(sandbox.port) as port:
        dom = browser(f"http://{name}:{port}/", "--host-resolver-rules=MAP evil.example 127.0.0.1")
    got = json.loads(dom.split("GOT")[-2].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    assert len(got) == 4 * (5 * 12 + 3), got[-1]
    assert {answer[3] for answer in got} <= {"refused by the browser", "opaque"}


def test_a_page_under_the_sandboxs_own_port_gets_nothing(
    guarded: tuple[Sandbox, Caller], browser: Callable[..., str]
) -> None:
    """After DNS rebinding the browser takes the sandbox for the page's own server."""
    sandbox, _ = guarded
    rules = "--host-resolver-rules=MAP evil.example 127.0.0.1"
    with untouched(sandbox):
        dom = browser(f"http://evil.example:{sandbox.port}/_sandbox/requests{TOKEN}", rules)
    assert "not 'evil.example" in dom
    dom = browser(f"http://127.0.0.1:{sandbox.port}/_sandbox/requests{TOKEN}")
    assert '{"items":' in dom, "the address that `sandbox` prints opens"
