"""`reconciler validate`."""

import sys
from dataclasses import replace

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
        problems = [*checked.diagnostics]
        for environment in checked.pipeline.loaded.overlays if checked.pipeline else ():
            overlaid = validate(folder, replace(reading, environment=environment))
            problems += [problem for problem in overlaid.diagnostics if problem not in problems]
        print_diagnostics(problems, err)
        if has_errors(problems):
            code = FAILED
        elif checked.pipeline is not None and checked.key is not None:
            print_pipeline(checked.pipeline, checked.key, out)
    return code
