"""Names of images, taken apart the way Docker does: which registry, which repository, which tag.

Pure text; asks nobody whether anything exists.
"""

import ipaddress
import re
from dataclasses import dataclass
from functools import cache
from urllib.parse import urlsplit

from providers.errors import RefusedError

HUB = "docker.io"
UPLOAD_TAG = "reconciler-upload"
"""What a builder that cannot push without a tag pushes under. It moves with each build and means nothing: the
image is known by its digest."""
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository in a registry.

    Attributes:
        registry: as people and `docker login` name it: "docker.io", "localhost:5000", "reg.io".
        path: the name inside of that registry: "library/python", "team/app".
    """

    registry: str
    path: str

    @property
    def host(self) -> str:
        """Where the registry's API answers; only Docker Hub's differs from its name."""
        return "registry-1.docker.io" if self.registry == HUB else self.registry

    @property
    def loopback(self) -> bool:
        """Whether the registry is on this machine, where plain http is usual."""
        return _is_on_loopback(self.registry)

    @property
    def url(self) -> str:
        """Base of the registry's API for this repository."""
        return f"{'http' if self.loopback else 'https'}://{self.host}/v2/{self.path}"

    @property
    def login(self) -> str:
        """The command that stores credentials for this registry."""
        return "docker login" if self.registry == HUB else f"docker login {self.registry}"

    @property
    def with_project(self) -> str:
        """The name that Harbor and other registries would want instead; "" when this one has a project."""
        return "" if self.registry == HUB or "/" in self.path else f"{self.registry}/project/{self.path}"

    def __str__(self) -> str:
        return f"{self.registry}/{self.path}"


@cache
def _is_on_loopback(registry: str) -> bool:
    return is_loopback(urlsplit(f"//{registry}").hostname or "")


def parse_repository(text: str) -> Repository:
    """A repository from "user/app", "localhost:5000/a/b" or "reg.io/team/app" (no tag).

    Raises:
        RefusedError: it is no repository name; the hint has one that would do where there is one.
    """
    repository, reference = _split(text)
    if reference:
        raise RefusedError(
            f"{text!r} holds a tag or digest, where only the repository belongs",
            hint=f"write {_reference(text)[0]!r}; the tag comes from the pipeline's version",
        )
    return repository


def parse_image(text: str) -> tuple[Repository, str]:
    """A repository, and a tag or "sha256:…" digest ("latest" when none is written).

    Raises:
        RefusedError: it is no image name.
    """
    repository, reference = _split(text)
    return repository, reference or "latest"


def check_tag(tag: str) -> str:
    """`tag` itself.

    Raises:
        RefusedError: registries do not take it as a tag.
    """
    if _TAG.fullmatch(tag):
        return tag
    suggestion = re.sub(r"[^A-Za-z0-9_.-]", "-", tag).lstrip(".-")[:128]
    raise RefusedError(
        f"{tag!r} is not a tag: only letters, digits, '_', '.' and '-', at most 128 of them",
        hint=f"{suggestion!r} would do" if suggestion else "",
    )


def is_digest(reference: str) -> bool:
    """Whether `reference` is a "sha256:…" digest, and not a tag."""
    return _DIGEST.fullmatch(reference) is not None


def is_loopback(host: str) -> bool:
    """Whether a host, without its port, is this machine: "localhost", 127.0.0.0/8 or ::1.

    Those are what Docker takes for insecure without being told. A name such as "127.example.com" or
    "reg.localhost" is somebody's, as far as anybody here can know.
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _split(text: str) -> tuple[Repository, str]:
    name, reference = _reference(text)
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost" or first != first.lower()):
        registry, path = first, rest
    else:
        registry, path = HUB, name
    if registry in ("index.docker.io", "registry-1.docker.io"):
        registry = HUB
    if not _HOST.fullmatch(registry) or not _PATH.fullmatch(path) or len(path) > 255:
        raise RefusedError(f"{text!r} is not the name of an image: {_why(name, path)}", hint=_suggest(text))
    if registry == HUB and "/" not in path:
        path = f"library/{path}"
    return Repository(registry, path), reference


def _reference(text: str) -> tuple[str, str]:
    """The name without its tag and digest, and whichever of the two says more."""
    name, at, digest = text.partition("@")
    if at and not is_digest(digest):
        raise RefusedError(
            f"{text!r} is not the name of an image: what follows the @ is no sha256 digest",
            hint="copy the digest from `docker images --digests`",
        )
    head, colon, tag = name.rpartition(":")
    if colon and "/" not in tag:
        return head, digest or check_tag(tag)
    return name, digest


def _why(name: str, path: str) -> str:
    if not name:
        return "it is empty"
    if "://" in name:
        return "it starts like a web address"
    if any(char.isspace() for char in name):
        return "it holds a space"
    if path != path.lower():
        return "upper case is not allowed"
    return "lower-case letters, digits and single '.', '_', '-' between them, parts joined by '/'"


def _suggest(text: str) -> str:
    plain = re.sub(r"^[a-z+]+://", "", text.strip().lower())
    plain = re.sub(r"[^a-z0-9._/:@-]+", "-", plain).strip("-./:_")
    plain = re.sub(r"/+", "/", plain)
    if plain != text and ("/" in plain or "/" not in text):
        try:
            _split(plain)
        except RefusedError:
            pass
        else:
            return f"{plain!r} would do"
    return "name a repository such as 'user/app' or 'registry.example.com/team/app'"
