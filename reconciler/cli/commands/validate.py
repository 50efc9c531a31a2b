"""`reconciler validate`."""

from typing import Any

import click

from reconciler.cli import options


@click.command("validate", cls=options.SectionedCommand)
@options.pipelines
@options.classes
def command(**arguments: Any) -> int:
    """Check config.toml, classes and build context, offline.

    Reports all problems in one run, each with its file and line. With several pipelines, it also reports
    resources that two of them declare although they belong to one stack at a time.

    \b
    Examples:
      reconciler validate my_pipeline
      reconciler validate --all --static-only
    """
    from reconciler.cli.handlers.validate import run

    return run(**arguments)
