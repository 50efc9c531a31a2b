"""Runs the sandbox: binds the port, serves until it is stopped, and closes everything.

Prints nothing and configures no logging. The web framework is imported only when a server is created.
"""

import contextlib
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from providers.sandbox.settings import Settings

if TYPE_CHECKING:
    import uvicorn


class SandboxError(Exception):
    """The sandbox did not start, or refused a call of this package.

    Args:
        message: description of the problem.
        status: the HTTP status of the refusal; None without a response.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Address:
    """The address of a sandbox.

    Args:
        host: the address that it listens on.
        port: the port of the registry, and of the first environment's platform.
        ports: the port of each environment's platform, by the environment's name.
    """

    host: str
    port: int
    ports: Mapping[str, int] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """The first platform's URL, `http://host:port`."""
        return f"http://{self.host}:{self.port}"

    def url_of(self, environment: str) -> str:
        """The URL of one environment's platform."""
        return f"http://{self.host}:{self.ports[environment]}"

    @property
    def registry(self) -> str:
        """The registry's name in image names; Docker allows plain HTTP on localhost."""
        return f"localhost:{self.port}" if self.host == "127.0.0.1" else f"{self.host}:{self.port}"


def serve(settings: Settings | None = None, *, on_ready: Callable[[Address], None] | None = None) -> None:
    """Serve until SIGINT or SIGTERM, then clean up and return; a second SIGINT does not wait for requests.

    Args:
        settings: the settings; by default a temporary folder and a free port.
        on_ready: called when the server is ready.

    Raises:
        OSError: the port is in use, or the folder cannot be used.
    """
    with running_server(settings or Settings(), on_ready) as (server, listeners, _):
        server.run(sockets=listeners)


class BackgroundServer:
    """A sandbox in a thread of this process.

    Args:
        settings: the settings.

    Raises:
        OSError: the port is in use, or the folder cannot be used.
    """

    def __init__(self, settings: Settings) -> None:
        ready = threading.Event()
        with ExitStack() as stack:
            server, listeners, self.address = stack.enter_context(
                running_server(settings, lambda _: ready.set())
            )
            self.process_id = os.getpid()
            self._server = server
            self._thread = threading.Thread(
                target=server.run, kwargs={"sockets": listeners}, name="sandbox", daemon=True
            )
            self._thread.start()
            while not ready.wait(0.05):
                if not self._thread.is_alive():
                    raise OSError("the sandbox's server could not start")
            self._open = stack.pop_all()

    def stop(self) -> None:
        """Stop the server and clean up; open requests lose their connection."""
        with self._open:
            self._server.should_exit = True
            self._thread.join()


@contextlib.contextmanager
def running_server(
    settings: Settings, on_ready: Callable[[Address], None] | None
) -> Iterator[tuple["uvicorn.Server", list[socket.socket], Address]]:
    """A server, its sockets and its address, ready to run; files and sockets are closed at the end."""
    from providers.sandbox.app import build_app
    from providers.sandbox.protocol import make_server
    from providers.sandbox.store import named_errors, open_database

    with ExitStack() as stack:
        folder = settings.path or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="picsellia-sandbox-"))
        )
        served = settings.served()
        listeners = [stack.enter_context(_listen(settings.host, one.port)) for one in served]
        database = stack.enter_context(contextlib.closing(open_database(folder)))
        host = listeners[0].getsockname()[0]
        ports = {one.name: listener.getsockname()[1] for one, listener in zip(served, listeners, strict=True)}
        address = Address(host, ports[served[0].name], ports)
        with named_errors(folder):
            app = build_app(settings, ports, address.registry, database, folder)
        yield make_server(app, lambda: on_ready(address) if on_ready else None), listeners, address


def _listen(host: str, port: int) -> socket.socket:
    # With an explicit protocol, asyncio disables Nagle's algorithm; otherwise a response takes 40 ms.
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
