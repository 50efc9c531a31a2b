"""`reconciler image`."""

from typing import Any

import click

from reconciler.cli import options


@click.command("image")
@click.argument("name", metavar="PIPELINE")
@options.where
@click.option("--json", "as_json", is_flag=True, help="Print it as a JSON document.")
@click.option("--secrets", is_flag=True, help="Search what is published for secrets: 12 where there are any.")
@options.classes
def command(**given: Any) -> int:
    """Show what is published of a pipeline's image, and how it compares with the source.

    Asks the registry only, so it needs no token of the platform. Which files differ is known where the
    pipeline was applied from: the record of that organization is used when there is one.

    --secrets reads every layer that is not of the base image, and the settings and the history of the
    image. No secret is shown, only what it is and where.
    """
    from reconciler.cli.handlers.image import run

    return run(**given)
