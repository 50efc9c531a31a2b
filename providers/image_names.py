"""Names of image repositories: the registry and path of each, and one normal form. Pure.

Docker Hub has several names, and its own may be left out: `app`, `docker.io/app` and
`index.docker.io/library/app` are one repository. So are `REG.io/app`, `reg.io:443/app` and `reg.io/app`.
"""

import ipaddress
from functools import lru_cache
from typing import Final

from providers.ascii_case import ascii_lower

HUB: Final = "docker.io"
_ALIASES: Final = frozenset({HUB, "index.docker.io", "registry-1.docker.io"})
_OFFICIAL: Final = "library/"
_LONGEST_PATH: Final = 255  # of all clients: https://pkg.go.dev/github.com/distribution/reference


@lru_cache(maxsize=10_000)  # a plan asks for the same names several times
def split_name(name: str) -> tuple[str, str]:
    """The registry and the path of a repository, as Docker reads its name. The name may be invalid."""
    first, slash, rest = name.partition("/")
    is_registry = slash and (_is_host(first) or first != first.lower())
    registry, path = (_normal_host(first), rest) if is_registry else (HUB, name)
    if registry in _ALIASES:
        registry = HUB
        path = path if "/" in path else f"{_OFFICIAL}{path}"
    return registry, path


def name_problem(name: str) -> str:
    """Why no registry can have a repository of this name, although it looks like one; "" if it can."""
    registry, path = split_name(name)
    if len(path) > _LONGEST_PATH:
        return f"Its path has {len(path)} characters, of at most {_LONGEST_PATH}."
    if "_" in registry:  # a first part with a dot is one
        return "The host of a registry has no underscore."
    _, colon, port = registry.rpartition(":")
    if colon and port.isdecimal() and (len(port) > 5 or not 0 < int(port) <= 65_535):
        return "A port is a number from 1 to 65535."
    return ""


def name_with_project(name: str) -> str:
    """The name with a project, as Harbor and others require it; "" if the name already has one."""
    registry, path = split_name(name)
    return "" if registry == HUB or "/" in path else f"{registry}/project/{path}"


def normal_registry(name: str) -> str:
    """The one name of a registry, from any name of it or key of Docker's config.json, which may be a URL."""
    host = _normal_host(name.removeprefix("http://").removeprefix("https://").partition("/")[0])
    return HUB if host in _ALIASES else host


@lru_cache(maxsize=1000)
def is_loopback(host: str) -> bool:
    """Whether a host (without port) is this machine: "localhost", 127.0.0.0/8 or ::1.

    Docker treats these as insecure registries by default. Names such as "127.example.com" or "reg.localhost"
    may belong to another machine.
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_host(text: str) -> bool:
    """Whether the first part of a name is a registry by its form."""
    return "." in text or ":" in text or text == "localhost"


def _normal_host(text: str) -> str:
    """A registry in lower case, without the port that it has anyway: 443, or 80 on this machine."""
    host, colon, port = ascii_lower(text).rpartition(":")
    if not colon or not port.isdecimal() or not port.isascii():  # an IPv6 address ends with a bracket
        host, port = ascii_lower(text), ""
    usual = "80" if is_loopback(host.strip("[]")) else "443"
    port = port.lstrip("0") or "0" if port else usual
    # Docker takes a name without a dot for a user of Docker Hub, unless it has a port or upper case.
    return host if port == usual and _is_host(host) else f"{host}:{port}"


@lru_cache(maxsize=10_000)
def normal_name(name: str) -> str:
    """The shortest name of the same repository: `user/app`, `app`, `reg.io/team/app`.

    Two names have one normal form exactly if they are one repository. An invalid name stays the same.
    """
    registry, path = split_name(name)
    if not all(path.split("/")):
        return name
    if registry != HUB:
        return f"{registry}/{path}"
    for short in (path.removeprefix(_OFFICIAL), path):
        if split_name(short) == (registry, path):
            return short
    return f"{HUB}/{path}"
