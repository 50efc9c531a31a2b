"""A Picsellia platform and an OCI registry on your own machine: one server, one port, loopback by default.

Several environments, each a platform with a port and organizations of its own, can share the registry.

For demos, tests and experiments. It implements the calls that the public SDK and the official CLI use. Where
the real platform's behaviour is not public, it implements one variant and offers the other as a switch. Tests
against the sandbox therefore prove nothing about the real platform.

    with Sandbox() as sandbox:
        Client(api_token=sandbox.token, organization_name=sandbox.organization, host=sandbox.url)
        sandbox.fail("POST", "/processings$", "drop-after")
        sandbox.platform.edit_processing("app", description="changed by another user")

Importing this package does not load the web framework; starting a server does.
"""

from providers.sandbox.edits import Platform
from providers.sandbox.sandbox import Account, Sandbox
from providers.sandbox.server import Address, SandboxError, serve
from providers.sandbox.settings import (
    ORGANIZATION,
    READ_ONLY_TOKEN,
    TOKEN,
    Environment,
    Fault,
    Settings,
    Switches,
)

__all__ = [
    "ORGANIZATION",
    "READ_ONLY_TOKEN",
    "TOKEN",
    "Account",
    "Address",
    "Environment",
    "Fault",
    "Platform",
    "Sandbox",
    "SandboxError",
    "Settings",
    "Switches",
    "serve",
]
