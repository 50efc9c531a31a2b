"""The web server: uvicorn, extended to cut connections, to report readiness and to stop at once.

The only module that extends uvicorn's classes, through their documented hooks.
"""

import asyncio
import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from providers.sandbox.traffic import CUT


class CuttableProtocol(HttpToolsProtocol):
    """HTTP/1.1 that lets the app cut the connection before the first byte of a response."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        app = self.app

        async def with_cut(scope: Any, receive: Any, send: Any) -> None:
            await app({**scope, CUT: self.transport.abort}, receive, send)

        self.app = with_cut


class QuietServer(uvicorn.Server):
    """A server that calls back when it is ready, and stops without waiting for clients."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start listening, then call back."""
        await super().startup(sockets)
        self._on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Cut open connections, including requests that hang on purpose, then stop."""
        for connection in list(self.server_state.connections):
            if isinstance(connection, CuttableProtocol):
                connection.transport.abort()
        await asyncio.sleep(0)
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on Ctrl-C, SIGTERM and SIGHUP. Unlike uvicorn's own, does not raise them again afterwards."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
        before = {(number := signal.Signals[name]): signal.signal(number, self.handle_exit) for name in names}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def make_server(app: ASGIApp, on_ready: Callable[[], None]) -> QuietServer:
    """A server for `app` that logs only the app's errors."""
    config = uvicorn.Config(
        app,
        http=CuttableProtocol,
        ws="none",
        lifespan="off",
        loop="asyncio",
        log_config=None,
        log_level=logging.ERROR,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=300,
        timeout_graceful_shutdown=5,
    )
    return QuietServer(config, on_ready)
