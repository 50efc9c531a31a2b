"""Runs a command, and writes what it used as JSON to a file descriptor.

A process of its own, and a small one: Linux counts the memory of the process that starts a command as the
command's, too.
"""

import ctypes
import json
import os
import sys
import time

_PR_SET_CHILD_SUBREAPER = 36


def main(report: int, *command: str) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)  # the parent of what the command leaves behind
    os.setpgid(0, 0)
    began = time.monotonic()
    child = os.posix_spawnp(command[0], command, os.environ)
    _, status, used = os.wait4(child, 0)
    seconds = time.monotonic() - began
    parts = [used]
    try:
        while True:  # what the command did not wait for, such as the process that forks its workers
            parts.append(os.wait4(0, 0)[2])
    except ChildProcessError:
        pass
    found = {
        "code": os.waitstatus_to_exitcode(status),
        "seconds": seconds,
        "computed": sum(part.ru_utime + part.ru_stime for part in parts),
        "memory": max(part.ru_maxrss for part in parts) * 1024,
    }
    os.write(report, json.dumps(found).encode())


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
