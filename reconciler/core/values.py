"""Values that every package uses: addresses, and the markers for a missing value."""

from collections.abc import Mapping
from enum import Enum
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from providers.image_names import normal_name
from providers.json_value import JSON


class NoValue(Enum):
    """The two markers for a missing value. Null is a value."""

    MISSING = "missing"  # unknown: not managed, never recorded, or not returned
    ABSENT = "absent"  # known not to exist: the object has no such key


_ANY = "surrogatepass"  # a JSON string can contain lone surrogates
MISSING: Final = NoValue.MISSING
ABSENT: Final = NoValue.ABSENT


IMAGE: Final = "image"
"""The kind of images in registries."""
IMAGE_FIELDS: Final = ("docker_image", "docker_tag")
"""The fields of a resource that name the image that it runs."""


class Address(NamedTuple):
    """The address of a resource: its kind and the parts of its name, written `kind/part/part`.

    Parts are percent-encoded in text, so that a name may contain any character. A tuple, because addresses
    are hashed and compared everywhere, and tuples do that in C.
    """

    kind: str
    name: tuple[str, ...]

    @classmethod
    def of(cls, kind: str, *name: str) -> "Address":
        return cls(kind, name)

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Parse the text of an address. Raises ValueError if `text` is not an address.

        The address of an image has the normal form of its repository, whatever the text has.
        """
        return _parsed(text)

    def __str__(self) -> str:
        return _text(self)


@lru_cache(maxsize=10_000)
def _parsed(text: str) -> Address:
    kind, *parts = text.split("/")
    if not kind or not parts or not all(parts):
        raise ValueError(f"{text!r} is not an address: expected kind/name, for example processing/my_app")
    name = tuple(unquote(part, errors=_ANY) for part in parts)
    if kind == IMAGE and not any("/" in part for part in name):
        return image_address("/".join(name))
    return Address(kind, name)


@lru_cache(maxsize=10_000)  # a plan writes and compares each address many times
def _text(address: Address) -> str:
    return "/".join((address.kind, *map(_quoted, address.name)))


@lru_cache(maxsize=10_000)
def _quoted(part: str) -> str:
    return quote(part, safe=":@+=,", errors=_ANY)


def address_of_option(text: str) -> Address:
    """The address that a user gives for a whole resource. Raises ValueError if `text` is none, or a field."""
    resource, is_field, _ = text.partition("#")
    if is_field:
        raise ValueError(f"{text!r} is a field, and this is for whole resources: {resource}")
    return Address.parse(text)


def image_address(name: str) -> Address:
    """The address of the image in the repository of this name, which has one address under all its names."""
    return Address(IMAGE, tuple(normal_name(name).split("/")))


def image_run_by(fields: Mapping[str, JSON]) -> Address | None:
    """The image that an object with these fields runs; None if it runs none."""
    name = fields.get(IMAGE_FIELDS[0])
    return image_address(name) if isinstance(name, str) and name else None


def present_address(text: str) -> str:
    """The address in state of an earlier version as this version writes it; other text stays the same."""
    try:
        return str(Address.parse(text))
    except ValueError:
        return text
