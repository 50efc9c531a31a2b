"""Runs a sandbox in a separate process. `__main__` is the code of that process."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict

from providers.sandbox.server import Address, SandboxError
from providers.sandbox.settings import Settings


class ChildServer:
    """A sandbox in a separate process, which stops when this process ends for any reason.

    Args:
        settings: passed through a pipe, so tokens do not appear in the process list.

    Raises:
        SandboxError: it did not start; the message has the end of its error output.
    """

    def __init__(self, settings: Settings) -> None:
        # A file, as a full pipe would block the process.
        self._stderr = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "providers.sandbox"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            start_new_session=True,  # Ctrl-C in the terminal must reach this process only
        )
        assert self._process.stdin and self._process.stdout
        folder = None if settings.folder is None else os.fspath(settings.folder)
        self._process.stdin.write(json.dumps({**asdict(settings), "folder": folder}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._process.communicate()
            self._stderr.seek(0)
            output = self._stderr.read().strip()[-2000:]
            self._stderr.close()
            raise SandboxError(f"the sandbox did not start: {output}")
        self.address = Address(**json.loads(line))
        self.process_id = self._process.pid

    def stop(self) -> None:
        """Stop the process and wait for its end."""
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()
        self._stderr.close()
