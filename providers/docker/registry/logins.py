"""Who we are to the registry that is pushed to: the stored login, else the one in variables, as in CI.

The variables are those that `pxl-pipeline deploy` takes, for whichever registry it pushes to. They are a
login for that registry alone: no other one, such as a base image's, gets to see them. Nothing is stored.
"""

import base64
import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from providers.docker.registry import auth
from providers.docker.registry.reference import HUB
from providers.errors import RefusedError
from providers.regular_files import read_regular

USERNAMES = ("DOCKERHUB_USERNAME", "DOCKER_USERNAME")
PASSWORDS = ("DOCKERHUB_TOKEN", "DOCKER_PASSWORD", "DOCKER_TOKEN")
_HUB_KEY = "https://index.docker.io/v1/"  # what Docker Hub is called in config.json


def given_login(variables: Mapping[str, str] = os.environ) -> auth.Login | None:
    """The login in the variables, the first of each kind; None unless there are a name and a password."""
    username = next((name for name in USERNAMES if variables.get(name)), None)
    password = next((name for name in PASSWORDS if variables.get(name)), None)
    if username is None or password is None:
        return None
    return auth.Login(variables[username], variables[password], origin=username)


def push_login(registry: str) -> auth.Login | None:
    """The login for a registry that is pushed to. Raises as `auth.stored_entry`."""
    return auth.stored_login(registry) or given_login()


def push_entry(registry: str) -> dict[str, Any]:
    """The same as the Engine wants it. Raises as `auth.stored_entry`."""
    stored = auth.stored_entry(registry)
    given = None if stored else given_login()
    return {"username": given.username, "password": given.password} if given else stored


@contextlib.contextmanager
def docker_config(registry: str) -> Iterator[Mapping[str, str]]:
    """Variables that make a `docker` command log in to `registry` as we do; none when it does by itself.

    They name a folder that only this user can read, gone at the end, with all that the user's own one has.

    Raises:
        RefusedError: the folder cannot be made, or config.json cannot be read.
        FinalError: as `auth.stored_entry`.
    """
    given = None if auth.stored_entry(registry) else given_login()
    if given is None:
        yield {}
        return
    with contextlib.ExitStack() as stack:
        try:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="reconciler-docker-")))
            own = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
            for entry in own.iterdir() if own.is_dir() else ():
                if entry.name != "config.json":
                    (folder / entry.name).symlink_to(entry.absolute())
            file = own / "config.json"
            config = json.loads(read_regular(file)) if file.exists() else {}
            (folder / "config.json").write_text(json.dumps(_with_login(config, registry, given)))
        except (OSError, ValueError) as error:
            raise RefusedError(
                f"docker cannot be told the login of {given.origin}: {error}",
                hint="log in with `docker login` instead",
            ) from error
        yield {"DOCKER_CONFIG": str(folder)}


def _with_login(config: dict[str, Any], registry: str, login: auth.Login) -> dict[str, Any]:
    """This config.json with a login more, which no credential store is asked for."""
    key = _HUB_KEY if registry == HUB else registry
    encoded = base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
    return {
        **config,
        "auths": {**(config.get("auths") or {}), key: {"auth": encoded}},
        "credHelpers": {**(config.get("credHelpers") or {}), key: ""},
    }
