"""Names of the labels on published images, readable without pulling them."""

from typing import Final

SOURCE_KEY: Final = "picsellia.reconciler.source-key"
"""The source key of the image; an image without it was published by another tool."""

SEAL: Final = "picsellia.reconciler.seal"
"""A digest of the rest of the configuration: see `providers.docker.registry.seal`."""

CONTRACT: Final = "picsellia.reconciler.contract"
"""The inputs of a processing as JSON: see `reconciler.core.contract`."""

TITLE: Final = "org.opencontainers.image.title"
VERSION: Final = "org.opencontainers.image.version"
REVISION: Final = "org.opencontainers.image.revision"
BASE_NAME: Final = "org.opencontainers.image.base.name"
BASE_DIGEST: Final = "org.opencontainers.image.base.digest"
"""The base image of the `append` builder."""

CREATED: Final = "org.opencontainers.image.created"
