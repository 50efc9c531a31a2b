"""What made each layer of a published image: its history, read beside its layers. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from providers.docker.registry.manifests import PublishedImage

APPENDED = "picsellia-reconciler append"
"""In the history of what the `append` builder put on top of a base image."""

# As Docker's builders write instructions down; "|2 A=1 B=2" are the values of build arguments, which nobody
# has to see again.
_SHELL = re.compile(r"^(?:RUN )?(?:\|\d+ .*?)?/bin/sh -c (#\(nop\) )?\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer, lowest first.

    Attributes:
        digest: of the blob.
        size: in bytes, as stored.
        instruction: that made it; "" when the image does not say.
        of_base: whether it came with the base image; None when the image does not say.
    """

    digest: str
    size: int
    instruction: str
    of_base: bool | None


def layers(image: PublishedImage) -> list[Layer]:
    """The image's layers with what its history says of them."""
    made = [
        str(entry.get("created_by") or "")
        for entry in image.config.get("history") or ()
        if not entry.get("empty_layer")
    ]
    if len(made) != len(image.layers):
        made = [""] * len(image.layers)
    of_base = _of_base(made)
    return [
        Layer(blob.digest, blob.size, _instruction(text), base)
        for blob, text, base in zip(image.layers, made, of_base, strict=True)
    ]


def _of_base(made: Sequence[str]) -> list[bool | None]:
    """Known of what was appended: everything below that one layer."""
    if not made or APPENDED not in made[-1]:
        return [None] * len(made)
    return [*[True] * (len(made) - 1), False]


def _instruction(text: str) -> str:
    """As it stands in a Dockerfile, on one line."""
    plain = text.removesuffix("# buildkit").removesuffix(f"# {APPENDED}")
    if match := _SHELL.match(plain):
        plain = ("" if match[1] else "RUN ") + plain[match.end() :]
    return " ".join(plain.split())
