"""Reads the files that the builder `append` put into an image, to compare them with a source."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Literal

from providers.docker.registry.layer_archive import members
from providers.docker.source.key import shown_path
from providers.docker.source.key_parts import member_digest

_MAX_KEYED = 1 << 22  # bytes of a config.toml


def appended_files(
    layers: Iterable[Iterator[bytes]], folder: str, keyed: Mapping[str, Callable[[bytes], bytes]]
) -> dict[str, str]:
    """The files of layers with their short digests, as in `SourceKey.files`.

    Args:
        layers: the stored layers, lowest first.
        folder: the folder in the image that the layers have the files in; an absolute path.
        keyed: path of a file -> the part of its content that counts as source.

    Returns:
        Paths relative to the folder; those outside of it begin with "/".

    Raises:
        RefusedError: one is not a layer.
    """
    prefix = f"{folder.strip('/')}/" if folder.strip("/") else ""
    found: dict[str, str] = {}
    folders: dict[str, str] = {}
    for member, content in chain.from_iterable(map(members, layers)):
        full = member.name.strip("/")
        path = shown_path(full.removeprefix(prefix) if full.startswith(prefix) else f"/{full}")
        if member.isdir():
            if not prefix.startswith(f"{full}/"):
                folders[path] = member_digest("folder", member.mode, ())
        elif member.issym():
            found[path] = member_digest("link", 0, [member.linkname.encode("utf-8", "surrogateescape")])
        else:
            kind: Literal["file", "link"] = "file" if member.isreg() else "link"
            counted = [keyed[path](_whole(content))] if path in keyed else content
            found[path] = member_digest(kind, member.mode, counted)
    filled = {path[:end] for path in (*found, *folders) for end, char in enumerate(path) if char == "/"}
    return found | {path: digest for path, digest in folders.items() if path not in filled}


def _whole(content: Iterator[bytes]) -> bytes:
    whole = b""
    for piece in content:
        whole += piece
        if len(whole) > _MAX_KEYED:
            break
    return whole
