"""Output files in the build context of a pipeline, whose image would then have another source."""

import os
import sys
from pathlib import Path

import click

from reconciler.cli.options.param_types import STDOUT


def warn_if_in_image(place: Path) -> None:
    """Print a warning if the file is source of a pipeline in a folder above it."""
    if not _is_in_an_image(place):
        return
    from reconciler.core.diagnostics import warning
    from reconciler.views.terminal.console import console
    from reconciler.views.terminal.messages import print_diagnostics

    detail = (
        "This changes the image's source, which then needs a new version. Write the file outside of the "
        "folder, or add it to .dockerignore."
    )
    problem = warning(f"{place} is in the build context of a pipeline", detail)
    print_diagnostics([problem], console(sys.stderr))


def outside_of_images(ctx: click.Context, param: click.Parameter, place: Path | None) -> Path | None:
    """Refuse a file that is source of a pipeline in a folder above it."""
    if place is not None and place != STDOUT and not ctx.resilient_parsing and _is_in_an_image(place):
        advice = "write the file outside of the build context, or add it to .dockerignore"
        raise click.BadParameter(f"{place} would become part of the image; {advice}")
    return place


def pages_of(ctx: click.Context, param: click.Parameter, folder: Path) -> Path:
    """Warn if the pages in this folder are source."""
    if not ctx.resilient_parsing:
        warn_if_in_image(folder / "index.html")
    return folder


def _is_in_an_image(place: Path) -> bool:
    from providers.regular_files import real_path  # late: `--help` needs none of it

    folders = [folder for folder in real_path(place).parents if os.path.lexists(folder / "config.toml")]
    if not folders:
        return False
    from reconciler.core.diagnostics import UserError
    from reconciler.pipeline.image_source import is_in_image
    from reconciler.pipeline.shared import SharedSettings
    from reconciler.workspace.reader import find_workspace

    for folder in folders:
        try:
            shared = find_workspace(folder).shared()
        except UserError:  # the command reports it
            shared = SharedSettings()
        if is_in_image(folder, place, shared):
            return True
    return False
