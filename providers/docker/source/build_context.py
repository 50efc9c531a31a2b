"""The filtered context as a folder of its own, for builders that read a folder. Gone when the build is over.

BuildKit ignores nothing in a context that is sent as a stream, so a Dockerfile that .dockerignore names could
not be kept from a COPY. Here it lies beside the context, and with it an ignore file that ignores nothing, as
the filtering has been done. What is unpacked is the very archive that an Engine is sent: same files, same
modes, same replaced bytes.
"""

import contextlib
import io
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from providers.docker.source.archive import archive
from providers.docker.source.key import ImageSource, context, dockerfile
from providers.errors import RefusedError


@dataclass(frozen=True, slots=True)
class StagedContext:
    """Where things lie.

    Attributes:
        context: the folder to build.
        dockerfile: outside of it.
        metadata: a path for what the builder tells.
    """

    context: Path
    dockerfile: Path
    metadata: Path


@contextlib.contextmanager
def unpacked_context(source: ImageSource) -> Iterator[StagedContext]:
    """Unpack the context into a temporary folder that only this user can read.

    Raises:
        RefusedError: a file cannot be read, or there is no room for a copy.
    """
    with contextlib.ExitStack() as stack:
        try:
            root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="reconciler-build-")))
            context_folder = root / "context"
            context_folder.mkdir()
            stream = io.BufferedReader(ChunkReader(archive(source, context(source))), 1 << 20)
            with tarfile.open(fileobj=stream, mode="r|", errorlevel=2) as tar:
                tar.extractall(context_folder, filter="fully_trusted")
            recipe = root / "Dockerfile"
            recipe.write_bytes(dockerfile(source) or b"")
            recipe.with_name("Dockerfile.dockerignore").write_text("# nothing: this is filtered already\n")
        except (OSError, tarfile.TarError) as error:
            raise RefusedError(
                f"the build context cannot be copied to {tempfile.gettempdir()}: {error}",
                hint="name a folder with more room in TMPDIR",
            ) from error
        yield StagedContext(context_folder, recipe, root / "metadata.json")


class ChunkReader(io.RawIOBase):
    """An iterator of bytes as a file to read."""

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
