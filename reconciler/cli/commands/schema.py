"""`reconciler schema`."""

from typing import Any

import click

from reconciler.schemas import NAMES


@click.command("schema")
@click.argument("name", metavar="[NAME]", required=False, type=click.Choice([*NAMES]))
@click.option(
    "--link",
    is_flag=True,
    help="Save the schemas of config.toml and reconciler.toml in the workspace, and name them in the first "
    "line of each of these files.",
)
def command(**arguments: Any) -> int:
    """Print the JSON Schema of a file or document, or list the schemas.

    Works offline. After reconciler schema --link, an editor with Even Better TOML completes the keys of
    config.toml and reconciler.toml, explains them and marks mistakes.

    \b
    Examples:
      reconciler schema --link
      reconciler schema plan > plan.schema.json
    """
    from reconciler.cli.handlers.schema import run

    return run(**arguments)
