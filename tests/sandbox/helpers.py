"""What the stories have in common: a plain HTTP client, and a processing to start from."""

from typing import Any

import requests

from providers.sandbox import Sandbox

NEW_PROCESSING = {
    "name": "app",
    "target": "DATASET_VERSION",
    "description": "counts apples",
    "type": "AUTO_TAGGING",
    "default_cpu": 4,
    "default_gpu": 0,
    "default_parameters": {"epochs": 10, "rate": 0.5, "fast": True, "sizes": [1, 2]},
    "docker_image": "registry.local/team/app",
    "docker_tag": "latest",
    "docker_flags": ["--ipc=host", "--gpus=all"],
}


class Http:
    """A session that knows the sandbox's address and a token."""

    def __init__(self, sandbox: Sandbox, token: str | None) -> None:
        self.session = requests.Session()
        self.session.trust_env = False
        if token is not None:
            self.session.headers["Authorization"] = f"Bearer {token}"
        self._url = sandbox.url

    def __call__(self, method: str, path: str, **options: Any) -> requests.Response:
        options.setdefault("timeout", 30)
        return self.session.request(method, self._url + path, **options)

    def organization(self, rest: str) -> str:
        """A path under the default organization."""
        return f"/api/organization/{self('GET', '/api/home/ping').json()['default_organization']}/{rest}"
