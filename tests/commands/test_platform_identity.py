"""One platform has one state, however its address is written; two platforms never share one."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
import requests
from msgspec.structs import replace

from providers.sandbox import Sandbox
from reconciler.core.plan import Stack
from state.stores.opening import open_store
from tests.conftest import Cli, copy_example, stack_of

APP = "dataset_cleanup"


def port(sandbox: Sandbox) -> int:
    found = urlsplit(sandbox.url).port
    assert found is not None
    return found


def test_state_of_an_earlier_version_is_found_and_renamed_once(
    state: str, cli: Cli, sandbox: Sandbox
) -> None:
    """Earlier versions used the host as it was written."""
    copy_example(APP, cli.folder, sandbox.registry)
    assert cli("apply", APP, "--yes").code == 0
    old = f"sandbox@LocalHost.:0{port(sandbox)}/{APP}"
    new = str(Stack("sandbox", "CUSTOM", f"http://localhost:{port(sandbox)}", APP))
    with open_store(state) as store:
        store.move(stack_of(APP), old)
        before = store.load(old)
    sandbox.platform.edit_processing(APP, default_cpu=64)
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setenv("PICSELLIA_CUSTOM_ENV", f"HTTP://LOCALHOST:{port(sandbox)}//")
    try:
        planned = cli("plan", APP, "--exit-code")
        assert (planned.code, old in planned.err) == (11, True), "drift is known only with the state"
        assert cli("drift", APP).code == 11
        shown = cli("status", APP, "--json")
        [row] = json.loads(shown.out)["rows"]
        assert (row["version"], row["applied_at"] is None, shown.err.count("using the state of")) == (
            "1.0.0",
            False,
            1,
        )
        assert "1 drift" in row["drift"]
        image = cli("image", APP, "--json")
        assert before is not None
        assert (json.loads(image.out)["serial"], old in image.err) == (before.serial, True)
        assert cli("state", "list").out.split() == [old]

        assert cli("apply", APP, "--yes").code == 0

        assert cli("state", "list").out.split() == [new]
        with open_store(state) as store:
            after = store.load_at(new, before.serial if before else 0)
        assert before is not None
        assert after == replace(before, stack=new)
        again = cli("plan", APP, "--exit-code")
        assert (again.code, old in again.err) == (0, False)
        assert cli("rollback", APP, "--to", str(before.serial), "--yes").code == 0
    finally:
        monkeypatch.undo()


def test_state_of_another_platform_with_that_name_is_not_used(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older name has neither scheme nor path. The identities in the state show its platform."""
    copy_example(APP, cli.folder, sandbox.registry)
    assert cli("apply", APP, "--yes").code == 0
    old = f"sandbox@LOCALHOST:{port(sandbox)}/{APP}"
    with open_store(str(cli.folder.parent / "state.db")) as store:
        record = store.load(stack_of(APP))
        assert record is not None
        for address, resource in record.resources.items():
            record = record.with_resource(replace(resource, id=f"another {address}"))
        record = replace(record, stack=old, lineage="another")
        store.save(record, expected_serial=0, lock=None)
    monkeypatch.setenv("PICSELLIA_CUSTOM_ENV", f"http://localhost:{port(sandbox)}")
    new = f"sandbox@localhost:{port(sandbox)}/{APP}"
    shown = json.loads(cli("status", APP, "--json").out)["rows"]
    rows = {f"{row['environment']}/{APP}": row for row in shown}
    assert rows[new]["version"] is None
    assert (rows[old]["version"], rows[old]["drift"]) == ("1.0.0", "no login")
    assert json.loads(cli("image", APP, "--json").out)["serial"] is None
    planned = cli("plan", APP)
    assert planned.code == 0
    assert "".join(f"reconciler state move {old} {new}".split()) in "".join(planned.err.split())
    assert cli("apply", APP, "--yes").code == 0
    assert {old, new} <= set(cli("state", "list").out.split())

    # The user can name the right one.
    assert cli("state", "move", new, "sandbox@elsewhere/kept").code == 0
    assert cli("state", "move", old, new).code == 0
    assert cli("state", "move", "sandbox@elsewhere/kept", new).code == 1
    assert '"lineage": "another"' in cli("state", "show", new, "--json").out


def test_two_older_names_are_reported_and_none_is_used(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_example(APP, cli.folder, sandbox.registry)
    assert cli("apply", APP, "--yes").code == 0
    olds = [f"sandbox@{host}:{port(sandbox)}/{APP}" for host in ("LocalHost", "localhost.")]
    with open_store(str(cli.folder.parent / "state.db")) as store:
        record = store.load(stack_of(APP))
        assert record is not None
        store.move(stack_of(APP), olds[0])
        store.save(replace(record, stack=olds[1], lineage="another"), expected_serial=0, lock=None)
    monkeypatch.setenv("PICSELLIA_CUSTOM_ENV", f"http://localhost:{port(sandbox)}")
    sandbox.clear_requests()
    for command in (("plan", APP), ("apply", APP, "--yes"), ("drift", APP), ("image", APP)):
        ended = cli(*command)
        assert ended.code in (1, 13), ended.err
        assert all(old in ended.err for old in olds)
        assert "reconciler state move" in ended.err
    shown = json.loads(cli("status", APP, "--json").out)["rows"]
    assert all(any(old in row["drift"] for row in shown) for old in olds)
    assert sandbox.writes() == []
    new = f"sandbox@localhost:{port(sandbox)}/{APP}"
    assert cli("state", "move", olds[1], new).code == 0
    assert cli("plan", APP, "--exit-code").code == 0


@contextmanager
def below(prefix: str, sandbox: Sandbox) -> Iterator[tuple[str, list[str]]]:
    """A platform below a path, as behind a reverse proxy: its address and the requested paths."""
    asked: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            asked.append(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if not self.path.startswith(f"{prefix}/"):
                self.send_response(404)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            headers = {"Authorization": self.headers["Authorization"], "Content-Type": "application/json"}
            found = requests.request(
                self.command,
                sandbox.url + self.path.removeprefix(prefix),
                data=body,
                headers=headers,
                timeout=30,
            )
            self.send_response(found.status_code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(found.content)))
            self.end_headers()
            self.wfile.write(found.content)

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = answer

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def test_a_platform_below_a_path_gets_all_requests_and_its_own_state(
    cli: Cli, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SDK drops the path. Reads with it and writes without it would reach two platforms."""
    copy_example(APP, cli.folder, sandbox.registry)
    with below("/team-a", sandbox) as (root, asked):
        monkeypatch.setenv("PICSELLIA_CUSTOM_ENV", f"{root}/team-a/")
        assert cli("apply", APP, "--yes").code == 0
        assert asked
        assert all(path.startswith("/team-a/api/") for path in asked)
        assert cli("plan", APP, "--exit-code").code == 0
        netloc = urlsplit(root).netloc
        assert cli("state", "list").out.split() == [f"sandbox@{netloc}%2Fteam-a/{APP}"]

        monkeypatch.setenv("PICSELLIA_CUSTOM_ENV", f"{root}/team-b")
        elsewhere = cli("plan", APP)
    assert elsewhere.code == 1
    assert f"{root}/team-b" in elsewhere.err
