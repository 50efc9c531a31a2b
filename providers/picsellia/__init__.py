"""The Picsellia platform as a far end: one file per kind; writes go over the official SDK's connection."""

from collections.abc import Mapping

from providers.picsellia.input import InputKind
from providers.picsellia.model import ModelKind
from providers.picsellia.model_version import ModelVersionKind
from providers.picsellia.platform import Platform
from providers.picsellia.processing import ProcessingKind
from providers.protocol import KindFacts, ResourceKind

__all__ = ["FACTS", "Platform", "kinds"]

# A new kind is one file and one line here.
_KINDS: dict[str, type[ProcessingKind | InputKind | ModelKind | ModelVersionKind]] = {
    "processing": ProcessingKind,
    "input": InputKind,
    "model": ModelKind,
    "model-version": ModelVersionKind,
}

FACTS: Mapping[str, KindFacts] = {name: kind.facts for name, kind in _KINDS.items()}
"""What is known of every kind of the platform, without one to ask."""


def kinds(platform: Platform) -> dict[str, ResourceKind]:
    """Every kind of the platform by its name."""
    return {name: kind(platform) for name, kind in _KINDS.items()}
