"""The platform in somebody else's hands: looks at everything there is, and changes it behind our back."""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from providers.sandbox.server import SandboxError


class Platform:
    """Reads and edits by somebody else.

    Objects are named, not numbered: a processing or a model by its name in one organization. Reads answer
    None for an object that is not there; writes raise `SandboxError` for whatever is refused.

    Args:
        call: sends one request, see `Sandbox.call`.
        organization: the name of the organization to work in.
    """

    def __init__(self, call: Callable[..., Any], organization: str) -> None:
        self._call = call
        found = call("GET", f"/api/organizations/find?name={quote(organization, safe='')}")
        self._organization = f"/api/organization/{found['id']}"

    def processings(self) -> list[dict[str, Any]]:
        """All processings, oldest first."""
        return self._items(f"{self._organization}/processings")

    def processing(self, name: str) -> dict[str, Any] | None:
        """One processing."""
        return self._find(f"{self._organization}/processings", name)

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

    def edit_processing(self, name: str, /, **fields: Any) -> dict[str, Any]:
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

    def edit_input(self, processing: str, name: str, /, **fields: Any) -> dict[str, Any]:
        """Change fields of an input; the others stay."""
        keys = ("required", "inference_type_constraint", "framework_constraint")
        given = next((given for given in self.inputs(processing) if given["name"] == name), {})
        body = {key: given.get(key) for key in keys} | fields
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
        return self._find(f"{self._organization}/models", name)

    def create_model(self, name: str, **fields: Any) -> dict[str, Any]:
        """Create a model."""
        return self._post(f"{self._organization}/models", {"name": name, **fields})

    def edit_model(self, name: str, /, **fields: Any) -> dict[str, Any]:
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
        return self._find(f"{self._model(model)}/versions", name)

    def create_version(self, model: str, name: str, **fields: Any) -> dict[str, Any]:
        """Create a version of a model."""
        return self._post(f"{self._model(model)}/versions", {"name": name, **fields})

    def edit_version(self, model: str, name: str, /, **fields: Any) -> dict[str, Any]:
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

    def _patch(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        changed: dict[str, Any] = self._call("PATCH", path, body)
        return changed


def _id(found: dict[str, Any] | None, name: str) -> str:
    if found is None:
        raise SandboxError(f"nothing on the platform is called {name}")
    id_: str = found["id"]
    return id_
