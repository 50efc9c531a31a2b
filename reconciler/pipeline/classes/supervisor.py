"""Runs one command, and ends everything that it started when it ends, or when the other end of stdin closes.

`runner` starts it as a script in our own interpreter. It has no dependencies and imports nothing of the
pipeline. On Linux it adopts each descendant whose parent ended ("child subreaper", prctl(2)), so it also ends
a process that detached itself with two forks and a session of its own. Elsewhere it ends the command's group
of processes, which such a process has left.

It ends as the command did: with its exit status, or by its signal.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_PATIENCE = 5.0  # seconds; a process that waits for a disk in the kernel cannot be ended at all


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends, where the system can do that."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_children() -> None:
    """Kill every child until there is none; the children of one that ends become ours, and are next."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        for pid in _children():
            with contextlib.suppress(ProcessLookupError, PermissionError):  # PermissionError: sudo
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.0005)


def _children() -> list[int]:
    own = os.getpid()
    try:
        with open(f"/proc/self/task/{own}/children", encoding="ascii") as listed:  # noqa: PTH123
            return [int(pid) for pid in listed.read().split()]
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _parent(pid) == own]  # noqa: PTH208


def _parent(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as told:  # noqa: PTH123
            return int(told.read().rpartition(") ")[2].split()[1])
    except (OSError, IndexError):
        return None


def _end_with_stdin(group: int) -> None:
    """End the command when whoever asked for it has gone, or wants no more of it."""
    with contextlib.suppress(OSError):
        while os.read(0, 1):
            pass
    _kill_group(group)


def _kill_group(group: int) -> None:
    with contextlib.suppress(
        ProcessLookupError, PermissionError
    ):  # PermissionError: macOS, only zombies left
        os.killpg(group, signal.SIGKILL)


def main(pipe: int, command: list[str]) -> int:
    """Run `command` with this pipe to write to; its exit status, or minus the number of its signal."""
    adopt_orphans()
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, pass_fds=(pipe,), start_new_session=True
        )
    except OSError as problem:
        os.write(pipe, json.dumps({"problem": problem.strerror or str(problem)}).encode() + b"\n")
        return 1
    os.close(pipe)
    threading.Thread(target=_end_with_stdin, args=(process.pid,), daemon=True).start()
    status = process.wait()
    _kill_group(process.pid)
    if sys.platform == "linux":
        end_children()
    return status


if __name__ == "__main__":
    ended = main(int(sys.argv[1]), sys.argv[2:])
    if ended < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if -ended != signal.SIGKILL:
            signal.signal(-ended, signal.SIG_DFL)
        os.kill(os.getpid(), -ended)
    os._exit(max(ended, 0))
