"""A signal ends a command also if it comes at a moment at which it ends no wait of the main thread.

That is just before the main thread begins to wait, or when the system delivers it to another thread. The
other thread stands for both: Python notes the signal there, and the main thread goes on waiting.
"""

import signal
import subprocess
import sys

import pytest

from reconciler.starting import INTERRUPTIONS

WAITING = """
import signal, sys, threading, time
from concurrent.futures import Future
from reconciler.cli.interruption import bounded

def get_signal():
    time.sleep(0.2)
    signal.pthread_kill(threading.get_ident(), int(sys.argv[2]))
    time.sleep(600)

locked = threading.Lock()
locked.acquire()
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where tests run in the background
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ignored after `nohup`
waits = {
    "lock": locked.acquire,
    "event": threading.Event().wait,
    "future": Future().result,
    "thread": lambda: thread.join(),
}
thread = threading.Thread(target=get_signal, daemon=True)
try:
    with bounded():
        thread.start()
        waits[sys.argv[1]]()
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.parametrize("number", INTERRUPTIONS)
@pytest.mark.parametrize("wait", ["lock", "event", "future", "thread"])
def test_it_ends_every_wait(wait: str, number: signal.Signals) -> None:
    command = [sys.executable, "-c", WAITING, wait, str(int(number))]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (0, "interrupted\n"), ended.stderr
