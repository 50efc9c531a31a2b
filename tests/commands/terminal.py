"""Runs the command line in a pseudo-terminal, and answers its prompts."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.waits import PATIENCE


class Terminal:
    """A running command.

    Attributes:
        shown: the output so far, without colours.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", screen: int) -> None:
        self._process = process
        self._screen = screen
        self._read = 0
        self.shown = ""

    def expect(self, text: str) -> None:
        """Wait for this text, after the text of the last call."""
        while (at := self.shown.find(text, self._read)) < 0:
            assert self._more(), f"the command ended without {text!r}:\n{self.shown}"
        self._read = at + len(text)

    def answer(self, line: str) -> None:
        """Type a line after the next prompt. Hidden input discards earlier input."""
        self.expect("> ")
        self.type(line)

    def type(self, line: str) -> None:
        """Type a line at once."""
        os.write(self._screen, f"{line}\n".encode())

    def interrupt(self, *, at_prompt: bool = True) -> None:
        """Press Ctrl-C, at a prompt once the process reads: CPython misses a signal between prompt and read.

        Between them, it may wait for its own lock, and on a busy machine for long.
        """
        calm = 0
        while at_prompt and calm < 10:
            calm = calm + 1 if self._is_calm() else 0
            time.sleep(0.01)
        os.write(self._screen, b"\x03")

    def close(self) -> None:
        """Close the window. The system signals the command, whose output goes nowhere from then on."""
        os.close(self._screen)
        self._screen = os.open(os.devnull, os.O_RDONLY)

    def _is_calm(self) -> bool:
        """Whether the main thread waits, and not for a lock, as the kernel has it, or has ended."""
        process = Path(f"/proc/{self._process.pid}")
        state = process.joinpath("stat").read_text().rpartition(") ")[2][0]
        return state == "Z" or (state == "S" and "futex" not in process.joinpath("wchan").read_text())

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def is_running(self) -> bool:
        return self._process.poll() is None

    def wait(self) -> int:
        """Wait for the end of a command whose window is closed, and return the exit code."""
        return self._process.wait(PATIENCE)

    def end(self) -> int:
        """Wait for the end and return the exit code."""
        while self._more():
            pass
        return self._process.wait(PATIENCE)

    def _more(self) -> bool:
        ready, _, _ = select.select([self._screen], [], [], PATIENCE)
        assert ready, f"no more output, and no end:\n{self.shown}"
        try:
            data = os.read(self._screen, 65536)
        except OSError:  # Linux: the process has closed its end
            return False
        self.shown += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", data.decode(errors="replace")).replace("\r", "")
        return bool(data)


@contextmanager
def terminal(
    *arguments: str, cwd: Path, environment: Mapping[str, str], columns: str = "120"
) -> Iterator[Terminal]:
    """`reconciler` with these arguments in a pseudo-terminal."""
    screen, inside = pty.openpty()
    # Ctrl-C arrives also if the tests run in the background of a shell, where it is ignored.
    command = [
        "env",
        "--default-signal=INT,HUP",
        "setsid",
        "--ctty",
        sys.executable,
        "-m",
        "reconciler",
        *arguments,
    ]
    env = {**environment, "TERM": "xterm", "COLUMNS": columns, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(command, cwd=cwd, env=env, stdin=inside, stdout=inside, stderr=inside) as process:
        os.close(inside)
        try:
            yield (running := Terminal(process, screen))
        finally:
            process.kill()
            process.wait()
            os.close(running._screen)
