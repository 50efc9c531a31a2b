"""A process with everything imported, which forks a command line of ours in milliseconds.

Reads one JSON object per line and answers with one: `start` forks a run and gives its process id, `wait`
gives its exit code, or minus the signal that killed it. A run can be told to kill itself, and to wait at a
gate.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from zlib import crc32

from reconciler.starting import INTERRUPTIONS

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Death:
    """Where a run kills itself, as if somebody had pulled the plug.

    Attributes:
        at: "request" or "save".
        number: the k-th one, counted from 1.
        after: once it was answered or committed, instead of before it is sent or begun.
    """

    at: str
    number: int
    after: bool

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'} {self.at} {self.number}"


@dataclass(frozen=True)
class Run:
    """A run that was started; its output is in files, so that it can be read while it goes on."""

    pid: int
    out: Path
    err: Path

    @property
    def is_ended(self) -> bool:
        """Whether it has ended, and not been waited for yet."""
        return Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2][0] == "Z"

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)


class Warm:
    """The handle on such a process."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.warm"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._runs = 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()

    def start(
        self,
        arguments: Sequence[str],
        folder: Path,
        *,
        dies: Death | None = None,
        gate: Path | None = None,
        environment: Mapping[str, str] | None = None,
        grace: float | None = None,
        stdin: Path = Path(os.devnull),
    ) -> Run:
        """Fork a run at `folder`, in the environment of this process; it goes on by itself.

        Args:
            grace: seconds for running steps after Ctrl-C.
            stdin: the file that it reads.
        """
        self._runs += 1
        out, err = (folder / f".run-{self._runs}.{name}" for name in ("out", "err"))
        out.touch()
        err.touch()
        answer = self._ask(
            {
                "do": "start",
                "arguments": list(arguments),
                "folder": str(folder),
                "environment": {**os.environ, **(environment or {})},
                "in": str(stdin),
                "out": str(out),
                "err": str(err),
                "dies": [dies.at, dies.number, dies.after] if dies else None,
                "gate": str(gate) if gate else None,
                "grace": grace,
            }
        )
        return Run(answer["pid"], out, err)

    def wait(self, run: Run) -> int:
        """The exit code; minus the number of the signal that ended it."""
        code: int = self._ask({"do": "wait", "pid": run.pid})["code"]
        return code

    def _ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


def signal_for(*case: object) -> signal.Signals:
    """Ctrl-C, SIGTERM or SIGHUP: each ends a third of the cases, the same ones in every run."""
    return INTERRUPTIONS[crc32(" ".join(map(str, case)).encode()) % len(INTERRUPTIONS)]


def serve() -> None:
    _warm_up()
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["do"] == "start":
            pid = os.fork()
            if pid == 0:
                _run(asked)
            print(json.dumps({"pid": pid}), flush=True)
        else:
            _, status = os.waitpid(asked["pid"], 0)
            print(json.dumps({"code": os.waitstatus_to_exitcode(status)}), flush=True)


def _warm_up() -> None:
    """Import what an apply imports, and start no thread: only the one that forks lives on in the child."""
    for module in (
        "reconciler.cli.handlers.apply",
        "reconciler.cli.handlers.plan",
        "providers.docker.builders.append",
    ):
        import_module(module)

    _impatient()
    assert threading.active_count() == 1


def _impatient() -> None:
    import providers.retries

    providers.retries.FIRST_DELAY = 0.01


def _run(asked: Mapping[str, Any]) -> None:
    """The child: never returns."""
    code = 70
    try:
        for name, number in (("out", 1), ("err", 2)):
            os.dup2(os.open(asked[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
        os.dup2(os.open(asked["in"], os.O_RDONLY), 0)
        os.chdir(asked["folder"])
        os.environ.clear()
        os.environ.update(asked["environment"])
        signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in the background
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored after `nohup`
        sys.argv = ["reconciler", *asked["arguments"]]
        if asked["dies"]:
            _die(*asked["dies"])
        if asked["grace"] is not None:
            from reconciler.cli import interruption

            interruption.GRACE = asked["grace"]
        if asked["gate"]:
            Path(f"{asked['gate']}.{os.getpid()}").touch()
            with Path(asked["gate"]).open("rb") as gate:
                fcntl.flock(gate, fcntl.LOCK_SH)  # whoever made the gate keeps it shut until all are here
        from reconciler.cli import run

        code = run(asked["arguments"])
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _die(at: str, number: int, after: bool) -> None:
    """Let this process kill itself at a request to a far end, or at a save of the record."""
    from providers.bounded import BoundedAdapter
    from state.stores.sqlite import SqliteStore

    owner: Any = BoundedAdapter if at == "request" else SqliteStore
    name = "send" if at == "request" else "save"
    work: Callable[..., Any] = getattr(owner, name)
    counting = threading.Lock()
    seen = 0

    def counted(self: Any, *given: Any, **named: Any) -> Any:
        nonlocal seen
        with counting:
            seen += 1
            mine = seen
        if mine == number and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = work(self, *given, **named)
        if mine == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    setattr(owner, name, counted)


if __name__ == "__main__":
    serve()
