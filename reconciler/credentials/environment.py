"""The environments that a platform runs in, and their addresses."""

from enum import StrEnum

from reconciler.core import platforms
from reconciler.core.platforms import platform_address


class Environment(StrEnum):
    """Where a platform runs; the words and the hosts are those of the official CLI."""

    PROD = "PROD"
    STAGING = "STAGING"
    LOCAL = "LOCAL"
    CUSTOM = "CUSTOM"


HOSTS = {Environment(name): address for name, address in platforms.HOSTS.items()}
"""Where each is, but CUSTOM, whose address is the user's to say."""

CUSTOM_HOST = "PICSELLIA_CUSTOM_ENV"
"""The variable, and the entry in the credentials file, that says it."""


def not_an_address(host: str) -> str | None:
    """What is wrong with an address, which is not repeated: it may hold a password."""
    try:
        platform_address(host)
    except ValueError as problem:
        return str(problem)
    return None
