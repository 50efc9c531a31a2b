"""Run one command, and kill all processes that it started when it ends or stdin is closed.

`runner` starts it as a script in our own interpreter. It has no dependencies and imports nothing of the
pipeline. On Linux it adopts each descendant whose parent ended ("child subreaper", prctl(2)), so it can also
kill a process that detached itself with two forks and a session of its own. On other systems it kills the
command's process group, which such a process has left.

The command may end this program. For that case, on Linux, it consists of two processes that do the same: the
parent of the command, and the parent of that one, which adopts all that is left when its child ends.

The command may end both. For that case its processes have a mark, by which the runner finds and kills them:
a limit that each process inherits, and that has no effect since Linux 2.4, is set to a number of the run.
Unlike a variable, it also reaches a process that is started with an empty environment. A shell with a lower
limit (`ulimit -x`) prevents it, and a process may lower its own.

It ends like the command: with its exit status, or by its signal.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_RLIMIT_LOCKS = 10  # asm-generic/resource.h; getrlimit(2): "file locks" are not limited any more
_PATIENCE = 5.0  # seconds; a process in uninterruptible sleep (disk I/O) cannot be killed


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends (Linux only)."""
    if sys.platform == "linux":
        import ctypes

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


def new_mark() -> int:
    """A number for the processes of one run; one that also fits into the limits of a 32-bit system."""
    return (1 << 30) + int.from_bytes(os.urandom(3), "big")


def mark_descendants(mark: int) -> None:
    """Mark this process and all that it starts from now on (Linux only)."""
    if sys.platform == "linux":
        import resource

        with contextlib.suppress(OSError, ValueError):  # a lower limit is set already
            resource.setrlimit(_RLIMIT_LOCKS, (mark, mark))


def end_marked(mark: int) -> None:
    """Kill every process with this mark, until none is left (Linux only)."""
    deadline, empty_searches = time.monotonic() + _PATIENCE, 0
    while sys.platform == "linux" and empty_searches < 3 and time.monotonic() < deadline:
        found = False
        # The newest ones first: a process that lives for a moment only is otherwise gone when it is its turn.
        for pid in sorted(map(int, filter(str.isdigit, os.listdir("/proc"))), reverse=True):  # noqa: PTH208
            if _has_mark(pid, mark):
                found = True
                with contextlib.suppress(ProcessLookupError, PermissionError):  # PermissionError: sudo
                    os.kill(pid, signal.SIGKILL)
        empty_searches = 0 if found else empty_searches + 1
        time.sleep(0.0005)


def _has_mark(pid: int, mark: int) -> bool:
    """Whether this is a process with the mark that has not ended; ended ones may wait for their parent."""
    try:
        with open(f"/proc/{pid}/limits", encoding="ascii") as limits:  # noqa: PTH123
            is_marked = any(line.startswith("Max file locks") and f" {mark} " in line for line in limits)
        return is_marked and _status(pid)[0] not in ("Z", "X")
    except (OSError, IndexError):
        return False


def _children() -> list[int]:
    own = os.getpid()
    try:
        with open(f"/proc/self/task/{own}/children", encoding="ascii") as children:  # noqa: PTH123
            return [int(pid) for pid in children.read().split()]
    except OSError:  # a kernel without CONFIG_PROC_CHILDREN
        return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if _parent(pid) == own]  # noqa: PTH208


def _parent(pid: int) -> int | None:
    try:
        return int(_status(pid)[1])
    except (OSError, IndexError):
        return None


def _status(pid: int) -> list[str]:
    """The state, the parent and the other fields of /proc/PID/stat after the name."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as status:  # noqa: PTH123
        return status.read().rpartition(") ")[2].split()


def _end_with_stdin(group: int) -> None:
    """Kill the command when stdin closes: the runner has ended, or stops the command."""
    with contextlib.suppress(OSError):
        while os.read(0, 1):
            pass
    _kill_group(group)


def _kill_group(group: int) -> None:
    # PermissionError: macOS, only zombies left
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def main(pipe: int, mark: int, command: list[str]) -> int:
    """Run `command`, which inherits `pipe`. Returns its exit status, or minus the number of its signal."""
    adopt_orphans()
    mark_descendants(mark)
    parent = None
    if sys.platform == "linux":
        reading, parent = os.pipe()
        child = os.fork()
        if child:
            os.close(pipe)
            os.close(parent)
            status = _wait_for(child)
            _wait_for_adopted(int(os.read(reading, 32) or 0))
            end_children()
            return status
        os.setsid()  # so that no signal to its group reaches its parent
        adopt_orphans()
    return _run(pipe, command, parent)


def _wait_for_adopted(command: int) -> None:
    """Wait until this command has ended, or stdin is closed, if a child has left it."""
    with contextlib.suppress(ChildProcessError):  # it has ended with the child
        while command and not os.waitpid(command, os.WNOHANG)[0]:
            if select.select([0], [], [], 0.005)[0] and not os.read(0, 1):
                return


def _wait_for(child: int) -> int:
    """The exit status of a child, or minus the number of its signal. One that is stopped is continued."""
    while True:
        _, status = os.waitpid(child, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            return os.waitstatus_to_exitcode(status)
        os.kill(child, signal.SIGCONT)


def _run(pipe: int, command: list[str], parent: int | None) -> int:
    """As `main`, in the parent of the command, whose number is written to this pipe."""
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
    if parent is not None:
        os.write(parent, str(process.pid).encode())
    threading.Thread(target=_end_with_stdin, args=(process.pid,), daemon=True).start()
    status = process.wait()
    _kill_group(process.pid)
    if sys.platform == "linux":
        end_children()
    return status


if __name__ == "__main__":
    status = main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
    if status < 0:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if -status != signal.SIGKILL:
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(max(status, 0))
