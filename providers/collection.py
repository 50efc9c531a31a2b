"""The platform's API of one kind of object: paths, bodies, responses. The sandbox serves these collections.

The facts come from the public SDK, not from the requests of the kind in this repository, so the sandbox
refuses a request that the platform would refuse. Pure data.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from providers import enums


class BodyKey(Struct, frozen=True):
    """One key in the body of a write.

    Attributes:
        type: `str`, `int`, `bool`, `list[str]` or `dict[str, Any]`. Types are strict: "4" is not a number.
        required: whether a body without it is refused.
        nullable: whether it may be null.
        empty: whether a string may be "".
        one_of: the accepted strings; () for any.
    """

    type: Any = str
    required: bool = False
    nullable: bool = True
    empty: bool = True
    one_of: tuple[str, ...] = ()


NAME = BodyKey(required=True, nullable=False, empty=False)
"""A string that every object of the kind has."""
RENAME = BodyKey(nullable=False, empty=False)
"""A string that can be changed but not removed."""
TEXT = BodyKey()
TEXTS = BodyKey(list[str])
TABLE = BodyKey(dict[str, Any])

FRAMEWORK = BodyKey(one_of=(*enums.FRAMEWORKS, *enums.DOCUMENTED_FRAMEWORKS))
INFERENCE_TYPE = BodyKey(one_of=enums.INFERENCE_TYPES)


class Collection(Struct, frozen=True):
    """The paths, search keys, bodies and responses of one kind of object.

    Attributes:
        name: the platform's name of the kind.
        parent: the platform's name of the parent's kind.
        path: path of the list, with `{parent}`: a GET lists and a POST creates.
        item: path of one object, with `{id}`, or with `{parent}` and `{name}` if objects have no id.
        create: keys in the body of a POST.
        change: keys in the body of a change.
        change_method: PATCH, which keeps omitted keys, or PUT, which clears them.
        find_by: keys in the query of `{path}/find`; () without such a call.
        returned: the keys of a response that the SDK reads; the platform may return more.
        new: values that the platform sets on a new object, independent of the body.
        instead_of_null: values that the platform stores instead of null.
        number: the key with the object's number within its parent, from 0; "" without one.
        shows_parent: the key with the parent in a response; "" without one.
    """

    name: str
    parent: str
    path: str
    item: str
    create: Mapping[str, BodyKey]
    change: Mapping[str, BodyKey]
    change_method: str = "PATCH"
    find_by: tuple[str, ...] = ("name",)
    returned: tuple[str, ...] = ("id", "name")
    new: Mapping[str, Any] = field(default_factory=dict)
    instead_of_null: Mapping[str, Any] = field(default_factory=dict)
    number: str = ""
    shows_parent: str = ""
