"""The outermost layer of the app: path resolution, the request log, latency and faults.

Independent of the content of requests.
"""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from providers.sandbox.panel import Panel
from providers.sandbox.settings import Fault, Switches

# Marks a request of another user: it is not logged, and switches do not apply to it.
ASIDE_HEADER = "x-sandbox-aside"
# Scope key of the function that cuts the connection, set by the server's protocol.
CUT = "sandbox.cut"
_MAX_ENTRIES = 100_000


class RequestLog:
    """The newest requests, oldest first. Numbers continue when old entries are dropped."""

    def __init__(self) -> None:
        self._entries: deque[dict[str, Any]] = deque(maxlen=_MAX_ENTRIES)
        self._last = 0

    def open(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Add a request; the caller completes the returned entry."""
        self._last += 1
        entry = {"number": self._last, **entry}
        self._entries.append(entry)
        return entry

    def since(self, number: int) -> list[dict[str, Any]]:
        """The requests after the one with this number; 0 for all."""
        return [entry for entry in self._entries if entry["number"] > number]

    def clear(self) -> None:
        """Remove all requests."""
        self._entries.clear()


class Traffic:
    """An ASGI app in front of another one.

    Args:
        app: the app that handles requests.
        environment: the name of its environment.
        panel: the switches.
        log: the request log; tokens are never logged.
    """

    def __init__(self, app: ASGIApp, environment: str, panel: Panel, log: RequestLog) -> None:
        self._app = app
        self._environment = environment
        self._panel = panel
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, or apply a fault to it."""
        path = resolve(scope["raw_path"].decode("ascii"))
        aside = any(key == ASIDE_HEADER.encode() for key, _ in scope["headers"])
        switches = Switches() if aside else self._panel.switches
        scope = {**scope, "path": path, "sandbox.switches": switches, "sandbox.aside": aside}
        if aside or path.startswith("/_sandbox"):
            await self._app(scope, receive, send)
            return
        await self._handle(scope, receive, send, switches)

    async def _handle(self, scope: Scope, receive: Receive, send: Send, switches: Switches) -> None:
        method, path = scope["method"], scope["path"]
        service = _service(path)
        environment = self._environment if service == "platform" else None
        fault = self._panel.next_fault(method, path, environment)
        entry = self._log.open(
            {
                "service": service,
                "environment": environment,
                "method": method,
                "path": path,
                "query": scope["query_string"].decode("ascii"),
                "status": None,
                "size": 0,
                "body": None,
                "fault": fault.action if fault else None,
            }
        )

        async def receive_counted() -> Message:
            message = await receive()
            entry["size"] += len(message.get("body", b""))
            return message

        async def send_logged(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry["status"] = message["status"]
            await send(message)

        incoming: Receive = receive_counted
        if service == "platform" or fault is not None:
            content = await _read(receive_counted)
            incoming = _replay(content, receive_counted)
            if service == "platform":
                entry["body"] = _decode(content)
        if switches.latency:
            await asyncio.sleep(switches.latency)
        if fault is None:
            await self._app(scope, incoming, send_logged)
        else:
            await self._fail(fault, receive_counted, scope, incoming, send_logged)

    async def _fail(
        self, fault: Fault, connection: Receive, scope: Scope, receive: Receive, send: Send
    ) -> None:
        # The body has been read, so the connection can only deliver its end.
        if fault.action == "hang":
            response = await self._process(scope, receive) if fault.after else None
            if not await _stays_connected(connection, fault.seconds):
                return
            if response is None:
                await self._app(scope, receive, send)
            for message in response or ():
                await send(message)
            return
        if fault.after or fault.action == "drop-after":
            await self._process(scope, receive)
        if isinstance(fault.action, int):
            content = error_body(scope["path"], f"a fault rule of the sandbox returned {fault.action}")
            await JSONResponse(content, fault.action, dict(fault.headers))(scope, receive, send)
            return
        scope[CUT]()
        await _stays_connected(connection, None)

    async def _process(self, scope: Scope, receive: Receive) -> list[Message]:
        """Process the request and return the response without sending it."""
        messages: list[Message] = []

        async def collect(message: Message) -> None:
            messages.append(message)

        await self._app(scope, receive, collect)
        return messages


def resolve(raw: str) -> str:
    """The effective path of a request: `.` and `..` resolved, no trailing slash on a platform path.

    Client libraries and proxies resolve dots before they send a URL, so deleting an input named `..` deletes
    its processing. Percent-encoding is kept: `a%2Fb` stays one name, and so does `%2E%2E` from clients that
    send it unchanged.
    """
    segments: list[str] = []
    for segment in raw.split("/")[1:]:
        if segment == "..":
            del segments[-1:]
        elif segment != ".":
            segments.append(segment)
    path = "/" + "/".join(segments)
    return path.rstrip("/") if path.startswith("/api/") else path


def _service(path: str) -> str:
    return "registry" if path.startswith("/v2") else "platform"


def error_body(path: str, message: str) -> dict[str, Any]:
    """The body of an error in the format of the path's service."""
    if _service(path) == "registry":
        return {"errors": [{"code": "UNKNOWN", "message": message, "detail": None}]}
    return {"message": message, "detail": None}


async def _read(receive: Receive) -> bytes:
    content = b""
    more = True
    while more:
        message = await receive()
        content += message.get("body", b"")
        more = message.get("more_body", False)
    return content


def _replay(content: bytes, receive: Receive) -> Callable[[], Awaitable[Message]]:
    pending = [content]

    async def replay() -> Message:
        if pending:
            return {"type": "http.request", "body": pending.pop(), "more_body": False}
        return await receive()

    return replay


async def _stays_connected(connection: Receive, seconds: float | None) -> bool:
    """Wait. Returns True after `seconds`, or False as soon as the client disconnects."""
    try:
        async with asyncio.timeout(seconds):
            while (await connection())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return True
    return False


def _decode(content: bytes) -> Any:
    if not content:
        return None
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return content.decode("utf-8", "replace")
