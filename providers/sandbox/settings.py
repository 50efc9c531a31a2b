"""What a sandbox is started with, and the switches that change its behaviour while it runs.

Plain data: nothing here opens a file or a socket, and nothing here imports a web framework.
"""

import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal

TOKEN = "sandbox-token"
READ_ONLY_TOKEN = "sandbox-read-only"
ORGANIZATION = "sandbox"

Access = Literal["read-write", "read-only"]
FaultAction = int | Literal["drop-before", "drop-after", "hang"]


@dataclass(frozen=True)
class Fault:
    """One rule of failure: which requests, from which one on, how often, and what happens to them.

    Args:
        path: regular expression, searched in the path, dots resolved, percent-encoding kept, no query.
        action: an HTTP status to answer with; `drop-before`, the connection is cut and nothing is done;
            `drop-after`, the work is done and then the connection is cut; `hang`, the answer waits.
        method: HTTP method, or `*` for all.
        nth: the first matching request that fails, counted from 1 and from the moment the rule is given.
        times: how many matching requests in a row fail; None for all of them from `nth` on.
        every: of those, only one in so many fails, the first one included.
        seconds: how long `hang` waits. A client that leaves before that leaves its work undone.
        after: for a status or `hang`: do the work first, as a gateway that gives up too early does.
        headers: extra headers of a status answer, such as `Retry-After`.
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

    # Read by pydantic when a rule arrives over HTTP: a misspelt key is an error, not a rule that does less.
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}


@dataclass(frozen=True)
class Switches:
    """How the platform (and, for latency, faults and registry_auth, the registry) behaves.

    The defaults are one consistent platform; each switch is another one that the known facts allow.

    Args:
        echo: `all` answers every field, with extras such as `updated_at`; `certain` answers only the fields
            that the public SDK is known to read back.
        page_default: items of a list page when the request gives no limit; None for all.
        page_cap: most items of any list page, whatever limit the request gives; None for no cap.
        page_ignored: lists ignore limit and offset: each request starts at the beginning.
        counts: lists contain `count`, the number of objects on all pages.
        latency: seconds that every request waits before it is looked at.
        faults: rules of failure, see `Fault`.
        locked: regular expression; platform writes whose path it matches are answered 423.
        legacy_inputs: a new processing that has a `type` comes with an input already on it.
        unknown_enums: the platform is newer than the SDK: any text is accepted as an enum value, and each
            organization holds a processing and a model that use values the SDK does not know.
        null_connector: organizations have no default connector.
        loose_find: `find` gives the oldest object whose name contains the one asked for, in any case.
        strict_bodies: unknown keys of a body are answered 422; otherwise they are ignored.
        ignored_fields: keys that a change (PATCH, PUT) accepts and does not take.
        numbers: how cpu, gpu and the numbers among parameters are answered: as they are, 4 as `"4"`, or
            4 as 4.0.
        reorder: lists (of objects, and inside them) are answered in reverse order.
        extra_fields: answers carry fields nobody has heard of.
        registry_auth: the registry wants basic auth: any user name, one of the tokens as the password.
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


@dataclass(frozen=True)
class Settings:
    """What a sandbox is started with.

    Args:
        port: TCP port; 0 for a free one.
        host: IPv4 address or name to listen on. Requests have to name it, or loopback, as their host.
        folder: where everything is kept, created when missing; None for a folder that goes with the server.
        organizations: names; the first is the default one. They are added to those already in the folder.
        tokens: what each known token may do.
        control_token: for the sandbox's own calls, which turn switches and delete everything; random
            when left out.
        seed_base: whether the registry holds `base/python:3.11` from the start.
        switches: how the platform behaves at first, and again after a reset.
    """

    port: int = 0
    host: str = "127.0.0.1"
    folder: str | os.PathLike[str] | None = None
    organizations: tuple[str, ...] = (ORGANIZATION,)
    tokens: Mapping[str, Access] = field(
        default_factory=lambda: {TOKEN: "read-write", READ_ONLY_TOKEN: "read-only"}
    )
    control_token: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    seed_base: bool = True
    switches: Switches = field(default_factory=Switches)

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    @property
    def path(self) -> Path | None:
        """The folder as a path, None for a temporary one."""
        return None if self.folder is None else Path(self.folder)
