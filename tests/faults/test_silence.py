"""A server that accepts a request and does not answer is announced: in a log by lines, and on a terminal."""

import io
import re
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from providers import bounded, waits
from providers.docker.registry.client import RegistryClient
from providers.docker.registry.connection import ConnectionPool
from providers.errors import ProviderError
from providers.picsellia.platform import Platform
from providers.protocol import Progress
from providers.rate_limit import REFUSAL_STATUSES, RateLimiter
from providers.sandbox import Sandbox
from providers.waits import SILENCE, Backoff, Repeat, Silence, SilenceEnd
from reconciler.core.events import Notice, ServerDelay, StepProgress
from reconciler.core.values import Address
from reconciler.views.terminal.console import console
from reconciler.views.terminal.live_renderer import LiveRenderer
from reconciler.views.terminal.progress import ProgressView
from state.errors import StoreUnavailableError
from state.stores.objects import Objects
from state.stores.watcher import Watcher
from tests.conftest import Cli, copy_example
from tests.state.gcs import Gcs
from tests.state.servers import Bucket, use

LIMIT = 0.6  # seconds; RECONCILER_TIMEOUT
STEP = 0.1  # seconds between two announcements of one silence
Heard = list[ServerDelay]


@pytest.fixture(autouse=True)
def impatient(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECONCILER_TIMEOUT", str(LIMIT))
    monkeypatch.setattr(bounded, "SILENCE", STEP)


def platform(sandbox: Sandbox, heard: Heard) -> Platform:
    return Platform(
        sandbox.url, sandbox.token, sandbox.organization, limiter=RateLimiter(announce=heard.append)
    )


def registry(sandbox: Sandbox, heard: Heard) -> RegistryClient:
    pool = ConnectionPool(RateLimiter(announce=heard.append))
    return RegistryClient(f"{sandbox.registry}/team/app", pause=lambda _: None, pool=pool)


def read_platform(sandbox: Sandbox, heard: Heard) -> Callable[[], Any]:
    signed_in = platform(sandbox, heard)
    return lambda: signed_in.get("/api/home/ping")


def write_platform(sandbox: Sandbox, heard: Heard) -> Callable[[], Any]:
    signed_in = platform(sandbox, heard)
    return lambda: signed_in.post("/api/nothing", {})


def read_registry(sandbox: Sandbox, heard: Heard) -> Callable[[], Any]:
    client = registry(sandbox, heard)
    return lambda: client.digest("latest")


def write_registry(sandbox: Sandbox, heard: Heard) -> Callable[[], Any]:
    client = registry(sandbox, heard)
    return lambda: client.put_manifest("latest", "application/json", b"{}")


CALLS = {
    "platform, read": (read_platform, "^/api/", 3),
    "platform, write": (write_platform, "^/api/", 1),
    "registry, read": (read_registry, "^/v2/", 4),
    "registry, write": (write_registry, "^/v2/", 1),
}
"""How it is called, what of it hangs, and how many attempts there are in all."""


def server_of(sandbox: Sandbox, path: str) -> str:
    return sandbox.registry if path == "^/v2/" else sandbox.url.partition("//")[2]


@pytest.mark.parametrize("name", CALLS)
def test_a_server_that_hangs_is_announced_at_each_attempt(name: str, sandbox: Sandbox) -> None:
    prepare, path, attempts = CALLS[name]
    heard: Heard = []
    call, server = prepare(sandbox, heard), server_of(sandbox, path)
    sandbox.fail("*", path, "hang", times=None)
    with pytest.raises(ProviderError):
        call()
    again = [Repeat(server, LIMIT, attempt, attempts) for attempt in range(2, attempts + 1)]
    silences = [event for event in heard if isinstance(event, Silence)]
    assert [event for event in heard if event not in silences] == again, "nothing else"
    assert heard[0] == Silence(server, STEP, LIMIT), "before the first attempt is over"
    for earlier, later in pairwise(heard):
        if isinstance(earlier, Silence) and isinstance(later, Silence):
            assert earlier.seconds < later.seconds < LIMIT


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
def test_a_server_without_a_connection_is_not_called_silent(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        server = f"{host}:{unused.getsockname()[1]}"
    heard: Heard = []
    limiter = RateLimiter(announce=heard.append)
    with pytest.raises(ProviderError):
        Platform(f"http://{server}", "token", "my-org", limiter=limiter).get("/api/home/ping")
    assert set(heard) == {Repeat(server, 0.0, 2, 2)}


@pytest.mark.parametrize("name", [name for name in CALLS if "read" in name])
def test_the_end_of_a_silence_is_announced_once(name: str, sandbox: Sandbox) -> None:
    prepare, path, attempts = CALLS[name]
    heard: Heard = []
    call, server = prepare(sandbox, heard), server_of(sandbox, path)
    sandbox.fail("*", path, "hang", times=1)
    call()
    call()
    assert heard[-2:] == [Repeat(server, LIMIT, 2, attempts), SilenceEnd(server)]
    assert heard.count(SilenceEnd(server)) == 1


@pytest.mark.parametrize("name", CALLS)
def test_a_server_that_answers_is_not_announced(name: str, sandbox: Sandbox) -> None:
    heard: Heard = []
    call = CALLS[name][0](sandbox, heard)
    try:
        call()
    except ProviderError:
        pass
    assert [event for event in heard if isinstance(event, Repeat)] == []


@pytest.mark.parametrize("path", ["^/api/", "^/v2/"], ids=["platform", "registry"])
def test_a_plan_says_which_server_does_not_answer(cli: Cli, sandbox: Sandbox, path: str) -> None:
    copy_example("single_training", cli.folder, sandbox.registry)
    sandbox.fail("*", path, "hang", times=None)
    ended = cli("plan", "single_training", "--exit-code")
    server = re.escape(server_of(sandbox, path))
    assert ended.code == 13
    first = re.search(f"^{server}: no answer for 0.. s, waiting up to 0.6 s$", ended.err, re.MULTILINE)
    again = re.search(rf"^{server}: no answer for 0.6 s, trying again \(2 of \d\)$", ended.err, re.MULTILINE)
    error = ended.err.find("error:")
    assert first and again and first.start() < again.start() < error, ended.err


@pytest.mark.parametrize("path", ["^/api/", "^/v2/"], ids=["platform", "registry"])
@pytest.mark.parametrize("status", [status for status in REFUSAL_STATUSES if status != 429])
def test_a_server_that_is_unavailable_is_not_called_rate_limited(
    cli: Cli, sandbox: Sandbox, path: str, status: int
) -> None:
    copy_example("single_training", cli.folder, sandbox.registry)
    sandbox.fail("*", path, status, times=1)
    ended = cli("plan", "single_training")
    assert ended.code == 0, ended.err
    assert f"{server_of(sandbox, path)}: answers {status}, next try in 0.3 s" in ended.err
    assert "rate limited" not in ended.err


@pytest.fixture
def hung_bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a bucket whose server accepts connections and does not answer."""
    monkeypatch.setattr(waits, "SILENCE", STEP)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        use(Bucket("", {"GOOGLE_BASE_URL": url, "GOOGLE_BEARER_TOKEN": "not-a-secret"}), monkeypatch)
        monkeypatch.setenv("RECONCILER_STATE", "gs://records/team")
        yield "gs://records/team"


BUCKET_REQUESTS: dict[str, Callable[[Objects], object]] = {
    "get": lambda bucket: bucket.get("a"),
    "put": lambda bucket: bucket.put("a", b""),
    "swap": lambda bucket: bucket.swap("a", b"", None),
    "names": lambda bucket: bucket.names("a"),
    "folders": lambda bucket: bucket.folders(),
}


@pytest.mark.parametrize("name", BUCKET_REQUESTS)
def test_a_bucket_that_hangs_is_announced(name: str, hung_bucket: str) -> None:
    heard: list[float | None] = []
    with pytest.raises(StoreUnavailableError, match="does not respond"):
        BUCKET_REQUESTS[name](Objects(hung_bucket, patience=LIMIT, watcher=Watcher(heard.append, STEP)))
    assert heard[:2] == [STEP, 2 * STEP]
    assert heard[-1] is None and heard.count(None) == 1


@pytest.mark.parametrize(
    "command",
    [
        ("plan", "single_training"),
        ("apply", "single_training", "--yes"),
        ("drift", "single_training"),
        ("status", "single_training"),
        ("image", "single_training"),
        ("list", "--stale"),
        ("plan", "--all", "--stale"),
        ("state", "list"),
        ("state", "show", "single_training"),
        ("state", "unlock", "my-org@STAGING/single_training"),
        ("state", "copy", "gs://records/team", "elsewhere.db"),
    ],
    ids=" ".join,
)
def test_each_command_says_which_bucket_does_not_answer(
    command: tuple[str, ...], hung_bucket: str, cli: Cli, sandbox: Sandbox
) -> None:
    copy_example("single_training", cli.folder, sandbox.registry)
    ended = cli(*command)
    assert ended.code in (1, 13), ended.err
    announced = f"{hung_bucket}: no answer for 0.1 s, waiting up to 0.6 s"
    assert announced in ended.err.splitlines(), ended.err
    assert ended.err.find(announced) < ended.err.find(f"error: the state store {hung_bucket}")


def test_a_bucket_that_answers_is_not_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[float | None] = []
    with Gcs("records") as server:
        use(Bucket("", {"GOOGLE_BASE_URL": server.url, "GOOGLE_BEARER_TOKEN": "not-a-secret"}), monkeypatch)
        bucket = Objects("gs://records/team", watcher=Watcher(heard.append, SILENCE))
        bucket.put("a/b", b"")
        assert bucket.names("a") == ["b"]
    assert heard == []


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


LINES: dict[str, ServerDelay] = {
    "h: rate limited, next try in 1 s": Backoff("h", 429, 1.0),
    "h: rate limited, next try in 0.3 s": Backoff("h", 429, 0.3),
    "h: answers 503, next try in 2 s": Backoff("h", 503, 2.0),
    "h: no answer for 10 s, waiting up to 60 s": Silence("h", 10.0, 60.0),
    "h: no answer for 60 s, trying again (2 of 3)": Repeat("h", 60.0, 2, 3),
    "h: no connection, trying again (2 of 3)": Repeat("h", 0.0, 2, 3),
}


@pytest.mark.parametrize("line", LINES)
def test_a_log_has_one_line_for_all_requests_that_wait(line: str) -> None:
    log, clock = io.StringIO(), Clock()
    with ProgressView(console(log), clock) as watch:
        for second in range(100):  # one request a second begins to wait
            clock.now = second / 10
            watch(LINES[line])
        watch(SilenceEnd("h"))
    assert log.getvalue().splitlines()[0] == line
    assert len(log.getvalue().splitlines()) <= 2


def test_a_long_silence_is_a_line_every_ten_seconds() -> None:
    log, clock = io.StringIO(), Clock()
    with ProgressView(console(log), clock) as watch:
        for attempt in (1, 2):
            for seconds in range(10, 60, 10):
                clock.now = (attempt - 1) * 60 + seconds + 0.01 * (seconds % 20)  # never quite on time
                watch(Silence("h", seconds, 60.0))
            clock.now = attempt * 60.0
            watch(Repeat("h", 60.0, attempt + 1, 3))
    waiting = [f"h: no answer for {seconds} s, waiting up to 60 s" for seconds in range(10, 60, 10)]
    assert log.getvalue().splitlines() == [
        *waiting,
        "h: no answer for 60 s, trying again (2 of 3)",
        *waiting,
        "h: no answer for 60 s, trying again (3 of 3)",
    ]


def test_a_terminal_is_left_as_it_was_after_bars_and_announcements() -> None:
    before = sys.stdout
    moving = StepProgress(Address.parse("image/reg.io/app"), Progress("push", "abc", "", 1, 40, "bytes"))
    with ProgressView(Console(file=io.StringIO(), force_terminal=True, width=100)) as watch:
        for event in (
            moving,
            Silence("h", 10.0, 60.0),
            moving,
            Silence("h", 20.0, 60.0),
            SilenceEnd("h"),
            moving,
        ):
            watch(event)
    assert sys.stdout is before


def test_a_terminal_counts_down_until_the_answer_comes() -> None:
    screen, clock = io.StringIO(), Clock()
    terminal = Console(file=screen, force_terminal=True, width=100, color_system=None)
    watch = LiveRenderer(terminal, clock)
    try:
        watch(Silence("h", 10.0, 60.0))
        watch(Silence("other", 10.0, 60.0))
        watch(SilenceEnd("h"))
        assert {str(task.description) for task in watch._notes.tasks} == {"other: no answer for 10 s"}
        watch(SilenceEnd("other"))
        watch(SilenceEnd("never announced"))
        assert watch._notes.tasks == []
    finally:
        watch.pause()
    assert "h: no answer for 10 s waiting up to 50 s" in screen.getvalue()


@pytest.mark.parametrize("problem", [KeyboardInterrupt, None])
def test_nothing_follows_the_word_of_an_interruption(problem: type[BaseException] | None) -> None:
    """A thread that is left behind may still report something."""
    log = io.StringIO()
    view = ProgressView(Console(file=log, width=100))
    with suppress(KeyboardInterrupt), view:
        if problem is not None:
            raise problem
    view(Notice("late"))
    assert log.getvalue() == ("" if problem else "late\n")
