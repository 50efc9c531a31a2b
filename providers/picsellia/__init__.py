"""The Picsellia platform as a far end: one file per kind; writes go over the official SDK's connection."""

from providers.picsellia.input import InputKind
from providers.picsellia.model import ModelKind
from providers.picsellia.model_version import ModelVersionKind
from providers.picsellia.platform import Platform
from providers.picsellia.processing import ProcessingKind
from providers.protocol import ResourceKind

__all__ = ["Platform", "kinds"]


def kinds(platform: Platform) -> dict[str, ResourceKind]:
    """Every kind of the platform by its name; a new kind is one file and one line here."""
    return {
        "processing": ProcessingKind(platform),
        "input": InputKind(platform),
        "model": ModelKind(platform),
        "model-version": ModelVersionKind(platform),
    }
