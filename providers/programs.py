"""Runs other programs: each has an end in time and in size, and is among what a run waits for.

A program runs in a process group of its own: Ctrl-C in a terminal reaches reconciler only, and the program
can be ended together with everything that it started. Whatever still runs when reconciler ends is killed.
"""

import atexit
import contextlib
import os
import select
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from providers.waits import pending

_TERM_TIMEOUT = 5  # seconds between SIGTERM and SIGKILL

MAX_OUTPUT = 1 << 20
"""Bytes that a program may print, on both of its outputs together, unless its caller allows more."""

_GRACE = (
    0.2  # seconds for the output of a program that has ended, while something that it started has it open
)
_INTERVAL = 0.1  # seconds after which the end of such a program is noticed
_WRITTEN = 1 << 16  # bytes of input at once
_PIPE = 1 << 20  # bytes; no pipe holds more unless the system's administrator allows it

_running: set["subprocess.Popen[bytes]"] = set()


class ProgramError(Exception):
    """A program had to be ended; the text is the reason without the program: "did not answer in time"."""


def run_program(
    command: Sequence[str],
    *,
    name: str,
    timeout: float,
    input: bytes = b"",
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    most: int = MAX_OUTPUT,
) -> "subprocess.CompletedProcess[bytes]":
    """Run a program to its end, with its output.

    What it started and left in its process group is killed, and its answer does not wait for that.

    Args:
        name: what is shown while a run waits for it.
        timeout: seconds after which it is killed with everything that it started.
        input: its standard input.
        folder: its working directory; None for the current one.
        environment: its variables; None for those of this process.
        most: bytes of output after which it is killed.

    Raises:
        OSError: it cannot be started.
        ProgramError: it did not end in time, or printed too much.
    """
    with pending(name):
        process = start_program(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            # Windows cannot wait for several pipes, so there the size has no limit.
            communicate = _communicate if hasattr(select, "poll") else _communicate_without_limit
            output, errors = communicate(process, input, timeout, most)
        except subprocess.TimeoutExpired:
            raise ProgramError(f"did not answer within {timeout:g} seconds") from None
        finally:
            end_program(process, at_once=True)
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def too_much(most: int) -> ProgramError:
    """The error for a program that printed more than so many bytes."""
    return ProgramError(f"printed more than {most >> 20} MiB")


def _communicate_without_limit(
    process: "subprocess.Popen[bytes]", input: bytes, timeout: float, most: int
) -> tuple[bytes, bytes]:
    return process.communicate(input, timeout)


def _communicate(
    process: "subprocess.Popen[bytes]", input: bytes, timeout: float, most: int
) -> tuple[bytes, bytes]:
    """The output and the errors of a program. Raises ProgramError and subprocess.TimeoutExpired."""
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    deadline, has_ended, rest = time.monotonic() + timeout, False, memoryview(input)
    printed = {pipe.fileno(): bytearray() for pipe in (process.stdout, process.stderr)}
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdin, selectors.EVENT_WRITE)
        for descriptor in printed:
            selector.register(descriptor, selectors.EVENT_READ)
        os.set_blocking(process.stdin.fileno(), False)
        open_pipes = {*printed}
        while open_pipes:
            if not has_ended and process.poll() is not None:  # all that it printed itself is in the pipes
                has_ended, deadline = True, min(deadline, time.monotonic() + _GRACE)
            remaining = deadline - time.monotonic()
            for key, _ in selector.select(max(0.0, remaining if has_ended else min(remaining, _INTERVAL))):
                if key.fd not in printed:
                    rest = _write(process.stdin, rest)
                    if not rest:
                        selector.unregister(process.stdin)
                        process.stdin.close()
                    continue
                part = os.read(key.fd, _PIPE)
                printed[key.fd] += part
                if not part:
                    selector.unregister(key.fd)
                    open_pipes.discard(key.fd)
            if sum(map(len, printed.values())) > most:
                raise too_much(most)
            if remaining <= 0:
                if has_ended:
                    break
                raise subprocess.TimeoutExpired(process.args, timeout)
    process.wait(max(0.0, deadline - time.monotonic()))
    output, errors = map(bytes, printed.values())
    return output, errors


def _write(pipe: IO[bytes], content: memoryview) -> memoryview:
    """Write as much as fits. Returns the rest; empty if the program reads no more."""
    try:
        return content[os.write(pipe.fileno(), content[:_WRITTEN]) :]
    except BlockingIOError:
        return content
    except BrokenPipeError:
        return content[:0]


def start_program(command: Sequence[str], **options: Any) -> "subprocess.Popen[bytes]":
    """Start a program in its own process group, to be ended by `end_program`.

    Args:
        options: those of `subprocess.Popen`.

    Raises:
        OSError: it cannot be started.
    """
    process: subprocess.Popen[bytes] = subprocess.Popen(command, start_new_session=True, **options)
    _running.add(process)
    return process


def end_program(process: "subprocess.Popen[bytes]", *, at_once: bool = False) -> None:
    """End the program, if it still runs, with everything in its process group, and close its pipes.

    Its group is what it started, except daemons that left it. It outlives a program that has ended.

    Args:
        at_once: kill it, without the time to clean up.
    """
    if process.poll() is None and not at_once:
        _signal_group(process, force=False)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_TERM_TIMEOUT)
    _signal_group(process, force=True)
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):  # it ended without reading all of its input
                pipe.close()
    _running.discard(process)


def end_children_with(process: "subprocess.Popen[bytes]") -> None:
    """Kill the rest of the program's group soon after its end, so that its output has an end, too."""

    def end_rest() -> None:
        process.wait()
        time.sleep(_GRACE)
        if process in _running:
            _signal_group(process, force=True)

    threading.Thread(target=end_rest, daemon=True).start()


def end_programs() -> None:
    """Kill all running programs at once. For a process that is about to exit."""
    for process in list(_running):
        _signal_group(process, force=True)


atexit.register(end_programs)


def _signal_group(process: "subprocess.Popen[bytes]", *, force: bool) -> None:
    with contextlib.suppress(OSError):  # it has already ended
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL if force else signal.SIGTERM)
        else:
            process.kill()
