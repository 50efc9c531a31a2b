"""The server process of `Sandbox(subprocess=True)`: settings on stdin, the address on stdout.

Stops when stdin ends.
"""

import json
import os
import signal
import sys
import threading
from dataclasses import asdict

from pydantic import TypeAdapter

from providers.sandbox.server import Address, serve
from providers.sandbox.settings import Settings


def main() -> None:
    """Serve with the settings from stdin, until the parent process closes the pipe or ends."""
    settings = TypeAdapter(Settings).validate_json(sys.stdin.readline())

    def stop_with_parent() -> None:
        os.read(sys.stdin.fileno(), 1)
        os.kill(os.getpid(), signal.SIGTERM)

    def print_address(address: Address) -> None:
        sys.stdout.write(json.dumps(asdict(address)) + "\n")
        sys.stdout.flush()
        threading.Thread(target=stop_with_parent, daemon=True).start()

    serve(settings, on_ready=print_address)


if __name__ == "__main__":
    main()
