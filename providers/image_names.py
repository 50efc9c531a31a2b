"""Names of image repositories: the registry and path of each, and one normal form. Pure.

Docker Hub has several names, and its own may be left out: `app`, `docker.io/app` and
`index.docker.io/library/app` are one repository.
"""

from typing import Final

HUB: Final = "docker.io"
_ALIASES: Final = frozenset({HUB, "index.docker.io", "registry-1.docker.io"})
_OFFICIAL: Final = "library/"


def split_name(name: str) -> tuple[str, str]:
    """The registry and the path of a repository, as Docker reads its name. The name may be invalid."""
    first, slash, rest = name.partition("/")
    is_registry = slash and ("." in first or ":" in first or first == "localhost" or first != first.lower())
    registry, path = (first, rest) if is_registry else (HUB, name)
    if registry in _ALIASES:
        registry = HUB
        path = path if "/" in path else f"{_OFFICIAL}{path}"
    return registry, path


def normal_name(name: str) -> str:
    """The shortest name of the same repository: `user/app`, `app`, `reg.io/team/app`.

    Two names have one normal form exactly if they are one repository. An invalid name stays the same.
    """
    registry, path = split_name(name)
    if registry != HUB or not all(path.split("/")):
        return name
    for short in (path.removeprefix(_OFFICIAL), path):
        if split_name(short) == (registry, path):
            return short
    return f"{HUB}/{path}"
