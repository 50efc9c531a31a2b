"""The sandbox's own calls, under `/_sandbox`: switches, the request log, reset.

All of them need the control token, as `Authorization: Bearer TOKEN`; a read takes `?token=TOKEN` as well. A
change needs a JSON object as its body, `{}` where there is nothing to say.

GET, PATCH /_sandbox/switches     read them; change some of them
POST /_sandbox/faults             add one rule of failure
GET, DELETE /_sandbox/requests    the request log (?since=N); clear it
POST /_sandbox/reset              everything back to how it was at the start
"""

import json
import re
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from providers.sandbox.guard import check_token
from providers.sandbox.panel import Panel
from providers.sandbox.platform import PlatformError
from providers.sandbox.traffic import RequestLog


class ControlCalls:
    """The handlers.

    Args:
        panel: the switches.
        log: the request log.
        token: the control token.
        switched: called after the switches changed.
        reset: called after switches and log were reset; puts the data back.
    """

    def __init__(
        self,
        panel: Panel,
        log: RequestLog,
        token: str,
        switched: Callable[[], None],
        reset: Callable[[], None],
    ) -> None:
        self._panel = panel
        self._token = token
        self._log = log
        self._switched = switched
        self._reset = reset

    def routes(self) -> list[Route]:
        """Every call under `/_sandbox`."""
        return [
            self._read("/_sandbox/switches", self._read_switches),
            self._write("PATCH", "/_sandbox/switches", self._change_switches),
            self._write("POST", "/_sandbox/faults", self._add_fault),
            self._read("/_sandbox/requests", self._read_requests),
            self._write("DELETE", "/_sandbox/requests", self._clear_requests),
            self._write("POST", "/_sandbox/reset", self._reset_all),
        ]

    def _read(self, path: str, handler: Callable[[Request], Response]) -> Route:
        async def handle(request: Request) -> Response:
            check_token(request.headers, request.query_params, self._token, reads=True)
            return handler(request)

        return Route(path, handle, methods=["GET"])

    def _write(self, method: str, path: str, handler: Callable[[dict[str, Any]], Response]) -> Route:
        async def handle(request: Request) -> Response:
            check_token(request.headers, request.query_params, self._token, reads=False)
            return handler(await _body(request))

        return Route(path, handle, methods=[method])

    def _read_switches(self, request: Request) -> Response:
        return JSONResponse(self._panel.as_json())

    def _change_switches(self, body: dict[str, Any]) -> Response:
        return self._turn(body, self._panel.change)

    def _add_fault(self, body: dict[str, Any]) -> Response:
        return self._turn(body, self._panel.add_fault)

    def _turn(self, body: dict[str, Any], change: Callable[[dict[str, Any]], None]) -> Response:
        try:
            change(body)
        except ValidationError as error:
            detail = error.errors(include_url=False, include_context=False, include_input=False)
            raise PlatformError(422, "The sandbox has no such switch, or not this value", detail) from error
        except (ValueError, TypeError, re.error) as error:
            raise PlatformError(422, "The sandbox cannot read this", str(error)) from error
        self._switched()
        return JSONResponse(self._panel.as_json())

    def _read_requests(self, request: Request) -> Response:
        since = request.query_params.get("since", "0")
        if not since.isdecimal():
            raise PlatformError(422, "since is a request's number")
        return JSONResponse({"items": self._log.since(int(since))})

    def _clear_requests(self, body: dict[str, Any]) -> Response:
        self._log.clear()
        return Response(status_code=204)

    def _reset_all(self, body: dict[str, Any]) -> Response:
        self._panel.reset()
        self._log.clear()
        self._reset()
        return Response(status_code=204)


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object that a request carries, and says that it is one. Raises PlatformError."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise PlatformError(415, "The sandbox's own calls take Content-Type: application/json")
    try:
        body = json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        raise PlatformError(422, "The sandbox cannot read this", str(error)) from error
    if not isinstance(body, dict):
        raise PlatformError(422, "The sandbox cannot read this", "a JSON object is needed, {} for nothing")
    return body
