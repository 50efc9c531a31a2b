"""The words that every room shares: addresses, and the value that stands for "nothing there"."""

from enum import Enum
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote

JSON = Any  # None | bool | int | float | str | list[JSON] | dict[str, JSON]


class NoValue(Enum):
    """Two ways of having no value. Null is a value; these are not."""

    MISSING = "missing"  # not managed, never recorded, or not returned: nothing is known
    ABSENT = "absent"  # known not to be there: an object that has no such key


_ANY = "surrogatepass"  # JSON can have half a character in a name
MISSING: Final = NoValue.MISSING
ABSENT: Final = NoValue.ABSENT


class Address(NamedTuple):
    """Which resource: its kind and the parts of its name, written `kind/part/part`.

    Parts are percent-encoded when written, so that a name may hold any character. It is a tuple because all
    is looked up and ordered by address, and tuples hash and compare without a call of Python.
    """

    kind: str
    name: tuple[str, ...]

    @classmethod
    def of(cls, kind: str, *name: str) -> "Address":
        return cls(kind, name)

    @classmethod
    def parse(cls, text: str) -> "Address":
        """The address that `str(address)` wrote. Raises ValueError when `text` is none."""
        kind, *parts = text.split("/")
        if not kind or not parts or not all(parts):
            raise ValueError(f"{text!r} is not an address: expected kind/name, for example processing/my_app")
        return cls(kind, tuple(unquote(part, errors=_ANY) for part in parts))

    def __str__(self) -> str:
        return "/".join((self.kind, *(quote(part, safe=":@+=,", errors=_ANY) for part in self.name)))
