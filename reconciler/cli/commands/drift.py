"""`reconciler drift`."""

from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.baseline_options import baseline_options
from reconciler.cli.outputs import output_files


class _DriftCommand(options.SectionedCommand):
    """`drift PIPELINE...`, and `drift merge FILE...`; a pipeline of that name is `./merge`."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if args[:1] == ["merge"]:
            from reconciler.cli.commands.drift_merge import command as merge

            return merge.make_context("drift merge", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@click.command("drift", cls=_DriftCommand)
@options.pipelines
@options.where
@output_files("json", "junit", "markdown", "html")
@baseline_options
@options.fleet
@options.executor
@click.option("--shard", type=options.SHARD, help="Check only part K of N of the pipelines, for CI matrices.")
@click.option(
    "--unmanaged",
    is_flag=True,
    help="With --all: also list processings, models and model versions that no stack in the state has.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["unmanaged"]),
    multiple=True,
    help="With --unmanaged: exit with 11 if there are any.",
)
@options.classes
def command(**arguments: Any) -> int:
    """Report changes made outside of the files.

    Only reads: drift sends no writes, takes no lock and works with a read-only token. It exits with 0 if
    everything is in sync, 10 if the files have changes that are not applied yet, 11 for drift, 12 for a
    conflict and 13 if something could not be checked. The highest code wins.

    In CI, use --shard to split the pipelines among several jobs, and `reconciler drift merge FILE...` to
    merge their reports. (For a pipeline named merge, write ./merge.)

    \b
    Examples:
      reconciler drift my_pipeline
      reconciler drift --all --env PROD --markdown drift.md
    """
    from reconciler.cli.handlers.drift import run

    options.start_workers(arguments["selection"], arguments["executor"])
    return run(**arguments)
