"""The handle of a sandbox for tests, the demo and users: starts it, changes its switches, reads its log.

Uses only HTTP, so it works the same for a server in a thread and in a separate process.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from types import TracebackType
from typing import Any, Self

from providers.sandbox.child import ChildServer
from providers.sandbox.edits import Platform
from providers.sandbox.server import BackgroundServer, SandboxError
from providers.sandbox.settings import Access, Fault, FaultAction, Settings

_READS = ("GET", "HEAD")


class Account:
    """One organization of a running sandbox: the address of its platform, its tokens and its objects.

    Args:
        call: sends one request, see `Sandbox.call`; `token` and `url` as keywords.
        environment: the name of the environment; empty if the sandbox has only one.
        url: the URL of the environment's platform, for use as a host.
        organization: the name of the organization.
        token: a token with write access.
        read_only_token: a token without.
    """

    def __init__(
        self,
        call: Callable[..., Any],
        environment: str,
        url: str,
        organization: str,
        token: str,
        read_only_token: str,
    ) -> None:
        self.environment = environment
        self.url = url
        self.organization = organization
        self.token = token
        self.read_only_token = read_only_token
        self.platform = Platform(partial(call, token=token, url=url), organization)


class Sandbox:
    """A running sandbox, as a context manager.

    `url`, `organization`, the tokens and `platform` are those of the first organization of the first
    environment; `account` returns those of the others.

    Args:
        settings: the settings; by default a temporary folder and a free port.
        subprocess: run it in a separate process, so it does not slow down this one.

    Raises:
        OSError: the port is in use, or the folder cannot be used.
        SandboxError: the separate process did not start.
    """

    def __init__(self, settings: Settings | None = None, *, subprocess: bool = False) -> None:
        self._settings = settings or Settings()
        self._subprocess = subprocess

    def __enter__(self) -> Self:
        import requests

        with ExitStack() as stack:
            server_class = ChildServer if self._subprocess else BackgroundServer
            self._server = server_class(self._settings)
            stack.callback(self._server.stop)
            self._session = stack.enter_context(requests.Session())
            self._session.trust_env = False
            self._first = self.account(self._settings.served()[0].name)
            self._open = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    @property
    def process_id(self) -> int:
        """The id of the server's process."""
        return self._server.process_id

    @property
    def port(self) -> int:
        """The TCP port of the registry and of the first platform."""
        return self._server.address.port

    @property
    def registry(self) -> str:
        """The registry in image names: `localhost:PORT`."""
        return self._server.address.registry

    @property
    def url(self) -> str:
        """The platform's URL, for use as a host."""
        return self._server.address.url

    @property
    def token(self) -> str:
        """The first token with write access."""
        return self._first.token

    @property
    def read_only_token(self) -> str:
        """The first read-only token."""
        return self._first.read_only_token

    @property
    def organization(self) -> str:
        """The name of the default organization."""
        return self._first.organization

    @property
    def platform(self) -> Platform:
        """The objects of the default organization."""
        return self._first.platform

    def account(self, environment: str, organization: str | None = None) -> Account:
        """One organization of an environment.

        Args:
            environment: the name of the environment.
            organization: the name of the organization; None for the first.

        Raises:
            KeyError: no environment has this name.
            SandboxError: the environment has no organization of this name.
        """
        served = {one.name: one for one in self._settings.served()}[environment]
        organization = organization or served.organizations[0]
        tokens: dict[Access, str] = {}
        for token, grant in self._settings.grants(served).items():
            if grant.organizations is None or organization in grant.organizations:
                tokens.setdefault(grant.access, token)
        if "read-write" not in tokens:
            raise SandboxError(f"{environment} has no organization {organization}")
        url = self._server.address.url_of(environment)
        write, read = tokens["read-write"], tokens.get("read-only", "")
        return Account(self.call, environment, url, organization, write, read)

    # The log

    def requests(
        self, *, since: int = 0, service: str | None = None, environment: str | None = None
    ) -> list[dict[str, Any]]:
        """The logged requests, oldest first.

        Each has number, service, environment, method, path, query, status, size, body and fault.

        `path` keeps its percent-encoding; `status` is None without a response; `size` is the size of the
        request's body in bytes; `body` and `environment` are set for the platform only.

        Args:
            since: number of a request; only later ones are returned.
            service: `platform` or `registry`; None for both.
            environment: only requests to this environment's platform; None for all.
        """
        items: list[dict[str, Any]] = self.call("GET", f"/_sandbox/requests?since={since}")["items"]
        return [
            item
            for item in items
            if service in (None, item["service"]) and environment in (None, item["environment"])
        ]

    def writes(
        self, *, since: int = 0, service: str | None = None, environment: str | None = None
    ) -> list[dict[str, Any]]:
        """The requests other than GET and HEAD; see `requests`."""
        logged = self.requests(since=since, service=service, environment=environment)
        return [item for item in logged if item["method"] not in _READS]

    def clear_requests(self) -> None:
        """Empty the log."""
        self.call("DELETE", "/_sandbox/requests")

    # The switches

    def switch(self, **switches: object) -> None:
        """Change some switches. See `Switches`.

        Raises:
            SandboxError: an unknown switch or an invalid value.
        """
        if "faults" in switches:
            faults = switches["faults"]
            assert isinstance(faults, list | tuple)
            switches["faults"] = [asdict(fault) if isinstance(fault, Fault) else fault for fault in faults]
        self.call("PATCH", "/_sandbox/switches", switches)

    def fail(self, method: str, path: str, action: FaultAction, **rule: Any) -> None:
        """Add a fault rule; existing rules stay.

        Args:
            method: HTTP method, or `*`.
            path: regular expression, searched in the path.
            action: a status, `drop-before`, `drop-after` or `hang`.
            rule: nth, times, seconds, after, headers, environment; see `Fault`.

        Raises:
            SandboxError: a rule that cannot be understood.
        """
        self.call("POST", "/_sandbox/faults", {"method": method, "path": path, "action": action, **rule})

    def reset(self) -> None:
        """Restore the initial data and switches, and clear the log."""
        self.call("POST", "/_sandbox/reset")

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        token: str | None = None,
        url: str | None = None,
    ) -> Any:
        """Send one request as another user with full access. It is not logged, and switches do not apply.

        Args:
            method: HTTP method.
            path: path and query.
            body: the body, sent as JSON.
            token: the token for a platform; None for that of the default organization.
            url: the URL of the platform; None for the first one.

        Returns:
            The decoded response; None if it is empty.

        Raises:
            SandboxError: the response is an error.
        """
        control = path.startswith("/_sandbox")
        token = self._settings.control_token if control else token or self.token
        headers = {"Authorization": f"Bearer {token}", "X-Sandbox-Aside": "1"}
        if control and method != "GET":
            body = body or {}
        response = self._session.request(
            method, (url or self.url) + path, json=body, headers=headers, timeout=60
        )
        if not response.ok:
            message = f"{method} {path}: {response.status_code} {response.text}"
            raise SandboxError(message, response.status_code)
        return response.json() if response.content else None
