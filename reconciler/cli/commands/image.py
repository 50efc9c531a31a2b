"""`reconciler image`."""

from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.outputs import json_document


@click.command("image", cls=options.SectionedCommand)
@options.pipelines
@options.where
@json_document
@click.option(
    "--secrets", is_flag=True, help="Search the published image for secrets. Exits with 12 if it has any."
)
@click.option(
    "--verify", is_flag=True, help="Compare the published image with the commit that its provenance names."
)
@options.classes
def command(**arguments: Any) -> int:
    """Show the published image of each selected pipeline, and compare it with the source.

    Reads the registry only, so it needs no token for the platform. If the state contains the last apply,
    image also lists the files that differ.

    --secrets searches the settings, the history and all layers of the image except those of the base image.
    It shows the kind and the place of each secret, and never the secret itself.

    --verify reads the commit that the provenance of the image names, from git and without changing a file. It
    exits with 12 if the image has other files than that commit, and with 13 if that cannot be found out.

    \b
    Examples:
      reconciler image my_pipeline
      reconciler image --all --secrets
    """
    from reconciler.cli.handlers.image import run

    return run(**arguments)
