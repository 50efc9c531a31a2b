"""Runs `reconciler bump`."""

import sys
from pathlib import Path

from msgspec.structs import replace
from rich.text import Text

from reconciler.cli import options
from reconciler.core.diagnostics import UserError, error
from reconciler.core.exit_codes import DONE, code_of, worst
from reconciler.pipeline import FILE_NAME
from reconciler.pipeline.bumps import Bump
from reconciler.pipeline.config import LoadedConfig, load
from reconciler.pipeline.toml.toml_edits import apply_edits
from reconciler.pipeline.version import bump, channel_tag, edits_of
from reconciler.system.files import locked, replace_file
from reconciler.views.terminal.console import console
from reconciler.views.terminal.messages import print_diagnostics


def run(kind: str, selection: options.Selection, dry_run: bool) -> int:
    out, err = console(sys.stdout), console(sys.stderr)
    codes = {DONE}

    def failed(problem: UserError) -> None:
        print_diagnostics(problem.diagnostics, err)
        codes.add(code_of(problem))

    for folder in replace(selection, is_strict=not dry_run).folders(failed):
        try:
            out.print(_bump(Bump(kind), folder, is_written=not dry_run))
        except UserError as problem:
            failed(problem)
    return worst(codes)


def _bump(kind: Bump, folder: Path, *, is_written: bool) -> Text:
    """Write the next version of one pipeline, and return what changes. Raises UserError."""
    path = folder / FILE_NAME
    with locked(path):
        loaded = load(folder, shared=options.workspace().shared())
        if loaded.config is None:
            raise UserError(*loaded.diagnostics)
        before = loaded.config.metadata.version
        _check(kind, loaded)
        after = bump(before, kind)
        edited = apply_edits(loaded.on_disk, edits_of(after)).encode()
        if is_written:
            replace_file(path, edited)
    versions = (f"{before} -> ", ""), (str(after), "bold")
    return Text.assemble(f"{path}  version ", *versions, f", image_tag {channel_tag(after)}")


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
