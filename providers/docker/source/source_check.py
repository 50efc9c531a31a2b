"""Compares packed files with the key that they were hashed for."""

from collections.abc import Iterable, Iterator

from providers.docker.source.key import Entry, ImageSource, shown_path
from providers.docker.source.key_parts import beginning, file_digest, folder_digest, link_digest
from providers.docker.source.reading import ChangedError


class SourceCheck:
    """Compares the packed files with the expected key, so that an image matches its label.

    A folder may be edited after it was hashed and before it is packed. Does nothing for a source without an
    expected key. Every method raises ChangedError with the name of the file.
    """

    def __init__(self, source: ImageSource) -> None:
        self._source = source
        self._missing: dict[str, str] | None = None
        if source.expected is not None:
            self._missing = dict(source.expected.files)
            if self._missing.get(source.dockerfile) == source.expected.recipe:
                del self._missing[source.dockerfile]  # not in the context; compared when it is read

    def pieces(self, entry: Entry, content: Iterable[bytes]) -> Iterator[bytes]:
        """Pass on the content of a file, and compare it at its end."""
        if self._missing is None:
            yield from content
            return
        if (counted := self._source.counted_part(entry.path, entry.size)) is not None:
            whole = b"".join(content)
            yield whole
            self._compare(entry, file_digest(entry.mode, counted(whole)))
            return
        digest = beginning(entry.mode).copy()
        for piece in content:
            digest.update(piece)
            yield piece
        self._compare(entry, digest.digest())

    def whole(self, entry: Entry, target: bytes) -> None:
        """Compare a link with its target, or an empty folder."""
        self._compare(entry, folder_digest(entry.mode) if entry.kind == "folder" else link_digest(target))

    def replaced(self, entry: Entry) -> None:
        """Compare a file whose packed bytes are replaced. Only its mode can differ."""
        if entry.path in self._source.keyed:
            self._compare(entry, file_digest(entry.mode, self._source.keyed[entry.path]))
        elif self._missing is not None:
            self._missing.pop(shown_path(entry.path), None)

    def end(self) -> None:
        """Check that every hashed file was packed."""
        for path in self._missing or ():
            raise ChangedError(path)

    def _compare(self, entry: Entry, digest: bytes) -> None:
        if self._missing is not None and self._missing.pop(shown_path(entry.path), "") != digest[:8].hex():
            raise ChangedError(entry.path)
