"""Tells a published image from one that was made on top of it.

An image takes over the labels of the image that it is made from, by `FROM` and by `docker commit` alike, so
its source key may be that of another image. The seal is one more label: a digest of the configuration without
it, which lists the layers, the history and the settings. An image that took a seal over differs in one of
these, so the seal does not fit. Pure.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from providers.docker.labels import SEAL


def is_sealed(config: Mapping[str, Any]) -> bool:
    """Whether an image's configuration has a seal, and it fits."""
    return _labels(config).get(SEAL) == _digest(config)


def is_derived(config: Mapping[str, Any]) -> bool:
    """Whether an image's configuration has a seal that does not fit: it is the one of another image."""
    return SEAL in _labels(config) and not is_sealed(config)


def sealed(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of an image, with its seal."""
    return _with_labels(config, {**_labels(config), SEAL: _digest(config)})


def _labels(config: Mapping[str, Any]) -> dict[str, Any]:
    return (config.get("config") or {}).get("Labels") or {}


def _with_labels(config: Mapping[str, Any], labels: Mapping[str, Any]) -> dict[str, Any]:
    return {**config, "config": {**(config.get("config") or {}), "Labels": labels}}


def _digest(config: Mapping[str, Any]) -> str:
    """The digest of the configuration as JSON with sorted keys, without the seal."""
    labels = {name: text for name, text in _labels(config).items() if name != SEAL}
    unsealed = json.dumps(_with_labels(config, labels), sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(unsealed.encode()).hexdigest()}"
