"""Run one command, and kill all processes that it started when it ends or stdin is closed.

`runner` starts it as a script in our own interpreter. It has no dependencies and imports nothing of the
pipeline. On Linux it adopts each descendant whose parent ended ("child subreaper", prctl(2)), so it can also
kill a process that detached itself with two forks and a session of its own. On other systems it kills the
command's process group, which such a process has left.

It ends like the command: with its exit status, or by its signal.
"""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import threading
import time

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_PATIENCE = 5.0  # seconds; a process in uninterruptible sleep (disk I/O) cannot be killed


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_children() -> None:
    """Kill children until none is left; the children of a killed process become ours and are killed next."""
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
        with open(f"/proc/self/task/{own}/children", encoding="ascii") as children:  # noqa: PTH123
            return [int(pid) for pid in children.read().split()]
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _parent(pid) == own]  # noqa: PTH208


def _parent(pid: int) -> int | None:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as status:  # noqa: PTH123
            return int(status.read().rpartition(") ")[2].split()[1])
    except (OSError, IndexError):
        return None


def _end_with_stdin(group: int) -> None:
    """Kill the command when stdin closes: the runner has ended, or stops the command."""
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
    """Run `command`, which inherits `pipe`. Returns its exit status, or minus the number of its signal."""
    adopt_orphans()
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, pass_fds=(pipe,), start_new_session=True
        )
    except OSError as problem:
        os.write(
            pipe,
            json.dumps({"answer": "not-started", "problem": problem.strerror or str(problem)}).encode()
            + b"\n",
        )
        return 1
    os.close(pipe)
    threading.Thread(target=_end_with_stdin, args=(process.pid,), daemon=True).start()
    status = process.wait()
    _kill_group(process.pid)
    if sys.platform == "linux":
        end_children()
    return status


if __name__ == "__main__":
    status = main(int(sys.argv[1]), sys.argv[2:])
    if status < 0:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(max(status, 0))
