"""The settings of a sandbox, and the switches that change its behaviour while it runs.

Plain data: opens no file or socket, and does not import a web framework.
"""

import hashlib
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

from providers.patterns import pattern

TOKEN = "sandbox-token"
READ_ONLY_TOKEN = "sandbox-read-only"
ORGANIZATION = "sandbox"

Access = Literal["read-write", "read-only"]
FaultAction = int | Literal["drop-before", "drop-after", "hang"]

_MOST_SECONDS = 86_400
_HEADER = pattern(r"[A-Za-z0-9_!#$%&'*+.^`|~-]+")
_HEADER_VALUE = pattern(r"[\t\x20-\x7e\xa0-\xff]*")


@dataclass(frozen=True)
class Fault:
    """A fault rule: the requests that it matches, and their failure.

    Args:
        path: regular expression, searched in the path with dots resolved and percent-encoding kept, without
            the query.
        action: an HTTP status to return; `drop-before` cuts the connection without processing the request;
            `drop-after` processes it and then cuts the connection; `hang` delays the response.
        method: HTTP method, or `*` for all.
        nth: number of the first failing request, counted from 1 since the rule was added.
        times: number of consecutive matching requests that fail; None for all from `nth` on.
        every: only every so many of these requests fail, starting with the first.
        seconds: delay of `hang`. If the client disconnects earlier, the request is not processed.
        after: for a status or `hang`: process the request first, like a gateway that times out too early.
        headers: extra headers of a status response, such as `Retry-After`.
        environment: only requests to this environment match; None for all, and for the registry.
    """

    path: str
    action: FaultAction
    method: str = "*"
    nth: int = 1
    times: int | None = 1
    every: int = 1
    seconds: float = 3600.0
    after: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    environment: str | None = None

    # pydantic reads this when a rule arrives over HTTP: a misspelt key is an error, not a weaker rule.
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        """Raises ValueError for a rule that no request can be answered by."""
        _check_pattern("path", self.path)
        if isinstance(self.action, int) and not 200 <= self.action <= 599:
            raise ValueError(f"action: {self.action} is not a status from 200 to 599")
        for name, value in (("nth", self.nth), ("times", self.times), ("every", self.every)):
            _check_count(name, value)
        _check_seconds("seconds", self.seconds)
        for header, text in self.headers.items():
            if not _HEADER.fullmatch(header) or not _HEADER_VALUE.fullmatch(text):
                raise ValueError(f"headers: {header!r} cannot be a header with this value")


@dataclass(frozen=True)
class Switches:
    """The behaviour of the platform; latency, faults and registry_auth also apply to the registry.

    The defaults form one consistent platform; each switch selects another variant that public facts allow.

    Args:
        echo: `all` returns every field, with extras such as `updated_at`; `certain` returns only the fields
            that the public SDK reads.
        page_default: items of a list page if the request has no limit; None for all.
        page_cap: maximum items of a list page, whatever the limit of the request; None for no cap.
        page_ignored: lists ignore limit and offset: each request starts at the beginning.
        counts: lists contain `count`, the number of objects on all pages.
        latency: seconds to wait before processing each request.
        faults: fault rules, see `Fault`.
        locked: regular expression; platform writes to matching paths get status 423.
        legacy_inputs: a new processing with a `type` gets an input automatically.
        unknown_enums: the platform is newer than the SDK: any text is accepted as an enum value, and each
            organization has a processing and a model with values unknown to the SDK.
        null_connector: organizations have no default connector.
        loose_find: `find` returns the oldest object whose name contains the requested one, ignoring case.
        strict_bodies: unknown keys in a body get status 422 instead of being ignored.
        ignored_fields: keys that a change (PATCH, PUT) accepts but ignores.
        numbers: format of cpu, gpu and numbers in parameters: unchanged, 4 as `"4"`, or 4 as 4.0.
        reorder: lists (of objects, and inside them) are returned in reverse order.
        extra_fields: responses contain unknown fields.
        registry_auth: the registry requires basic auth: any user name, and one of the tokens as password.
    """

    echo: Literal["all", "certain"] = "all"
    page_default: int | None = None
    page_cap: int | None = None
    page_ignored: bool = False
    counts: bool = True
    latency: float = 0.0
    faults: tuple[Fault, ...] = ()
    locked: str | None = None
    legacy_inputs: bool = False
    unknown_enums: bool = False
    null_connector: bool = False
    loose_find: bool = False
    strict_bodies: bool = False
    ignored_fields: tuple[str, ...] = ()
    numbers: Literal["native", "text", "float"] = "native"
    reorder: bool = False
    extra_fields: bool = False
    registry_auth: bool = False

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def __post_init__(self) -> None:
        """Raises ValueError for a value that no request can be answered with."""
        _check_pattern("locked", self.locked or "")
        _check_count("page_default", self.page_default)
        _check_count("page_cap", self.page_cap)
        _check_seconds("latency", self.latency)


def _check_pattern(name: str, text: str) -> None:
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError) as problem:
        raise ValueError(f"{name}: {text[:40]!r} is not a regular expression: {problem}") from None


def _check_count(name: str, value: int | None) -> None:
    if value is not None and value < 1:
        raise ValueError(f"{name}: {value} is less than 1")


def _check_seconds(name: str, value: float) -> None:
    if not 0 <= value <= _MOST_SECONDS:  # also refuses NaN
        raise ValueError(f"{name}: {value} is not a number of seconds from 0 to {_MOST_SECONDS}")


@dataclass(frozen=True)
class Grant:
    """What a token of one environment allows.

    Args:
        access: whether it may write.
        organizations: the names of the organizations that it can see; None for all of the environment.
    """

    access: Access
    organizations: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Environment:
    """One platform, with an address and organizations of its own.

    Args:
        name: the name, as in `[environments.NAME]` of a `reconciler.toml`.
        organizations: names; each has its own tokens, which see nothing of the others.
        port: TCP port; 0 for a free one.
    """

    name: str
    organizations: tuple[str, ...] = (ORGANIZATION,)
    port: int = 0

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    def token(self, organization: str, access: Access = "read-write") -> str:
        """The token of one organization: always the same, and of ASCII characters whatever the names are."""
        prefix = TOKEN if access == "read-write" else READ_ONLY_TOKEN
        names = f"{self.name}\0{organization}".encode()
        return f"{prefix}-{hashlib.sha256(names).hexdigest()[:12]}"


@dataclass(frozen=True)
class Settings:
    """The settings of a sandbox: of one environment, or of several beside one registry.

    Args:
        port: TCP port; 0 for a free one.
        host: IPv4 address or name to listen on. Requests must have it, or loopback, as their Host.
        folder: folder for all data, created if missing; None for a temporary one.
        organizations: names; the first is the default one. They are added to those already in the folder.
        tokens: the valid tokens and their access; each can see every organization.
        environments: several environments instead of one. Then `port`, `organizations` and `tokens` do not
            apply. The first one's address is also that of the registry.
        control_token: token for the control API, which changes switches and deletes all data; random by
            default.
        seed_base: whether the registry contains `base/python:3.11` from the start.
        switches: the initial switches, also used after a reset.
    """

    port: int = 0
    host: str = "127.0.0.1"
    folder: str | os.PathLike[str] | None = None
    organizations: tuple[str, ...] = (ORGANIZATION,)
    tokens: Mapping[str, Access] = field(
        default_factory=lambda: {TOKEN: "read-write", READ_ONLY_TOKEN: "read-only"}
    )
    environments: tuple[Environment, ...] = ()
    control_token: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    seed_base: bool = True
    switches: Switches = field(default_factory=Switches)

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    @property
    def path(self) -> Path | None:
        """The folder as a path; None for a temporary one."""
        return None if self.folder is None else Path(self.folder)

    def __post_init__(self) -> None:
        for names in ([one.name for one in self.environments], *(e.organizations for e in self.served())):
            if len(set(names)) < len(names):
                raise ValueError(f"{', '.join(names)}: each name may appear only once")
        if not all(one.organizations for one in self.served()):
            raise ValueError("an environment needs an organization")

    def served(self) -> tuple[Environment, ...]:
        """The environments; the only one has an empty name if `environments` is empty."""
        return self.environments or (Environment("", self.organizations, self.port),)

    def grants(self, environment: Environment) -> dict[str, Grant]:
        """The tokens of one environment."""
        if not self.environments:
            return {token: Grant(access) for token, access in self.tokens.items()}
        accesses: tuple[Access, ...] = ("read-write", "read-only")
        return {
            environment.token(organization, access): Grant(access, (organization,))
            for organization in environment.organizations
            for access in accesses
        }
