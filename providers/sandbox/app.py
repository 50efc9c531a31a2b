"""Builds the sandbox's ASGI app from the platforms, the registry and the control API."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from providers.sandbox import platform
from providers.sandbox import registry as registry_calls
from providers.sandbox.control import ControlCalls
from providers.sandbox.guard import Guard
from providers.sandbox.images import Images, seed_base_image
from providers.sandbox.panel import Panel
from providers.sandbox.platform import PlatformCalls, PlatformError
from providers.sandbox.registry import RegistryCalls, RegistryError, elsewhere
from providers.sandbox.settings import Settings
from providers.sandbox.store import Objects
from providers.sandbox.traffic import RequestLog, Traffic, error_body


def build_app(
    settings: Settings, ports: Mapping[str, int], registry: str, database: sqlite3.Connection, folder: Path
) -> ASGIApp:
    """The sandbox as an ASGI app.

    Args:
        settings: host, environments, organizations, tokens, switches and seed_base apply.
        ports: the port of each environment, by its name.
        registry: the registry in image names; the first environment's address.
        database: from `store.open_database`; the caller closes it after the app has stopped.
        folder: the folder for blobs.
    """
    panel, log = Panel(settings.switches), RequestLog()
    objects, images = Objects(database), Images(database, folder)
    served = {
        environment.name: PlatformCalls(objects, environment, settings.grants(environment))
        for environment in settings.served()
    }
    newer_shown: bool | None = None

    def apply_switches() -> None:
        nonlocal newer_shown
        unknown_enums = panel.switches.unknown_enums
        if unknown_enums != newer_shown:
            for calls in served.values():
                calls.show_newer_objects(unknown_enums)
            newer_shown = unknown_enums

    def seed() -> None:
        if settings.seed_base:
            seed_base_image(images)
        apply_switches()

    def reset() -> None:
        nonlocal newer_shown
        objects.clear()
        images.clear()
        newer_shown = None
        seed()

    seed()
    grants = {
        token: grant
        for environment in settings.served()
        for token, grant in settings.grants(environment).items()
    }
    registry_routes = RegistryCalls(images, grants).routes()
    control_routes = ControlCalls(panel, log, settings.control_token, apply_switches, reset).routes()
    apps: dict[int, ASGIApp] = {}
    for name, calls in served.items():
        app = Starlette(
            routes=[*calls.routes(), *registry_routes, *control_routes],
            exception_handlers={
                HTTPException: _unknown_call,
                PlatformError: _platform_error,
                RegistryError: _registry_error,
            },
        )
        app.router.redirect_slashes = False
        apps[ports[name]] = Traffic(app, name, panel, log)
        registry_routes = [elsewhere(registry)]

    async def by_port(scope: Scope, receive: Receive, send: Send) -> None:
        await apps[scope["server"][1]](scope, receive, send)

    return Guard(by_port, settings.host, error_body)


async def _platform_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, PlatformError)
    return platform.error_response(error)


async def _registry_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RegistryError)
    return registry_calls.error_response(error)


async def _unknown_call(request: Request, error: Exception) -> Response:
    """The error for an unknown path or method, in the format of the path's service."""
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.scope['path']}: {error.detail}"
    if request.scope["path"].startswith("/v2"):
        return registry_calls.error_response(RegistryError(error.status_code, "UNSUPPORTED", message))
    return platform.error_response(PlatformError(error.status_code, message))
