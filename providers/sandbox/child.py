"""A sandbox in a process of its own, seen from the process that wants it; the other end is `__main__`."""

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
    """A sandbox in a process of its own. It stops with this one, however this one ends.

    Args:
        settings: what to serve; they go through a pipe, so that no token is seen among the running commands.

    Raises:
        SandboxError: it did not start; the message is the end of what it said.
    """

    def __init__(self, settings: Settings) -> None:
        # A file, because a pipe that nobody empties stops its writer.
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "-m", "providers.sandbox"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            start_new_session=True,  # a Ctrl-C in the terminal is for this process to handle
        )
        assert self._process.stdin and self._process.stdout
        folder = None if settings.folder is None else os.fspath(settings.folder)
        self._process.stdin.write(json.dumps({**asdict(settings), "folder": folder}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            self._process.communicate()
            self._said.seek(0)
            said = self._said.read().strip()[-2000:]
            self._said.close()
            raise SandboxError(f"the sandbox did not start: {said}")
        self.address = Address(**json.loads(line))
        self.process_id = self._process.pid

    def stop(self) -> None:
        """Stop it and wait for its end."""
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()
        self._said.close()
