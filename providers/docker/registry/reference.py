"""Parses image names like Docker, into registry, repository and tag or digest.

Pure; does not check whether anything exists.
"""

import re
import shlex
from functools import cache
from urllib.parse import urlsplit

from msgspec import Struct

from providers.errors import RefusedError
from providers.image_names import HUB, is_loopback, name_problem, name_with_project, split_name
from providers.patterns import pattern

UPLOAD_TAG = "reconciler-upload"
"""The tag for builders that cannot push without one. It moves with each build; the digest identifies the
image."""
RESERVED_TAG = pattern(rf"{UPLOAD_TAG}|sha(?:256|384|512)-[0-9a-f]+(?:[._-].*)?")
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = pattern(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_HOST = pattern(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?")
_TAG = pattern(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = pattern(r"sha256:[0-9a-f]{64}")


class Repository(Struct, frozen=True):
    """A repository in a registry.

    Attributes:
        registry: the name used with `docker login`: "docker.io", "localhost:5000", "reg.io".
        path: the name inside the registry: "library/python", "team/app".
    """

    registry: str
    path: str

    @property
    def host(self) -> str:
        """Host of the registry's API; it differs from the name only for Docker Hub."""
        return "registry-1.docker.io" if self.registry == HUB else self.registry

    @property
    def loopback(self) -> bool:
        """Whether the registry is on this machine, where plain http is common."""
        return _is_on_loopback(self.registry)

    @property
    def base_url(self) -> str:
        """Base URL of the registry's API."""
        return f"{'http' if self.loopback else 'https'}://{self.host}/v2/"

    @property
    def url(self) -> str:
        """Base URL of the registry's API for this repository."""
        return f"{self.base_url}{self.path}"

    @property
    def login(self) -> str:
        """The command that stores credentials for this registry."""
        return "docker login" if self.registry == HUB else f"docker login {shlex.quote(self.registry)}"

    @property
    def with_project(self) -> str:
        """As `name_with_project`."""
        return name_with_project(str(self))

    def __str__(self) -> str:
        return f"{self.registry}/{self.path}"


@cache
def _is_on_loopback(registry: str) -> bool:
    return is_loopback(urlsplit(f"//{registry}").hostname or "")


def parse_repository(text: str) -> Repository:
    """Parses "user/app", "localhost:5000/a/b" or "reg.io/team/app" (no tag).

    Raises:
        RefusedError: it is not a repository name; the hint suggests one if possible.
    """
    repository, reference = _split(text)
    if reference:
        raise RefusedError(
            f"{text!r} contains a tag or digest; only the repository is allowed here",
            hint=f"write {_reference(text)[0]!r}; the tag comes from the pipeline's version",
        )
    return repository


def parse_image(text: str) -> tuple[Repository, str]:
    """Parses an image name into repository and tag or "sha256:…" digest; the default is "latest".

    Raises:
        RefusedError: it is not an image name.
    """
    repository, reference = _split(text)
    return repository, reference or "latest"


def check_tag(tag: str) -> str:
    """Returns `tag` if registries accept it.

    Raises:
        RefusedError: it is not a valid tag.
    """
    if _TAG.fullmatch(tag):
        return tag
    suggestion = re.sub(r"[^A-Za-z0-9_.-]", "-", tag).lstrip(".-")[:128]
    raise RefusedError(
        f"{tag!r} is not a tag: only letters, digits, '_', '.' and '-', at most 128 of them",
        hint=f"{suggestion!r} is valid" if suggestion else "",
    )


def reserved_tag(tag: str) -> str:
    """What a tag of this form is for, as "is …", so that no environment can have it; "" if it is free.

    A registry without an API for referrers lists them under a tag that is their image's digest. Signing tools
    add a suffix to it. https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema
    """
    if not RESERVED_TAG.fullmatch(tag):
        return ""
    if tag == UPLOAD_TAG:
        return "is the tag of an image that is being uploaded"
    return "is the tag of statements and signatures about an image"


def is_digest(reference: str) -> bool:
    """Whether `reference` is a "sha256:…" digest rather than a tag."""
    return _DIGEST.fullmatch(reference) is not None


def _split(text: str) -> tuple[Repository, str]:
    name, reference = _reference(text)
    registry, path = split_name(name)
    if not _HOST.fullmatch(registry) or not _PATH.fullmatch(path) or name_problem(name):
        raise RefusedError(f"{text!r} is not an image name: {_reason(name, path)}", hint=_suggest(text))
    return Repository(registry, path), reference


def _reference(text: str) -> tuple[str, str]:
    """The name without tag and digest, and the digest, or else the tag."""
    name, at, digest = text.partition("@")
    if at and not is_digest(digest):
        raise RefusedError(
            f"{text!r} is not an image name: the part after @ is not a sha256 digest",
            hint="copy the digest from `docker images --digests`",
        )
    head, colon, tag = name.rpartition(":")
    if colon and "/" not in tag:
        return head, digest or check_tag(tag)
    return name, digest


def _reason(name: str, path: str) -> str:
    if not name:
        return "it is empty"
    if "://" in name:
        return "it starts like a web address"
    if any(char.isspace() for char in name):
        return "it contains a space"
    if path != path.lower():
        return "upper case is not allowed"
    if problem := name_problem(name):
        return f"{problem[0].lower()}{problem[1:-1]}"
    return "use lower-case letters and digits, single '.', '_', '-' between them, and '/' between parts"


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
            return f"{plain!r} is valid"
    return "use a name such as 'user/app' or 'registry.example.com/team/app'"
