"""A Picsellia platform and an OCI registry on your own machine: one server, one port, loopback by default.

For the demo, for tests, for trying things. It answers what the public SDK and the official CLI rely on; where
nobody outside knows what the real platform does, it takes one side and offers the other as a switch. What
works here is therefore checked against the sandbox, and against nothing else.

    with Sandbox() as sandbox:
        Client(api_token=sandbox.token, organization_name=sandbox.organization, host=sandbox.url)
        sandbox.fail("POST", "/processings$", "drop-after")
        sandbox.platform.edit_processing("app", description="changed by somebody else")

Importing this package loads no web framework; that happens when a server starts.
"""

from providers.sandbox.edits import Platform
from providers.sandbox.sandbox import Sandbox
from providers.sandbox.server import Address, SandboxError, serve
from providers.sandbox.settings import ORGANIZATION, READ_ONLY_TOKEN, TOKEN, Fault, Settings, Switches

__all__ = [
    "ORGANIZATION",
    "READ_ONLY_TOKEN",
    "TOKEN",
    "Address",
    "Fault",
    "Platform",
    "Sandbox",
    "SandboxError",
    "Settings",
    "Switches",
    "serve",
]
