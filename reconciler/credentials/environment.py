"""The environments that a platform runs in, and their addresses."""

from enum import StrEnum
from urllib.parse import urlsplit


class Environment(StrEnum):
    """Where a platform runs; the words and the hosts are those of the official CLI."""

    PROD = "PROD"
    STAGING = "STAGING"
    LOCAL = "LOCAL"
    CUSTOM = "CUSTOM"


HOSTS = {
    Environment.PROD: "https://app.picsellia.com",
    Environment.STAGING: "https://staging.picsellia.com",
    Environment.LOCAL: "http://localhost:8000",
}
"""Where each is, but CUSTOM, whose address is the user's to say."""

CUSTOM_HOST = "PICSELLIA_CUSTOM_ENV"
"""The variable, and the entry in the credentials file, that says it."""


def not_an_address(host: str) -> str | None:
    """What is wrong with an address, which is not repeated: it may hold a password."""
    if not host.startswith(("http://", "https://")):
        return "must start with http:// or https://"
    try:
        parts = urlsplit(host)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:
        named = False
    if not named:
        return "must name a host, and a port between 1 and 65535 or none"
    if "@" in parts.netloc:
        return "must hold no user name and no password"
    return None
