"""Fits the README for a package index, where a path into the repository leads nowhere. Hatchling runs it."""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(?P<picture>!?)\[(?P<text>[^]]*)\]\((?!https?://|#)(?P<path>[^)\s]+)\)")


class ReadmeHook(MetadataHookInterface):
    """Gives the package its long description."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        """Set `readme`, which pyproject.toml declares as dynamic."""
        text = Path(self.root, "README.md").read_text(encoding="utf-8")
        repository = metadata.get("urls", {}).get("Repository")
        metadata["readme"] = {"content-type": "text/markdown", "text": for_an_index(text, repository)}


def for_an_index(text: str, repository: str | None) -> str:
    """The README with links into this repository; without its address, with their text and without pictures.

    Args:
        text: Markdown.
        repository: address of the repository at a forge with GitHub's paths.
    """

    def absolute(link: re.Match[str]) -> str:
        if repository is None:
            return "" if link["picture"] else link["text"]
        view = "raw" if link["picture"] else "blob"
        return f"{link['picture']}[{link['text']}]({repository}/{view}/main/{link['path']})"

    return LINK.sub(absolute, text)
