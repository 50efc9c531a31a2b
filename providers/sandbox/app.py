"""Builds the sandbox's ASGI app from the platform, the registry and the control API."""

import sqlite3
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from providers.sandbox import platform, registry
from providers.sandbox.control import ControlCalls
from providers.sandbox.guard import Guard
from providers.sandbox.images import Images, seed_base_image
from providers.sandbox.panel import Panel
from providers.sandbox.platform import PlatformCalls, PlatformError
from providers.sandbox.registry import RegistryCalls, RegistryError
from providers.sandbox.settings import Settings
from providers.sandbox.store import Objects
from providers.sandbox.traffic import RequestLog, Traffic, error_body


def build_app(settings: Settings, database: sqlite3.Connection, folder: Path) -> ASGIApp:
    """The sandbox as an ASGI app.

    Args:
        settings: host, organizations, tokens, switches and seed_base apply.
        database: from `store.open_database`; the caller closes it after the app has stopped.
        folder: the folder for blobs.
    """
    panel, log = Panel(settings.switches), RequestLog()
    objects, images = Objects(database), Images(database, folder)
    platform_calls = PlatformCalls(objects, dict(settings.tokens), settings.organizations)
    newer_shown: bool | None = None

    def apply_switches() -> None:
        nonlocal newer_shown
        unknown_enums = panel.switches.unknown_enums
        if unknown_enums != newer_shown:
            platform_calls.show_newer_objects(unknown_enums)
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
    app = Starlette(
        routes=[
            *platform_calls.routes(),
            *RegistryCalls(images, dict(settings.tokens)).routes(),
            *ControlCalls(panel, log, settings.control_token, apply_switches, reset).routes(),
        ],
        exception_handlers={
            HTTPException: _unknown_call,
            PlatformError: _platform_error,
            RegistryError: _registry_error,
        },
    )
    app.router.redirect_slashes = False
    return Guard(Traffic(app, panel, log), settings.host, error_body)


async def _platform_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, PlatformError)
    return platform.error_response(error)


async def _registry_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RegistryError)
    return registry.error_response(error)


async def _unknown_call(request: Request, error: Exception) -> Response:
    """The error for an unknown path or method, in the format of the path's service."""
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.scope['path']}: {error.detail}"
    if request.scope["path"].startswith("/v2"):
        return registry.error_response(RegistryError(error.status_code, "UNSUPPORTED", message))
    return platform.error_response(PlatformError(error.status_code, message))
