"""The filtered context as a temporary folder, for builders that read a folder.

BuildKit ignores no files in a context that is sent as a stream, so it could not keep a Dockerfile that
.dockerignore lists out of a COPY. Here the Dockerfile is beside the context, with an ignore file that ignores
nothing, as the context is already filtered. The context is unpacked from the archive that an Engine gets, so
it has the same files, modes and replaced bytes.
"""

import contextlib
import io
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from providers.docker.source.archive import archive
from providers.docker.source.key import ImageSource, context, dockerfile
from providers.errors import RefusedError
from providers.leftovers import scratch_folder
from providers.protocol import Progress, Report


class StagedContext(Struct, frozen=True):
    """The paths of one build.

    Attributes:
        context: the folder to build.
        dockerfile: the Dockerfile, outside of that folder.
        metadata: a path for the builder's metadata file.
    """

    context: Path
    dockerfile: Path
    metadata: Path


@contextlib.contextmanager
def unpacked_context(source: ImageSource, report: Report) -> Iterator[StagedContext]:
    """Unpack the context into a temporary folder that only this user can read.

    Raises:
        RefusedError: a file cannot be read, or the disk has no room for a copy.
    """
    with contextlib.ExitStack() as stack:
        try:
            root = stack.enter_context(scratch_folder("build"))
            context_folder = root / "context"
            context_folder.mkdir()
            pieces = _reported(archive(source, context(source), report=report), report)
            stream = io.BufferedReader(ChunkReader(pieces), 1 << 20)
            with tarfile.open(fileobj=stream, mode="r|", errorlevel=2) as tar:
                tar.extractall(context_folder, filter="fully_trusted")
            recipe = root / "Dockerfile"
            recipe.write_bytes(dockerfile(source) or b"")
            recipe.with_name("Dockerfile.dockerignore").write_bytes(b"# nothing: this is filtered already\n")
        except (OSError, tarfile.TarError) as error:
            raise RefusedError(
                f"the build context cannot be copied to {tempfile.gettempdir()}: {error}",
                hint="set TMPDIR to a folder with more room",
            ) from error
        yield StagedContext(context_folder, recipe, root / "metadata.json")


def _reported(pieces: Iterator[bytes], report: Report) -> Iterator[bytes]:
    done = 0
    for piece in pieces:
        yield piece
        done += len(piece)
        report(Progress("build", "context", "copying the folder", done))


class ChunkReader(io.RawIOBase):
    """An iterator of bytes as a readable file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        if not self._rest:
            self._rest = memoryview(next(self._pieces, b""))
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size
