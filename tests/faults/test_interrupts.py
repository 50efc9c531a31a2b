"""One Ctrl-C or SIGTERM ends every command, whatever hangs: no timeout of a server has to pass first.

`make test` samples; `make test-full` leaves none out. Servers hang for an hour here, and every timeout is as
long. The run gets one signal when a request hangs.
"""

import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from providers.sandbox import Sandbox
from tests.conftest import Cli, copy_example
from tests.faults.warm import Run, Warm, signal_for
from tests.state.servers import Bucket, use
from tests.waits import until

APP = "dataset_cleanup"
LONG = 3600.0
GRACE = 0.5
PATIENT = {"RECONCILER_TIMEOUT": str(LONG)}


def fresh(cli: Cli, sandbox: Sandbox) -> None:
    copy_example(APP, cli.folder, sandbox.registry)


def applied(cli: Cli, sandbox: Sandbox) -> None:
    fresh(cli, sandbox)
    assert cli("apply", APP, "--yes").code == 0


def changed(cli: Cli, sandbox: Sandbox) -> None:
    applied(cli, sandbox)
    edit(cli, "config.toml", 'cpu = "4"', 'cpu = "8"')
    edit(cli, "utils/inputs.py", "archive", "folder")


def applied_twice(cli: Cli, sandbox: Sandbox) -> None:
    changed(cli, sandbox)
    assert cli("apply", APP, "--yes", "--bump", "patch").code == 0


def edit(cli: Cli, file: str, old: str, new: str) -> None:
    path = cli.folder / APP / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


@dataclass(frozen=True)
class Case:
    """A command, what is there before it, and the request that hangs."""

    arguments: tuple[str, ...]
    prepare: Callable[[Cli, Sandbox], None]
    method: str
    path: str

    def __str__(self) -> str:
        return f"{self.arguments[0]} {self.method} {self.path}"


APPLY = ("apply", APP, "--yes", "--bump", "patch")
READS = [
    Case(arguments, applied_twice if "rollback" in arguments else applied, "GET", path)
    for arguments in (
        *(("plan", APP), ("apply", APP, "--yes"), ("deploy", APP, "--yes"), ("rollback", APP, "--yes")),
        *(("destroy", APP, "--yes"), ("drift", APP), ("status", "--all"), ("adopt", APP, "--yes")),
        *(("plan", "--all"), ("apply", "--all", "--yes"), ("drift", "--all")),
    )
    for path in ("/api/organizations/find$", "/api/.*processings")
]
REGISTRY = [
    *(Case(arguments, applied, "HEAD", "^/v2/") for arguments in (("plan", APP), ("drift", "--all"))),
    *(Case(("image", APP), applied, method, "^/v2/") for method in ("GET", "HEAD")),
    Case(("status", "--all"), applied, "HEAD", "^/v2/"),
]
WRITES = [
    *(Case(("apply", APP, "--yes"), fresh, method, "^/v2/") for method in ("POST", "PATCH", "PUT")),
    *(Case(("apply", "--all", "--yes"), fresh, "POST", path) for path in ("/processings$", "/inputs$")),
    Case(("apply", APP, "--yes"), fresh, "POST", "/inputs$"),
    *(Case(APPLY, changed, method, "/api/") for method in ("POST", "PATCH", "DELETE")),
    Case(("deploy", *APPLY[1:]), changed, "PATCH", "/api/"),
    Case(("rollback", APP, "--yes"), applied_twice, "PATCH", "/api/"),
    Case(("destroy", APP, "--yes"), applied, "DELETE", "/api/"),
    Case(("destroy", "--all", "--yes"), applied, "DELETE", "/api/"),
]


def sampled(every: int, cases: Iterable[tuple[Any, ...]]) -> list[Any]:
    """All of these cases, of which only some are run every day."""
    marks = [() if number % every == 0 else (pytest.mark.full,) for number in range(1000)]
    return [
        pytest.param(*case, marks=mark, id=" ".join(map(str, case)))
        for case, mark in zip(cases, marks, strict=False)
    ]


@pytest.mark.parametrize(("case", "after"), sampled(9, product([*READS, *REGISTRY, *WRITES], (False, True))))
def test_one_signal_ends_a_command_that_waits_for_an_answer(
    case: Case, after: bool, warm: Warm, cli: Cli, sandbox: Sandbox
) -> None:
    case.prepare(cli, sandbox)
    sandbox.clear_requests()
    sandbox.fail(case.method, case.path, "hang", seconds=LONG, times=None, after=after)
    run = warm.start(case.arguments, cli.folder, environment=PATIENT, grace=GRACE)

    until(lambda: is_over(run) or any(is_hung(request, case) for request in sandbox.requests()))
    assert not is_over(run), run.err.read_text()
    ends_with_one_signal(warm, run, signal_for(case, after))


def is_hung(request: dict[str, str], case: Case) -> bool:
    return request["method"] == case.method and re.search(case.path, request["path"]) is not None


def is_over(run: Run) -> bool:
    return Path(f"/proc/{run.pid}/stat").read_text().rpartition(") ")[2][0] == "Z"


def ends_with_one_signal(warm: Warm, run: Run, number: signal.Signals) -> None:
    run.signal(number)
    try:
        until(lambda: is_over(run))
    finally:
        os.kill(run.pid, signal.SIGKILL)
    assert warm.wait(run) == 130
    assert "Traceback" not in run.err.read_text()


@contextmanager
def server(answer: bytes, *, accepts: bool = True) -> Iterator[tuple[int, threading.Event]]:
    """The port of a server that sends these bytes, and no more, and whether it was called.

    Args:
        accepts: whether it accepts connections. Otherwise a connection hangs while it is opened.
    """
    called = threading.Event()
    kept: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening:
        port = listening.getsockname()[1]

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                kept.append(connection)
                connection.recv(65_536)
                connection.sendall(answer)
                called.set()

        if accepts:
            threading.Thread(target=serve, daemon=True).start()
        else:
            for _ in range(4):  # fill its backlog
                waiting = socket.socket()
                waiting.setblocking(False)
                waiting.connect_ex(("127.0.0.1", port))
                kept.append(waiting)
        yield port, called
    for one in kept:
        one.close()


def is_connecting(run: Run, port: int) -> bool:
    """Whether this process opens a connection that the port does not accept."""
    rows = Path(f"/proc/{run.pid}/net/tcp").read_text().splitlines()[1:]
    return sum(row.split()[2].endswith(f":{port:04X}") and row.split()[3] == "02" for row in rows) > 3


# Without the header, a client of a bucket calls it an invalid answer before the body.
ANSWERS = {
    "headers": b"HTTP/1.1 200 OK\r\n",
    "body": (
        b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nETag: "1"\r\nX-Goog-Generation: 1\r\n'
        b"Last-Modified: Sat, 01 Mar 2025 12:00:00 GMT\r\n\r\n{"
    ),
    "connection": None,
}
COMMANDS = [
    *(("plan", APP), ("apply", APP, "--yes"), ("drift", "--all"), ("status", "--all"), ("whoami",)),
    *(("image", APP), ("list", "--stale"), ("state", "list"), ("state", "history", APP)),
]
SERVERS = {
    "platform": ("plan", "apply", "drift", "status", "whoami"),
    "registry": ("plan", "apply", "image"),
    "bucket": ("plan", "apply", "drift", "status", "list", "state"),
}


PARTS = [
    (far_end, command, answer)
    for far_end, verbs in SERVERS.items()
    for command in COMMANDS
    for answer in ANSWERS
    if command[0] in verbs
]


@pytest.mark.parametrize(("far_end", "command", "answer"), sampled(5, PARTS))
def test_one_signal_ends_a_command_whatever_part_of_an_answer_hangs(
    far_end: str,
    command: tuple[str, ...],
    answer: str,
    warm: Warm,
    cli: Cli,
    sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fresh(cli, sandbox)
    part = ANSWERS[answer]
    with server(part or b"", accepts=part is not None) as (port, called):
        url = f"http://127.0.0.1:{port}"
        if far_end == "platform":
            monkeypatch.setenv("PICSELLIA_CUSTOM_ENV", url)
        elif far_end == "registry":
            edit(cli, "config.toml", f'image_name = "{sandbox.registry}', f'image_name = "127.0.0.1:{port}')
        else:
            use(Bucket("", {"GOOGLE_BASE_URL": url, "GOOGLE_BEARER_TOKEN": "not-a-secret"}), monkeypatch)
            monkeypatch.setenv("RECONCILER_STATE", "gs://records/team")
        run = warm.start(command, cli.folder, environment=PATIENT, grace=GRACE)
        until(lambda: is_over(run) or (called.is_set() if part is not None else is_connecting(run, port)))
        assert not is_over(run), run.err.read_text()
        ends_with_one_signal(warm, run, signal_for(far_end, command, answer))
