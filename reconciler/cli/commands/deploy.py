"""`reconciler deploy`: the official command's arguments and questions, on plan and apply."""

from typing import Any

import click

from reconciler.cli import options


@click.command("deploy")
@click.argument("name", metavar="PIPELINE_NAME")
@options.where
@options.versions
@click.option("--image", metavar="NAME", help="Docker image name, saved in config.toml.")
@click.option(
    "--cpu", type=click.IntRange(0), metavar="NUMBER", help="CPU cores of a job, saved in config.toml."
)
@click.option("--gpu", type=click.IntRange(0), metavar="NUMBER", help="GPUs of a job, saved in config.toml.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask whether to go on.")
@options.applying
@options.classes
def command(**given: Any) -> int:
    """Build and push a pipeline's image, and register the pipeline on Picsellia.

    PIPELINE_NAME is a folder, or the name of a pipeline below the current one. Takes the arguments of
    pxl-pipeline deploy and reads the same files. It asks for what config.toml lacks: the image name, CPU
    and GPU; and for the version bump (patch, minor, major, rc, final) when the published version is from
    other source, or may be because another tool published it. Nothing new to publish means no question, no
    build and no new version.

    \b
    1. The plan is shown, and you are asked.
    2. The image is built and pushed as the new version, and latest (test for
       an rc) moves there.
    3. The processing is created or updated, and its inputs become those of
       inputs_class: new ones are added, existing ones updated, undeclared ones
       removed. A training pipeline's models and model versions get the image,
       the parameters and the docker flags instead.
    4. Only then config.toml gets the new version and the answers. A failure
       leaves it as it was, and the same command again finishes.

    Without a terminal nothing is asked: what is missing is told, with the option that gives it. The token
    and the organization come from the variables or the login that pxl-pipeline uses, too; the registry's
    login from docker login, or from DOCKER_USERNAME and DOCKER_PASSWORD.

    \b
    Examples:
      reconciler deploy dataset_version_creation --organization my-org
      reconciler deploy my_training --env STAGING --bump minor --yes
    """
    from reconciler.cli.handlers.deploy import run

    return run(**given)
