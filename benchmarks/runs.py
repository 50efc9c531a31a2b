"""Runs a command against a sandbox, and measures both: seconds of wall and of processor time, and requests.

Knows no subject. Platform and registry are a sandbox in a process of its own on the same machine, so its
processor time is taken from the same cores.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from providers.sandbox import Sandbox

ROOT = Path(__file__).parents[1]
_CHILD = Path(__file__).with_name("child.py")


@dataclass(frozen=True, slots=True)
class Used:
    """What a command took: seconds on the clock and of processors, and bytes of memory.

    Attributes:
        computed: of all its processes.
        memory: of the largest of its processes, at its peak.
    """

    seconds: float
    computed: float
    memory: int


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a command: seconds of wall and processor time, of ours and of the sandbox, and bytes of memory.

    Attributes:
        memory: of the largest of its processes, at its peak.
        load: processes that wanted a core in the minute before, without ours.
    """

    name: str
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
    sandbox.clear_requests()
    load = os.getloadavg()[0]
    before = processor_time(sandbox)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    used = use([sys.executable, "-m", "reconciler", *command], folder, environment)
    requests = sandbox.requests()
    run = Run(
        name,
        len(requests),
        sum(request["status"] == 429 for request in requests),
        used.seconds,
        used.computed,
        processor_time(sandbox) - before,
        used.memory,
        load,
    )
    print(run, file=sys.stderr, flush=True)
    return run


def use(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Used:
    """Run a command in the folder. It must succeed."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as report:
        done = subprocess.run(
            [sys.executable, "-S", "-E", str(_CHILD), str(writing), *command],
            cwd=folder,
            env=environment,
            pass_fds=(writing,),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        os.close(writing)
        found = json.loads(report.read() or "{}")
    if found.pop("code", -1):
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout[-2000:]}")
    return Used(**found)


def highest_memory() -> int:
    """Bytes of memory of this process at its peak, without those of the process that started it."""
    status = Path("/proc/self/status").read_text("ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")) * 1024


def processor_time(sandbox: Sandbox) -> float:
    """Seconds that the sandbox's process has computed so far."""
    fields = Path(f"/proc/{sandbox.process_id}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
