"""What happens to a request before and after it is answered: the path, the log, latency and failures.

The outermost layer of the app. Knows nothing of what a request asks for.
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

# A request with this header is somebody else's: it is not logged, and no switch changes its course.
ASIDE_HEADER = "x-sandbox-aside"
# In the scope: a function that cuts the connection; put there by the server's protocol.
CUT = "sandbox.cut"
_KEPT = 100_000


class RequestLog:
    """The newest requests, oldest first; numbers go on counting when old ones are let go."""

    def __init__(self) -> None:
        self._entries: deque[dict[str, Any]] = deque(maxlen=_KEPT)
        self._last = 0

    def open(self, entry: dict[str, Any]) -> dict[str, Any]:
        """Add a request; the caller goes on filling the entry in."""
        self._last += 1
        entry = {"number": self._last, **entry}
        self._entries.append(entry)
        return entry

    def since(self, number: int) -> list[dict[str, Any]]:
        """The requests that came after the one with this number; 0 for all."""
        return [entry for entry in self._entries if entry["number"] > number]

    def clear(self) -> None:
        """Forget all requests."""
        self._entries.clear()


class Traffic:
    """An ASGI app in front of another one.

    Args:
        app: what answers.
        panel: the switches.
        log: where requests are written down, never with a token.
    """

    def __init__(self, app: ASGIApp, panel: Panel, log: RequestLog) -> None:
        self._app = app
        self._panel = panel
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or fail it as told."""
        path = resolve(scope["raw_path"].decode("ascii"))
        aside = any(key == ASIDE_HEADER.encode() for key, _ in scope["headers"])
        switches = Switches() if aside else self._panel.switches
        scope = {**scope, "path": path, "sandbox.switches": switches, "sandbox.aside": aside}
        if aside or path.startswith("/_sandbox"):
            await self._app(scope, receive, send)
            return
        await self._logged(scope, receive, send, switches)

    async def _logged(self, scope: Scope, receive: Receive, send: Send, switches: Switches) -> None:
        method, path = scope["method"], scope["path"]
        fault = self._panel.due(method, path)
        service = _service(path)
        entry = self._log.open(
            {
                "service": service,
                "method": method,
                "path": path,
                "query": scope["query_string"].decode("ascii"),
                "status": None,
                "size": 0,
                "body": None,
                "fault": fault.action if fault else None,
            }
        )

        async def wire() -> Message:
            message = await receive()
            entry["size"] += len(message.get("body", b""))
            return message

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry["status"] = message["status"]
            await send(message)

        incoming: Receive = wire
        if service == "platform" or fault is not None:
            content = await _read(wire)
            incoming = _replay(content, wire)
            if service == "platform":
                entry["body"] = _decoded(content)
        if switches.latency:
            await asyncio.sleep(switches.latency)
        if fault is None:
            await self._app(scope, incoming, noted)
        else:
            await self._fail(fault, wire, scope, incoming, noted)

    async def _fail(self, fault: Fault, wire: Receive, scope: Scope, receive: Receive, send: Send) -> None:
        # The body was read already: all that can still come over the wire is the end of the connection.
        if fault.action == "hang":
            answer = await self._work(scope, receive) if fault.after else None
            if not await _stays(wire, fault.seconds):
                return
            if answer is None:
                await self._app(scope, receive, send)
            for message in answer or ():
                await send(message)
            return
        if fault.after or fault.action == "drop-after":
            await self._work(scope, receive)
        if isinstance(fault.action, int):
            content = told(scope["path"], f"the sandbox was told to answer {fault.action}")
            await JSONResponse(content, fault.action, dict(fault.headers))(scope, receive, send)
            return
        scope[CUT]()
        await _stays(wire, None)

    async def _work(self, scope: Scope, receive: Receive) -> list[Message]:
        """Do what the request asks for, and keep the answer back."""
        kept: list[Message] = []

        async def keep(message: Message) -> None:
            kept.append(message)

        await self._app(scope, receive, keep)
        return kept


def resolve(raw: str) -> str:
    """The path that a request reaches: `.` and `..` resolved, no slash at the end of a platform path.

    Client libraries and proxies do that to a URL before anybody sees it, which is how an input called `..`
    turns its own deletion into that of the processing. Percent-encoding is kept, so that `a%2Fb` stays one
    name; `%2E%2E` is a name too, for the clients that send it as it is.
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


def told(path: str, message: str) -> dict[str, Any]:
    """An error in the form of the service that was asked."""
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
    waiting = [content]

    async def replay() -> Message:
        if waiting:
            return {"type": "http.request", "body": waiting.pop(), "more_body": False}
        return await receive()

    return replay


async def _stays(wire: Receive, seconds: float | None) -> bool:
    """Wait; True when the client is still there after that many seconds, False as soon as it has gone."""
    try:
        async with asyncio.timeout(seconds):
            while (await wire())["type"] != "http.disconnect":
                pass
    except TimeoutError:
        return True
    return False


def _decoded(content: bytes) -> Any:
    if not content:
        return None
    try:
        return json.loads(content)
    except ValueError:
        return content.decode("utf-8", "replace")
