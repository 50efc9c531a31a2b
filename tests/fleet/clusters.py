"""A Dask cluster on loopback addresses: a real scheduler, and real workers."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.waits import until

DASK = str(Path(sys.executable).with_name("dask"))


class Cluster:
    """A scheduler, and workers that tests start and end.

    Args:
        logs: an empty folder.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self.workers: list[subprocess.Popen[bytes]] = []
        arguments = ("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        self.scheduler, said = self._start(*arguments, ready=r"Scheduler at: +tcp://(\S+)")
        self.address = said[1]

    @property
    def url(self) -> str:
        return f"dask://{self.address}"

    def worker(self, folder: Path, **variables: str) -> "subprocess.Popen[bytes]":
        """Start a worker in a folder; returns once it is registered."""
        arguments = ("worker", f"tcp://{self.address}", "--no-nanny", "--no-dashboard", "--nthreads", "2")
        process, _ = self._start(*arguments, ready="Registered to", cwd=folder, env=os.environ | variables)
        self.workers.append(process)
        return process

    def _start(
        self, *arguments: str, ready: str, **options: Any
    ) -> "tuple[subprocess.Popen[bytes], re.Match[str]]":
        log = self._logs / f"{len(list(self._logs.iterdir()))}.log"
        with log.open("wb") as written:
            process = subprocess.Popen([DASK, *arguments], stderr=written, **options)
        until(lambda: process.poll() is not None or re.search(ready, log.read_text()) is not None)
        found = re.search(ready, log.read_text())
        assert found is not None, log.read_text()
        return process, found

    def end(self) -> None:
        self.end_workers()
        self.scheduler.kill()
        self.scheduler.wait()

    def end_workers(self) -> None:
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self.workers.clear()
