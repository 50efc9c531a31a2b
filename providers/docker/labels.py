"""Names of the labels that are baked into each published image, and read back without pulling it."""

from typing import Final

SOURCE_KEY: Final = "picsellia.reconciler.source-key"
"""The source key of the image; its absence means that another tool published it."""

TITLE: Final = "org.opencontainers.image.title"
VERSION: Final = "org.opencontainers.image.version"
REVISION: Final = "org.opencontainers.image.revision"
CREATED: Final = "org.opencontainers.image.created"
