"""`reconciler drift`."""

from typing import Any

import click

from reconciler.cli import options
from reconciler.cli.acknowledging import acknowledging
from reconciler.cli.outputs import output_files


class _DriftCommand(click.Command):
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
@acknowledging
@options.fleet
@click.option("--shard", type=options.ShardType(), help="Only this part of the pipelines, for CI matrices.")
@options.classes
def command(**given: Any) -> int:
    """Tell what somebody changed outside of the files.

    Reads only: it sends no write of any kind, takes no lock, and works with a read-only token. Exits with 0
    when all is in sync, 10 when the files ask for changes, 11 for drift, 12 for a conflict, and 13 when
    something could not be checked; the highest wins.

    Several jobs share the pipelines with --shard; `reconciler drift merge FILE...` makes one report of
    theirs. (A pipeline called merge is ./merge.)
    """
    from reconciler.cli.handlers.drift import run

    return run(**given)
