"""Reads the files that the builder `append` put into an image, to compare them with a source."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Literal

from providers.docker.registry.layer_archive import members
from providers.docker.source.key import shown_path
from providers.docker.source.key_parts import member_digest


def appended_files(
    layers: Iterable[Iterator[bytes]],
    folder: str,
    counted_part: Callable[[str, int], Callable[[bytes], bytes] | None],
) -> dict[str, str]:
    """The files of layers with their short digests, as in `SourceKey.files`.

    Args:
        layers: the stored layers, lowest first.
        folder: the folder in the image that the layers have the files in; an absolute path.
        counted_part: for the path and size of a file, returns what returns the part of its content that
            counts as source; None if all of it does.

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
            part_of = counted_part(path, member.size) if kind == "file" else None
            counted = content if part_of is None else [part_of(b"".join(content))]
            found[path] = member_digest(kind, member.mode, counted)
    filled = {path[:end] for path in (*found, *folders) for end, char in enumerate(path) if char == "/"}
    return found | {path: digest for path, digest in folders.items() if path not in filled}
