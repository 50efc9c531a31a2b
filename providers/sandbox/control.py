"""The sandbox's own calls, under `/_sandbox`: switches, the request log, reset. They need no token.

GET, PATCH /_sandbox/switches     read them; change some of them
POST /_sandbox/faults             add one rule of failure
GET, DELETE /_sandbox/requests    the request log (?since=N); clear it
POST /_sandbox/reset              everything back to how it was at the start
"""

import json
import re
from collections.abc import Callable

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from providers.sandbox.panel import Panel
from providers.sandbox.platform import PlatformError
from providers.sandbox.traffic import RequestLog


class ControlCalls:
    """The handlers.

    Args:
        panel: the switches.
        log: the request log.
        switched: called after the switches changed.
        reset: called after switches and log were reset; puts the data back.
    """

    def __init__(
        self, panel: Panel, log: RequestLog, switched: Callable[[], None], reset: Callable[[], None]
    ) -> None:
        self._panel = panel
        self._log = log
        self._switched = switched
        self._reset = reset

    def routes(self) -> list[Route]:
        """Every call under `/_sandbox`."""
        return [
            Route("/_sandbox/switches", self._read_switches, methods=["GET"]),
            Route("/_sandbox/switches", self._change_switches, methods=["PATCH"]),
            Route("/_sandbox/faults", self._add_fault, methods=["POST"]),
            Route("/_sandbox/requests", self._read_requests, methods=["GET"]),
            Route("/_sandbox/requests", self._clear_requests, methods=["DELETE"]),
            Route("/_sandbox/reset", self._reset_all, methods=["POST"]),
        ]

    async def _read_switches(self, request: Request) -> Response:
        return JSONResponse(self._panel.as_json())

    async def _change_switches(self, request: Request) -> Response:
        return await self._turn(request, self._panel.change)

    async def _add_fault(self, request: Request) -> Response:
        return await self._turn(request, self._panel.add_fault)

    async def _turn(self, request: Request, change: Callable[[dict[str, object]], None]) -> Response:
        try:
            change(json.loads(await request.body()))
        except ValidationError as error:
            detail = error.errors(include_url=False, include_context=False, include_input=False)
            raise PlatformError(422, "The sandbox has no such switch, or not this value", detail) from error
        except (ValueError, TypeError, re.error) as error:
            raise PlatformError(422, "The sandbox cannot read this", str(error)) from error
        self._switched()
        return JSONResponse(self._panel.as_json())

    async def _read_requests(self, request: Request) -> Response:
        since = request.query_params.get("since", "0")
        if not since.isdecimal():
            raise PlatformError(422, "since is a request's number")
        return JSONResponse({"items": self._log.since(int(since))})

    async def _clear_requests(self, request: Request) -> Response:
        self._log.clear()
        return Response(status_code=204)

    async def _reset_all(self, request: Request) -> Response:
        self._panel.reset()
        self._log.clear()
        self._reset()
        return Response(status_code=204)
