"""The login for the push registry: the stored one, or else the one from environment variables, as in CI.

The variables are those of `pxl-pipeline deploy`. Their login is sent to the push registry only, never to
another one, such as that of a base image. Nothing is stored after a build.
"""

import base64
import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from providers.docker.registry import auth, stored_logins
from providers.docker.registry.reference import Repository, parse_repository
from providers.errors import RefusedError
from providers.image_names import HUB
from providers.leftovers import scratch_folder
from providers.regular_files import home_folder

USERNAMES = ("DOCKERHUB_USERNAME", "DOCKER_USERNAME")
PASSWORDS = ("DOCKERHUB_TOKEN", "DOCKER_PASSWORD", "DOCKER_TOKEN")
LookUp = Callable[[str], auth.Login | None]
"""Returns the login for the name of a registry."""
_HUB_KEY = "https://index.docker.io/v1/"  # the key of Docker Hub in config.json


def environment_login(variables: Mapping[str, str] = os.environ) -> auth.Login | None:
    """The login from the first set variable of each group; None without user name or password."""
    username = next((name for name in USERNAMES if variables.get(name)), None)
    password = next((name for name in PASSWORDS if variables.get(name)), None)
    if username is None or password is None:
        return None
    return auth.Login(variables[username], variables[password], origin=username)


def push_login(registry: str) -> auth.Login | None:
    """The login for pushing to a registry. Raises as `auth.stored_auth_config`."""
    return auth.stored_login(registry) or environment_login()


def login_beside(repository: Repository, pushed_to: str) -> LookUp:
    """The look-up for a repository in a run that pushes to another, whose login may be in variables.

    Args:
        pushed_to: name of the repository that is pushed to; "" if none is.

    Raises:
        RefusedError: that is not the name of a repository.
    """
    is_pushed_to = pushed_to and repository.registry == parse_repository(pushed_to).registry
    return push_login if is_pushed_to else auth.stored_login


def push_auth_config(registry: str) -> dict[str, Any]:
    """The login for pushing, in the format of the Docker Engine API. Raises as `auth.stored_auth_config`."""
    stored = auth.stored_auth_config(registry)
    login = None if stored else environment_login()
    return {"username": login.username, "password": login.password} if login else stored


@contextlib.contextmanager
def docker_config(registry: str) -> Iterator[Mapping[str, str]]:
    """Environment variables that make a `docker` command use the login for `registry`.

    Empty for a login that Docker finds itself. They point to a temporary folder, readable by this user only,
    with the user's Docker configuration. It is deleted at the end; if this run is killed, by the next build.

    Raises:
        RefusedError: the folder cannot be created, or config.json cannot be read.
        PermanentError: as for `auth.stored_auth_config`.
    """
    # Docker finds the login itself if it is stored under this very name.
    found = auth.stored_auth_config(registry, other_names=False)
    login = None if found else push_login(registry)
    if login is None:
        yield {}
        return
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(scratch_folder("docker"))
            own = Path(os.environ.get("DOCKER_CONFIG") or home_folder() / ".docker")
            for entry in own.iterdir() if own.is_dir() else ():
                if entry.name != "config.json":
                    (folder / entry.name).symlink_to(entry.absolute())
            text = json.dumps(_with_login(stored_logins.read_config(), registry, login))
            (folder / "config.json").write_text(text, encoding="utf-8")
        except (OSError, ValueError) as error:
            raise RefusedError(
                f"cannot pass the login of {login.origin or login.username} to docker: {error}",
                hint="log in with `docker login` instead",
            ) from error
        yield {"DOCKER_CONFIG": str(folder)}


def _with_login(config: dict[str, Any], registry: str, login: auth.Login) -> dict[str, Any]:
    """This config.json with one more login, exempt from credential helpers."""
    key = _HUB_KEY if registry == HUB else registry
    token = {"identitytoken": login.identity_token} if login.identity_token else {}
    encoded = base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
    return {
        **config,
        "auths": {**(config.get("auths") or {}), key: {"auth": encoded, **token}},
        "credHelpers": {**(config.get("credHelpers") or {}), key: ""},
    }
