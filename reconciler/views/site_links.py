"""The addresses of the pages of a dashboard, for the dashboard itself and for reports that link to it."""

import hashlib
from typing import Final

from providers.patterns import pattern

PIPELINES: Final = "pipelines"
"""The folder with a page for each pipeline."""

_OTHERS = pattern(r"[^a-z0-9._-]+")
_RESERVED = pattern(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")  # names of devices on Windows
_LONGEST = 80  # characters


def page_of(name: str) -> str:
    """The page of a pipeline, from the top of the dashboard: `pipelines/my_pipeline.html`.

    Names that are no file names, or equal others on some file systems, get a digest of the name.

    Args:
        name: the name of its stacks, without the organization and the environment.
    """
    return f"{PIPELINES}/{key_of(name)}.html"


def key_of(name: str) -> str:
    """The name of the file with the page of a pipeline, without its ending."""
    plain = _OTHERS.sub("-", name.lower()).strip("-.")[:_LONGEST]
    if plain and plain == name and not _RESERVED.fullmatch(plain):
        return plain
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{plain}-{digest}" if plain else digest


def link_to(dashboard: str, name: str) -> str:
    """The page of a pipeline in the dashboard at this address: `https://…` or a relative path."""
    return f"{dashboard.removesuffix('index.html').rstrip('/')}/{page_of(name)}" if dashboard else ""
