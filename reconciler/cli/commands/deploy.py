"""`reconciler deploy`: the official command's arguments and questions, on plan and apply."""

from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.options.param_types import WholeNumberType
from reconciler.cli.outputs import run_outputs


@click.command("deploy", cls=options.SectionedCommand)
@options.pipelines_to_deploy
@options.where
@options.versions
@options.take
@click.option("--image", metavar="NAME", help="Docker image name. Saved in config.toml.")
@click.option(
    "--cpu", type=WholeNumberType(0), metavar="NUMBER", help="CPU cores of a job. Saved in config.toml."
)
@click.option("--gpu", type=WholeNumberType(0), metavar="NUMBER", help="GPUs of a job. Saved in config.toml.")
@options.model
@options.dry_run
@options.approval("Do not ask for approval.")
@options.side_by_side
@options.applying
@run_outputs
@options.classes
def command(**arguments: Any) -> int:
    """Build and push a pipeline's image, and register the pipeline on Picsellia.

    PIPELINE is a folder, or the name of a pipeline below the current folder; without it, deploy takes the
    current folder. deploy has the arguments of pxl-pipeline deploy and reads the same files. It asks for
    values that config.toml lacks: the image name, CPU and GPU, or the model of a training. It asks for a
    version bump (patch, minor, major, rc, final) if the published version has another source, or was
    published by another tool. If there is nothing new to publish, it asks nothing, builds nothing and keeps
    the version.

    \b
    1. deploy shows the plan and asks for your approval.
    2. It builds the image and pushes it as the new version, then moves the
       channel tag: latest, or test for an rc.
    3. It creates or updates the processing and its inputs. It adds the new
       inputs of inputs_class, updates existing ones and removes undeclared ones.
       For a training pipeline, it gives the models and model versions the image,
       the parameters and the Docker flags instead.
    4. It writes the new version and your answers into config.toml. After a
       failure config.toml is unchanged; run the same command again to finish.

    With several pipelines, deploy plans all of them, shows one summary, asks once, and deploys them side by
    side. It asks for one version bump for all of them, and for no other value.

    Without a terminal, deploy asks nothing: it reports each missing value with the option that sets it. The
    token and the organization come from the same variables and logins as for pxl-pipeline. The registry login
    comes from docker login, or from DOCKER_USERNAME and DOCKER_PASSWORD.

    \b
    Examples:
      reconciler deploy dataset_version_creation --organization my-org
      reconciler deploy my_training --env STAGING --bump minor --yes
    """
    from reconciler.cli.handlers.deploy import run

    return run(**arguments)
