"""The kinds of resource on the platform: one file for each, and the table of them.

Importing it imports no HTTP client, so the facts of the kinds are cheap without a request.
"""

from typing import TYPE_CHECKING, Final

from providers.picsellia.kinds.input import InputKind
from providers.picsellia.kinds.model import ModelKind
from providers.picsellia.kinds.model_version import ModelVersionKind
from providers.picsellia.kinds.processing import ProcessingKind
from providers.protocol import PlatformKind, ResourceKind

if TYPE_CHECKING:
    from providers.picsellia.platform import Platform

# A new kind is one file and one line here.
KINDS: Final[dict[str, type[PlatformKind]]] = {
    "processing": ProcessingKind,
    "input": InputKind,
    "model": ModelKind,
    "model-version": ModelVersionKind,
}


def kinds(platform: "Platform") -> dict[str, ResourceKind]:
    """Every kind of the platform by its name."""
    return {name: kind(platform) for name, kind in KINDS.items()}
