"""The sandbox's control API under `/_sandbox`: switches, the request log, reset.

All calls require the control token as `Authorization: Bearer TOKEN`; reads also accept `?token=TOKEN`.
Changes require a JSON object as their body, `{}` if there are no arguments.

GET, PATCH /_sandbox/switches     read the switches; change some of them
POST /_sandbox/faults             add a fault rule
GET, DELETE /_sandbox/requests    read the request log (?since=N); clear it
POST /_sandbox/reset              restore the initial data and switches
"""

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from providers.sandbox.bodies import read_json
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
        on_change: called after a change of the switches.
        reset: called after a reset of switches and log; restores the data.
    """

    def __init__(
        self,
        panel: Panel,
        log: RequestLog,
        token: str,
        on_change: Callable[[], None],
        reset: Callable[[], None],
    ) -> None:
        self._panel = panel
        self._token = token
        self._log = log
        self._on_change = on_change
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
        return self._apply(body, self._panel.change)

    def _add_fault(self, body: dict[str, Any]) -> Response:
        return self._apply(body, self._panel.add_fault)

    def _apply(self, body: dict[str, Any], change: Callable[[dict[str, Any]], None]) -> Response:
        try:
            change(body)
        except ValidationError as error:
            detail = error.errors(include_url=False, include_context=False, include_input=False)
            raise PlatformError(422, "Unknown switch or invalid value", detail) from error
        except (ValueError, TypeError) as error:
            raise PlatformError(422, "Invalid body", str(error)) from error
        self._on_change()
        return JSONResponse(self._panel.as_json())

    def _read_requests(self, request: Request) -> Response:
        since = request.query_params.get("since", "0")
        if not since.isdecimal():
            raise PlatformError(422, "since must be the number of a request")
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
    """The JSON object in the body; the content type must be JSON too. Raises PlatformError."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise PlatformError(415, "The control API requires Content-Type: application/json")
    try:
        body = read_json(await request.body())
    except ValueError as error:
        raise PlatformError(422, "Invalid body", str(error)) from error
    if not isinstance(body, dict):
        raise PlatformError(422, "Invalid body", "a JSON object is required; {} if there are no arguments")
    return body
