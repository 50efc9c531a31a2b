"""Matches the layers of a published image with the instructions in its history. Pure."""

import re
from collections.abc import Sequence

from msgspec import Struct

from providers.docker.registry.manifests import PublishedImage
from providers.hiding import safe_message
from providers.patterns import pattern

_APPENDED = pattern(r"# picsellia-reconciler append(?: \d{1,3}/(\d{1,3}))?$")

# The prefix that Docker's builders write; "|2 A=1 B=2" are the values of build arguments, left out here.
_SHELL = pattern(r"^(?:RUN )?(?:\|\d+ .*?)?/bin/sh -c (#\(nop\) )?\s*", re.DOTALL)


class Layer(Struct, frozen=True):
    """One layer, lowest first.

    Attributes:
        digest: digest of the blob.
        size: stored size in bytes.
        instruction: the instruction that created it, without tokens; "" if unknown.
        of_base: whether it belongs to the base image; None if unknown.
    """

    digest: str
    size: int
    instruction: str
    of_base: bool | None


def appended_mark(number: int, count: int) -> str:
    """The mark of layer `number` of `count` of the `append` builder, counted from 1, in the history."""
    return f"# picsellia-reconciler append{f' {number}/{count}' if count > 1 else ''}"


def layers(image: PublishedImage) -> list[Layer]:
    """The image's layers with their instructions."""
    created_by = [
        str(entry.get("created_by") or "")
        for entry in image.config.get("history") or ()
        if not entry.get("empty_layer")
    ]
    if len(created_by) != len(image.layers):
        created_by = [""] * len(image.layers)
    of_base = _of_base(created_by)
    return [
        Layer(blob.digest, blob.size, _instruction(text), base)
        for blob, text, base in zip(image.layers, created_by, of_base, strict=True)
    ]


def _of_base(created_by: Sequence[str]) -> list[bool | None]:
    """Known only for appended images: every layer except the last one, or the last few."""
    match = _APPENDED.search(created_by[-1]) if created_by else None
    if match is None:
        return [None] * len(created_by)
    ours = len(created_by) - int(match[1] or 1)
    return [number < ours for number in range(len(created_by))]


def _instruction(text: str) -> str:
    """The instruction as in a Dockerfile, on one line, with no token or login that someone left in it."""
    plain = _APPENDED.sub("", text.removesuffix("# buildkit"))
    if match := _SHELL.match(plain):
        plain = ("" if match[1] else "RUN ") + plain[match.end() :]
    return safe_message(" ".join(plain.split()))
