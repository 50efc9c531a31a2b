"""One kind of object as the platform's API has it: paths, bodies, answers. The sandbox serves what this says.

It comes from the public SDK and not from the requests of the kind beside it, so that the sandbox refuses a
request that the platform would refuse. Pure data.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class BodyKey:
    """One key of the body of a write.

    Attributes:
        type: `str`, `int`, `bool`, `list[str]` or `dict[str, Any]`. Types are strict: "4" is no number.
        required: whether a body without it is refused.
        nullable: whether it may be null.
        empty: whether a text may be "".
        one_of: the texts that are taken; () for any.
    """

    type: Any = str
    required: bool = False
    nullable: bool = True
    empty: bool = True
    one_of: tuple[str, ...] = ()


NAME = BodyKey(required=True, nullable=False, empty=False)
"""A text that every object of the kind has."""
RENAME = BodyKey(nullable=False, empty=False)
"""A text that can be changed and not be taken away."""
TEXT = BodyKey()
TEXTS = BodyKey(list[str])
TABLE = BodyKey(dict[str, Any])

FRAMEWORK = BodyKey(one_of=("TENSORFLOW", "PYTORCH", "ONNX", "NOT_CONFIGURED", "YOLOV8"))
"""Names of the SDK's enum (`picsellia.types.enums`, 6.37). No SDK lists YOLOV8, which is the example of the
official documentation: that the platform takes it is an assumption."""
INFERENCE_TYPE = BodyKey(
    one_of=(
        "NOT_CONFIGURED",
        "CLASSIFICATION",
        "OBJECT_DETECTION",
        "SEGMENTATION",
        "POINT",
        "KEYPOINT",
        "LINE",
        "MASK",
        "MULTI",
    )
)
"""Names of the SDK's enum (`picsellia.types.enums`, 6.37)."""


@dataclass(frozen=True, slots=True)
class Collection:
    """Where objects of one kind live, how one is found, and what its writes and answers hold.

    Attributes:
        name: what the platform calls one of them.
        parent: what it calls the object that they live in.
        path: of the list, with `{parent}`: a GET lists and a POST creates.
        item: of one of them, with `{id}`, or with `{parent}` and `{name}` where none has an id of its own.
        create: keys of the body of a POST.
        change: keys of the body of a change.
        change_method: PATCH, which leaves the keys that it lacks as they are, or PUT, which clears them.
        find_by: keys of the query of `{path}/find`; () where there is no such call.
        returned: the keys of an answer that the SDK reads; whether the platform answers more is not known.
        new: what the platform gives to a new object, whatever the body says.
        instead_of_null: values that stand for null.
        number: the key that counts the objects of one parent, from 0; "" where nothing does.
        shows_parent: the key under which an answer has the parent; "" where it has none.
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
