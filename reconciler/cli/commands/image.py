"""`reconciler image`."""

from typing import Any

import click

from reconciler.cli import options


@click.command("image")
@options.pipelines
@options.where
@click.option("--json", "as_json", is_flag=True, help="Print a JSON document.")
@click.option(
    "--secrets", is_flag=True, help="Search the published image for secrets. Exits with 12 if it has any."
)
@options.classes
def command(**arguments: Any) -> int:
    """Show the published image of each selected pipeline, and compare it with the source.

    Reads the registry only, so it needs no token for the platform. If the state contains the last apply,
    image also lists the files that differ.

    --secrets searches the settings, the history and all layers of the image except those of the base image.
    It shows the kind and the place of each secret, and never the secret itself.
    """
    from reconciler.cli.handlers.image import run

    return run(**arguments)
