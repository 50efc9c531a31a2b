"""Paths on the platform, from names with any characters."""

from urllib.parse import quote

from providers.errors import RefusedError


def path(*parts: str) -> str:
    """`/api/…` with every part quoted.

    Raises:
        RefusedError: a part would change the meaning of the path. The deletion of an input named ".." would
            be the deletion of its processing, and HTTP clients decode quoted dots.
    """
    for part in parts:
        if part in ("", ".", ".."):
            raise RefusedError(f"{part!r} cannot be a name on the platform")
    return "/api/" + "/".join(quote(part, safe="") for part in parts)
