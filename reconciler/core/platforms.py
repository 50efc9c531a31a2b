"""Canonical platform addresses, shared by credentials, stacks and state. Pure: no DNS, no requests.

Two spellings are the same platform exactly if the same requests go to the same place. The case of scheme and
host, default ports, a final dot, Unicode or Punycode, notations of an IP address, escapes and final slashes
make no difference. Another scheme, host, port or path does.
"""

import re
import socket
from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import IPv6Address
from urllib.parse import quote, urlsplit

from providers.ascii_case import ascii_lower
from providers.image_names import is_loopback
from providers.patterns import pattern
from providers.text import has_login

HOSTS = {
    "PROD": "https://app.picsellia.com",
    "STAGING": "https://staging.picsellia.com",
    "LOCAL": "http://localhost:8000",
}
"""The address of each environment of the official CLI, except CUSTOM, whose address the user sets."""

CUSTOM = "CUSTOM"
ENVIRONMENTS = (*HOSTS, CUSTOM)
"""The environments of the official CLI."""

_PLACES = {address: name for name, address in HOSTS.items()}
_PORTS = {"http": 80, "https": 443}
_AUTHORITY = pattern(r"(?:\[(?P<six>[^\[\]]*)\]|(?P<name>[^\[\]:]*))(?::(?P<port>[0-9]*))?")
_NAME = pattern(r"[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")
_NUMERIC = pattern(r"(.*\.)?(0x[0-9a-f]*|[0-9]+)")
_ESCAPE = pattern(r"%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_IN_PATHS = "/%:@!$&'()*+,;=-._~"
_LOOPBACK = pattern(r"(.*\.)?localhost|127(\.[0-9]+){3}|\[::1\]")


def platform_address(text: str) -> str:
    """The canonical form of an address: `https://host`, `http://host:8000`, `https://host/path`.

    Raises:
        ValueError: `text` is not the address of a platform. The message states the rule, as in "must name a
            host", and does not repeat the text, which may contain a password.
    """
    text = text.strip(" \t\r\n")
    scheme, colon, rest = text.partition("://")
    scheme = ascii_lower(scheme)
    if not colon or scheme not in _PORTS:
        raise ValueError("must start with http:// or https://")
    if any(character in text for character in "?#\\") or not text.isprintable() or " " in text:
        raise ValueError("must not contain a space, backslash, question mark or number sign")
    authority, slash, path = rest.partition("/")
    if "@" in authority:
        raise ValueError("must not contain a user name or password")
    found = _AUTHORITY.fullmatch(authority)
    number = int(found["port"]) if found and found["port"] else _PORTS[scheme]
    if found is None or not 0 < number < 65536:
        raise ValueError("must name a host, and a port between 1 and 65535 or none")
    host = _host(found["name"]) if found["six"] is None else f"[{_six(found['six'])}]"
    port = "" if number == _PORTS[scheme] else f":{number}"
    return f"{scheme}://{host}{port}{_path(slash + path)}"


def is_plain(address: str) -> bool:
    """Whether requests to this canonical address cross a network without encryption."""
    parts = urlsplit(address)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")


def place(environment: str, address: str) -> str:
    """The platform in the name of a stack: the official CLI's name for it, otherwise its host.

    The stack is therefore the same under any name that a reconciler.toml gives the platform. The scheme is
    omitted if it is the usual one: https, or http for a loopback address.
    """
    if environment in HOSTS:
        return environment
    if address in _PLACES:
        return _PLACES[address]
    scheme, _, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    usual = "http" if _LOOPBACK.fullmatch(re.sub(r":[0-9]+$", "", host)) else "https"
    return ("" if scheme == usual else f"{scheme}:") + host + (quote(slash + path, safe="") if slash else "")


@lru_cache(maxsize=100)  # each name of a stack contains it
def scope(organization: str, environment: str, address: str) -> str:
    """The first part of the name of a stack: `my-org@STAGING`."""
    return f"{in_scope(organization)}@{place(environment, address)}"


def in_scope(organization: str) -> str:
    """An organization as in a scope, which has no slash."""
    return organization.replace("%", "%25").replace("/", "%2F")


def environment_of(scope: str, declared: Mapping[str, str]) -> str | None:
    """The name that `--env` takes for the environment of a scope; None if it has none.

    Args:
        declared: scope -> the name that reconciler.toml has for it.
    """
    platform = scope.rpartition("@")[2]
    return declared.get(scope, platform if platform in HOSTS else None)


def scope_label(scope: str, environment: str) -> str:
    """A scope for people: `my-org@TEST` if reconciler.toml calls the platform TEST.

    The scope itself stays the identity: its platform is the same under every name.

    Args:
        environment: the name of the environment; "" if it has none.
    """
    if environment in ("", *ENVIRONMENTS):
        return scope
    return f"{scope.rpartition('@')[0]}@{environment}"


def older_names(organization: str, address: str, pipeline: str, names: Iterable[str]) -> list[str]:
    """The names, among these, under which earlier versions may have stored the state of this stack.

    Earlier versions used the host as the user wrote it, without scheme and path, so the name may also be that
    of another platform.

    Args:
        address: address of the stack's platform.
    """
    origin = _origin(address)
    before, after = f"{organization}@", f"/{pipeline}"
    older = []
    for name in names:
        host = name[len(before) : -len(after)]
        if name != before + host + after or "/" in host or host in ENVIRONMENTS:
            continue
        try:
            canonical = platform_address(f"{address.partition('://')[0]}://{host}")
        except ValueError:
            continue
        if canonical == origin:
            older.append(name)
    return older


def _origin(address: str) -> str:
    """An address without its path."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


def _host(name: str) -> str:
    name = name.lower()
    if not name.isascii():
        import idna

        try:  # as `requests` does
            name = idna.encode(name, uts46=True).decode("ascii")
        except UnicodeError:  # the base of idna's errors
            raise ValueError("must name a host, and this is not a valid host name") from None
    name = name.removesuffix(".")
    if len(name) > 253 or not _NAME.fullmatch(name):
        raise ValueError("must name a host, and this is not a valid host name")
    if _NUMERIC.fullmatch(name):  # 127.1 and 0x7f.0.0.1 are notations of an IP address
        try:
            return socket.inet_ntoa(socket.inet_aton(name))
        except OSError:
            raise ValueError("must name a host, and these numbers are not an IP address") from None
    return name


def _six(text: str) -> str:
    if "%" in text:  # each machine numbers and names its network interfaces itself
        raise ValueError("must name a host, and an IPv6 address must not have a zone, such as %eth0")
    try:
        return str(IPv6Address(text))
    except ValueError:
        raise ValueError("must name a host, and this is not an IPv6 address") from None


def _path(path: str) -> str:
    """The path with minimal escapes, without dot segments and final slashes."""
    if re.search(r"%(?![0-9A-Fa-f]{2})", path):
        raise ValueError("must have two hexadecimal digits after each % in its path")

    def unescape(escape: re.Match[str]) -> str:
        character = chr(int(escape[1], 16))
        return character if character in _UNRESERVED else escape[0].upper()

    parts: list[str] = []
    for part in _ESCAPE.sub(unescape, quote(path, safe=_IN_PATHS)).split("/")[1:]:
        if part == "..":
            parts = parts[:-1]
        elif part != ".":
            parts.append(part)
    return "".join(f"/{part}" for part in parts).rstrip("/")


def organization_problem(name: str) -> str | None:
    """Why this cannot be the name of an organization, or None. The text never repeats it."""
    if has_login(name):
        return "contains a login"
    if any("\ud800" <= character <= "\udfff" for character in name):  # bytes of a variable, or JSON
        return "is not text in UTF-8"
    return "is an address" if "://" in name else None
