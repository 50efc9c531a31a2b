"""Runs a command against a sandbox, and measures both: seconds of wall and of processor time, and requests.

Knows no subject. Platform and registry are a sandbox in a process of its own on the same machine, so its
processor time is taken from the same cores.
"""

import ctypes
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from providers.sandbox import Sandbox

ROOT = Path(__file__).parents[1]
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a command: seconds of wall and processor time, of ours and of the sandbox, and bytes at most.

    Attributes:
        load: processes that wanted a core in the minute before, without ours.
    """

    name: str
    code: int
    requests: int
    refused: int
    seconds: float
    ours: float
    sandbox: float
    memory: int
    load: float

    def bound(self, latency: float, parallel: int) -> float:
        """Seconds that the requests take, so many at once."""
        return self.requests * latency / parallel


def user(sandbox: Sandbox, state: Path) -> dict[str, str]:
    """The environment of a user of the sandbox whose state is in this file."""
    return {
        "PICSELLIA_TOKEN": sandbox.token,
        "PICSELLIA_ORGANIZATION": sandbox.organization,
        "PICSELLIA_ENV": "CUSTOM",
        "PICSELLIA_CUSTOM_ENV": sandbox.url,
        "RECONCILER_STATE": str(state),
    }


def measured(name: str, sandbox: Sandbox, folder: Path, command: Sequence[str]) -> Run:
    """Run `reconciler` with these arguments in the folder. It must succeed."""
    _adopt_orphans()
    sandbox.clear_requests()
    load = os.getloadavg()[0]
    before, began = processor_time(sandbox), time.monotonic()
    with (folder.parent / "out").open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "reconciler", *command],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    ours = _computed(usage) + sum(map(_computed, _rest_of(process.pid)))
    requests = sandbox.requests()
    run = Run(
        name,
        os.waitstatus_to_exitcode(status),
        len(requests),
        sum(request["status"] == 429 for request in requests),
        seconds,
        ours,
        processor_time(sandbox) - before,
        usage.ru_maxrss * 1024,
        load,
    )
    print(run, file=sys.stderr, flush=True)
    assert run.code == 0, (folder.parent / "out").read_text()[-2000:]
    return run


def _adopt_orphans() -> None:
    """From now on, this process is the parent of what its children leave behind (Linux: prctl(2))."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _computed(usage: resource.struct_rusage) -> float:
    return usage.ru_utime + usage.ru_stime


def _rest_of(group: int) -> Iterator[resource.struct_rusage]:
    """What processes of the command used that it did not wait for, such as the one that forks its workers."""
    while True:
        try:
            yield os.wait4(-group, 0)[2]
        except ChildProcessError:
            return


def processor_time(sandbox: Sandbox) -> float:
    """Seconds that the sandbox's process has computed so far."""
    fields = Path(f"/proc/{sandbox.process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
