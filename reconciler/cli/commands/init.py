"""`reconciler init`."""

from pathlib import Path
from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.options.param_types import PipelineTypeType


@click.command("init", cls=options.SectionedCommand)
@click.argument("folder", metavar="[NAME]", required=False, type=click.Path(path_type=Path))
@click.option("--type", "type_", type=PipelineTypeType(), help="Type of the pipeline, such as TRAINING.")
@click.option("--image", metavar="NAME", help="Docker image name.")
@options.model
@click.option(
    "--base",
    metavar="IMAGE",
    default="",
    help="Build without Docker: the files become one layer on top of this image.",
)
def command(**arguments: Any) -> int:
    """Create a pipeline: a folder with its config.toml, code, Dockerfile and classes.

    The folder has the form that pxl-pipeline init gives it, so both tools work with it. NAME is its name, or
    a path that ends with it. init never writes into an existing folder, and sends no request.

    In a terminal, init asks for the name, the type, the image, and the model of a training, unless options
    have them. Without a terminal, it reports each missing value with its option.

    \b
    Examples:
      reconciler init my_pipeline --type PRE_ANNOTATION --image my-user/my_pipeline
      reconciler init my_pipeline --type MODEL_CONVERSION --base registry.example.com/team/base:1
    """
    from reconciler.cli.handlers.init import run

    return run(**arguments)
