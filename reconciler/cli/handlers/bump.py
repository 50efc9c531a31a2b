"""Runs `reconciler bump`."""

import sys

from rich.text import Text

from reconciler.cli import options
from reconciler.core.diagnostics import UserError, error
from reconciler.core.exit_codes import DONE
from reconciler.pipeline.bumps import Bump
from reconciler.pipeline.config import FILE_NAME, LoadedConfig, load
from reconciler.pipeline.toml.toml_edits import apply_edits
from reconciler.pipeline.version import bump, channel_tag, edits_of
from reconciler.system.files import locked, replace_file
from reconciler.views.terminal.console import console


def run(kind: str, name: str | None) -> int:
    folder = options.pipeline_folder(name)
    path = folder / FILE_NAME
    with locked(path):
        loaded = load(folder, shared=options.workspace().shared())
        if loaded.config is None:
            raise UserError(*loaded.diagnostics)
        before = loaded.config.metadata.version
        _check(Bump(kind), loaded)
        after = bump(before, kind)
        replace_file(path, apply_edits(loaded.on_disk, edits_of(after)).encode())
    out = console(sys.stdout)
    versions = (f"{before} -> ", ""), (str(after), "bold")
    out.print(Text.assemble(f"{path}  version ", *versions, f", image_tag {channel_tag(after)}"))
    return DONE


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
