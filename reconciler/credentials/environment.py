"""The environments of the platform and their addresses."""

from enum import StrEnum

from reconciler.core import platforms
from reconciler.core.platforms import platform_address


class Environment(StrEnum):
    """Where a platform runs; names and hosts are the official CLI's."""

    PROD = "PROD"
    STAGING = "STAGING"
    LOCAL = "LOCAL"
    CUSTOM = "CUSTOM"


HOSTS = {Environment(name): address for name, address in platforms.HOSTS.items()}
"""The address of each environment except CUSTOM, which the user sets."""

CUSTOM_HOST = "PICSELLIA_CUSTOM_ENV"
"""The environment variable, and the entry in the credentials file, with the address of CUSTOM."""


def address_problem(host: str) -> str | None:
    """Why `host` is not a valid address, or None. The text never repeats it: it may contain a password."""
    try:
        platform_address(host)
    except ValueError as problem:
        return str(problem)
    return None
