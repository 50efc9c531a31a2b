"""Runs other programs: each has an end, and is among what a run waits for.

A program runs in a process group of its own: Ctrl-C in a terminal reaches reconciler only, and the program
can be ended together with everything that it started. Whatever still runs when reconciler ends is killed.
"""

import atexit
import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from providers.waits import pending

_TERM_TIMEOUT = 5  # seconds between SIGTERM and SIGKILL

_running: set["subprocess.Popen[bytes]"] = set()


def run_program(
    command: Sequence[str],
    *,
    name: str,
    timeout: float,
    input: bytes = b"",
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> "subprocess.CompletedProcess[bytes]":
    """Run a program to its end, with its output.

    Args:
        name: what is shown while a run waits for it.
        timeout: seconds after which it is killed with everything that it started.
        input: its standard input.
        folder: its working directory; None for the current one.
        environment: its variables; None for those of this process.

    Raises:
        OSError: it cannot be started.
        subprocess.TimeoutExpired: it did not end in time.
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
            output, errors = process.communicate(input, timeout)
        finally:
            end_program(process, at_once=True)
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


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
    """End the program, if it still runs, with everything that it started, and close its pipes.

    Args:
        at_once: kill it, without the time to clean up.
    """
    if process.poll() is None:
        _signal_group(process, force=at_once)
        try:
            process.wait(_TERM_TIMEOUT)
        except subprocess.TimeoutExpired:
            _signal_group(process, force=True)
            process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):  # it ended without reading all of its input
                pipe.close()
    _running.discard(process)


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
