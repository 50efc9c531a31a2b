"""Writes the next version into config.toml."""

from pathlib import Path

from msgspec import Struct

from reconciler.core.diagnostics import UserError, error
from reconciler.pipeline import FILE_NAME
from reconciler.pipeline.bumps import Bump
from reconciler.pipeline.config import LoadedConfig, load
from reconciler.pipeline.shared import SharedSettings
from reconciler.pipeline.version import bump, channel_tag, edits_of
from reconciler.system.files import locked, replace_file, writing

__all__ = ["VersionBump", "bump_version"]


class VersionBump(Struct, frozen=True):
    """The next version of one pipeline.

    Attributes:
        file: its config.toml.
        before: the version that the file had.
        after: the next version.
        image_tag: the tag that belongs to it.
    """

    file: Path
    before: str
    after: str
    image_tag: str


def bump_version(folder: Path, kind: Bump, shared: SharedSettings, *, is_written: bool = True) -> VersionBump:
    """Write the next version and its image tag into the config.toml of a pipeline.

    Args:
        is_written: whether the file is written, or only read.

    Raises:
        UserError: the file has errors or cannot be written, or its version is final already.
    """
    from reconciler.pipeline.toml.toml_edits import apply_edits  # tomlkit takes long to import

    path = folder / FILE_NAME
    with locked(path):
        loaded = load(folder, shared=shared)
        if loaded.config is None:
            raise UserError(*loaded.diagnostics)
        before = loaded.config.metadata.version
        _check(kind, loaded)
        after = bump(before, kind)
        edited = apply_edits(loaded.on_disk, edits_of(after)).encode()
        if is_written:
            with writing(path, "config.toml cannot be written", "Nothing was changed."):
                replace_file(path, edited)
    return VersionBump(path, str(before), str(after), channel_tag(after))


def _check(kind: Bump, loaded: LoadedConfig) -> None:
    """Refuse a bump that would change nothing."""
    assert loaded.config is not None
    version = loaded.config.metadata.version
    if kind is Bump.FINAL and version.prerelease is None:
        raise UserError(
            error(
                f"{version} is already final",
                "bump final needs a release candidate, such as 1.0.1-rc. Use patch, minor, major or rc.",
                file=loaded.path,
                line=loaded.line_of("metadata", "version"),
            )
        )
