"""Runs the sandbox: binds the port, serves until told to stop, leaves nothing open.

Prints nothing and configures no logging. The web framework is imported when a server is made, not before.
"""

import contextlib
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from providers.sandbox.settings import Settings

if TYPE_CHECKING:
    import uvicorn


class SandboxError(Exception):
    """The sandbox did not start, or refused one of our own calls.

    Args:
        message: what happened.
        status: the HTTP status of the refusal; None when there was none.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Address:
    """Where a sandbox listens."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """The platform's address, `http://host:port`."""
        return f"http://{self.host}:{self.port}"

    @property
    def registry(self) -> str:
        """The registry's name as image references spell it; Docker allows plain HTTP on localhost."""
        return f"localhost:{self.port}" if self.host == "127.0.0.1" else f"{self.host}:{self.port}"


def serve(settings: Settings | None = None, *, on_ready: Callable[[Address], None] | None = None) -> None:
    """Serve until SIGINT or SIGTERM, then clean up and return; a second SIGINT does not wait for requests.

    Args:
        settings: what to serve; a sandbox in a temporary folder on a free port when left out.
        on_ready: called once requests are answered.

    Raises:
        OSError: the port is taken, or the folder cannot be used.
    """
    with running_server(settings or Settings(), on_ready) as (server, listener):
        server.run(sockets=[listener])


class BackgroundServer:
    """A sandbox on a thread of this process.

    Args:
        settings: what to serve.

    Raises:
        OSError: the port is taken, or the folder cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        ready = threading.Event()
        with ExitStack() as opening:
            server, listener = opening.enter_context(running_server(settings, lambda _: ready.set()))
            self.address = _address(listener)
            self.process_id = os.getpid()
            self._server = server
            self._thread = threading.Thread(
                target=server.run, kwargs={"sockets": [listener]}, name="sandbox", daemon=True
            )
            self._thread.start()
            while not ready.wait(0.05):
                if not self._thread.is_alive():
                    raise OSError("the sandbox's server could not start")
            self._open = opening.pop_all()

    def stop(self) -> None:
        """Stop serving and clean up; requests that are being answered lose their connection."""
        with self._open:
            self._server.should_exit = True
            self._thread.join()


@contextlib.contextmanager
def running_server(
    settings: Settings, on_ready: Callable[[Address], None] | None
) -> Iterator[tuple["uvicorn.Server", socket.socket]]:
    """A server and its socket, ready to run; files and socket are closed on the way out."""
    from providers.sandbox.app import build_app
    from providers.sandbox.protocol import make_server
    from providers.sandbox.store import open_database

    with ExitStack() as closing:
        folder = settings.path or Path(
            closing.enter_context(tempfile.TemporaryDirectory(prefix="picsellia-sandbox-"))
        )
        listener = closing.enter_context(_listen(settings.host, settings.port))
        database = closing.enter_context(contextlib.closing(open_database(folder)))
        address = _address(listener)
        app = build_app(settings, database, folder)
        yield make_server(app, lambda: on_ready(address) if on_ready else None), listener


def _listen(host: str, port: int) -> socket.socket:
    # The protocol is named because asyncio disables Nagle's algorithm only then; else an answer takes 40 ms.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener


def _address(listener: socket.socket) -> Address:
    host, port = listener.getsockname()[:2]
    return Address(host, port)
