"""The handle that tests, the demo and people hold: starts a sandbox, turns its switches, reads its log.

Speaks to the server over HTTP only, so it does the same for a server on a thread and for one of its own
process.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from providers.sandbox.server import Address, BackgroundServer
from providers.sandbox.settings import Fault, FaultAction, Settings

if TYPE_CHECKING:
    pass

_READS = ("GET", "HEAD")


class SandboxError(Exception):
    """The sandbox refused one of our own calls, or did not start."""


class Sandbox:
    """A running sandbox, as a context manager.

    Args:
        settings: what to start; a sandbox in a temporary folder on a free port when left out.
        subprocess: run it in a process of its own, so that it takes no time from this one.

    Raises:
        OSError: the port is taken, or the folder cannot be used.
        SandboxError: the other process did not start.
    """

    def __init__(self, settings: Settings | None = None, *, subprocess: bool = False) -> None:
        self._settings = settings or Settings()
        self._apart = subprocess

    def __enter__(self) -> Self:
        import requests

        self._server = ChildServer(self._settings) if self._apart else BackgroundServer(self._settings)
        self._session = requests.Session()
        self._session.trust_env = False
        self.platform = Platform(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._session.close()
        self._server.stop()

    @property
    def url(self) -> str:
        """The platform's address, to give as a host."""
        return self._server.address.url

    @property
    def port(self) -> int:
        """The TCP port of both services."""
        return self._server.address.port

    @property
    def registry(self) -> str:
        """The registry as image references spell it: `localhost:PORT`."""
        return self._server.address.registry

    @property
    def token(self) -> str:
        """A token that may write (the first such one)."""
        return next(token for token, access in self._settings.tokens.items() if access == "read-write")

    @property
    def read_only_token(self) -> str:
        """A token that may only read (the first such one)."""
        return next(token for token, access in self._settings.tokens.items() if access == "read-only")

    @property
    def organization(self) -> str:
        """The name of the default organization."""
        return self._settings.organizations[0]

    # The log

    def requests(self, *, since: int = 0, service: str | None = None) -> list[dict[str, Any]]:
        """What was asked, oldest first: number, service, method, path, query, status, size, body, fault.

        `path` keeps its percent-encoding; `status` is None where no answer was given; `size` is that of the
        request's body in bytes; `body` is given for the platform only.

        Args:
            since: a request's number; only later ones are given.
            service: `platform` or `registry`; None for both.
        """
        items: list[dict[str, Any]] = self.call("GET", f"/_sandbox/requests?since={since}")["items"]
        return [item for item in items if service in (None, item["service"])]

    def writes(self, *, since: int = 0, service: str | None = None) -> list[dict[str, Any]]:
        """The requests other than GET and HEAD; see `requests`."""
        return [item for item in self.requests(since=since, service=service) if item["method"] not in _READS]

    def clear_requests(self) -> None:
        """Empty the log."""
        self.call("DELETE", "/_sandbox/requests")

    # The switches

    def switch(self, **switches: object) -> None:
        """Turn some switches; the others stay. See `Switches`.

        Raises:
            SandboxError: no such switch, or not such a value.
        """
        if "faults" in switches:
            faults = switches["faults"]
            assert isinstance(faults, list | tuple)
            switches["faults"] = [asdict(fault) if isinstance(fault, Fault) else fault for fault in faults]
        self.call("PATCH", "/_sandbox/switches", switches)

    def fail(self, method: str, path: str, action: FaultAction, **rule: Any) -> None:
        """Let requests fail from now on; rules already given stay.

        Args:
            method: HTTP method, or `*`.
            path: regular expression, searched in the path.
            action: a status, `drop-before`, `drop-after` or `hang`.
            rule: nth, times, seconds, after, headers; see `Fault`.

        Raises:
            SandboxError: a rule that cannot be understood.
        """
        self.call("POST", "/_sandbox/faults", {"method": method, "path": path, "action": action, **rule})

    def reset(self) -> None:
        """Put data, switches and log back to how they were at the start."""
        self.call("POST", "/_sandbox/reset")

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """One request as somebody else, with all rights: not logged, and no switch changes its course.

        Returns:
            The decoded answer, None when it is empty.

        Raises:
            SandboxError: the answer is an error.
        """
        headers = {"Authorization": f"Bearer {self.token}", "X-Sandbox-Aside": "1"}
        response = self._session.request(method, self.url + path, json=body, headers=headers, timeout=60)
        if not response.ok:
            raise SandboxError(f"{method} {path}: {response.status_code} {response.text}")
        return response.json() if response.content else None


class Platform:
    """The platform in somebody else's hands: reads everything there is, changes it behind our back.

    Objects are named, not numbered: a processing or a model by its name in the default organization. Reads
    answer None for an object that is not there; writes raise `SandboxError` for whatever is refused.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._call = sandbox.call
        organization = self._call("GET", f"/api/organizations/find?name={quote(sandbox.organization)}")
        self._organization = f"/api/organization/{organization['id']}"

    def processings(self) -> list[dict[str, Any]]:
        """All processings, oldest first."""
        return self._items(f"{self._organization}/processings")

    def processing(self, name: str) -> dict[str, Any] | None:
        """One processing."""
        return _named(self.processings(), name)

    def create_processing(self, name: str, **fields: Any) -> dict[str, Any]:
        """Create a processing; fields that are left out get small plausible values."""
        defaults = {
            "target": "DATASET_VERSION",
            "default_cpu": 1,
            "default_gpu": 0,
            "default_parameters": {},
            "docker_image": "somebody/else",
            "docker_tag": "1.0",
        }
        return self._post(f"{self._organization}/processings", {"name": name, **defaults, **fields})

    def edit_processing(self, name: str, **fields: Any) -> dict[str, Any]:
        """Change fields of a processing."""
        return self._patch(self._processing(name), fields)

    def delete_processing(self, name: str) -> None:
        """Delete a processing with its inputs."""
        self._call("DELETE", self._processing(name))

    def inputs(self, processing: str) -> list[dict[str, Any]]:
        """The inputs of a processing, oldest first."""
        return self._items(f"{self._processing(processing)}/inputs")

    def add_input(
        self, processing: str, name: str, input_type: str = "TEXT", required: bool = True, **fields: Any
    ) -> dict[str, Any]:
        """Add an input to a processing."""
        body = {"name": name, "input_type": input_type, "required": required, **fields}
        return self._post(f"{self._processing(processing)}/inputs", body)

    def edit_input(self, processing: str, name: str, **fields: Any) -> dict[str, Any]:
        """Change fields of an input; the others stay."""
        keys = ("required", "inference_type_constraint", "framework_constraint")
        found = _named(self.inputs(processing), name) or {}
        body = {key: found.get(key) for key in keys} | fields
        changed: dict[str, Any] = self._call("PUT", self._input(processing, name), body)
        return changed

    def delete_input(self, processing: str, name: str) -> None:
        """Delete an input of a processing."""
        self._call("DELETE", self._input(processing, name))

    def models(self) -> list[dict[str, Any]]:
        """All models, oldest first."""
        return self._items(f"{self._organization}/models")

    def model(self, name: str) -> dict[str, Any] | None:
        """One model."""
        return _named(self.models(), name)

    def create_model(self, name: str, **fields: Any) -> dict[str, Any]:
        """Create a model."""
        return self._post(f"{self._organization}/models", {"name": name, **fields})

    def edit_model(self, name: str, **fields: Any) -> dict[str, Any]:
        """Change fields of a model."""
        return self._patch(self._model(name), fields)

    def delete_model(self, name: str) -> None:
        """Delete a model with its versions."""
        self._call("DELETE", self._model(name))

    def versions(self, model: str) -> list[dict[str, Any]]:
        """The versions of a model, oldest first."""
        return self._items(f"{self._model(model)}/versions")

    def version(self, model: str, name: str) -> dict[str, Any] | None:
        """One version of a model."""
        return _named(self.versions(model), name)

    def create_version(self, model: str, name: str, **fields: Any) -> dict[str, Any]:
        """Create a version of a model."""
        return self._post(f"{self._model(model)}/versions", {"name": name, **fields})

    def edit_version(self, model: str, name: str, **fields: Any) -> dict[str, Any]:
        """Change fields of a version."""
        return self._patch(self._version(model, name), fields)

    def delete_version(self, model: str, name: str) -> None:
        """Delete a version of a model."""
        self._call("DELETE", self._version(model, name))

    def _processing(self, name: str) -> str:
        return f"/api/processing/{_id(self.processing(name), name)}"

    def _input(self, processing: str, name: str) -> str:
        return f"{self._processing(processing)}/inputs/{quote(name, safe='')}"

    def _model(self, name: str) -> str:
        return f"/api/model/{_id(self.model(name), name)}"

    def _version(self, model: str, name: str) -> str:
        return f"/api/model/version/{_id(self.version(model, name), name)}"

    def _items(self, path: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self._call("GET", path)["items"]
        return items

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        created: dict[str, Any] = self._call("POST", path, body)
        return created

    def _patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        changed: dict[str, Any] = self._call("PATCH", path, body)
        return changed


class ChildServer:
    """A sandbox in a process of its own. It stops with this one, however this one ends.

    Args:
        settings: what to serve; they go through a pipe, so that no token is seen among the running commands.

    Raises:
        SandboxError: it did not start; the message is the end of what it said.
    """

    def __init__(self, settings: Settings) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "providers.sandbox"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin and self._process.stdout
        folder = None if settings.folder is None else os.fspath(settings.folder)
        self._process.stdin.write(json.dumps({**asdict(settings), "folder": folder}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            _, said = self._process.communicate()
            raise SandboxError(f"the sandbox did not start: {said.strip()[-2000:]}")
        self.address = Address(**json.loads(line))

    def stop(self) -> None:
        """Stop it and wait for its end."""
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()


def _named(items: list[dict[str, Any]], name: str) -> dict[str, Any] | None:
    return next((item for item in items if item["name"] == name), None)


def _id(found: dict[str, Any] | None, name: str) -> str:
    if found is None:
        raise SandboxError(f"nothing on the platform is called {name}")
    id_: str = found["id"]
    return id_
