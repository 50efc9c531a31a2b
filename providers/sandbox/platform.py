"""The calls of the platform that the public SDK 6.37 and the official CLI 0.7.6 make.

All collections share the same verbs, so there is one handler per verb; their differences are facts of each
kind, its `Collection`. Statuses: 201 for a create, 204 for a delete, 200 otherwise. Faults, latency and the
request log are handled in front, in `traffic`.

Paths, keys and error bodies are those that the clients send and read. Assumptions without evidence: lists,
including those of inputs, have pages, and without `limit` return everything, oldest first; an unknown
`order_by` key is ignored; input names are unique within a processing and version names within a model; a new
version number is the highest plus one; a body that is not JSON gets 400, and one of the wrong form 422; a
version without a type or a framework has NOT_CONFIGURED; objects that a token cannot see do not exist for
it; deleting an object deletes its children.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from providers.collection import Collection
from providers.picsellia.kinds import KINDS
from providers.sandbox import bodies
from providers.sandbox.answers import object_json
from providers.sandbox.settings import Environment, Grant, Switches
from providers.sandbox.store import NameTakenError, Objects, StoredObject

SDK_VERSION = "6.37.0"
NEWER = "from-a-newer-platform"
ASIDE = "another-user"
_CONNECTOR = "6a1e9c1c-7a9f-4a0e-9a5d-3d5f0f6f1c11"


class PlatformError(Exception):
    """An error response.

    Args:
        status: HTTP status.
        message: description of the problem.
        detail: None, a text, or a list of problems.
    """

    def __init__(self, status: int, message: str, detail: object = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.detail = detail


def error_response(error: PlatformError) -> JSONResponse:
    """An error in the platform's format: `{"message", "detail"}`."""
    return JSONResponse({"message": error.message, "detail": error.detail}, error.status)


@dataclass(frozen=True)
class _ServedCollection:
    """One collection, with the forms of the bodies of its writes."""

    facts: Collection
    create: type[bodies.Body]
    change: type[bodies.Body]


COLLECTIONS = tuple(kind.facts.collection for kind in KINDS.values() if kind.facts.collection is not None)
_ORGANIZATION = ("id", "name", "default_connector_id")


class PlatformCalls:
    """The handlers of one environment.

    Args:
        objects: the stored objects, of all environments.
        environment: its first organization is the default one.
        grants: the valid tokens, and what each allows.
    """

    def __init__(self, objects: Objects, environment: Environment, grants: dict[str, Grant]) -> None:
        self._objects = objects
        self._environment = environment
        self._grants = grants
        for name in environment.organizations:
            if self._organization(name) is None:
                fields = {"name": name, "default_connector_id": _CONNECTOR}
                objects.add("organization", environment.name, fields)
        self._served = {
            facts.name: _ServedCollection(facts, bodies.body(facts.create), bodies.body(facts.change))
            for facts in COLLECTIONS
        }

    def routes(self) -> list[Route]:
        """Every call of the platform."""
        routes = [
            self._route("GET", "/api/home/ping", self._ping),
            self._route("GET", "/api/organizations/find", self._find_organization),
            self._route("GET", "/api/organization/{id}", self._read_organization),
        ]
        for served in self._served.values():
            kind = served.facts
            routes.append(self._route("GET", kind.path, partial(self._list, kind)))
            routes.append(self._route("POST", kind.path, partial(self._create, served)))
            if kind.find_by:
                routes.append(self._route("GET", kind.path + "/find", partial(self._find, kind)))
            if "{id}" in kind.item:
                routes.append(self._route("GET", kind.item, partial(self._read, kind)))
            routes.append(self._route(kind.change_method, kind.item, partial(self._change, served)))
            routes.append(self._route("DELETE", kind.item, partial(self._delete, kind)))
        return routes

    def show_newer_objects(self, enabled: bool) -> None:
        """Add objects with enum values unknown to the SDK to each organization, or remove them."""
        for organization in self._objects.page("organization", self._environment.name):
            for kind in ("processing", "model"):
                old = self._objects.named(kind, organization.id, NEWER)
                if old is not None:
                    self._objects.remove(old)
            if enabled:
                self._add_newer_objects(organization)

    def _add_newer_objects(self, organization: StoredObject) -> None:
        image = {"docker_image": "newer/image", "docker_tag": "1.0"}
        size = {"default_cpu": 1, "default_gpu": 0, "default_parameters": {}}
        kind = {"name": NEWER, "target": "HOLOGRAM", "type": "TIME_TRAVEL"}
        processing = self._add_unchecked("processing", organization, kind | size | image, ASIDE)
        new_input = {"name": "hologram", "input_type": "HOLOGRAM", "required": True}
        self._add_unchecked("input", processing, new_input, ASIDE)
        model = self._add_unchecked("model", organization, {"name": NEWER}, ASIDE)
        new_version = {"name": "v1", "type": "HOLOGRAM", "framework": "YOLOV99"}
        self._add_unchecked("version", model, new_version, ASIDE)

    def _add_unchecked(
        self, name: str, parent: StoredObject, content: dict[str, Any], user: str
    ) -> StoredObject:
        """Adds an object of the platform itself, with any enum values."""
        served = self._served[name]
        fields = bodies.parse(served.create, content, strict=True, unknown_enums=True).model_dump()
        return self._add(served.facts, parent, fields, user)

    # Authentication

    def _route(self, method: str, path: str, call: Callable[[Request], Awaitable[Response]]) -> Route:
        async def guarded(request: Request) -> Response:
            self._check(request)
            return await call(request)

        return Route(path, guarded, methods=[method])

    def _check(self, request: Request) -> None:
        grant = self._grant(request)
        if request.method in ("GET", "HEAD"):
            return
        if grant.access == "read-only":
            raise PlatformError(403, "This token may only read")
        locked = _switches(request).locked
        if locked is not None and re.search(locked, request.scope["path"]):
            raise PlatformError(423, "This resource is locked")

    def _grant(self, request: Request) -> Grant:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        grant = self._grants.get(token) if scheme.lower() == "bearer" else None
        if grant is None:
            raise PlatformError(401, "Authentication credentials were not provided or are not valid")
        return grant

    def _user(self, request: Request) -> str:
        return ASIDE if request.scope["sandbox.aside"] else f"{self._grant(request).access}-user"

    def _organization(self, name: str) -> StoredObject | None:
        return self._objects.named("organization", self._environment.name, name)

    def _visible(self, request: Request, stored: StoredObject) -> bool:
        """Whether an object is in this environment, and in an organization that the token can see."""
        organization = self._objects.root(stored)
        names = self._grant(request).organizations
        return organization.parent == self._environment.name and (names is None or organization.name in names)

    # Start-up

    async def _ping(self, request: Request) -> Response:
        names = self._grant(request).organizations or self._environment.organizations
        default = self._organization(names[0])
        content = {
            "sdk_version": SDK_VERSION,
            "username": self._user(request),
            "default_organization": default.id if default else None,
        }
        return JSONResponse(content)

    async def _find_organization(self, request: Request) -> Response:
        name = request.query_params.get("name", "")
        found = self._organization(name)
        if found is None or not self._visible(request, found):
            raise PlatformError(404, f"No organization is named {name}")
        return JSONResponse(object_json(found, _switches(request), _ORGANIZATION))

    async def _read_organization(self, request: Request) -> Response:
        found = self._existing(request, "organization", request.path_params["id"])
        return JSONResponse(object_json(found, _switches(request), _ORGANIZATION))

    # The verbs of a collection

    async def _list(self, kind: Collection, request: Request) -> Response:
        parent = self._parent(kind, request)
        switches = _switches(request)
        limit, offset = _integer(request, "limit", 1), _integer(request, "offset", 0) or 0
        if switches.page_ignored:
            limit, offset = None, 0
        limit = limit if limit is not None else switches.page_default
        if switches.page_cap is not None:
            limit = min(limit or switches.page_cap, switches.page_cap)
        order_by = _order(request)
        page = self._objects.page(kind.name, parent.id, order_by=order_by, limit=limit, offset=offset)
        items = [self._object_json(kind, stored, switches) for stored in page]
        if switches.reorder:
            items.reverse()
        count = {"count": self._objects.count(kind.name, parent.id)} if switches.counts else {}
        return JSONResponse({"items": items, **count})

    async def _find(self, kind: Collection, request: Request) -> Response:
        parent = self._parent(kind, request)
        key = next((key for key in kind.find_by if key in request.query_params), None)
        if key is None:
            detail = [{"loc": ["query", kind.find_by[0]], "msg": "Field required", "type": "missing"}]
            raise PlatformError(422, "The query is not valid", detail)
        value = request.query_params[key]
        found = self._lookup(kind, parent, key, value, loose=_switches(request).loose_find)
        if found is None or found.parent != parent.id:
            raise PlatformError(404, f"No {kind.name} has the {key} {value}")
        return self._response(request, kind, found)

    def _lookup(
        self, kind: Collection, parent: StoredObject, key: str, value: str, *, loose: bool
    ) -> StoredObject | None:
        if key == "id":
            return self._objects.get(kind.name, value)
        if key == kind.number:
            number = int(value) if value.isdecimal() else -1
            return self._objects.with_field(kind.name, parent.id, key, number)
        find = self._objects.containing if loose else self._objects.named
        return find(kind.name, parent.id, value)

    async def _create(self, served: _ServedCollection, request: Request) -> Response:
        kind, parent = served.facts, self._parent(served.facts, request)
        fields = (await _body(served.create, request)).model_dump()
        user = self._user(request)
        with self._objects.transaction():
            created = self._add(kind, parent, fields, user)
            # Assumption: a platform may add this input to a new processing with a (deprecated) type.
            if kind.name == "processing" and fields["type"] and _switches(request).legacy_inputs:
                target = fields["target"]
                legacy = {"name": f"input_{target.lower()}", "input_type": target, "required": True}
                self._add_unchecked("input", created, legacy, user)
        return self._response(request, kind, created, status=201)

    def _add(self, kind: Collection, parent: StoredObject, fields: dict[str, Any], user: str) -> StoredObject:
        now = _now()
        fields = fields | {"created_at": now, "updated_at": now, "updated_by": user, **kind.new}
        if kind.number:
            newest = self._objects.page(kind.name, parent.id, order_by=[f"-{kind.number}"], limit=1)
            number = newest[0].fields[kind.number] + 1 if newest else 0
            fields |= {kind.number: number, "name": fields["name"] or f"{kind.name}-{number}"}
        try:
            return self._objects.add(kind.name, parent.id, _without_null(kind, fields))
        except NameTakenError as error:
            raise PlatformError(409, f"A {kind.name} named {error} already exists") from error

    async def _read(self, kind: Collection, request: Request) -> Response:
        return self._response(request, kind, self._item(kind, request))

    async def _change(self, served: _ServedCollection, request: Request) -> Response:
        kind, stored = served.facts, self._item(served.facts, request)
        body = await _body(served.change, request)
        # A PUT replaces the object: omitted constraints are cleared. A PATCH keeps omitted fields.
        changes = body.model_dump(exclude_unset=kind.change_method == "PATCH")
        for key in _switches(request).ignored_fields:
            changes.pop(key, None)
        fields = stored.fields | changes | {"updated_at": _now(), "updated_by": self._user(request)}
        try:
            changed = self._objects.replace(stored, _without_null(kind, fields))
        except NameTakenError as error:
            raise PlatformError(409, f"A {kind.name} named {error} already exists") from error
        return self._response(request, kind, changed)

    async def _delete(self, kind: Collection, request: Request) -> Response:
        self._objects.remove(self._item(kind, request))
        return Response(status_code=204)

    # Helpers

    def _item(self, kind: Collection, request: Request) -> StoredObject:
        if "id" in request.path_params:
            return self._existing(request, kind.name, request.path_params["id"])
        name = unquote(request.path_params["name"])
        parent = self._parent(kind, request)
        found = self._objects.named(kind.name, parent.id, name)
        if found is None:
            raise PlatformError(404, f"No {kind.name} is named {name}")
        return found

    def _parent(self, kind: Collection, request: Request) -> StoredObject:
        return self._existing(request, kind.parent, request.path_params["parent"])

    def _existing(self, request: Request, kind: str, id_: str) -> StoredObject:
        found = self._objects.get(kind, unquote(id_))
        if found is None or not self._visible(request, found):
            raise PlatformError(404, f"No {kind} has the id {unquote(id_)}")
        return found

    def _response(
        self, request: Request, kind: Collection, stored: StoredObject, *, status: int = 200
    ) -> JSONResponse:
        return JSONResponse(self._object_json(kind, stored, _switches(request)), status)

    def _object_json(self, kind: Collection, stored: StoredObject, switches: Switches) -> dict[str, Any]:
        parent = None
        if kind.shows_parent and (found := self._objects.get(kind.parent, stored.parent)):
            certain = Switches(echo="certain")
            parent = (kind.shows_parent, self._object_json(self._served[kind.parent].facts, found, certain))
        return object_json(stored, switches, kind.returned, parent=parent)


def _switches(request: Request) -> Switches:
    switches: Switches = request.scope["sandbox.switches"]
    return switches


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _without_null(kind: Collection, fields: dict[str, Any]) -> dict[str, Any]:
    return fields | {key: fields[key] or instead for key, instead in kind.instead_of_null.items()}


def _integer(request: Request, key: str, minimum: int) -> int | None:
    text = request.query_params.get(key)
    if text is None:
        return None
    if not text.isdecimal() or int(text) < minimum:
        detail = [{"loc": ["query", key], "msg": f"must be an integer from {minimum}", "type": "int"}]
        raise PlatformError(422, "The query is not valid", detail)
    return int(text)


def _order(request: Request) -> list[str]:
    keys = request.query_params.getlist("order_by")
    for key in keys:
        if not key.removeprefix("-").isidentifier():
            detail = [{"loc": ["query", "order_by"], "msg": f"{key!r} is not a field", "type": "value"}]
            raise PlatformError(422, "The query is not valid", detail)
    return keys


async def _body(form: type[bodies.Body], request: Request) -> bodies.Body:
    try:
        content = bodies.read_json(await request.body())
    except ValueError as error:
        raise PlatformError(400, "The body is not JSON", str(error)) from error
    switches = _switches(request)
    try:
        return bodies.parse(
            form, content, strict=switches.strict_bodies, unknown_enums=switches.unknown_enums
        )
    except bodies.BadBodyError as error:
        raise PlatformError(422, "The body is not valid", error.detail) from error
