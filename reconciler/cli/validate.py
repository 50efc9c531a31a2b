"""`reconciler validate`."""

import sys

import click

from reconciler.cli import options
from reconciler.cli.exits import DONE, FAILED
from reconciler.diagnostics import UserError, has_errors
from reconciler.session import Reading, validate
from reconciler.views.lines import console
from reconciler.views.reports import print_diagnostics, print_pipeline


@click.command("validate")
@options.pipelines
@options.classes
def command(chosen: options.Chosen, reading: Reading) -> int:
    """Check config.toml, classes and build context, offline.

    Every problem is reported at once, each with its file and line.
    """
    out, err = console(sys.stdout), console(sys.stderr)
    code = DONE

    def failed(problem: UserError) -> None:
        nonlocal code
        code = FAILED
        print_diagnostics(problem.diagnostics, err)

    for folder in chosen.folders(failed):
        checked = validate(folder, reading)
        print_diagnostics(checked.diagnostics, err)
        if has_errors(checked.diagnostics):
            code = FAILED
        elif checked.pipeline is not None and checked.key is not None:
            print_pipeline(checked.pipeline, checked.key, out)
    return code
