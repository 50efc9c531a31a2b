"""An environment is a name for a platform: the official CLI's, or one that a reconciler.toml declares.

A reconciler.toml belongs to a repository, so its values come with their places, for `whoami` and for errors.
"""

from collections.abc import Mapping

from msgspec import Struct

from reconciler.core.platforms import platform_address


class Environment(Struct, frozen=True):
    """A platform, and the name that the user has for it.

    Attributes:
        host: address of the platform, in its one spelling.
    """

    name: str
    host: str

    def __str__(self) -> str:
        return self.name


class Sourced(Struct, frozen=True):
    """A value and where it comes from: an option, a variable, a file, or a file with the line."""

    value: str
    source: str


class DeclaredEnvironment(Struct, frozen=True):
    """An environment in a reconciler.toml.

    Attributes:
        host: address of the platform, in its one spelling; None where the name alone says it, or for a CUSTOM
            whose address the user sets.
        token: the name of the variable with the API token; None to use the usual ones.
        allow_http: whether the token may be sent to `host` without encryption.
    """

    organization: Sourced
    host: Sourced | None = None
    token: Sourced | None = None
    allow_http: bool = False


Declared = Mapping[str, DeclaredEnvironment]
"""The environments of a reconciler.toml, by name."""


ALLOW_HTTP = "PICSELLIA_ALLOW_HTTP"
"""The variable that lets the token cross a network without encryption, as `AWS_ALLOW_HTTP` does."""


def allows_http(variables: Mapping[str, str]) -> bool:
    """Whether the variables allow to send the token without encryption."""
    return variables.get(ALLOW_HTTP, "").lower() in ("1", "true")


def host_variable(environment: str) -> str:
    """The variable, and the entry in the credentials file, with the address of this environment.

    For CUSTOM it is the official CLI's. PROD, STAGING and LOCAL have none: their addresses are fixed.
    """
    return f"PICSELLIA_{environment}_ENV"


def address_problem(host: str) -> str | None:
    """Why `host` is not a valid address, or None. The text never repeats it: it may contain a password."""
    try:
        platform_address(host)
    except ValueError as problem:
        return str(problem)
    return None
