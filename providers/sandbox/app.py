"""Puts the sandbox together: one ASGI app that answers as the platform, as a registry, and as itself."""

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
from providers.sandbox.traffic import RequestLog, Traffic, told


def build_app(settings: Settings, database: sqlite3.Connection, folder: Path) -> ASGIApp:
    """The whole sandbox as an ASGI app.

    Args:
        settings: host, organizations, tokens, switches and whether to seed count.
        database: from `store.open_database`; the caller closes it after the app has stopped.
        folder: where blobs are kept.
    """
    panel, log = Panel(settings.switches), RequestLog()
    objects, images = Objects(database), Images(database, folder)
    platform_calls = PlatformCalls(objects, dict(settings.tokens), settings.organizations)
    newer_shown: bool | None = None

    def switched() -> None:
        nonlocal newer_shown
        wanted = panel.switches.unknown_enums
        if wanted != newer_shown:
            platform_calls.show_newer_objects(wanted)
            newer_shown = wanted

    def seed() -> None:
        if settings.seed_base:
            seed_base_image(images)
        switched()

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
            *ControlCalls(panel, log, settings.control_token, switched, reset).routes(),
        ],
        exception_handlers={
            HTTPException: _no_such_call,
            PlatformError: _platform_error,
            RegistryError: _registry_error,
        },
    )
    app.router.redirect_slashes = False
    return Guard(Traffic(app, panel, log), settings.host, told)


async def _platform_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, PlatformError)
    return platform.error_answer(error)


async def _registry_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RegistryError)
    return registry.error_answer(error)


async def _no_such_call(request: Request, error: Exception) -> Response:
    """A path or a method that does not exist, in the form of the service it was asked of."""
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.scope['path']}: {error.detail}"
    if request.scope["path"].startswith("/v2"):
        return registry.error_answer(RegistryError(error.status_code, "UNSUPPORTED", message))
    return platform.error_answer(PlatformError(error.status_code, message))
