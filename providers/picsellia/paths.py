"""Addresses on the platform, from names that may hold any character."""

from urllib.parse import quote

from providers.errors import RefusedError


def path(*parts: str) -> str:
    """`/api/…` with every part quoted.

    Raises:
        RefusedError: a part that would change the path's meaning: unquoted, an input named ".." turns the
            deletion of the input into the deletion of its processing, and quoting cannot help, as HTTP
            clients decode dots again.
    """
    for part in parts:
        if part in ("", ".", ".."):
            raise RefusedError(f"{part!r} cannot be a name on the platform")
    return "/api/" + "/".join(quote(part, safe="") for part in parts)
