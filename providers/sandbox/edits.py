"""Reads and edits the sandbox's platform as another user, to cause drift."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from providers.collection import Collection
from providers.picsellia.kinds import KINDS
from providers.sandbox.server import SandboxError


class Platform:
    """Reads and edits by another user.

    Objects are addressed by their names within one organization, outermost parent first. Reads return None
    for a missing object; refused writes raise `SandboxError`.

    Args:
        call: sends one request, see `Sandbox.call`.
        organization: the name of the organization.
    """

    def __init__(self, call: Callable[..., Any], organization: str) -> None:
        self._call = call
        found = call("GET", f"/api/organizations/find?name={quote(organization, safe='')}")
        self._organization: str = found["id"]

    def objects(self, kind: str, *parents: str) -> list[dict[str, Any]]:
        """All objects of a kind in the parent with these names, oldest first."""
        return self._items(self._list_path(kind, parents))

    def get(self, kind: str, *name: str) -> dict[str, Any] | None:
        """One object of a kind, by its names, outermost parent first."""
        path = self._list_path(kind, name[:-1])
        if _collection(kind).find_by:
            return self._find(path, name[-1])
        return next((one for one in self._items(path) if one["name"] == name[-1]), None)

    def create(self, kind: str, /, *names: str, **fields: Any) -> dict[str, Any]:
        """Create an object of a kind."""
        return self._post(self._list_path(kind, names[:-1]), {"name": names[-1], **fields})

    def edit(self, kind: str, /, *names: str, **fields: Any) -> dict[str, Any]:
        """Change fields of an object; the others stay."""
        collection = _collection(kind)
        if collection.change_method == "PUT":  # a PUT clears missing keys
            given = self.get(kind, *names) or {}
            fields = {key: given.get(key) for key in collection.change} | fields
        changed: dict[str, Any] = self._call(collection.change_method, self._item_path(kind, names), fields)
        return changed

    def delete(self, kind: str, *name: str) -> None:
        """Delete an object with its children."""
        self._call("DELETE", self._item_path(kind, name))

    def processings(self) -> list[dict[str, Any]]:
        """All processings, oldest first."""
        return self.objects("processing")

    def processing(self, name: str) -> dict[str, Any] | None:
        """One processing."""
        return self.get("processing", name)

    def create_processing(self, name: str, **fields: Any) -> dict[str, Any]:
        """Create a processing; omitted fields get small plausible values."""
        defaults = {
            "target": "DATASET_VERSION",
            "default_cpu": 1,
            "default_gpu": 0,
            "default_parameters": {},
            "docker_image": "another/image",
            "docker_tag": "1.0",
        }
        return self.create("processing", name, **{**defaults, **fields})

    def edit_processing(self, name: str, /, **fields: Any) -> dict[str, Any]:
        """Change fields of a processing."""
        return self.edit("processing", name, **fields)

    def delete_processing(self, name: str) -> None:
        """Delete a processing with its inputs."""
        self.delete("processing", name)

    def inputs(self, processing: str) -> list[dict[str, Any]]:
        """The inputs of a processing, oldest first."""
        return self.objects("input", processing)

    def add_input(
        self, processing: str, name: str, input_type: str = "TEXT", required: bool = True, **fields: Any
    ) -> dict[str, Any]:
        """Add an input to a processing."""
        return self.create("input", processing, name, input_type=input_type, required=required, **fields)

    def edit_input(self, processing: str, name: str, /, **fields: Any) -> dict[str, Any]:
        """Change fields of an input; the others stay."""
        return self.edit("input", processing, name, **fields)

    def delete_input(self, processing: str, name: str) -> None:
        """Delete an input of a processing."""
        self.delete("input", processing, name)

    def models(self) -> list[dict[str, Any]]:
        """All models, oldest first."""
        return self.objects("model")

    def model(self, name: str) -> dict[str, Any] | None:
        """One model."""
        return self.get("model", name)

    def create_model(self, name: str, **fields: Any) -> dict[str, Any]:
        """Create a model."""
        return self.create("model", name, **fields)

    def edit_model(self, name: str, /, **fields: Any) -> dict[str, Any]:
        """Change fields of a model."""
        return self.edit("model", name, **fields)

    def delete_model(self, name: str) -> None:
        """Delete a model with its versions."""
        self.delete("model", name)

    def versions(self, model: str) -> list[dict[str, Any]]:
        """The versions of a model, oldest first."""
        return self.objects("model-version", model)

    def version(self, model: str, name: str) -> dict[str, Any] | None:
        """One version of a model."""
        return self.get("model-version", model, name)

    def create_version(self, model: str, name: str, **fields: Any) -> dict[str, Any]:
        """Create a version of a model."""
        return self.create("model-version", model, name, **fields)

    def edit_version(self, model: str, name: str, /, **fields: Any) -> dict[str, Any]:
        """Change fields of a version."""
        return self.edit("model-version", model, name, **fields)

    def delete_version(self, model: str, name: str) -> None:
        """Delete a version of a model."""
        self.delete("model-version", model, name)

    def _list_path(self, kind: str, parents: Sequence[str]) -> str:
        """The path of the list that has the objects of a kind."""
        parent = KINDS[kind].facts.parent
        id_ = self._organization if parent is None else _id(self.get(parent, *parents), parents[-1])
        return _collection(kind).path.replace("{parent}", id_)

    def _item_path(self, kind: str, name: Sequence[str]) -> str:
        item, parent = _collection(kind).item, KINDS[kind].facts.parent
        if "{id}" in item:
            return item.replace("{id}", _id(self.get(kind, *name), name[-1]))
        assert parent is not None, f"{kind} has neither an id nor a parent"
        id_ = _id(self.get(parent, *name[:-1]), name[-2])
        return item.replace("{parent}", id_).replace("{name}", quote(name[-1], safe=""))

    def _find(self, path: str, name: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self._call("GET", f"{path}/find?name={quote(name, safe='')}")
        except SandboxError as error:
            if error.status == 404:
                return None
            raise
        return found

    def _items(self, path: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self._call("GET", path)["items"]
        return items

    def _post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        created: dict[str, Any] = self._call("POST", path, body)
        return created


def _collection(kind: str) -> Collection:
    collection = KINDS[kind].facts.collection
    assert collection is not None, f"the sandbox serves no {kind}"
    return collection


def _id(found: dict[str, Any] | None, name: str) -> str:
    if found is None:
        raise SandboxError(f"the platform has no object named {name}")
    id_: str = found["id"]
    return id_
